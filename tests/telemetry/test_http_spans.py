"""The spans of an instrumented HTTP client nest under that of the wait, whichever way requests go."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import aiohttp
import pytest
from opentelemetry import propagate
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor, create_trace_config
from raw_server import json_reply, polls, raw_server
from telemetry_kit import Collected, collected

from asyncpoll import Endpoint, Fixed, Hub, Job, Snapshot, State
from asyncpoll.http import AiohttpTransport, Request

QUICK = Fixed(0.01)
RUNNING, DONE = json_reply("processing"), json_reply("success")
JOB = polls(RUNNING, RUNNING, DONE)
RENDERS: Endpoint[str, Any] = Endpoint(
    "acme.renders", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda reply: Snapshot(State(reply.json))
)


class Traced:
    """A credential that tells the server the current span, as tools do that know no aiohttp."""

    async def headers(self, _request: object, /) -> Mapping[str, str]:
        """Return the header of the current span."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return headers

    async def renew(self) -> bool:
        """Return False: there is nothing to renew."""
        return False


@pytest.fixture
def found() -> Generator[Collected]:
    """Open the SDK for a test."""
    with collected() as found:
        yield found


async def waited(found: Collected, job: Job[Any], *, alone: bool) -> None:
    """Wait for a job in a caller's span, in a hub or by itself."""
    observer = found.observer()
    with found.tracers.get_tracer("test").start_as_current_span("caller"):
        if alone:
            await job.wait(timeout=20, schedule=QUICK, observe=observer)
        else:
            async with Hub(schedule=QUICK, observe=[observer]) as hub:
                await hub.wait(job, timeout=20)


def parents(found: Collected) -> list[Any]:
    """Return the parents of the spans of requests."""
    return [span.parent for span in found.spans if span.name.startswith("GET")]


@pytest.mark.parametrize("alone", [True, False])
async def test_spans_of_an_instrumented_aiohttp_nest(found: Collected, alone: bool) -> None:  # noqa: FBT001  the two cases
    """All of aiohttp is instrumented: three requests, three children of the wait, which is the caller's."""
    tool = AioHttpClientInstrumentor()
    tool.instrument(tracer_provider=found.tracers)
    try:
        async with raw_server(JOB) as server, AiohttpTransport(server.url) as transport:
            assert transport.path == "session"
            await waited(found, RENDERS.job(transport, "1"), alone=alone)
    finally:
        tool.uninstrument()
    (wait,) = found.waits
    assert parents(found) == [wait.context] * 3
    assert found.spans[-1].name == "caller"
    assert wait.parent == found.spans[-1].context


@pytest.mark.parametrize("alone", [True, False])
async def test_spans_of_a_lent_session_nest(found: Collected, alone: bool) -> None:  # noqa: FBT001  the two cases
    """Only one session is traced."""
    traces = [create_trace_config(tracer_provider=found.tracers)]
    async with raw_server(JOB) as server, aiohttp.ClientSession(trace_configs=traces) as session:
        transport = AiohttpTransport(server.url, session=session)
        await waited(found, RENDERS.job(transport, "1"), alone=alone)
        await transport.aclose()
    (wait,) = found.waits
    assert parents(found) == [wait.context] * 3


@pytest.mark.parametrize("alone", [True, False])
async def test_the_direct_path_sees_the_span(found: Collected, alone: bool) -> None:  # noqa: FBT001  the two cases
    """Without any instrument, what makes headers finds the span of the wait current."""
    async with raw_server(JOB) as server, AiohttpTransport(server.url, auth=Traced()) as transport:
        assert transport.path == "direct"
        await waited(found, RENDERS.job(transport, "1"), alone=alone)
        (context,) = [wait.context for wait in found.waits]
        assert context is not None
        told = f"00-{context.trace_id:032x}-{context.span_id:016x}-".encode()
        assert [told in request for request in server.requests] == [True] * 3
