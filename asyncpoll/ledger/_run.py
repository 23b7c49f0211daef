"""A run that is remembered: its jobs are in the ledger before they are polled, its outcomes before they are yielded."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sized
from contextlib import aclosing, suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar, cast

from asyncpoll._errors import LedgerError
from asyncpoll._timeout import Timeout
from asyncpoll.ledger._journal import Journal
from asyncpoll.ledger._records import EntryInput, EntryStatus, Record, described, outcome_input
from asyncpoll.ledger._store import Store
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._emission import Counters
from asyncpoll.waiting._hub import Hub, RunOptions
from asyncpoll.waiting._run import Jobs, Outcome, Run, aiter_any

T = TypeVar("T")

CONSUMER: Final = "run"
"""The name under which the block of a run acknowledges."""

MOST_PENDING: Final = 100_000
"""Jobs that are waited for at once by default: about 150 MB, and more than a hub polls in a minute."""

_MOST_AHEAD = 2000  # outcomes that have been recorded, or are being, and not yielded yet
_PAGE = 500  # jobs that are entered at once
_NO_THREAD = "can't start new thread"  # CPython says it in this way only


class RunItem(NamedTuple, Generic[T]):
    """The end of the wait for one job of a durable run.

    Attributes:
        record: The stored outcome.
        outcome: The outcome itself, with the job, the typed value and the error; None when the job ended in an earlier
            process.
    """

    record: Record
    outcome: Outcome[T] | None


class DurableRun(Generic[T]):
    """The records of a run in the order of their commits: an async context manager that is an async iterator, too.

    An item is acknowledged when the next one is asked for, or the block is left without an error. Outcomes that were
    recorded but not acknowledged, by an earlier process or before an error, are the first that the next run yields.
    An acknowledgement is on the disk within about a second, at the latest when the block is left; after a process was
    killed, the newest items may thus come again. `Ledger.deliver` writes files without any such repetition.

    Leaving the block ends the waits that are left. Outcomes that have come are recorded first, and of the other jobs
    the progress is stored; they stay unfinished, also when a credential is refused, which is raised.

    While the ledger cannot be written, because the disk is full, say, the jobs of the run are not polled. A lack of
    memory or threads ends the run with that error.
    """

    def __init__(
        self, journal: Journal, hub: Hub, jobs: Jobs[T], timeout: float | Timeout | None, options: RunOptions
    ) -> None:
        self._journal = journal
        self._ingest = Ingest(journal, jobs)
        self._given_jobs = len(jobs) if isinstance(jobs, Sized) else None
        chosen: RunOptions = {"max_pending": MOST_PENDING, **options}
        self._run: Run[T] = hub.as_completed(self._ingest.each(), timeout=timeout, **chosen)
        self._run.remember_in(self._ingest)
        self._old: deque[Record] = deque()
        self._old_until = 0
        self._new: deque[tuple[asyncio.Future[Record | None], Outcome[T]]] = deque()
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._given = 0

    @property
    def taken(self) -> int:
        """The jobs that were given and are in the ledger: it does not know those that come after them yet."""
        return self._ingest.taken

    @property
    def duplicates(self) -> int:
        """The jobs that were given more than once; each is waited for once."""
        return self._ingest.duplicates

    @property
    def done_before(self) -> int:
        """The jobs that were given and had an outcome already; they are not polled."""
        return self._ingest.done

    # what `asyncpoll.progress` shows

    @property
    def total(self) -> int | None:
        """The jobs in the ledger, with those that are yet to be entered; None while their number is not known."""
        entered = self._journal.counts.entries
        if self._run.total is not None:  # all of them have been entered
            return entered
        return None if self._given_jobs is None else max(entered, self._given_jobs - self.duplicates)

    @property
    def done(self) -> int:
        """The jobs in the ledger that have an outcome, those of earlier processes included."""
        return self._journal.counts.outcomes

    @property
    def outcomes(self) -> Counter[str]:
        """How many of them ended in which way, by state or by the name of the error."""
        return self._journal.counts.endings

    @property
    def counters(self) -> Counters:
        """The counters of the hub."""
        return self._run.counters

    def time_left(self) -> float | None:
        """Return in how many seconds the jobs that are awaited should have ended; see `Hub.time_left`."""
        return self._run.time_left()

    async def __aenter__(self) -> Self:
        self._journal.begin_run(self._on_ledger)
        try:
            self._given = await self._journal.position(CONSUMER)
            self._old_until = self._journal.counts.recorded
            await self._run.__aenter__()
        except BaseException:
            self._journal.end_run()
            raise
        self._pump = asyncio.create_task(self._record_all())
        self._pump.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._acknowledge()
        try:
            await self._stop()
        finally:
            await self._run.__aexit__(kind, error, trace)
            self._journal.end_run()
        await self._journal.settle(quiet=error is not None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RunItem[T]:
        if self._pump is None:
            raise RuntimeError("a run is iterated inside its block: async with hub.run(...) as run")
        self._acknowledge()
        old = await self._next_old()
        item = await self._next_new(self._pump) if old is None else RunItem[T](old, None)
        if item is None:
            raise StopAsyncIteration
        self._given = item.record.seq
        return item

    async def _next_old(self) -> Record | None:
        """Return the next record from before this run that counts, or None when there is none left."""
        while self._given < self._old_until:
            if not self._old:
                self._old.extend(await self._journal.do(partial(Store.records, after=self._given)))
            record = self._old.popleft()
            if record.seq <= self._old_until and not record.superseded:
                return record
            self._given = record.seq
        return None

    async def _next_new(self, pump: asyncio.Task[None]) -> RunItem[T] | None:
        """Return the next item of this run once it is committed, or None at the end."""
        while self._new or not pump.done():
            if not self._new:
                self._changed.clear()
                await self._changed.wait()
                self._journal.raise_failure()
                continue
            future, outcome = self._new[0]
            if not future.done():
                await asyncio.wait((future,))  # which, unlike awaiting it, leaves it alone when this is cancelled
            self._new.popleft()
            self._changed.set()
            record = future.result()
            if record is not None:
                return RunItem(record, outcome)
        pump.result()
        return None

    def _acknowledge(self) -> None:
        if self._given:
            self._journal.pending.position(CONSUMER, self._given)

    def _on_ledger(self) -> None:
        """Pause the polls while the ledger cannot be written; wake the block when it fails."""
        if self._journal.stalled is not None:
            self._run.pause()
        elif self._journal.failure is None:
            self._run.resume()
        self._changed.set()

    # from the hub to the ledger

    async def _record_all(self) -> None:
        async for outcome in self._run:
            if outcome.error is not None and is_exhaustion(outcome.error):
                raise outcome.error
            self._record(outcome)
            while len(self._new) >= _MOST_AHEAD:
                self._changed.clear()
                await self._changed.wait()

    def _record(self, outcome: Outcome[T]) -> None:
        given = outcome_input(self._ingest.number_of(outcome.job), outcome)
        try:
            future = self._journal.submit(given)
        except LedgerError as error:  # the value, or the ledger has failed, which is then raised again
            future = self._journal.submit(described(given, error))
        self._new.append((future, outcome))
        self._changed.set()

    async def _stop(self) -> None:
        """Record what has come already, and no more."""
        pump = cast("asyncio.Task[None]", self._pump)
        pump.cancel()
        await asyncio.wait((pump,))
        with suppress(LedgerError):  # what cannot be recorded stays unfinished
            while (outcome := await self._what_is_there()) is not None:
                if outcome.error is None or not is_exhaustion(outcome.error):
                    self._record(outcome)

    async def _what_is_there(self) -> Outcome[T] | None:
        """Return an outcome that can be had at once, or None."""
        step = asyncio.create_task(self._run.__anext__())
        await asyncio.sleep(0)
        step.cancel()  # does nothing when it has come
        await asyncio.wait((step,))
        return None if step.cancelled() or step.exception() is not None else step.result()


class Ingest:
    """The jobs of a run, entered into the ledger page by page; to the hub it is the journal of the run.

    Args:
        journal: Knows which jobs have an outcome already, and the progress of the others.
        jobs: The source of the jobs.

    Attributes:
        taken: The jobs that were entered, however often the ledger had them already.
        duplicates: The jobs that were given again, and are not waited for twice.
        done: The jobs that had an outcome already.
    """

    def __init__(self, journal: Journal, jobs: Jobs[Any]) -> None:
        self._journal = journal
        self._jobs = jobs
        self._numbers: dict[int, int] = {}  # of the jobs that are awaited, by the identity of their objects
        self._checkpoints: dict[int, WaitCheckpoint] = {}
        self._is_taken = bytearray()  # by number
        self.taken = 0
        self.duplicates = 0
        self.done = 0

    async def each(self) -> AsyncGenerator[Any, None]:
        """Yield the jobs that are to be polled; at most a page that is in the ledger already is ahead of the hub."""
        pages = Pages(self._jobs)
        try:
            while page := await pages.next():
                statuses = await self._journal.enter([EntryInput.of(job) for job in page])
                self.taken += len(page)
                for job, status in zip(page, statuses, strict=True):
                    if self._is_wanted(job, status):
                        yield job
        finally:
            await pages.aclose()

    def number_of(self, job: Any) -> int:
        """Return the number of a job that is awaited, and forget it."""
        return self._numbers.pop(id(job))

    def past(self, job: Any, /) -> WaitCheckpoint | None:
        """Return the progress that an earlier process made with *job*."""
        return self._checkpoints.pop(id(job), None)

    def changed(self, job: Any, checkpoint: WaitCheckpoint, /) -> None:
        """Note the progress of the wait for *job*."""
        self._journal.pending.checkpoint(self._numbers[id(job)], checkpoint)

    def _is_wanted(self, job: Any, status: EntryStatus) -> bool:
        number = status.number
        if number >= len(self._is_taken):
            self._is_taken.extend(bytes(max(number + 1 - len(self._is_taken), len(self._is_taken))))
        if self._is_taken[number]:
            self.duplicates += 1
            return False
        self._is_taken[number] = True
        if status.done:
            self.done += 1
            return False
        self._numbers[id(job)] = number
        if status.checkpoint is not None:
            self._checkpoints[id(job)] = status.checkpoint
        return True


class Pages:
    """A source in pages: the jobs that come while one page is handled are the next, so that a page is never awaited."""

    def __init__(self, jobs: Jobs[Any]) -> None:
        self._page: list[Any] = []
        self._come = asyncio.Event()
        self._room = asyncio.Event()
        self._reader = asyncio.create_task(self._read(jobs))
        self._reader.add_done_callback(lambda _: self._come.set())

    async def next(self) -> list[Any]:
        """Return the next page, or an empty one at the end; raise the error of the source."""
        while not self._page and not self._reader.done():
            self._come.clear()
            await self._come.wait()
        if not self._page:
            self._reader.result()
        page, self._page = self._page, []
        self._room.set()
        return page

    async def aclose(self) -> None:
        """Close the source."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self, jobs: Jobs[Any]) -> None:
        async with aclosing(aiter_any(jobs)) as source:
            async for job in source:
                self._page.append(job)
                self._come.set()
                while len(self._page) >= _PAGE:
                    self._room.clear()
                    await self._room.wait()


def is_exhaustion(error: BaseException) -> bool:
    """Return whether *error* says that this process lacks memory or threads: it says nothing about the job."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_THREAD in str(error))
