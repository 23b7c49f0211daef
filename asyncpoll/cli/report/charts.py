"""Charts as inline SVG. They are drawn in percent of the width of the page, so that text keeps its size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from attrs import frozen

from asyncpoll.cli.report.bins import Bar, Stack
from asyncpoll.cli.report.html import Html, element
from asyncpoll.cli.report.verdict import Verdict
from asyncpoll.cli.report.words import count

_HEIGHT = 168.0  # pixels from the base line to the top of the scale
_HEAD, _FOOT = 8.0, 26.0  # pixels above, for half a line of text, and below, for the labels
_SCALE = 44  # pixels to the left, for the numbers
_LEAST = 1.5  # pixels: a single job among a million is still seen
_LEAST_SHARE = 0.006
_STRIP = 18  # pixels: the height of a bar that lies
_GAP = 0.12  # of the width of a bar
_LEAST_MARK = 0.06  # of the height: what is unlikely is still seen
_FINE = 1000  # steps along either side of the square that a curve is drawn in, before it is stretched
_SHARES = ((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %"))


@frozen
class Chart:
    """What a chart shows, for those who do not see it too.

    Attributes:
        name: Its id on the page.
        title: What it is.
        description: What there is to see.
    """

    name: str
    title: str
    description: str


def columns(chart: Chart, bars: Sequence[Bar], ticks: Sequence[tuple[float, str]]) -> Html:
    """Return a chart of upright bars of equal width, each stacked by verdict.

    Args:
        chart: Its name and what it shows.
        bars: From left to right, at least one.
        ticks: Where along the axis (0 to 1) to write what.
    """
    top, step = scale(max(bar.stack.total() for bar in bars))
    grid = [(value / top, _short(value)) for value in range(0, top + 1, step)]
    drawn = [_column(bar, place, len(bars), top) for place, bar in enumerate(bars) if bar.stack]
    return _plot(chart, grid, drawn, ticks)


def curve(
    chart: Chart, line: Sequence[float], marks: Sequence[tuple[float, float, str]], ticks: Sequence[tuple[float, str]]
) -> Html:
    """Return a chart of a share that falls or rises, with upright lines where something happens.

    Args:
        chart: Its name and what it shows.
        line: The share (0 to 1) at equal steps along the axis, two at least.
        marks: Where along the axis (0 to 1) how tall a line (0 to 1) stands, and what it stands for.
        ticks: Where along the axis to write what.
    """
    steps = len(line) - 1
    outline = "L".join(f"{_FINE * step / steps:.4g} {_FINE * (1 - share):.0f}" for step, share in enumerate(line))
    square = {"viewBox": f"0 0 {_FINE} {_FINE}", "preserveAspectRatio": "none", "class_": "curve"}
    area = element("path", d=f"M0 {_FINE}L{outline}V{_FINE}Z")
    drawn = element("svg", area, y=_HEAD, width="100%", height=_HEIGHT, **square)
    return _plot(chart, _SHARES, [drawn, *(_mark(*mark) for mark in marks)], ticks)


def strip(chart: Chart, stack: Stack, whole: int) -> Html:
    """Return one bar that lies, stacked by verdict, as long as its part of *whole* jobs."""
    shares = {verdict: max(stack[verdict] / whole, _LEAST_SHARE) for verdict in Verdict if stack[verdict]}
    shrink = min(1.0, 1.0 / sum(shares.values()))
    pieces: list[Html] = []
    x = 0.0
    for verdict, share in shares.items():
        title = element("title", f"{count(stack[verdict])} {verdict}")
        rect = element("rect", x=_percent(x), width=_percent(share * shrink), height=_STRIP)
        pieces.append(element("g", title, rect, class_=verdict.slug))
        x += share * shrink
    labels = f"{chart.name}-t {chart.name}-d"
    return element("svg", *_described(chart), pieces, class_="strip", role="img", aria_labelledby=labels, height=_STRIP)


def legend(stack: Stack) -> Html:
    """Return what the colours mean, with the number of jobs of each."""
    present = [verdict for verdict in Verdict if stack[verdict]]
    keys = (
        element("li", element("i", class_=verdict.slug), f"{verdict} ", element("b", count(stack[verdict])))
        for verdict in present
    )
    return element("ul", keys, class_="legend")


def scale(most: int) -> tuple[int, int]:
    """Return the top of a scale for numbers up to *most*, and the step between its lines: 1, 2 or 5, and noughts."""
    power = 10 ** max(0, math.floor(math.log10(max(1, most) / 4)))
    step = next(power * base for base in (1, 2, 5, 10) if power * base * 4 >= most)
    return max(1, -(-most // step)) * step, step


def _described(chart: Chart) -> Iterator[Html]:
    yield element("title", chart.title, id=f"{chart.name}-t")
    yield element("desc", chart.description, id=f"{chart.name}-d")


def _plot(
    chart: Chart, grid: Sequence[tuple[float, str]], drawn: Sequence[Html], ticks: Sequence[tuple[float, str]]
) -> Html:
    """Return what is drawn, on a grid of lines at shares of the scale, with what is written beside and below them."""
    lines = [(_base(share), label) for share, label in grid]
    numbers = [element("text", label, x=_SCALE - 8, y=f"{y + 4:.1f}") for y, label in lines]
    height = f"{_HEAD + _HEIGHT + _FOOT:g}"
    plot = element(
        "svg",
        *_described(chart),
        [element("line", x1="0", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}") for y, _ in lines],
        drawn,
        [_tick(place, label, minor=number % 2 == 1) for number, (place, label) in enumerate(ticks)],
        role="img",
        aria_labelledby=f"{chart.name}-t {chart.name}-d",
        height=height,
    )
    axis = element("svg", numbers, class_="scale", width=_SCALE, height=height, aria_hidden="true")
    return element("div", axis, plot, class_="chart")


def _mark(place: float, share: float, title: str) -> Html:
    x = _percent(place)
    line = element("line", x1=x, x2=x, y1=f"{_base(max(share, _LEAST_MARK)):.1f}", y2=f"{_base(0):.1f}")
    return element("g", element("title", title), line, class_="mark")


def _column(bar: Bar, place: int, bars: int, top: int) -> Html:
    x, width = _percent((place + _GAP / 2) / bars), _percent((1 - _GAP) / bars)
    pieces: list[Html] = []
    foot = _base(0)
    for verdict in Verdict:
        if jobs := bar.stack[verdict]:
            height = max(jobs / top * _HEIGHT, _LEAST)
            foot -= height
            pieces.append(
                element("rect", class_=verdict.slug, x=x, width=width, y=f"{foot:.1f}", height=f"{height:.1f}")
            )
    parts = ", ".join(f"{count(bar.stack[verdict])} {verdict}" for verdict in Verdict if bar.stack[verdict])
    return element("g", element("title", f"{bar.title}: {parts}"), pieces)


def _tick(place: float, label: str, *, minor: bool) -> Html:
    """Return a label below the axis; a narrow page leaves the minor ones out."""
    anchor = "start" if place < 0.06 else "end" if place > 0.94 else "middle"  # noqa: PLR2004  else it would be cut off
    rank = {"class_": "minor"} if minor else {}
    return element("text", label, x=_percent(place), y=f"{_HEAD + _HEIGHT + 18:g}", text_anchor=anchor, **rank)


def _base(share: float) -> float:
    """Return the height on the page, in pixels from above, of a share of the scale."""
    return _HEAD + _HEIGHT * (1 - share)


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _short(number: int) -> str:
    """Return a number in at most five signs."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= 10 * size or (number >= size and number % size == 0):
            return f"{number / size:g}{unit}"
    return count(number)
