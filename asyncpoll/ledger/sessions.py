"""For how long a process was at a ledger: what counts as waited, and what does not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from attrs import define, field


@define
class Lifetime:
    """The sessions of a ledger one after the other, in seconds of Unix time.

    A wall clock that was put back would make sessions overlap. Then the part of a session before the end of the one
    before it does not count, so that no second counts twice.
    """

    _starts: list[float] = field(factory=list, init=False)
    _ends: list[float] = field(factory=list, init=False)
    _before: list[float] = field(factory=list, init=False)  # seconds alive in all sessions before

    @classmethod
    def of(cls, sessions: Iterable[tuple[float, float]]) -> Lifetime:
        """Return the lifetime that is made of *sessions*: when each began and until when it was alive."""
        lifetime = cls()
        end = before = 0.0
        for began_at, alive_until in sessions:
            start = max(began_at, end)
            end = max(alive_until, start)
            lifetime._starts.append(start)
            lifetime._ends.append(end)
            lifetime._before.append(before)
            before += end - start
        return lifetime

    def between(self, since: float, until: float) -> float:
        """Return for how many seconds between the two times a process was at it."""
        return max(0.0, self._alive(until) - self._alive(since))

    def _alive(self, at: float) -> float:
        last = bisect_right(self._starts, at) - 1
        if last < 0:
            return 0.0
        return self._before[last] + min(at, self._ends[last]) - self._starts[last]
