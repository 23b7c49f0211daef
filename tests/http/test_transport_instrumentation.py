"""Tools that instrument aiohttp, the real ones: each sees every request, once, and none after it has gone."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import aiohttp
import pytest
import wrapt
from aioresponses_shim import wire
from attrs import define, field
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor, create_trace_config
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from raw_server import RawServer, json_reply, polls, raw_server

from asyncpoll import Fixed, Snapshot
from asyncpoll.http import AiohttpTransport, Request
from asyncpoll.providers import BigModel
from asyncpoll.providers.bigmodel import ParsedFile

POLL = Request("GET", "/poll")
RUNNING = json_reply({"task_id": "1", "status": "processing"})
DONE = json_reply({"task_id": "1", "status": "succeeded", "content": "text"})
JOB = polls(RUNNING, RUNNING, DONE)


@define
class Telemetry:
    """OpenTelemetry with its spans kept in memory.

    Attributes:
        provider: What the tool under test is given.
    """

    provider: TracerProvider = field(factory=TracerProvider)
    _kept: InMemorySpanExporter = field(factory=InMemorySpanExporter)

    def __attrs_post_init__(self) -> None:
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self._kept.get_finished_spans()

    @property
    def parents(self) -> list[str]:
        """What a server should be told by each of the requests, in order: which span it belongs to."""
        contexts = [span.get_span_context() for span in self.spans]
        return [
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
            for context in contexts
            if context is not None
        ]


@pytest.fixture
def telemetry() -> Generator[Telemetry]:
    """Instrument aiohttp for a test, or until the test ends that itself."""
    seen, tool = Telemetry(), AioHttpClientInstrumentor()
    tool.instrument(tracer_provider=seen.provider)
    yield seen
    if tool.is_instrumented_by_opentelemetry:
        tool.uninstrument()
    seen.provider.shutdown()


def _told(server: RawServer) -> list[str]:
    """Return every traceparent header that the server has got, in order."""
    return [
        told for request in server.requests for told in re.findall(r"(?mi)^traceparent: (.*?)\r$", request.decode())
    ]


def _path(client: BigModel) -> str:
    assert client._own is not None
    return client._own.path


async def _polled(client: BigModel) -> Snapshot[ParsedFile]:
    snapshot = await client.file_parser.job(task_id="1").wait(timeout=20, schedule=Fixed(0.01))
    assert snapshot.unwrap().content == "text"
    return snapshot


# OpenTelemetry


async def test_a_span_and_a_traceparent_for_each_poll(telemetry: Telemetry) -> None:
    """A client's polls are one span each, and each tells the server its own span, once."""
    async with raw_server(JOB) as server, BigModel("any", base_url=server.url) as client:
        assert _path(client) == "session"
        await _polled(client)
        assert client.requests == len(server.requests) == len(telemetry.spans) == 3
    assert _told(server) == telemetry.parents
    assert len(set(telemetry.parents)) == 3


async def test_polls_belong_to_the_span_of_their_caller(telemetry: Telemetry) -> None:
    """The polls of a wait are children of the span that the wait was called in."""
    async with raw_server(JOB) as server, BigModel("any", base_url=server.url) as client:
        with telemetry.provider.get_tracer("test").start_as_current_span("caller") as caller:
            await _polled(client)
    *children, last = telemetry.spans
    assert (last.name, len(children)) == ("caller", 3)
    assert [child.parent for child in children] == [caller.get_span_context()] * 3


async def test_the_direct_path_after_uninstrumenting(telemetry: Telemetry) -> None:
    """Once the tool has gone, open clients and new ones take the direct path, and nothing is traced."""
    async with raw_server(JOB) as server, BigModel("any", base_url=server.url) as client:
        await _polled(client)
        AioHttpClientInstrumentor().uninstrument()
        async with BigModel("any", base_url=server.url) as another:
            for user in (client, another):
                assert _path(user) == "direct"
                await _polled(user)
        assert client.requests + another.requests == len(server.requests)
    assert len(_told(server)) == len(telemetry.spans) == 3


