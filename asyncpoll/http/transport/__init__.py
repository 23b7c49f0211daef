"""The transport over real connections, on aiohttp, which nothing outside of this package knows as a client."""

from __future__ import annotations

from asyncpoll.http.transport.client import AiohttpTransport
from asyncpoll.http.transport.stream import open_stream

__all__ = ["AiohttpTransport", "open_stream"]
