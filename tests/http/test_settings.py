"""The limits of a transport."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

from asyncpoll.http._settings import UPLOAD_RATE, ExchangeLimits


@pytest.mark.parametrize("name", ["attempt", "connect", "read_gap"])
@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_durations(name: str, seconds: float) -> None:
    """A time limit is a number of seconds above 0."""
    facts: dict[str, Any] = {name: seconds}
    with pytest.raises(ValueError, match=f"{name} must be a finite number of seconds above 0"):
        ExchangeLimits(**facts)


@pytest.mark.parametrize(
    ("name", "number"), [("max_body", 0), ("max_body", -1), ("connections", 0), ("connections", -1)]
)
def test_numbers(name: str, number: int) -> None:
    """Sizes and counts start at 1."""
    facts: dict[str, Any] = {name: number}
    with pytest.raises(ValueError, match=name):
        ExchangeLimits(**facts)


@pytest.mark.parametrize("name", ["attempt", "connect", "read_gap", "max_body", "connections"])
@pytest.mark.parametrize("value", ["5", None, True, [5]])
def test_limits_of_another_type(name: str, value: Any) -> None:
    """The error names the limit."""
    with pytest.raises(TypeError, match=f"{name} must be a .*number"):
        ExchangeLimits(**{name: value})


@pytest.mark.parametrize(
    ("files", "connections", "slots"), [(1024, 100, 100), (1024, 10**9, 614), (100, 100, 60), (1, 100, 1)]
)
def test_slots(monkeypatch: pytest.MonkeyPatch, files: int, connections: int, slots: int) -> None:
    """Exchanges take at most 60 % of the files that the process may open, but one is always possible."""
    monkeypatch.setattr(os, "sysconf", {"SC_OPEN_MAX": files}.__getitem__)
    assert ExchangeLimits(connections=connections).slots == slots


def test_slots_on_a_system_without_that_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no such limit, nothing is taken off."""
    monkeypatch.delattr(os, "sysconf")
    assert ExchangeLimits(connections=30_000).slots == 30_000


def test_time_for_an_upload() -> None:
    """A large upload gets time in proportion to its size."""
    limits = ExchangeLimits(attempt=20.0)
    assert limits.time_for(0) == 20.0
    assert limits.time_for(100 * UPLOAD_RATE) == 120.0
