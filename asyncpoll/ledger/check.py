"""Is it all still as it was written? The end of a ledger is looked at when it is opened, all of it on demand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import rows
from asyncpoll.ledger.file import DATABASE_ERRORS, ledger_error
from asyncpoll.ledger.head import Head
from asyncpoll.ledger.schema import START, damaged, verified

TAIL: Final = 200
"""Rows of each table that are looked at when a ledger is opened."""

CHAINED: Final = ("entry", "outcome")
"""The tables in which the digest of a row covers that of the row before it."""

_MOST_PROBLEMS = 100
_NUMBER, _STATE, _ERROR = 1, 2, 6  # columns of an outcome

Page = Callable[[sqlite3.Connection, int, int], list[Any]]


def check_tail(connection: sqlite3.Connection) -> Head:
    """Look at the head and the last rows; return the head.

    Raises:
        LedgerError: Something is not as it was written; the kind is "damaged".
    """
    head = Head.read(connection)
    _check_end(connection, "outcome", head.outcomes, head.outcome_digest, rows.records)
    _check_end(connection, "entry", head.entries, head.entry_digest, rows.entries)
    return head


def problems(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Look at everything; return what is wrong, in words, the first 100 of it.

    Args:
        connection: Is inside a transaction, so that it all belongs together.
        path: The ledger's file, for the words.
    """
    found: list[str] = []
    for problem in _problems(connection, path):
        found.append(problem)
        if len(found) == _MOST_PROBLEMS:
            break
    return found


def walk(connection: sqlite3.Connection, table: str, path: Path) -> Iterator[tuple[Any, ...] | LedgerError]:
    """Give the rows of a table in order, each with its digest; in place of one that is not as it was written, why."""
    previous = START
    try:
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1"):  # noqa: S608  our own names
            try:
                verified(f"{table} {row[0]}", row, previous if table in CHAINED else START)
            except LedgerError as error:
                yield error
            else:
                yield row
            previous = row[-1]
    except DATABASE_ERRORS as error:
        yield ledger_error(error, path)


def _problems(connection: sqlite3.Connection, path: Path) -> Iterator[str]:
    try:
        yield from (row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})") if row[0] != "ok")
        head = Head.read(connection)
        rows.options(connection)
    except DATABASE_ERRORS as error:
        yield str(ledger_error(error, path))
        return
    except LedgerError as error:
        yield str(error)
        return
    for table in ("session", "progress", "consumer"):
        yield from (str(row) for row in walk(connection, table, path) if isinstance(row, LedgerError))
    counted = Head()
    yield from _count(connection, path, counted)
    counted.anomalies = head.anomalies
    if counted != head:
        yield str(damaged("the number of rows, or what they add up to,"))


def _count(connection: sqlite3.Connection, path: Path, head: Head) -> Iterator[str]:
    """Count the entries and outcomes in *head*; give what is wrong with them."""
    endpoints: list[str | None] = [None]  # by number; None once there is an outcome
    for row in walk(connection, "entry", path):
        if isinstance(row, LedgerError):
            yield str(row)
            continue
        endpoints.append(row[2])
        head.entered(row[2], row[-1])
    for row in walk(connection, "outcome", path):
        if isinstance(row, LedgerError):
            yield str(row)
            continue
        number = row[_NUMBER]
        endpoint = endpoints[number] if 0 < number < len(endpoints) else None
        if endpoint is None:
            yield f"outcome {row[0]} belongs to entry {number}, which is missing or has another outcome"
            continue
        endpoints[number] = None
        head.recorded(endpoint, row[_STATE], row[_ERROR], row[-1])


def _check_end(connection: sqlite3.Connection, table: str, count: int, row_digest: str, page: Page) -> None:
    last = connection.execute(
        f"SELECT rowid, digest FROM {table} ORDER BY rowid DESC LIMIT 1"  # noqa: S608  our own names
    ).fetchone()
    if (last or (0, START)) != (count, row_digest):
        raise damaged(f"the last {table}")
    page(connection, max(0, count - TAIL), TAIL)
