"""Transports around a transport: `Retrying` sends once more after a hiccup, `Paced` stays away while the server asks.

The next scheduled poll is the real retry. The quick one only saves waiting for it when a gateway stumbled or a kept
connection was just closed. So that an outage is not answered with twice the load, retries are paid for by successes,
one in ten (the ratio of Google's SRE book; Finagle allows 20 %, the AWS SDKs about 7 %).
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from asyncpoll._errors import LONGEST_HINT, PARKING_STATUSES, Throttled, TransportError
from asyncpoll._schedule import Jitter, full_jitter
from asyncpoll.http._classify import status_kind

if TYPE_CHECKING:
    from asyncpoll.http._message import Reply, Request, Transport


PAUSE = 0.25
"""The pause before the retry is `jitter(PAUSE)` seconds."""

QUICK = frozenset({"connect", "disconnect", "payload", "protocol"})
"""The kinds of `TransportError` that are worth a quick retry.

Not "timeout": an attempt that took its whole time says that the server is slow, and a second one would double
the time of the poll. Not "dns", "local", "limit" or "throttled": a quarter of a second does not change those.
"""


@define(eq=False)
class RetryBudget:
    """Tokens: a success in the first attempt earns one, a retry costs ten and gets them back if it succeeds.

    One retry a second is free, so that a client with little traffic can retry at all.

    Attributes:
        capacity: The most tokens that can be saved up; as many are there at the start.
        cost: Tokens that a retry costs.
        tokens: The tokens that are there now.
    """

    capacity: int = 500
    cost: int = 10
    tokens: int = field(init=False)
    _last: float = field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.capacity

    def pay(self, now: float) -> int | None:
        """Pay for a retry at the time *now*, in seconds; return the tokens spent, or None if there must be no retry."""
        if self.tokens >= self.cost:
            price = self.cost
        elif now - self._last >= 1:
            price = 0
        else:
            return None
        self.tokens -= price
        self._last = now
        return price

    def earn(self, tokens: int = 1) -> None:
        """Add *tokens*, up to the capacity."""
        self.tokens = min(self.capacity, self.tokens + tokens)


@define(eq=False)
class Retrying:
    """A transport that tries once more, on a fresh connection, where that does no harm and may help.

    Only requests that are `repeatable` are sent again, and only after a fault of the `QUICK` kinds or a reply
    that means trouble at the server (408, 421, 423, 425 and 5xx, but not 501, 505 and 511) and has no
    `Retry-After`. With the budget empty the first result stands.

    Attributes:
        inner: The transport that really sends.
        budget: Retries are paid from it; transports that share a server may share it.
        jitter: From the longest pause to the pause before the retry, in seconds.
    """

    inner: Transport
    budget: RetryBudget = field(factory=RetryBudget, kw_only=True)
    jitter: Jitter = field(default=full_jitter, kw_only=True)

    @property
    def requests(self) -> int:
        """How many requests the inner transport has sent; 0 when it does not count them."""
        return getattr(self.inner, "requests", 0)

    async def send(self, request: Request, /) -> Reply:
        """Exchange *request* for a reply, with at most two attempts.

        Raises:
            TransportError: As `inner` raised it in the last attempt.
        """
        try:
            reply = await self.inner.send(request)
        except TransportError as error:
            price = self._price(request, hiccup=error.kind in QUICK)
            if price is None:
                raise
        else:
            if _succeeded(reply):
                self.budget.earn()
                return reply
            price = self._price(request, hiccup=status_kind(reply) == "server" and reply.retry_after is None)
            if price is None:
                return reply
        return await self._again(request, price)

    def _price(self, request: Request, *, hiccup: bool) -> int | None:
        worthwhile = hiccup and request.repeatable
        return self.budget.pay(asyncio.get_running_loop().time()) if worthwhile else None

    async def _again(self, request: Request, price: int) -> Reply:
        await asyncio.sleep(self.jitter(PAUSE))
        reply = await self.inner.send(evolve(request, fresh=True))
        if _succeeded(reply):
            self.budget.earn(price)
        return reply


def _succeeded(reply: Reply) -> bool:
    return reply.status // 100 == 2  # noqa: PLR2004  the range of success


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
