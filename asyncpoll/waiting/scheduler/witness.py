"""What a wait takes in, and what an observer is told about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncpoll import events
from asyncpoll.waiting import _emission
from asyncpoll.waiting._decision import Decision
from asyncpoll.waiting._misses import without_traces


class Witness:
    """Sees to it that an observer is told whatever a wait takes in.

    Args:
        observe: The observer, or None; then no event is even made.
    """

    def __init__(self, observe: events.Observer | None) -> None:
        self._observe = observe

    def take_in(self, wait: Decision, seen: Any, kept: Any, now: float) -> bool:
        """Let *wait* take in what a poll saw; return whether it is over.

        Args:
            wait: The wait.
            seen: A snapshot, or the error that came instead.
            kept: What the wait is to keep of it.
            now: When it came.

        Raises:
            Exception: What ends the wait: the error, or that what was seen is no snapshot.
        """
        if isinstance(seen, Exception):
            wait.missed(seen, now)
            without_traces(seen)  # as many waits keep their last miss as there are, through a whole outage
            self._tell(_emission.after_miss(wait, seen, now))
            return False
        before, over = wait.last, wait.saw(kept, now)
        self._tell(_emission.after_poll(wait, before, seen, now))
        return over

    def end(self, wait: Decision, error: BaseException | None, now: float) -> None:
        """Tell that *wait* is over: with its last snapshot, or with *error*."""
        self._tell(_emission.at_end(wait, error, now))

    def _tell(self, happened: Iterable[events.Event]) -> None:
        if self._observe is not None:
            for event in happened:
                events.tell(self._observe, event)
