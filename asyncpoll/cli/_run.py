"""`asyncpoll run`: many jobs from a file, remembered in a ledger, so that nothing is lost however the run ends."""

from __future__ import annotations

import argparse
import asyncio
import shlex
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from asyncpoll._endpoint import Job
from asyncpoll._errors import LedgerError
from asyncpoll._state import State
from asyncpoll.cli import Exit
from asyncpoll.cli._ingest import Feed, LineIngest, check
from asyncpoll.cli._lines import STANDARD_INPUT, Lines, read_jobs, reading, with_checked_start
from asyncpoll.cli._output import counted, duration, message_of, note
from asyncpoll.cli._pacing import Sample, history_of
from asyncpoll.cli._parser import clients_of
from asyncpoll.cli._progress import Gauge, endings, follow, misses_of, view_of
from asyncpoll.cli._run_options import Options
from asyncpoll.cli._signals import halt, run_stoppable, stoppable
from asyncpoll.clients._clients import Clients
from asyncpoll.ledger import DurableRun, Ledger, Reader, RetryKind
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import Learned

if TYPE_CHECKING:
    from asyncpoll.dask import DistributedRun

_INGEST = 0.05  # seconds between two looks at how many jobs the ledger has
_DELIVERY = 0.5  # seconds from one time that the results file is brought up to date to the next
_KEEPING = 10  # deliveries from one time that the misses are kept in the ledger to the next
_SAVING = 2.0  # seconds that a run which was asked to end may take to save


# before the run


def run(args: argparse.Namespace) -> int:
    """Wait for the jobs that a file names; if the ledger exists already, go on with its run."""
    path = _ledger_of(args)
    kept, definitions = _kept(path, accept_loss=args.accept_loss)
    clients = clients_of(args, definitions=definitions, code={} if kept is None else kept.code)
    usual = clients.targets.name(args.endpoint)
    options = Options.of(args, usual, clients.targets)
    _refuse_mistakes(path, options, kept, append=args.append)
    with reading(args.jobs, twice=args.strict) as file:
        polls = args.dask is None
        if args.strict:
            check(read_jobs(file, usual), LineIngest(clients, polls=polls))
            file.seek(0)
        lines = read_jobs(file, usual)
        if kept is None:
            lines = with_checked_start(lines, LineIngest(clients, polls=polls).read)
        start = RunStart(source=_source_of(args.jobs), append=args.append, accept_loss=args.accept_loss)
        return run_stoppable(drive(path, options, start, lines, clients, plain=args.plain, dask=args.dask))


@frozen
class RunStart:
    """What is done with the ledger before the run begins.

    Attributes:
        source: The source of the lines, which must be that of the run; None when that is certain.
        append: Whether another source may be added to the run.
        accept_loss: Whether the ledger is used although its newest changes are missing.
        retry: The endings of jobs that are waited for again.
    """

    source: str | Path | None = None
    append: bool = False
    accept_loss: bool = False
    retry: tuple[RetryKind, ...] = ()


def _source_of(jobs: str) -> str | Path:
    """Return the identity of the input: a file is known by its content, anything else by its name."""
    if jobs == STANDARD_INPUT:
        return "standard input"
    path = Path(jobs).absolute()
    return path if path.is_file() else str(path)


def _ledger_of(args: argparse.Namespace) -> Path:
    output: Path | None = args.output
    if args.ledger is not None:
        return Path(args.ledger)
    if output is None:
        raise ValueError("pass --output FILE for the results, --ledger FILE to remember the run, or both")
    return output.with_name(f"{output.name}.ledger")


def _kept(path: Path, *, accept_loss: bool) -> tuple[Options | None, Mapping[str, str]]:
    """Return the options that a ledger keeps, or None if it keeps none or does not exist, and its definitions."""
    if not path.exists():
        return None, {}
    with Reader(path, accept_loss=accept_loss) as reader:
        return Options.kept(reader.options) if reader.options else None, reader.definitions


