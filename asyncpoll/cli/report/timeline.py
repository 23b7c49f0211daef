"""When jobs ended: counts over time, in bins that widen as the time span grows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from attrs import define, field

from asyncpoll.cli.report.verdict import Verdict

MOST_BINS = 160
LAST_MOMENT = 253_402_300_799.0
"""The end of the year 9999 in seconds of Unix time, the last that a calendar date can name."""

_TENTHS = (1, 2, 10, 20, 100, 300, 600, 3_000, 6_000, 18_000, 36_000, 72_000, 216_000, 432_000, 864_000)


def moment(at: float) -> float:
    """Return *at*, in seconds of Unix time, moved to between 1970 and 9999; what is no number becomes 1970."""
    return min(max(0.0, at), LAST_MOMENT)


@define
class Timeline:
    """Outcomes by time and verdict, in at most 160 bins however many come and in whatever order.

    The width is a round number of tenths of a second. Each width is a multiple of the one before, so that bins are
    merged and never split: the counts are those that binning everything at the end would give.
    """

    _level: int = 0
    _bins: dict[int, Counter[Verdict]] = field(factory=dict)

    def add(self, at: float, verdict: Verdict) -> None:
        """Count an outcome at *at*, in seconds of Unix time."""
        place = math.floor(moment(at) * 10) // self._tenths
        if place not in self._bins:
            self._bins[place] = Counter()
            while max(self._bins) - min(self._bins) >= MOST_BINS:
                place = self._widen(place)
        self._bins[place][verdict] += 1

    @property
    def width(self) -> float:
        """The width of a bin, in seconds."""
        return self._tenths / 10

    def bins(self) -> Iterator[tuple[float, Counter[Verdict]]]:
        """Yield when each bin begins, in seconds of Unix time, and its counts; empty ones between others too."""
        if self._bins:
            for place in range(min(self._bins), max(self._bins) + 1):
                yield place * self._tenths / 10, self._bins.get(place, Counter())

    @property
    def _tenths(self) -> int:
        beyond = max(0, self._level - len(_TENTHS) + 1)
        return _TENTHS[self._level - beyond] << beyond

    def _widen(self, place: int) -> int:
        """Go to the next width and return where *place* is now."""
        narrow = self._tenths
        self._level += 1
        factor = self._tenths // narrow
        merged: dict[int, Counter[Verdict]] = {}
        for old, counts in self._bins.items():
            merged.setdefault(old // factor, Counter()).update(counts)
        self._bins = merged
        return place // factor
