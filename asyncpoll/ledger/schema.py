"""The tables of a ledger, and the checksums by which a changed, missing or reordered row is found.

Entries and outcomes are appended and never change. The digest of such a row covers the digest of the row before it,
so that the last digest stands for the whole table; it is kept with the number of rows in `head`, which is written in
the same transaction. All other rows are replaced as a whole, and their digest covers only themselves.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any, Final

from asyncpoll._errors import LedgerError

APPLICATION: Final = 0x61706C67  # "aplg"
VERSION: Final = 1
START: Final = ""
"""The digest before the first row."""

CURE: Final = "copy what is sound into a new one with asyncpoll.ledger.recover(path, new_path), and look after the disk"

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
    seq INTEGER PRIMARY KEY, number INTEGER NOT NULL UNIQUE, state TEXT NOT NULL, status TEXT NOT NULL, reason TEXT,
    code TEXT, error TEXT, polls INTEGER NOT NULL, waited REAL NOT NULL, running REAL, ended_at REAL NOT NULL,
    value TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE progress (
    number INTEGER PRIMARY KEY, noted_at REAL NOT NULL, waited REAL NOT NULL, polls INTEGER NOT NULL, state TEXT,
    in_state REAL NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE consumer (
    name TEXT PRIMARY KEY, seq INTEGER NOT NULL, length INTEGER, mark TEXT, digest TEXT NOT NULL
) WITHOUT ROWID;
"""
_COLUMNS: Final = {"head": 3, "options": 3, "session": 4, "entry": 6, "outcome": 13, "progress": 7, "consumer": 5}
PUT: Final = {
    table: f"REPLACE INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608  our own names
    for table, columns in _COLUMNS.items()
}
"""The statement that writes a row of a table, in place of the one with the same key if there is one."""

APPEND: Final = {
    "entry": PUT["entry"].replace("REPLACE", "INSERT") + " ON CONFLICT (key) DO NOTHING",
    "outcome": PUT["outcome"].replace("REPLACE", "INSERT") + " ON CONFLICT (number) DO NOTHING",
}
"""The statement that appends a row to a table whose rows never change, unless its job has one already."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty ledger, and sign the file as one."""
    connection.executescript(
        f"PRAGMA journal_mode = DELETE; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
        f"BEGIN IMMEDIATE; {_TABLES} COMMIT;"
    )


def digest(previous: str, *columns: Any) -> str:
    """Return the digest of a row, 16 hexadecimal digits, given that of the row before it."""
    # Python spells numbers and text in ASCII alike in every version, and a column gives a float back as it was.
    return hashlib.blake2b(ascii((previous, *columns)).encode(), digest_size=8).hexdigest()


def verified(name: str, row: tuple[Any, ...], previous: str = START) -> tuple[Any, ...]:
    """Return the columns of a row without its digest, the last one.

    Args:
        name: What the row is called in the message.
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
    """Return the error that says that *what* is not as it was written."""
    return LedgerError(f"the ledger is damaged: {what} is not as it was written; {CURE}", kind="damaged")
