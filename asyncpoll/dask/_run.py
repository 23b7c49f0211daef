"""The client's side of a run: the jobs go out in shards, and what comes back goes into the ledger."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter, deque
from collections.abc import AsyncIterable, Coroutine, Iterable, Mapping, Sequence, Sized
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Final, Self, cast

from attrs import evolve
from distributed import Client
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from asyncpoll._endpoint import Job
from asyncpoll._errors import PollError, TransportError
from asyncpoll.clients import Clients
from asyncpoll.dask._engine import poll_shard
from asyncpoll.dask._scheduler import RunPlugin
from asyncpoll.dask._shard import COUNTED, Settings, Shard, ShardEnd
from asyncpoll.ledger import Entry, EntryInput, Ledger, OutcomeInput, Record
from asyncpoll.ledger._run import CONSUMER, Pages
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._run import Outcome
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import Learned

Given = Job[Any] | Entry | EntryInput | tuple[str, Any]

SHARD: Final = 250
"""Jobs of a shard."""

_LINGER, _LONGEST_LINGER = 0.1, 30.0  # seconds that a job waits for its shard to fill up: for each shard that is out
_LOOK_EVERY = 0.5  # seconds from one look at the ledger and the connection to the next
_PATIENCE = 5.0  # seconds that the scheduler may take to answer
_MOST_ATTEMPTS = 5  # times in a row that a shard goes out without any outcome


class DistributedRun:
    """The records of a run on a cluster, in the order of their commits; `distributed_run` makes it.

    It is an async context manager that is an async iterator, too. A record that was recorded before, but not given out
    then, comes first; see `asyncpoll.ledger.DurableRun`. Leaving the block ends the waits that are left. What has come
    of them is recorded first, and the progress of the others is stored; their jobs stay unfinished.

    Attributes:
        history: How long jobs have taken, in all processes.
        counters: The polls of all processes, added up. They are up to date within a second.
        taken: The jobs that were given and are in the ledger.
        duplicates: The jobs that were given more than once; each is waited for once.
        done_before: The jobs that were given and had an outcome already; they are not polled.
    """

    def __init__(
        self,
        jobs: Iterable[Given] | AsyncIterable[Given],
        client: Client,
        ledger: Ledger,
        settings: Settings,
        hub: Hub,
        *,
        clients: Clients,
        max_pending: int,
    ) -> None:
        self.history = hub.schedule.history if isinstance(hub.schedule, Learned) else History()
        self._learned = self.history.to_json()
        self.counters = hub.counters
        self.taken = self.duplicates = self.done_before = 0
        self._jobs = jobs
        self._client: Any = client
        self._ledger = ledger
        self._settings = settings
        self._rate = math.inf if hub.rate is None else hub.rate
        self._max_pending = max_pending
        self._clients = clients
        self._definitions: dict[str, str | None] = {}  # of the endpoints of all jobs, by name
        self._given_jobs = len(jobs) if isinstance(jobs, Sized) else None
        self._is_taken = bytearray()  # by the number of the entry
        self._entries: dict[int, EntryInput] = {}  # of jobs that are awaited, by their number
        self._shards: set[asyncio.Task[None]] = set()
        self._sent = 0
        self._inbox: deque[Any] = deque()
        self._counts: dict[str, Mapping[str, Any]] = {}  # the newest of each engine
        self._come, self._room, self._changed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._failure: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._feeder: asyncio.Task[None] | None = None
        self._is_over = False
        self._given = self._acknowledged = 0

    # what `asyncpoll.progress` shows

    @property
    def total(self) -> int | None:
        """The jobs in the ledger, with those that are yet to be entered; None while their number is not known."""
        entered = self._ledger.counts.entries
        if self._feeder is not None and self._feeder.done():
            return entered
        return None if self._given_jobs is None else max(entered, self._given_jobs - self.duplicates)

    @property
    def done(self) -> int:
        """The jobs in the ledger that have an outcome, those of earlier processes included."""
        return self._ledger.counts.outcomes

    @property
    def outcomes(self) -> Counter[str]:
        """How many of them ended in which way, by state or by the name of the error."""
        return self._ledger.counts.endings

    def time_left(self) -> float | None:
        """Return None: when jobs should end is known to the workers only."""
        return None

    async def __aenter__(self) -> Self:
        client, run = self._client, self._settings.run
        async with AsyncExitStack() as exits:
            await exits.enter_async_context(self._ledger.reserve(self._changed.set))
            await check_versions(client)
            self._address: str = client.scheduler.address
            await client.register_plugin(RunPlugin(run, client.id, self._rate, self._learned), name=run)
            exits.push_async_callback(self._leave_scheduler)
            client.subscribe_topic(run, self._receive)
            self._given = self._acknowledged = await self._ledger.position(CONSUMER)
            self._records = self._ledger.outcomes(after=self._given)
            self._recorder = asyncio.create_task(self._or_fail(self._record_all()))
            self._tasks = {self._recorder, asyncio.create_task(self._or_fail(self._look()))}
            self._feeder = asyncio.create_task(self._or_fail(self._feed()))
            self._feeder.add_done_callback(lambda _: self._changed.set())
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._acknowledge()
            if not isinstance(error, asyncio.CancelledError):
                await self.drain()
        finally:
            tasks = {*self._tasks, *self._shards, cast("asyncio.Task[None]", self._feeder)}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._exits.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        if self._feeder is None:
            raise RuntimeError("a run is iterated inside its block: async with distributed_run(...) as records")
        while True:
            self._changed.clear()
            has_ended = self._feeder.done() and not self._shards
            record = await anext(self._records, None)
            if record is not None:
                self._given = record.seq
                return record
            await self._acknowledge()
            if has_ended:
                raise self._failure or StopAsyncIteration
            await self._changed.wait()
            self._records = self._ledger.outcomes(after=self._given)

    async def drain(self, patience: float = 8.0) -> None:
        """End the run in good order: polls in flight end, what they bring is recorded, and the progress of the rest.

        It takes about a second. The iteration ends when it comes to the last record.

        Args:
            patience: Seconds that the workers may take to send what they have.
        """
        cast("asyncio.Task[None]", self._feeder).cancel()
        self._is_over = True
        if self._shards:
            await self._tell(over=True)
            await asyncio.wait(self._shards, timeout=patience)
        for task in self._shards:  # of workers that do not answer
            task.cancel()
        await self._caught_up()

    # from the source to the workers

    async def _feed(self) -> None:
        """Enter the jobs page by page, and send out those that have no outcome."""
        pages, ready, full_at = Pages(cast("Any", self._jobs)), list[Entry](), math.inf
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    async with asyncio.timeout_at(full_at if ready else None):
                        page = await pages.next()
                except TimeoutError:
                    await self._send_out(ready)
                    ready = []
                    continue
                if not ready:
                    full_at = loop.time() + min(_LINGER * (1 + len(self._shards)), _LONGEST_LINGER)
                ready += await self._enter(page)
                while len(ready) >= SHARD or (ready and not page):
                    await self._send_out(ready[:SHARD])
                    del ready[:SHARD]
                if not page:
                    return
        finally:
            await pages.aclose()

    async def _enter(self, page: Sequence[Given]) -> list[Entry]:
        """Enter jobs into the ledger; return those that are to be polled."""
        entries, references = [self._entry(job) for job in page], list[Entry]()
        statuses = await self._ledger.enter(entries)
        self.taken += len(page)
        for job, entry, status in zip(page, entries, statuses, strict=True):
            number = status.number
            self._is_taken.extend(bytes(max(0, number + 1 - len(self._is_taken))))
            if self._is_taken[number]:
                self.duplicates += 1
            elif status.done:
                self.done_before += 1
            elif isinstance(job, Job) and job.submitted is not None:  # it has ended, and there is nothing to ask
                ended = Outcome(job, job.submitted)
                await self._ledger.submit(OutcomeInput.of(number, ended, links=self._settings.links))
            else:
                self._entries[number] = entry
                known = entry.submitted_at, entry.pacing, status.checkpoint
                references.append(Entry(number, entry.key, entry.endpoint, entry.ref, None, *known))
            self._is_taken[number] = True
        return references

    def _entry(self, job: Given) -> EntryInput:
        """Return what is entered of a job.

        Raises:
            ValueError: Workers could not make the job, because it is not known where its endpoint is.
        """
        if isinstance(job, EntryInput):
            entry = job
        elif isinstance(job, Entry):
            entry = EntryInput(job.key, job.endpoint, job.ref, job.meta, job.submitted_at, pacing=job.pacing)
        else:
            entry = EntryInput.of(self._clients.closed_job(*job) if isinstance(job, tuple) else job)
        if entry.endpoint not in self._definitions:
            self._definitions[entry.endpoint] = entry.definition
            if entry.definition is None:
                self._clients.targets.find(entry.endpoint)
        return entry

    def _clients_for(self, endpoints: set[str]) -> str:
        """Return where endpoints are, as JSON."""
        said = json.loads(self._clients.to_json())
        said["definitions"] |= {name: text for name in endpoints if (text := self._definitions[name]) is not None}
        return json.dumps(said)

    async def _send_out(self, references: Sequence[Entry]) -> None:
        """Send out a shard, once there is room for it."""
        while self._shards and len(self._entries) > self._max_pending:
            self._room.clear()
            await self._room.wait()
        task = asyncio.create_task(self._or_fail(self._see_to(references)))
        self._shards.add(task)
        task.add_done_callback(self._shard_has_ended)

    def _shard_has_ended(self, task: asyncio.Task[None]) -> None:
        self._shards.discard(task)
        self._room.set()
        self._changed.set()

    async def _see_to(self, references: Sequence[Entry]) -> None:
        """Send a shard out, again and again until all of its jobs have outcomes or the run is over."""
        attempts = 0
        while references and not self._is_over:
            end = await self._send(references)
            await self._caught_up()
            if end.history:
                self.history.merge(History.from_json(end.history))
                self._learned = self.history.to_json()
            if end.error is not None:
                raise end.error
            statuses = await self._ledger.enter([self._entries[one.number] for one in references])
            left = [
                evolve(one, checkpoint=status.checkpoint)
                for one, status in zip(references, statuses, strict=True)
                if not status.done
            ]
            for number in {one.number for one in references} - {one.number for one in left}:
                del self._entries[number]
            attempts = 1 if len(left) < len(references) else attempts + 1
            if attempts >= _MOST_ATTEMPTS:
                raise PollError(
                    f"{len(left)} jobs were sent out {attempts} times, and no outcome came; see the logs of the workers"
                )
            references = left

    async def _send(self, references: Sequence[Entry]) -> ShardEnd:
        """Send a shard to the cluster; return how it ended there."""
        endpoints = {one.endpoint for one in references}
        self._sent += 1
        what = next(iter(endpoints)) if len(endpoints) == 1 else f"{len(endpoints)}_endpoints"
        name = f"asyncpoll-shard-{what}-{self._sent:05d}-{self._settings.run.rpartition('-')[2]}"
        shard = Shard(name, self._clients_for(endpoints), references)
        try:
            end: ShardEnd = await self._client.submit(
                poll_shard, self._settings, shard, key=name, pure=False, retries=0
            )
        except KilledWorker:
            return ShardEnd()  # it may not have been the fault of this shard
        except FutureCancelledError:
            return ShardEnd(error=_lost(self._address))
        except Exception as error:  # noqa: BLE001  a worker could not even begin
            return ShardEnd(error=PollError(f"a worker cannot run a shard: {type(error).__name__}: {error}"))
        return end

    # from the workers to the ledger

    def _receive(self, event: tuple[float, Any]) -> None:
        self._inbox.append(event[1])
        self._come.set()

    async def _caught_up(self) -> None:
        """Wait until all that has come so far has been handed to the ledger."""
        mark: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._inbox.append(mark)
        self._come.set()
        await asyncio.wait((mark, self._recorder), return_when=asyncio.FIRST_COMPLETED)

    async def _record_all(self) -> None:
        while True:
            while not self._inbox:
                self._come.clear()
                await self._come.wait()
            message = self._inbox.popleft()
            if isinstance(message, asyncio.Future):
                message.set_result(None)
            elif "outcomes" in message:
                await self._record(message)

    async def _record(self, batch: Mapping[str, Any]) -> None:
        for number, text in batch["checkpoints"]:
            self._ledger.note(number, WaitCheckpoint.from_json(text))
        for _, _, text in batch["outcomes"]:
            recorded = await self._ledger.submit(OutcomeInput.from_json(text))
            recorded.add_done_callback(lambda _: self._changed.set())
        self._counts[batch["worker"]] = batch["counts"]
        for name in COUNTED:
            setattr(self.counters, name, sum(counts[name] for counts in self._counts.values()))
        self.counters.last_miss = batch["counts"]["last_miss"] or self.counters.last_miss

    # the end

    async def _look(self) -> None:
        """Tell the scheduler what was learned, and to pause while nothing can be recorded; notice when it is gone."""
        told: dict[str, Any] = {"history": self._learned, "paused": False}
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if self._client.status != "running":
                raise _lost(self._address)
            facts = {"history": self._learned, "paused": self._ledger.stalled is not None}
            if facts != told:
                await self._tell(**facts)
                told = facts

    async def _tell(self, **facts: Any) -> None:
        """Tell the plugin of the run something."""
        with suppress(Exception):  # without a scheduler the workers stop by themselves
            async with asyncio.timeout(_PATIENCE):
                await self._client.log_event(self._settings.run, facts)

    async def _leave_scheduler(self) -> None:
        client, run = self._client, self._settings.run
        with suppress(Exception):  # likewise
            client.subscribe_topic(run, len)  # else the client would keep this object for as long as it lives
            client.unsubscribe_topic(run)
            async with asyncio.timeout(_PATIENCE):
                await client.unregister_scheduler_plugin(run)

    async def _or_fail(self, work: Coroutine[Any, Any, None]) -> None:
        """Do a part of the run. If that fails, so does the run, which then comes to its end in good order."""
        try:
            await work
        except Exception as error:  # noqa: BLE001  raised by the iteration
            if self._failure is None:
                self._failure = error
                self._tasks.add(asyncio.create_task(self.drain()))

    async def _acknowledge(self) -> None:
        if self._given > self._acknowledged:
            self._acknowledged = self._given
            await self._ledger.acknowledge(CONSUMER, self._given)


def _lost(address: str) -> TransportError:
    """Return the error of a run whose scheduler is gone."""
    return TransportError(
        f"the connection to the scheduler at {address} is lost; what has come is recorded: "
        "see to the cluster, then go on with the same ledger",
        kind="disconnect",
        passing=False,
    )


async def check_versions(client: Any) -> None:
    """Check that asyncpoll and Python are the same everywhere.

    Raises:
        ValueError: They are not; or the client is not an asynchronous one.
    """
    if not client.asynchronous:
        raise ValueError("the client of Dask must be made with asynchronous=True, in the event loop of the run")
    found = await client.get_versions(packages=["asyncpoll"])
    own = _versions_in(found["client"])
    workers = {f"the worker {address}": one for address, one in found["workers"].items()}
    for place, one in {"the scheduler": found["scheduler"], **workers}.items():
        if (its := _versions_in(one)) != own:
            raise ValueError(f"{place} has {its}, and this process {own}; install the same everywhere")


def _versions_in(found: Mapping[str, Any]) -> str:
    """Return the versions that matter, in words."""
    packages = found["packages"]
    python = ".".join(packages["python"].split(".")[:2])
    ours = packages["asyncpoll"]
    return f"Python {python} and {'not asyncpoll' if ours is None else f'asyncpoll {ours}'}"
