"""A run that is remembered: what it takes in is in the ledger, and so is what it gives out."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

from asyncpoll._errors import LedgerError, explained
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll._timeout import Timeout
from asyncpoll.ledger.records import Ending, Record
from asyncpoll.ledger.store import Store
from asyncpoll.ledger.takings import Takings
from asyncpoll.waiting._hub import Hub, RunOptions
from asyncpoll.waiting._run import Jobs, Outcome, Run

if TYPE_CHECKING:
    from asyncpoll.ledger.ledger import Ledger

CONSUMER: Final = "run"
"""The name under which the block of a run acknowledges."""

MOST_PENDING: Final = 100_000
"""Jobs that are waited for at once unless it is said otherwise: about 150 MB, and more than a hub polls in a minute."""

_MOST_AHEAD = 2000  # outcomes that have been recorded, or are being, and not given out yet
_GRACE = 5.0  # seconds that leaving waits for the disk; the end of the ledger itself waits longer
_NOTHING_SEEN = Snapshot[Any](State.UNKNOWN)


class DurableRun:
    """Records in the order in which they are committed: an async context manager that is an async iterator, too.

    A record is acknowledged when the next one is asked for, or the block is left without an error. Those that were
    recorded but not acknowledged, by an earlier process or before an error, are the first that the next run gives out.
    An acknowledgement is on the disk within about a second, at the latest when the block is left; a process that is
    killed may thus be given the newest records again. `Ledger.deliver` writes files without any such repetition.

    Leaving the block ends the waits that are left. Outcomes that have come are recorded first, and of the other jobs it
    is noted how far they have come; they stay unfinished, also when a credential is refused, which is raised.
    """

    def __init__(
        self, ledger: Ledger, hub: Hub, jobs: Jobs[Any], timeout: float | Timeout | None, options: RunOptions
    ) -> None:
        self._ledger = ledger
        self._takings = Takings(ledger, jobs)
        chosen: RunOptions = {"max_pending": MOST_PENDING, **options}
        self._source = self._takings.each()
        self._run: Run[Any] = hub.as_completed(self._source, timeout=timeout, **chosen)
        self._run.remember_in(self._takings)
        self._old: deque[Record] = deque()
        self._old_until = 0
        self._new: deque[asyncio.Future[Record | None]] = deque()
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._given = 0

    @property
    def taken(self) -> int:
        """Jobs that were given and are in the ledger: what comes after them in the source it does not know yet."""
        return self._takings.taken

    @property
    def duplicates(self) -> int:
        """Jobs that were given more than once; each is waited for once."""
        return self._takings.duplicates

    @property
    def done_before(self) -> int:
        """Jobs that were given and had an outcome already; they are not polled."""
        return self._takings.done

    async def __aenter__(self) -> Self:
        self._ledger.occupy(self._changed.set)
        try:
            self._given = await self._ledger.position(CONSUMER)
            self._old_until = self._ledger.counts.outcomes
            await self._run.__aenter__()
        except BaseException:
            self._ledger.vacate()
            raise
        self._pump = asyncio.create_task(self._record())
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
            self._ledger.vacate()
        try:
            settled = self._ledger.queue(_nothing, urgent=True)  # behind all that was queued before
            await asyncio.wait((settled,), timeout=_GRACE)
            if settled.done():
                settled.result()
        except LedgerError:
            if error is None:
                raise

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        if self._pump is None:
            raise RuntimeError("a run is iterated inside its block: async with hub.run(...) as records")
        self._acknowledge()
        record = await self._next_old() or await self._next_new(self._pump)
        if record is None:
            raise StopAsyncIteration
        self._given = record.seq
        return record

    async def _next_old(self) -> Record | None:
        """Return the next record from before this run, or None when there is none left."""
        if not self._old and self._given < self._old_until:
            self._old.extend(await self._ledger.do(partial(Store.records, after=self._given)))
        return self._old.popleft() if self._given < self._old_until else None

    async def _next_new(self, pump: asyncio.Task[None]) -> Record | None:
        """Return the next record of this run once it is committed, or None at the end."""
        while self._new or not pump.done():
            if not self._new:
                self._changed.clear()
                await self._changed.wait()
                self._ledger.raise_failure()
                continue
            first = self._new[0]
            if not first.done():
                await asyncio.wait((first,))  # which, unlike awaiting it, leaves it alone when this is cancelled
            self._new.popleft()
            self._changed.set()
            record = first.result()
            if record is not None:
                return record
        pump.result()
        return None

    def _acknowledge(self) -> None:
        if self._given:
            self._ledger.notes.position(CONSUMER, self._given)

    # from the hub to the ledger

    async def _record(self) -> None:
        async for outcome in self._run:
            self._take(outcome)
            while len(self._new) >= _MOST_AHEAD:
                self._changed.clear()
                await self._changed.wait()

    def _take(self, outcome: Outcome[Any]) -> None:
        self._new.append(self._ledger.submit(ending_of(self._takings.number_of(outcome.job), outcome)))
        self._changed.set()

    async def _stop(self) -> None:
        """Take what has come already, and no more."""
        pump = cast("asyncio.Task[None]", self._pump)
        pump.cancel()
        await asyncio.wait((pump,))
        with suppress(LedgerError):  # what cannot be recorded stays unfinished
            while (outcome := await self._what_is_there()) is not None:
                self._take(outcome)

    async def _what_is_there(self) -> Outcome[Any] | None:
        """Return an outcome that can be had at once, or None."""
        step = asyncio.create_task(self._run.__anext__())
        await asyncio.sleep(0)
        step.cancel()  # does nothing when it has come
        await asyncio.wait((step,))
        return None if step.cancelled() or step.exception() is not None else step.result()


def _nothing(_store: Store) -> None:
    """Do nothing, but in its turn."""


def ending_of(number: int, outcome: Outcome[Any]) -> Ending:
    """Return what is recorded of the outcome of the job with this number."""
    seen = outcome.snapshot or _NOTHING_SEEN
    error = outcome.error
    return Ending(
        number=number,
        state=seen.state.value,
        status=seen.status,
        value=seen.value,
        reason=seen.reason if error is None else explained(error),
        code=seen.code,
        error=None if error is None else type(error).__name__,
        polls=outcome.polls,
        waited=max(0.0, outcome.waited),
        running=outcome.running,
    )
