"""Read a ledger without changing it, also while a run is in progress."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import _queries
from asyncpoll.ledger._files import DATABASE_ERRORS, incomplete, inspect, ledger_error, loss_of, peek, read_only
from asyncpoll.ledger._lock import holder_of, mark_of
from asyncpoll.ledger._queries import walk
from asyncpoll.ledger._records import Counts, Entry, Record
from asyncpoll.ledger._schema import Head, damaged

T = TypeVar("T")

NOT_SEEN = "not seen yet"
"""In place of the state of a job of which no poll has been noted to have seen anything."""

_MOST_PROBLEMS = 100
_NUMBER, _ATTEMPT, _STATE, _ERROR = 1, 2, 3, 7  # columns of an outcome


class Reader:
    """A ledger as it is now: a context manager. Everything that it returns was committed, and is checked.

    It reads in short steps through a connection that can neither write nor checkpoint, so it does not delay a run that
    is in progress, and no two connections ever write the log of an SQLite that cannot yet share it safely.

    Args:
        path: The ledger's file.
        accept_loss: Read a ledger although its newest changes are missing; `check` says so.

    Attributes:
        path: The ledger's file.
        loss: What is missing, in words, or None.

    Raises:
        LedgerError: On entering: it is not a ledger, is not complete ("incomplete"), or cannot be read; later:
            something in it is damaged.
    """

    def __init__(self, path: str | Path, *, accept_loss: bool = False) -> None:
        self.path = Path(path)
        self.loss: str | None = None
        self._accept_loss = accept_loss
        self._connection: sqlite3.Connection | None = None
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        inspect(self.path)
        if self.holder is None:  # else a process that has checked it is writing it
            mark = mark_of(self.path)
            self.loss = loss_of(self.path, peek(self.path), mark)
            if self.loss is not None and not self._accept_loss:
                raise incomplete(self.path, self.loss)
        self._connection = self._exits.enter_context(closing(read_only(self.path)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection = None
        self._exits.close()

    @property
    def counts(self) -> Counts:
        """The counts at the last commit."""
        return self._read(Head.read).counts()

    @property
    def options(self) -> dict[str, Any]:
        """The options that were kept to resume the run."""
        return self._read(_queries.options)

    @property
    def definitions(self) -> dict[str, str]:
        """The text of the definition of each endpoint of the run that was made from one, by its name."""
        return self._read(_queries.definitions)

    @property
    def sources(self) -> list[str]:
        """The names of the sources that `Ledger.claim_source` has accepted."""
        return [name for name, *_ in self._read(Head.read).sources]

    @property
    def sessions(self) -> list[tuple[float, float]]:
        """When each session began, and until when it is known to have been alive, in seconds of Unix time."""
        return self._read(_queries.sessions)

    @property
    def created_at(self) -> float:
        """When the ledger was first opened, in seconds of Unix time; 0.0 when it never was."""
        return next((began_at for began_at, _ in self.sessions), 0.0)

    @property
    def holder(self) -> str | None:
        """The process that has it open, in words, or None when none has."""
        return holder_of(self.path)

    def entries(self, *, after: int = 0) -> Iterator[Entry]:
        """Yield the entries in their order, from number *after* + 1."""
        return self._paged(_queries.entries, after, lambda entry: entry.number)

    def unfinished(self, *, after: int = 0) -> Iterator[Entry]:
        """Yield the entries without an outcome in their order, from number *after* + 1."""
        found = self._paged(_queries.unfinished, after, lambda row: row[0].number)
        return (entry for entry, *_ in found)

    def last_states(self, *, outcomes: int | None = None) -> Mapping[tuple[str, str], int]:
        """Count the entries without an outcome by endpoint and the state last noted, or `NOT_SEEN`.

        A state is noted now and then while a run is in progress, and when it is stopped; a job may have gone on since.

        Args:
            outcomes: The seq of the last outcome that counts, so that what is recorded in the meantime makes no
                difference; None for the last one there is now.
        """
        last = self.counts.recorded if outcomes is None else outcomes
        states = self._paged(
            lambda connection, after: _queries.last_states(connection, after, last), 0, lambda found: found[0]
        )
        return Counter((endpoint, state or NOT_SEEN) for _, endpoint, state in states)

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """Yield the outcomes that count in order of recording, from seq *after* + 1: one for each job that has one."""
        found = self._paged(_queries.records, after, lambda record: record.seq)
        return (record for record in found if not record.superseded)

    def check(self) -> list[str]:
        """Check every row and every page; return what is not as it was written, in words, the first 100 problems."""
        lost = [] if self.loss is None else [f"the ledger is not complete: {self.loss}"]
        with closing(read_only(self.path)) as connection:
            connection.execute("BEGIN")  # so that all of it is of one moment
            return [*lost, *islice(_problems(connection, self.path), _MOST_PROBLEMS)]

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


def _problems(connection: sqlite3.Connection, path: Path) -> Iterator[str]:
    try:
        yield from (row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})") if row[0] != "ok")
        head = Head.read(connection)
        _queries.options(connection)
    except DATABASE_ERRORS as error:
        yield str(ledger_error(error, path))
        return
    except LedgerError as error:
        yield str(error)
        return
    for table in ("session", "progress", "consumer", "retry", "meta", "submit", "definition"):
        yield from (str(row) for row in walk(connection, table, path) if isinstance(row, LedgerError))
    attempts = {row[0]: row[1] for row in walk(connection, "retry", path) if not isinstance(row, LedgerError)}
    counted = Head(anomalies=head.anomalies)
    yield from _count(connection, path, attempts, counted)
    if not counted.same_rows(head):
        yield str(damaged("the number of rows, or their totals,"))


def _count(connection: sqlite3.Connection, path: Path, attempts: Mapping[int, int], head: Head) -> Iterator[str]:
    """Count the entries and outcomes in *head*; yield the problems with them."""
    endpoints = [""]  # by number
    for row in walk(connection, "entry", path):
        if isinstance(row, LedgerError):
            yield str(row)
            continue
        endpoints.append(row[2])
        head.add_entry(row[2], row[-1])
    ended = [0] * len(endpoints)  # the last attempt with an outcome, by number
    for row in walk(connection, "outcome", path):
        if isinstance(row, LedgerError):
            yield str(row)
            continue
        number, attempt = row[_NUMBER], row[_ATTEMPT]
        if not 0 < number < len(endpoints) or not ended[number] < attempt <= attempts.get(number, 1):
            yield f"outcome {row[0]} belongs to entry {number}, which is missing or has another outcome"
            continue
        ended[number] = attempt
        facts = endpoints[number], row[_STATE], row[_ERROR]
        head.add_outcome(*facts, row[-1])
        if attempt < attempts.get(number, 1):
            head.supersede(*facts)
