"""The worker's side of a run: one engine in each worker process, and the shards that use it."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from typing import Any
from uuid import uuid4

from attrs import asdict
from distributed import get_worker
from distributed.worker import secede

from asyncpoll._errors import PollError, Rejected, explained
from asyncpoll._schedule import Schedule
from asyncpoll._version import __version__
from asyncpoll.clients import Clients
from asyncpoll.dask._shard import Outbox, Settings, Shard, ShardEnd, ShardWaits
from asyncpoll.dask._shares import VALID
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import Learned

_ASK_EVERY = 0.4  # seconds from one question for a share to the next
_PATIENCE = 1.0  # seconds until a question counts as lost
_SEND_EVERY = 0.25  # seconds that an outcome waits for others, at most
_DRAINING = 5.0  # seconds that polls in flight may take to end once the run is over
_SETTLING = 0.02  # seconds in which what they have brought is handled

_log = logging.getLogger(__name__)
_engines: dict[tuple[str, str], Engine] = {}  # by the ids of the run and the worker: a process may have several workers
_lock = threading.Lock()


def poll_shard(settings: Settings, shard: Shard) -> ShardEnd:
    """Wait for the jobs of a shard, and send their outcomes to the client as they come. This blocks its thread."""
    worker = get_worker()
    secede()  # type: ignore[no-untyped-call]  # Dask's; a shard only waits, so that its slot is free for others
    try:
        return _engine_of(settings, worker).run(shard)
    except Exception as error:  # noqa: BLE001  returned, because Dask logs what is raised with the arguments of the task
        return ShardEnd(error=_named(error, worker.address))


def _named(error: Exception, worker: str) -> Exception:
    """Return an error like this one that can be pickled, and names the worker."""
    text = f"the worker {worker}: {explained(error)}"
    if isinstance(error, Rejected):
        return Rejected(text, kind=error.kind, status=error.status, code=error.code, origin=error.origin)
    if isinstance(error, ValueError | OSError):
        return ValueError(text)
    _log.error("a shard has failed", exc_info=error)
    return PollError(f"the worker {worker}: {type(error).__name__}: {error}")


def _engine_of(settings: Settings, worker: Any) -> Engine:
    with _lock:
        for key in [key for key, engine in _engines.items() if engine.is_over]:
            del _engines[key]
        key = settings.run, worker.id
        if key not in _engines:
            _engines[key] = Engine(settings, worker)
        return _engines[key]


class Engine:
    """Polls the jobs of all shards of a run that are in this process, until the scheduler says that the run is over.

    Args:
        settings: How the run is done.
        worker: The worker of Dask.

    Attributes:
        is_over: Whether it polls nothing any more.
    """

    def __init__(self, settings: Settings, worker: Any) -> None:
        self.is_over = False
        self._settings = settings
        self._worker = worker
        self._history = History()
        if settings.version != __version__:
            raise ValueError(
                f"asyncpoll is {__version__} here, and {settings.version} where the run is; install the same"
            )
        schedule = _with_history(settings.schedule, self._history)
        self._hub = Hub(concurrency=settings.concurrency, schedule=schedule)
        self._outbox = Outbox(settings.run, worker, self._hub.counters)
        self._holder = uuid4().hex
        self._asked, self._polls = -math.inf, 0
        self._clients: dict[str, Clients] = {}
        self._exits = AsyncExitStack()
        self._shards: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self._is_open = threading.Event()
        self._turn = threading.Lock()
        threading.Thread(target=asyncio.run, args=(self._serve(),), name="asyncpoll-engine", daemon=True).start()

    def run(self, shard: Shard) -> ShardEnd:
        """Wait for the jobs of a shard; called in any other thread, which it blocks.

        Raises:
            Exception: Why the jobs cannot be polled.
        """
        self._is_open.wait()
        ended: Future[None] = Future()
        with self._turn:
            if self._failure is not None:
                raise self._failure
            if self.is_over:
                return ShardEnd()
            self._loop.call_soon_threadsafe(self._begin, ended, shard)
        with suppress(asyncio.CancelledError):  # the run is over
            ended.result()
        return ShardEnd(self._history.to_json())

    # in its own thread

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._exits, self._hub:
            self._hub.rate = 0
            self._is_open.set()
            sending = asyncio.create_task(self._keep_sending())
            try:
                await self._keep_share()
            finally:
                await self._leave()
                sending.cancel()

    def _begin(self, ended: Future[None], shard: Shard) -> None:
        def end(task: asyncio.Task[None]) -> None:
            self._shards.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                ended.set_result(None)
            else:
                ended.set_exception(error)

        task = asyncio.create_task(self._poll(shard))
        self._shards.add(task)
        task.add_done_callback(end)

    async def _poll(self, shard: Shard) -> None:
        """Wait for the jobs of a shard, but for those whose outcomes were sent before a former worker of it died."""
        known, elapsed, history = await self._begun(shard.name)
        self._history.merge(History.from_json(history))
        settings = self._settings
        try:
            clients = await self._clients_of(shard.clients)
            waits = ShardWaits(shard.name, elapsed, self._outbox)
            wanted = [one for one in shard.references if one.number not in known]
            jobs = [waits.add(one, clients.job(one.endpoint, one.ref)) for one in wanted]
            run = self._hub.as_completed(jobs, timeout=settings.timeout, **settings.options)
            run.remember_in(waits)
            async with run:
                async for outcome in run:
                    waits.ended(outcome, links=settings.links)
        except Exception as error:
            self._failure = error  # no other shard of this process is to try the same
            self._hub.rate = 0
            raise
        finally:
            self._outbox.flush()

    async def _leave(self) -> None:
        """Let polls in flight come to their ends, and send the progress of all other waits."""
        with self._turn:
            self.is_over = True
        self._hub.rate = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAINING):
                await asyncio.gather(*(clients.drain() for clients in self._clients.values()))
        await asyncio.sleep(_SETTLING)
        for task in self._shards:
            task.cancel()
        await asyncio.gather(*self._shards, return_exceptions=True)

    # the scheduler

    async def _keep_share(self) -> None:
        """Ask for a share of the rate again and again, until the run is over; poll nothing without a valid share."""
        expiry: asyncio.TimerHandle | None = None
        while True:
            asked = self._loop.time()
            with suppress(Exception):  # whatever Dask raises, there is no answer
                share = await self._ask("asyncpoll_share", holder=self._holder, demand=self._demand(asked))
                if share is None:
                    return
                if expiry is not None:
                    expiry.cancel()
                expiry = self._loop.call_at(asked + VALID, self._set_rate, 0.0)
                self._set_rate(share)
                await asyncio.sleep(asked + _ASK_EVERY - self._loop.time())
                continue
            self._holder = uuid4().hex  # the answer may still come; see `Shares`
            await asyncio.sleep(_ASK_EVERY)

    def _demand(self, now: float) -> float:
        """Return how many polls a second were started since it was asked last, or still could be."""
        counters = self._hub.counters
        polls = counters.polls + counters.in_flight
        demand = (polls - self._polls + counters.overdue) / max(min(now - self._asked, VALID), _ASK_EVERY)
        self._asked, self._polls = now, polls
        return demand

    def _set_rate(self, share: float) -> None:
        self._hub.rate = 0 if self.is_over or self._failure is not None else None if share == math.inf else share

    async def _begun(self, shard: str) -> tuple[set[int], float, str]:
        """Tell that a shard begins; return what `RunPlugin.begin` does.

        Raises:
            CancelledError: The run is over.
        """
        while True:
            with suppress(Exception):  # likewise
                begun = await self._ask("asyncpoll_begin", shard=shard)
                if begun is None:
                    raise asyncio.CancelledError
                return set(begun["known"]), begun["elapsed"], begun["history"]
            await asyncio.sleep(_ASK_EVERY)

    async def _ask(self, question: str, **facts: Any) -> Any:
        """Ask the scheduler, on the event loop of the worker; None as an answer says that the run is over."""
        worker = self._worker
        if worker.status.name in {"closing", "closed", "failed"}:
            return None
        call = getattr(worker.scheduler, question)(run=self._settings.run, **facts)
        async with asyncio.timeout(_PATIENCE):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, worker.loop.asyncio_loop))

    async def _keep_sending(self) -> None:
        while True:
            await asyncio.sleep(_SEND_EVERY)
            self._outbox.flush()

    async def _clients_of(self, clients: str) -> Clients:
        """Return the clients of some endpoints, opened once."""
        if clients not in self._clients:
            made = Clients.from_json(clients, **self._settings.transport)
            self._clients[clients] = await self._exits.enter_async_context(made)
        return self._clients[clients]


def _with_history(schedule: Schedule, history: History) -> Schedule:
    """Return a schedule for this process; one that learns adds to *history*, and has random numbers of its own."""
    if not isinstance(schedule, Learned):
        return schedule
    terms: dict[str, Any] = {**asdict(schedule.terms, recurse=False), "random": None}
    return Learned(**terms, cold=schedule.cold, history=history)