def _refuse_mistakes(path: Path, options: Options, kept: Options | None, *, append: bool) -> None:
    """Raise ValueError if a file would be written by mistake, or two runs would be mixed."""
    if options.output is not None:
        refuse_output(path, options, Path(options.output), fresh=kept is None)
    if kept is None:
        return
    if kept.output != options.output:
        raise ValueError(
            f"the results of {path} go to {kept.output or 'no file'}; to go on with it: asyncpoll resume {path}"
        )
    if kept.shard != options.shard:
        raise ValueError(
            f"{path} holds {_share_of(kept)}, not {_share_of(options)}; choose another --ledger, or go on with: "
            f"asyncpoll resume {path}"
        )
    if append and kept.input != options.input and not kept.complete:
        begun = kept.input or "standard input"
        raise ValueError(f"{begun} has not been read to its end; first go on with: asyncpoll resume {path}")


def _share_of(options: Options) -> str:
    return "all jobs of its input" if options.shard is None else f"shard {options.shard}"


def refuse_output(path: Path, options: Options, output: Path, *, fresh: bool) -> None:
    """Raise ValueError if results cannot go to *output*; *fresh* says that none have so far."""
    if str(output) in (str(path.absolute()), options.input):
        raise ValueError(f"{output} would be replaced by the results; choose another --output")
    if not output.parent.is_dir():
        raise ValueError(f"there is no directory {output.parent}; make it first")
    if output.name == "-" or (output.exists() and not output.is_file()):
        raise ValueError(
            f"{output} is not a plain file; choose another --output, and asyncpoll export to print results"
        )
    if fresh and output.exists() and output.stat().st_size:
        raise ValueError(f"{output} has something in it that is not of this run; choose another --output")


# the run


