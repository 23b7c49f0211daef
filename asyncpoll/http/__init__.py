"""HTTP: requests and replies, the transport that carries them, credentials, and helpers for reading replies.

A `Request` says what to ask for, without a host and without a credential. A `Transport` has both, and exchanges it for
a `Reply` of any status. A request to an address that a server gave is sent only below the transport's own address.
`AiohttpTransport` does so over real connections; `Paced` and `Retrying` are transports around another: the first sends
nothing before the time that the server named, the second repeats a request once after a hiccup. An `Auth` makes the
credential of each request. `classify_status` raises the error that a reply stands for, with the table of an API's own
error codes in a `Codes`. `segment` and `identifier` check ids, `structure` checks JSON, and `download` fetches a file
from a link that a server named.

The parts, from below: `_json` (strict decoding), `_message` (values, headers), `_secrets` (masks), `_urls` (addresses
and links), `_ids`, `_classify`, `_ssrf` (public addresses), `_settings`, `_auth`, `_retry`, `_pace`, `transport` (its
docstring tells the life of an exchange), `_download`.

Modules that take long to import (aiohttp, cattrs) are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asyncpoll.http._auth import ApiKey, Auth, Basic, Bearer, OutgoingRequest, register_auth, registered_auth
from asyncpoll.http._classify import Codes, Phrase, classify_status
from asyncpoll.http._message import Reply, Request, Transport, Upload, check_address
from asyncpoll.http._settings import TransportSettings
from asyncpoll.http._urls import identifier, segment
from asyncpoll.http._wrappers import Paced, Retrying

if TYPE_CHECKING:
    from asyncpoll._structure import fit, structure
    from asyncpoll.http._download import download
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
    "check_address",
    "classify_status",
    "download",
    "fit",
    "identifier",
    "register_auth",
    "registered_auth",
    "segment",
    "structure",
]

_LAZY = {
    "AiohttpTransport": "http.transport",
    "download": "http._download",
    "fit": "_structure",
    "structure": "_structure",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"asyncpoll.{_LAZY[name]}"), name)
