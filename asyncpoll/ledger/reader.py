"""Looking into a ledger without touching it, also while a run is on."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import rows
from asyncpoll.ledger.check import problems
from asyncpoll.ledger.file import DATABASE_ERRORS, inspect, ledger_error, read_only
from asyncpoll.ledger.head import Head
from asyncpoll.ledger.lock import holder_of
from asyncpoll.ledger.records import Counts, Entry, Record

T = TypeVar("T")

NOT_SEEN = "not seen yet"
"""In place of the state of a job of which no poll has been noted to have seen anything."""


class Reader:
    """A ledger as it stands: a context manager. What it gives is checked, and was committed.

    It reads in short steps through a connection that can neither write nor checkpoint, so a run that is on is not held
    up, and no two connections ever touch the log of an SQLite that has not yet learned to share it safely.

    Args:
        path: The ledger's file.

    Raises:
        LedgerError: On entering: it is no ledger, or cannot be read; later: something in it is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._connection: sqlite3.Connection | None = None
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        inspect(self.path)
        self._connection = self._exits.enter_context(closing(read_only(self.path)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection = None
        self._exits.close()

    @property
    def counts(self) -> Counts:
        """How far the run had come at the last commit."""
        return self._read(Head.read).counts()

    @property
    def options(self) -> dict[str, Any]:
        """What was kept to resume the run."""
        return self._read(rows.options)

    @property
    def sessions(self) -> list[tuple[float, float]]:
        """When each session began, and until when it is known to have been alive, in seconds of Unix time."""
        return self._read(rows.sessions)

    @property
    def created_at(self) -> float:
        """When the ledger was first opened, in seconds of Unix time; 0.0 when it never was."""
        return next((began_at for began_at, _ in self.sessions), 0.0)

    @property
    def holder(self) -> str | None:
        """Which process is at it, in words, or None when none is."""
        return holder_of(self.path)

    def entries(self, *, after: int = 0) -> Iterator[Entry]:
        """Give the entries in order of intake, from number *after* + 1."""
        return self._paged(rows.entries, after, lambda entry: entry.number)

    def unfinished(self, *, after: int = 0) -> Iterator[Entry]:
        """Give the entries without an outcome in order of intake, from number *after* + 1."""
        return self._paged(rows.unfinished, after, lambda entry: entry.number)

    def last_states(self, *, outcomes: int | None = None) -> Mapping[tuple[str, str], int]:
        """Count the entries without an outcome by endpoint and the state last noted, or `NOT_SEEN`.

        A state is noted now and then while a run is on, and when it is stopped; a job may have gone on since.

        Args:
            outcomes: Only the first so many outcomes count, so that what is recorded in the meantime makes no
                difference; None for as many as there are now.
        """
        first = self.counts.outcomes if outcomes is None else outcomes
        standing = self._paged(
            lambda connection, after: rows.standing(connection, after, first), 0, lambda found: found[0]
        )
        return Counter((endpoint, state or NOT_SEEN) for _, endpoint, state in standing)

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """Give what is recorded in order of recording, from seq *after* + 1."""
        return self._paged(rows.records, after, lambda record: record.seq)

    def check(self) -> list[str]:
        """Look at every row and every page; return what is not as it was written, in words, the first 100 of it."""
        with closing(read_only(self.path)) as connection:
            connection.execute("BEGIN")  # so that it all belongs together
            return problems(connection, self.path)

    def _paged(
        self, page: Callable[[sqlite3.Connection, int], list[T]], after: int, place: Callable[[T], int]
    ) -> Iterator[T]:
        while found := self._read(lambda connection: page(connection, after)):  # noqa: B023  called at once
            yield from found
            after = place(found[-1])

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise LedgerError("the ledger is not open; read it inside a block: with Reader(path) as reader", kind="io")
        try:
            return read(self._connection)
        except DATABASE_ERRORS as error:
            raise ledger_error(error, self.path) from error
