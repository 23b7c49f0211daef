"""Control the call cost that all who share a limited rate of calls plan with. All times are seconds."""

from __future__ import annotations

import math
from collections.abc import Callable

from attrs import field, frozen

from asyncpoll._schedule import DURATION
from asyncpoll.waiting.learning._learned import Learned

_LATE = 0.5  # lateness below this is noise
_IDLE = 0.1  # and so is idleness below this
_PROMPT = 5.0  # lateness that doubles the price until the level has followed
_SLUGGISH = 2.0  # a level that follows any faster oscillates
_LEAST, _MOST = 1e-3, 86_400.0
_PERIOD = 1.0  # seconds between two updates
_LONGEST = 10.0  # seconds for which one update can speak
_LEAST_LEVEL = 0.3  # from a lower level it would take too long to rise when calls become scarce


@frozen
class SharedPrice:
    """The common call cost: a level that follows slowly, as an integral controller, times a prompt answer to lateness.

    Attributes:
        level: The call cost when polls are in time.
    """

    level: float = field(default=1.0, validator=DURATION)

    def call_cost(self, late: float) -> float:
        """Return the call cost while the poll that is due next is *late*; below 0 is not late."""
        return self.level * (1 + max(0.0, late) / _PROMPT)

    def after(self, seconds: float, *, late: float, rate: float, waits: int) -> SharedPrice:
        """Return the price some seconds later.

        Args:
            seconds: The time for which the other arguments have held.
            late: The lateness of the poll that is due next; below 0 the time for which the rate was left unused.
            rate: The calls a second that there are.
            waits: The number of waits that share them: with more it takes longer until all plan at the new price.
        """
        direction = (late > _LATE) - (late < -_IDLE)
        gain = direction * rate / (_SLUGGISH * max(waits, rate))
        return SharedPrice(min(max(_LEAST, self.level * math.exp(gain * seconds)), _MOST))


class PriceController:
    """Sets the least call cost of a schedule, its `scarcity`, by the lateness of the polls of a hub.

    While the rate is more than enough, every job is polled at its own call cost: a rate is a limit, and does not have
    to be used up.

    Args:
        learned: The schedule of all who share the rate.
        rate: The polls a second that there are.
    """

    def __init__(self, learned: Learned, rate: float) -> None:
        self._learned = learned
        self._rate = rate
        self._price = SharedPrice()
        self._updated_at = -math.inf
        self._polls = 0  # by then

    def end(self) -> None:
        """Set no price any more."""
        self._learned.scarcity = 0.0

    def update(self, now: float, late: Callable[[], float], waits: int, polls: int) -> None:
        """Set the price anew if a second has passed.

        Args:
            now: The time.
            late: A function that returns by about how many seconds the polls that are due are late.
            waits: The number of waits that share the rate.
            polls: The number of polls made so far.
        """
        passed = now - self._updated_at
        if passed < _PERIOD:
            return
        made, seconds = polls - self._polls, min(passed, _LONGEST)
        self._updated_at, self._polls = now, polls
        lateness = late() or min(0.0, made / self._rate - seconds)  # the rest of the time was left unused
        price = self._price.after(seconds, late=lateness, rate=self._rate, waits=waits)
        self._price = SharedPrice(max(_LEAST_LEVEL, price.level))
        self._learned.scarcity = self._price.call_cost(lateness)
