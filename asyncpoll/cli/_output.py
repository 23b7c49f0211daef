"""Print results and notes: JSON, tables, durations, errors. Servers write much of it, so all is made harmless first."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from attrs import frozen

from asyncpoll._endpoint import Job
from asyncpoll._errors import WaitTimeout, explained
from asyncpoll._json import json_line
from asyncpoll._masking import mask_keys
from asyncpoll._snapshot import Snapshot, kind_of
from asyncpoll._state import State
from asyncpoll.cli._streams import STANDARD_OUTPUT, write_results
from asyncpoll.events import Ended
from asyncpoll.http._secrets import printable

__all__ = [
    "ENDINGS",
    "STANDARD_OUTPUT",
    "Grid",
    "counted",
    "duration",
    "message_of",
    "note",
    "result_of",
    "say",
    "say_json",
    "with_switches",
    "write_results",
]

ENDINGS: Final = (State.SUCCESS, State.FAILED, State.TIMEOUT, State.CANCELLED)
"""The terminal states, in the order in which they are shown."""

_LONGEST_NOTE = 1000
_GAP = "  "
_MILLISECONDS = 3  # decimals of a second
_NOTHING_SEEN = Snapshot[Any](State.UNKNOWN)

_SWITCHES: Final = (
    (re.compile(r"\bpass proxy= or trust_env=True"), "pass --proxy, or set HTTPS_PROXY"),
    (re.compile(r"\bpass ssl= with a context that trusts"), "pass --ca-file with the certificate of"),
    (re.compile(r" ?\(trust_env=True: (\w+)\)"), r" (from the environment variable \1)"),
    (re.compile(r"\bmax_body=(\d+) bytes"), r"\1 bytes"),
    (re.compile(r"\bproxy=(?=\S)"), "--proxy "),
    (re.compile(r"\binsecure=True\b"), "--insecure"),
    (re.compile(r"\bmax_body\b=?"), "--max-body"),
    (re.compile(r"\btrust_env=True\b"), "HTTPS_PROXY in the environment"),
    (re.compile(r"\bproxy="), "--proxy"),
    (re.compile(r"\baccept_loss=True\b"), "--accept-loss"),
    (re.compile(r"\bresume that run, or pass append=True"), "go on with asyncpoll resume, or pass --append"),
    (re.compile(r"\bssl="), "--ca-file"),
    (re.compile(r'\bkey_env="\w+", or (--key-env \w+) on the command line'), r"\1"),
    (re.compile(r"\bbase_url=$"), "--base-url URL"),
    (re.compile(r"\b(base|key)_(url|env|file)=(?=\w)"), r"--\1-\2 "),
    (re.compile(r"\b(base|key)_(url|env|file)="), r"--\1-\2"),
    (re.compile(r"\bClients\('([^']+)'\)"), r"--endpoint \1"),
    (re.compile(r"\bbase_url\b"), "the base address"),
    (re.compile(r'\bformat="download_link"'), "format=download_link"),
)
"""How the library's names of arguments are spelled on the command line."""

_DAY, _HOUR, _MINUTE, _SECOND = 86_400, 3_600, 60, 1
_PARTS: Final = (
    (86_370.0, _DAY, "d", _HOUR, "h"),  # what rounds to 24 h is a day,
    (3_599.5, _HOUR, "h", _MINUTE, "min"),  # and what rounds to 60 min an hour
    (0.0, _MINUTE, "min", _SECOND, "s"),
)
"""From how many seconds on a duration is told in which two units."""


# streams


def say(text: str) -> None:
    """Print a line of results on standard output; what its encoding lacks is escaped.

    Raises:
        OSError: It cannot be written.
    """
    write_results(f"{text}\n".encode(sys.stdout.encoding, "backslashreplace"))


def say_json(data: Any) -> None:
    """Print *data* on standard output as one line of JSON."""
    say(json_line(data, ascii_only=not sys.stdout.encoding.lower().startswith("utf")))


def note(text: str) -> None:
    """Print a line for people on standard error: harmless, without keys; a line that cannot be printed is dropped."""
    with suppress(OSError):  # a run goes on when the reader of its notes has gone
        sys.stderr.write(f"{printable(mask_keys(text), _LONGEST_NOTE)}\n")
        sys.stderr.flush()


# texts


def message_of(error: BaseException) -> str:
    """Return what happened and what to do, in terms of the command line: switches, not the keywords of Python."""
    if type(error).__module__ == "builtins" and isinstance(error, OSError) and error.strerror:
        name = "the current directory" if isinstance(error, FileNotFoundError) else None  # where none is named
        name = name if error.filename is None else os.fsdecode(error.filename)
        return error.strerror if name is None else f"{name} cannot be used: {error.strerror}"
    return with_switches(explained(error) if isinstance(error, WaitTimeout) else str(error))


def with_switches(text: str) -> str:
    """Return a message of the library with switches in place of the keywords of Python."""
    for keyword, switch in _SWITCHES:
        text = keyword.sub(switch, text)
    return text


def counted(number: int, noun: str) -> str:
    """Return a number with the noun that it counts, in the plural but for one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a duration with about three digits, in milliseconds, or in the two largest units that fit."""
    if seconds < 0.9995:  # noqa: PLR2004  what rounds to a second is one
        return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 59.95:  # noqa: PLR2004  what rounds to a minute is one
        return f"{seconds:.3g} s"
    _, size, unit, smaller, rest = next(part for part in _PARTS if seconds >= part[0])
    large, small = divmod(round(seconds / smaller), size // smaller)
    return f"{large:,} {unit} {small} {rest}" if small else f"{large:,} {unit}"


def result_of(job: Job[Any], end: Ended) -> dict[str, Any]:
    """Return the fields of the result line of a wait; `waited` is in seconds.

    If an error ended the wait, `state` is the state last seen, and `reason` is the error.
    """
    seen = end.snapshot or _NOTHING_SEEN
    kind = kind_of(seen)
    return {
        "endpoint": job.endpoint.name,
        "ref": job.endpoint.plain(job.ref),
        "state": seen.state,
        "status": seen.status,
        "value": seen.value,
        "reason": seen.reason if end.error is None else message_of(end.error),
        "code": seen.code,
        "polls": end.polls,
        "waited": round(end.waited, _MILLISECONDS),
        **({} if kind is None else {"kind": kind}),
    }


# tables


def columns_of_terminal() -> int:
    """Return the width of the terminal in columns, 80 where there is none."""
    return shutil.get_terminal_size().columns


@frozen
class Grid:
    """A table of texts.

    Attributes:
        head: The title of every column.
        align: One sign per column: "<" aligns it to the left, ">" to the right, as numbers are.
        rows: The cells, row by row.
    """

    head: tuple[str, ...]
    align: str
    rows: tuple[tuple[str, ...], ...]

    def lines(self) -> Iterator[str]:
        """Yield the table line by line, each column as wide as its widest cell."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        for row in (self.head, rule, *self.rows):
            cells = zip(row, self.align, widths, strict=True)
            yield _GAP.join(f"{cell:{align}{width}}" for cell, align, width in cells).rstrip()

    def within(self, width: int) -> Grid:
        """Return the table; if it is wider than *width* columns, without those that have nothing but zeros in them."""
        if not self.rows or max(map(len, self.lines())) <= width:
            return self
        kept = [at for at in range(len(self.head)) if any(row[at].strip("0.") for row in self.rows)]
        rows = tuple(tuple(row[at] for at in kept) for row in self.rows)
        return Grid(tuple(self.head[at] for at in kept), "".join(self.align[at] for at in kept), rows)
