"""Reading a ledger: verified rows, page by page."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from asyncpoll._errors import LedgerError
from asyncpoll.ledger._files import DATABASE_ERRORS, ledger_error
from asyncpoll.ledger._records import Entry, Record, RetryKind
from asyncpoll.ledger._schema import MOST_AT_ONCE, START, Head, damaged, verified

PAGE = 200
"""Rows that are read at once: results may be large."""

CHAINED: Final = ("entry", "outcome")
"""The tables in which the digest of a row covers that of the row before it."""

_TAIL: Final = 200  # rows of each table that are checked when a ledger is opened

_ENTRY = """
    entry.number, entry.key, entry.endpoint, entry.ref, entry.began_at, entry.digest, entry_before.digest
"""
_OUTCOME = """
    outcome.seq, outcome.number, outcome.attempt, outcome.state, outcome.status, outcome.reason, outcome.code,
    outcome.error, outcome.polls, outcome.waited, outcome.running, outcome.kind, outcome.ended_at,
    outcome.value, outcome.digest
"""
_RETRY = "retry.number, retry.attempt, retry.began_at, retry.digest"
_META = "meta.number, meta.data, meta.digest"
_SUBMIT = "submit.number, submit.submitted_at, submit.digest"
_ENTRY_COLUMNS, _OUTCOME_COLUMNS, _RETRY_COLUMNS, _META_COLUMNS, _SUBMIT_COLUMNS = 7, 15, 4, 3, 3
_JOINED = """
    LEFT JOIN entry AS entry_before ON entry_before.number = entry.number - 1
    LEFT JOIN retry ON retry.number = entry.number
    LEFT JOIN meta ON meta.number = entry.number
"""
_ENDED = """
    LEFT JOIN outcome ON outcome.number = entry.number AND outcome.attempt = COALESCE(retry.attempt, 1)
