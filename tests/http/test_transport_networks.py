"""Real networks: proxies, private certificates, lent sessions, and tools that look on."""

from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
import sys
from functools import wraps
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import pytest
from forward_proxy import forward_proxy
from raw_server import Act, Script, json_reply, polls, raw_server, reply
from server_kit import server_side, trusting

from asyncpoll._errors import ClientClosed, PollError, Rejected, TransportError
from asyncpoll.http import AiohttpTransport, Request, TransportSettings, Upload
from asyncpoll.http._auth import Bearer
from asyncpoll.http.transport import _pool

CANARY = "canary-0123456789"
POLL = Request("GET", "/poll")
FRESH = Request("GET", "/poll", fresh=True)


async def _failure(transport: AiohttpTransport) -> PollError:
    async with transport:
        with pytest.raises(PollError) as caught:
            await transport.send(POLL)
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    assert CANARY not in str(error) + repr(error) + repr(vars(error)) + repr(transport)
    return error


# proxies


@pytest.mark.parametrize("credential", [None, f"user:{CANARY}", "us%40er:p%3Aw"])
async def test_a_tunnel_through_a_proxy(credential: str | None) -> None:
    """TLS goes through one CONNECT for all requests; the proxy alone sees its password, the server alone the key."""
    plain = None if credential is None else credential.replace("%40", "@").replace("%3A", ":")
    async with (
        raw_server(polls(json_reply(1), json_reply(2)), ssl=server_side()) as server,
        forward_proxy(plain) as proxy,
    ):
        url = proxy.url if credential is None else proxy.url.replace("://", f"://{credential}@")
        async with AiohttpTransport(server.url, auth=Bearer("key-of-api"), proxy=url, ssl=trusting()) as transport:
            assert transport.path == "session"
            assert [(await transport.send(POLL)).json for _ in range(2)] == [1, 2]
            assert transport.requests == 2
    assert proxy.asked == [f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1"]
    assert b"key-of-api" not in b"".join(proxy.heads)
    assert b"proxy-authorization" not in b"".join(server.requests).lower()


@pytest.mark.parametrize("credential", [None, f"user:{CANARY}"])
async def test_plain_http_through_a_proxy(credential: str | None) -> None:
    """Plain http is forwarded in absolute form."""
    async with raw_server(polls(json_reply(1))) as server, forward_proxy(credential) as proxy:
        url = proxy.url if credential is None else proxy.url_with_credential
        async with AiohttpTransport(server.url, proxy=url) as transport:
            assert [(await transport.send(POLL)).json for _ in range(2)] == [1, 1]
    assert proxy.asked == [f"GET {server.url}/poll HTTP/1.1"] * 2


@pytest.mark.parametrize("tls", [True, False])
async def test_a_proxy_that_wants_a_password(*, tls: bool) -> None:
    """A refusal by the proxy names it, ends the wait, and tells how to pass a password."""
    async with forward_proxy("user:right") as proxy:
        base_url = "https://127.0.0.1:1" if tls else "http://127.0.0.1:1"
        url = proxy.url.replace("://", f"://user:{CANARY}@")
        error = await _failure(AiohttpTransport(base_url, proxy=url))
    assert isinstance(error, Rejected)
    assert (error.kind, error.passing) == ("proxy", False)
    assert f"the proxy {proxy.url} refuses (HTTP 407); pass its user and password" in str(error)


@pytest.mark.parametrize(("status", "cls"), [(403, Rejected), (502, TransportError)])
async def test_a_proxy_that_makes_no_tunnel(status: int, cls: type[TransportError]) -> None:
    """A proxy that forbids the host ends the wait; one that cannot reach it is a miss."""
    async with forward_proxy(answer=reply(status=status)) as proxy:
        error = await _failure(AiohttpTransport("https://127.0.0.1:1", proxy=proxy.url))
    assert type(error) is cls
    assert proxy.url in str(error)
    assert vars(error)["kind"] == "proxy"


async def test_a_proxy_that_is_not_there() -> None:
    """An error on the way to the proxy names it, without its password."""
    proxy = f"http://user:{CANARY}@127.0.0.1:1"
    error = await _failure(AiohttpTransport("https://api.example", proxy=proxy))
    assert "the proxy is http://127.0.0.1:1" in str(error)
    error = await _failure(AiohttpTransport("https://api.example", proxy=f"http://u:{CANARY}@name.invalid:1"))
    assert "the proxy is http://name.invalid:1" in str(error)


async def test_a_hint_at_proxies() -> None:
    """Where a name is not known, the error mentions that there are proxies."""
    error = await _failure(AiohttpTransport("https://name.invalid"))
    assert "pass proxy= or trust_env=True" in str(error)


@pytest.mark.parametrize(
    ("proxy", "cure"),
    [
        (f"user:{CANARY}@proxy:3128", "no scheme"),
        (f"socks5://user:{CANARY}@proxy", "http://host:port"),
        (f"http://{CANARY} @", "http://host:port"),
        (f"http://proxy/{CANARY}", "path"),
        ("", "no scheme"),
    ],
)
def test_what_is_not_a_proxy(proxy: str, cure: str) -> None:
    """An address that cannot be one is refused with the cure, and is not repeated."""
    with pytest.raises(ValueError, match=cure) as caught:
        AiohttpTransport("https://api.example", proxy=proxy)
    assert CANARY not in str(caught.value)


def test_a_proxy_of_another_type() -> None:
    """A proxy that is not text is refused by its type."""
    number: Any = 3128
    with pytest.raises(TypeError, match="not int"):
        AiohttpTransport("https://api.example", proxy=number)


async def test_an_echo_of_the_password_of_a_proxy() -> None:
    """The password is masked where an answer holds it."""
    async with (
        raw_server(polls(json_reply(f"<{CANARY}>"))) as server,
        forward_proxy(f"user:{CANARY}") as proxy,
        AiohttpTransport(server.url, proxy=proxy.url_with_credential) as transport,
    ):
        assert (await transport.send(POLL)).json == "<***>"


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Clear the environment of proxies, and return what sets it."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def test_the_proxy_of_the_environment(no_proxies: pytest.MonkeyPatch) -> None:
    """With trust_env the variables count, and NO_PROXY, but no password file."""
    async with raw_server(polls(json_reply(1))) as server, forward_proxy() as proxy:
        no_proxies.setenv("http_proxy", proxy.url.removeprefix("http://"))
        async with AiohttpTransport(server.url, trust_env=True) as transport:
            assert (await transport.send(POLL)).json == 1
        no_proxies.setenv("NO_PROXY", "127.0.0.1")
        async with AiohttpTransport(server.url, trust_env=True) as transport:
            assert (await transport.send(POLL)).json == 1
            assert transport.path == "direct"
    assert len(proxy.asked) == 1


def test_an_environment_that_cannot_be_used(no_proxies: pytest.MonkeyPatch) -> None:
    """The error names the variable, and not what is in it."""
    no_proxies.setenv("HTTPS_PROXY", f"socks5://{CANARY}@proxy")
    with pytest.raises(ValueError, match="HTTPS_PROXY") as caught:
        AiohttpTransport("https://api.example", trust_env=True)
    assert CANARY not in str(caught.value)


# certificates


@pytest.mark.parametrize("context", [False, True, "ca.pem", aiohttp.Fingerprint(bytes(32))])
def test_ssl_is_a_context(context: Any) -> None:
    """Nothing but an SSLContext is taken, so that certificates are not left unchecked by mistake."""
    with pytest.raises(TypeError, match=r"pass ssl\.create_default_context"):
        AiohttpTransport("https://api.example", ssl=context)


@pytest.mark.parametrize("proxied", [True, False])
async def test_a_private_authority(*, proxied: bool) -> None:
    """Its certificates are trusted with ssl=, and refused without, in words that name the cure."""
    script = polls(json_reply(1))
    async with raw_server(script, ssl=server_side()) as server, forward_proxy() as proxy:
        way = proxy.url if proxied else None
        async with AiohttpTransport(server.url, ssl=trusting(), proxy=way) as transport:
            assert (await transport.send(POLL)).json == 1
        error = await _failure(AiohttpTransport(server.url, proxy=way))
    assert vars(error)["kind"] == "certificate"
    assert "pass ssl=" in str(error)
    assert "EPERM" not in str(error)


def test_certificates_that_are_not_checked(caplog: pytest.LogCaptureFixture) -> None:
    """A context that checks nothing is used, with one warning."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    AiohttpTransport("https://api.example", ssl=context)
    assert ["CERT_NONE" in record.message for record in caplog.records if record.levelno == logging.WARNING] == [True]


# lent sessions


class Tracing(aiohttp.TraceConfig):
    """Counts what it sees, and adds a header to each request."""

    def __init__(self) -> None:
        super().__init__()
        self.started = 0
        self.on_request_start.append(self.start)

    async def start(self, _session: object, _context: object, params: aiohttp.TraceRequestStartParams) -> None:
        """Count a request."""
        self.started += 1
        params.headers["traceparent"] = f"00-{self.started}"


async def test_a_lent_session_sees_every_request() -> None:
    """Traces, middlewares, cookies and headers of the session count; it is not closed; connections are kept."""
    tracing, seen = Tracing(), []

    async def note(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request.method)
        return await handler(request)

    async with (
        raw_server(polls(json_reply(1), json_reply(2), json_reply(3))) as server,
        aiohttp.ClientSession(trace_configs=[tracing], middlewares=(note,), headers={"X-App": "1"}) as session,
    ):
        async with AiohttpTransport(server.url, session=session, auth=Bearer(CANARY)) as transport:
            assert transport.path == "session"
            form = Request("POST", "/form", form={"file": Upload("a.txt", b"abc")})
            assert [(await transport.send(request)).json for request in (POLL, form, POLL)] == [1, 2, 3]
            assert transport.requests == 3
        assert not session.closed
    assert (tracing.started, seen, server.connections) == (3, ["GET", "POST", "GET"], 1)
    for number, request in enumerate(server.requests, 1):
        assert f"traceparent: 00-{number}\r\n".encode() in request
        assert f"Authorization: Bearer {CANARY}\r\n".encode() in request
        assert b"X-App: 1\r\n" in request


@pytest.mark.parametrize("lent", [True, False])
@pytest.mark.parametrize("late", [json_reply("evil"), json_reply("evil")[:-4]])
@pytest.mark.parametrize("is_seen", [True, False])
async def test_out_of_turn_on_the_session_path(*, late: bytes, lent: bool, is_seen: bool) -> None:
    """What a server says unasked is no answer, whether the event loop has noticed it or not."""
    now = asyncio.Event()
    first: Script = [Act.READ, json_reply("a"), now, late, Act.HANG]
    async with raw_server(first, polls(json_reply("b"))) as server, aiohttp.ClientSession() as session, forward_proxy():
        settings: dict[str, Any] = {"session": session} if lent else {}
        async with AiohttpTransport(server.url, **settings) as transport:
            with traced_session():
                assert (await transport.send(POLL)).json == "a"
                now.set()
                if is_seen:
                    await asyncio.sleep(0.02)
                else:
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                assert (await transport.send(POLL)).json == "b"
                assert (await transport.send(FRESH)).json == "b"


@pytest.mark.parametrize("lent", [True, False])
async def test_nothing_is_sent_twice_by_sessions(*, lent: bool) -> None:
    """Aiohttp would send an idempotent request again when the server hangs up; it is kept from that."""
    async with raw_server([Act.READ, json_reply(1), Act.READ, Act.CLOSE]) as server, aiohttp.ClientSession() as session:
        settings: dict[str, Any] = {"session": session} if lent else {}
        with traced_session():
            async with AiohttpTransport(server.url, **settings) as transport:
                assert (await transport.send(POLL)).json == 1
                with pytest.raises(TransportError) as caught:
                    await transport.send(POLL)
                assert caught.value.kind == "disconnect"
                assert transport.requests == len(server.requests) == 2


@pytest.mark.parametrize("lent", [True, False])
async def test_a_fresh_connection_of_a_session(*, lent: bool) -> None:
    """A request that wants a fresh connection gets one."""
    async with raw_server(polls(json_reply(1), json_reply(2))) as server, aiohttp.ClientSession() as session:
        settings: dict[str, Any] = {"session": session} if lent else {}
        with traced_session():
            async with AiohttpTransport(server.url, **settings) as transport:
                assert [(await transport.send(request)).json for request in (POLL, FRESH, POLL)] == [1, 1, 2]
    assert server.connections == 2


async def test_a_lent_session_that_is_closed() -> None:
    """A closed session is a typed error that says so, and not a miss."""
    session = aiohttp.ClientSession()
    await session.close()
    error = await _failure(AiohttpTransport("https://api.example", session=session))
    assert isinstance(error, ClientClosed)
    assert "the lent session is closed" in str(error)


def test_a_session_of_another_loop() -> None:
    """A session of another event loop is a typed error that says so."""

    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def use(session: aiohttp.ClientSession) -> PollError:
        return await _failure(AiohttpTransport("https://api.example", session=session))

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(make())
        error = second.run(use(session))
        first.run(session.close())
    assert isinstance(error, ClientClosed)
    assert "another event loop" in str(error)


def test_a_session_of_another_type() -> None:
    """What is no session is refused when the transport is made."""
    other: Any = object()
    with pytest.raises(TypeError, match="ClientSession or None, not object"):
        AiohttpTransport("https://api.example", session=other)


async def test_an_end_of_memory_is_told_as_it_is() -> None:
    """What a middleware of a lent session raises is an error of ours, but for the end of memory."""
    raised: list[Exception] = [RuntimeError(CANARY), MemoryError()]

    async def fail(_request: object, _handler: object) -> aiohttp.ClientResponse:
        raise raised.pop(0)

    async with (
        aiohttp.ClientSession(middlewares=(fail,)) as session,
        AiohttpTransport("https://api.example", session=session) as transport,
    ):
        with pytest.raises(TransportError, match="RuntimeError"):
            await transport.send(POLL)
        with pytest.raises(MemoryError):
            await transport.send(POLL)
        assert transport.requests == 0


async def test_a_lent_session_with_its_own_certificates() -> None:
    """The connector of a lent session decides whom to trust."""
    connector = aiohttp.TCPConnector(ssl=trusting())
    async with (
        raw_server(polls(json_reply(1)), ssl=server_side()) as server,
        aiohttp.ClientSession(connector=connector) as session,
        AiohttpTransport(server.url, session=session) as transport,
    ):
        assert (await transport.send(POLL)).json == 1


# tools that look on


class traced_session:  # noqa: N801  used as a function
    """Wrap `ClientSession._request` as tracers do, for a while; count the calls."""

    def __init__(self) -> None:
        self.calls = 0
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> Self:
        send = aiohttp.ClientSession._request

        @wraps(send)
        async def wrapper(session: aiohttp.ClientSession, *args: Any, **named: Any) -> Any:
            self.calls += 1
            return await send(session, *args, **named)

        self._patch.setattr(aiohttp.ClientSession, "_request", wrapper)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


class Wrapper:
    """Calls what it wraps and looks like it, as the wrappers of wrapt do."""

    def __init__(self, wrapped: Any) -> None:
        self.__wrapped__ = wrapped
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == other)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return lambda *args, **named: self(instance, *args, **named)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Count a call, and pass it on."""
        self.calls += 1
        return self.__wrapped__(*args, **named)


async def test_wrapped_functions_see_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper that is not a function, put in while the transport is open, is called once for each request."""
    wrapper = Wrapper(aiohttp.ClientSession._request)
    async with raw_server(polls(*[json_reply(1)] * 9)) as server, AiohttpTransport(server.url) as transport:
        await transport.send(POLL)
        assert transport.path == "direct"
        monkeypatch.setattr(aiohttp.ClientSession, "_request", wrapper)
        assert transport.path == "session"
        for _ in range(3):
            await transport.send(POLL)
        assert wrapper.calls == 3
        monkeypatch.undo()
        await transport.send(POLL)
        assert transport.requests == len(server.requests) == 5


async def test_sessions_are_made_for_those_who_patch_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that adds its trace to each new session sees one request each, also of a transport with a session."""
    tracing, make = Tracing(), aiohttp.ClientSession.__init__

    def traced(session: aiohttp.ClientSession, *args: Any, **named: Any) -> None:
        make(session, *args, **{**named, "trace_configs": [tracing]})

    upload = Request("POST", "/", form={"file": Upload("a", b"x")})
    async with raw_server(polls(*[json_reply(1)] * 9)) as server, AiohttpTransport(server.url) as transport:
        await transport.send(upload)
        monkeypatch.setattr(aiohttp.ClientSession, "__init__", traced)
        for request in (POLL, upload, POLL):
            await transport.send(request)
        assert tracing.started == 3
    assert sum(b"traceparent" in request for request in server.requests) == 3


async def test_the_path_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line says which path is taken, and why it is not the direct one."""
    caplog.set_level(logging.INFO, "asyncpoll")
    async with raw_server(polls(*[json_reply(1)] * 4)) as server, aiohttp.ClientSession() as session:
        chosen: list[TransportSettings] = [{}, {"session": session}]
        for settings in chosen:
            async with AiohttpTransport(server.url, **settings) as transport:
                for _ in range(2):
                    await transport.send(POLL)
    direct, lent = [record.message for record in caplog.records]
    assert direct == f"{server.url}: requests take the direct path"
    assert "since one is lent" in lent


# an aiohttp that is another


def test_private_names_that_are_not_there() -> None:
    """What an aiohttp lacks is found when it is looked at, without a request."""
    assert _pool.LACKING == []
    lacking = ["_factory", "pause_reading", "resume_reading", "feed_data", "feed_eof"]
    assert _pool.lacking(SimpleNamespace, SimpleNamespace, SimpleNamespace) == lacking


def test_an_aiohttp_without_private_names() -> None:
    """Then requests take the session path, connections are kept, and one line of the log says why."""
    code = """
import asyncio, logging, sys
import aiohttp.connector
init = aiohttp.connector.BaseConnector.__init__
def other(self, *args, **named):
    init(self, *args, **named)
aiohttp.connector.BaseConnector.__init__ = other
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
from raw_server import json_reply, polls, raw_server
from asyncpoll.http import AiohttpTransport, Request
async def main():
    async with raw_server(polls(json_reply(1), json_reply(2))) as server, AiohttpTransport(server.url) as transport:
        assert transport.path == "session"
        assert [(await transport.send(Request("GET", "/"))).json for _ in range(2)] == [1, 2]
        assert server.connections == 1
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=_paths())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("lacks _factory") == 1


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path)}
