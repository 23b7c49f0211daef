"""The one connection that writes a ledger. All of it blocks, and belongs to one thread."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from asyncpoll._errors import LedgerError
from asyncpoll._state import State
from asyncpoll.ledger import rows
from asyncpoll.ledger.check import check_tail
from asyncpoll.ledger.file import (
    DATABASE_ERRORS,
    Identity,
    create,
    gone,
    held,
    inspect,
    ledger_error,
    os_trouble,
    unfinished,
)
from asyncpoll.ledger.head import Head
from asyncpoll.ledger.records import Counts, Record, Standing
from asyncpoll.ledger.schema import APPEND, PUT, START, damaged, digest, verified
from asyncpoll.ledger.sessions import Lifetime
from asyncpoll.ledger.tuning import Tuning
from asyncpoll.waiting._decision import WaitCheckpoint

Work = Callable[["Store"], Any]
Synchronous = Literal["normal", "full"]

_BEAT = 1.0  # seconds between two notes of being alive
_CACHE = 32_768  # KiB of pages in memory: room for the index of a million outcomes
_CHECKPOINT = 4000  # pages, 16 MiB, of log before they are brought into the file

_STANDING = """
SELECT entry.number, entry.began_at, outcome.seq, progress.number, noted_at, progress.waited, progress.polls,
    progress.state, in_state, progress.digest
