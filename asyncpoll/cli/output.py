"""What goes to the terminal. Servers write much of it, so nothing that a terminal would obey gets through raw."""

from __future__ import annotations

import sys
from typing import Any

from asyncpoll._json_out import json_line
from asyncpoll.http._secrets import printable

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
