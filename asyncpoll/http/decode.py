"""Decoding JSON that somebody else wrote, with one verdict on every Python, with orjson and without.

The standard library decides what is accepted: with strict settings, within limits, integers of any size exact. orjson,
where it is installed, decodes what it decodes alike, which is nearly everything, and faster.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

DEPTH = 64
"""The deepest nesting of arrays and objects."""
KEYS = 100_000
"""The most keys of all objects together."""
DIGITS = 40
"""The most digits of an integer."""

_BOM = b"\xef\xbb\xbf"
_SHORTEST_KEY = len(b'"":0,')
_EXACT_DIGITS = b"0" * 19  # orjson turns integers beyond 64 bits into floats; those with fewer digits always fit
_ALL_DIGITS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # an open end, or a search for it would be quadratic
_ALL_BRACKETS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def decode(body: bytes) -> tuple[Any, str | None]:
    """Decode the body of a reply: one JSON document in UTF-8, whatever the reply says about its type and charset.

    Of a key that occurs twice in an object the last value counts, as everywhere in Python.

    Args:
        body: The bytes; a byte order mark is skipped.

    Returns:
        The value, and None; or None, and why the body is not accepted.
    """
    document = body.removeprefix(_BOM)
    if not document or document.isspace():
        return None, "the body is empty"
    if problem := _excess(document):
        return None, problem
    loads = _loads_exactly if _EXACT_DIGITS in document.translate(_ALL_DIGITS_ZERO) else _loads
    try:
        return loads(document), None
    except _LimitError as limit:
        return None, str(limit)
    except (ValueError, RecursionError):
        return None, "the body is not JSON"


def _excess(document: bytes) -> str | None:
    """Return what there is too much of. The costly look is only taken at a document that could have too much."""
    crowded = len(document) > KEYS * _SHORTEST_KEY
    if not crowded and document.count(b"[") + document.count(b"{") <= DEPTH:
        return None
    skeleton = _TEXTS.sub(b"", document)
    if skeleton.count(b":") > KEYS:
        return f"the body holds more than {KEYS} keys"
    if _deep(skeleton):
        return f"the body is nested deeper than {DEPTH} levels"
    return None


def _deep(skeleton: bytes) -> bool:
    brackets = skeleton.translate(_ALL_BRACKETS_SQUARE, _NO_BRACKETS)
    for _ in range(DEPTH):
        brackets = brackets.replace(b"[]", b"")  # the innermost level
    return b"[]" in brackets


class _LimitError(ValueError):
    pass


def _integer(digits: str) -> int:
    if len(digits.removeprefix("-")) > DIGITS:
        raise _LimitError(f"the body holds an integer of more than {DIGITS} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("out of range")
    return number


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("no JSON")  # NaN, Infinity, -Infinity


_STRICT = json.JSONDecoder(parse_int=_integer, parse_float=_finite, parse_constant=_refuse)


def _loads_exactly(document: bytes) -> Any:
    value = _STRICT.decode(document.decode())
    if b"\\u" in document:
        # Half of a surrogate pair can neither be stored nor sent on.
        json.dumps(value, ensure_ascii=False).encode()
    return value


_loads: Callable[[bytes], Any]
try:
    from orjson import loads as _loads
except ImportError:
    _loads = _loads_exactly
