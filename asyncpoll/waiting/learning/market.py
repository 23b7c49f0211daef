"""Where calls are scarce, they should go where they buy the most: so they are given a price."""

from __future__ import annotations

import math
from collections.abc import Callable

from asyncpoll.waiting.learning.learned import Learned
from asyncpoll.waiting.learning.price import SharedPrice

_EVERY = 1.0  # seconds between two looks
_LEAST_LEVEL = 0.3  # seconds of delay: from less it would take too long to rise when calls become scarce


class Market:
    """Sets the least price of a call for all who share a rate, by how late their polls are.

    While the rate is more than enough, every job is polled as if it had it to itself, at its own price: a rate is a
    limit, and does not have to be used up.

    Args:
        learned: The schedule of those who share the rate.
        rate: The polls a second that there are.
    """

    def __init__(self, learned: Learned, rate: float) -> None:
        self._learned = learned
        self._rate = rate
        self._price = SharedPrice()
        self._looked_at = -math.inf

    def look(self, now: float, late: Callable[[float], float], waits: int) -> None:
        """Take in how it goes; make the price anew if a second has passed.

        Args:
            now: The time.
            late: By about how many seconds the polls are late at this time; below 0, for how long none has been due.
            waits: How many share the rate.
        """
        seconds = min(now - self._looked_at, _EVERY * 2)
        if seconds < _EVERY:
            return
        self._looked_at, lateness = now, late(now)
        price = self._price.after(seconds, late=lateness, rate=self._rate, waits=waits)
        self._price = SharedPrice(max(_LEAST_LEVEL, price.level))
        self._learned.scarcity = self._price.call_cost(lateness)
