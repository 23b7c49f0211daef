"""A response as a stream, from anywhere, with nothing of ours in the request."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

import aiohttp
from aiohttp.connector import SocketFactoryType
from attrs import frozen
from yarl import URL

from asyncpoll._errors import PollError
from asyncpoll.http.link import Origin
from asyncpoll.http.message import Stream
from asyncpoll.http.transport.failure import failure_of, ours


@frozen
class Chunks:
    """The pieces of *content*; *own* is what its errors are turned into."""

    content: aiohttp.StreamReader
    own: Callable[[Exception], PollError]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await ours(self.content.readany(), self.own)
        if not piece:
            raise StopAsyncIteration
        return piece


@asynccontextmanager
async def open_stream(
    url: str, *, headers: Mapping[str, str], socket_factory: SocketFactoryType, connect: float, read_gap: float
) -> AsyncGenerator[Stream, None]:
    """GET *url* over a connection of its own: no credential, no cookie, no proxy, no redirect, no compression.

    Args:
        url: The address, percent-encoded and checked.
        headers: Extra headers.
        socket_factory: Makes the socket for each address in turn that the host resolves to, or refuses to.
        connect: Seconds for the lookup of the name, the connection, and TLS.
        read_gap: Seconds between two pieces of the response.

    Raises:
        TransportError: As `AiohttpTransport.send`, also while the chunks are read.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, socket_factory=socket_factory),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(connect=connect, sock_read=read_gap, ceil_threshold=math.inf),
        headers={"Accept-Encoding": "identity", "User-Agent": "asyncpoll"},
        auto_decompress=False,
    )
    session._retry_connection = False  # noqa: SLF001  there is no public way to turn it off
    async with session:
        own = partial(failure_of, origin=str(Origin.of(url)))
        getting = session.get(URL(url, encoded=True), headers=headers, allow_redirects=False)
        async with await ours(getting, own) as response:
            yield Stream(response.status, response.headers, Chunks(response.content, own))
