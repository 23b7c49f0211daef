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
    """Anything with a slot for its due time, in seconds on the event loop's clock; the agenda writes it."""

    due: float


Item = TypeVar("Item", bound=Due)


class Agenda(Generic[Item]):
    """Items by due time; of those due at the same time, first come first served.

    To take an item off, set its `due` to `NEVER`; to move it, put it again. What is out of date is passed over.
    """

    def __init__(self) -> None:
        self._near: list[tuple[float, int, Item]] = []
        self._far: dict[int, list[Item]] = {}
        self._seconds: list[int] = []
        self._reached = -1
        self._order = itertools.count()

    def put(self, item: Item, due: float) -> None:
        """Put *item* on the agenda at *due*, wherever it stood before; at `NEVER`, take it off."""
        item.due = due
        if due == NEVER:
            return
        second = int(due)
        if second <= self._reached:
            heapq.heappush(self._near, (due, next(self._order), item))
        elif second in self._far:
            self._far[second].append(item)
        else:
            self._far[second] = [item]
            heapq.heappush(self._seconds, second)

    def next_due(self) -> float:
        """Return when the first item is due, or `NEVER`."""
        near = self._near
        while True:
            while near and near[0][2].due != near[0][0]:
                heapq.heappop(near)
            if near:
                return near[0][0]
            if not self._seconds:
                return NEVER
            self._reach(heapq.heappop(self._seconds))

    def pop(self) -> Item:
        """Take the first item off and return it; `next_due` must have been asked just before."""
        item = heapq.heappop(self._near)[2]
        item.due = NEVER
        return item

    def _reach(self, second: int) -> None:
        self._reached = second
        items = [item for item in self._far.pop(second) if second <= item.due < second + 1]
        self._near.extend((item.due, next(self._order), item) for item in items)
        heapq.heapify(self._near)
