"""The HTTP column: requests, replies, and the transport that carries them.

`AiohttpTransport` is lent on first use, so that importing this package does not import aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncpoll.http.message import Reply, Request, Transport, Upload

if TYPE_CHECKING:
    from asyncpoll.http.transport import AiohttpTransport

__all__ = ["AiohttpTransport", "Reply", "Request", "Transport", "Upload"]


def __getattr__(name: str) -> Any:
    if name != "AiohttpTransport":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from asyncpoll.http.transport import AiohttpTransport  # noqa: PLC0415  aiohttp takes 0.2 s to import

    return AiohttpTransport
