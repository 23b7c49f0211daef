"""Help apps in Starlette, FastAPI, Litestar and aiohttp.web to wait for jobs. No framework is imported by this package.

An app has one hub and its clients for as long as it runs: `lifespan` opens, drains and closes them. A handler waits for
as long as its client is there (`until_disconnect`), or for as long as the client prefers (`answer`), or shows the job
to it (`sse`). Handlers share the polls of a job. An error becomes a response by `response_for`, or for a whole app by
one of the handlers of errors. A webhook (`webhook`) is a reason to poll, and is never believed by itself.

Two things look odd. By default frameworks do not cancel the handler of a client that has left, so a second task watches
for that. And an ASGI server stops an app only after its open requests have ended, so `lifespan` drains the hub as soon
as the signal comes: waits end with `Draining`, which is answered with 503 and `Retry-After`.
"""

from __future__ import annotations

from asyncpoll.web._frameworks import until_disconnect
from asyncpoll.web._lifespan import lifespan, state
from asyncpoll.web._responses import (
    Response,
    accepted,
    aiohttp_errors,
    answer,
    litestar_errors,
    preferred_wait,
    response_for,
    starlette_errors,
)
from asyncpoll.web._streams import sse
from asyncpoll.web._webhooks import hmac_signature, webhook

__all__ = [
    "Response",
    "accepted",
    "aiohttp_errors",
    "answer",
    "hmac_signature",
    "lifespan",
    "litestar_errors",
    "preferred_wait",
    "response_for",
    "sse",
    "starlette_errors",
    "state",
    "until_disconnect",
    "webhook",
]
