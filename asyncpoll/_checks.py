"""Checks of arguments: a wrong type is a `TypeError`, a value out of range a `ValueError`; both name the argument.

The functions check one value. `by_field` makes validators of attrs from them: in the errors of a public class the
argument is qualified by the name of the class, as in "Fixed.interval".
"""

from __future__ import annotations

import inspect
import math
import reprlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrs import Attribute

Check = Callable[[str, Any], None]
Time = float | datetime | str
"""A time: Unix time in seconds, or a `datetime` with a time zone, or one in the text of ISO 8601."""

_LARGEST = sys.float_info.max
_CLOCKS_APART = 60.0  # seconds by which the clock of another machine may be ahead


def refusal(kind: type[Exception], name: str, wanted: str, value: object) -> Exception:
    """Return the error for an argument with a wrong value, which says what is wanted instead."""
    return kind(f"{name} must be {wanted}, not {reprlib.repr(value)}")


def is_number(value: object) -> bool:
    """Return whether *value* is an integer or a float; a bool is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def duration(name: str, value: Any) -> None:
    """Check that *value* is a finite number of seconds above 0."""
    if not is_number(value):
        raise refusal(TypeError, name, "a number of seconds above 0", value)
    if not 0 < value <= _LARGEST:
        raise refusal(ValueError, name, "a finite number of seconds above 0", value)


def delay(name: str, value: Any) -> None:
    """Check that *value* is a finite number of seconds that is not negative."""
    if not is_number(value):
        raise refusal(TypeError, name, "a number of seconds", value)
    if not 0 <= value <= _LARGEST:
        raise refusal(ValueError, name, "a finite number of seconds, 0 or more", value)


def unix_time(name: str, value: Any) -> float:
    """Return a time of the past in seconds since 1970. It is a `Time`; text may be a number, too.

    Raises:
        TypeError: It has another type.
        ValueError: It is in the future, before 1970, or without a time zone.
    """
    wanted = "Unix time in seconds or ISO 8601 with a zone, such as 2026-11-26T12:00:00Z, and not in the future"
    if not (is_number(value) or isinstance(value, str | datetime)):
        raise refusal(TypeError, name, wanted, value)
    at, now = _seconds(value), datetime.now(UTC).timestamp()
    if not 0 < at <= now + _CLOCKS_APART:
        raise refusal(ValueError, name, wanted, value)
    return min(at, now)


def _seconds(value: Time) -> float:
    """Return a time in seconds since 1970, or NaN if it is none."""
    try:
        return float(value) if not isinstance(value, datetime) else _seconds_of(value)
    except (ValueError, OverflowError):
        pass
    try:
        return _seconds_of(datetime.fromisoformat(f"{value}".strip()))
    except ValueError:
        return math.nan


def _seconds_of(at: datetime) -> float:
    return math.nan if at.tzinfo is None else at.timestamp()


def factor(name: str, value: Any) -> None:
    """Check that *value* is a finite number that is at least 1."""
    if not is_number(value):
        raise refusal(TypeError, name, "a number, at least 1", value)
    if not 1 <= value <= _LARGEST:
        raise refusal(ValueError, name, "a finite number, at least 1", value)


def whole(least: int) -> Check:
    """Return a check that a value is a whole number, and not below *least*."""

    def check(name: str, value: Any) -> None:
        kind = TypeError if not isinstance(value, int) or isinstance(value, bool) else ValueError
        if kind is TypeError or value < least:
            raise refusal(kind, name, f"a whole number, at least {least}", value)

    return check


def one_of(*words: str) -> Check:
    """Return a check that a value is one of some words."""

    def check(name: str, value: Any) -> None:
        if value not in words:
            raise refusal(ValueError, name, " or ".join(map(repr, words)), value)

    return check


def text(name: str, value: Any) -> None:
    """Check that *value* is text; it may be a secret, so it is not shown."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")


def flag(name: str, value: Any) -> None:
    """Check that *value* is True or False: any text would count as True."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")


def function(name: str, value: Any) -> None:
    """Check that *value* can be called."""
    if not callable(value):
        raise refusal(TypeError, name, "a function", value)


def plain_function(name: str, value: Any) -> None:
    """Check that *value* can be called and need not be awaited."""
    if not callable(value) or isinstance(value, type):
        raise refusal(TypeError, name, "a function", value)
    for called in (value, getattr(value, "__call__", None)):  # noqa: B004  an object with an async __call__ is one, too
        if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
            raise refusal(TypeError, name, "a plain function, since it is never awaited", value)


def by_field(check: Check, *, qualified: bool = True) -> Any:
    """Return a validator of attrs that makes *check* of a field."""

    def validate(owner: object, attribute: Attribute[Any], value: Any) -> None:
        name = attribute.name.lstrip("_")  # as the argument is called
        check(f"{type(owner).__name__}.{name}" if qualified else name, value)

    return validate
