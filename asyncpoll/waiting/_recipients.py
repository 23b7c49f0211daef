"""The recipients of what happens to a wait in a hub: a caller, a viewer of every poll, or one look."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import Any, NamedTuple

from attrs import define, field

from asyncpoll._snapshot import Snapshot
from asyncpoll.waiting.scheduler._targets import Wait

MOST_RECENT = 1000
"""Snapshots that `Hub.fetch` keeps at the most, to answer others who ask within their `max_age`."""


class Seen(NamedTuple):
    """A snapshot that a hub has, and its age.

    Attributes:
        snapshot: What was last seen of the job.
        age: How long ago, in seconds.
    """

    snapshot: Snapshot[Any]
    age: float


class Caller:
    """The caller of `Hub.wait`: only the end of the wait matters.

    Attributes:
        end: Done when the wait is over.
        cancel: The task that cancels the remote job, if that was asked for.
    """

    watching = False
    counted = True

    def __init__(self) -> None:
        self.context = copy_context()
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cancel: asyncio.Task[None] | None = None

    def saw(self, wait: Wait, snapshot: Snapshot[Any]) -> None:
        """Do nothing."""

    def changed(self, wait: Wait, now: float) -> None:
        """Do nothing."""

    def ended(self, wait: Wait, error: BaseException | None, waited: float, cancel: asyncio.Task[None] | None) -> None:  # noqa: ARG002  the caller has the wait
        """End the wait."""
        self.cancel = cancel
        self.refused(error)

    def refused(self, error: BaseException | None) -> None:
        """End the wait."""
        if self.end.done():
            return  # the caller has been cancelled at this very moment
        if error is None:
            self.end.set_result(None)
        else:
            self.end.set_exception(error)


class Look(Caller):
    """The caller of `Hub.fetch`: a wait of one poll, which is neither counted nor told to observers."""

    counted = False


class Viewer(Caller):
    """A viewer of every poll; one that is slow sees the newest snapshot, and holds up no other."""

    watching = True

    def __init__(self, known: Snapshot[Any] | None) -> None:
        super().__init__()
        self._latest = known
        self._news = asyncio.Event()
        self.end.add_done_callback(lambda _: self._news.set())
        if known is not None:
            self._news.set()

    def saw(self, wait: Wait, snapshot: Snapshot[Any]) -> None:  # noqa: ARG002  a viewer has one wait
        """Show *snapshot*, in place of one that has not been looked at."""
        self._latest = snapshot
        self._news.set()

    def ended(self, wait: Wait, error: BaseException | None, waited: float, cancel: asyncio.Task[None] | None) -> None:
        """Show the terminal snapshot, if there is one, and end the wait."""
        if error is None:
            self._latest = wait.last
        super().ended(wait, error, waited, cancel)

    async def next(self) -> Snapshot[Any] | None:
        """Return the newest snapshot that has not been returned yet; None when there is none, and the wait is over.

        Raises:
            BaseException: What ended the wait, if its last snapshot is not terminal.
        """
        await self._news.wait()
        latest, self._latest = self._latest, None
        if not self.end.done():
            self._news.clear()
        elif latest is None:
            self.end.result()
        return latest


@define
class RecentSnapshots:
    """Snapshots by job, for a limited time.

    Attributes:
        entries: By job the snapshot, when it was seen, and the timer that ends its time.
    """

    entries: dict[Any, tuple[Snapshot[Any], float, asyncio.TimerHandle]] = field(factory=dict)

    def put(self, job: Any, snapshot: Snapshot[Any], seconds: float) -> None:
        """Keep a snapshot that has just been seen for so many seconds."""
        self._drop(job)
        if len(self.entries) >= MOST_RECENT:
            self._drop(next(iter(self.entries)))
        loop = asyncio.get_running_loop()
        self.entries[job] = snapshot, loop.time(), loop.call_later(seconds, self._drop, job)

    def get(self, job: Any) -> Seen | None:
        """Return what is kept for *job*."""
        entry = self.entries.get(job)
        return None if entry is None else Seen(entry[0], asyncio.get_running_loop().time() - entry[1])

    def with_key(self, key: str) -> list[Seen]:
        """Return what is kept for jobs with this key."""
        seen = [self.get(job) for job in self.entries if getattr(job, "key", None) == key]
        return [one for one in seen if one is not None]

    def clear(self) -> None:
        """Forget everything."""
        for job in tuple(self.entries):
            self._drop(job)

    def _drop(self, job: Any) -> None:
        entry = self.entries.pop(job, None)
        if entry is not None:
            entry[2].cancel()
