"""What need not be written at once: the newest of each goes with the next group."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from asyncpoll.ledger.store import Store, Work
from asyncpoll.waiting._decision import WaitCheckpoint


class Notes:
    """How far unfinished waits and consumers have come.

    Args:
        clock: The time of day in seconds of Unix time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pasts: dict[int, tuple[int, float, WaitCheckpoint]] = {}
        self._places: dict[str, int] = {}

    def past(self, number: int, past: WaitCheckpoint) -> None:
        """Note what is known of the unfinished wait for the job of entry *number*."""
        self._pasts[number] = (number, self._clock(), past)

    def position(self, consumer: str, seq: int) -> None:
        """Note that a consumer has dealt with all outcomes up to *seq*."""
        self._places[consumer] = seq

    def work(self) -> list[Work]:
        """Return the work that writes what has been noted, and begin anew."""
        pasts, places = [self._pasts[number] for number in sorted(self._pasts)], list(self._places.items())
        self._pasts.clear()
        self._places.clear()
        work: list[Work] = [partial(Store.note, pasts=pasts)] if pasts else []
        return [*work, *(partial(Store.place, consumer=consumer, seq=seq) for consumer, seq in places)]
