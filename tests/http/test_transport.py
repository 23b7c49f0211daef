"""Exchanges over real connections."""

from __future__ import annotations

import asyncio
import errno
import resource
import ssl
from collections.abc import Generator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aioresponses_shim import wire
from raw_server import Act, Script, json_reply, polls, raw_server, reply

from asyncpoll._errors import Rejected, TransportError
from asyncpoll.http._auth import Bearer
from asyncpoll.http._message import Request, Upload
from asyncpoll.http.transport import AiohttpTransport

CANARY = "canary-0123456789"
CERTIFICATE = Path(__file__).parents[1] / "tls" / "localhost.pem"
POLL = Request("GET", "/poll", query={"key": "sk-in-query"})
FRESH = Request("GET", "/poll", fresh=True)


@pytest.fixture(params=["direct", "session"])
def on_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have every transport of the test take one of the two paths; a tool that wraps a session asks for the other."""
    path: str = request.param
    if path == "session":
        monkeypatch.setattr(aiohttp.ClientSession, "_request", traced(aiohttp.ClientSession._request))
    return path


def traced(send: Any) -> Any:
    """Wrap the function by which aiohttp sends requests, as tracers do."""

    @wraps(send)
    async def wrapper(session: aiohttp.ClientSession, *args: Any, **named: Any) -> Any:
        return await send(session, *args, **named)

    return wrapper


def _heads(requests: list[bytes]) -> list[list[str]]:
    return [request.partition(b"\r\n\r\n")[0].decode().split("\r\n") for request in requests]


@pytest.mark.usefixtures("on_path")
async def test_what_goes_out() -> None:
    """A request is sent below the base address, with the credential, and no cookie that a server set before."""
    answer = json_reply({"ok": True}, "Set-Cookie: a=b; Path=/")
    async with (
        raw_server(polls(answer, answer)) as server,
        AiohttpTransport(f"{server.url}/v1/", auth=Bearer(CANARY)) as transport,
    ):
        for _ in range(2):
            assert (await transport.send(Request("GET", "/a%2Fb", query={"q": "1 2"}, headers={"X-A": "1"}))).json
    for line, *headers in _heads(server.requests):
        assert line == "GET /v1/a%2Fb?q=1%202 HTTP/1.1"
        assert set(headers) >= {f"Authorization: Bearer {CANARY}", "X-A: 1", "Accept-Encoding: gzip"}
        assert len([header for header in headers if header.lower().startswith("host:")]) == 1
        assert not any(header.lower().startswith("cookie") for header in headers)


@pytest.mark.usefixtures("on_path")
async def test_a_json_body() -> None:
    """JSON is sent in UTF-8, as JSON."""
    async with raw_server(polls(json_reply({}))) as server, AiohttpTransport(server.url) as transport:
        await transport.send(Request("POST", "/a", json={"a": "解"}))
    ((head, *headers),) = _heads(server.requests)
    assert head == "POST /a HTTP/1.1"
    assert "Content-Type: application/json" in headers
    assert server.requests[0].endswith('\r\n\r\n{"a":"解"}'.encode())


@pytest.mark.usefixtures("on_path")
async def test_a_form(tmp_path: Path) -> None:
    """Text and files are sent as a multipart form, names in UTF-8, files from memory or from disk."""
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(range(256)) * 1000)
    form: Mapping[str, str | Upload] = {
        "tool": "lite",
        "file": Upload('文 "1".pdf', path, "application/pdf"),
        "note": Upload("a.txt", b"abc", "text/plain"),
    }
    async with (
        raw_server(polls(json_reply({"ok": 1}))) as server,
        AiohttpTransport(server.url, auth=Bearer(CANARY)) as transport,
    ):
        assert (await transport.send(Request("POST", "/parser", form=form))).json == {"ok": 1}
        assert transport.requests == 1
    (request,) = server.requests
    assert f"Authorization: Bearer {CANARY}".encode() in request
    assert b'name="tool"\r\n' in request
    assert 'name="file"; filename="文 \\"1\\".pdf"\r\n'.encode() in request
    assert path.read_bytes() in request
    assert b"text/plain" in request


async def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """A form whose file cannot be read is a bad argument, and nothing is sent."""
    async with AiohttpTransport("http://127.0.0.1:1") as transport:
        with pytest.raises(ValueError, match="cannot be read"):
            await transport.send(Request("POST", "/", form={"a": Upload("a", tmp_path / "missing")}))
        assert transport.requests == 0


async def test_an_upload_gets_time(tmp_path: Path) -> None:
    """The limit of an attempt does not end a large upload that a slow server takes in."""
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(1 << 20))
    script: Script = [Act.READ, 0.1, json_reply({"ok": 1})]
    async with raw_server(script) as server, AiohttpTransport(server.url, attempt=0.05) as transport:
        assert (await transport.send(Request("POST", "/", form={"a": Upload("a", path)}))).json == {"ok": 1}


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """A redirect is a reply like any other; nobody else gets to see a request."""
    async with raw_server(polls(json_reply({}))) as other:
        away = reply(b"", f"Location: {other.url}/x", status=status)
        async with raw_server(polls(away)) as server, AiohttpTransport(server.url, auth=Bearer(CANARY)) as transport:
            answered = await transport.send(POLL)
    assert (answered.status, answered.headers["location"]) == (status, f"{other.url}/x")
    assert other.requests == []


@pytest.mark.usefixtures("on_path")
async def test_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither proxies nor passwords are taken from the environment."""
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {CANARY}")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with raw_server(polls(json_reply({}))) as proxy, raw_server(polls(json_reply({}))) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with AiohttpTransport(server.url) as transport:
            await transport.send(POLL)
    assert proxy.connections == 0
    assert b"authorization" not in server.requests[0].lower()


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_nothing_is_sent_twice_or_uncounted(method: str) -> None:
    """When a server hangs up without an answer, it has seen as many requests as were counted."""
    async with raw_server([Act.READ, Act.CLOSE]) as server, AiohttpTransport(server.url) as transport:
        for _ in range(3):
            with pytest.raises(TransportError) as caught:
                await transport.send(Request(method, "/"))
            assert caught.value.kind == "disconnect"
        assert transport.requests == len(server.requests)


