"""How many polls may start in a second, and how a server that throttles changes that.

Additive increase, multiplicative decrease, as TCP has it (RFC 5681): every client that backs off so ends up with a
fair share of what the server can bear. Times are on the event loop's clock, in seconds; rates are polls a second.
"""

from __future__ import annotations

import math

DECREASE = 0.7
"""What a throttling answer multiplies the rate with, at most once a second; AWS SDKs use the same in adaptive mode."""

INCREASE = 0.05
"""The share of the rate that was too much which every second without throttling gives back. Beyond that rate nothing is
known of the server any more, and every second doubles it."""

LEAST = 0.2
"""The rate at which even a server that throttles without end is asked, so that its recovery is seen."""


class Gate:
    """Lets polls start one at a time, at a rate; in idle time it saves nothing up, so there is no burst.

    Attributes:
        rate: Polls a second at present, at most what it was made with; `math.inf` for any number.
        opens_at: When the next poll may start.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.opens_at = -math.inf
        self._most = rate
        self._too_much = rate
        self._slowed_at = -math.inf
        self._steady_until = -math.inf
        self._second = 0
        self._starts = self._starts_before = 0

    def is_at_rest(self, now: float) -> bool:
        """Return whether it is as if nothing had ever started."""
        return self.rate == self._most and self.opens_at <= now

    def start(self, at: float) -> None:
        """Take in that a poll starts *at* this time, or was to: a timer that fires late must not cost any pace."""
        self.opens_at = max(self.opens_at, at) + 1 / self.rate
        second = int(at)
        if second != self._second:
            self._starts_before = self._starts if second == self._second + 1 else 0
            self._second, self._starts = second, 0
        self._starts += 1

    def slow_down(self, now: float) -> None:
        """Take in that the server throttles."""
        if now - self._slowed_at < 1:
            return
        self._too_much = min(self.rate, max(self._starts, self._starts_before, 1))
        self.rate = max(DECREASE * self._too_much, min(LEAST, self._most))
        self._slowed_at, self._steady_until = now, now + 1

    def speed_up(self, now: float) -> None:
        """Take in that the server does not throttle."""
        if self.rate == self._most or now < self._steady_until:
            return
        known = self.rate < self._too_much
        self.rate = min(self.rate + INCREASE * self._too_much if known else 2 * self.rate, self._most)
        self._steady_until = now + 1

    def spread(self, polls: int, seconds: float, now: float) -> None:
        """Take about so many *seconds* to let so many overdue *polls* start; at one a second they are no burst."""
        rate = max(polls / seconds, 1.0)
        if rate <= self.rate:
            self.rate = self._too_much = rate
            self._steady_until = now + seconds
