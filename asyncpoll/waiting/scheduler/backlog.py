"""What is due and has not started: a queue that may be left from the middle."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

_SPARE = 16  # entries that are not worth a sweep


class Queued(Protocol):
    """Anything with a slot that says whether it stands in the queue; only the queue writes it."""

    queued: bool


Item = TypeVar("Item", bound=Queued)


class Backlog(Generic[Item]):
    """Items first come first served. One that leaves and soon comes back finds its old place.

    An item that leaves stays behind as an entry that is passed over; when these are the greater part, they are swept.
    """

    def __init__(self) -> None:
        self._entries: deque[Item] = deque()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def append(self, item: Item) -> None:
        """Let *item*, which is not in the queue, stand at its end."""
        item.queued = True
        self._waiting += 1
        self._entries.append(item)
        if len(self._entries) > 2 * self._waiting + _SPARE:
            self._entries = deque(dict.fromkeys(item for item in self._entries if item.queued))

    def leave(self, item: Item) -> None:
        """Let *item*, which is in the queue, go."""
        item.queued = False
        self._waiting -= 1
        if not self._waiting:
            self._entries.clear()

    def popleft(self) -> Item:
        """Take the first item out and return it.

        Raises:
            IndexError: The queue is empty.
        """
        item = self._entries.popleft()
        while not item.queued:
            item = self._entries.popleft()
        self.leave(item)
        return item
