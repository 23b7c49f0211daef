"""What goes to the terminal. Servers write much of it, so nothing that a terminal would obey gets through raw."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from asyncpoll.http.redact import printable

_LONGEST_NOTE = 1000


def say(text: str) -> None:
    """Print a line of results on standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a line for people on standard error, made harmless."""
    sys.stderr.write(f"{printable(text, _LONGEST_NOTE)}\n")
    sys.stderr.flush()


def say_json(data: Any) -> None:
    """Print *data* on standard output as one line of JSON."""
    say(json_line(data, ascii_only=not sys.stdout.encoding.lower().startswith("utf")))


def json_line(data: Any, *, ascii_only: bool = False) -> str:
    """Return *data* as one line of JSON: attrs classes as objects, times in ISO 8601, what JSON lacks as text.

    Args:
        data: Whatever results are made of.
        ascii_only: Escape every character that is not ASCII, for a stream that takes no other.
    """
    text = json.dumps(data, ensure_ascii=ascii_only, default=_plain)
    # What is not printable can only be inside a string, where an escape means the same.
    return (
        text if text.isprintable() else "".join(mark if mark.isprintable() else json.dumps(mark)[1:-1] for mark in text)
    )


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
