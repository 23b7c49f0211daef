"""A random schedule of everything that may happen to waits, all from a seed: the callers, the jobs, the accidents."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from contextlib import suppress
from contextvars import ContextVar
from random import Random
from typing import Any

from attrs import define, field, frozen

from asyncpoll import (
    BadReply,
    ClientClosed,
    Endpoint,
    Exponential,
    Fixed,
    Group,
    Hub,
    JobFailed,
    Learned,
    Progress,
    Rejected,
    Schedule,
    Snapshot,
    State,
    Throttled,
    Timeout,
    TransportError,
    wait_until_terminal,
)
from asyncpoll.events import Ended
from asyncpoll.http import Reply, Request

CALLER: ContextVar[int] = ContextVar("CALLER", default=0)
HUNG = 1000.0  # seconds
STATES = [State.PENDING, State.PROCESSING, State.UNKNOWN, *[State.PROCESSING] * 6]
ENDS = [State.SUCCESS, State.FAILED, State.CANCELLED, State.TIMEOUT]


class Boom(BaseException):
    """An error that is not an `Exception`."""


ERRORS: list[Any] = [
    lambda: ConnectionError("reset"),
    TimeoutError,
    lambda: TransportError("down", kind="server", status=503, retry_after=2.0),
    lambda: TransportError("cut", kind="disconnect"),
    lambda: Throttled("slower", status=429),
    lambda: Throttled("slower", status=429, retry_after=3.0),
    lambda: BadReply("an error page"),
    lambda: BadReply("never", passing=False),
    lambda: Rejected("gone", status=410),
    lambda: ValueError("a bug"),
    lambda: JobFailed(Snapshot(State.FAILED)),
    StopIteration,
    StopAsyncIteration,
    asyncio.CancelledError,
    Boom,
    lambda: BaseExceptionGroup("several", [Boom()]),
    MemoryError,
]
VALUES: list[Any] = [None, "success", State.SUCCESS, 0, ValueError("returned"), {}, ()]


@frozen(eq=False)
class Unreliable:
    """A schedule that fails now and then.

    Attributes:
        chance: Decides when, and how.
    """

    chance: Random

    def delay(self, _progress: Progress, /) -> float:
        """Return some seconds, or fail."""
        if self.chance.random() < 0.9:
            return self.chance.uniform(0.0, 4.0)
        return next(self.chance.choice([iter([float("nan")]), iter([-1.0]), iter([])]))


@define(eq=False)
class Target:
    """A remote job that does as it pleases. It is a fetch, and the server of a `Job`, too.

    Attributes:
        chance: Decides about everything.
        number: Its number.
        accidents: The share of the polls in which something goes wrong.
        callers: Who waits for it at present, by the number of the caller.
        cancels: How often it was cancelled.
        left: When each caller left it last.
        strangers: Polls that saw the context of somebody who did not wait for it, nor did so at the same moment.
    """

    chance: Random
    number: int
    accidents: float
    callers: Counter[int] = field(factory=Counter)
    cancels: int = 0
    left: dict[int, float] = field(factory=dict)
    strangers: int = 0

    async def __call__(self) -> Any:
        """Say something about the job, late and perhaps badly."""
        if CALLER.get() not in +self.callers and self.left.get(CALLER.get()) != asyncio.get_running_loop().time():
            self.strangers += 1
        return await self.answer()

    def leave(self) -> None:
        """Note that the present caller waits once less."""
        self.callers[CALLER.get()] -= 1
        self.left[CALLER.get()] = asyncio.get_running_loop().time()

    async def answer(self) -> Any:
        """Return or raise the answer."""
        chance = self.chance
        await self._take_time()
        if chance.random() < self.accidents:
            if chance.random() < 0.7:
                error = chance.choice(ERRORS)
                raise error()
            return chance.choice(VALUES)
        return self.snapshot()

    def snapshot(self) -> Snapshot[int]:
        """Return a look at the job."""
        chance = self.chance
        state = chance.choice(ENDS) if chance.random() < 0.15 else chance.choice(STATES)
        return Snapshot(state, value=self.number, retry_after=chance.choice([None, None, None, 2.0]), raw=object())

    async def cancel(self) -> None:
        """Note that it is cancelled."""
        self.cancels += 1
        await asyncio.sleep(self.chance.choice([0.0, 1.0]))

    async def _take_time(self) -> None:
        seconds = self.chance.choice([None, 0.0, 0.25, 0.25, 1.5, HUNG if self.accidents else 0.25])
        if seconds is not None:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                if self.chance.random() < 0.1:
                    raise ValueError("it was cancelled, it says") from None
                raise


@define(eq=False)
class Server:
    """The transport of jobs that are asked about by themselves or together."""

    targets: list[Target]

    async def send(self, request: Request, /) -> Reply:
        """Let the job that is asked about answer; what is not an answer is one without sense."""
        if request.path == "/all":
            return Reply(200, {"seen": {target.number: await target.answer() for target in self.targets[:1]}})
        return Reply(200, {"seen": await self.targets[int(request.path[1:])]()})


def read_all(reply: Reply, refs: Any) -> Any:
    """Read what a call about many jobs says: sometimes of one, sometimes of all."""
    return {ref: reply.json["seen"].get(0) for ref in refs if ref % 2 == 0}


ALONE: Endpoint[int, int] = Endpoint(
    "alone", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda reply: reply.json["seen"]
)
TOGETHER: Endpoint[int, int] = Endpoint(
    "together",
    ask=lambda ref: Request("GET", f"/{ref}"),
    read=lambda reply: reply.json["seen"],
    group=Group(lambda _: 0, lambda _: Request("GET", "/all"), read_all, 3),
)


@define(eq=False)
class Chaos:
    """Everything that happens with one seed.

    Attributes:
        begun: Waits that began in the hub.
        ended: Waits of the hub whose end was told to its observer.
        late: Waits that ended after their deadline, and by how much.
        unended: Waits that never ended.
    """

    chance: Random
    targets: list[Target]
    begun: int = 0
    ended: int = 0
    late: list[float] = field(factory=list)
    callers: int = 0
    closed: bool = False

    @classmethod
    def of(cls, seed: int) -> Chaos:
        """Return the chaos of this seed."""
        chance = Random(seed)
        accidents = chance.choice([0.0, 0.1, 0.3, 0.6])
        return cls(chance, [Target(chance, number, accidents) for number in range(chance.randint(1, 4))])

    async def run(self) -> None:
        """Let everything happen, and see that nothing is left of it."""
        chance, unseen = self.chance, list[dict[str, Any]]()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: unseen.append(context))
        hub = Hub(
            schedule=self._schedule(),
            concurrency=chance.choice([1, 2, 100]),
            rate=chance.choice([None, None, 5.0]),
            lane_rate=chance.choice([None, None, 3.0]),
            observe=self._observe,
            random=chance.random,
        )
        async with hub:
            jobs = self._jobs()
            callers = [asyncio.create_task(self._caller(hub, jobs), name="caller") for _ in range(chance.randint(1, 6))]
            callers += [asyncio.create_task(self._nudge(hub, jobs)) for _ in range(chance.randint(0, 2))]
            if chance.random() < 0.15:
                await asyncio.sleep(chance.uniform(0.0, 10.0))
                self.closed = True
                await hub.aclose()
            done, pending = await asyncio.wait(callers, timeout=500.0)
            assert not pending, "a wait is stranded"
            for caller in done:
                caller.result()
            assert (hub.counters.pending, self.ended) == (0, self.begun)
        assert hub.counters.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        gc.collect(0)
        assert unseen == []

    def _jobs(self) -> list[Any]:
        server = Server(self.targets)
        kind = self.chance.choice(["functions", "alone", "together"])
        if kind == "functions":
            return list(self.targets)
        endpoint = ALONE if kind == "alone" else TOGETHER
        return [endpoint.job(server, target.number) for target in self.targets]

    def _schedule(self) -> Schedule:
        chance = self.chance
        made: list[Schedule] = [
            Fixed(1.0),
            Fixed(0.3),
            Exponential(0.5, 8.0),
            Learned(cold=Fixed(1.0), random=chance.random),
            Unreliable(chance),
        ]
        return chance.choice(made)

    def _observe(self, event: object) -> None:
        self.ended += isinstance(event, Ended)
        if self.chance.random() < 0.05:
            error = self.chance.choice(ERRORS)
            raise error()

    def _options(self) -> dict[str, Any]:
        chance = self.chance
        total = chance.choice([0.3, 2.0, 10.0, 40.0])
        clocks = Timeout(total=total, pending=1.0, processing=chance.choice([None, 5.0]))
        options: dict[str, Any] = {"timeout": total if chance.random() < 0.8 else clocks}
        choices: dict[str, list[Any]] = {
            "schedule": [self._schedule()],
            "first_delay": [0.5],
            "max_polls": [1, 3],
            "max_misses": [0, 2],
            "miss_on": [ValueError, lambda error: isinstance(error, MemoryError)],
            "stable_for": [2],
            "hints": ["exactly", "ignore"],
        }
        for name, values in choices.items():
            if chance.random() < 0.2:
                options[name] = chance.choice(values)
        return options

    async def _caller(self, hub: Hub, jobs: list[Any]) -> None:
        """Wait in one of the ways there are, perhaps not to the end."""
        self.callers += 1
        CALLER.set(self.callers)
        await asyncio.sleep(self.chance.choice([0.0, 0.0, 1.0, 5.0]))
        options = self._options()
        way = self.chance.choice([self._wait_in, self._wait_in, self._run_in, self._wait_alone])
        patience = self.chance.choice([None, None, self.chance.uniform(0.0, 8.0)])
        began = asyncio.get_running_loop().time()
        work = asyncio.create_task(way(hub, jobs, options))
        await asyncio.wait({work}, timeout=patience)
        work.cancel()
        await asyncio.wait({work})
        if not work.cancelled() and isinstance(work.exception(), AssertionError):
            raise AssertionError from work.exception()
        timeout = options["timeout"]
        total: Any = timeout.total if isinstance(timeout, Timeout) else timeout
        late = asyncio.get_running_loop().time() - began - total
        if late > 1e-6:
            self.late.append(late)

    def _target(self, job: Any) -> Target:
        return job if isinstance(job, Target) else self.targets[job.ref]

    async def _wait_in(self, hub: Hub, jobs: list[Any], options: dict[str, Any]) -> None:
        job = self.chance.choice(jobs)
        options |= {"on_abandon": self.chance.choice(["leave", "leave", "cancel"])} if job in self.targets else {}
        if self.closed:
            with suppress(ClientClosed):
                await hub.wait(job, **options)
            return
        target = self._target(job)
        self.begun += 1
        target.callers[CALLER.get()] += 1
        try:
            snapshot = await hub.wait(job, **options)
            assert snapshot.state.is_terminal
        finally:
            target.leave()

    async def _run_in(self, hub: Hub, jobs: list[Any], options: dict[str, Any]) -> None:
        if self.closed:
            return
        seen = set[int]()
        self.begun += len(jobs)
        enough = self.chance.choice([99, 99, 1])
        for job in jobs:
            self._target(job).callers[CALLER.get()] += 1
        try:
            async with hub.as_completed(list(jobs), **options) as outcomes:
                async for outcome in outcomes:
                    assert id(outcome.job) not in seen
                    seen.add(id(outcome.job))
                    assert outcome.error is not None or (outcome.snapshot and outcome.snapshot.state.is_terminal)
                    if len(seen) == enough:
                        break
                else:
                    assert len(seen) == len(jobs) or self.closed
        finally:
            for job in jobs:
                self._target(job).leave()

    async def _wait_alone(self, _hub: Hub, jobs: list[Any], options: dict[str, Any]) -> None:
        job = self.chance.choice(jobs)
        target = self._target(job)
        target.callers[CALLER.get()] += 1
        try:
            snapshot = await wait_until_terminal(job, **options)
            assert snapshot.state.is_terminal
        finally:
            target.leave()

    async def _nudge(self, hub: Hub, jobs: list[Any]) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, 10.0))
        job = self.chance.choice(jobs)
        if not isinstance(job, Target):
            with suppress(ClientClosed):
                hub.nudge(job.key)
