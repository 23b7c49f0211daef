"""Set the price of a call for all who share a limited rate of calls, by what the last polls were worth, in seconds."""

from __future__ import annotations

import math

from asyncpoll.waiting.learning._learned import Learned

_SHARE, _MOST_SHARE = 5.0, 0.2  # of the price, by the number of waits, that one poll moves; and at most
_FITS = 0.6  # of the calls that there are; if all would make fewer, calls are not scarce any more
_LATE = 0.5  # lateness below this is noise


class PriceController:
    """Sets the price of calls, the `scarcity` of a schedule, while calls are scarce.

    While the rate is more than enough, every job is polled at its own call cost: a rate is a limit, and does not have
    to be used up. When polls come late, calls are scarce. Then every job is polled when that is worth the price, which
    is what polls have been worth of late: if they come later, they are worth more, and the price rises.

    Args:
        learned: The schedule of all who share the rate.

    Attributes:
        learned: The same.
    """

    def __init__(self, learned: Learned) -> None:
        self.learned = learned
        self._price = 0.0
        self._demand = 1.0  # the calls that all would make at their own call cost, by those that there are

    def end(self) -> None:
        """Set no price any more."""
        self.learned.scarcity = 0.0

    def update(self, worth: tuple[float, float] | None, *, waits: int, late: float) -> bool:
        """Learn from a poll that is about to be made; return whether calls are scarce.

        Args:
            worth: What it is worth, and the call cost of its job if calls were not scarce, above 0; None if that is
                not known.
            waits: The number of waits that share the rate.
            late: By about how many seconds polls are late.
        """
        was_scarce = self.learned.scarcity > 0
        if worth is None:
            return was_scarce
        share = min(_MOST_SHARE, _SHARE / max(waits, 1))
        self._price += share * (worth[0] - self._price)
        # Where each job is polled at its own call cost, calls go with the inverse square root of that.
        self._demand += share * (math.sqrt(self._price / worth[1]) - self._demand)
        if late > _LATE and not was_scarce:
            self._demand = max(1.0, self._demand)
        is_scarce = late > _LATE or (was_scarce and self._demand > _FITS)
        self.learned.scarcity = self._price if is_scarce else 0.0
        return is_scarce
