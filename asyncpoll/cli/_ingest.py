"""From lines to jobs: lines are read beside the event loop, and a line that names a job becomes one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import aclosing, closing
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from attrs import define, evolve, field

from asyncpoll._endpoint import Job
from asyncpoll._json import json_line
from asyncpoll._snapshot import KIND, Snapshot
from asyncpoll._state import State
from asyncpoll.cli._lines import BadLine, BadLines, Line, address
from asyncpoll.cli._output import counted, message_of
from asyncpoll.clients._clients import Clients
from asyncpoll.ledger._records import MOST_META
from asyncpoll.providers._client import CLIENT

T = TypeVar("T")

MOST_AHEAD = 1000
"""The most items that are read ahead of the consumer."""

_TERMINAL = tuple(state for state in State if state.is_terminal)
_USAGE = 'a job is named by an "endpoint" (text) and a "ref" (object); --endpoint names that of all lines'


class Feed(Generic[T]):
    """Runs a generator that may block in a thread of its own, and yields its items on the event loop.

    The thread is a daemon: if it is stuck in a read, neither the iteration nor the process waits for it.

    Args:
        items: The generator; the thread closes it.
    """

    def __init__(self, items: Generator[T, None, None]) -> None:
        self._items = items
        self._ready: list[T] = []
        self._turn = threading.Condition()
        self._wanted = True
        self._over = False
        self._error: Exception | None = None

    async def each(self) -> AsyncGenerator[T, None]:
        """Yield every item soon after the generator has.

        Raises:
            Exception: The error of the generator, after all of its items.
        """
        there, loop = asyncio.Event(), asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(lambda: loop.call_soon_threadsafe(there.set),), daemon=True).start()
        try:
            while not self._over or self._ready:
                await there.wait()
                there.clear()
                for item in self._take():
                    yield item
        finally:
            self._stop()
        if self._error is not None:
            raise self._error

    def _take(self) -> list[T]:
        with self._turn:
            taken, self._ready = self._ready, []
            self._turn.notify()
        return taken

    def _stop(self) -> None:
        with self._turn:
            self._wanted = False
            self._turn.notify()

    # in the thread

    def _run(self, wake: Callable[[], object]) -> None:
        try:
            with closing(self._items):
                while self._wanted and (item := next(self._items, None)) is not None:
                    self._put(item, wake)
        except Exception as error:  # noqa: BLE001  it is raised in the iteration
            self._error = error
        with self._turn:
            self._over = True
            if self._wanted:  # else there may be no event loop any more
                wake()

    def _put(self, item: T, wake: Callable[[], object]) -> None:
        with self._turn:
            self._turn.wait_for(lambda: len(self._ready) < MOST_AHEAD or not self._wanted)
            self._ready.append(item)
            if len(self._ready) == 1 and self._wanted:
                wake()


# jobs


@define
class LineIngest:
    """Makes jobs of lines, and counts both.

    Attributes:
        clients: Where jobs come from.
        shard: The share of the lines that count, such as "3/8", or None for all of them.
        polls: Whether this process polls them; else no key is needed here.
        jobs: The number of lines that name a job.
        bad: The lines that do not.
        complete: Whether the last line has been read.
    """

    clients: Clients
    shard: str | None = None
    polls: bool = field(default=True, kw_only=True)
    jobs: int = 0
    bad: BadLines = field(factory=BadLines)
    complete: bool = False

    async def each(self, lines: AsyncGenerator[Line | BadLine, None]) -> AsyncGenerator[Job[Any], None]:
        """Yield the job of each line of the shard.

        Raises:
            ValueError: There is no key for one, or the key or the address is unusable.
        """
        number, count = map(int, (self.shard or "1/1").split("/"))
        async with aclosing(lines):
            async for line in lines:
                job = self.read(line)
                if count > 1 and shard_of(job, count) != number:
                    continue
                if isinstance(job, BadLine):
                    self.bad.add(job)
                else:
                    self.jobs += 1
                    yield job
        self.complete = True

    def job(self, endpoint: str, ref: Any) -> Job[Any]:
        """Return a job, which can be polled only in a process that polls.

        Raises:
            ValueError: There is no such endpoint, the reference does not fit it, or as `each`.
        """
        return self.clients.job(endpoint, ref) if self.polls else self.clients.closed_job(endpoint, ref)

    def read(self, line: Line | BadLine) -> Job[Any] | BadLine:
        """Return the job that a line names, or what is wrong with the line.

        Raises:
            ValueError: As `each`.
        """
        if isinstance(line, BadLine):
            return line
        named = address(line, "ref", _USAGE, self.clients.targets)
        if isinstance(named, BadLine):
            return named
        if self.polls:
            self.clients.open(named.target.name, named.client)  # an unusable key is not a fault of the line
        try:
            job = self.job(named.target.name, {**named.content, CLIENT: named.client})
        except ValueError as problem:
            return BadLine(line.number, message_of(problem))
        job = evolve(job, submitted=_ended(line.data))
        if named.submitted_at is not None:
            job = job.with_submitted_at(named.submitted_at)
        if named.pacing is not None:
            job = job.with_pacing(named.pacing)
        if named.meta is None:
            return job
        if len(json_line(named.meta)) > MOST_META:
            return BadLine(line.number, f"the further columns or keys take more than {MOST_META >> 10} KiB")
        return job.with_meta(named.meta)


def shard_of(job: Job[Any] | BadLine, count: int) -> int:
    """Return which of *count* shards, from 1, has a job, by its key, or a bad line, by its number."""
    if isinstance(job, BadLine):
        return (job.number - 1) % count + 1
    key = blake2b(job.key.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(key, "big") % count + 1


def check(lines: Iterable[Line | BadLine], ingest: LineIngest) -> None:
    """Check that every line names a job; nothing is sent.

    Raises:
        ValueError: One does not, or as `LineIngest.each`.
    """
    for line in lines:
        job = ingest.read(line)
        if isinstance(job, BadLine):
            ingest.bad.add(job)
    if ingest.bad.number:
        ingest.bad.summarize()
        raise ValueError(f"{counted(ingest.bad.number, 'bad line')}; nothing was sent (--strict)")


def _ended(data: Mapping[str, Any]) -> Snapshot[Any] | None:
    """Return the outcome of a job in a line that says that it has ended, as result lines do."""
    state = _text(data, "state")
    if state is None or state not in _TERMINAL:
        return None
    kind = _text(data, "kind") or ""
    return Snapshot(
        State(state),
        _text(data, "status") or state,
        data.get("value"),
        reason=_text(data, "reason"),
        code=_text(data, "code"),
        partial=kind == "partial",
        kind=kind if kind != "partial" and KIND.fullmatch(kind) else None,
    )


def _text(data: Mapping[str, Any], name: str) -> str | None:
    text = data.get(name)
    return text if isinstance(text, str) else None
