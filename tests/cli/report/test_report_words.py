"""Numbers, durations, times and texts from outside, formatted for the page."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.cli._output import duration
from asyncpoll.cli.report._words import clock, count, date, iso, moment, percent, shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (0.00001, "0.01 ms"),
        (0.0421, "42.1 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (61.4, "1 min 1 s"),
        (3_599.4, "59 min 59 s"),
        (3_599.6, "1 h"),
        (3_600.0, "1 h"),
        (5_400.0, "1 h 30 min"),
        (86_365.0, "23 h 59 min"),
        (86_399.0, "1 d"),
        (90_000.0, "1 d 1 h"),
        (1e9, "11,574 d 2 h"),
    ],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, words: str) -> None:
    """A duration has the unit that fits it; one that rounds up to the next unit has that one."""
    assert duration(seconds) == words


@given(st.floats(0, 1e15))
def test_every_duration_can_be_written(seconds: float) -> None:
    """Every duration has a number and a unit, and only 0 is written as 0 s."""
    assert re.fullmatch(r"[\d,.e+-]+ (?:ms|s|min(?: \d+ s)?|h(?: \d+ min)?|d(?: \d+ h)?)", duration(seconds))
    assert not duration(seconds).startswith("0 s") or seconds == 0


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 0, "0 %"),
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (1, 3, "33.3 %"),
        (1, 10**6, "0.1 %"),
        (10**6 - 1, 10**6, "99.9 %"),
    ],
)
def test_few_are_not_none_and_most_are_not_all(part: int, whole: int, words: str) -> None:
    """A share of 0 % means none, and a share of 100 % means all."""
    assert percent(part, whole).replace("\N{NO-BREAK SPACE}", " ") == words


def test_counts_have_separators_and_a_plural() -> None:
    """Thousands are separated by commas, and a noun has an s unless the number is 1."""
    assert [count(1_234_567), count(1, "job"), count(2_000, "job"), count(0, "job")] == [
        "1,234,567",
        "1 job",
        "2,000 jobs",
        "0 jobs",
    ]


def test_times_are_utc() -> None:
    """Times are in UTC, also those beyond the calendar; a label of an axis is as precise as it needs to be."""
    assert date(0.0) == "1970-01-01 00:00:00 UTC"
    assert iso(1_763_700_000.9) == "2025-11-21T04:40:00Z"
    assert date(1e300) == "9999-12-31 23:59:59 UTC"
    assert [clock(90_061.0, span) for span in (10, 100_000, 1_000_000)] == ["01:01:01", "01-02 01:01", "1970-01-02"]


def test_texts_from_outside_are_made_harmless() -> None:
    """Texts are cut and on one line; secrets in links are masked, also where the cut is inside of a secret."""
    assert shown("a\nb\u202ec", 10) == "a b c"
    assert shown("x" * 20, 10) == "x" * 9 + "…"
    assert shown("see https://files.example/a?sig=hunter2&b=1", 100) == "see https://files.example/a?sig=***&b=1"
    assert "hunter" not in shown("https://user:hunter22222222@files.example/a", 20)


@pytest.mark.parametrize(("at", "moved"), [(5.0, 5.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, 253_402_300_799.0)])
def test_moments_lie_within_the_calendar(at: float, moved: float) -> None:
    """A time before 1970, after 9999 or that is a NaN is moved to where it can be shown."""
    assert moment(at) == moved
