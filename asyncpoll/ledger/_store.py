"""The connection that writes a ledger. All of it blocks, and belongs to one thread."""

from __future__ import annotations

import math
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from attrs import define, evolve, field

from asyncpoll._errors import LedgerError
from asyncpoll._state import State
from asyncpoll.ledger import _queries
from asyncpoll.ledger._files import (
    DATABASE_ERRORS,
    Identity,
    Mark,
    create,
    gone,
    held,
    inspect,
    ledger_error,
    os_trouble,
    unfinished,
)
from asyncpoll.ledger._lock import Holder, Lock, refuse_network
from asyncpoll.ledger._records import Counts, EntryStatus, LedgerSettings, Record, RetryKind
from asyncpoll.ledger._schema import PUT, START, Head, damaged, digest, put_many, verified
from asyncpoll.waiting._decision import WaitCheckpoint

Work = Callable[["Store"], Any]
Synchronous = Literal["normal", "full"]

_BEAT = 1.0  # seconds between two notes of being alive
_LAST_BUSY = 1.0  # seconds that closing waits for another program that has locked the file, at most
_CACHE = 32_768  # KiB of pages in memory: room for the index of a million outcomes
_CHECKPOINT = 4000  # pages, 16 MiB, of log before they are copied into the file

_OUTCOME = """
SELECT seq, state, status, reason, code, error, polls, waited, running, kind, ended_at, value FROM outcome
WHERE number = ? AND attempt = ?
"""


@define
class Uptime:
    """The sessions of a ledger one after the other, in seconds of Unix time.

    A wall clock that was put back would make sessions overlap. Then the part of a session before the end of the one
    before it does not count, so that no second counts twice.
    """

    _starts: list[float] = field(factory=list, init=False)
    _ends: list[float] = field(factory=list, init=False)
    _before: list[float] = field(factory=list, init=False)  # seconds of uptime in all sessions before

    @classmethod
    def of(cls, sessions: Iterable[tuple[float, float]]) -> Uptime:
        """Return the uptime of *sessions*, given when each began and until when it was alive."""
        uptime = cls()
        end = before = 0.0
        for began_at, alive_until in sessions:
            start = max(began_at, end)
            end = max(alive_until, start)
            uptime._starts.append(start)
            uptime._ends.append(end)
            uptime._before.append(before)
            before += end - start
        return uptime

    def between(self, since: float, until: float) -> float:
        """Return for how many seconds between the two times a process had the ledger open."""
        return max(0.0, self._until(until) - self._until(since))

    def _until(self, at: float) -> float:
        last = bisect_right(self._starts, at) - 1
        if last < 0:
            return 0.0
        return self._before[last] + min(at, self._ends[last]) - self._starts[last]


