"""Jobs on their way from their source through the ledger into a hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from asyncpoll.ledger.records import Standing
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._run import Jobs, aiter_any

if TYPE_CHECKING:
    from asyncpoll.ledger.ledger import Ledger


_PAGE = 500  # jobs that are taken in at once


class Takings:
    """The jobs of a run, taken in by the ledger a page at a time; to the hub it is the journal of the run.

    Args:
        ledger: Knows which jobs have an outcome already, and how far the others have come.
        jobs: Where they come from.

    Attributes:
        taken: Jobs that the ledger has taken in, however often it had them already.
        duplicates: Jobs that were given again, and are not waited for twice.
        done: Jobs that had an outcome already.
    """

    def __init__(self, ledger: Ledger, jobs: Jobs[Any]) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._numbers: dict[int, int] = {}  # of the jobs that are awaited, by the identity of their objects
        self._pasts: dict[int, WaitCheckpoint] = {}
        self._taken = bytearray()  # by number
        self.taken = 0
        self.duplicates = 0
        self.done = 0

    async def each(self) -> AsyncGenerator[Any, None]:
        """Yield the jobs that are to be polled; what is ahead of the hub is a page that is in the ledger already."""
        pages = _Pages(self._jobs)
        try:
            while page := await pages.next():
                standings = await self._ledger.enter([_described(job) for job in page])
                self.taken += len(page)
                for job, standing in zip(page, standings, strict=True):
                    if self._is_wanted(job, standing):
                        yield job
        finally:
            await pages.aclose()

    def number_of(self, job: Any) -> int:
        """Return the number of a job that is awaited, and let go of it."""
        return self._numbers.pop(id(job))

    def past(self, job: Any, /) -> WaitCheckpoint | None:
        """Return what an earlier process knew of the wait for *job*."""
        return self._pasts.pop(id(job), None)

    def changed(self, job: Any, past: WaitCheckpoint, /) -> None:
        """Have it noted how far the wait for *job* has come."""
        self._ledger.notes.past(self._numbers[id(job)], past)

    def _is_wanted(self, job: Any, standing: Standing) -> bool:
        number = standing.number
        if number >= len(self._taken):
            self._taken.extend(bytes(max(number + 1 - len(self._taken), len(self._taken))))
        if self._taken[number]:
            self.duplicates += 1
            return False
        self._taken[number] = True
        if standing.done:
            self.done += 1
            return False
        self._numbers[id(job)] = number
        if standing.past is not None:
            self._pasts[id(job)] = standing.past
        return True


class _Pages:
    """What comes while one page is dealt with is the next, so that nobody waits for a page to be full."""

    def __init__(self, jobs: Jobs[Any]) -> None:
        self._page: list[Any] = []
        self._come = asyncio.Event()
        self._room = asyncio.Event()
        self._reader = asyncio.create_task(self._read(jobs))
        self._reader.add_done_callback(lambda _: self._come.set())

    async def next(self) -> list[Any]:
        """Return the next page, or an empty one at the end; raise what the source raised."""
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


def _described(job: Any) -> tuple[str, str, Any]:
    """Return key, name of the endpoint and reference of a job.

    Raises:
        TypeError: It is none: an async function has no name to be remembered by.
    """
    try:
        return job.key, job.endpoint.name, job.endpoint.plain(job.ref)
    except AttributeError:
        raise TypeError(
            f"a run that is remembered takes jobs, not {type(job).__name__}; make an Endpoint for what you wait for"
        ) from None