@define
class Drive:
    """A run at work.

    Attributes:
        options: How the run is done.
        ledger: The ledger that remembers it.
        hub: The hub that polls.
        clients: The clients of its jobs.
        ingest: The source of its jobs.
        history: How long jobs have taken.
        cluster: The client of the Dask cluster that polls; None if this process does.
        finished: Whether every job has ended.
        sample: Jobs whose end this process has seen.
        records: The durable run, once it has begun, or
        on_cluster: the run on the cluster.
        paused: Seconds for which nothing was polled because the ledger could not be written.
        stalled: Why it could not.
    """

    options: Options
    ledger: Ledger
    hub: Hub
    clients: Clients
    ingest: LineIngest
    history: History
    cluster: Any = None
    finished: bool = False
    sample: Sample = field(factory=Sample)
    records: DurableRun[Any] | None = None
    on_cluster: DistributedRun | None = None
    paused: float = 0.0
    stalled: str = ""

    async def run(self, lines: Lines | None, *, plain: bool) -> None:
        """Wait for all jobs, or until a signal comes, and show how far that has come.

        Args:
            lines: Lines that name further jobs.
            plain: Whether to show progress as plain lines in any case.
        """
        await self._save()  # if the results cannot be written, this shows before anything is sent
        gauge = Gauge(self.ledger, self.hub.counters, self.ingest)
        gauge.look()  # the first rate that is shown counts from here
        with stoppable() as asked, view_of(gauge.look, plain=plain) as view:
            run = asyncio.create_task(self._wait(self._jobs(lines, asked)))
            delivery = asyncio.create_task(self._keep_delivering())
            timing = asyncio.create_task(self._time_pauses())
            try:
                await follow(view, run, asked, delivery)
                if asked.done() and not run.done():
                    await self._drain(run, asked)
            finally:
                for task in (run, delivery, timing):
                    task.cancel()  # does nothing to one that is done
                ends = await asyncio.gather(run, delivery, timing, return_exceptions=True)
                with suppress(TimeoutError):  # a full disk, say: closing the ledger tries it once more, and says why
                    async with asyncio.timeout(_SAVING if asked.done() else None):
                        await self._save()
            if asked.done():
                await asked
        for end in ends:
            if isinstance(end, Exception):
                raise end
        self.finished = not (run.cancelled() or (asked.done() and self.ledger.counts.unfinished))

    def status(self) -> Exit:
        """Return the exit status of the run."""
        if not self.finished:
            return Exit.INTERRUPTED
        counts = self.ledger.counts
        good = sum(number for (_, state), number in counts.by_state.items() if state == State.SUCCESS)
        return Exit.SUCCESS if good == counts.entries and not self.ingest.bad.number else Exit.FAILED

    def summarize(self, fresh: int) -> None:
        """Print how the run ended, given how many jobs were new to the ledger, and how to go on if it is not over."""
        self.ingest.bad.summarize()
        counts, path = self.ledger.counts, self.ledger.path
        if known := self.ingest.jobs - fresh:
            note(f"asyncpoll: {counted(known, 'line')} skipped: already in the ledger")
        note(f"asyncpoll: {counts.outcomes:,} of {counts.entries:,} ended: {endings(counts)}; the ledger is {path}")
        for line in self.sample.compared() if isinstance(self.hub.schedule, Learned) else ():
            note(f"asyncpoll: {line}")
        if not self.finished:
            for trouble in (misses_of(self.hub.counters), self._pause()):
                if trouble:
                    note(f"asyncpoll: {trouble}")
            note(f"asyncpoll: go on with: asyncpoll resume {shlex.quote(str(path))}")

    async def _wait(self, jobs: AsyncGenerator[Job[Any], None]) -> None:
        if self.cluster is not None:
            await self._wait_on_cluster(jobs)
            return
        async with self.hub.run(jobs, ledger=self.ledger, timeout=self.options.timeout) as records:
            self.records = records
            async for record, _ in records:  # it is in the ledger, and the results file gets it from there
                self.sample.add(record)

    async def _wait_on_cluster(self, jobs: AsyncGenerator[Job[Any], None]) -> None:
        from asyncpoll.dask import distributed_run  # noqa: PLC0415  Dask is an extra

        options = self.options
        run = distributed_run(
            jobs,
            self.cluster,
            ledger=self.ledger,
            timeout=options.timeout,
            rate=options.rate,
            concurrency=options.concurrency,
            clients=self.clients,
            schedule=self.hub.schedule,
        )
        run.counters = self.hub.counters  # which are shown
        async with run as self.on_cluster:
            async for record in run:
                self.sample.add(record)

    async def _jobs(self, lines: Lines | None, asked: asyncio.Future[None]) -> AsyncGenerator[Job[Any], None]:
        """Yield the jobs that an earlier process left, and then those of the lines."""
        given = 0
        try:
            async for entry in self.ledger.unfinished():
                given += 1
                job = self.ingest.job(entry.endpoint, entry.ref)
                at = entry.submitted_at
                if entry.pacing is not None:
                    job = job.with_pacing(entry.pacing)
                yield job if at is None else job.with_submitted_at(min(at, datetime.now(UTC).timestamp()))
            if lines is not None:
                async with aclosing(self.ingest.each(Feed(lines).each())) as jobs:
                    async for job in jobs:
                        given += 1
                        yield job
                await self._keep_complete(given)
        except (ValueError, OSError) as error:  # there is no key, say: then the jobs before it are not waited for
            halt(asked, error)

    async def _keep_complete(self, given: int) -> None:
        """Keep that the input need not be read again, once the ledger has all of its jobs."""
        while (run := self.records or self.on_cluster) is None or run.taken < given:  # noqa: ASYNC110  the ledger has no event for it
            await asyncio.sleep(_INGEST)
        self.options = evolve(self.options, complete=True)
        await self._keep()

    async def _keep(self) -> None:
        """Keep the options, what was learned, and the troubles of this session."""
        if isinstance(self.hub.schedule, Learned):
            self.hub.schedule.settle()
        troubles = {"misses": misses_of(self.hub.counters), "paused": self._pause()}
        await self.ledger.keep({**self.options.plain(), "history": self.history.to_json(), **troubles})

    def _pause(self) -> str:
        return f"paused for {duration(self.paused)}: {self.stalled}" if self.paused else ""

    async def _drain(self, run: asyncio.Task[None], asked: asyncio.Future[None]) -> None:
        """Let the polls in flight come to their ends."""
        if asked.exception() is None:
            polls = counted(self.hub.counters.in_flight, "poll")
            note(f"asyncpoll: finishing {polls} in flight and saving; Ctrl-C again stops at once")
        drain = self.clients.drain if self.on_cluster is None else self.on_cluster.drain
        draining = asyncio.create_task(drain())
        await asyncio.wait({run, draining}, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()

    async def _save(self) -> None:
        """Save what is known."""
        await self._keep()  # first, so that a process which is killed in a long delivery can be followed by another
        await self._deliver()

    async def _keep_delivering(self) -> None:
        """Bring the results file up to date again and again, and keep the troubles of the session now and then."""
        kept = 0, 0.0
        while True:
            for _ in range(_KEEPING):
                await asyncio.sleep(_DELIVERY)
                try:
                    await self._deliver()
                except LedgerError as error:
                    if not error.passing:  # else the disk is full, say: the next time may be better
                        raise
            troubles = self.hub.counters.missed, self.paused
            if troubles != kept:
                kept = troubles
                await self._keep()

    async def _time_pauses(self) -> None:
        """Measure for how long nothing is polled because the ledger cannot be written."""
        while True:
            await asyncio.sleep(_DELIVERY)
            if self.ledger.stalled is not None:
                self.paused += _DELIVERY
                self.stalled = message_of(self.ledger.stalled)

    async def _deliver(self) -> None:
        if self.options.output is not None:
            await self.ledger.deliver(self.options.sink(self.options.output))


async def drive(
    path: Path,
    options: Options,
    start: RunStart,
    lines: Lines | None,
    clients: Clients,
    *,
    plain: bool,
    dask: str | None,
) -> Exit:
    """Do a run, or the rest of it.

    Args:
        path: The ledger; made if it does not exist.
        options: How the run is done.
        start: What is done with the ledger first.
        lines: Lines that name jobs besides those in the ledger.
        clients: The clients of the jobs. Their settings are not kept in the ledger, since a proxy may have a password.
        plain: Whether to show progress as plain lines in any case.
        dask: The address of the Dask cluster that polls; None if this process does.
    """
    async with (
        nullcontext() if dask is None else _connected(dask) as cluster,
        clients,
        Ledger(path, links=options.links, accept_loss=start.accept_loss) as ledger,
        options.hub(history := history_of(ledger.options)) as hub,
    ):
        await _prepare(ledger, start, clients.targets.definitions)
        ingest = LineIngest(clients, options.shard, polls=cluster is None)
        run = Drive(options, ledger, hub, clients, ingest, history, cluster)
        entries = ledger.counts.entries
        try:
            await run.run(lines, plain=plain)
        finally:
            run.summarize(ledger.counts.entries - entries)
        return run.status()


def _connected(dask: str) -> AbstractAsyncContextManager[Any]:
    """Return a connection to a cluster.

    Raises:
        ValueError: Dask is not installed.
    """
    try:
        from asyncpoll.dask import connected  # noqa: PLC0415  Dask is an extra
    except ModuleNotFoundError as error:
        raise ValueError(f"--dask needs {error.name}: pip install 'asyncpoll[dask]'") from None
    return connected(dask)


async def _prepare(ledger: Ledger, start: RunStart, definitions: Mapping[str, str]) -> None:
    for endpoint, text in definitions.items():
        await ledger.define(endpoint, text)
    if ledger.loss is not None:
        note(f"asyncpoll: warning: {ledger.loss}")
    if start.source is not None:
        await ledger.claim_source(start.source, append=start.append)
    if start.retry:
        note(f"asyncpoll: {counted(await ledger.retry(*start.retry), 'job')} to wait for again")
