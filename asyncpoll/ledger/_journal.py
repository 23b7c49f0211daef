"""The write path of a ledger: work waits in one queue, and one thread commits it in groups."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from asyncpoll._affinity import LoopAffinity
from asyncpoll._errors import LedgerError
from asyncpoll.ledger._records import (
    Counts,
    EntryInput,
    EntryStatus,
    LedgerSettings,
    OutcomeInput,
    Record,
    exact_text,
    meta_text,
    outcome_columns,
)
from asyncpoll.ledger._store import Store, Work
from asyncpoll.waiting._decision import WaitCheckpoint

T = TypeVar("T")

COMMIT_GRACE = 5.0
"""Seconds for which a cancelled caller waits for a commit that is in progress; it takes place in any case."""

MOST_QUEUED: Final = 2000
"""Pieces of work that may wait for the disk; a caller with more must wait, too."""

_logger = logging.getLogger("asyncpoll.ledger")


class PendingUpdates:
    """Updates that need not be written at once: the newest of each goes with the next group.

    Args:
        clock: Returns the time of day in seconds of Unix time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._checkpoints: dict[int, tuple[int, float, WaitCheckpoint]] = {}
        self._positions: dict[str, int] = {}

    def checkpoint(self, number: int, checkpoint: WaitCheckpoint) -> None:
        """Note the progress of the unfinished wait for the job of entry *number*."""
        self._checkpoints[number] = (number, self._clock(), checkpoint)

    def position(self, consumer: str, seq: int) -> None:
        """Note that a consumer has handled all outcomes up to *seq*."""
        self._positions[consumer] = seq

    def take(self) -> list[Work]:
        """Return the work that writes the updates, and forget them."""
        checkpoints = [self._checkpoints[number] for number in sorted(self._checkpoints)]
        positions = list(self._positions.items())
        self._checkpoints.clear()
        self._positions.clear()
        work: list[Work] = [partial(Store.note, checkpoints=checkpoints)] if checkpoints else []
        return [*work, *(partial(Store.place, consumer=consumer, seq=seq) for consumer, seq in positions)]


