"""Read the values of a definition: each function reads the value at a spot, or refuses it with what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeVar

from asyncpoll._state import State
from asyncpoll.definitions import _paths
from asyncpoll.definitions._paths import Path
from asyncpoll.definitions._spots import Read, Spot
from asyncpoll.definitions._templates import Template, parse_json, parse_text
from asyncpoll.http._message import FRAMING, header_problem

T = TypeVar("T")
Paths = tuple[Path, ...]
"""Paths of which the first with something in it counts."""

Word = str | int | bool
"""A status word."""

STATES = tuple(state.value for state in State if state is not State.UNKNOWN)
"""The states that a definition may name."""

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MOST_SECONDS = 1e9
_RESERVED = FRAMING | {"authorization", "cookie"}
_LARGEST_COUNT = 1_000_000


def text(spot: Spot) -> str:
    """Read a text that is not blank."""
    if not isinstance(spot.value, str) or not spot.value.strip():
        spot.refuse_type("a text")
    return spot.value


def flag(spot: Spot) -> bool:
    """Read a boolean."""
    if not isinstance(spot.value, bool):
        spot.refuse_type("true or false")
    return spot.value


def seconds(spot: Spot) -> float:
    """Read a number that is not negative."""
    value = spot.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_SECONDS:
        spot.refuse_type("a number, 0 or more")
    return value


def above_zero(spot: Spot) -> float:
    """Read a number above 0."""
    if not seconds(spot):
        spot.refuse_type("a number above 0")
    return float(spot.value)


def count(spot: Spot) -> int:
    """Read a whole number, at least 1."""
    if type(spot.value) is not int or not 1 <= spot.value <= _LARGEST_COUNT:
        spot.refuse_type("a whole number, at least 1")
    return spot.value


def one_of(*words: str) -> Read:
    """Return a reader of one of some words."""

    def read(spot: Spot) -> str:
        if spot.value not in words:
            spot.refuse_type(" or ".join(f'"{word}"' for word in words))
        return str(spot.value)

    return read


def listed(read: Callable[[Spot], T]) -> Callable[[Spot], tuple[T, ...]]:
    """Return a reader of one value or a list of them."""
    return lambda spot: tuple(map(read, spot.items()))


def named(read: Callable[[Spot], T], check: Read | None = None) -> Callable[[Spot], Mapping[str, T]]:
    """Return a reader of a table of values; *check* may refuse a key, which is then the value of its spot."""

    def read_all(spot: Spot) -> Mapping[str, T]:
        table = spot.table()
        if check is not None:
            for name in table:
                check(spot.below(name, name))
        return {name: read(one) for name, one in table.items()}

    return read_all


def tried(read: Callable[[Any], T]) -> Callable[[Spot], T]:
    """Return a reader by a function whose `ValueError` says what to write."""

    def read_one(spot: Spot) -> T:
        try:
            return read(spot.value)
        except (ValueError, RecursionError) as problem:
            spot.refuse(str(problem) or "this is nested too deep; write less")

    return read_one


def field_name(spot: Spot) -> str:
    """Read the name of a field of a reference."""
    if not _FIELD.fullmatch(text(spot)) or spot.value == "client":
        spot.refuse_type('a name of letters, digits and "_", other than "client"')
    return str(spot.value)


def text_by(read: Callable[[str], T]) -> Callable[[Spot], T]:
    """Return a reader of a text by a function whose `ValueError` says what to write."""
    read_one = tried(read)

    def read_text(spot: Spot) -> T:
        text(spot)
        return read_one(spot)

    return read_text


path = text_by(_paths.compile)
paths = listed(path)
json_template = tried(parse_json)
text_template = text_by(parse_text)


def path_or_number(spot: Spot) -> Path | float:
    """Read a path, or a number above 0."""
    return path(spot) if isinstance(spot.value, str) else above_zero(spot)


def word(spot: Spot) -> Word:
    """Read a status word."""
    if type(spot.value) not in (str, int, bool):
        spot.refuse_type("a text, a whole number, true or false, or a list of them")
    value: Word = spot.value
    return value


words = listed(word)


def scalar(spot: Spot) -> Any:
    """Read a value that is compared with what an answer has."""
    if type(spot.value) not in (str, int, float, bool):
        spot.refuse_type("a text, a number, true or false, or a list of them")
    return spot.value


def http_status(spot: Spot) -> int:
    """Read an HTTP status, also one that is a key."""
    digits = str(spot.value)
    if isinstance(spot.value, bool) or not re.fullmatch(r"[1-5][0-9]{2}", digits, re.ASCII):
        spot.refuse_type("an HTTP status such as 404")
    return int(digits)


def by_status(read: Callable[[Spot], str]) -> Callable[[Spot], Mapping[int, str]]:
    """Return a reader of a table by HTTP status."""
    return lambda spot: {int(status): value for status, value in named(read, http_status)(spot).items()}


def header(spot: Spot) -> Template:
    """Read the value of a header."""
    template = text_template(spot)
    shown = "".join(one if isinstance(one, str) else "" for one in template)
    if problem := header_problem(spot.path[-1], shown, _RESERVED):
        spot.refuse(f"{problem}; write another header")
    return template


def value_paths(spot: Spot) -> Paths | Mapping[str, Paths]:
    """Read paths, or a table of them."""
    return named(paths)(spot) if isinstance(spot.value, Mapping) else paths(spot)


def number(spot: Spot) -> float:
    """Read a finite number."""
    value = spot.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        spot.refuse_type("a number")
    return value


def json_data(spot: Spot) -> Any:
    """Read JSON data."""
    try:
        return json.loads(json.dumps(spot.value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        spot.refuse("this is not JSON; write texts, numbers, booleans, lists and tables")


def any_state(spot: Spot) -> State:
    """Read a state, or "unknown"."""
    return State(one_of(*State)(spot))


def state(spot: Spot) -> State:
    """Read a state."""
    return State(one_of(*STATES)(spot))
