"""Where calls are scarce, they should go where they buy the most: so they are given a price."""

from __future__ import annotations

import math
from collections.abc import Callable

from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.learning._shared_price import SharedPrice

_EVERY = 1.0  # seconds between two looks
_LONGEST = 10.0  # seconds of which one look can tell
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
        self._polls = 0  # by then

    def look(self, now: float, late: Callable[[], float], waits: int, polls: int) -> None:
        """Take in how it goes; make the price anew if a second has passed.

        Args:
            now: The time.
            late: Says by about how many seconds the polls that are due are late.
            waits: How many share the rate.
            polls: The polls made so far.
        """
        passed = now - self._looked_at
        if passed < _EVERY:
            return
        made, seconds = polls - self._polls, min(passed, _LONGEST)
        self._looked_at, self._polls = now, polls
        lateness = late() or min(0.0, made / self._rate - seconds)  # the rest of the time has been left unused
        price = self._price.after(seconds, late=lateness, rate=self._rate, waits=waits)
        self._price = SharedPrice(max(_LEAST_LEVEL, price.level))
        self._learned.scarcity = self._price.call_cost(lateness)
