"""Company networks: proxies, private certificates, plain http inside a cluster, lent sessions, tracing."""

from __future__ import annotations

import asyncio
import socket
import warnings
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from field_kit import KEY, RENDERS, wait
from forward_proxy import ForwardProxy, forward_proxy
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from raw_server import Act, Script, json_reply, polls, raw_server, reply
from server_kit import server_side, trusting

from asyncpoll import Fixed, Hub, Rejected, State, TransportError
from asyncpoll.http import AiohttpTransport, Bearer, Request
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.providers.bigmodel import ParsedFile
from asyncpoll.simulator import Constant, Simulator

QUICK = Fixed(0.01)
QUEUED, DONE = json_reply({"status": "queued"}), json_reply({"status": "done", "url": "u"})
PARSED = json_reply({"task_id": "1", "status": "succeeded", "content": "text"})
ALWAYS = {"bigmodel.file_parser": {"succeeded": 1.0}, "bigmodel.agents": {"success": 1.0}}


def _way(proxy: ForwardProxy) -> str:
    return proxy.url if proxy.credential is None else proxy.url_with_credential


# proxies


@pytest.mark.parametrize("credential", [None, f"user:{KEY}"])
async def test_submits_polls_and_downloads_use_the_proxy(credential: str | None, tmp_path: Path) -> None:
    """A client behind a proxy uploads a file, starts a run, waits for both in a hub, and fetches the archive by it."""
    async with (
        Simulator(1, pending=Constant(0.01), processing=Constant(0.01), outcomes=ALWAYS) as world,
        forward_proxy(credential) as proxy,
        BigModel("any", base_url=f"{world.url}/api", proxy=_way(proxy)) as client,
        Hub(schedule=QUICK) as hub,
    ):
        file = await client.file_parser.start(("a.pdf", b"%PDF-1.7"), tool_type="lite", format="download_link")
        run = await client.agents.start(agent_id="general_translation", messages=[{"role": "user", "content": "hi"}])
        parsed, _ = await asyncio.gather(hub.result(file, timeout=20), hub.result(run, timeout=20))
        await client.file_parser.download(parsed, tmp_path / "a.zip")
        assert len(proxy.asked) == client.requests + 1
    assert [line.split()[0] for line in proxy.asked[:2]] == ["POST", "POST"]
    assert (tmp_path / "a.zip").stat().st_size > 0


