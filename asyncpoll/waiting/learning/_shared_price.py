"""Find the price of a call that all who share a limited rate of calls poll at. All times are seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from asyncpoll.waiting.learning._learned import Learned

if TYPE_CHECKING:
    from asyncpoll.waiting._decision import Decision

import os
_SHARE = float(os.environ.get("SH","5"))  # of the price, by the number of waits, that one poll moves
_MOST = 0.2
_FITS = 0.9
_LATE = 0.5  # lateness below this is noise


class PriceController:
    """Sets the price of calls, the `scarcity` of a schedule, by what the last polls were worth.

    While the rate is more than enough, every job is polled at its own call cost: a rate is a limit, and does not have
    to be used up. When polls come late they are worth more than that, and calls are scarce: then every job is polled
    when that is worth the price, which is what polls have been worth of late.

    Args:
        learned: The schedule of all who share the rate.
    """

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._price = 0.0
        self._demand = 1.0  # calls that all would make at their own call cost, by those that there are

    @property
    def is_scarce(self) -> bool:
        """Whether calls are scarce."""
        return self._learned.scarcity > 0

    def end(self) -> None:
        """Set no price any more."""
        self._learned.scarcity = 0.0

    def before_poll(self, wait: Decision, now: float, *, waits: int, late: float) -> None:
        """Learn from a poll that is about to be made.

        Args:
            wait: The wait.
            now: The time.
            waits: The number of waits that share the rate.
            late: By about how many seconds polls are late.
        """
        learned = self._learned
        if wait.policy.learning is not learned:
            return
        since, seen = wait.state_since, wait.running_at
        state = None if wait.last is None else wait.last.state.value
        lo = 0.0 if seen is None else max(0.0, seen - since)
        found = learned.worth(lo, max(lo, now - since), state=state, key=wait.pacing_key)
        if found is None:
            return
        worth, own = found
        share = min(_MOST, _SHARE / max(waits, 1))
        self._price += share * (worth - self._price)
        self._demand += share * (math.sqrt(self._price / own) - self._demand)
        if learned.scarcity == 0 and late > _LATE:
            self._demand = max(1.0, self._demand)
        if late > _LATE or (learned.scarcity > 0 and self._demand > _FITS):
            learned.scarcity = self._price
        else:
            learned.scarcity = 0.0
