"""A response as a stream, from anywhere, with nothing of ours in the request."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext
from typing import Self

import aiohttp
from aiohttp.connector import SocketFactoryType
from attrs import frozen
from yarl import URL

from asyncpoll._errors import PollError
from asyncpoll.http._settings import Proxy
from asyncpoll.http.link import Origin
from asyncpoll.http.message import Stream
from asyncpoll.http.transport._errors import failure_of, mapping_errors
from asyncpoll.http.transport._session import send_once, way_through


@frozen
class Chunks:
    """The pieces of *content*; *own* is what its errors are turned into."""

    content: aiohttp.StreamReader
    own: Callable[[Exception], PollError]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await mapping_errors(self.content.readany(), self.own)
        if not piece:
            raise StopAsyncIteration
        return piece


@asynccontextmanager
async def open_stream(
    url: str,
    *,
    headers: Mapping[str, str],
    socket_factory: SocketFactoryType,
    connect: float,
    read_gap: float,
    ssl: SSLContext | None = None,
    proxy: Proxy | None = None,
) -> AsyncGenerator[Stream, None]:
    """GET *url* over a connection of its own: no credential, no cookie, no redirect, no compression.

    Args:
        url: The address, percent-encoded and checked.
        headers: Extra headers.
        socket_factory: Makes the socket for each address in turn that the host, or the proxy, resolves to, or refuses.
        connect: Seconds for the lookup of the name, the connection, and TLS.
        read_gap: Seconds between two pieces of the response.
        ssl: The certificates to trust, or None for those of the system.
        proxy: The proxy to go through, or None.

    Raises:
        TransportError: As `AiohttpTransport.send`, also while the chunks are read.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            force_close=True, socket_factory=socket_factory, ssl=True if ssl is None else ssl
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(connect=connect, sock_read=read_gap, ceil_threshold=math.inf),
        headers={"Accept-Encoding": "identity", "User-Agent": "asyncpoll"},
        auto_decompress=False,
        middlewares=(send_once,),
    )
    async with session:
        own = partial(failure_of, origin=str(Origin.of(url)), proxy=proxy)
        way = way_through(proxy, url, headers)
        getting = session.get(URL(url, encoded=True), allow_redirects=False, **way)
        async with await mapping_errors(getting, own) as response:
            yield Stream(response.status, response.headers, Chunks(response.content, own))
