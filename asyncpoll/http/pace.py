"""Staying away for as long as the server asks."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from attrs import define, field

from asyncpoll._errors import Throttled

if TYPE_CHECKING:
    from asyncpoll.http.message import Reply, Request, Transport

PARKING = frozenset({429, 503})
"""The statuses whose `Retry-After` speaks for the whole origin, not for one job."""

LONGEST = 86_400.0
"""A server that asks for more than a day (in seconds) is asked again after one: that is likely a mistake."""

_TICK = 1e-6  # event loops fire timers up to one tick of their clock early


@define(eq=False)
class Paced:
    """A transport that sends nothing before the time the server named.

    One transport speaks to one origin with one credential, so a 429 or a 503 with `Retry-After` is meant for
    all of its requests: until then each ends in `Throttled`, unsent. What is already on its way is not
    disturbed, and of several `Retry-After` the one that leads furthest counts.

    Attributes:
        inner: The transport that really sends.
    """

    inner: Transport
    _until: float = field(default=-math.inf, init=False)
    _origin: str | None = field(default=None, init=False)

    @property
    def requests(self) -> int:
        """How many requests the inner transport has sent; 0 when it does not count them."""
        return getattr(self.inner, "requests", 0)

    async def send(self, request: Request, /) -> Reply:
        """Exchange *request* for a reply, unless the server asked to be left alone.

        Raises:
            Throttled: Too early, nothing was sent; `retry_after` is what is left, in seconds.
            TransportError: As `inner` raises it.
        """
        clock = asyncio.get_running_loop().time
        left = self._until - clock()
        if left > _TICK:
            raise Throttled(
                f"the server asked to be left alone for {left:.3g} s more", retry_after=left, origin=self._origin
            )
        reply = await self.inner.send(request)
        if reply.status in PARKING and (wait := reply.retry_after) is not None:
            self._until = max(self._until, clock() + min(wait, LONGEST))
            self._origin = reply.origin
        return reply
