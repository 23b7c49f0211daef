"""A durable run from its opening to its end, however that comes."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from asyncpoll._endpoint import Job
from asyncpoll._state import State
from asyncpoll.cli.exits import Exit
from asyncpoll.cli.output import note
from asyncpoll.cli.pacing import Sample, history_of
from asyncpoll.cli.run.clients import Clients
from asyncpoll.cli.run.feed import Feed
from asyncpoll.cli.run.intake import Intake
from asyncpoll.cli.run.lines import Lines
from asyncpoll.cli.run.options import Options
from asyncpoll.cli.run.progress import Gauge, endings
from asyncpoll.cli.run.stop import halt, stoppable
from asyncpoll.cli.view import View
from asyncpoll.http._settings import TransportSettings
from asyncpoll.ledger import Csv, DurableRun, JsonLines, Ledger
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import Learned

_TAKING = 0.05  # seconds between two looks at what the ledger has taken in
_DELIVERY = 0.5  # seconds between two times that the results file is brought up to date
_PLAIN = 5.0  # seconds between two plain lines
_SAVING = 5.0  # seconds that a run which was asked to end may take to save what it has


@define
class Drive:
    """What is at work in a run.

    Attributes:
        options: How the run is done.
        ledger: What remembers it.
        hub: What polls.
        clients: Where its jobs come from.
        intake: How they come from there.
        history: How long jobs have taken.
        finished: Whether every job has ended.
        sample: Jobs whose end this process has seen.
        records: The run, once it has begun.
    """

    options: Options
    ledger: Ledger
    hub: Hub
    clients: Clients
    intake: Intake
    history: History
    finished: bool = False
    sample: Sample = field(factory=Sample)
    records: DurableRun[Any] | None = None

    async def run(self, lines: Lines | None, *, plain: bool) -> None:
        """Wait for all jobs, or until a signal comes, and show how far that has come.

        Args:
            lines: Names further jobs.
            plain: Show progress as plain lines in any case.
        """
        await self._save()  # results that cannot be written are found out before anything is asked
        gauge = Gauge(self.ledger, self.hub.counters, self.intake)
        gauge.look()  # the first rate that is shown counts from here
        with stoppable() as asked, view_of(gauge, plain=plain) as view:
            run = asyncio.create_task(self._wait(self._jobs(lines, asked)))
            delivery = asyncio.create_task(self._keep_delivering())
            try:
                await _follow(view, run, asked, delivery)
                if asked.done() and not run.done():
                    if asked.exception() is None:
                        note(
                            f"asyncpoll: finishing {self.hub.counters.in_flight} polls in flight and saving; "
                            "Ctrl-C again stops at once"
                        )
                    await self._drain(run)
            finally:
                for task in (run, delivery):
                    task.cancel()  # does nothing to one that is done
                ends = await asyncio.gather(run, delivery, return_exceptions=True)
                with suppress(TimeoutError):  # a full disk, say: closing the ledger tries it once more, and tells why
                    async with asyncio.timeout(_SAVING if asked.done() else None):
                        await self._save()
            if asked.done():
                await asked
        for end in ends:
            if isinstance(end, Exception):
                raise end
        self.finished = not run.cancelled()

    def status(self) -> Exit:
        """Return how the run exits."""
        if not self.finished:
            return Exit.INTERRUPTED
        counts = self.ledger.counts
        good = sum(number for (_, state), number in counts.by_state.items() if state == State.SUCCESS)
        return Exit.SUCCESS if good == counts.entries and not self.intake.bad.number else Exit.FAILED

    def sum_up(self, fresh: int) -> None:
        """Say how it ended, given how many jobs were new to the ledger, and how to go on where there is more to do."""
        self.intake.bad.sum_up()
        counts, path = self.ledger.counts, self.ledger.path
        if known := self.intake.jobs - fresh:
            note(f"asyncpoll: lines that name a job which is there already: {known:,}")
        note(f"asyncpoll: {counts.outcomes:,} of {counts.entries:,} ended: {endings(counts)}; the ledger is {path}")
        for line in self.sample.saved() if isinstance(self.hub.schedule, Learned) else ():
            note(f"asyncpoll: {line}")
        if not self.finished:
            note(f"asyncpoll: go on with: asyncpoll resume {shlex.quote(str(path))}")

    async def _wait(self, jobs: AsyncGenerator[Job[Any], None]) -> None:
        async with self.hub.run(jobs, ledger=self.ledger, timeout=self.options.timeout) as run:
            self.records = run
            async for record, _ in run:  # the ledger has it, and the results file gets it from there
                self.sample.add(record)

    async def _jobs(self, lines: Lines | None, asked: asyncio.Future[None]) -> AsyncGenerator[Job[Any], None]:
        """Yield the jobs that an earlier process left, and then those that the lines name."""
        given = 0
        try:
            async for entry in self.ledger.unfinished():
                given += 1
                yield self.clients.job(entry.endpoint, entry.ref)
            if lines is not None:
                async with aclosing(self.intake.each(Feed(lines).each())) as jobs:
                    async for job in jobs:
                        given += 1
                        yield job
                await self._note_complete(given)
        except (ValueError, OSError) as error:  # there is no key, say: then the jobs before it are not waited for
            halt(asked, error)

    async def _note_complete(self, given: int) -> None:
        """Keep that the input need not be read again, once the ledger has all that was in it."""
        while self.records is None or self.records.taken < given:  # noqa: ASYNC110  the ledger tells nobody
            await asyncio.sleep(_TAKING)
        self.options = evolve(self.options, complete=True)
        await self._keep()

    async def _keep(self) -> None:
        """Keep what it takes to go on, and what has been learned."""
        if isinstance(self.hub.schedule, Learned):
            self.hub.schedule.settle()
        await self.ledger.keep({**self.options.plain(), "history": self.history.to_json()})

    async def _drain(self, run: asyncio.Task[None]) -> None:
        """Let the polls in flight come to their ends."""
        shutting = asyncio.create_task(self.clients.shut())
        await asyncio.wait({run, shutting}, return_when=asyncio.FIRST_COMPLETED)
        shutting.cancel()

    async def _save(self) -> None:
        """Bring to the disk what there is."""
        await self._keep()  # first, so that whoever stops a long delivery can go on with it
        await self._deliver()

    async def _keep_delivering(self) -> None:
        """Bring the results file up to date again and again."""
        while True:
            await asyncio.sleep(_DELIVERY)
            await self._deliver()

    async def _deliver(self) -> None:
        if self.options.output is not None:
            kind = Csv if self.options.format == "csv" else JsonLines
            await self.ledger.deliver(kind(self.options.output))


async def drive(path: Path, options: Options, lines: Lines | None, settings: TransportSettings, *, plain: bool) -> Exit:
    """Do a run, or what is left of it.

    Args:
        path: Its ledger; made when there is none.
        options: How the run is done.
        lines: Names jobs besides those that the ledger has.
        settings: How the APIs are reached. They are not kept in the ledger, since a proxy may have a password.
        plain: Show progress as plain lines in any case.
    """
    async with (
        Clients(settings) as clients,
        Ledger(path, links=options.links) as ledger,
        _hub(options, history := history_of(ledger.options)) as hub,
    ):
        run = Drive(options, ledger, hub, clients, Intake(clients), history)
        entries = ledger.counts.entries
        try:
            await run.run(lines, plain=plain)
        finally:
            run.sum_up(ledger.counts.entries - entries)
        return run.status()


def _hub(options: Options, history: History) -> Hub:
    return Hub(concurrency=options.concurrency, rate=options.rate, schedule=options.schedule(history))


async def _follow(view: View, *reasons: asyncio.Future[None]) -> None:
    """Show how far a run has come until there is a reason to stop."""
    while not (await asyncio.wait(reasons, timeout=view.period, return_when=asyncio.FIRST_COMPLETED))[0]:
        view.draw()


def view_of(gauge: Gauge, *, plain: bool) -> AbstractContextManager[View]:
    """Return the view that suits standard error: rich's, where it is installed and somebody is looking."""
    if plain or not sys.stderr.isatty() or find_spec("rich") is None:
        return nullcontext(View(lambda: note(f"asyncpoll: {gauge.look().line()}"), period=_PLAIN))
    from asyncpoll.cli.run.live import live_view  # noqa: PLC0415  rich is an extra

    return live_view(gauge)
