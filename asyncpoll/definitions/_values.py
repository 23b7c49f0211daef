"""Read the values of a definition: each function reads the value at a spot, or refuses it with what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeVar

from asyncpoll._checks import is_number
from asyncpoll._marks import PATH
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

_MOST_SECONDS = 1e9
_RESERVED = FRAMING | {"authorization", "cookie"}
_LARGEST_COUNT = 1_000_000


def _that(holds: Callable[[Any], object], wanted: str) -> Read:
    """Return a reader of the values that a test holds for; the error for another says what is wanted."""

    def read(spot: Spot) -> Any:
        if not holds(spot.value):
            spot.refuse_type(wanted)
        return spot.value

    return read


def matching(pattern: str, wanted: str) -> Read:
    """Return a reader of a text of a certain form."""
    fits = re.compile(pattern, re.ASCII).fullmatch
    return _that(lambda value: isinstance(value, str) and fits(value), wanted)


def _has_type(*types: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in types


text = _that(lambda value: isinstance(value, str) and value.strip(), "a text")
flag = _that(_has_type(bool), "true or false")
number = _that(lambda value: is_number(value) and isfinite(value), "a number")
seconds = _that(lambda value: is_number(value) and 0 <= value <= _MOST_SECONDS, "a number, 0 or more")
above_zero = _that(lambda value: is_number(value) and 0 < value <= _MOST_SECONDS, "a number above 0")
count = _that(lambda value: type(value) is int and 1 <= value <= _LARGEST_COUNT, "a whole number, at least 1")
scalar = _that(_has_type(str, int, float, bool), "a text, a number, true or false, or a list of them")
"""A value that is compared with what an answer has."""

_word = _that(_has_type(str, int, bool), "a text, a whole number, true or false, or a list of them")

field_name = matching(r"(?!client\Z)[A-Za-z_][A-Za-z0-9_]*", 'a name of letters, digits and "_", other than "client"')
"""The name of a field of a reference."""


fact = matching(PATH, 'a path such as model, items[*].mode or "size:pages"')
"""Something that predicts how long a job takes."""


def prose(spot: Spot) -> str:
    """Read a text that is shown to people: it must not steer their terminal."""
    if not text(spot).replace("\n", " ").isprintable():
        spot.refuse_type("a text without control characters")
    return str(spot.value)


def word(spot: Spot) -> Word:
    """Read a status word."""
    found: Word = _word(spot)
    if isinstance(found, str) and not found.isprintable():
        spot.refuse_type("a text without control characters")
    return found


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


def some(read: Callable[[Spot], T]) -> Callable[[Spot], tuple[T, ...]]:
    """Return a reader of one value or a list of them that is not empty."""
    read_all = listed(read)

    def read_some(spot: Spot) -> tuple[T, ...]:
        found = read_all(spot)
        if not found:
            spot.refuse("the list is empty; write a value, or leave the key out")
        return found

    return read_some


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
        except ValueError as problem:
            spot.refuse(str(problem))
        except RecursionError:
            spot.refuse("this is nested too deep; write less")

    return read_one


def text_by(read: Callable[[str], T]) -> Callable[[Spot], T]:
    """Return a reader of a text by a function whose `ValueError` says what to write."""
    read_one = tried(read)

    def read_text(spot: Spot) -> T:
        text(spot)
        return read_one(spot)

    return read_text


path = text_by(_paths.compile)
paths = listed(path)
words = listed(word)
some_paths = some(path)
json_template = tried(parse_json)
text_template = text_by(parse_text)


def path_or_number(spot: Spot) -> Path | float:
    """Read a path, or a number above 0."""
    return path(spot) if isinstance(spot.value, str) else float(above_zero(spot))


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
    return named(some_paths)(spot) if isinstance(spot.value, Mapping) else paths(spot)


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
