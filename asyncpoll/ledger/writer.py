"""Between the event loop and the thread that writes: work waits in one queue and is committed in groups."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from asyncpoll._errors import ClientClosed, LedgerError
from asyncpoll.ledger.store import Work
from asyncpoll.ledger.tuning import Tuning

T = TypeVar("T")
Commit = Callable[[Sequence[Work]], list[Any]]

_log = logging.getLogger(__name__)

MOST_QUEUED: Final = 2000
"""Pieces of work that may wait for the disk; who has more must wait, too."""


class Writer:
    """Commits work in groups: at once when somebody waits for it, else after a moment or when there is enough of it.

    A group that fails for a cause that may pass, such as a full disk, is kept and tried again until patience is at its
    end. Nothing counts as done before its group is committed.

    Args:
        commit: Commits a group, in a thread of its own, and returns what each piece of work in it returned.
        tuning: Pace and patience.
        gather: Gives further work for a group that is about to be committed; nobody waits for it.
        on_failure: Called when nothing will be committed any more.

    Attributes:
        failure: Why nothing is committed any more, or None.
    """

    def __init__(
        self, commit: Commit, tuning: Tuning, gather: Callable[[], Sequence[Work]], on_failure: Callable[[], object]
    ) -> None:
        self._commit_group = commit
        self._tuning = tuning
        self._gather = gather
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._home = self._loop, os.getpid()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="asyncpoll-ledger")
        self._queue: deque[tuple[Work, asyncio.Future[Any]]] = deque()
        self._some = asyncio.Event()  # there is something to do
        self._now = asyncio.Event()  # it is not to wait for more
        self._room = asyncio.Event()
        self._closing = asyncio.Event()
        self.failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, opening: Callable[[], T]) -> T:
        """Call *opening* in the thread, to its end even when cancelled; return what it returns, and begin to write."""
        opened = await _to_the_end(self._in_thread(opening))
        self._task = asyncio.create_task(self._serve())
        return opened

    async def aclose(self, closing: Callable[[], None]) -> None:
        """Commit what is left, with one try, call *closing* in the thread, and end it; to the end even when cancelled.

        Raises:
            LedgerError: What was left could not be committed.
        """
        self._closing.set()
        self._hurry()
        await _to_the_end(self._end(closing))

    def add(self, work: Work, *, urgent: bool) -> asyncio.Future[Any]:
        """Queue *work*; return the future of what it returns, once it is committed.

        Raises:
            LedgerError: The ledger has failed.
            ClientClosed: It is closed, or belongs to another event loop or process.
        """
        self._check_home()
        if self.failure is not None:
            raise self.failure
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.append((work, future))
        if urgent or len(self._queue) >= self._tuning.group:
            self._hurry()
        else:
            self._some.set()
        return future

    @property
    def is_full(self) -> bool:
        """Whether more work has to wait."""
        return len(self._queue) >= MOST_QUEUED

    async def has_room(self) -> None:
        """Wait until more work may be added."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    def _check_home(self) -> None:
        if self._closing.is_set():
            raise ClientClosed("the ledger is closed; use it inside its block: async with Ledger(path) as ledger")
        if self._home != (asyncio.get_running_loop(), os.getpid()):
            raise ClientClosed("the ledger belongs to another event loop or process, and only one can write it")

    def _hurry(self) -> None:
        self._some.set()
        self._now.set()

    async def _serve(self) -> None:
        over = False
        while not over:
            await _comes(self._some, within=self._tuning.beat)
            if self._some.is_set():
                await _comes(self._now, within=self._tuning.linger)
            over = self._closing.is_set() and len(self._queue) <= self._tuning.group
            group = [self._queue.popleft() for _ in range(min(self._tuning.group, len(self._queue)))]
            if not self._queue:
                self._some.clear()
                self._now.clear()
            try:
                results = await self._commit([*(work for work, _ in group), *self._gather()])
            except Exception as error:  # noqa: BLE001  whatever it is, nobody may wait for ever
                self._fail(error, group)
                return
            for (_, future), result in zip(group, results, strict=False):
                if not future.done():  # its caller may have been cancelled
                    future.set_result(result)
            self._room.set()

    async def _commit(self, works: Sequence[Work]) -> list[Any]:
        """Commit a group, however often that has to be tried."""
        give_up_at = self._loop.time() + self._tuning.patience
        while True:
            try:
                results: list[Any] = await self._in_thread(self._commit_group, works)
            except LedgerError as error:
                last_try = self._closing.is_set() or self._loop.time() >= give_up_at
                if last_try or not error.passing:
                    raise
                _log.warning("%s; trying again in %g s", error, self._tuning.retry_every)
                await _comes(self._closing, within=self._tuning.retry_every)
            else:
                return results

    def _fail(self, error: Exception, group: list[tuple[Work, asyncio.Future[Any]]]) -> None:
        """Tell everybody that nothing will be committed any more."""
        self.failure = error
        for _, future in (*group, *self._queue):
            if not future.done():
                future.set_exception(error)
                future.exception()  # a caller that was cancelled does not come back for it
        self._queue.clear()
        self._room.set()
        self._on_failure()

    async def _end(self, closing: Callable[[], None]) -> None:
        if self._task is not None:
            await self._task
        await self._in_thread(closing)
        self._thread.shutdown()

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(self._thread, function, *args)


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
