"""Reading `Retry-After`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from asyncpoll.http._message import retry_after

NOON = "Sat, 01 Nov 2025 12:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("007", 7.0),
        ("999999999", 999_999_999.0),
        ("Sat, 01 Nov 2025 12:00:30 GMT", 30.0),
        ("Saturday, 01-Nov-25 12:00:30 GMT", 30.0),
        ("Sat Nov  1 12:00:30 2025", 30.0),
        ("Sat, 01 Nov 2025 13:00:30 +0100", 30.0),
        ("Sat, 01 Nov 2025 11:00:00 GMT", 0.0),
        ("2.5", 2.5),
        ("120.0", 120.0),
        ("0.5", 0.5),
        ("30.25000000000000000000000001", 30.25),
        ("7, 30, 9", 30.0),
        ("7, soon, 2.5", 7.0),
        ("7, Sat, 01 Nov 2025 12:00:30 GMT", 30.0),
        ("Sat, 01 Nov 2025 12:00:30 GMT, 90", 90.0),
    ],
)
def test_what_is_read(value: str, seconds: float) -> None:
    """Seconds and all three forms of a date are read; a date counts from the server's own one."""
    assert retry_after({"retry-after": value, "date": NOON}) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "1.",
        ".5",
        "1.5.2",
        "1.5s",
        "soon, later",
        "7;30",
        "+3",
        "1e3",
        "inf",
        "nan",
        "1_000",
        "\uff11\uff12",
        "\u0663",
        "0x10",
        "9999999999",
        "soon",
        "Sat, 99 Nov 2025",
    ],
)
def test_what_is_not_read(value: str) -> None:
    """Anything else is as if it were not there."""
    assert retry_after({"retry-after": value, "date": NOON}) is None


def test_nothing_is_said() -> None:
    """Without the header there is no hint."""
    assert retry_after({"date": NOON}) is None


def test_the_longest_counts() -> None:
    """Of several values the largest counts, and unreadable ones do not."""
    headers = CIMultiDict([("Retry-After", "7"), ("Retry-After", "x"), ("Retry-After", "30"), ("Retry-After", "9")])
    assert retry_after(headers) == 30.0


@pytest.mark.parametrize("date", [{}, {"date": "yesterday"}])
def test_without_a_date_of_the_server(date: dict[str, str]) -> None:
    """Where the server does not say what time it is, the clock of this machine is asked."""
    later = datetime.now(UTC) + timedelta(hours=1)
    seconds = retry_after({"retry-after": format_datetime(later, usegmt=True), **date})
    assert seconds is not None
    assert 3500 < seconds <= 3600


@given(st.text())
def test_anything_can_be_asked(value: str) -> None:
    """No text raises an error, and no hint is negative."""
    seconds = retry_after({"retry-after": value, "date": value})
    assert seconds is None or seconds >= 0
