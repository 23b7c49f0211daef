"""`Paced`: a transport that stays away for as long as the server asks."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from attrs import define, field

from asyncpoll._errors import LONGEST_HINT, PARKING_STATUSES, Throttled

if TYPE_CHECKING:
    from asyncpoll.http._message import Reply, Request, Transport

_TICK = 1e-6  # event loops fire timers up to one tick of their clock early


@define(eq=False)
class Paced:
    """A transport that sends nothing before the time the server named.

    One transport speaks to one origin with one credential, so a 429 or a 503 with `Retry-After` is meant for
    all of its requests: until then each ends in `Throttled`, unsent. A request that is already on its way is not
    disturbed, and of several `Retry-After` the latest time counts.

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
            Throttled: Too early, nothing was sent; `retry_after` is the rest of the time, in seconds.
            TransportError: As `inner` raises it.
        """
        if self._until > -math.inf:
            self._check(asyncio.get_running_loop().time())
        reply = await self.inner.send(request)
        if reply.status in PARKING_STATUSES and (wait := reply.retry_after) is not None:
            self._until = max(self._until, asyncio.get_running_loop().time() + min(wait, LONGEST_HINT))
            self._origin = reply.origin
        return reply

    def _check(self, now: float) -> None:
        left = self._until - now
        if left > _TICK:
            message = f"the server asked to be left alone for {left:.3g} s more"
            raise Throttled(message, retry_after=left, origin=self._origin)
