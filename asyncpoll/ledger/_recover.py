"""Copy the sound part of a damaged ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from asyncpoll._errors import LedgerError
from asyncpoll.ledger._files import create, ledger_error, read_only
from asyncpoll.ledger._lock import Lock
from asyncpoll.ledger._queries import walk
from asyncpoll.ledger._reader import Reader
from asyncpoll.ledger._records import Counts
from asyncpoll.ledger._schema import PUT, Head


def recover(path: str | Path, new_path: str | Path, *, accept_loss: bool = False) -> Counts:
    """Copy the sound part of a ledger into a new one: all entries and outcomes up to the first that is damaged.

    The old file is only read. Jobs whose outcomes are lost are unfinished in the new one, and a run that is given all
    the jobs again enters those that are lost.

    Args:
        path: The damaged ledger.
        new_path: The new one, which must not exist.
        accept_loss: Copy a ledger although its newest changes are missing.

    Returns:
        The counts of the new ledger.

    Raises:
        LedgerError: The old file is not a ledger any more ("foreign", "damaged"), is not complete ("incomplete"), a
            process has it open ("locked"), or the new one cannot be made.
    """
    old, new = Path(path), Path(new_path)
    lock = Lock(old)
    lock.take()
    try:
        head, _ = lock.check(accept_loss=accept_loss)
        with closing(read_only(old)) as source:
            create(new, lambda target: _copy(source, target, old, [] if head is None else head.sources))
        with Reader(new) as reader:
            return reader.counts
    except sqlite3.Error as error:
        raise ledger_error(error, new) from error
    finally:
        lock.release()


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, path: Path, sources: list[list[Any]]) -> None:
    target.execute("BEGIN IMMEDIATE")
    head = Head(sources=sources)
    endpoints = [""]  # by number
    for row in _sound(source, "entry", path):
        target.execute(PUT["entry"], row)
        endpoints.append(row[2])
        head.add_entry(row[2], row[-1])
    attempts = {row[0]: row[1] for row in walk(source, "retry", path) if not isinstance(row, LedgerError)}
    ended = [0] * len(endpoints)  # the last attempt with an outcome, by number
    for row in _sound(source, "outcome", path):
        _seq, number, attempt, state, _status, _reason, _code, error, *_ = row
        if number > head.entries or not ended[number] < attempt <= attempts.get(number, 1):
            break
        ended[number] = attempt
        target.execute(PUT["outcome"], row)
        head.add_outcome(endpoints[number], state, error, row[-1])
        if attempt < attempts.get(number, 1):
            head.supersede(endpoints[number], state, error)
    fits: dict[str, Callable[[tuple[Any, ...]], bool]] = {
        "options": lambda _: True,
        "session": lambda _: True,
        "definition": lambda _: True,
        "retry": lambda row: row[0] <= head.entries,
        "meta": lambda row: row[0] <= head.entries,
        "submit": lambda row: row[0] <= head.entries,
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
    """Yield the rows before the first one that is not as it was written."""
    for row in walk(source, table, path):
        if isinstance(row, LedgerError):
            return
        yield row
