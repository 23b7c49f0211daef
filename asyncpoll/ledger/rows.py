"""Reading a ledger: verified rows, page by page."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from asyncpoll.ledger.records import Entry, Record
from asyncpoll.ledger.schema import START, damaged, verified

PAGE = 200
"""Rows that are read at once: results may be large."""

_ENTRIES = """
SELECT number, key, endpoint, ref, began_at, digest FROM entry WHERE number > ? ORDER BY number LIMIT ?
"""
_ENTRY = """
SELECT entry.number, entry.key, entry.endpoint, entry.ref, entry.began_at, entry.digest, before.digest
FROM entry LEFT JOIN entry AS before ON before.number = entry.number - 1
WHERE entry.number = ?
"""
_UNFINISHED = """
SELECT entry.number, entry.key, entry.endpoint, entry.ref, entry.began_at, entry.digest, before.digest
FROM entry
LEFT JOIN outcome ON outcome.number = entry.number
LEFT JOIN entry AS before ON before.number = entry.number - 1
WHERE entry.number > ? AND outcome.number IS NULL
ORDER BY entry.number LIMIT ?
"""
_STANDING = """
SELECT entry.number, entry.key, entry.endpoint, entry.ref, entry.began_at, entry.digest, before.digest,
    progress.number, noted_at, progress.waited, progress.polls, progress.state, in_state, progress.digest
FROM entry
LEFT JOIN outcome ON outcome.number = entry.number AND outcome.seq <= ?
LEFT JOIN entry AS before ON before.number = entry.number - 1
LEFT JOIN progress ON progress.number = entry.number
WHERE entry.number > ? AND outcome.number IS NULL
ORDER BY entry.number LIMIT ?
"""
_ENTRY_COLUMNS = 7
_OUTCOMES = """
SELECT seq, outcome.number, state, status, reason, code, error, polls, waited, running, ended_at, value,
    outcome.digest, entry.number, entry.key, entry.endpoint, entry.ref, entry.began_at, entry.digest, before.digest
FROM outcome
LEFT JOIN entry ON entry.number = outcome.number
LEFT JOIN entry AS before ON before.number = entry.number - 1
WHERE seq > ? ORDER BY seq LIMIT ?
"""
_OUTCOME_COLUMNS = 13


def entries(connection: sqlite3.Connection, after: int, limit: int = PAGE) -> list[Entry]:
    """Return the next entries in order of intake, from number *after* + 1.

    Raises:
        LedgerError: One of them is damaged.
    """
    rows = connection.execute(_ENTRIES, (after, limit)).fetchall()
    previous = _digest_before(connection, "entry", "number", after)
    return [_entry(columns) for columns in _chained("entry", rows, after, previous)]


def entry(connection: sqlite3.Connection, number: int) -> tuple[Any, ...]:
    """Return the columns of the entry with this number.

    Raises:
        LedgerError: It is damaged, or missing.
    """
    return own_entry(number, connection.execute(_ENTRY, (number,)).fetchone() or (None, None))


def unfinished(connection: sqlite3.Connection, after: int, limit: int = PAGE) -> list[Entry]:
    """Return the next entries without an outcome, from number *after* + 1.

    Raises:
        LedgerError: One of them is damaged.
    """
    rows = connection.execute(_UNFINISHED, (after, limit)).fetchall()
    return [_entry(own_entry(row[0], row)) for row in rows]


def standing(
    connection: sqlite3.Connection, after: int, outcomes: int, limit: int = PAGE
) -> list[tuple[int, str, str | None]]:
    """Return number, endpoint and the state last noted of the next entries that the first outcomes are not about.

    Args:
        connection: Where to read.
        after: The number of the entry before the first of these.
        outcomes: How many outcomes count.
        limit: How many entries at most.

    Raises:
        LedgerError: A row about one of them is damaged.
    """
    rows = connection.execute(_STANDING, (outcomes, after, limit)).fetchall()
    return [_stands(own_entry(row[0], row[:_ENTRY_COLUMNS]), row[_ENTRY_COLUMNS:]) for row in rows]


def records(connection: sqlite3.Connection, after: int, limit: int = PAGE) -> list[Record]:
    """Return the next outcomes in order of recording, from *after* + 1.

    Raises:
        LedgerError: One of them is damaged.
    """
    rows = connection.execute(_OUTCOMES, (after, limit)).fetchall()
    previous = _digest_before(connection, "outcome", "seq", after)
    sound = _chained("outcome", (row[:_OUTCOME_COLUMNS] for row in rows), after, previous)
    return [record_of(own_entry(row[1], row[_OUTCOME_COLUMNS:]), one) for one, row in zip(sound, rows, strict=True)]


def own_entry(number: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the verified columns of the entry with this number.

    Args:
        number: The number that it must have.
        row: Its columns as they were read, with its digest and that of the entry before it.

    Raises:
        LedgerError: It is damaged, or missing.
    """
    *columns, before = row
    if columns[0] != number:
        raise damaged(f"entry {number}")
    return verified(f"entry {number}", tuple(columns), before or START)


def record_of(entry: tuple[Any, ...], outcome: tuple[Any, ...]) -> Record:
    """Return the record that the columns of an outcome and of its entry make."""
    seq, number, state, status, reason, code, error, polls, waited, running, ended_at, value = outcome
    _, key, endpoint, ref, began_at = entry
    return Record(
        seq, number, key, endpoint, json.loads(ref), state, status, json.loads(value), reason, code, error, polls,
        waited, running, began_at, ended_at,
    )  # fmt: skip


def position(connection: sqlite3.Connection, consumer: str) -> tuple[int, int | None, str | None]:
    """Return how far a consumer has come: a seq, and for a file its length in bytes and what it then ended in."""
    row = connection.execute("SELECT name, seq, length, mark, digest FROM consumer WHERE name = ?", (consumer,))
    found = row.fetchone()
    if found is None:
        return 0, None, None
    _, seq, length, mark = verified(f"the position of {consumer}", found)
    return seq, length, mark


def options(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the options that were kept."""
    row = connection.execute("SELECT id, data, digest FROM options").fetchone()
    kept: dict[str, Any] = {} if row is None else json.loads(verified("the options", row)[1])
    return kept


def sessions(connection: sqlite3.Connection) -> list[tuple[float, float]]:
    """Return when each session began and until when it is known to have been alive, in seconds of Unix time."""
    rows = connection.execute("SELECT number, began_at, alive_until, digest FROM session ORDER BY number").fetchall()
    found = [verified(f"session {row[0]}", row) for row in rows]
    return [(began_at, alive_until) for _, began_at, alive_until in found]


def _digest_before(connection: sqlite3.Connection, table: str, number: str, after: int) -> str:
    row = connection.execute(f"SELECT digest FROM {table} WHERE {number} = ?", (after,)).fetchone()  # noqa: S608  our own names
    return START if row is None else str(row[0])


def _chained(table: str, rows: Iterable[Any], after: int, previous: str) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        after += 1
        if row[0] != after:
            raise damaged(f"{table} {after}")
        yield verified(f"{table} {after}", row, previous)
        previous = row[-1]


def _stands(entry: tuple[Any, ...], progress: tuple[Any, ...]) -> tuple[int, str, str | None]:
    number, _key, endpoint, *_ = entry
    state = None if progress[0] is None else verified("the progress of a job", progress)[4]
    return number, endpoint, state


def _entry(columns: tuple[Any, ...]) -> Entry:
    number, key, endpoint, ref, _began_at = columns
    return Entry(number, key, endpoint, json.loads(ref))
