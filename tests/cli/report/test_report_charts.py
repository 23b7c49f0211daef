"""Histograms, curves, and the labels of their axes."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncpoll.cli.report._charts import (
    Bar,
    Curve,
    Histogram,
    ages,
    calendar,
    histogram_of_durations,
    histogram_of_numbers,
    histogram_of_times,
    scale,
    stacked,
)
from asyncpoll.cli.report._stats import RunVerdict, Timeline

GOOD, BAD = RunVerdict.SUCCEEDED, RunVerdict.FAILED
SECONDS = st.one_of(st.floats(0, 1e9), st.floats(0, 2), st.just(0.0))


def total(histogram: Histogram) -> Counter[RunVerdict]:
    """Return the jobs of all bars together."""
    jobs: Counter[RunVerdict] = Counter()
    for bar in histogram.bars:
        jobs.update(bar.jobs)
    return jobs


def is_sound(histogram: Histogram) -> bool:
    """Return whether there are bars and labels, and the labels are in order along the axis."""
    places = [place for place, _ in histogram.ticks]
    return bool(histogram.bars and places) and places == sorted(places) and 0 <= places[0] <= places[-1] <= 1 + 1e-9


@given(st.lists(SECONDS), st.lists(SECONDS))
@example([5.0, 5.0], [])
@example([0.0], [0.0])
@example([1e-300], [1e9])
def test_every_duration_is_in_one_bar(good: list[float], bad: list[float]) -> None:
    """Whatever the durations, the bars add up to all of them, by verdict."""
    histogram = histogram_of_durations({GOOD: good, BAD: bad})
    assert total(histogram) == +Counter({GOOD: len(good), BAD: len(bad)})
    assert is_sound(histogram)


@given(st.dictionaries(st.integers(0, 10**12), st.integers(1, 50)), st.dictionaries(st.integers(0, 90), st.just(1)))
@example({100: 1}, {})
@example({}, {})
def test_every_number_is_in_one_bar(good: dict[int, int], bad: dict[int, int]) -> None:
    """Whatever the numbers, the bars add up to all of them, by verdict."""
    histogram = histogram_of_numbers({GOOD: Counter(good), BAD: Counter(bad)})
    assert total(histogram) == +Counter({GOOD: sum(good.values()), BAD: sum(bad.values())})
    assert is_sound(histogram)
    assert len(histogram.bars) <= 90


def test_similar_durations_have_an_even_axis() -> None:
    """The axis begins at 0 or at the lowest value, and its labels are round."""
    histogram = histogram_of_durations({GOOD: [3.0, 20.0]})
    assert not histogram.logarithmic
    assert histogram.bars[0].values == "0 s to 500 ms"
    assert histogram.ticks == [(0.0, "0 s"), (0.25, "5 s"), (0.5, "10 s"), (0.75, "15 s"), (1.0, "20 s")]
    assert histogram_of_durations({GOOD: [600.0, 605.0]}).bars[0].values.startswith("10 min to ")


def test_spread_durations_have_a_logarithmic_axis() -> None:
    """From a factor of 50 on the axis is logarithmic; durations below a millisecond are in the first bar."""
    histogram = histogram_of_durations({GOOD: [0.0, 0.0005, 10.0]})
    assert histogram.logarithmic
    assert [bar.jobs[GOOD] for bar in histogram.bars if bar.jobs] == [2, 1]
    assert histogram.bars[0].values.startswith("1 ms to ")
    assert histogram.bars[-1].values.endswith(" to 10 s")
    assert [label for _, label in histogram.ticks] == ["1 ms", "5 ms", "20 ms", "100 ms", "500 ms", "2 s", "10 s"]
    assert not histogram_of_durations({GOOD: [1.0, 49.0]}).logarithmic
    assert histogram_of_durations({GOOD: [1.0, 50.0]}).logarithmic


def test_few_numbers_have_a_bar_each() -> None:
    """Similar numbers have bars of one width; a missing number in between has an empty bar."""
    histogram = histogram_of_numbers({GOOD: Counter({3: 5, 6: 1})})
    assert [(bar.values, bar.jobs[GOOD]) for bar in histogram.bars] == [("3", 5), ("4", 0), ("5", 0), ("6", 1)]
    assert [bar.values for bar in histogram_of_numbers({GOOD: Counter([10, 110])}).bars][:2] == ["10-12", "13-15"]


def test_spread_numbers_have_bars_that_grow() -> None:
    """From a factor of 50 on bars hold more and more numbers, without a gap or an overlap."""
    histogram = histogram_of_numbers({GOOD: Counter({1: 1, 60: 1})})
    titles = ["1", "2", "3", "4-5", "6-7", "8-11", "12-15", "16-23", "24-31", "32-47", "48-63"]
    assert [bar.values for bar in histogram.bars] == titles
    assert histogram.logarithmic


def test_labels_do_not_crowd() -> None:
    """The middles of two labels are at least an eighth of the axis apart."""
    for high in (0.002, 0.4, 7.0, 333.0, 5e4, 3e7):
        for low in (0.0, high / 3, high * 0.99):
            places = [place for place, _ in histogram_of_durations({GOOD: [low, high]}).ticks]
            assert all(after - before > 0.125 for before, after in itertools.pairwise(places))


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        (7_200.0, 7_260.0, ["02:00:00", "02:00:20", "02:00:40", "02:01:00"]),
        (0.0, 172_800.0, ["01-01 00:00", "01-01 12:00", "01-02 00:00", "01-02 12:00", "01-03 00:00"]),
        (0.0, 864_000.0, ["1970-01-01", "1970-01-03", "1970-01-05", "1970-01-07", "1970-01-09", "1970-01-11"]),
        (7_200.2, 7_200.3, ["02:00:00"]),
    ],
)
def test_time_is_labelled_at_round_times(first: float, last: float, labels: list[str]) -> None:
    """Labels are at full seconds, minutes, hours or days, UTC, as precise as the span needs."""
    ticks = calendar(first, last)
    assert [label for _, label in ticks] == labels


@pytest.mark.parametrize("last", [1e-3, 0.1, 7.0, 333.0, 1e5, 1e9])
def test_ages_are_labelled_from_0(last: float) -> None:
    """An axis of ages begins at 0 s, and has a few labels."""
    ticks = ages(last)
    assert ticks[0] == (0.0, "0 s")
    assert 2 <= len(ticks) <= 7
    assert ticks[-1][0] <= 1 + 1e-9


def test_a_calendar_reaches_as_far_as_dates_do() -> None:
    """An axis over thousands of years has a few labels too."""
    assert 2 <= len(calendar(0.0, 253_402_300_799.0)) <= 6


def test_times_without_outcomes_have_no_histogram() -> None:
    """A run without outcomes has an empty timeline, and nothing is drawn."""
    assert histogram_of_times(Timeline()) is None


def test_times_are_drawn_in_bars() -> None:
    """Each bin of the timeline is a bar that says when it begins and how wide it is."""
    timeline = Timeline()
    timeline.add(60.0, GOOD)
    timeline.add(60.2, BAD)
    histogram = histogram_of_times(timeline)
    assert histogram is not None
    assert [bar.title for bar in histogram.bars] == [
        "1970-01-01 00:01:00 UTC, 100 ms: 1 succeeded",
        "1970-01-01 00:01:00 UTC, 100 ms: ",
        "1970-01-01 00:01:00 UTC, 100 ms: 1 failed",
    ]


@pytest.mark.parametrize(
    ("most", "top", "step"),
    [(0, 1, 1), (1, 1, 1), (4, 4, 1), (5, 6, 2), (9, 10, 5), (41, 60, 20), (1_000_000, 1_000_000, 500_000)],
)
def test_scales_have_few_round_steps(most: int, top: int, step: int) -> None:
    """The top of a scale is not below the largest bar, and there are at most four steps to it."""
    assert scale(most) == (top, step)
    assert top // step <= 4


@pytest.mark.parametrize(
    ("jobs", "labels"),
    [
        (3, ["0", "1", "2", "3"]),
        (9_000, ["0", "5k", "10k"]),
        (2_500, ["0", "1k", "2k", "3k"]),
        (1_500, ["0", "500", "1k", "1,500"]),
        (4 * 10**6, ["0", "1M", "2M", "3M", "4M"]),
        (3 * 10**10, ["0", "10G", "20G", "30G"]),
    ],
)
def test_numbers_on_a_scale_are_short(jobs: int, labels: list[str]) -> None:
    """Thousands, millions and billions are written with a letter, so that they fit beside the chart."""
    grid = Histogram([Bar("x", Counter({GOOD: jobs}))], []).grid()
    assert [label for _, label in grid] == labels
    assert grid[0][0] == 0.0
    assert grid[-1][0] == 1.0


@given(st.dictionaries(st.sampled_from(RunVerdict), st.integers(0, 10**9)), st.integers(0, 10**9))
def test_pieces_of_a_bar_are_seen_and_fit(jobs: dict[RunVerdict, int], more: int) -> None:
    """Every verdict with jobs has a piece; pieces follow one another, can be seen, and fit into the whole."""
    pieces = stacked(jobs, max(1, sum(jobs.values()) + more), 0.01)
    assert {piece.verdict: piece.jobs for piece in pieces} == {name: number for name, number in jobs.items() if number}
    assert [piece.verdict for piece in pieces] == [verdict for verdict in RunVerdict if jobs.get(verdict)]
    assert all(piece.size > 0.009 for piece in pieces)
    for before, after in itertools.pairwise(pieces):
        assert after.start == pytest.approx(before.start + before.size)
    assert not pieces or pieces[-1].start + pieces[-1].size <= 1 + 1e-9


def test_pieces_have_the_size_of_their_share() -> None:
    """A bar of half of the whole, in two equal pieces, has two pieces of a quarter."""
    pieces = stacked({BAD: 5, GOOD: 5}, 20, 0.01)
    assert [(piece.verdict, piece.start, piece.size) for piece in pieces] == [(GOOD, 0.0, 0.25), (BAD, 0.25, 0.25)]


def test_a_curve_is_a_path_in_a_square() -> None:
    """The path goes from the upper left, for a share of 1, to the lower right, for a share of 0."""
    drawn = Curve([1.0, 0.5, 0.0], [], [])
    assert drawn.outline(1000) == "0 0L500 500L1000 1000"
