"""Saving what can be saved from a damaged ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from asyncpoll._errors import LedgerError
from asyncpoll.ledger.check import walk
from asyncpoll.ledger.file import create, inspect, ledger_error, read_only
from asyncpoll.ledger.head import Head
from asyncpoll.ledger.lock import Lock
from asyncpoll.ledger.reader import Reader
from asyncpoll.ledger.records import Counts
from asyncpoll.ledger.schema import PUT


def recover(path: str | Path, new_path: str | Path) -> Counts:
    """Copy what is sound in a ledger into a new one: all entries and all outcomes up to the first that is damaged.

    The old file is only read. Jobs whose outcomes are lost are unfinished in the new one, and a run that is given all
    the jobs again takes in those that are lost.

    Args:
        path: The damaged ledger.
        new_path: The new one, which must not exist.

    Returns:
        What the new ledger holds.

    Raises:
        LedgerError: The old file is no ledger any more ("foreign", "damaged"), a process is at it ("locked"), or the
            new one cannot be made.
    """
    old, new = Path(path), Path(new_path)
    inspect(old)
    lock = Lock(old)
    lock.take()
    try:
        with closing(read_only(old)) as source:
            create(new, lambda target: _copy(source, target, old))
        with Reader(new) as reader:
            return reader.counts
    except sqlite3.Error as error:
        raise ledger_error(error, new) from error
    finally:
        lock.release()


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, path: Path) -> None:
    target.execute("BEGIN IMMEDIATE")
    head = Head()
    endpoints = [""]  # by number
    for row in _sound(source, "entry", path):
        target.execute(PUT["entry"], row)
        endpoints.append(row[2])
        head.entered(row[2], row[-1])
    for row in _sound(source, "outcome", path):
        if row[1] > head.entries:
            break
        target.execute(PUT["outcome"], row)
        head.recorded(endpoints[row[1]], row[2], row[6], row[-1])
    fits: dict[str, Callable[[tuple[Any, ...]], bool]] = {
        "options": lambda _: True,
        "session": lambda _: True,
        "progress": lambda row: row[0] <= head.entries,
        "consumer": lambda row: row[1] <= head.outcomes,  # else its file holds more than is left
    }
    for table, does_fit in fits.items():
        for found in walk(source, table, path):
            if not isinstance(found, LedgerError) and does_fit(found):
                target.execute(PUT[table], found)
    head.write(target)
    target.execute("COMMIT")


def _sound(source: sqlite3.Connection, table: str, path: Path) -> Iterator[tuple[Any, ...]]:
    """Give the rows before the first one that is not as it was written."""
    for row in walk(source, table, path):
        if isinstance(row, LedgerError):
            return
        yield row
