"""The arguments of schedules: which values they accept, and which they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from asyncpoll._schedule import Exponential, Fixed, Progress
from asyncpoll._timeout import Timeout

MAKERS: list[tuple[str, Callable[[Any], object]]] = [
    ("Fixed.interval", Fixed),
    ("Exponential.initial", Exponential),
    ("Exponential.maximum", lambda value: Exponential(0.1, value)),
]


@pytest.mark.parametrize(("name", "make"), MAKERS, ids=[name for name, _ in MAKERS])
@pytest.mark.parametrize("value", ["5", True, None, b"5", 1j, [1.0], timedelta(seconds=5)])
def test_a_duration_is_a_number(name: str, make: Callable[[Any], object], value: Any) -> None:
    """A value that is not a number, or is a bool, is refused with the name of the field."""
    with pytest.raises(TypeError) as caught:
        make(value)
    assert str(caught.value) == f"{name} must be a number of seconds above 0, not {value!r}"


@pytest.mark.parametrize(("name", "make"), MAKERS, ids=[name for name, _ in MAKERS])
@pytest.mark.parametrize("value", [0, 0.0, -1, -math.inf, math.nan, math.inf])
def test_a_duration_is_above_0_and_finite(name: str, make: Callable[[Any], object], value: float) -> None:
    """A number out of range is refused with the name of the field."""
    with pytest.raises(ValueError, match="finite number") as caught:
        make(value)
    assert str(caught.value) == f"{name} must be a finite number of seconds above 0, not {value!r}"


@pytest.mark.parametrize(("name", "make"), MAKERS, ids=[name for name, _ in MAKERS])
def test_a_duration_is_not_larger_than_a_float_can_be(name: str, make: Callable[[Any], object]) -> None:
    """A whole number that no float can hold is refused, and not shown in full."""
    with pytest.raises(ValueError, match=f"^{name} must be a finite number of seconds above 0") as caught:
        make(10**400)
    assert len(str(caught.value)) < 200


def test_other_limits_in_seconds_are_checked_alike() -> None:
    """The same check serves other classes, with their own names in the message."""
    with pytest.raises(TypeError, match=r"^Timeout\.total must be a number of seconds above 0, not '5'"):
        Timeout("5")  # type: ignore[arg-type]  # that is what must fail


@pytest.mark.parametrize("factor", ["2", True, None, 1j])
def test_the_factor_is_a_number(factor: Any) -> None:
    """A factor that is not a number is refused."""
    with pytest.raises(TypeError) as caught:
        Exponential(factor=factor)
    assert str(caught.value) == f"Exponential.factor must be a number, at least 1, not {factor!r}"


@pytest.mark.parametrize("factor", [0, 0.99, -math.inf, math.nan, math.inf, 10**400])
def test_the_factor_is_finite_and_at_least_1(factor: float) -> None:
    """A factor out of range is refused."""
    with pytest.raises(ValueError, match=r"^Exponential\.factor must be a finite number, at least 1, not "):
        Exponential(factor=factor)


@pytest.mark.parametrize("jitter", [0, 1.5, "x", False, (1, 2)])
@pytest.mark.parametrize(
    ("name", "make"),
    [("Fixed", lambda jitter: Fixed(1.0, jitter=jitter)), ("Exponential", lambda jitter: Exponential(jitter=jitter))],
)
def test_a_jitter_is_a_function(name: str, make: Callable[[Any], object], jitter: Any) -> None:
    """A jitter that cannot be called is refused where it is given, not at the first delay."""
    with pytest.raises(TypeError) as caught:
        make(jitter)
    assert str(caught.value) == f"{name}.jitter must be a function from seconds to seconds, or None, not {jitter!r}"


@pytest.mark.parametrize("factor", [2, 2.0, 1e300])
@pytest.mark.parametrize("polls", [10_000, 10**9, 10**400])
def test_a_curve_does_not_overflow(factor: float, polls: int) -> None:
    """The cap is the maximum, however many polls there were."""
    assert Exponential(1, 30, factor, jitter=None).delay(Progress(polls, 0.0)) == 30
    assert Exponential(1e-300, 1e300, factor, jitter=None).delay(Progress(polls, 0.0)) == 1e300


def test_a_factor_may_be_close_to_1() -> None:
    """A curve that hardly grows takes as long as it takes, and needs no memory."""
    slow = Exponential(1.0, 3600.0, 1.0000001, jitter=None)
    assert [slow.delay(Progress(polls, 0.0)) for polls in (1, 2, 10**9)] == [1.0, 1.0000001, 3600.0]


@pytest.mark.parametrize("polls", [0, -1])
def test_before_the_first_poll_the_delay_is_the_initial_one(polls: int) -> None:
    """A delay is never below the initial interval."""
    assert Exponential(2.0, jitter=None).delay(Progress(polls, 0.0)) == 2.0


def test_progress_is_an_immutable_value_of_plain_numbers() -> None:
    """Progress compares by value, is hashable, shows its fields, and cannot be changed."""
    one = Progress(3, 4.5, state="processing")
    assert one == Progress(3, 4.5, 0, "processing")
    assert hash(one) == hash(Progress(3, 4.5, 0, "processing"))
    assert repr(one) == (
        "Progress(polls=3, elapsed=4.5, misses=0, state='processing', hint=None, done=None, in_state=None)"
    )
    with pytest.raises(AttributeError):
        one.polls = 4  # type: ignore[misc]  # that is what must fail
