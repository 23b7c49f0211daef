"""What is due when: one heap of due times for any number of waits.

A million waits, most of them far from due, must not cost a million heap entries. So only what is due within the
current second stands in the heap; everything later lies in a bucket for its second, a plain list, and the heap of
buckets has one entry a second.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Generic, Protocol, TypeVar

NEVER = math.inf
"""The due time of an item that is not on the agenda."""


class Due(Protocol):
    """Anything with a slot for its due time, in seconds on the event loop's clock; only the agenda writes it."""

    due: float


Item = TypeVar("Item", bound=Due)


class Agenda(Generic[Item]):
    """Items by due time; of those due at the same time, first come first served.

    An item that is moved or removed leaves its old entry behind, which is passed over when its time comes. A bucket
    in which such entries are the greater part is swept, so that what keeps moving does not pile up far ahead.
    """

    def __init__(self) -> None:
        self._near: list[tuple[float, int, Item]] = []
        self._far: dict[int, list[Item]] = {}
        self._outdated: dict[int, int] = {}
        self._seconds: list[int] = []
        self._reached = -1
        self._order = itertools.count()

    def put(self, item: Item, due: float) -> None:
        """Put *item* on the agenda at *due*, wherever it stood before; at `NEVER`, take it off."""
        if item.due != NEVER:
            self.remove(item)
        if due == NEVER:
            return
        item.due = due
        second = int(due)
        if second <= self._reached:
            heapq.heappush(self._near, (due, next(self._order), item))
        elif second in self._far:
            self._far[second].append(item)
        else:
            self._far[second] = [item]
            heapq.heappush(self._seconds, second)

    def remove(self, item: Item) -> None:
        """Take *item* off, if it is on."""
        due, item.due = item.due, NEVER
        if due == NEVER or int(due) <= self._reached:
            return
        second, bucket = int(due), self._far[int(due)]
        self._outdated[second] = self._outdated.get(second, 0) + 1
        if 2 * self._outdated[second] > len(bucket):
            bucket[:] = self._up_to_date(second, bucket)
            self._outdated[second] = 0

    def next_due(self) -> float:
        """Return when to look again: when the first item is due, or when the second begins in which it is."""
        near = self._near
        while near and near[0][2].due != near[0][0]:
            heapq.heappop(near)
        if near:
            return near[0][0]
        return self._seconds[0] if self._seconds else NEVER

    def pop(self, now: float) -> Item | None:
        """Take the first item that is due by *now* off and return it, or None when nothing is."""
        while self._seconds and self._seconds[0] <= now:
            self._reach(heapq.heappop(self._seconds))
        if self.next_due() > now:
            return None
        item = heapq.heappop(self._near)[2]
        item.due = NEVER
        return item

    def _reach(self, second: int) -> None:
        self._reached = second
        self._outdated.pop(second, None)
        items = self._up_to_date(second, self._far.pop(second))
        self._near.extend((item.due, next(self._order), item) for item in items)
        heapq.heapify(self._near)

    @staticmethod
    def _up_to_date(second: int, bucket: list[Item]) -> list[Item]:
        """Return what is still due in this second, each item once: it may have left and come back."""
        return list(dict.fromkeys(item for item in bucket if second <= item.due < second + 1))
