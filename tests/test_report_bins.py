"""Histograms of durations and of numbers."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncpoll.cli.report.bins import Histogram, ages, calendar, durations, numbers
from asyncpoll.cli.report.verdict import Verdict

GOOD, BAD = Verdict.SUCCEEDED, Verdict.FAILED
SECONDS = st.one_of(st.floats(0, 1e9), st.floats(0, 2), st.just(0.0))


def total(histogram: Histogram) -> Counter[Verdict]:
    """Return how many jobs all bars together stand for."""
    jobs: Counter[Verdict] = Counter()
    for bar in histogram.bars:
        jobs.update(bar.stack)
    return jobs


def is_sound(histogram: Histogram) -> bool:
    """Return whether the labels stand along the axis, in order, and there is a bar and a label at least."""
    places = [place for place, _ in histogram.ticks]
    return bool(histogram.bars and places) and places == sorted(places) and 0 <= places[0] <= places[-1] <= 1 + 1e-9


@given(st.lists(SECONDS), st.lists(SECONDS))
@example([5.0, 5.0], [])
@example([0.0], [0.0])
@example([1e-300], [1e9])
def test_every_duration_is_in_one_bar(good: list[float], bad: list[float]) -> None:
    """Whatever the durations, the bars add up to all of them, by verdict."""
    histogram = durations({GOOD: good, BAD: bad})
    assert total(histogram) == +Counter({GOOD: len(good), BAD: len(bad)})
    assert is_sound(histogram)


@given(st.dictionaries(st.integers(0, 10**12), st.integers(1, 50)), st.dictionaries(st.integers(0, 90), st.just(1)))
@example({100: 1}, {})
@example({}, {})
def test_every_number_is_in_one_bar(good: dict[int, int], bad: dict[int, int]) -> None:
    """Whatever the numbers, the bars add up to all of them, by verdict."""
    histogram = numbers({GOOD: Counter(good), BAD: Counter(bad)})
    assert total(histogram) == +Counter({GOOD: sum(good.values()), BAD: sum(bad.values())})
    assert is_sound(histogram)
    assert len(histogram.bars) <= 90


def test_durations_of_one_magnitude_have_an_even_axis() -> None:
    """The bars have one width, from nought or from where the values begin, and the labels are round."""
    histogram = durations({GOOD: [3.0, 20.0]})
    assert not histogram.logarithmic
    assert histogram.bars[0].title == "0 s to 500 ms"
    assert histogram.ticks == [(0.0, "0 s"), (0.25, "5 s"), (0.5, "10 s"), (0.75, "15 s"), (1.0, "20 s")]
    assert durations({GOOD: [600.0, 605.0]}).bars[0].title.startswith("10 min to ")


def test_durations_of_many_magnitudes_have_a_logarithmic_axis() -> None:
    """From a spread of 50 on equal steps are equal factors, and what is below a millisecond is in the first bar."""
    histogram = durations({GOOD: [0.0, 0.0005, 10.0]})
    assert histogram.logarithmic
    assert [bar.stack[GOOD] for bar in histogram.bars if bar.stack] == [2, 1]
    assert histogram.bars[0].title.startswith("1 ms to ")
    assert histogram.bars[-1].title.endswith(" to 10 s")
    assert [label for _, label in histogram.ticks] == ["1 ms", "5 ms", "20 ms", "100 ms", "500 ms", "2 s", "10 s"]
    assert not durations({GOOD: [1.0, 49.0]}).logarithmic
    assert durations({GOOD: [1.0, 50.0]}).logarithmic


def test_few_numbers_have_a_bar_each() -> None:
    """Numbers of one magnitude have bars of one width; one that is missing in between is an empty bar."""
    histogram = numbers({GOOD: Counter({3: 5, 6: 1})})
    assert [(bar.title, bar.stack[GOOD]) for bar in histogram.bars] == [("3", 5), ("4", 0), ("5", 0), ("6", 1)]
    assert [bar.title for bar in numbers({GOOD: Counter([10, 110])}).bars][:2] == ["10-12", "13-15"]


def test_numbers_of_many_magnitudes_have_bars_that_grow() -> None:
    """From a spread of 50 on, bars hold ever more numbers, without a gap or an overlap."""
    histogram = numbers({GOOD: Counter({1: 1, 60: 1})})
    titles = ["1", "2", "3", "4-5", "6-7", "8-11", "12-15", "16-23", "24-31", "32-47", "48-63"]
    assert [bar.title for bar in histogram.bars] == titles
    assert histogram.logarithmic


def test_labels_do_not_crowd() -> None:
    """Between the middles of two labels there is an eighth of the axis at least."""
    for high in (0.002, 0.4, 7.0, 333.0, 5e4, 3e7):
        for low in (0.0, high / 3, high * 0.99):
            places = [place for place, _ in durations({GOOD: [low, high]}).ticks]
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
    """Labels stand at full seconds, minutes, hours or days, UTC, as finely as the span needs."""
    ticks = calendar(first, last)
    assert [label for _, label in ticks] == labels


@pytest.mark.parametrize("last", [1e-3, 0.1, 7.0, 333.0, 1e5, 1e9])
def test_ages_are_labelled_from_nought(last: float) -> None:
    """An axis of ages begins at 0 s, and has some labels."""
    ticks = ages(last)
    assert ticks[0] == (0.0, "0 s")
    assert 2 <= len(ticks) <= 7
    assert ticks[-1][0] <= 1 + 1e-9


def test_a_calendar_reaches_as_far_as_dates_do() -> None:
    """A span of thousands of years has a few labels too."""
    assert 2 <= len(calendar(0.0, 253_402_300_799.0)) <= 6
