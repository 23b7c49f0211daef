"""The end of a transport, and of exchanges before their time."""

from __future__ import annotations

import asyncio
import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from raw_server import Act, json_reply, polls, raw_server

from asyncpoll._errors import ClientClosed, TransportError
from asyncpoll.http._message import Request
from asyncpoll.http.transport import AiohttpTransport

POLL = Request("GET", "/")


def _open_sockets() -> int:
    open_files = [Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  plain names
    return sum(file.is_socket() for file in open_files)


async def _outcome(transport: AiohttpTransport) -> Any:
    try:
        return (await transport.send(POLL)).json
    except ClientClosed as error:
        return type(error)


@pytest.mark.parametrize(
    "script",
    [
        [Act.READ, Act.HANG],
        [Act.READ, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Act.HANG],
        [Act.READ, b"HTTP/1.1 200 OK\r\nContent-Le", Act.HANG],
    ],
)
async def test_close_with_requests_under_way(script: list[Any]) -> None:
    """Whoever waits for headers, a body, or a slot learns that the client is closed; no connection is left."""
    async with raw_server(script) as server:
        transport = AiohttpTransport(server.url, connections=2)
        polls_ = [asyncio.create_task(_outcome(transport)) for _ in range(10)]
        await server.received(2)
        await asyncio.sleep(0.01)
        await transport.aclose()
        assert await asyncio.gather(*polls_) == [ClientClosed] * 10
        assert [task.cancelling() for task in polls_] == [0] * 10
        await server.quiet.wait()
        assert transport.requests == len(server.requests) == 2


async def test_close_while_it_opens() -> None:
    """Closing at any moment of the very first request ends it, and leaves nothing behind."""
    async with raw_server(polls(json_reply(1))) as server:
        for steps in range(40):
            transport = AiohttpTransport(server.url)
            poll = asyncio.create_task(_outcome(transport))
            for _ in range(steps):
                await asyncio.sleep(0)
            await transport.aclose()
            assert await poll in (ClientClosed, 1)


async def test_use_after_close() -> None:
    """A closed transport sends nothing; closing it again does nothing."""
    async with raw_server(polls(json_reply(1))) as server:
        async with AiohttpTransport(server.url) as transport:
            await transport.send(POLL)
        await transport.aclose()
        with pytest.raises(ClientClosed, match="closed"):
            await transport.send(POLL)
        assert transport.requests == len(server.requests) == 1


async def test_close_before_use() -> None:
    """A transport that was never used can be closed, and is closed then."""
    transport = AiohttpTransport("https://api.example")
    await transport.aclose()
    with pytest.raises(ClientClosed):
        await transport.send(POLL)
    assert transport.requests == 0


async def test_a_close_that_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """When closing is cut short, the connections are closed all the same."""
    stubborn, send = asyncio.Event(), aiohttp.ClientSession._request

    async def hold(session: aiohttp.ClientSession, *args: Any, **named: Any) -> Any:
        try:
            return await send(session, *args, **named)
        finally:
            await stubborn.wait()

    monkeypatch.setattr(aiohttp.ClientSession, "_request", hold)
    async with raw_server([Act.READ, Act.HANG]) as server:
        transport = AiohttpTransport(server.url)
        poll = asyncio.create_task(_outcome(transport))
        await server.received(1)
        closing = asyncio.create_task(transport.aclose())
        await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await server.quiet.wait()
        stubborn.set()
        assert await poll is ClientClosed


def test_another_event_loop() -> None:
    """A transport belongs to the loop that it was first used in, be it made outside of any."""
    transport = AiohttpTransport("http://127.0.0.1:1")

    async def use() -> None:
        with pytest.raises(TransportError):
            await transport.send(POLL)

    async def misuse() -> None:
        with pytest.raises(ClientClosed, match="another event loop"):
            await transport.send(POLL)
        with pytest.raises(ClientClosed, match="another event loop"):
            await transport.aclose()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(use())
        second.run(misuse())
        first.run(transport.aclose())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_a_fork() -> None:
    """In a forked process the transport refuses to work, and does not disturb its parent's connections."""
    async with raw_server(polls(json_reply(1), json_reply(2))) as server, AiohttpTransport(server.url) as transport:
        await transport.send(POLL)
        child = os.fork()
        if child == 0:  # pragma: no cover  # coverage does not see what ends like this
            os._exit(0 if _refuses(transport) else 1)
        assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0
        assert (await transport.send(POLL)).json == 2
    assert server.connections == 1


def _refuses(transport: AiohttpTransport) -> bool:  # pragma: no cover  # runs in the child
    for misuse in (transport.send(POLL), transport.aclose()):
        try:
            misuse.send(None)
        except ClientClosed:
            continue
        except BaseException:  # noqa: BLE001  whatever it is, it is wrong
            return False
        return False
    return True


def test_pickling() -> None:
    """A transport cannot be sent to another process."""
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(AiohttpTransport("https://api.example"))


async def test_cancelling_at_every_moment() -> None:
    """Wherever a request is cancelled, it ends at once; no slot is lost, and no half-read connection is used again."""
    script = [
        step
        for _ in range(9)
        for step in (Act.READ, json_reply({"n": "x" * 300})[:200], 0.001, json_reply({"n": "x" * 300})[200:])
    ]
    async with raw_server(script) as server, AiohttpTransport(server.url, connections=1) as transport:
        await transport.send(POLL)
        for steps in range(30):
            poll = asyncio.create_task(_outcome(transport))
            for _ in range(steps):
                await asyncio.sleep(0)
            poll.cancel()
            with suppress(asyncio.CancelledError):
                await poll
            assert (await transport.send(POLL)).json == {"n": "x" * 300}
            assert transport._exchanges.scopes == {}
        assert transport.requests == len(server.requests)


async def test_cancelling_a_wait_for_a_slot() -> None:
    """Who is cancelled while all slots are taken sends nothing and takes none along."""
    now = asyncio.Event()
    async with (
        raw_server([Act.READ, now, json_reply(1), Act.READ, json_reply(2)]) as server,
        AiohttpTransport(server.url, connections=1) as transport,
    ):
        first = asyncio.create_task(_outcome(transport))
        await server.received(1)
        second = asyncio.create_task(_outcome(transport))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        now.set()
        assert await first == 1
        assert await _outcome(transport) == 2
    assert len(server.requests) == 2


async def test_nothing_is_left_behind() -> None:
    """After a hundred requests, half of them cancelled, and the end, there are as many sockets as before."""
    async with raw_server([step for _ in range(100) for step in (Act.READ, 0.001, json_reply(1))]) as server:
        before = _open_sockets()
        async with AiohttpTransport(server.url, connections=10) as transport:
            polls_ = [asyncio.create_task(_outcome(transport)) for _ in range(100)]
            await asyncio.sleep(0.005)
            for poll in polls_[::2]:
                poll.cancel()
            await asyncio.gather(*polls_, return_exceptions=True)
        if not server.quiet.is_set():
            await server.quiet.wait()
        await asyncio.sleep(0)
        assert _open_sockets() == before
