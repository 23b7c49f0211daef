"""The tables of a ledger, and the digests that show a changed, missing or reordered row.

Entries and outcomes are appended and never change. The digest of such a row covers the digest of the row before it,
so the last digest stands for the whole table; `head` keeps it, with the number of rows, and is written in the same
transaction. All other rows are replaced as a whole, and their digest covers only themselves.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, Self

from attrs import Factory, define, field

from asyncpoll._errors import LedgerError
from asyncpoll.ledger._records import Counts

APPLICATION: Final = 0x61706C67  # "aplg"
VERSION: Final = 4
START: Final = ""
"""The digest before the first row."""

CURE: Final = "copy the sound part to a new ledger with asyncpoll.ledger.recover(path, new_path), and check the disk"

_TABLES: Final = """
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), data TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE options (id INTEGER PRIMARY KEY CHECK (id = 1), data TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE session (
    number INTEGER PRIMARY KEY, began_at REAL NOT NULL, alive_until REAL NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE entry (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, ref TEXT NOT NULL,
    began_at REAL NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE outcome (
    seq INTEGER PRIMARY KEY, number INTEGER NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT, code TEXT, error TEXT, polls INTEGER NOT NULL, waited REAL NOT NULL,
    running REAL, kind TEXT, ended_at REAL NOT NULL, value TEXT NOT NULL, digest TEXT NOT NULL,
    UNIQUE (number, attempt)
);
CREATE TABLE retry (
    number INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, began_at REAL NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE meta (number INTEGER PRIMARY KEY, data TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE submit (number INTEGER PRIMARY KEY, submitted_at REAL, pacing TEXT, digest TEXT NOT NULL);
CREATE TABLE definition (endpoint TEXT PRIMARY KEY, text TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE progress (
    number INTEGER PRIMARY KEY, noted_at REAL NOT NULL, waited REAL NOT NULL, polls INTEGER NOT NULL, state TEXT,
    in_state REAL NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE consumer (
    name TEXT PRIMARY KEY, seq INTEGER NOT NULL, length INTEGER, mark TEXT, digest TEXT NOT NULL
) WITHOUT ROWID;
"""
_COLUMNS: Final = {
    "head": 3, "options": 3, "session": 4, "entry": 6, "outcome": 15, "retry": 4, "meta": 3, "submit": 4, "progress": 7,
    "consumer": 5, "definition": 3,
}  # fmt: skip
PUT: Final = {
    table: f"REPLACE INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608  our own names
    for table, columns in _COLUMNS.items()
}
"""The statement that writes a row of a table, in place of the one with the same key if there is one."""

MOST_AT_ONCE: Final = 100
"""The most rows in one statement. Each statement hands the interpreter over to the event loop and back."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables of an empty ledger, and mark the file as one."""
    connection.executescript(
        f"PRAGMA journal_mode = DELETE; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
        f"BEGIN IMMEDIATE; {_TABLES} COMMIT;"
    )


def put_many(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write many rows of a table with few statements."""
    statement, values = PUT[table].split(" VALUES ")
    for start in range(0, len(rows), MOST_AT_ONCE):
        page = rows[start : start + MOST_AT_ONCE]
        connection.execute(f"{statement} VALUES {', '.join([values] * len(page))}", [*chain.from_iterable(page)])


def digest(previous: str, *columns: Any) -> str:
    """Return the digest of a row, 16 hexadecimal digits, given that of the row before it."""
    # Python spells numbers and text in ASCII alike in every version, and SQLite returns a float as it was stored.
    return hashlib.blake2b(ascii((previous, *columns)).encode(), digest_size=8).hexdigest()


def verified(name: str, row: tuple[Any, ...], previous: str = START) -> tuple[Any, ...]:
    """Return the columns of a row without its digest, the last one.

    Args:
        name: The name of the row in the message.
        row: The row as it was read.
        previous: The digest of the row before it, where that is covered.

    Raises:
        LedgerError: The row is not what was written; the kind is "damaged".
    """
    *columns, written = row
    if digest(previous, *columns) != written:
        raise damaged(name)
    return tuple(columns)


def damaged(what: str) -> LedgerError:
    """Return the error for *what* that is not as it was written."""
    return LedgerError(f"the ledger is damaged: {what} is not as it was written; {CURE}", kind="damaged")


@define
class Head:
    """The one row that says what the ledger is, and what its appended tables hold: it shows that a row is missing.

    Attributes:
        id: The identity of the ledger, the same in every copy.
        commits: The transactions that changed something.
        holder: The process that has the ledger open, as JSON data; None when the last one closed it. While it is set,
            the newest changes may be in the -wal file.
        sources: The sources of the jobs: name, length in bytes and digest of each.
        entries: The rows in `entry`.
        entry_digest: The digest of the last of them.
        outcomes: The rows in `outcome`.
        outcome_digest: The digest of the last of them.
        superseded: Those outcomes whose jobs have been retried.
        by_endpoint: Entries by endpoint.
        by_state: Outcomes that count, without an error, by endpoint and state.
        by_error: Outcomes that count, with an error, by endpoint and the name of its class.
        anomalies: Contradictions to recorded outcomes.
    """

    id: str = field(factory=lambda: secrets.token_hex(8))
    commits: int = 0
    holder: dict[str, Any] | None = None
    sources: list[list[Any]] = Factory(list)
    entries: int = 0
    entry_digest: str = START
    outcomes: int = 0
    outcome_digest: str = START
    superseded: int = 0
    by_endpoint: Counter[str] = Factory(Counter)
    by_state: Counter[tuple[str, str]] = Factory(Counter)
    by_error: Counter[tuple[str, str]] = Factory(Counter)
    anomalies: int = 0

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> Self:
        """Read the row.

        Raises:
            LedgerError: It is missing or not what was written; the kind is "damaged".
        """
        row = connection.execute("SELECT * FROM head").fetchone()
        if row is None:
            raise damaged("the head")
        facts = json.loads(verified("the head", row)[1])
        states, errors, endpoints = facts.pop("by_state"), facts.pop("by_error"), facts.pop("by_endpoint")
        return cls(**facts, by_endpoint=Counter(endpoints), by_state=_table(states), by_error=_table(errors))

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the row, in place of the one before."""
        facts = {
            "id": self.id,
            "commits": self.commits,
            "holder": self.holder,
            "sources": self.sources,
            "entries": self.entries,
            "entry_digest": self.entry_digest,
            "outcomes": self.outcomes,
            "outcome_digest": self.outcome_digest,
            "superseded": self.superseded,
            "by_endpoint": self.by_endpoint,
            "by_state": [[*pair, count] for pair, count in self.by_state.items()],
            "by_error": [[*pair, count] for pair, count in self.by_error.items()],
            "anomalies": self.anomalies,
        }
        text = json.dumps(facts)
        connection.execute(PUT["head"], (1, text, digest(START, 1, text)))

    def add_entry(self, endpoint: str, row_digest: str) -> None:
        """Count an entry that was appended."""
        self.entries += 1
        self.entry_digest = row_digest
        self.by_endpoint[endpoint] += 1

    def add_outcome(self, endpoint: str, state: str, error: str | None, row_digest: str) -> None:
        """Count an outcome that was appended."""
        self.outcomes += 1
        self.outcome_digest = row_digest
        if error is None:
            self.by_state[endpoint, state] += 1
        else:
            self.by_error[endpoint, error] += 1

    def supersede(self, endpoint: str, state: str, error: str | None) -> None:
        """Count an outcome no more, because its job is retried."""
        self.superseded += 1
        table, word = (self.by_state, state) if error is None else (self.by_error, error)
        table[endpoint, word] -= 1
        if not table[endpoint, word]:
            del table[endpoint, word]

    def counts(self) -> Counts:
        """Return the counts as they are now."""
        return Counts(
            self.entries,
            self.outcomes - self.superseded,
            dict(self.by_state),
            dict(self.by_error),
            self.anomalies,
            dict(self.by_endpoint),
            recorded=self.outcomes,
        )

    def same_rows(self, other: Head) -> bool:
        """Return whether *other* stands for the same entries and outcomes."""
        return (self.entry_digest, self.outcome_digest, self.counts()) == (
            other.entry_digest, other.outcome_digest, other.counts(),
        )  # fmt: skip


def _table(rows: list[Any]) -> Counter[tuple[str, str]]:
    return Counter({(endpoint, word): count for endpoint, word, count in rows})