@pytest.mark.parametrize("credential", [None, f"user:{KEY}"])
async def test_a_task_is_submitted_through_a_tunnel(credential: str | None) -> None:
    """JSON is posted through one CONNECT, whose password neither the server nor anyone else sees."""
    started = json_reply({"success": True, "code": 200, "data": {"taskId": "t"}})
    status = json_reply({"success": True, "code": 200, "data": {"taskId": "t", "status": "completed"}})
    async with (
        raw_server(polls(started, status), ssl=server_side()) as server,
        forward_proxy(credential) as proxy,
        Molizhishu("token", base_url=server.url, proxy=_way(proxy), ssl=trusting()) as client,
    ):
        job = await client.tasks.start(prompts=["?"], platforms=["kimi"])
        assert (await job.wait(timeout=20)).state is State.SUCCESS
    assert proxy.asked == [f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1"]
    assert b'"prompts"' in server.requests[0]
    assert KEY.encode() not in b"".join(server.requests)


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("together", [True, False])
async def test_an_endpoint_of_ones_own_uses_the_proxy(*, together: bool, tls: bool) -> None:
    """An endpoint over a transport with proxy= is polled by it, alone and in a hub."""
    async with (
        raw_server(polls(QUEUED, DONE), polls(DONE), ssl=server_side() if tls else None) as server,
        forward_proxy() as proxy,
        AiohttpTransport(server.url, proxy=proxy.url, ssl=trusting()) as transport,
    ):
        seen = await wait(RENDERS.job(transport, "1"), together=together, timeout=20, schedule=QUICK)
    assert seen.unwrap() == "u"
    assert len(proxy.asked) == (1 if tls else 2)


@pytest.mark.parametrize("tls", [True, False])
async def test_a_proxy_may_speak_tls_itself(*, tls: bool) -> None:
    """The way to an https:// proxy is encrypted, and so is what goes through it."""
    async with (
        raw_server(polls(DONE), ssl=server_side() if tls else None) as server,
        forward_proxy(f"user:{KEY}", ssl=server_side()) as proxy,
        AiohttpTransport(server.url, proxy=proxy.url_with_credential, ssl=trusting()) as transport,
    ):
        assert (await RENDERS.job(transport, "1").result(timeout=20)) == "u"
    assert len(proxy.asked) == 1


async def test_a_proxy_may_have_an_ipv6_address() -> None:
    """It is taken as it is written in URLs, and named in errors."""
    async with AiohttpTransport("https://api.example", proxy=f"http://u:{KEY}@[::1]:1") as transport:
        with pytest.raises(TransportError, match=r"the proxy is http://\[::1\]:1") as caught:
            await transport.send(Request("GET", "/"))
    assert caught.value.passing
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("together", [True, False])
async def test_a_proxy_that_hangs_is_a_miss(*, together: bool, tls: bool) -> None:
    """The attempt ends after its own limit, and the wait names what it saw."""
    async with forward_proxy(answer=b"") as proxy:
        base = "https://127.0.0.1:1" if tls else "http://127.0.0.1:1"
        async with AiohttpTransport(base, proxy=proxy.url, attempt=0.1, connect=0.1) as transport:
            with pytest.raises(TimeoutError) as caught:
                await wait(RENDERS.job(transport, "1"), together=together, timeout=0.5, schedule=QUICK)
    assert isinstance(caught.value.__cause__, TransportError)
    assert len(proxy.asked) > 1


@pytest.mark.parametrize("tls", [True, False])
async def test_a_proxy_in_trouble_is_waited_out(*, tls: bool) -> None:
    """A 502 of the proxy is a miss, whatever it is the answer to."""
    async with raw_server(polls(DONE), ssl=server_side() if tls else None) as server, forward_proxy() as proxy:
        proxy.answer = reply(status=502)
        async with AiohttpTransport(server.url, proxy=proxy.url, ssl=trusting()) as transport:

            def recover(_event: object) -> None:
                if len(proxy.asked) == 2:
                    proxy.answer = None

            seen = await RENDERS.job(transport, "1").wait(timeout=20, schedule=QUICK, observe=recover)
    assert seen.state is State.SUCCESS
    assert len(proxy.asked) == 3


@pytest.mark.parametrize("answer", [reply(status=502), reply(status=407), b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_submit_is_not_repeated_by_a_proxy_in_trouble(answer: bytes) -> None:
    """A run may have been started all the same, so it is asked for once; a task has a key against doubles."""
    async with (
        forward_proxy(answer=answer) as proxy,
        BigModel("any", base_url="http://127.0.0.1:1", proxy=proxy.url) as client,
        Molizhishu("any", base_url="http://127.0.0.1:1", proxy=proxy.url) as other,
    ):
        with pytest.raises(TransportError):
            await client.agents.start(agent_id="g", messages=[])
        assert len(proxy.asked) == 1
        with pytest.raises(TransportError):
            await other.tasks.start(prompts=["?"], platforms=["kimi"])
        assert len(proxy.asked) == (2 if b"407" in answer else 3)


@pytest.mark.parametrize("tls", [True, False])
async def test_a_proxy_that_wants_a_password_ends_all_waits(*, tls: bool) -> None:
    """Each job of a hub ends with the cure, after one request to the proxy at most."""
    async with forward_proxy("user:right") as proxy:
        base = "https://127.0.0.1:1" if tls else "http://127.0.0.1:1"
        async with BigModel(KEY, base_url=base, proxy=proxy.url) as client, Hub() as hub:
            jobs = [client.file_parser.job(task_id=str(number)) for number in range(5)]
            outcomes = await hub.wait_all(jobs, timeout=20)
    assert all(isinstance(one.error, Rejected) and "pass its user and password" in str(one.error) for one in outcomes)
    assert KEY.encode() not in b"".join(proxy.heads) or not tls


async def test_the_environment_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with trust_env=True uses it for every poll, and one without does not."""
    for name in ("NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    async with raw_server(polls(PARSED)) as server, forward_proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("BIGMODEL_API_KEY", "any")
        monkeypatch.setenv("BIGMODEL_BASE_URL", server.url)
        for trust_env in (True, False):
            async with BigModel.from_env(trust_env=trust_env) as client:
                await client.file_parser.job(task_id="1").result(timeout=20)
    assert len(proxy.asked) == 1


# certificates


@pytest.mark.parametrize("together", [True, False])
async def test_a_private_authority_is_trusted(*, together: bool, tmp_path: Path) -> None:
    """With ssl= a client polls and downloads; without it the error names the setting, and speaks of no permission."""
    async with raw_server(polls(PARSED), polls(reply(b"zip")), ssl=server_side()) as server:
        async with BigModel(KEY, base_url=server.url, ssl=trusting()) as client:
            job = client.file_parser.job(task_id="1")
            assert (await wait(job, together=together, timeout=20)).unwrap().content == "text"
            link = ParsedFile(parsing_result_url=f"{server.url}/a.zip")
            await client.file_parser.download(link, tmp_path / "a.zip")
        async with BigModel(KEY, base_url=server.url) as client:
            with pytest.raises(Rejected, match="pass ssl=") as caught:
                await wait(client.file_parser.job(task_id="1"), together=together, timeout=20)
    assert caught.value.kind == "certificate"
    assert "EPERM" not in str(caught.value)


# plain http inside a cluster


@pytest.mark.parametrize("cls", [BigModel, Molizhishu])
async def test_plain_http_needs_to_be_allowed(cls: Any) -> None:
    """Without insecure= the address is refused, with the cure."""
    with pytest.raises(ValueError, match="insecure=True"):
        cls(KEY, base_url="http://simulator:8765/api")


async def test_a_simulator_in_another_container_is_reached() -> None:
    """With insecure=True a client polls a host of the cluster over plain http, its key included."""
    async with raw_server(polls(PARSED)) as server:
        hosts = {"simulator": server.url.removeprefix("http://")}
        async with (
            forward_proxy(hosts=hosts) as proxy,
            BigModel(KEY, base_url="http://simulator:8765/api", insecure=True, proxy=proxy.url) as client,
        ):
            assert (await client.file_parser.job(task_id="1").result(timeout=20)).content == "text"
    assert f"Authorization: Bearer {KEY}".encode() in server.requests[0]
    assert b"Host: simulator:8765" in server.requests[0]


class Cluster(AbstractResolver):
    """Resolves every name to this machine, as the DNS of a cluster does."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return one address."""
        found = ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)
        return [found]

    async def close(self) -> None:
        """Do nothing."""


# lent sessions


@pytest.mark.parametrize("together", [True, False])
async def test_a_lent_session_brings_its_resolver(*, together: bool) -> None:
    """A name that only the session's resolver knows is reached, with the cookies of the session."""
    async with (
        raw_server(polls(PARSED)) as server,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=Cluster()), cookies={"seen": "1"}, headers={"X-App": "7"}
        ) as session,
    ):
        port = server.url.rpartition(":")[2]
        base = f"http://simulator.cluster:{port}"
        async with BigModel(KEY, base_url=base, insecure=True, session=session) as client:
            seen = await wait(client.file_parser.job(task_id="1"), together=together, timeout=20)
        assert (seen.unwrap().content, session.closed) == ("text", False)
    assert b"X-App: 7" in server.requests[0]
    assert b"seen=1" in server.requests[0]