"""

_SUBMITTED = "LEFT JOIN submit ON submit.number = entry.number"

_ENTRIES = f"""
SELECT {_META}, {_ENTRY}, {_SUBMIT} FROM entry {_JOINED} {_SUBMITTED}
WHERE entry.number > ? ORDER BY entry.number LIMIT ?
"""  # noqa: S608  our own names, as in all of these
_BY_NUMBER = f"""
SELECT {_META}, {_ENTRY}, {_RETRY}, outcome.seq FROM entry {_JOINED} {_ENDED} WHERE entry.number IN ({{}})
"""  # noqa: S608  our own names
_UNFINISHED = f"""
SELECT {_META}, {_ENTRY}, {_RETRY}, progress.*, {_SUBMIT} FROM entry {_JOINED} {_ENDED} {_SUBMITTED}
LEFT JOIN progress ON progress.number = entry.number
WHERE entry.number > ? AND outcome.number IS NULL ORDER BY entry.number LIMIT ?
"""  # noqa: S608  our own names
_LAST_STATES = f"""
SELECT {_ENTRY}, progress.* FROM entry {_JOINED} {_ENDED} AND outcome.seq <= ?
LEFT JOIN progress ON progress.number = entry.number
WHERE entry.number > ? AND outcome.number IS NULL ORDER BY entry.number LIMIT ?
"""  # noqa: S608  our own names
_OUTCOMES = f"""
SELECT {_META}, {_OUTCOME}, {_ENTRY}, {_RETRY} FROM outcome LEFT JOIN entry ON entry.number = outcome.number {_JOINED}
WHERE outcome.seq > ? ORDER BY outcome.seq LIMIT ?
"""  # noqa: S608  our own names
_STATUS = f"""
SELECT entry.number, entry.began_at, outcome.seq, {_RETRY}, progress.* FROM entry
LEFT JOIN retry ON retry.number = entry.number {_ENDED}
LEFT JOIN progress ON progress.number = entry.number
WHERE entry.key = ?
"""  # noqa: S608  our own names
_GIVEN_UP = {
    "rejected": "outcome.error = 'Rejected'",
    "unfinished": "outcome.error != 'Rejected'",
    "failed": "outcome.error IS NULL AND outcome.state != 'success'",
}
_RETRYABLE = f"""
SELECT {_OUTCOME}, outcome_before.digest, entry.endpoint FROM outcome
JOIN entry ON entry.number = outcome.number LEFT JOIN retry ON retry.number = outcome.number
LEFT JOIN outcome AS outcome_before ON outcome_before.seq = outcome.seq - 1
WHERE outcome.attempt = COALESCE(retry.attempt, 1) AND ({{}})
"""  # noqa: S608  our own names


def entries(connection: sqlite3.Connection, after: int, limit: int = PAGE) -> list[Entry]:
    """Return the next entries in order, from number *after* + 1.

    Raises:
        LedgerError: One of them is damaged.
    """
    rows = connection.execute(_ENTRIES, (after, limit)).fetchall()
    return [
        _entry(own_entry(number, row[_META_COLUMNS:-_SUBMIT_COLUMNS]), _meta(row[:_META_COLUMNS]), _time(row))
        for number, row in enumerate(rows, after + 1)
    ]


def entries_by_number(
    connection: sqlite3.Connection, numbers: Sequence[int]
) -> dict[int, tuple[tuple[Any, ...], int, bool, Any]]:
    """Return by number the columns of entries, the attempt of each job, whether that has an outcome, and its meta.

    Raises:
        LedgerError: One of them is damaged, or missing.
    """
    found: dict[int, tuple[tuple[Any, ...], int, bool, Any]] = {}
    for start in range(0, len(numbers), MOST_AT_ONCE):
        page = numbers[start : start + MOST_AT_ONCE]
        for *one, seq in connection.execute(_BY_NUMBER.format(", ".join("?" * len(page))), page):
            meta, row = tuple(one[:_META_COLUMNS]), one[_META_COLUMNS:]
            own, retry = tuple(row[:_ENTRY_COLUMNS]), tuple(row[_ENTRY_COLUMNS:])
            found[row[0]] = own_entry(row[0], own), _attempt(retry), seq is not None, _meta(meta)
    for number in numbers:
        if number not in found:
            raise damaged(f"entry {number}")
    return found


def unfinished(
    connection: sqlite3.Connection, after: int, limit: int = PAGE
) -> list[tuple[Entry, float, tuple[Any, ...]]]:
    """Return the next entries without an outcome that counts, from number *after* + 1.

    Each comes with the time at which its attempt began, and with the row of its progress as it was read.

    Raises:
        LedgerError: One of them is damaged.
    """
    found: list[tuple[Entry, float, tuple[Any, ...]]] = []
    for one in connection.execute(_UNFINISHED, (after, limit)).fetchall():
        meta, row = one[:_META_COLUMNS], one[_META_COLUMNS:-_SUBMIT_COLUMNS]
        own, rest = own_entry(row[0], row[:_ENTRY_COLUMNS]), row[_ENTRY_COLUMNS:]
        began_at = _began_at(own[-1], rest[:_RETRY_COLUMNS])
        found.append((_entry(own, _meta(meta), _time(one)), began_at, rest[_RETRY_COLUMNS:]))
    return found


def last_states(
    connection: sqlite3.Connection, after: int, outcomes: int, limit: int = PAGE
) -> list[tuple[int, str, str | None]]:
    """Return number, endpoint and last noted state of the next unfinished entries.

    Args:
        connection: The connection to read through.
        after: The number of the entry before the first of these.
        outcomes: The seq of the last outcome that counts.
        limit: The most entries.

    Raises:
        LedgerError: A row about one of them is damaged.
    """
    rows = connection.execute(_LAST_STATES, (outcomes, after, limit)).fetchall()
    found: list[tuple[int, str, str | None]] = []
    for row in rows:
        number, _key, endpoint, *_ = own_entry(row[0], row[:_ENTRY_COLUMNS])
        progress = row[_ENTRY_COLUMNS:]
        state = None if progress[0] is None else verified("the progress of a job", progress)[4]
        found.append((number, endpoint, state))
    return found


def records(connection: sqlite3.Connection, after: int, limit: int = PAGE) -> list[Record]:
    """Return the next outcomes in order of recording, from *after* + 1, superseded ones included.

    Raises:
        LedgerError: One of them is damaged.
    """
    rows = connection.execute(_OUTCOMES, (after, limit)).fetchall()
    previous = connection.execute("SELECT digest FROM outcome WHERE seq = ?", (after,)).fetchone()
    previous_digest = START if previous is None else previous[0]
    found: list[Record] = []
    for seq, one in enumerate(rows, after + 1):
        meta, row = one[:_META_COLUMNS], one[_META_COLUMNS:]
        if row[0] != seq:
            raise damaged(f"outcome {seq}")
        outcome = verified(f"outcome {seq}", row[:_OUTCOME_COLUMNS], previous_digest)
        previous_digest = row[_OUTCOME_COLUMNS - 1]
        own = own_entry(row[1], row[_OUTCOME_COLUMNS:-_RETRY_COLUMNS])
        found.append(record_of(own, outcome, _attempt(row[-_RETRY_COLUMNS:]), _meta(meta)))
    return found


def known_keys(connection: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    """Return those of the keys whose jobs were entered."""
    found: set[str] = set()
    for start in range(0, len(keys), MOST_AT_ONCE):
        page = keys[start : start + MOST_AT_ONCE]
        places = ", ".join("?" * len(page))
        found.update(key for (key,) in connection.execute(f"SELECT key FROM entry WHERE key IN ({places})", page))  # noqa: S608  our own names
    return found


def status(connection: sqlite3.Connection, key: str) -> tuple[int, float, bool, tuple[Any, ...]]:
    """Return number, begin and end of the job with this key, and the row of its progress as it was read.

    Raises:
        LedgerError: A row about it is damaged.
    """
    number, began_at, seq, *rest = connection.execute(_STATUS, (key,)).fetchone()
    retry, progress = tuple(rest[:_RETRY_COLUMNS]), tuple(rest[_RETRY_COLUMNS:])
    return number, _began_at(began_at, retry), seq is not None, progress


def retryable(
    connection: sqlite3.Connection, kinds: Iterable[RetryKind]
) -> list[tuple[int, int, str, str, str | None]]:
    """Return number, attempt, endpoint, state and error of the outcomes of these kinds that count.

    Raises:
        LedgerError: One of them is damaged.
    """
    condition = " OR ".join(f"({_GIVEN_UP[kind]})" for kind in kinds)
    found: list[tuple[int, int, str, str, str | None]] = []
    for *row, before, endpoint in connection.execute(_RETRYABLE.format(condition)):
        _seq, number, attempt, state, _status, _reason, _code, error, *_ = verified(
            f"outcome {row[0]}", tuple(row), before or START
        )
        found.append((number, attempt, endpoint, state, error))
    return found


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


def record_of(entry: tuple[Any, ...], outcome: tuple[Any, ...], attempt: int, meta: Any) -> Record:
    """Return the record for the columns of an outcome and of its entry, and the attempt and the meta of its job."""
    seq, number, its_attempt, state, status, reason, code, error, polls, waited, running, kind, *_, value = outcome
    _, key, endpoint, ref, began_at = entry
    return Record(
        seq, number, key, endpoint, json.loads(ref), state, status, json.loads(value), reason, code, error, polls,
        waited, running, began_at, outcome[-2], its_attempt, its_attempt < attempt, meta, kind,
    )  # fmt: skip


def position(connection: sqlite3.Connection, consumer: str) -> tuple[int, int | None, str | None]:
    """Return the position of a consumer: a seq, and for a file its length in bytes and the digest of its end."""
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


def definitions(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the definitions that were kept, by the name of the endpoint."""
    rows = connection.execute("SELECT endpoint, text, digest FROM definition ORDER BY endpoint").fetchall()
    return dict(verified(f"the definition of {row[0]}", row) for row in rows)


