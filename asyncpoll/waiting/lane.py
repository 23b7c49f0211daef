"""The pace towards one server: how many polls in flight, how many a second, and when to hold back.

One lane serves one transport: one origin and one credential. What a server says about its load slows down its own
lane; the others go on. Times are on the event loop's clock, in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Generic, TypeVar

from asyncpoll.errors import Throttled, TransportError

Topic = TypeVar("Topic")

DECREASE = 0.7
"""What a throttling answer multiplies the rate with, at most once a second."""

INCREASE = 0.05
"""The share of the rate before the throttling that every second without one gives back."""

TROUBLE = {"connect": 4, "dns": 4, "disconnect": 1, "timeout": 1, "server": 1}
"""How much a fault of each kind says that the server is down; other kinds say nothing about it."""

OUTAGE = 20
"""The trouble in a row that makes an outage: five refused connections, or twenty failures of a server that is there."""

PROBE_EVERY = 5.0
GOOD_PROBES = 3

_SLOP = 0.02  # how late a timer may fire and be made up for


class Gate:
    """Lets polls start one at a time, at a rate; in idle time it saves nothing up, so there is no burst.

    Attributes:
        rate: Polls a second; `math.inf` for any number.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._slot = -math.inf
        self._held = False

    def opens_at(self, now: float) -> float:
        """Return when the next poll may start."""
        self._held = self._held or self._slot > now
        return self._slot

    def start(self, now: float) -> None:
        """Take in that a poll starts."""
        if self.rate == math.inf:
            return
        # A poll that was held back was meant to start at its slot; that the timer fired a little late is made up for.
        began = self._slot if self._held and now - self._slot <= _SLOP else now
        self._slot = began + 1 / self.rate
        self._held = False


class Lane(Generic[Topic]):
    """The polls towards one server.

    Attributes:
        ready: What is due and has not started, first come first served.
        in_flight: Polls that have started and not finished.
        probing: Whether the server seems to be down, so that one poll at a time finds out when it is back.
        held: Whether nothing may start, because a refusal that would end every wait is being confirmed.
    """

    def __init__(self, *, concurrency: float, rate: float, interval: float) -> None:
        self.ready: deque[Topic] = deque()
        self.in_flight = 0
        self.probing = False
        self.held = False
        self._concurrency = concurrency
        self._rate = rate
        self._interval = interval
        self._gate = Gate(rate)
        self._closed_until = -math.inf
        self._trouble = 0
        self._good_probes = 0
        self._rate_before = rate
        self._changed_at = -math.inf
        self._second = 0
        self._starts = self._starts_before = 0

    def opens_at(self, now: float) -> float:
        """Return when the next poll may start; `math.inf` when one has to finish first."""
        if self.held or self.in_flight >= (1 if self.probing else self._concurrency):
            return math.inf
        return max(self._closed_until, self._gate.opens_at(now))

    def start(self, now: float) -> None:
        """Take in that a poll starts."""
        self.in_flight += 1
        self._gate.start(now)
        if int(now) != self._second:
            self._starts_before = self._starts if int(now) == self._second + 1 else 0
            self._second, self._starts = int(now), 0
        self._starts += 1

    def finish(self, error: Exception | None, now: float) -> None:
        """Take in that a poll has finished, and with what error if any."""
        self.in_flight -= 1
        if error is None:
            self._went_well(now)
        elif isinstance(error, TransportError):
            if error.retry_after and (error.status is None or error.status in _PARKING):
                self._closed_until = max(self._closed_until, now + error.retry_after)
            if isinstance(error, Throttled):
                self._slow_down(now)
            self._count_trouble(TROUBLE.get(error.kind, 0), now)
        elif isinstance(error, TimeoutError):
            self._count_trouble(TROUBLE["timeout"], now)
        elif isinstance(error, OSError):
            self._count_trouble(TROUBLE["connect"], now)

    def _slow_down(self, now: float) -> None:
        if now - self._changed_at < 1:
            return
        observed = max(self._starts, self._starts_before, self.in_flight, 1)  # a second may only have begun
        if self._gate.rate == self._rate:
            self._rate_before = min(self._rate, observed)
        self._gate.rate = DECREASE * min(self._gate.rate, observed)
        self._changed_at = now

    def _went_well(self, now: float) -> None:
        self._trouble = 0
        if self.probing:
            self._good_probes += 1
            if self._good_probes == GOOD_PROBES:
                self._reopen(now)
        elif self._gate.rate != self._rate and now - self._changed_at >= 1:
            raised = self._gate.rate + INCREASE * self._rate_before
            self._gate.rate = self._rate if raised >= self._rate_before else raised
            self._changed_at = now

    def _count_trouble(self, trouble: int, now: float) -> None:
        self._trouble += trouble
        if trouble and (self.probing or self._trouble >= OUTAGE):
            self.probing = True
            self._good_probes = 0
            self._closed_until = max(self._closed_until, now + min(PROBE_EVERY, self._interval))

    def _reopen(self, now: float) -> None:
        """Let what has become overdue start over one interval, never in a burst."""
        self.probing = False
        self._trouble = 0
        spread = max(len(self.ready), 1) / self._interval
        if spread < self._rate:
            self._rate_before = max(spread, 1.0)
            self._gate.rate = self._rate_before
            self._changed_at = now + self._interval


_PARKING = frozenset({429, 503})