FROM entry
LEFT JOIN outcome ON outcome.number = entry.number
LEFT JOIN progress ON progress.number = entry.number
WHERE key = ?
"""
_OUTCOME = """
SELECT seq, state, status, reason, code, error, polls, waited, running, ended_at, value FROM outcome WHERE number = ?
"""


class Store:
    """A ledger's file, open for writing.

    Args:
        path: The file; made when there is none.
        synchronous: "full" brings every group to the disk before it counts as committed; "normal" may lose the last
            groups when the power fails, and nothing when only the process dies.
        tuning: Clock, patience, and what makes connections.

    Attributes:
        counts: How far the run had come at the last commit.
    """

    def __init__(self, path: Path, synchronous: Synchronous, tuning: Tuning) -> None:
        self._path = path
        self._synchronous = synchronous
        self._tuning = tuning
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None
        self._session: tuple[int, float] | None = None
        self._alive_until = 0.0
        self._head = Head()
        self._dirty = False
        self._lifetime = Lifetime()
        self.counts: Counts = self._head.counts()

    # opening and closing

    def open(self) -> dict[str, Any]:
        """Open the file, or make it, and begin a session; return the options that were kept.

        Raises:
            LedgerError: It cannot be opened, or is not a sound ledger; then it is left as it is.
        """
        try:
            unfinished(self._path).unlink(missing_ok=True)  # of a process that was killed there; we have the lock
            if not self._path.exists():
                create(self._path, Head().write, self._tuning.connect)
            self._identity = Identity.of(self._path)
            kept = rows.options(self._connect())
            self.commit([Store._begin_session])
        except DATABASE_ERRORS as error:
            self._drop()
            raise ledger_error(error, self._path) from error
        except OSError as error:
            raise os_trouble(error, self._path) from error
        return kept

    def close(self) -> None:
        """Close the file; what was committed stays, in one file unless somebody is reading it."""
        if self._connection is not None:
            self._alive_until = -math.inf
            with suppress(sqlite3.Error, LedgerError):  # else the log stays beside the file, and is read with it
                self.commit([])
                self._open().execute("PRAGMA busy_timeout = 0")
                self._open().execute("PRAGMA journal_mode = DELETE")
            self._drop()

    def commit(self, group: Sequence[Work]) -> list[Any]:
        """Do all the work of *group* in one transaction; return what each piece of it returned, once it is committed.

        Raises:
            LedgerError: Nothing of it counts as done; when the error may pass, the same group may be tried again.
        """
        try:
            self._check_identity()
            connection = self._connection or self._connect()
            connection.execute("BEGIN IMMEDIATE")
            results = [work(self) for work in group]
            self._note_alive(self._tuning.now())
            if self._dirty:
                self._head.write(connection)
            connection.execute("COMMIT")
        except DATABASE_ERRORS as error:
            self._drop()
            raise ledger_error(error, self._path) from error
        except BaseException:
            self._drop()
            raise
        if self._dirty:
            self._dirty, self.counts = False, self._head.counts()
        return results

    # work: what may be done in a transaction

    def enter(self, batch: Iterable[tuple[str, str, str]]) -> list[Standing]:
        """Append the jobs that are not there yet, as (key, endpoint, reference); return where each of them stands."""
        now = self._tuning.now()
        return [self._enter(key, endpoint, ref, now) for key, endpoint, ref in batch]

    def record(self, number: int, columns: tuple[Any, ...]) -> Record | None:
        """Append an outcome, unless its job has one already.

        Args:
            number: The number of its entry.
            columns: Those of the table from `state` to `value`.
        """
        entry = rows.entry(self._open(), number)
        state, _status, _reason, _code, error, *_ = columns
        outcome = (self._head.outcomes + 1, number, *columns)
        row_digest = digest(self._head.outcome_digest, *outcome)
        if not self._open().execute(APPEND["outcome"], (*outcome, row_digest)).rowcount:
            return self._again(number, columns)
        self._head.recorded(entry[2], state, error, row_digest)
        self._dirty = True
        return rows.record_of(entry, outcome)

    def note(self, pasts: Iterable[tuple[int, float, WaitCheckpoint]]) -> None:
        """Note what is known of unfinished waits, as (number, when in seconds of Unix time, what)."""
        made = [
            (number, at, float(past.waited), past.polls, past.state and past.state.value, float(past.in_state))
            for number, at, past in pasts
        ]
        signed = [(*columns, digest(START, *columns)) for columns in made]
        self._open().executemany(PUT["progress"], signed)

    def place(self, consumer: str, seq: int, length: int | None = None, mark: str | None = None) -> None:
        """Set how far a consumer has come."""
        columns = (consumer, seq, length, mark)
        self._open().execute(PUT["consumer"], (*columns, digest(START, *columns)))

    def keep(self, text: str) -> None:
        """Keep the options, as JSON text."""
        self._open().execute(PUT["options"], (1, text, digest(START, 1, text)))

    def records(self, after: int) -> list[Record]:
        """Return the next page of outcomes."""
        found = rows.records(self._open(), after)
        if not found and after < self._head.outcomes:
            raise damaged(f"outcome {after + 1}")
        return found

    def unfinished(self, after: int) -> list[Any]:
        """Return the next page of entries without an outcome."""
        return rows.unfinished(self._open(), after)

    def position(self, consumer: str) -> tuple[int, int | None, str | None]:
        """Return how far a consumer has come."""
        return rows.position(self._open(), consumer)

    # details

    def _open(self) -> sqlite3.Connection:
        assert self._connection is not None  # noqa: S101  work is done inside `commit`, which connects
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        inspect(self._path)
        uri = f"{self._path.absolute().as_uri()}?mode=rw"  # never makes a file
        connection = self._tuning.connect(uri, uri=True, timeout=self._tuning.busy, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        # What stands in the log may never have reached the disk if the last sync failed. This writes it anew.
        (is_held, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_held:
            raise held(self._path)
        self._head = check_tail(connection)
        self.counts = self._head.counts()
        return connection

    def _drop(self) -> None:
        """Let go of the connection: after an error its idea of the file is not to be trusted."""
        connection, self._connection, self._dirty = self._connection, None, False
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _check_identity(self) -> None:
        if Identity.of(self._path) != self._identity:
            raise gone(self._path)

    def _begin_session(self) -> None:
        now = self._tuning.now()
        before = rows.sessions(self._open())
        self._session = len(before) + 1, now
        self._alive_until = -math.inf
        self._lifetime = Lifetime.of([*before, (now, math.inf)])

    def _note_alive(self, now: float) -> None:
        if self._session is None or now - self._alive_until < _BEAT:
            return
        self._alive_until = now
        columns = (*self._session, now)
        self._open().execute(PUT["session"], (*columns, digest(START, *columns)))

    def _enter(self, key: str, endpoint: str, ref: str, now: float) -> Standing:
        columns = (self._head.entries + 1, key, endpoint, ref, now)
        row_digest = digest(self._head.entry_digest, *columns)
        if self._open().execute(APPEND["entry"], (*columns, row_digest)).rowcount:
            self._head.entered(endpoint, row_digest)
            self._dirty = True
            return Standing(columns[0], True, False)
        number, began_at, seq, *progress = self._open().execute(_STANDING, (key,)).fetchone()
        done = seq is not None
        return Standing(number, False, done, None if done else self._past(began_at, tuple(progress), now))

    def _past(self, began_at: float, progress: tuple[Any, ...], now: float) -> WaitCheckpoint:
        """Return what is known of an unfinished wait: what was noted, and the time since in which we were at it."""
        if progress[0] is None:
            return WaitCheckpoint(waited=self._lifetime.between(began_at, now))
        _number, noted_at, waited, polls, state, in_state = verified("the progress of a job", progress)
        since = self._lifetime.between(noted_at, now)
        return WaitCheckpoint(
            waited=waited + since, polls=polls, state=None if state is None else State(state), in_state=in_state + since
        )

    def _again(self, number: int, columns: tuple[Any, ...]) -> Record | None:
        """Take in another outcome of a job that has one: the first stands, unless it is the very same."""
        seq, *first = self._open().execute(_OUTCOME, (number,)).fetchone()
        if tuple(first) == columns:  # committed just before something failed, and now tried again
            return rows.records(self._open(), seq - 1, 1)[0]
        if _verdict(tuple(first)) != _verdict(columns):
            self._head.anomalies += 1
            self._dirty = True
        return None


def _verdict(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what two outcomes of a job must have in common: state, code, error and value."""
    state, _status, _reason, code, error, *_, value = columns
    return state, code, error, value