@pytest.mark.usefixtures("on_path")
async def test_nothing_is_sent_twice() -> None:
    """One request is one request, also for methods that may be repeated."""
    async with raw_server([Act.READ, Act.RESET]) as server, AiohttpTransport(server.url) as transport:
        with pytest.raises(TransportError):
            await transport.send(POLL)
        assert transport.requests == len(server.requests) == 1


async def test_connections_are_used_again(on_path: str) -> None:
    """One connection serves all requests in turn, on both paths."""
    async with (
        raw_server(polls(json_reply(1), json_reply(2), json_reply(3))) as server,
        AiohttpTransport(server.url) as transport,
    ):
        assert transport.path == on_path
        assert [(await transport.send(POLL)).json for _ in range(3)] == [1, 2, 3]
    assert server.connections == 1


@pytest.mark.usefixtures("on_path")
async def test_a_fresh_connection() -> None:
    """A request may ask for a connection that nothing was ever read from; idle ones are closed then."""
    async with raw_server(polls(json_reply(1), json_reply(2))) as server, AiohttpTransport(server.url) as transport:
        answers = [(await transport.send(request)).json for request in (POLL, FRESH, POLL)]
    assert answers == [1, 1, 2]
    assert server.connections == 2


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("late", [json_reply("evil"), json_reply("evil")[:-4], reply(status=408)])
async def test_what_a_server_says_unasked(late: bytes) -> None:
    """What comes on an idle connection, whole or in part, is never taken for the answer to the next request."""
    now = asyncio.Event()
    first: Script = [Act.READ, json_reply("a"), now, late, Act.READ, json_reply("evil")]
    async with (
        raw_server(first, polls(json_reply("b"), json_reply("c"))) as server,
        AiohttpTransport(server.url) as transport,
    ):
        answers = [(await transport.send(POLL)).json]
        now.set()
        await asyncio.sleep(0.02)
        answers += [(await transport.send(POLL)).json for _ in range(2)]
    assert answers == ["a", "b", "c"]


@pytest.mark.usefixtures("on_path")
async def test_what_is_glued_to_an_answer() -> None:
    """A second answer that comes along with the first one is for nobody."""
    glued = json_reply("a") + json_reply("evil")
    async with raw_server(polls(glued), polls(json_reply("b"))) as server, AiohttpTransport(server.url) as transport:
        assert [(await transport.send(POLL)).json for _ in range(2)] == ["a", "b"]


