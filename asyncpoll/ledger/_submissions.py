"""The items of a list that were submitted: each is stored before it is sent, so that none is sent twice unnoticed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from attrs import frozen

from asyncpoll._errors import ClientClosed, LedgerError
from asyncpoll.ledger._lock import Lock, refuse_network
from asyncpoll.ledger._records import DEFAULT_SETTINGS

APPLICATION: Final = 0x61707362  # "apsb"
VERSION: Final = 1

ItemStatus = Literal["begun", "known", "refused"]

_TABLES: Final = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE output (path TEXT PRIMARY KEY);
CREATE TABLE item (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, standing TEXT NOT NULL,
    token TEXT, job TEXT, problem TEXT
);
COMMIT;
"""
_COLUMNS: Final = "number, key, endpoint, standing, token, job, problem"


@frozen
class Submitted:
    """An item that was to be submitted.

    Attributes:
        number: Its place in the order in which items were first sent, from 1.
        key: Its key, unique in the list.
        endpoint: The name of the endpoint that it was sent to.
        standing: "begun": it may have been sent, and its answer is not known; "known": its job is known; "refused": it
            was not accepted, or not sent.
        token: The idempotency key that it was sent with, where its API has one.
        job: Its job, as JSON text.
        problem: The problem with it, in words.
    """

    number: int
    key: str
    endpoint: str
    standing: ItemStatus
    token: str | None
    job: str | None
    problem: str | None


class Submissions:
    """The items of one list in one file: a context manager. A change is on the disk when its method returns.

    The content of the items is not stored. Everything here blocks.

    Args:
        path: The file, on a local disk; made when there is none. A lock file stands beside it while it is open.

    Raises:
        LedgerError: On entering: it cannot be used, or another process has it open. Later: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock(path)
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        refuse_network(self.path, DEFAULT_SETTINGS.mounts)
        self._lock.take()
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened().close()
        self._lock.release()

    def find(self, key: str) -> Submitted | None:
        """Return the item with this key, or None for one that was never sent."""
        row = self._execute(f"SELECT {_COLUMNS} FROM item WHERE key = ?", (key,)).fetchone()  # noqa: S608  our own names
        return None if row is None else Submitted(*row)

    def begin(self, key: str, endpoint: str, token: str | None) -> int:
        """Store that an item is about to be sent, for the first time or again; return its number."""
        self._execute(
            "INSERT INTO item (key, endpoint, standing, token) VALUES (?, ?, 'begun', ?) "
            "ON CONFLICT (key) DO UPDATE SET standing = 'begun', token = excluded.token, problem = NULL",
            (key, endpoint, token),
        )
        number: int = self._execute("SELECT number FROM item WHERE key = ?", (key,)).fetchone()[0]
        return number

    def end(self, number: int, standing: ItemStatus, job: str | None, problem: str | None) -> None:
        """Store the result of sending an item; one whose answer was lost is still "begun", with that as the problem."""
        self._execute(
            "UPDATE item SET standing = ?, job = ?, problem = ? WHERE number = ?", (standing, job, problem, number)
        )

    def items(self) -> Iterator[Submitted]:
        """Yield every item, in the order in which they were first sent."""
        yield from (Submitted(*row) for row in self._execute(f"SELECT {_COLUMNS} FROM item ORDER BY number"))  # noqa: S608  our own names

    def owns(self, output: Path) -> bool:
        """Return whether `own` was called with this path, in whatever process."""
        return self._execute("SELECT 1 FROM output WHERE path = ?", (str(output.absolute()),)).fetchone() is not None

    def own(self, output: Path) -> None:
        """Store that this file is made from here and may be replaced."""
        self._execute("INSERT OR IGNORE INTO output VALUES (?)", (str(output.absolute()),))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ClientClosed("the submissions are not open; use them inside a block: with Submissions(path) as them")
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._trouble(error) from error
        try:
            self._prepare(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self._trouble(error) from error
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = EXTRA")  # the directory, too: a journal that stays would undo a commit
        empty = not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if empty and not connection.execute("PRAGMA application_id").fetchone()[0]:
            connection.executescript(_TABLES)
        signs = [connection.execute(f"PRAGMA {sign}").fetchone()[0] for sign in ("application_id", "user_version")]
        if signs != [APPLICATION, VERSION]:
            raise LedgerError(f"{self.path} is the file of another program; choose another name", kind="foreign")

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        connection = self._opened()
        try:
            return connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> LedgerError:
        return LedgerError(
            f"{self.path} cannot be used: {error}; check the file, its directory and the disk", kind="io"
        )
