"""Ids that callers pass, and how they become part of a path.

An id that is put into a path unchecked can ask about something else: `..` leaves the endpoint, parsers of URLs silently
drop a line break, and a lone surrogate cannot be sent at all.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from attrs import Attribute

LONGEST = 512
"""The most bytes of UTF-8 that an id may have."""

_PLAIN = re.compile(rf"[\w-]{{1,{LONGEST}}}", re.ASCII)  # as most ids are; every poll checks them anew
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def identifier(name: str, value: str) -> str:
    """Return *value* if it can be an id.

    Args:
        name: The name of the argument, for the message.
        value: The id.

    Raises:
        ValueError: It is not text, empty, longer than 512 bytes, surrounded by spaces, or holds control characters or
            lone surrogates. The message does not repeat it.
    """
    if problem := _problem(value):
        raise ValueError(f"{name} {problem}; pass the id as the API gave it")
    return value


def segment(name: str, value: str) -> str:
    """Return *value*, percent-encoded, as one segment of a path.

    Args:
        name: The name of the argument, for the message.
        value: The id. It is encoded as UTF-8 and not normalised: two spellings stay two ids.

    Raises:
        ValueError: It cannot be an id (see `identifier`), or holds a slash or is a dot segment, which would change
            where the path leads.
    """
    if _is_plain(value):
        return value
    if "/" in identifier(name, value) or unquote(value) in {".", ".."}:
        raise ValueError(f"{name} must not hold a slash or be a dot segment; pass the id as the API gave it")
    return quote(value, safe="")


def as_text(value: Any) -> Any:
    """Return an integer as text, and anything else as it is: ids from databases are often integers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def is_identifier(_instance: object, attribute: Attribute[Any], value: str) -> None:
    """Validate an attrs field with `identifier`."""
    identifier(attribute.name, value)


def is_segment(_instance: object, attribute: Attribute[Any], value: str) -> None:
    """Validate an attrs field with `segment`."""
    segment(attribute.name, value)


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and _PLAIN.fullmatch(value) is not None


def _problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if not value:
        return "must not be empty"
    if value != value.strip():
        return "must not begin or end with white space"
    if _CONTROL.search(value):
        return "must not hold control characters"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "must not hold lone surrogates"
    return f"must not be longer than {LONGEST} bytes" if size > LONGEST else None