async def test_a_server_that_stops() -> None:
    """Connections that the server closed while they were idle cost no request an error."""
    async with raw_server([Act.READ, json_reply(1)]) as server, AiohttpTransport(server.url) as transport:
        for _ in range(3):
            assert (await transport.send(POLL)).json == 1
            await server.quiet.wait()
            await asyncio.sleep(0.01)
    assert server.connections == transport.requests == 3


@pytest.mark.usefixtures("on_path")
async def test_the_limit_of_an_attempt() -> None:
    """A server that does not answer, or sends its headers ever so slowly, is given up in time."""
    slow = [step for mark in b"HTTP/1.1 200 OK\r\n" for step in (0.02, bytes([mark]))]
    async with (
        raw_server([Act.READ, Act.HANG], [Act.READ, *slow, Act.HANG]) as server,
        AiohttpTransport(server.url, attempt=0.1) as transport,
    ):
        for _ in range(2):
            with pytest.raises(TransportError) as caught:
                await transport.send(POLL)
            assert (caught.value.kind, caught.value.passing) == ("timeout", True)
        assert transport.requests == 2


@pytest.mark.usefixtures("on_path")
async def test_a_request_may_have_a_longer_attempt() -> None:
    """A long poll is given its own time to answer, and for each piece of the body; others keep the usual one."""
    answer = json_reply({"ok": 1})
    script: Script = [Act.READ, 0.2, answer[:-4], 0.2, answer[-4:]]
    async with (
        raw_server(script, [Act.READ, Act.HANG]) as server,
        AiohttpTransport(server.url, attempt=0.1, read_gap=0.1) as transport,
    ):
        assert (await transport.send(Request("GET", "/", attempt=30.0))).json == {"ok": 1}
        with pytest.raises(TransportError) as caught:
            await transport.send(Request("GET", "/", attempt=0.01, fresh=True))
        assert caught.value.kind == "timeout"


@pytest.mark.parametrize(("attempt", "error"), [(0, ValueError), (float("nan"), ValueError), ("1", TypeError)])
async def test_an_attempt_must_be_a_number_of_seconds(attempt: Any, error: type[Exception]) -> None:
    """Nothing is sent otherwise."""
    async with AiohttpTransport("http://127.0.0.1:1") as transport:
        with pytest.raises(error, match=r"Request.attempt must be"):
            await transport.send(Request("GET", "/", attempt=attempt))
        assert transport.requests == 0


async def test_waiting_for_a_slot_takes_no_time() -> None:
    """With more polls than slots, none of them times out for having waited."""
    script = [step for _ in range(10) for step in (Act.READ, 0.1, json_reply(1))]
    async with raw_server(script) as server, AiohttpTransport(server.url, connections=2, attempt=0.4) as transport:
        replies = await asyncio.gather(*[transport.send(POLL) for _ in range(10)])
    assert [answered.json for answered in replies] == [1] * 10
    assert server.connections == 2