class Journal:
    """Commits work in groups: at once when its caller waits for it, else after a moment or when there is enough of it.

    A group that fails for a cause that may pass, such as a full disk, is kept and tried again until patience is at its
    end. Nothing counts as done before its group is committed.

    Args:
        store: The connection that writes.
        settings: Timing.
        links: Store links in results with their keys and signatures.

    Attributes:
        pending: The updates that are written with the next group.
        failure: The error because of which nothing is committed any more, or None.
        stalled: The error because of which the present group is tried again and again, or None.
    """

    def __init__(self, store: Store, settings: LedgerSettings, *, links: bool) -> None:
        self.pending = PendingUpdates(settings.now)
        self.failure: Exception | None = None
        self.stalled: LedgerError | None = None
        self._store = store
        self._settings = settings
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._affinity = LoopAffinity("the ledger", "use it inside its block: async with Ledger(path) as ledger")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="asyncpoll-ledger")
        self._file_thread = ThreadPoolExecutor(1, thread_name_prefix="asyncpoll-ledger-files")
        self._queue: deque[tuple[Work, asyncio.Future[Any]]] = deque()
        self._some = asyncio.Event()  # there is something to do
        self._now = asyncio.Event()  # it is not to wait for more
        self._room = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._on_change: Callable[[], object] | None = None
        self._definitions: dict[str, str] = {}  # those that were kept, by the name of the endpoint

    async def open(self, *, accept_loss: bool) -> dict[str, Any]:
        """Open the store, to its end even when cancelled; return the options that were kept, and begin to write."""
        opened = await _to_the_end(self._open(accept_loss=accept_loss))
        self._task = asyncio.create_task(self._serve())
        return opened

    async def aclose(self) -> None:
        """Commit what is left, with one try, and close the store; to the end even when cancelled.

        Raises:
            LedgerError: The rest could not be committed.
        """
        self._affinity.close()
        self._closing.set()
        self._hurry()
        await _to_the_end(self._end())

    @property
    def counts(self) -> Counts:
        """The counts at the last commit."""
        return self._store.counts

    # work

    def add(self, work: Work, *, urgent: bool) -> asyncio.Future[Any]:
        """Queue *work*; return the future of what it returns, once it is committed.

        Raises:
            LedgerError: The ledger has failed.
            ClientClosed: It is closed, or belongs to another event loop or process.
        """
        self._affinity.check()
        self.raise_failure()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.append((work, future))
        if urgent or len(self._queue) >= self._settings.group:
            self._hurry()
        else:
            self._some.set()
        return future

    async def do(self, work: Work) -> Any:
        """Have *work* done; return what it returned once it is committed.

        Raises:
            LedgerError: It cannot be committed.
        """
        return await committed(self.add(work, urgent=True))

    async def enter(self, jobs: Sequence[EntryInput]) -> list[EntryStatus]:
        """Enter jobs, and keep the definitions of their endpoints; return the status of each.

        Raises:
            LedgerError: A reference is not JSON data ("value"), the ledger keeps another definition of an endpoint
                ("definition"), or it cannot be written.
        """
        batch = [(str(one.key), str(one.endpoint), exact_text(one.ref, one.key)) for one in jobs]
        texts = [None if one.meta is None else meta_text(one.meta, one.key, links=self._links) for one in jobs]
        times = [one.submitted_at for one in jobs]
        for one in jobs:
            if one.definition is not None and self._definitions.get(one.endpoint) != one.definition:
                await self.define(one.endpoint, one.definition)
                self._definitions[one.endpoint] = one.definition

        def enter(store: Store) -> list[EntryStatus]:
            found = store.enter(batch)
            if any(texts):
                store.keep_meta(found, texts)
            if any(times):
                store.keep_submits(found, times)
            return found

        statuses: list[EntryStatus] = await self.do(enter)
        return statuses

    async def define(self, endpoint: str, text: str) -> None:
        """Keep the definition of an endpoint, so that another process can poll its jobs.

        Raises:
            LedgerError: Another definition with this name is kept; the kind is "definition".
        """
        if await self.do(partial(Store.define, endpoint=endpoint, text=text)) != text:
            raise LedgerError(
                f"the run of {self._store.path} was begun with another definition of {endpoint}; go on with that one, "
                "as asyncpoll resume does, or use another ledger for the new one",
                kind="definition",
            )

    def submit(self, outcome: OutcomeInput) -> asyncio.Future[Record | None]:
        """Queue an outcome; return the future of its record, or of None when the job has an outcome already.

        Raises:
            LedgerError: The value cannot be stored ("value"), or the ledger has failed.
            ValueError: There is no entry with this number.
        """
        self.check_number(outcome.number)
        columns = outcome_columns(outcome, ended_at=self._settings.now(), links=self._links)
        return self.add(partial(Store.record, number=outcome.number, columns=columns), urgent=False)

    def check_number(self, number: int) -> None:
        """Raise a ValueError if there is no entry with this number."""
        if not 1 <= number <= self.counts.entries:
            raise ValueError(f"there is no entry number {number}; enter the job first")

    async def in_file_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Return what *function* returns, called in the thread in which results files are written."""
        return await self._loop.run_in_executor(self._file_thread, function, *args)

    async def has_room(self) -> None:
        """Wait until more work may be added."""
        while len(self._queue) >= MOST_QUEUED:
            self._room.clear()
            await self._room.wait()

    async def position(self, consumer: str) -> int:
        """Return the seq up to which *consumer* has handled the outcomes; 0 for an unknown one."""
        place: tuple[int, Any, Any] = await self.do(partial(Store.position, consumer=consumer))
        return place[0]

    def raise_failure(self) -> None:
        """Raise the error because of which nothing is committed any more, if there is one."""
        if self.failure is not None:
            raise self.failure

    # the run that uses it

    def begin_run(self, on_change: Callable[[], object]) -> None:
        """Reserve the ledger for one run; *on_change* is called when it fails, stalls, or goes on.

        Raises:
            ClientClosed: The ledger is closed, or belongs to another event loop or process.
            RuntimeError: Another run uses it.
        """
        self._affinity.check()
        if self._on_change is not None:
            raise RuntimeError("a ledger has one run at a time; wait for it, or use another ledger")
        self._on_change = on_change

    def end_run(self) -> None:
        """Free the ledger for the next run."""
        self._on_change = None

    async def settle(self, *, quiet: bool) -> None:
        """Wait until all that was queued before is committed, but not for long: the end of the ledger waits longer.

        Args:
            quiet: Raise nothing, because another error is on its way.

        Raises:
            LedgerError: It could not be committed.
        """
        try:
            settled = self.add(lambda _store: None, urgent=True)
            await asyncio.wait((settled,), timeout=COMMIT_GRACE)
            if settled.done():
                settled.result()
        except LedgerError:
            if not quiet:
                raise

    # details

    async def _open(self, *, accept_loss: bool) -> dict[str, Any]:
        await self.in_file_thread(_nothing)  # a thread that cannot be started must show now, not in the middle of a run
        return await self._in_thread(partial(self._store.open, accept_loss=accept_loss))

    def _hurry(self) -> None:
        self._some.set()
        self._now.set()

    async def _serve(self) -> None:
        group: list[tuple[Work, asyncio.Future[Any]]] = []
        over = False
        try:
            while not over:
                await _comes(self._some, within=self._settings.beat)
                if self._some.is_set():
                    await _comes(self._now, within=self._settings.linger)
                over = self._closing.is_set() and len(self._queue) <= self._settings.group
                group = [self._queue.popleft() for _ in range(min(self._settings.group, len(self._queue)))]
                if not self._queue:
                    self._some.clear()
                    self._now.clear()
                results = await self._commit([*(work for work, _ in group), *self.pending.take()])
                for (_, future), result in zip(group, results, strict=False):
                    if not future.done():  # its caller may have been cancelled
                        future.set_result(result)
                self._room.set()
        except Exception as error:  # noqa: BLE001  whatever it is, no caller may wait for ever
            self._fail(error, group)

    async def _commit(self, works: Sequence[Work]) -> list[Any]:
        """Commit a group, however often that has to be tried."""
        give_up_at = self._loop.time() + self._settings.patience
        while True:
            try:
                results: list[Any] = await self._in_thread(self._store.commit, works)
            except LedgerError as error:
                if not error.passing or self._closing.is_set() or self._loop.time() >= give_up_at:
                    raise
                self._stall(error)
                await _comes(self._closing, within=self._settings.retry_every)
            else:
                if self.stalled is not None:
                    _logger.warning("%s can be written again; its run goes on", self._store.path)
                    self.stalled = None
                    self._tell()
                return results

    def _stall(self, error: LedgerError) -> None:
        if self.stalled is None:
            settings = self._settings
            _logger.warning(
                "%s. The polls of its run pause; trying again every %g s, for at most %g s",
                error, settings.retry_every, settings.patience,
            )  # fmt: skip
        self.stalled = error
        self._tell()

    def _fail(self, error: Exception, group: list[tuple[Work, asyncio.Future[Any]]]) -> None:
        """Raise the error in every caller that waits: nothing will be committed any more."""
        self.failure, self.stalled = error, None
        for _, future in (*group, *self._queue):
            if not future.done():
                future.set_exception(error)
                future.exception()  # a caller that was cancelled does not come back for it
        self._queue.clear()
        self._room.set()
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change()

    async def _end(self) -> None:
        if self._task is not None:
            await self._task
        await self._in_thread(self._store.close)
        self._thread.shutdown()
        self._file_thread.shutdown()

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(self._thread, function, *args)


def _nothing() -> None:
    """Do nothing."""


async def committed(future: asyncio.Future[T]) -> T:
    """Return the result of *future*. Cancelling the caller waits for the commit, but not for long."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait((future,), timeout=COMMIT_GRACE)
        raise


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Return what *work* returns. Cancelling the caller waits for its end, too, and only then takes effect."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


async def _comes(event: asyncio.Event, *, within: float) -> None:
    """Wait until *event* comes, or so many seconds have passed."""
    waiter = asyncio.create_task(event.wait())
    await asyncio.wait((waiter,), timeout=within)
    waiter.cancel()
