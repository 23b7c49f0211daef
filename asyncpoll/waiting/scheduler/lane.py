"""The polls towards one server: how many in flight, how many a second, and when to hold back.

One lane serves one transport: one origin and one credential. What a server says about its load slows down its own
lane; the others go on. Times are on the event loop's clock, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from asyncpoll._errors import Throttled, TransportError, WaitTimeout
from asyncpoll.waiting._decision import LONGEST_HINT
from asyncpoll.waiting._misses import kind_of
from asyncpoll.waiting.scheduler.backlog import Backlog, Queued
from asyncpoll.waiting.scheduler.breaker import Breaker
from asyncpoll.waiting.scheduler.gate import Gate

Topic = TypeVar("Topic", bound=Queued)

TROUBLE: Mapping[str, int] = MappingProxyType({"connect": 4, "dns": 4, "disconnect": 1, "timeout": 1, "server": 1})
"""How much a fault of each kind says that the server is down: five refused connections in a row make an outage, or
twenty failures of a server that is there. Other kinds say nothing about it."""

PARKING = frozenset({429, 503})
"""The statuses whose `Retry-After` speaks for the server, not for one job (RFC 6585, section 4; RFC 9110, 15.6.4)."""

PROBE_EVERY = 5.0
"""Seconds between two probes of a server that is down, unless the interval of the schedule is shorter."""


class Lane(Generic[Topic]):
    """The polls towards one server.

    Args:
        concurrency: The most polls in flight.
        rate: The most polls a second.
        interval: The seconds over which overdue polls are spread once the server is back.

    Attributes:
        ready: What is due and has not started.
        in_flight: Polls that have started and not finished.
        suspect: The only one that may start, or None for any: its client was refused in a way that ends every wait, as
            soon as it is confirmed.
    """

    def __init__(self, *, concurrency: int, rate: float, interval: float) -> None:
        self.ready: Backlog[Topic] = Backlog()
        self.in_flight = 0
        self.suspect: Topic | None = None
        self._concurrency = concurrency
        self._interval = interval
        self._gate = Gate(rate)
        self._breaker = Breaker(min(PROBE_EVERY, interval))
        self._parked_until = -math.inf

    @property
    def probing(self) -> bool:
        """Whether the server seems to be down, so that one poll at a time finds out when it is back."""
        return self._breaker.probing

    @property
    def opens_at(self) -> float:
        """When the next poll may start; `math.inf` when one has to finish first."""
        if self.suspect is not None and not self.suspect.queued:
            return math.inf
        if self.in_flight >= (1 if self.probing else self._concurrency):
            return math.inf
        return max(self._parked_until, self._breaker.opens_at, self._gate.opens_at)

    def is_at_rest(self, now: float) -> bool:
        """Return whether there is nothing in it that a new lane would not know."""
        busy = self.ready or self.in_flight or self.suspect is not None or self._parked_until > now
        return not busy and self._breaker.is_at_rest and self._gate.is_at_rest(now)

    def take(self) -> Topic:
        """Take out of what is ready what is to start next."""
        if self.suspect is None:
            return self.ready.popleft()
        self.ready.leave(self.suspect)
        return self.suspect

    def start(self, at: float) -> None:
        """Take in that what has just been taken starts *at* this time."""
        if self._parked_until > -math.inf:
            self._parked_until = -math.inf
            self._spread_out(at)
        self.in_flight += 1
        self._gate.start(at)

    def finish(self, error: BaseException | None, now: float) -> None:
        """Take in that a poll has finished: with an answer about the job, or with an error."""
        self.in_flight -= 1
        if error is None:
            self._gate.speed_up(now)
        elif isinstance(error, TransportError):
            self._heed(error, now)
        trouble = _trouble(error)
        if trouble:
            self._breaker.fault(trouble, now)
        elif _is_answer(error) and self._breaker.answer():
            self._spread_out(now)

    def _heed(self, error: TransportError, now: float) -> None:
        throttled = isinstance(error, Throttled)
        if throttled:
            self._gate.slow_down(now)
        if error.retry_after and (throttled or error.status in PARKING):
            self._parked_until = max(self._parked_until, now + min(error.retry_after, LONGEST_HINT))

    def _spread_out(self, now: float) -> None:
        """Let what has become overdue start over one interval, never in a burst."""
        self._gate.spread(len(self.ready), self._interval, now)


def _trouble(error: BaseException | None) -> int:
    """Return how much an error says that the server is down."""
    if isinstance(error, WaitTimeout) or not isinstance(error, TransportError | OSError):
        return 0
    return TROUBLE.get(kind_of(error), 0)


def _is_answer(error: BaseException | None) -> bool:
    """Return whether the server answered, be it to refuse."""
    return error is None or (isinstance(error, TransportError) and error.status is not None)