@pytest.mark.parametrize(
    ("base_url", "kind"),
    [("http://127.0.0.1:1", "connect"), ("https://name.invalid", "dns"), ("http://[::1]:1", "connect")],
)
async def test_servers_that_are_not_there(base_url: str, kind: str) -> None:
    """Where there is no server, or no such name, nothing counts as sent."""
    async with AiohttpTransport(base_url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(POLL)
        assert transport.requests == 0
    assert (caught.value.kind, caught.value.passing, caught.value.origin) == (kind, True, base_url)


async def test_out_of_files() -> None:
    """When the process may open no more files, that is a fault of this machine."""
    async with raw_server(polls(json_reply(1))) as server, AiohttpTransport(server.url) as transport:
        await transport.send(POLL)  # what is needed only once is open by now
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(TransportError) as caught:
                await transport.send(FRESH)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.kind == "local"
    assert errno.errorcode[errno.EMFILE] in str(caught.value)


def _server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_tls() -> None:
    """A certificate that is trusted will do."""
    trusting = ssl.create_default_context(cafile=CERTIFICATE)
    async with (
        raw_server(polls(json_reply(1), json_reply(2)), ssl=_server_side()) as server,
        AiohttpTransport(server.url, ssl=trusting) as transport,
    ):
        assert [(await transport.send(POLL)).json for _ in range(2)] == [1, 2]
    assert server.connections == 1


async def test_a_certificate_that_is_not_trusted() -> None:
    """A certificate that nobody vouches for ends the wait, and nothing is sent."""
    async with (
        raw_server(polls(json_reply(1)), ssl=_server_side()) as server,
        AiohttpTransport(server.url, auth=Bearer(CANARY)) as transport,
    ):
        with pytest.raises(Rejected) as caught:
            await transport.send(POLL)
    assert (caught.value.kind, caught.value.passing) == ("certificate", False)
    assert server.requests == []


async def test_a_server_without_tls() -> None:
    """A server that does not speak TLS where it should ends the wait."""
    async with (
        raw_server([b"HTTP/1.1 400 Bad Request\r\n\r\n", Act.HANG]) as server,
        AiohttpTransport(server.url.replace("http://", "https://")) as transport,
    ):
        with pytest.raises(Rejected) as caught:
            await transport.send(POLL)
    assert caught.value.kind == "tls"


async def test_a_handshake_that_hangs() -> None:
    """The limit for connecting covers TLS."""
    async with (
        raw_server([Act.HANG]) as server,
        AiohttpTransport(server.url.replace("http://", "https://"), connect=0.05) as transport,
    ):
        with pytest.raises(TransportError) as caught:
            await transport.send(POLL)
    assert caught.value.kind == "timeout"


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (Request("GET", "no-slash"), "slash"),
        (Request("POST", "/", json=float("nan")), "finite numbers"),
        (Request("GET", "/", headers={"Host": "x"}), "Host"),
    ],
)
async def test_requests_that_cannot_be_sent(request_: Request, problem: str) -> None:
    """A request that would not arrive as it was meant is refused, and nothing is sent."""
    async with AiohttpTransport("http://127.0.0.1:1") as transport:
        with pytest.raises(ValueError, match=problem):
            await transport.send(request_)
        assert transport.requests == 0


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize(
    "script",
    [
        [Act.READ, Act.CLOSE],
        [Act.READ, Act.RESET],
        [Act.READ, b"nonsense\r\n\r\n"],
        [Act.READ, json_reply({}, "Content-Encoding: br")],
        [Act.READ, json_reply({}, f"X: {CANARY}")[:-1]],
        [Act.READ, Act.HANG],
    ],
)
async def test_errors_give_nothing_away(script: list[Any]) -> None:
    """No error shows the credential or more of the address than the origin, nor does what it is attached to."""
    async with (
        raw_server(script) as server,
        AiohttpTransport(server.url, auth=Bearer(CANARY), attempt=0.1) as transport,
    ):
        with pytest.raises(TransportError) as caught:
            await transport.send(POLL)
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    shown = "".join(module_frames(error)) + str(error) + repr(error) + repr(vars(error))
    assert CANARY not in shown
    assert "/poll" not in str(error) + repr(error) + repr(vars(error))


def module_frames(error: BaseException) -> Generator[str]:
    """Give the local variables of every frame of the package that *error* leads to."""
    where = error.__traceback__
    while where is not None:
        if "asyncpoll" in where.tb_frame.f_code.co_filename and "tests" not in where.tb_frame.f_code.co_filename:
            yield repr(where.tb_frame.f_locals)
        where = where.tb_next


async def test_what_stands_in_for_sessions() -> None:
    """A tool that takes the place of aiohttp's sessions gets to see every request, also of an open transport."""
    root = Request("GET", "/")
    async with (
        raw_server(polls(json_reply("real"), json_reply("real"))) as server,
        AiohttpTransport(server.url) as transport,
    ):
        assert (await transport.send(root)).json == "real"
        with wire() as caught:
            caught.get(server.url, payload="from aioresponses")
            assert (await transport.send(root)).json == "from aioresponses"
        assert (await transport.send(root)).json == "real"


@pytest.mark.parametrize(
    "settings", [{"attempt": 0}, {"connect": -1}, {"read_gap": float("nan")}, {"max_body": 0}, {"connections": 0}]
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    """Bad limits and addresses are refused when the transport is made."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        AiohttpTransport("https://api.example", **settings)
    with pytest.raises(ValueError, match="base_url"):
        AiohttpTransport("http://api.example")
    assert AiohttpTransport("http://api.example", insecure=True).origin == "http://api.example"
