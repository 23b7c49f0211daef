"""A ledger: one file that remembers one run, whatever becomes of the process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from asyncpoll._errors import ClientClosed
from asyncpoll._timeout import Timeout
from asyncpoll.ledger.lock import Lock, refuse_network
from asyncpoll.ledger.notes import Notes
from asyncpoll.ledger.plain import columns_of, exactly, sound
from asyncpoll.ledger.records import Counts, Ending, Entry, Record, Standing
from asyncpoll.ledger.run import DurableRun
from asyncpoll.ledger.sinks import Sink, bring_up_to_date
from asyncpoll.ledger.store import Store, Synchronous, Work
from asyncpoll.ledger.tuning import USUAL, Tuning
from asyncpoll.ledger.writer import Writer
from asyncpoll.waiting._hub import Hub, RunOptions
from asyncpoll.waiting._run import Jobs

T = TypeVar("T")

COMMIT_GRACE = 5.0
"""Seconds for which a cancelled caller waits for a commit that is on its way; it takes place in any case."""


class Ledger:
    """The jobs of one run and their outcomes in one file: an async context manager, and the file's only writer.

    Each job has at most one outcome, the first that is recorded; what counts as recorded is on the disk. The file can
    be read by its owner alone, and no credential is ever in it.

    Args:
        path: The file, on a local disk; made when there is none. A lock file stands beside it while it is open.
        synchronous: "full" waits for the disk with every group of outcomes, at most ten times a second. "normal" does
            not, and may lose the last seconds when the power fails; a process that dies loses nothing either way.
        links: Store links in results with their keys and signatures, which are masked otherwise.
        tuning: Pace and patience.

    Attributes:
        path: The file.
        options: What `keep` has kept.
        notes: What is written with the next group of outcomes, whichever that is.

    Raises:
        LedgerError: On entering: it cannot be used, `kind` says why. Nothing is made, and nothing changed.
    """

    def __init__(
        self, path: str | Path, *, synchronous: Synchronous = "full", links: bool = False, tuning: Tuning = USUAL
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise ValueError(f'synchronous must be "full" or "normal", not {synchronous!r}')
        self.path = Path(path)
        self.options: Mapping[str, Any] = {}
        self._links = links
        self._tuning = tuning
        self._lock = Lock(self.path)
        self._store = Store(self.path, synchronous, tuning)
        self._writer: Writer | None = None
        self.notes = Notes(tuning.now)
        self._delivering = asyncio.Lock()
        self._wake: Callable[[], object] | None = None

    async def __aenter__(self) -> Self:
        if self._writer is not None:
            raise ClientClosed("a ledger is opened once; make another one for the same file")
        self._writer = Writer(self._store.commit, self._tuning, self.notes.work, self._failed)
        try:
            self.options = await self._writer.open(self._open)
        except BaseException:
            await self._writer.aclose(self._close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened().aclose(self._close)
        if error is None:
            self.raise_failure()

    @property
    def counts(self) -> Counts:
        """How far the run had come at the last commit; made once a commit, so it may be sampled at any pace."""
        return self._store.counts

    async def keep(self, options: Mapping[str, Any]) -> None:
        """Keep what it takes to resume the run, in place of what was kept before. No key belongs here.

        Raises:
            LedgerError: They are no JSON data ("value"), or cannot be written.
        """
        text = exactly(dict(options), "options")
        await self.do(partial(Store.keep, text=text))
        self.options = json.loads(text)

    async def enter(self, jobs: Sequence[tuple[str, str, Any]]) -> list[Standing]:
        """Take in a batch of jobs, each given as (key, name of the endpoint, reference as JSON data).

        Returns:
            Where each of them stands, in the same order. A job that is there already is not taken in again.

        Raises:
            LedgerError: A reference is no JSON data ("value"), or the ledger cannot be written.
        """
        batch = [(str(key), str(endpoint), exactly(ref, key)) for key, endpoint, ref in jobs]
        standings: list[Standing] = await self.do(partial(Store.enter, batch=batch))
        return standings

    async def record(self, ending: Ending) -> int | None:
        """Record how the wait for a job ended.

        Returns:
            Its seq, once it is committed; or None when the job has an outcome already, which stands.

        Raises:
            LedgerError: The value cannot be stored ("value"), or the ledger cannot be written.
            ValueError: There is no entry with this number.
        """
        await self._opened().has_room()
        record = await _committed(self.submit(ending))
        return None if record is None else record.seq

    async def acknowledge(self, consumer: str, seq: int) -> None:
        """Note durably that *consumer* has dealt with all outcomes up to *seq*.

        Raises:
            LedgerError: The ledger cannot be written.
        """
        await self.do(partial(Store.place, consumer=sound(consumer), seq=seq))

    async def position(self, consumer: str) -> int:
        """Return the seq up to which *consumer* has dealt with the outcomes; 0 for one that is not known.

        Raises:
            LedgerError: The ledger cannot be read, or the position is damaged.
        """
        place: tuple[int, Any, Any] = await self.do(partial(Store.position, consumer=sound(consumer)))
        return place[0]

    def unfinished(self, *, after: int = 0) -> AsyncIterator[Entry]:
        """Give the entries without an outcome in order of intake, from number *after* + 1; they are read in pages.

        Raises:
            LedgerError: The ledger cannot be read, or an entry is damaged.
        """
        return self._paged(Store.unfinished, after, lambda entry: entry.number)

    def outcomes(self, *, after: int = 0) -> AsyncIterator[Record]:
        """Give what is recorded in order of recording, from seq *after* + 1; it is read in pages.

        Raises:
            LedgerError: The ledger cannot be read, or an outcome is damaged.
        """
        return self._paged(Store.records, after, lambda record: record.seq)

    async def deliver(self, sink: Sink) -> int:
        """Bring a file up to date: append every outcome that is not in it yet, exactly once over all processes.

        Args:
            sink: Such as `JsonLines(path)`; at any time, as often as wanted.

        Returns:
            How many outcomes were appended.

        Raises:
            LedgerError: The file is not the one that was written, or cannot be written.
        """
        async with self._delivering:
            return await bring_up_to_date(sink, self.do)

    def run(
        self, hub: Hub, jobs: Jobs[Any], *, timeout: float | Timeout | None, **options: Unpack[RunOptions]
    ) -> DurableRun:
        """Return a run of *jobs* in *hub* whose outcomes are recorded before they are given out; see `DurableRun`.

        Args:
            hub: Polls the jobs.
            jobs: A list, an iterable or an async iterable of jobs. Those with an outcome in this ledger are left out.
            timeout: For each wait, over all processes; time in which none had the ledger open does not count.
            **options: Those of `Hub.as_completed`; without `max_pending`, 100,000 jobs are waited for at once.
        """
        return DurableRun(self, hub, jobs, timeout, options)

    # for a run, which waits for many things at once

    def submit(self, ending: Ending) -> asyncio.Future[Record | None]:
        """Queue an outcome to be recorded; return the future of its record, or of None when there is one already.

        Raises:
            LedgerError, ValueError: As `record`.
        """
        if not 1 <= ending.number <= self.counts.entries:
            raise ValueError(f"there is no entry number {ending.number}; enter the job first")
        columns = columns_of(ending, ended_at=self._tuning.now(), links=self._links)
        return self._opened().add(partial(Store.record, number=ending.number, columns=columns), urgent=False)

    def occupy(self, wake: Callable[[], object]) -> None:
        """Let one run take place; *wake* is called when the ledger fails.

        Raises:
            ClientClosed: The ledger is not open.
            RuntimeError: A run takes place already.
        """
        self._opened()
        if self._wake is not None:
            raise RuntimeError("a ledger has one run at a time; wait for it, or use another ledger")
        self._wake = wake

    def vacate(self) -> None:
        """Let the next run take place."""
        self._wake = None

    def raise_failure(self) -> None:
        """Raise that because of which nothing is recorded any more, if there is such an error."""
        failure = self._opened().failure
        if failure is not None:
            raise failure

    def queue(self, work: Work, *, urgent: bool) -> asyncio.Future[Any]:
        """Queue *work* for the writer; return the future of what it returns, once it is committed.

        Raises:
            LedgerError: Nothing is committed any more.
        """
        return self._opened().add(work, urgent=urgent)

    async def do(self, work: Work) -> Any:
        """Have *work* done; return what it returned once it is committed.

        Raises:
            LedgerError: It cannot be committed.
        """
        return await _committed(self.queue(work, urgent=True))

    # details

    def _open(self) -> dict[str, Any]:
        refuse_network(self.path, self._tuning.mounts)
        self._lock.take()
        return self._store.open()

    def _close(self) -> None:
        self._store.close()
        self._lock.release()

    def _opened(self) -> Writer:
        if self._writer is None:
            raise ClientClosed("the ledger is not open; use it inside its block: async with Ledger(path) as ledger")
        return self._writer

    async def _paged(self, page: Callable[..., list[T]], after: int, place: Callable[[T], int]) -> AsyncIterator[T]:
        while rows := await self.do(partial(page, after=after)):
            for row in rows:
                yield row
            after = place(rows[-1])

    def _failed(self) -> None:
        if self._wake is not None:
            self._wake()


async def _committed(future: asyncio.Future[T]) -> T:
    """Return what *future* brings. Cancelling the caller waits for the commit, but not for long."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait((future,), timeout=COMMIT_GRACE)
        raise
