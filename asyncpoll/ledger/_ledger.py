"""A ledger: one file that remembers one run; and the copy of the sound part of a damaged one."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from asyncpoll._checks import unix_time
from asyncpoll._endpoint import Job
from asyncpoll._errors import ClientClosed, LedgerError
from asyncpoll._marks import as_pacing
from asyncpoll._timeout import Timeout
from asyncpoll.ledger._files import create, ledger_error, read_only
from asyncpoll.ledger._journal import Journal, committed
from asyncpoll.ledger._lock import Lock
from asyncpoll.ledger._queries import walk
from asyncpoll.ledger._reader import Reader
from asyncpoll.ledger._records import (
    DEFAULT_SETTINGS,
    RETRY_KINDS,
    Counts,
    Entry,
    EntryInput,
    EntryStatus,
    LedgerSettings,
    OutcomeInput,
    Record,
    RetryKind,
    clean_text,
    exact_text,
)
from asyncpoll.ledger._run import DurableRun
from asyncpoll.ledger._schema import PUT, Head
from asyncpoll.ledger._sinks import Sink, bring_up_to_date
from asyncpoll.ledger._store import Store, Synchronous
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._hub import Hub, RunOptions
from asyncpoll.waiting._run import Jobs

T = TypeVar("T")
J = TypeVar("J")

_SOURCE = 65_536  # bytes at the beginning of a file that are its identity


class Ledger:
    """The jobs of one run and their outcomes in one file: an async context manager, and the file's only writer.

    Each job has at most one outcome, the first that is recorded; a recorded outcome is on the disk. Only its owner can
    read the file, and no credential is ever in it.

    At rest a ledger is one file, which may be moved or copied. While it is open, and after its process was killed, the
    files `NAME-wal` and `NAME.lock` beside it belong to it: move them with it, or open it once and close it. A ledger
    that lacks them, or in which they are damaged, is refused.

    Args:
        path: The file, on a local disk; made when there is none.
        synchronous: "full" waits for the disk with every group of outcomes, at most ten times a second. "normal" does
            not, and may lose the last seconds when the power fails, as it then says; a process that is killed loses
            nothing either way.
        links: Store links in results with their keys and signatures, which are masked otherwise.
        accept_loss: Open a ledger although its newest changes are missing. Jobs whose outcomes are lost are unfinished
            again.
        settings: Timing.

    Attributes:
        path: The file.
        options: The options that `keep` has kept.

    Raises:
        LedgerError: On entering: it cannot be used, as `kind` says. It was left as it is.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        synchronous: Synchronous = "full",
        links: bool = False,
        accept_loss: bool = False,
        settings: LedgerSettings = DEFAULT_SETTINGS,
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise ValueError(f'synchronous must be "full" or "normal", not {synchronous!r}')
        self.path = Path(path)
        self.options: Mapping[str, Any] = {}
        self._links = links
        self._accept_loss = accept_loss
        self._settings = settings
        self._store = Store(self.path, synchronous, settings)
        self._journal: Journal | None = None
        self._delivering = asyncio.Lock()

    async def __aenter__(self) -> Self:
        if self._journal is not None:
            raise ClientClosed("a ledger is opened once; make another one for the same file")
        self._journal = Journal(self._store, self._settings, links=self._links)
        try:
            self.options = await self._journal.open(accept_loss=self._accept_loss)
        except BaseException:
            await self._journal.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened().aclose()
        if error is None:
            self._opened().raise_failure()

    @property
    def counts(self) -> Counts:
        """The counts at the last commit; they are made once a commit, so they may be read at any rate."""
        return self._store.counts

    @property
    def links(self) -> bool:
        """Whether links in results are stored with their keys and signatures."""
        return self._links

    @property
    def stalled(self) -> LedgerError | None:
        """Why nothing can be written at present, such as a full disk; None while the ledger is written.

        The polls of its run pause meanwhile. It is tried again every five seconds, and given up after five minutes.
        """
        return None if self._journal is None else self._journal.stalled

    @property
    def loss(self) -> str | None:
        """What was missing when the ledger was opened with *accept_loss*, in words, or None."""
        return self._store.loss

    async def keep(self, options: Mapping[str, Any]) -> None:
        """Keep the options that are needed to resume the run, in place of the former ones. They must not hold a key.

        Raises:
            LedgerError: They are not JSON data ("value"), or cannot be written.
        """
        text = exact_text(dict(options), "options")
        await self._opened().do(partial(Store.keep, text=text))
        self.options = json.loads(text)

    async def define(self, endpoint: str, text: str) -> None:
        """Keep the definition of an endpoint; a run keeps those of its jobs by itself.

        Raises:
            LedgerError: The ledger keeps another one with this name ("definition"), or cannot be written.
        """
        await self._opened().define(endpoint, text)

    async def definitions(self) -> dict[str, str]:
        """Return the text of the definition of each endpoint of the run that was made from one, by its name."""
        kept: dict[str, str] = await self._opened().do(Store.definitions)
        return kept

    async def claim_source(self, source: str | Path, *, append: bool = False) -> None:
        """Check that the jobs come from where they came from before, so that two runs are not merged by mistake.

        Args:
            source: A `Path` to a file, which its first 64 KiB identify: it may have been renamed, or have grown. Or any
                text that identifies the source.
            append: Accept another source, too, from now on.

        Raises:
            LedgerError: The ledger has the jobs of another source; the kind is "source".
            OSError: The file cannot be read.
        """
        journal = self._opened()
        name, head = (source, None) if isinstance(source, str) else await journal.in_file_thread(_head_of, source)
        known = await journal.do(Store.sources)
        if any(_is_source(one, name, head) for one in known):
            return
        if known and not append:
            raise LedgerError(
                f"the ledger {self.path} holds the run of {', '.join(one[0] for one in known)}, and {name} is another "
                "source, or has changed at its beginning; resume that run, or pass append=True to add these jobs to it",
                kind="source",
            )
        facts = [name, None, ""] if head is None else [name, len(head), _digest(head)]
        await journal.do(partial(Store.add_source, source=facts))

    @asynccontextmanager
    async def reserve(self, on_change: Callable[[], object] | None = None) -> AsyncGenerator[None, None]:
        """Have the ledger for a run that is fed from outside, in place of `Hub.run`; leaving commits what it was given.

        Args:
            on_change: Called when the ledger stalls, can be written again, or fails; see `stalled`.

        Raises:
            RuntimeError: Another run uses it.
            LedgerError: On leaving: something could not be committed.
        """
        journal = self._opened()
        journal.begin_run(_nothing if on_change is None else on_change)
        has_ended_well = False
        try:
            yield
            has_ended_well = True
        finally:
            journal.end_run()
            await journal.settle(quiet=not has_ended_well)

    async def enter(self, jobs: Sequence[EntryInput | tuple[str, str, Any] | Job[Any]]) -> list[EntryStatus]:
        """Enter jobs: jobs themselves, an `EntryInput` of each, or (key, name of the endpoint, reference as JSON data).

        Returns:
            The status of each, in the same order. A job that is there already is not entered again.

        Raises:
            LedgerError: A reference or a meta cannot be stored ("value"), the ledger keeps another definition of an
                endpoint ("definition"), or it cannot be written.
            TypeError, ValueError: Something is not a job, or the time of a submit is not a time of the past.
        """
        return await self._opened().enter([_entered(one) for one in jobs])

    async def record(self, outcome: OutcomeInput) -> int | None:
        """Record the end of the wait for a job.

        Returns:
            Its seq, once it is committed; or None when the job has an outcome already, which stands.

        Raises:
            LedgerError: The value cannot be stored ("value"), or the ledger cannot be written.
            ValueError: There is no entry with this number.
        """
        record = await committed(await self.submit(outcome))
        return None if record is None else record.seq

    async def submit(self, outcome: OutcomeInput) -> asyncio.Future[Record | None]:
        """Hand over the end of the wait for a job, without waiting for its commit; wait only if too many are queued.

        Returns:
            The future of its record, once that is committed; of None when the job has an outcome already, which stands.
            It need not be awaited, and cancelling it changes nothing.

        Raises:
            LedgerError: The value cannot be stored ("value"), or the ledger has failed; also from the future.
            ValueError: There is no entry with this number.
        """
        journal = self._opened()
        await journal.has_room()
        return journal.submit(outcome)

    def note(self, number: int, checkpoint: WaitCheckpoint) -> None:
        """Note the progress of the unfinished wait for the job of entry *number*; `unfinished` gives it back.

        It goes to the disk with the next commit, at the latest in about a second. The newest one counts.

        Raises:
            ValueError: There is no entry with this number.
            LedgerError: The ledger has failed.
        """
        journal = self._opened()
        journal.raise_failure()
        journal.check_number(number)
        journal.pending.checkpoint(number, checkpoint)

    async def retry(self, *kinds: RetryKind) -> int:
        """Make jobs unfinished again that were given up or failed, so that the next run asks about them again.

        A job that succeeded is never asked about again. Each of the others begins a new attempt, with a new deadline.
        Its former outcome does not count any more; a results file that has it gets a later line, with the attempt.

        Args:
            *kinds: "rejected", "unfinished" or "failed"; see `RetryKind`.

        Returns:
            The number of these jobs.

        Raises:
            ValueError: A kind is unknown, or none is given.
            LedgerError: The ledger cannot be written, or an outcome is damaged.
        """
        if not kinds or not set(kinds) <= set(RETRY_KINDS):
            raise ValueError(f"retry() takes some of {', '.join(RETRY_KINDS)}, not {', '.join(map(str, kinds))}")
        count: int = await self._opened().do(partial(Store.retry, kinds=kinds))
        return count

    async def acknowledge(self, consumer: str, seq: int) -> None:
        """Store durably that *consumer* has handled all outcomes up to *seq*.

        Raises:
            LedgerError: The ledger cannot be written.
        """
        await self._opened().do(partial(Store.place, consumer=clean_text(consumer), seq=seq))

    async def position(self, consumer: str) -> int:
        """Return the seq up to which *consumer* has handled the outcomes; 0 for an unknown one.

        Raises:
            LedgerError: The ledger cannot be read, or the position is damaged.
        """
        return await self._opened().position(clean_text(consumer))

    def unfinished(self, *, after: int = 0) -> AsyncIterator[Entry]:
        """Yield the entries without an outcome in their order, from number *after* + 1; they are read in pages.

        The `checkpoint` of each says how far the wait has come: what was noted last, and the time since then in which
        a process had the ledger open. Given to the next wait, the timeout holds over all processes.

        Raises:
            LedgerError: The ledger cannot be read, or an entry is damaged.
        """
        return self._paged(Store.unfinished, after, lambda entry: entry.number)

    async def outcomes(self, *, after: int = 0) -> AsyncIterator[Record]:
        """Yield the outcomes that count in order of recording, from seq *after* + 1; they are read in pages.

        Raises:
            LedgerError: The ledger cannot be read, or an outcome is damaged.
        """
        async for record in self._paged(Store.records, after, lambda record: record.seq):
            if not record.superseded:
                yield record

    async def deliver(self, sink: Sink) -> int:
        """Bring a file up to date: append every outcome that is not in it yet, exactly once over all processes.

        Args:
            sink: Such as `JsonLines(path)`; at any time, as often as wanted.

        Returns:
            The number of outcomes that were appended.

        Raises:
            LedgerError: The file is not the one that was written, or cannot be written.
        """
        async with self._delivering:
            return await bring_up_to_date(sink, self._opened().do, self._opened().in_file_thread)

    def run(
        self, hub: Hub, jobs: Jobs[J], *, timeout: float | Timeout | None, **options: Unpack[RunOptions]
    ) -> DurableRun[J]:
        """Return a run of *jobs* in *hub* whose outcomes are recorded before they are yielded; see `DurableRun`.

        Args:
            hub: Polls the jobs.
            jobs: A list, an iterable or an async iterable of jobs. Those with an outcome in this ledger are left out.
            timeout: For each wait, over all processes; time in which no process had the ledger open does not count.
            **options: Those of `Hub.as_completed`; without `max_pending`, 100,000 jobs are waited for at once.

        Raises:
            ClientClosed: The ledger is not open.
        """
        return DurableRun(self._opened(), hub, jobs, timeout, options)

    # details

    def _opened(self) -> Journal:
        if self._journal is None:
            raise ClientClosed("the ledger is not open; use it inside its block: async with Ledger(path) as ledger")
        return self._journal

    async def _paged(self, page: Callable[..., list[T]], after: int, place: Callable[[T], int]) -> AsyncIterator[T]:
        while rows := await self._opened().do(partial(page, after=after)):
            for row in rows:
                yield row
            after = place(rows[-1])


