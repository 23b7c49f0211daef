"""Apply what a schedule learns to all waits of a hub: one price where calls are scarce, and better plans in time."""

from __future__ import annotations

import asyncio
import math
from contextvars import Context

from asyncpoll.waiting._emission import Counters
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.scheduler._batcher import Batcher
from asyncpoll.waiting.scheduler._dispatcher import Dispatcher
from asyncpoll.waiting.scheduler._targets import Target, Wait, WaitRegistry

_SHARE, _MOST_SHARE = 3.0, 0.2  # of the price, by the number of waits, that one poll moves; and at most
_FITS = 0.6  # of the calls that there are; if all would make fewer, calls are not scarce any more
_LATE = 0.5  # lateness below this is noise
_MOST_PLANNED, _AT_ONCE = 10_000, 100  # waits that are planned anew, and without a break
_REST = 0.25  # seconds from one time to the next, however many kinds of jobs there are


class PriceController:
    """Sets the price of calls, the `scarcity` of a schedule, while calls are scarce.

    While the rate is more than enough, every job is polled at its own call cost: a rate is a limit, and does not have
    to be used up. When polls come late, calls are scarce. Then every job is polled when that is worth the price, which
    is what polls have been worth of late: if they come later, they are worth more, and the price rises.

    Args:
        learned: The schedule of all who share the rate.
    """

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._price = 0.0
        self._demand = 1.0  # the calls that all would make at their own call cost, by those that there are

    def update(self, worth: tuple[float, float] | None, *, waits: int, rate: float, late: float) -> bool:
        """Learn from a poll that is about to be made; return whether calls are scarce.

        Args:
            worth: What it is worth, and the call cost of its job if calls were not scarce, in seconds above 0; None if
                that is not known.
            waits: The number of waits that share the rate.
            rate: The calls a second that there are.
            late: By about how many seconds polls are late.
        """
        was_scarce = self._learned.scarcity > 0
        if worth is None:
            return was_scarce
        share = min(_MOST_SHARE, _SHARE / max(waits, 1))
        self._price += share * (worth[0] - self._price)
        # Where each job is polled at its own call cost, calls go with the inverse square root of that.
        self._demand += share * (math.sqrt(self._price / worth[1]) - self._demand)
        if late > _LATE and not was_scarce:
            self._demand = max(1.0, self._demand)
        is_scarce = late > _LATE or (was_scarce and self._demand > _FITS)
        self._learned.set_scarcity(self._price if is_scarce else 0.0, turn=waits / rate)
        return is_scarce


class Pacer:
    """Keeps the polls of a hub in line with what its schedule has learned.

    Args:
        learned: The schedule of the hub.
        dispatcher: Starts the polls.
        batcher: Knows what is polled for each wait.
        registry: The jobs that are awaited.
        counters: Those of the hub.
        context: The context variables in which waits are planned anew.

    Attributes:
        learned: The schedule of the hub.
    """

    def __init__(
        self,
        learned: Learned,
        *,
        dispatcher: Dispatcher,
        batcher: Batcher,
        registry: WaitRegistry,
        counters: Counters,
        context: Context,
    ) -> None:
        self.learned = learned
        self._dispatcher = dispatcher
        self._batcher = batcher
        self._registry = registry
        self._counters = counters
        self._context = context
        self._prices = PriceController(learned)
        self._next: asyncio.Handle | None = None  # of the waits that are planned anew
        self._planned_at = -math.inf

    def before_poll(self, target: Target) -> None:
        """Set the price of calls by a poll that is about to be made, under a rate that is above 0."""
        if isinstance(target, Wait):
            rate = self._dispatcher.rate
            worth, late = target.worth(self.learned, self._dispatcher.now()), self._dispatcher.overdue()
            waits = self._counters.pending
            self._dispatcher.is_eager = self._prices.update(worth, waits=waits, rate=rate, late=late)

    def plan_anew(self) -> None:
        """Plan waits anew soon, since a poll has shown much about their jobs: the first ends of a kind do."""
        if self._next is None:
            at = max(self._dispatcher.now(), self._planned_at + _REST)
            self._next = asyncio.get_running_loop().call_at(at, self._plan_all, context=self._context)

    def _plan_all(self) -> None:
        news, is_scarce = self.learned.take_news(), self.learned.scarcity > 0  # then the price decides who comes first
        waits = [] if is_scarce else self._registry.sample(_MOST_PLANNED)
        self._plan_some([wait for wait in waits if wait.others is None and wait.pacing_key in news])

    def _plan_some(self, waits: list[Wait]) -> None:
        """Plan some waits anew, and the others when the event loop has done what else there is to do."""
        now = self._dispatcher.now()
        for wait in waits[:_AT_ONCE]:
            if wait.sink is not None and (due := wait.planned_anew(self.learned, now)) < wait.due:
                self._batcher.hasten(wait, due)
        if left := waits[_AT_ONCE:]:
            self._next = asyncio.get_running_loop().call_soon(self._plan_some, left, context=self._context)
        else:
            self._next, self._planned_at = None, now
