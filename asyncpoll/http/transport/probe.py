"""The proof that connections are under control, by talking to a small server on this machine.

A `Pool` builds on parts of aiohttp that are not promised to stay as they are. So before it is relied upon, what it is
for is tried out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from asyncpoll._errors import TransportError
from asyncpoll.http.message import Request, Transport

LIMIT = 2.0
"""Seconds that the trial may take; on an idle machine it takes a few thousandths."""


class Counting(Transport, Protocol):
    """A transport that counts what it sends."""

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        ...


_POLL = Request("GET", "/")
_FRESH = Request("GET", "/", fresh=True)


async def is_in_control(make: Callable[[str], AbstractAsyncContextManager[Counting]]) -> bool:
    """Return whether the transports that *make* makes for an address behave.

    That is: no request is sent twice unasked, each one is counted, no answer is taken that came out of turn, and
    connections are used again, but not for a request that asks for a fresh one. When the caller is cancelled, the
    trial is brought to its end first.
    """
    trial = asyncio.create_task(_try_out(make))
    try:
        return await asyncio.shield(trial)
    except asyncio.CancelledError:
        await trial
        raise


async def _try_out(make: Callable[[str], AbstractAsyncContextManager[Counting]]) -> bool:
    server = _Server()
    try:
        async with asyncio.timeout(LIMIT), server.listening() as url, make(url) as transport:
            return await _behaves(transport, server)
    except (OSError, TransportError):  # TimeoutError among them
        return False


async def _behaves(transport: Counting, server: _Server) -> bool:
    bodies = [(await transport.send(_POLL)).body, (await transport.send(_POLL)).body]
    reused = server.connections == 1
    server.speak_out_of_turn()
    await server.hung_up.wait()
    bodies += [(await transport.send(_POLL)).body, (await transport.send(_FRESH)).body]
    renewed = server.connections == 3  # noqa: PLR2004  one dropped, one left alone, one fresh
    server.answering = False
    try:
        await transport.send(_POLL)
    except TransportError:
        counted = server.requests == transport.requests == len(bodies) + 1
        return reused and renewed and counted and bodies == [b"1", b"2", b"3", b"4"]
    return False


class _Server:
    """Answers each request with its number, and remembers what happened."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self.answering = True
        self.hung_up = asyncio.Event()
        self.speak_out_of_turn: Callable[[], None]
        self._serving: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[str, None]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await asyncio.gather(*self._serving)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.speak_out_of_turn = lambda: writer.write(_answer(0))
        try:
            while self.answering:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                if self.answering:
                    writer.write(_answer(self.requests))
        except (OSError, asyncio.IncompleteReadError):
            self.hung_up.set()
        finally:
            writer.close()


def _answer(number: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number
