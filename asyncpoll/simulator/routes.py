"""One entry of a vendor's API: a name, a place, who may call it, and the coroutine that answers."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web
from attrs import frozen

from asyncpoll.simulator.answers import Answer

Shapes = Literal["documented", "observed"]
Guard = Callable[[web.Request], Answer | None]
Handler = Callable[[web.Request], Awaitable[Answer]]


@frozen
class Route:
    """Where a request goes.

    Attributes:
        name: The endpoint's name for the polls; other calls append a verb, such as "bigmodel.agents.start".
        method: The HTTP method.
        path: The path pattern, as aiohttp understands it.
        guard: Gives the refusal of a caller without the right credential, or None to let it pass.
        handler: Gives the answer.
    """

    name: str
    method: str
    path: str
    guard: Guard
    handler: Handler


class Clock:
    """The event loop's clock, and what the calendar says at any of its moments."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoch = datetime.now(UTC).timestamp() - self._loop.time()

    def now(self) -> float:
        """Return the time in seconds of the event loop's clock."""
        return self._loop.time()

    def stamp(self, moment: float) -> int:
        """Return the milliseconds from 1970 to a *moment* of the event loop's clock."""
        return round((self._epoch + moment) * 1000)


def bearer(request: web.Request) -> str:
    """Return the bearer token of the request, empty where there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def opens(token: str, key: str | None) -> bool:
    """Return whether the token is the key; without a key any token will do, but there must be one."""
    return bool(token) and (key is None or hmac.compare_digest(token.encode(errors="replace"), key.encode()))


async def json_object(request: web.Request) -> dict[str, Any] | None:
    """Return the JSON object in the body of the request, or None where there is none."""
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
