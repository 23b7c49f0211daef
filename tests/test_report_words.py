"""Numbers, durations and times in words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.cli.report.words import clock, count, date, duration, iso, percent, shown


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
def test_durations(seconds: float, words: str) -> None:
    """A duration is told in the unit that fits it, and rounding up to the next unit names that one."""
    assert duration(seconds) == words


@given(st.floats(0, 1e15))
def test_every_duration_has_words(seconds: float) -> None:
    """There is no duration that has no words, or words that look like a mistake."""
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
def test_percentages(part: int, whole: int, words: str) -> None:
    """None and all are told apart from very few and almost all."""
    assert percent(part, whole).replace("\N{NO-BREAK SPACE}", " ") == words


def test_counts() -> None:
    """Numbers have commas, and what is counted has an s unless it is one."""
    assert [count(1_234_567), count(1, "job"), count(2_000, "job"), count(0, "job")] == [
        "1,234,567",
        "1 job",
        "2,000 jobs",
        "0 jobs",
    ]


def test_times_are_utc() -> None:
    """Times are told in UTC, also those that no calendar knows, and on an axis as finely as it needs."""
    assert date(0.0) == "1970-01-01 00:00:00 UTC"
    assert iso(1_763_700_000.9) == "2025-11-21T04:40:00Z"
    assert date(1e300) == "9999-12-31 23:59:59 UTC"
    assert [clock(90_061.0, span) for span in (10, 100_000, 1_000_000)] == ["01:01:01", "01-02 01:01", "1970-01-02"]


def test_texts_of_others_are_made_harmless() -> None:
    """Texts are on one line and bounded, and secrets in links are masked, also where the cut is inside of one."""
    assert shown("a\nb\u202ec", 10) == "a b c"
    assert shown("x" * 20, 10) == "x" * 9 + "…"
    assert shown("see https://files.example/a?sig=hunter2&b=1", 100) == "see https://files.example/a?sig=***&b=1"
    assert "hunter" not in shown("https://user:hunter22222222@files.example/a", 20)
