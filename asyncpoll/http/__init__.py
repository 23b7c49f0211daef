"""HTTP: requests and replies, the transport that carries them, credentials, and helpers for reading replies.

`AiohttpTransport` and `structure` are imported on first use, so that importing this package imports neither aiohttp
nor cattrs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asyncpoll.http._auth import ApiKey, Auth, Basic, Bearer, OutgoingRequest
from asyncpoll.http._settings import TransportSettings
from asyncpoll.http.classify import Codes, Phrase, classify_status
from asyncpoll.http.message import Reply, Request, Transport, Upload
from asyncpoll.http.pace import Paced
from asyncpoll.http.path import identifier, segment
from asyncpoll.http.retry import Retrying

if TYPE_CHECKING:
    from asyncpoll._structure import structure
    from asyncpoll.http.transport import AiohttpTransport

__all__ = [
    "AiohttpTransport",
    "ApiKey",
    "Auth",
    "Basic",
    "Bearer",
    "Codes",
    "OutgoingRequest",
    "Paced",
    "Phrase",
    "Reply",
    "Request",
    "Retrying",
    "Transport",
    "TransportSettings",
    "Upload",
    "classify_status",
    "identifier",
    "segment",
    "structure",
]


def __getattr__(name: str) -> Any:
    homes = {"AiohttpTransport": "asyncpoll.http.transport", "structure": "asyncpoll._structure"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