async def test_a_lent_session_with_a_credential_is_refused() -> None:
    """Two credentials for one request are told when the client is made, and not by polls that fail for ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer aiohttp wants the header instead
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", KEY))
    async with session, raw_server(polls(DONE)) as server:
        with pytest.raises(ValueError, match="the lent session has auth= of its own") as caught:
            BigModel("key", session=session)
        assert KEY not in str(caught.value)
        async with AiohttpTransport(server.url, session=session) as transport:  # without a credential it is welcome
            assert await RENDERS.job(transport, "1").result(timeout=20) == "u"
    assert b"Authorization: Basic " in server.requests[0]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"insecure": "false"}, "insecure must be True or False, not str"),
        ({"trust_env": 1}, "trust_env must be True or False, not int"),
        ({"max_body": "1"}, "max_body must be a whole number"),
        ({"connections": 1.5}, "connections must be a whole number"),
        ({"attempt": "5"}, "attempt must be a number of seconds"),
        ({"proxy": b"http://proxy"}, "proxy must be a URL as text, not bytes"),
        ({"base_url": None}, "base_url must be text, not NoneType"),
        ({"ssl": False}, "ssl must be an ssl.SSLContext or None"),
        ({"session": object()}, "session must be an aiohttp.ClientSession or None"),
        ({"timeout": 5}, r"BigModel\(\) got an unexpected keyword argument 'timeout'"),
    ],
)
async def test_a_setting_of_another_type_is_named(setting: Any, problem: str) -> None:
    """Text such as "false" from a variable of the environment is never taken for True."""
    with pytest.raises(TypeError, match=problem):
        BigModel("key", **setting)


@pytest.mark.parametrize("lent", [True, False])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("end", [Act.CLOSE, Act.RESET, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
async def test_a_kept_connection_that_drops_is_a_miss(*, together: bool, lent: bool, end: Any) -> None:
    """The server hangs up twice on a kept connection; the wait goes on over a new one."""
    drops: Script = [Act.READ, QUEUED, Act.READ, end]
    async with (
        raw_server(drops, drops, polls(DONE)) as server,
        aiohttp.ClientSession() as session,
        AiohttpTransport(server.url, session=session if lent else None) as transport,
    ):
        seen = await wait(RENDERS.job(transport, "1"), together=together, timeout=20, schedule=QUICK)
    assert (seen.unwrap(), len(server.requests), server.connections) == ("u", 5, 3)


# tracing


@pytest.mark.parametrize("together", [True, False])
async def test_a_traced_session_has_a_span_for_each_poll(*, together: bool) -> None:
    """Every poll carries one traceparent, that of its own span, alone and in a hub."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    async with (
        raw_server(polls(QUEUED, QUEUED, DONE)) as server,
        aiohttp.ClientSession(trace_configs=[create_trace_config(tracer_provider=provider)]) as session,
        AiohttpTransport(server.url, session=session, auth=Bearer(KEY)) as transport,
    ):
        await wait(RENDERS.job(transport, "1"), together=together, timeout=20, schedule=QUICK)
    spans = {f"{span.context.span_id:016x}" for span in kept.get_finished_spans() if span.context}
    heads = [request.lower().split(b"traceparent: ") for request in server.requests]
    assert len(spans) == len(server.requests) == 3
    assert {head[1].split(b"-")[2].decode() for head in heads if len(head) == 2} == spans


