"""Compute what charts show: bars, curves, and round labels along their axes.

All places and sizes are shares (0 to 1) of the width or the height of a chart; the template draws them.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from asyncpoll.cli._output import duration
from asyncpoll.cli.report._stats import RunVerdict, Timeline
from asyncpoll.cli.report._words import clock, count, date

Tick = tuple[float, str]
"""A place along an axis (0 to 1) and its label."""

_LEAST_PIECE = 0.009  # of the height: a single job among a million is still seen
_MOST_BARS = 40
_WIDE = 50.0  # from this ratio of the largest to the smallest, the axis is logarithmic
_SHORTEST = 0.001  # seconds; shorter durations are in the first bar of a logarithmic axis
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
class Piece:
    """A part of a stacked bar.

    Attributes:
        verdict: The verdict on its jobs.
        jobs: How many they are.
        start: Where it begins.
        size: How long it is.
    """

    verdict: RunVerdict
    jobs: int
    start: float
    size: float


@frozen
class Bar:
    """A bar of a histogram: the values that it stands for, such as "1 s to 2 s", and its jobs by verdict."""

    values: str
    jobs: Counter[RunVerdict]

    @property
    def title(self) -> str:
        """The values and the jobs in words."""
        return f"{self.values}: {in_words(self.jobs)}"


@frozen
class Histogram:
    """Bars of equal width, at least one, from left to right.

    Attributes:
        bars: The bars.
        ticks: The labels below them.
        logarithmic: Whether equal steps along the axis are equal factors.
    """

    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    logarithmic: bool = False

    def grid(self) -> list[Tick]:
        """Return the labels of the scale, from the base line to the top."""
        top, step = self._scale()
        return [(number / top, _short(number)) for number in range(0, top + 1, step)]

    def pieces(self, bar: Bar) -> list[Piece]:
        """Return the pieces of a bar, from the base line up."""
        return stacked(bar.jobs, self._scale()[0], _LEAST_PIECE)

    def _scale(self) -> tuple[int, int]:
        return scale(max(bar.jobs.total() for bar in self.bars))


@frozen
class Curve:
    """A share that falls or rises, and upright lines at events.

    Attributes:
        shares: The share at equal steps along the axis, two at least.
        marks: The place of each upright line, its height, and its meaning.
        ticks: The labels below.
    """

    shares: Sequence[float]
    marks: Sequence[tuple[float, float, str]]
    ticks: Sequence[Tick]

    def grid(self) -> list[Tick]:
        """Return the labels of the scale."""
        return [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")]

    def outline(self, side: int) -> str:
        """Return the points of the curve as a path in a square of this side."""
        steps = len(self.shares) - 1
        return "L".join(f"{side * step / steps:.4g} {side * (1 - share):.0f}" for step, share in enumerate(self.shares))


def in_words(jobs: Mapping[RunVerdict, int]) -> str:
    """Return the jobs by verdict in words."""
    return ", ".join(f"{count(jobs[verdict])} {verdict}" for verdict in RunVerdict if jobs.get(verdict))


def stacked(jobs: Mapping[RunVerdict, int], whole: int, least: float) -> list[Piece]:
    """Return the pieces of a bar that stands for *jobs* of *whole*, each at least *least* long if all fit then."""
    sizes = {verdict: max(jobs[verdict] / whole, least) for verdict in RunVerdict if jobs.get(verdict)}
    shrink = min(1.0, 1.0 / (sum(sizes.values()) or 1.0))
    starts = itertools.accumulate(sizes.values(), initial=0.0)
    return [
        Piece(verdict, jobs[verdict], start * shrink, size * shrink)
        for start, (verdict, size) in zip(starts, sizes.items(), strict=False)
    ]


def scale(most: int) -> tuple[int, int]:
    """Return the top of a scale for numbers up to *most*, and the step between its lines: 1, 2 or 5, and zeros."""
    power = 10 ** max(0, math.floor(math.log10(max(1, most) / 4)))
    step = next(power * base for base in (1, 2, 5, 10) if power * base * 4 >= most)
    return max(1, -(-most // step)) * step, step


def histogram_of_durations(values: Mapping[RunVerdict, Sequence[float]]) -> Histogram:
    """Return the histogram of durations, in seconds; every value is in exactly one bar."""
    low = min((min(sample) for sample in values.values() if sample), default=0.0)
    high = max((max(sample) for sample in values.values() if sample), default=0.0)
    axis = _Axis.over(low, high)
    edges = [axis.value(number / _MOST_BARS) for number in range(_MOST_BARS + 1)]
    # The inner edges alone: rounding may have put a value outside of the outermost bars.
    places = {
        verdict: Counter(bisect_right(edges, value, 1, _MOST_BARS) - 1 for value in sample)
        for verdict, sample in values.items()
    }
    titles = [f"{duration(first)} to {duration(last)}" for first, last in itertools.pairwise(edges)]
    return Histogram(_bars(titles, places), axis.ticks(), axis.logarithmic)


def histogram_of_numbers(values: Mapping[RunVerdict, Counter[int]]) -> Histogram:
    """Return the histogram of whole numbers from 0; every value is in exactly one bar."""
    present = [number for counts in values.values() for number in counts]
    low, high = min(present, default=0), max(present, default=0)
    logarithmic = high >= max(1, low) * _WIDE
    if logarithmic:  # 0, 1, 2, 3, 4, 6, 8, 12, 16, 24 and so on
        starts = sorted({0, *(base << power for base in (1, 3) for power in range(high.bit_length() + 1))})
    else:
        width = (high - low) // _MOST_BARS + 1
        starts = list(range(low, high + width + 1, width))
    starts = starts[bisect_right(starts, low) - 1 : bisect_right(starts, high) + 1]
    places: dict[RunVerdict, Counter[int]] = {verdict: Counter() for verdict in values}
    for verdict, counts in values.items():
        for number, jobs in counts.items():
            places[verdict][bisect_right(starts, number) - 1] += jobs
    titles = [_title(first, after - 1) for first, after in itertools.pairwise(starts)]
    middles = ((number + 0.5) / len(titles) for number in range(len(titles)))
    return Histogram(_bars(titles, places), _spaced(zip(middles, titles, strict=True)), logarithmic)


def histogram_of_times(timeline: Timeline) -> Histogram | None:
    """Return the histogram of the outcomes over time, or None where there are none."""
    bins = list(timeline.bins())
    if not bins:
        return None
    bars = [Bar(f"{date(at)}, {duration(timeline.width)}", jobs) for at, jobs in bins]
    return Histogram(bars, calendar(bins[0][0], bins[-1][0] + timeline.width))


def ages(last: float) -> list[Tick]:
    """Return the labels of an even axis of ages from 0 to *last* seconds, above 0."""
    return _Axis(0.0, last, logarithmic=False).ticks()


def calendar(first: float, last: float) -> list[Tick]:
    """Return the labels of an axis of time from *first* to *last*, in seconds of Unix time."""
    span = last - first
    moments = _multiples(max(1.0, _step(span)), first, last)
    return _spaced(((at - first) / span, clock(at, span)) for at in moments) or [(0.0, clock(first, span))]


def _bars(titles: Sequence[str], places: Mapping[RunVerdict, Counter[int]]) -> list[Bar]:
    """Return a bar for each title, with the jobs of each verdict at its place."""
    return [
        Bar(title, +Counter({verdict: counts[place] for verdict, counts in places.items()}))
        for place, title in enumerate(titles)
    ]


def _title(first: int, last: int) -> str:
    return count(first) if first == last else f"{count(first)}-{count(last)}"


def _short(number: int) -> str:
    """Return a number in at most five characters."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= 10 * size or (number >= size and number % size == 0):
            return f"{number / size:g}{unit}"
    return count(number)


def _spaced(ticks: Iterable[Tick]) -> list[Tick]:
    """Return the ticks without those that are too close to the one before."""
    kept: list[Tick] = []
    for place, label in ticks:
        if not kept or place >= kept[-1][0] + _CLOSEST:
            kept.append((place, label))
    return kept


def _step(span: float) -> float:
    """Return the least round duration that fits at most five times into *span*, in seconds."""
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
        # A span that begins well above 0 is shown by itself; equal values get an axis all the same.
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

    def ticks(self) -> list[Tick]:
        """Return round values, or both ends where there are fewer than two of them."""
        round_values = (
            [value for value in _ROUND if self.low <= value <= self.high]
            if self.logarithmic
            else _multiples(_step(self.high - self.low), self.low, self.high)
        )
        ticks = _spaced((self.place(value), duration(value)) for value in round_values)
        return ticks if len(ticks) > 1 else [(0.0, duration(self.low)), (1.0, duration(self.high))]