def sessions(connection: sqlite3.Connection) -> list[tuple[float, float]]:
    """Return when each session began and until when it is known to have been alive, in seconds of Unix time."""
    rows = connection.execute("SELECT number, began_at, alive_until, digest FROM session ORDER BY number").fetchall()
    found = [verified(f"session {row[0]}", row) for row in rows]
    return [(began_at, alive_until) for _, began_at, alive_until in found]


# whole tables


def check_tail(connection: sqlite3.Connection) -> Head:
    """Check the head and the last rows; return the head.

    Raises:
        LedgerError: Something is not as it was written; the kind is "damaged".
    """
    head = Head.read(connection)
    _check_end(connection, "outcome", head.outcomes, head.outcome_digest, records)
    _check_end(connection, "entry", head.entries, head.entry_digest, entries)
    return head


def walk(connection: sqlite3.Connection, table: str, path: Path) -> Iterator[tuple[Any, ...] | LedgerError]:
    """Yield the rows of a table in order, each with its digest; in place of a damaged one, the error."""
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


def _check_end(
    connection: sqlite3.Connection,
    table: str,
    count: int,
    row_digest: str,
    page: Callable[[sqlite3.Connection, int, int], list[Any]],
) -> None:
    last = connection.execute(
        f"SELECT rowid, digest FROM {table} ORDER BY rowid DESC LIMIT 1"  # noqa: S608  our own names
    ).fetchone()
    if (last or (0, START)) != (count, row_digest):
        raise damaged(f"the last {table}")
    page(connection, max(0, count - _TAIL), _TAIL)


def _attempt(retry: tuple[Any, ...]) -> int:
    """Return the attempt that a job is in, given its row of `retry` as it was read."""
    if retry[0] is None:
        return 1
    attempt: int = verified("the retry of a job", retry)[1]
    return attempt


def _began_at(entered_at: float, retry: tuple[Any, ...]) -> float:
    """Return when the attempt began that a job is in, given its row of `retry` as it was read."""
    if retry[0] is None:
        return entered_at
    began_at: float = verified("the retry of a job", retry)[2]
    return began_at


def _meta(row: tuple[Any, ...]) -> Any:
    """Return the meta of a job, given its row of `meta` as it was read."""
    return None if row[0] is None else json.loads(verified("the meta of a job", row)[1])


def _time(row: tuple[Any, ...]) -> float | None:
    """Return the time of the submit of a job, given a row that ends with its row of `submit` as it was read."""
    submit = row[-_SUBMIT_COLUMNS:]
    if submit[0] is None:
        return None
    at: float = verified("the submit of a job", submit)[1]
    return at


def _entry(columns: tuple[Any, ...], meta: Any, submitted_at: float | None) -> Entry:
    number, key, endpoint, ref, _began_at = columns
    return Entry(number, key, endpoint, json.loads(ref), meta, submitted_at)
