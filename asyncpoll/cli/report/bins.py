"""Histograms: which bars to draw for many values, and where to write what along the axis."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from asyncpoll.cli.report.verdict import Verdict
from asyncpoll.cli.report.words import clock, count, duration

Stack = Counter[Verdict]
"""A bar: how many jobs of each verdict it stands for."""

_MOST_BARS = 40
_WIDE = 50.0  # from this ratio of the largest to the smallest, the axis is logarithmic
_SHORTEST = 0.001  # seconds; what is shorter stands in the first bar of a logarithmic axis
_MOST_STEPS = 5  # from label to label of an even axis
_CLOSEST = 0.13  # of the axis, from the middle of one label to the next
_ROUND = tuple(
    base * unit
    for unit, bases in (
        (0.001, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (1, (1, 2, 5, 10, 20, 30)),
        (60, (1, 2, 5, 10, 20, 30)),
        (3_600, (1, 2, 4, 12)),
        (86_400, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)),
    )
    for base in bases
)
"""Durations that people call round, in seconds."""


@frozen
class Bar:
    """One bar of a chart.

    Attributes:
        title: What it stands for, such as "1 s to 2 s".
        stack: How many jobs of each verdict.
    """

    title: str
    stack: Stack


@frozen
class Histogram:
    """Bars of equal width, and the labels below them.

    Attributes:
        bars: From left to right.
        ticks: Where along the axis (0 to 1) to write what.
        logarithmic: Whether equal steps along the axis are equal factors.
    """

    bars: Sequence[Bar]
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool


def durations(values: Mapping[Verdict, Sequence[float]]) -> Histogram:
    """Return the histogram of durations, in seconds; every value is in exactly one bar."""
    low = min((min(sample) for sample in values.values() if sample), default=0.0)
    high = max((max(sample) for sample in values.values() if sample), default=0.0)
    axis = _Axis.over(low, high)
    edges = [axis.value(number / _MOST_BARS) for number in range(_MOST_BARS + 1)]
    places = {verdict: Counter(_place(edges, value) for value in sample) for verdict, sample in values.items()}
    titles = (f"{duration(first)} to {duration(last)}" for first, last in itertools.pairwise(edges))
    return Histogram(_bars(titles, places), axis.ticks(), logarithmic=axis.logarithmic)


def numbers(values: Mapping[Verdict, Counter[int]]) -> Histogram:
    """Return the histogram of whole numbers from 0; every value is in exactly one bar."""
    present = [number for counts in values.values() for number in counts]
    low, high = min(present, default=0), max(present, default=0)
    logarithmic = high >= max(1, low) * _WIDE
    starts = list(_growing(high) if logarithmic else _even(low, high))
    starts = starts[bisect_right(starts, low) - 1 : bisect_right(starts, high) + 1]
    places = {verdict: _summed(starts, counts) for verdict, counts in values.items()}
    titles = [_title(first, after - 1) for first, after in itertools.pairwise(starts)]
    middles = ((number + 0.5) / len(titles) for number in range(len(titles)))
    return Histogram(_bars(titles, places), _spread(zip(middles, titles, strict=True)), logarithmic=logarithmic)


def ages(last: float) -> list[tuple[float, str]]:
    """Return the labels of an even axis of ages, from 0 to *last* seconds, above 0."""
    return _Axis(0.0, last, logarithmic=False).ticks()


def calendar(first: float, last: float) -> list[tuple[float, str]]:
    """Return the labels of an axis of time, from *first* to *last* in seconds of Unix time."""
    span = last - first
    moments = _multiples(max(1.0, _step(span)), first, last)
    return _spread(((at - first) / span, clock(at, span)) for at in moments) or [(0.0, clock(first, span))]


def _bars(titles: Iterable[str], places: Mapping[Verdict, Counter[int]]) -> list[Bar]:
    """Return a bar for each title, with the jobs of each verdict that have their place there."""
    stacks = (
        Stack({verdict: counts[place] for verdict, counts in places.items() if counts[place]})
        for place in itertools.count()
    )
    return [Bar(title, stack) for title, stack in zip(titles, stacks, strict=False)]


def _place(edges: Sequence[float], value: float) -> int:
    """Return the number of the bar that *value* is in; what rounding has put outside is in the outermost."""
    return bisect_right(edges, value, 1, len(edges) - 1) - 1


def _summed(starts: Sequence[int], counts: Counter[int]) -> Counter[int]:
    summed: Counter[int] = Counter()
    for number, jobs in counts.items():
        summed[bisect_right(starts, number) - 1] += jobs
    return summed


def _even(low: int, high: int) -> Iterable[int]:
    """Return where each bar begins and the last one ends, for bars of one width."""
    width = (high - low) // _MOST_BARS + 1
    return range(low, high + width + 1, width)


def _growing(high: int) -> Iterator[int]:
    """Yield the same for bars that grow: 0, 1, 2, 3, 4 and 5, 6 and 7, 8 to 11, 12 to 15, 16 to 23 and so on."""
    yield from (0, 1, 2)
    start = 2
    while start <= high:
        yield from (start + start // 2, start * 2)
        start *= 2


def _title(first: int, last: int) -> str:
    return count(first) if first == last else f"{count(first)}-{count(last)}"


def _spread(ticks: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    """Leave out ticks that would stand too close to the one before."""
    kept: list[tuple[float, str]] = []
    for place, label in ticks:
        if not kept or place >= kept[-1][0] + _CLOSEST:
            kept.append((place, label))
    return kept


def _step(span: float) -> float:
    """Return the least round duration that goes at most five times into *span*, in seconds."""
    return next((step for step in _ROUND if step * _MOST_STEPS >= span), span / _MOST_STEPS)


def _multiples(step: float, low: float, high: float) -> list[float]:
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


@frozen
class _Axis:
    """An axis of durations, in seconds; places along it go from 0 to 1."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def over(cls, low: float, high: float) -> _Axis:
        """Return the axis for values from *low* to *high*."""
        floor = max(low, _SHORTEST)
        if high >= floor * _WIDE:
            return cls(floor, high, logarithmic=True)
        # A span that begins well above nought is shown by itself; equal values get an axis all the same.
        start = 0.0 if low < high / 2 else low
        return cls(start, high if high > start else start + 1.0, logarithmic=False)

    def value(self, place: float) -> float:
        """Return the value at a place."""
        if self.logarithmic:
            return self.low * math.pow(self.high / self.low, place)
        return self.low + (self.high - self.low) * place

    def place(self, value: float) -> float:
        """Return the place of a value."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return round values, or the ends where there are no two of them."""
        ticks = _spread((self.place(value), duration(value)) for value in self._round_values())
        return ticks if len(ticks) > 1 else [(0.0, duration(self.low)), (1.0, duration(self.high))]

    def _round_values(self) -> Iterable[float]:
        if self.logarithmic:
            return [value for value in _ROUND if self.low <= value <= self.high]
        return _multiples(_step(self.high - self.low), self.low, self.high)
