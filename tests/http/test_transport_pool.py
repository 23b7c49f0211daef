"""The direct path: one request at a time on each connection, and what is never taken for an answer."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from raw_server import Act, Script, json_reply, polls, raw_server, reply

from asyncpoll._errors import TransportError
from asyncpoll.http import AiohttpTransport, Request
from asyncpoll.http.transport import _pool

POLL = Request("GET", "/")
HEAD = Request("HEAD", "/")


@pytest.mark.parametrize("is_readable", [_pool._by_poll, _pool._by_select])
def test_unread_data(is_readable: Any) -> None:
    """What was sent and not read can be seen without reading it."""
    one, other = socket.socketpair()
    with one, other:
        assert not is_readable(one.fileno())
        other.send(b"x")
        assert is_readable(one.fileno())


async def test_what_the_event_loop_has_not_read_yet() -> None:
    """What a server said unasked is no answer, even when the loop was too busy to notice it."""
    now = asyncio.Event()
    first: Script = [Act.READ, json_reply("a"), now, json_reply("evil"), Act.HANG]
    async with raw_server(first, polls(json_reply("b"))) as server, AiohttpTransport(server.url) as transport:
        assert (await transport.send(POLL)).json == "a"
        now.set()
        await asyncio.sleep(0)
        time.sleep(0.01)  # noqa: ASYNC251  the loop is kept from reading
        assert (await transport.send(POLL)).json == "b"


async def answers(*scripts: Script, requests: list[Request]) -> tuple[list[Any], int]:
    """Return the bodies that the direct path gives for *requests* in turn, and the number of connections."""
    async with raw_server(*scripts) as server, AiohttpTransport(server.url) as transport:
        assert transport.path == "direct"
        bodies = [(await transport.send(request)).body for request in requests]
        assert transport.requests == len(server.requests) == len(requests)
    return bodies, server.connections


async def test_a_byte_out_of_turn_costs_the_connection() -> None:
    """A single stray byte, seen by the event loop, is enough to give a connection up."""
    now = asyncio.Event()
    first: Script = [Act.READ, json_reply("a"), now, b"H", Act.READ, json_reply("evil")]
    async with raw_server(first, polls(json_reply("b"))) as server, AiohttpTransport(server.url) as transport:
        assert (await transport.send(POLL)).json == "a"
        now.set()
        await asyncio.sleep(0.02)
        assert (await transport.send(POLL)).json == "b"
    assert server.connections == 2


async def test_answers_without_a_body_keep_the_connection() -> None:
    """HEAD, 204 and 304 have no body, whatever length they announce; the connection is used again."""
    script = polls(
        reply(b"x" * 9)[:-9], reply(status=204).replace(b"Content-Length: 0\r\n", b""), reply(status=304), json_reply(1)
    )
    assert await answers(script, requests=[HEAD, POLL, POLL, POLL]) == ([b"", b"", b"", b"1"], 1)


async def test_interim_answers_are_passed_over() -> None:
    """Answers of 1xx come before the real one, in one piece with it or alone."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    script: Script = [Act.READ, early, 0.01, early + json_reply(1), Act.READ, json_reply(2)]
    assert await answers(script, requests=[POLL, POLL]) == ([b"1", b"2"], 1)


@pytest.mark.parametrize(
    "first",
    [
        json_reply(1) + json_reply("evil"),
        json_reply(1, "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1",
    ],
)
async def test_connections_that_are_not_used_again(first: bytes) -> None:
    """A second answer, or the wish to close, costs the connection and not the answer."""
    script: Script = [Act.READ, first, Act.HANG]
    assert await answers(script, polls(b"", json_reply(2))[2:], requests=[POLL, POLL]) == ([b"1", b"2"], 2)


async def test_a_large_body_that_is_read_slowly() -> None:
    """A body of many buffers arrives whole, in chunks or with a length, and the connection is used again."""
    large = json.dumps(["x" * 1000] * 8000).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (large[:3_000_000], large[3_000_000:]))
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    script = polls(reply(large), chunked, json_reply(1))
    assert await answers(script, requests=[POLL, POLL, POLL]) == ([large, large, b"1"], 1)


async def test_a_body_to_the_end_of_the_connection() -> None:
    """Without a length, a body ends with the connection; when that breaks, the body is cut short."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    assert await answers([Act.READ, head, b'"ab', b'c"'], requests=[POLL]) == ([b'"abc"'], 1)
    script: Script = [Act.READ, head + b'"abc"', 0.02, Act.RESET]
    async with raw_server(script) as server, AiohttpTransport(server.url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(POLL)
    assert caught.value.kind == "payload"


async def test_nonsense_in_the_middle_of_a_body() -> None:
    """A chunk that is none ends the exchange as a body that is damaged."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    script: Script = [Act.READ, head, 0.01, b"nonsense\r\n", Act.HANG]
    async with raw_server(script) as server, AiohttpTransport(server.url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(POLL)
    assert caught.value.kind == "payload"


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Do nothing."""


@pytest.mark.parametrize("news", [b"", json_reply(1), b"nonsense\r\n\r\n"])
async def test_news_for_someone_who_has_just_left(news: bytes) -> None:
    """What comes between a cancel and its delivery is for nobody, and is no error."""
    line = _pool.PooledConnection(asyncio.get_running_loop())
    line.connection_made(Wire())
    asked = line.ask("GET", b"")
    asked.cancel()
    if news:
        line.transport = None
        line.data_received(news)
    line.connection_lost(None)
    assert asked.cancelled()
    assert not line.rest()


class ShiftedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be moved forward."""

    offset = 0.0

    def time(self) -> float:
        """Return the time, moved."""
        return super().time() + self.offset


@asynccontextmanager
async def two_lines(transport: AiohttpTransport) -> AsyncGenerator[None]:
    """Have two connections idle."""
    await asyncio.gather(transport.send(POLL), transport.send(POLL))
    yield


def test_idle_connections_are_closed_in_time() -> None:
    """Those that were idle for 45 seconds are closed, and those that were used since are kept."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ShiftedLoop)
        script: Script = [step for _ in range(9) for step in (Act.READ, 0.01, json_reply(1))]
        async with raw_server(script) as server, AiohttpTransport(server.url) as transport, two_lines(transport):
            assert len(server.serving) == 2
            loop.offset += 30
            await transport.send(POLL)
            loop.offset += 30
            async with asyncio.timeout(5):
                while len(server.serving) > 1:  # noqa: ASYNC110  the server has no event for it
                    await asyncio.sleep(0.001)
            await transport.send(POLL)
            assert server.connections == 2
            loop.offset += 60
            async with asyncio.timeout(5):
                await server.quiet.wait()

    with asyncio.Runner(loop_factory=ShiftedLoop) as runner:
        runner.run(main())