class Store:
    """A ledger's file, open for writing.

    Args:
        path: The file; made when there is none.
        synchronous: "full" brings every group to the disk before it counts as committed; "normal" may lose the last
            groups when the power fails, and nothing when only the process is killed.
        settings: Clock, timing, and what makes connections.

    Attributes:
        path: The file.
        counts: The counts at the last commit.
        loss: What is missing, in words, when the file was opened all the same.
        sources: The names of the sources of the jobs.
    """

    def __init__(self, path: Path, synchronous: Synchronous, settings: LedgerSettings) -> None:
        self.path = path
        self._synchronous = synchronous
        self._settings = settings
        self._lock = Lock(path)
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None
        self._session: tuple[int, float] | None = None
        self._alive_until = 0.0
        self._head = Head()
        self._dirty = False
        self._uptime = Uptime()
        self._entries: dict[int, tuple[tuple[Any, ...], int, bool, Any]] = {}  # of the jobs that a group records
        self._appended: list[tuple[Any, ...]] = []  # outcomes that are not in the table yet
        self.counts: Counts = self._head.counts()
        self.loss: str | None = None

    # opening and closing

    def open(self, *, accept_loss: bool) -> dict[str, Any]:
        """Lock and open the file, or make it, and begin a session; return the options that were kept.

        Args:
            accept_loss: Open it although changes are missing.

        Raises:
            LedgerError: It cannot be opened, or is not a sound ledger; then it is left as it is.
        """
        refuse_network(self.path, self._settings.mounts)
        self._lock.take()
        try:
            unfinished(self.path).unlink(missing_ok=True)  # of a process that was killed there; we have the lock
            if not self.path.exists():
                create(self.path, Head().write, self._settings.connect)
            self._identity = Identity.of(self.path)
            _, self.loss = self._lock.check(accept_loss=accept_loss)
            kept = _queries.options(self._connect())
            self.commit([Store._begin_session])
            self._checkpoint()  # from now on the file itself says that there is a log
            self._lock.sync()
        except DATABASE_ERRORS as error:
            self._drop()
            raise ledger_error(error, self.path) from error
        except OSError as error:
            raise os_trouble(error, self.path) from error
        return kept

    def close(self) -> None:
        """Close the file and unlock it; what was committed stays, in one file unless it is being read."""
        try:
            if self._session is not None:
                self._settings = evolve(self._settings, busy=min(self._settings.busy, _LAST_BUSY))
                self._alive_until = -math.inf
                with suppress(sqlite3.Error, LedgerError):  # else the log stays beside the file, and is read with it
                    self.commit([Store._end_session])
                    self._open().execute("PRAGMA busy_timeout = 0")
                    self._open().execute("PRAGMA journal_mode = DELETE")
                    self._lock.mark = None
        finally:
            self._drop()
            self._lock.release()

    def commit(self, group: Sequence[Work]) -> list[Any]:
        """Do all the work of *group* in one transaction; return what each piece of it returned, once it is committed.

        Raises:
            LedgerError: Nothing of it counts as done; when the error may pass, the same group may be tried again.
        """
        try:
            self._check_identity()
            connection = self._connection or self._connect()
            before = connection.total_changes
            connection.execute("BEGIN IMMEDIATE")
            self._fetch_entries(_numbers_in(group))
            results = [work(self) for work in group]
            self._note_alive(self._settings.now())
            self._open()  # so that every outcome is in the table
            self._entries.clear()
            has_changed = self._dirty or connection.total_changes != before
            if has_changed:
                self._head.commits += 1
                self._head.write(connection)
            connection.execute("COMMIT")
        except DATABASE_ERRORS as error:
            self._drop()
            raise ledger_error(error, self.path) from error
        except BaseException:
            self._drop()
            raise
        if self._dirty:
            self._dirty, self.counts = False, self._head.counts()
        if has_changed and self._session is not None:
            self._lock.note(Mark(self._head.id, self._head.commits))
        return results

    # work: what may be done in a transaction

    def enter(self, batch: Sequence[tuple[str, str, str]]) -> list[EntryStatus]:
        """Append the jobs that are not there yet, as (key, endpoint, reference); return the status of each."""
        now = self._settings.now()
        known = _queries.known_keys(self._open(), [key for key, _, _ in batch])
        fresh: list[tuple[Any, ...]] = []
        statuses: list[EntryStatus | None] = []
        for key, endpoint, ref in batch:
            if key in known:
                statuses.append(None)  # its row may be one of the fresh ones
                continue
            known.add(key)
            columns = (self._head.entries + 1, key, endpoint, ref, now)
            row_digest = digest(self._head.entry_digest, *columns)
            self._head.add_entry(endpoint, row_digest)
            fresh.append((*columns, row_digest))
            statuses.append(EntryStatus(columns[0], True, False))
        if fresh:
            self._dirty = True
            put_many(self._open(), "entry", fresh)
        return [
            self._status(key, now) if status is None else status
            for (key, _, _), status in zip(batch, statuses, strict=True)
        ]

    def keep_meta(self, statuses: Sequence[EntryStatus], metas: Sequence[str | None]) -> None:
        """Keep the data of the caller's own, as JSON text, of those jobs that have just been entered."""
        rows = [
            (status.number, text, digest(START, status.number, text))
            for status, text in zip(statuses, metas, strict=True)
            if status.fresh and text is not None
        ]
        put_many(self._open(), "meta", rows)

    def keep_submits(self, statuses: Sequence[EntryStatus], times: Sequence[float | None]) -> None:
        """Keep the Unix times of the submits of those jobs that have just been entered."""
        rows = [
            (status.number, at, digest(START, status.number, at))
            for status, at in zip(statuses, times, strict=True)
            if status.fresh and at is not None
        ]
        put_many(self._open(), "submit", rows)

    def record(self, number: int, columns: tuple[Any, ...]) -> Record | None:
        """Append an outcome, unless its job has one already.

        Args:
            number: The number of its entry.
            columns: Those of the table from `state` to `value`.
        """
        if number not in self._entries:
            self._fetch_entries([number])
        entry, attempt, is_ended, meta = self._entries[number]
        if is_ended:
            return self._record_again(number, attempt, columns)
        state, _status, _reason, _code, error, *_ = columns
        outcome = (self._head.outcomes + 1, number, attempt, *columns)
        row_digest = digest(self._head.outcome_digest, *outcome)
        self._entries[number] = entry, attempt, True, meta
        self._appended.append((*outcome, row_digest))
        self._head.add_outcome(entry[2], state, error, row_digest)
        self._dirty = True
        return _queries.record_of(entry, outcome, attempt, meta)

    def retry(self, kinds: Sequence[RetryKind]) -> int:
        """Begin a new attempt for the jobs with an outcome of these kinds; return how many there are."""
        now = self._settings.now()
        self._entries.clear()
        found = _queries.retryable(self._open(), kinds)
        for number, attempt, endpoint, state, error in found:
            columns = (number, attempt + 1, now)
            self._open().execute(PUT["retry"], (*columns, digest(START, *columns)))
            self._open().execute("DELETE FROM progress WHERE number = ?", (number,))
            self._head.supersede(endpoint, state, error)
            self._dirty = True
        return len(found)

    def note(self, checkpoints: Iterable[tuple[int, float, WaitCheckpoint]]) -> None:
        """Store the progress of unfinished waits, as (number, when in seconds of Unix time, what)."""
        made = [
            (number, at, float(one.waited), one.polls, one.state and one.state.value, float(one.in_state))
            for number, at, one in checkpoints
        ]
        signed = [(*columns, digest(START, *columns)) for columns in made]
        self._open().executemany(PUT["progress"], signed)

    def place(self, consumer: str, seq: int, length: int | None = None, mark: str | None = None) -> None:
        """Set the position of a consumer."""
        columns = (consumer, seq, length, mark)
        self._open().execute(PUT["consumer"], (*columns, digest(START, *columns)))

    def keep(self, text: str) -> None:
        """Keep the options, as JSON text."""
        self._open().execute(PUT["options"], (1, text, digest(START, 1, text)))

    def define(self, endpoint: str, text: str) -> str:
        """Keep the definition of an endpoint, unless there is one already; return the one that is kept."""
        kept = self.definitions().setdefault(endpoint, text)
        self._open().execute(PUT["definition"], (endpoint, kept, digest(START, endpoint, kept)))
        return kept

    def definitions(self) -> dict[str, str]:
        """Return the definitions that were kept, by the name of the endpoint."""
        return _queries.definitions(self._open())

    def sources(self) -> list[list[Any]]:
        """Return the sources of the jobs: name, length and digest of each."""
        return list(self._head.sources)

    def add_source(self, source: Sequence[Any]) -> None:
        """Add a source of jobs."""
        self._head.sources.append(list(source))
        self._dirty = True

    def records(self, after: int) -> list[Record]:
        """Return the next page of outcomes."""
        found = _queries.records(self._open(), after)
        if not found and after < self._head.outcomes:
            raise damaged(f"outcome {after + 1}")
        return found

    def unfinished(self, after: int) -> list[Any]:
        """Return the next page of entries without an outcome."""
        now = self._settings.now()
        found = _queries.unfinished(self._open(), after)
        return [
            evolve(entry, checkpoint=self._checkpoint_of(began_at, progress, now))
            for entry, began_at, progress in found
        ]

    def position(self, consumer: str) -> tuple[int, int | None, str | None]:
        """Return the position of a consumer."""
        return _queries.position(self._open(), consumer)

    # details

    def _open(self) -> sqlite3.Connection:
        """Return the connection, through which all outcomes so far can be read."""
        assert self._connection is not None  # noqa: S101  work is done inside `commit`, which connects
        appended, self._appended = self._appended, []
        put_many(self._connection, "outcome", appended)
        return self._connection

    def _fetch_entries(self, numbers: Sequence[int]) -> None:
        """Read the entries of jobs that are about to be recorded, with few statements."""
        self._entries |= _queries.entries_by_number(self._open(), numbers)

    def _connect(self) -> sqlite3.Connection:
        inspect(self.path)
        uri = f"{self.path.absolute().as_uri()}?mode=rw"  # never makes a file
        connection = self._settings.connect(uri, uri=True, timeout=self._settings.busy, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        self._checkpoint()  # what is in the log may never have reached the disk if the last sync failed
        self._head = _queries.check_tail(connection)
        self.counts = self._head.counts()
        return connection

    def _checkpoint(self) -> None:
        """Copy the log into the file, and empty it."""
        (is_held, *_) = self._open().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_held:
            raise held(self.path)

    def _drop(self) -> None:
        """Close the connection: after an error its view of the file is not to be trusted."""
        connection, self._connection, self._dirty = self._connection, None, False
        self._entries.clear()
        self._appended.clear()
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _check_identity(self) -> None:
        if Identity.of(self.path) != self._identity:
            raise gone(self.path)

    def _begin_session(self) -> None:
        now = self._settings.now()
        before = _queries.sessions(self._open())
        self._session = len(before) + 1, now
        self._alive_until = -math.inf
        self._uptime = Uptime.of([*before, (now, math.inf)])
        self._head.holder = Holder.myself().plain()

    def _end_session(self) -> None:
        self._head.holder = None

    def _note_alive(self, now: float) -> None:
        if self._session is None or now - self._alive_until < _BEAT:
            return
        self._alive_until = now
        columns = (*self._session, now)
        self._open().execute(PUT["session"], (*columns, digest(START, *columns)))

    def _status(self, key: str, now: float) -> EntryStatus:
        """Return the status of a job that is there already."""
        number, began_at, done, progress = _queries.status(self._open(), key)
        return EntryStatus(number, False, done, None if done else self._checkpoint_of(began_at, progress, now))

    def _checkpoint_of(self, began_at: float, progress: tuple[Any, ...], now: float) -> WaitCheckpoint:
        """Return the progress of an unfinished wait: what was noted, and the uptime since then."""
        if progress[0] is None:
            return WaitCheckpoint(waited=self._uptime.between(began_at, now))
        _number, noted_at, waited, polls, state, in_state = verified("the progress of a job", progress)
        since = self._uptime.between(noted_at, now)
        return WaitCheckpoint(
            waited=waited + since, polls=polls, state=None if state is None else State(state), in_state=in_state + since
        )

    def _record_again(self, number: int, attempt: int, columns: tuple[Any, ...]) -> Record | None:
        """Handle another outcome of a job that has one: the first stands, unless it is the very same."""
        seq, *first = self._open().execute(_OUTCOME, (number, attempt)).fetchone()
        if tuple(first) == columns:  # committed just before something failed, and now tried again
            return _queries.records(self._open(), seq - 1, 1)[0]
        if _verdict(tuple(first)) != _verdict(columns):
            self._head.anomalies += 1
            self._dirty = True
        return None


def _numbers_in(group: Sequence[Work]) -> list[int]:
    """Return the numbers of the jobs whose outcomes a group records."""
    return [work.keywords["number"] for work in group if isinstance(work, partial) and work.func is Store.record]


def _verdict(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what two outcomes of a job must have in common: state, code, error and value."""
    state, _status, _reason, code, error, *_, value = columns
    return state, code, error, value