async def test_instrumenting_while_a_client_is_open(telemetry: Telemetry) -> None:
    """Requests are traced from the moment the tool comes until it goes, over a transport that was there before."""
    tool = AioHttpClientInstrumentor()
    tool.uninstrument()
    async with raw_server(polls(*[json_reply(1)] * 9)) as server, AiohttpTransport(server.url) as transport:
        paths = []
        for change in (None, tool.instrument, tool.uninstrument, tool.instrument, tool.uninstrument):
            if change is not None:
                change(tracer_provider=telemetry.provider)
            paths.append(transport.path)
            await transport.send(POLL)
        assert transport.requests == len(server.requests)
    assert paths == ["direct", "session", "direct", "session", "direct"]
    assert _told(server) == telemetry.parents
    assert len(telemetry.spans) == 2


async def test_a_lent_session_with_a_trace_of_its_own() -> None:
    """A session that was made with the tool's trace configuration is used as it is: a span for each poll."""
    seen = Telemetry()
    tracing = create_trace_config(tracer_provider=seen.provider)
    async with (
        raw_server(JOB) as server,
        aiohttp.ClientSession(trace_configs=[tracing]) as session,
        BigModel("any", base_url=server.url, session=session) as client,
    ):
        assert _path(client) == "session"
        await _polled(client)
    assert _told(server) == seen.parents
    assert len(seen.spans) == len(server.requests) == 3


# wrapt and aioresponses


@define
class Spy:
    """What wrapt calls in place of a function: it counts, and passes the call on."""

    calls: int = 0

    def __call__(self, wrapped: Any, instance: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Pass the call on."""
        self.calls += 1
        return wrapped(*args, **named)


@pytest.mark.parametrize("lent", [True, False])
@pytest.mark.parametrize("name", ["_request", "request"])
async def test_wrapt_sees_every_request(name: str, monkeypatch: pytest.MonkeyPatch, *, lent: bool) -> None:
    """A wrapper around a method of all sessions is called once for each poll, also with a lent session."""
    spy = Spy()
    monkeypatch.setattr(aiohttp.ClientSession, name, wrapt.FunctionWrapper(getattr(aiohttp.ClientSession, name), spy))
    async with raw_server(JOB) as server, aiohttp.ClientSession() as session:
        settings: dict[str, Any] = {"session": session} if lent else {}
        async with BigModel("any", base_url=server.url, **settings) as client:
            assert _path(client) == "session"
            await _polled(client)
    assert spy.calls == len(server.requests) == 3


async def test_a_lent_session_that_is_wrapped_itself() -> None:
    """A session in a proxy object, as wrapt makes them, is a session; the proxy sees every poll."""
    calls = 0

    class Counting(wrapt.ObjectProxy):  # type: ignore[type-arg]  # generic for checkers alone
        def request(self, *args: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            return self.__wrapped__.request(*args, **named)

    async with raw_server(JOB) as server, aiohttp.ClientSession() as session:
        proxied: Any = Counting(session)
        async with BigModel("any", base_url=server.url, session=proxied) as client:
            assert _path(client) == "session"
            await _polled(client)
    assert calls == len(server.requests) == 3


@pytest.mark.parametrize("lent", [True, False])
async def test_aioresponses_catches_every_poll(*, lent: bool) -> None:
    """Nothing goes out while aioresponses stands in for aiohttp; what it answers is the answer."""
    url = "http://127.0.0.1:1/paas/v4/files/parser/result/1/text"
    async with aiohttp.ClientSession() as session:
        settings: dict[str, Any] = {"session": session} if lent else {}
        async with BigModel("any", base_url="http://127.0.0.1:1", **settings) as client:
            with wire() as caught:
                assert _path(client) == "session"
                for word in ("processing", "processing", "succeeded"):
                    caught.get(url, payload={"task_id": "1", "status": word, "content": "text"})
                await _polled(client)
            assert _path(client) == ("session" if lent else "direct")
    assert [len(calls) for calls in caught.requests.values()] == [client.requests] == [3]