# downloads


async def test_an_internal_storage_can_be_vouched_for(tmp_path: Path) -> None:
    """A link to a private address and another port is refused until its origin is trusted; the key never goes there."""
    async with raw_server(polls(reply(b"archive"))) as storage, BigModel(KEY) as client:
        result = ParsedFile(parsing_result_url=f"{storage.url}/bucket/a.zip?signature=1")
        with pytest.raises(Rejected, match="unless its origin is trusted") as caught:
            await client.file_parser.download(result, tmp_path / "a.zip")
        assert caught.value.kind == "link"
        path = await client.file_parser.download(result, tmp_path / "a.zip", trusted_origins=[storage.url])
    assert path.read_bytes() == b"archive"
    assert KEY.encode() not in b"".join(storage.requests)


@pytest.mark.parametrize(
    ("trusted", "error"),
    [
        ("https://storage.internal:9000", TypeError),
        (b"https://storage.internal", TypeError),
        ([None], TypeError),
        (None, TypeError),
        (["storage.internal:9000"], ValueError),
        (["https://user:pass@storage.internal"], ValueError),
    ],
)
async def test_what_is_not_an_origin_is_told(trusted: Any, error: type[Exception], tmp_path: Path) -> None:
    """The message names the argument; one text in place of a list is told, not taken letter by letter."""
    async with BigModel(KEY) as client, BigModel(KEY, base_url="http://127.0.0.1:1") as local:
        for one in (client, local):
            with pytest.raises(error, match="trusted_origins"):
                await one.file_parser.download(
                    ParsedFile(parsing_result_url="https://a.example/a"), tmp_path / "a", trusted_origins=trusted
                )


@pytest.mark.parametrize("lent", [True, False])
async def test_a_download_keeps_to_the_limits_of_the_client(tmp_path: Path, *, lent: bool) -> None:
    """Its read_gap ends a download that stalls; nothing is left of the file, and a lent session stays open."""
    script: Script = [Act.READ, b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabc", Act.HANG]
    async with raw_server(script) as storage, aiohttp.ClientSession() as session:
        async with BigModel(KEY, read_gap=0.1, session=session if lent else None) as client:
            result = ParsedFile(parsing_result_url=f"{storage.url}/a.zip")
            with pytest.raises(TransportError) as caught:
                await client.file_parser.download(result, tmp_path / "a.zip", trusted_origins=[storage.url])
        assert not session.closed
    assert (caught.value.kind, _names(tmp_path)) == ("timeout", [])


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