def _nothing() -> None:
    """Do nothing."""


def _entered(job: Any) -> EntryInput:
    """Return what is entered of one job.

    Raises:
        TypeError, ValueError: It is none of the forms that `Ledger.enter` accepts.
    """
    if not isinstance(job, tuple):
        return EntryInput.of(job)
    entry = EntryInput(*job)
    at = None if entry.submitted_at is None else unix_time("EntryInput.submitted_at", entry.submitted_at)
    return entry._replace(submitted_at=at, pacing=as_pacing(entry.pacing))


def _head_of(path: Path) -> tuple[str, bytes]:
    with path.open("rb") as file:
        return str(path.absolute()), file.read(_SOURCE)


def _digest(head: bytes) -> str:
    return blake2b(head, digest_size=8).hexdigest()


def _is_source(known: Sequence[Any], name: str, head: bytes | None) -> bool:
    """Return whether a known source, as (name, length, digest), is the one with this name and beginning."""
    its_name, length, its_digest = known
    if head is None or not length:
        return bool(its_name == name and (length is None) == (head is None))
    return bool(_digest(head[:length]) == its_digest)


def recover(path: str | Path, new_path: str | Path, *, accept_loss: bool = False) -> Counts:
    """Copy the sound part of a ledger into a new one: all entries and outcomes up to the first that is damaged.

    The old file is only read. Jobs whose outcomes are lost are unfinished in the new one, and a run that is given all
    the jobs again enters those that are lost.

    Args:
        path: The damaged ledger.
        new_path: The new one, which must not exist.
        accept_loss: Copy a ledger although its newest changes are missing.

    Returns:
        The counts of the new ledger.

    Raises:
        LedgerError: The old file is not a ledger any more ("foreign", "damaged"), is not complete ("incomplete"), a
            process has it open ("locked"), or the new one cannot be made.
    """
    old, new = Path(path), Path(new_path)
    lock = Lock(old)
    lock.take()
    try:
        head, _ = lock.check(accept_loss=accept_loss)
        with closing(read_only(old)) as source:
            create(new, lambda target: _copy(source, target, old, [] if head is None else head.sources))
        with Reader(new) as reader:
            return reader.counts
    except sqlite3.Error as error:
        raise ledger_error(error, new) from error
    finally:
        lock.release()


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, path: Path, sources: list[list[Any]]) -> None:
    target.execute("BEGIN IMMEDIATE")
    head = Head(sources=sources)
    endpoints = [""]  # by number
    for row in _sound(source, "entry", path):
        target.execute(PUT["entry"], row)
        endpoints.append(row[2])
        head.add_entry(row[2], row[-1])
    attempts = {row[0]: row[1] for row in walk(source, "retry", path) if not isinstance(row, LedgerError)}
    ended = [0] * len(endpoints)  # the last attempt with an outcome, by number
    for row in _sound(source, "outcome", path):
        _seq, number, attempt, state, _status, _reason, _code, error, *_ = row
        if number > head.entries or not ended[number] < attempt <= attempts.get(number, 1):
            break
        ended[number] = attempt
        target.execute(PUT["outcome"], row)
        head.add_outcome(endpoints[number], state, error, row[-1])
        if attempt < attempts.get(number, 1):
            head.supersede(endpoints[number], state, error)
    fits: dict[str, Callable[[tuple[Any, ...]], bool]] = {
        "options": lambda _: True,
        "session": lambda _: True,
        "definition": lambda _: True,
        "retry": lambda row: row[0] <= head.entries,
        "meta": lambda row: row[0] <= head.entries,
        "submit": lambda row: row[0] <= head.entries,
        "progress": lambda row: row[0] <= head.entries,
        "consumer": lambda row: row[1] <= head.outcomes,  # else its file holds more than is left
    }
    for table, does_fit in fits.items():
        for found in walk(source, table, path):
            if not isinstance(found, LedgerError) and does_fit(found):
                target.execute(PUT[table], found)
    head.write(target)
    target.execute("COMMIT")


def _sound(source: sqlite3.Connection, table: str, path: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the rows before the first one that is not as it was written."""
    for row in walk(source, table, path):
        if isinstance(row, LedgerError):
            return
        yield row
