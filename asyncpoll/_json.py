"""Read JSON that a server wrote, and write JSON that every reader accepts.

Reading has one verdict on every Python, with orjson and without. The standard library decides what is accepted: with
strict settings, within limits, integers of any size exact. orjson, where it is installed, decodes faster the documents
that both decode alike, which are nearly all.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import accumulate
from typing import Any, NoReturn

import attrs

DEPTH = 512
"""The deepest nesting of arrays and objects that decoders, and code that walks the value, survive."""
MEMORY = 1 << 30
"""The most bytes of memory for a decoded body, by default."""
DIGITS = 40
"""The most digits of an integer."""

_BOM = b"\xef\xbb\xbf"
# Bytes that a part of a decoded value takes, at most, on CPython.
_PER_KEY, _PER_CONTAINER, _PER_ITEM = 110, 90, 32
_MOST_PER_BYTE = 45  # `[{},{},...` and `[{"":0},...` come near it
_PIECE = 64 << 10
_EXACT_DIGITS = b"0" * 19  # orjson turns integers beyond 64 bits into floats; those with fewer digits always fit
_ALL_DIGITS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # an open end, or a search for it would be quadratic
_ALL_BRACKETS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("]"): -1}


def decode(body: bytes, memory: int = MEMORY) -> tuple[Any, str | None]:
    """Decode the body of a reply: one JSON document in UTF-8, whatever the reply says about its type and charset.

    Of a key that occurs twice in an object the last value counts, as everywhere in Python.

    Args:
        body: The bytes; a byte order mark is skipped.
        memory: The most bytes of memory that the value may take, as estimated before it is made.

    Returns:
        The value, and None; or None, and why the body is not accepted.
    """
    document = body.removeprefix(_BOM)
    if not document or document.isspace():
        return None, "the body is empty"
    if problem := _excess(document, memory):
        return None, problem
    loads = _loads_exactly if _EXACT_DIGITS in document.translate(_ALL_DIGITS_ZERO) else _loads
    try:
        return loads(document), None
    except _LimitError as limit:
        return None, str(limit)
    except (ValueError, RecursionError):
        return None, "the body is not JSON"


def decode_lines(body: bytes, memory: int = MEMORY) -> tuple[list[Any], str | None]:
    """Decode a body of JSON Lines, of which blank lines are skipped; the limits of *memory* are for all together.

    Returns:
        The values, and None; or those before the first line that is not accepted, and why it is not.
    """
    values: list[Any] = []
    if len(body) * _MOST_PER_BYTE > memory:
        needed = _memory(_TEXTS.sub(b"", body)) + _PER_ITEM * body.count(b"\n")
        if len(body) + needed > memory:
            return values, _too_large(memory)
    for number, line in enumerate(body.split(b"\n"), 1):
        if line and not line.isspace():
            value, problem = decode(line, memory)
            if problem is not None:
                return values, problem.replace("the body", f"line {number} of the body", 1)
            values.append(value)
    return values, None


def _excess(document: bytes, memory: int) -> str | None:
    """Return which limit *document* exceeds, or None. The costly count is only made if it could exceed one."""
    large = len(document) * _MOST_PER_BYTE > memory
    if not large and document.count(b"[") + document.count(b"{") <= DEPTH:
        return None
    skeleton = _TEXTS.sub(b"", document)
    brackets = skeleton.translate(_ALL_BRACKETS_SQUARE, _NO_BRACKETS)
    if _is_deep(brackets):
        return f"the body is nested deeper than {DEPTH} levels"
    if large and len(document) + _memory(skeleton) > memory:
        return _too_large(memory)
    return None


def _too_large(memory: int) -> str:
    return f"the body would take more than {memory >> 20} MiB of memory; raise max_body, or ask for less at a time"


def _memory(skeleton: bytes) -> int:
    containers = skeleton.count(b"[") + skeleton.count(b"{")
    return _PER_KEY * skeleton.count(b":") + _PER_CONTAINER * containers + _PER_ITEM * skeleton.count(b",")


def _is_deep(brackets: bytes) -> bool:
    depth = 0
    for start in range(0, len(brackets), _PIECE):
        depths = list(accumulate(map(_STEPS.__getitem__, brackets[start : start + _PIECE]), initial=depth))
        if max(depths) > DEPTH:
            return True
        depth = depths[-1]
    return False


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
    raise ValueError("not JSON")  # NaN, Infinity, -Infinity


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


_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def canonical_json(data: Any) -> str:
    """Return JSON data as text that is the same for equal data, such as the key of a job."""
    return _canonical(data)


def as_json_data(value: Any) -> Any:
    """Return a value that `json.dumps` can write in place of *value*. This is a `default` for `json.dumps`.

    Instances of attrs classes become objects, times become ISO 8601, bytes become base64, and all other values become
    text.
    """
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if attrs.has(type(value)):
        return {one.name: getattr(value, one.name) for one in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def json_line(data: Any, *, ascii_only: bool = False) -> str:
    """Return *data* as one line of JSON without characters that control a terminal.

    Args:
        data: JSON data, or values that `as_json_data` accepts.
        ascii_only: Whether to escape all characters that are not ASCII, for a stream that cannot write them.
    """
    text = json.dumps(data, ensure_ascii=ascii_only, default=as_json_data)
    # A character that is not printable can only be inside a string, where an escape means the same.
    return (
        text if text.isprintable() else "".join(mark if mark.isprintable() else json.dumps(mark)[1:-1] for mark in text)
    )
