"""A queue of timers for any number of targets.

A million waits, most of them far from due, must not cost a million heap entries. So only what is due within the
current second is in the heap; everything later is in a bucket for its second, a plain list, and the heap of buckets
has one entry a second.
"""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, Protocol, TypeVar

from asyncpoll.waiting._decision import NEVER


class Timed(Protocol):
    """Anything with a slot for the time of its timer, on the event loop's clock; only the queue writes it."""

    due: float


Item = TypeVar("Item", bound=Timed)


class TimerQueue(Generic[Item]):
    """Items by the time of their timers, one each; at the same time first in, first out.

    An item that is moved or removed leaves its old entry behind, which is skipped when its time comes. A bucket in
    which such entries are the greater part is swept, so that items which keep moving do not pile up far ahead.
    """

    def __init__(self) -> None:
        self._near: list[tuple[float, int, Item]] = []
        self._far: dict[int, list[Item]] = {}
        self._stale: dict[int, int] = {}
        self._seconds: list[int] = []
        self._current = -1
        self._order = itertools.count()

    def put(self, item: Item, due: float) -> None:
        """Set the timer of *item* to *due*, whatever it was before; `NEVER` removes it."""
        if item.due != NEVER:
            self.remove(item)
        if due == NEVER:
            return
        item.due = due
        second = int(due)
        if second <= self._current:
            heapq.heappush(self._near, (due, next(self._order), item))
        elif second in self._far:
            self._far[second].append(item)
        else:
            self._far[second] = [item]
            heapq.heappush(self._seconds, second)

    def remove(self, item: Item) -> None:
        """Remove the timer of *item*, if it has one."""
        due, item.due = item.due, NEVER
        if due == NEVER or int(due) <= self._current:
            return
        second, bucket = int(due), self._far[int(due)]
        self._stale[second] = self._stale.get(second, 0) + 1
        if 2 * self._stale[second] > len(bucket):
            bucket[:] = self._still_due(second, bucket)
            self._stale[second] = 0

    def next_due(self) -> float:
        """Return when to call `pop_due` next: when the first timer is due, or when its second begins."""
        near = self._near
        while near and near[0][2].due != near[0][0]:
            heapq.heappop(near)
        if near:
            return near[0][0]
        return self._seconds[0] if self._seconds else NEVER

    def head(self) -> Item | None:
        """Return the item whose timer is due first, or None."""
        while self.next_due() < NEVER and not self._near:
            self._enter(heapq.heappop(self._seconds))
        return self._near[0][2] if self._near else None

    def pop_due(self, now: float, most: int) -> list[Item]:
        """Remove and return the items whose timers are due by *now*, at most so many, in their order."""
        while self._seconds and self._seconds[0] <= now:
            self._enter(heapq.heappop(self._seconds))
        near, due = self._near, list[Item]()
        while near and near[0][0] <= now and len(due) < most:
            at, _, item = heapq.heappop(near)
            if item.due == at:
                item.due = NEVER
                due.append(item)
        return due

    def _enter(self, second: int) -> None:
        self._current = second
        self._stale.pop(second, None)
        items = self._still_due(second, self._far.pop(second))
        self._near.extend((item.due, next(self._order), item) for item in items)
        heapq.heapify(self._near)

    @staticmethod
    def _still_due(second: int, bucket: list[Item]) -> list[Item]:
        """Return the items that are still due in this second, each once: one may have been removed and set again."""
        return list(dict.fromkeys(item for item in bucket if second <= item.due < second + 1))
