"""A small world for random schedules of a hub: servers in trouble, jobs, and who waits for them, all from a seed."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen

from asyncpoll import BadReply, Endpoint, Fixed, Group, Hub, Job, Rejected, Snapshot, State, Throttled, TransportError
from asyncpoll.http import Reply, Request

LONGEST_PARKING = 8.0  # seconds
LATENCY = 0.125  # seconds that many an answer takes, unless it takes none or as long as the server's slowest
TOO_MANY_POLLS = 5000
FAULTS: tuple[Callable[[random.Random], Exception], ...] = (
    lambda _: ConnectionRefusedError("refused"),
    lambda _: TransportError("down", kind="server", status=500),
    lambda _: TransportError("cut", kind="disconnect"),
    lambda chance: TransportError("later", kind="server", status=503, retry_after=chance.uniform(0, LONGEST_PARKING)),
    lambda chance: Throttled("slower", status=429, retry_after=chance.choice([None, 0.5, LONGEST_PARKING])),
    lambda _: BadReply("an error page", status=200),
)


# servers


@frozen
class Life:
    """A remote job: when it begins to be processed and when it ends, and how."""

    processing_at: float
    done_at: float
    ending: State

    def state(self, now: float) -> State:
        """Return where it stands."""
        return State.PENDING if now < self.processing_at else State.PROCESSING if now < self.done_at else self.ending


@define
class Poll:
    """One request that a server got: from when to when (None if it was broken off), and what went wrong."""

    began: float
    fault: Exception | None
    ended: float | None = None


@define(eq=False)
class Airspace:
    """Counts what is in flight."""

    now: int = 0
    most: int = 0

    def enter(self) -> None:
        """Count one more."""
        self.now += 1
        self.most = max(self.most, self.now)

    def leave(self) -> None:
        """Count one less."""
        self.now -= 1


@define(eq=False)
class Server:
    """A server, and the transport that asks it. In trouble it fails at random, until its faults stop.

    Attributes:
        chance: Decides about latencies and faults.
        lives: The jobs, by number.
        trouble: The share of the polls that fail.
        refusals: The share of those that fail because of the credential.
        slowest: The longest that an answer takes.
        calm_at: When the faults stop.
        everywhere: What is in flight to all servers.
        polls: Every request, in the order in which they came.
        here: What is in flight to this one.
        about: The same, by what it is about.
    """

    chance: random.Random
    lives: Sequence[Life]
    trouble: float
    refusals: float
    slowest: float
    calm_at: float
    everywhere: Airspace
    polls: list[Poll] = field(factory=list)
    here: Airspace = field(factory=Airspace)
    about: defaultdict[str, Airspace] = field(factory=lambda: defaultdict(Airspace))

    async def send(self, request: Request, /) -> Reply:
        """Answer, late and perhaps badly."""
        if len(self.polls) > TOO_MANY_POLLS:
            raise SystemExit("they poll without end")
        now, spaces = asyncio.get_running_loop().time, (self.everywhere, self.here, self.about[request.path])
        poll = Poll(now(), self._fault(now()))
        self.polls.append(poll)
        for space in spaces:
            space.enter()
        try:
            await asyncio.sleep(self.chance.choice([0.0, 0.0, LATENCY, self.slowest]))
        finally:
            for space in spaces:
                space.leave()
        poll.ended = now()
        if poll.fault is not None:
            raise poll.fault
        states = {ref: life.state(now()) for ref, life in enumerate(self.lives)}
        return Reply(200, {"states": states, "about": request.path})

    def _fault(self, now: float) -> Exception | None:
        if now >= self.calm_at or self.chance.random() >= self.trouble:
            return None
        if self.chance.random() < self.refusals:
            return Rejected("bad key", kind="credential", status=401)
        return self.chance.choice(FAULTS)(self.chance)


def _read(reply: Reply) -> Snapshot[int]:
    ref = int(reply.json["about"].rpartition("/")[2])
    return Snapshot(reply.json["states"][ref], value=ref)


def _read_all(reply: Reply, refs: Sequence[int]) -> dict[int, Snapshot[int]]:
    states = {ref: reply.json["states"][ref] for ref in refs}
    return {ref: Snapshot(state) for ref, state in states.items() if not state.is_terminal}


ALONE: Endpoint[int, int] = Endpoint("alone", ask=lambda ref: Request("GET", f"/jobs/{ref}"), read=_read)
TOGETHER: Endpoint[int, int] = Endpoint(
    "together",
    ask=lambda ref: Request("GET", f"/batch/{ref}"),
    read=_read,
    group=Group(lambda _: 0, lambda _: Request("GET", "/batch"), _read_all, 100),
)
"""Jobs whose value is their number: an answer that went to the wrong one shows."""


# those who wait


@frozen
class End:
    """How a wait ended: with a snapshot, an error, or neither when it was given up; and when."""

    job: Job[int]
    began: float
    at: float
    timeout: float | None
    snapshot: Snapshot[int] | None = None
    error: BaseException | None = None


@define(eq=False)
class World:
    """Everything that happens with one seed.

    Attributes:
        interval: Seconds between two polls of a job.
        calm_at: When the faults stop.
        servers: Who is asked.
        hub: Who asks.
        ends: How each wait ended.
    """

    chance: random.Random
    interval: float
    calm_at: float
    servers: list[Server]
    options: dict[str, Any]
    ends: list[End] = field(factory=list)
    given: int = 0

    @classmethod
    def of(cls, seed: int) -> World:
        """Return the world of this seed."""
        chance = random.Random(seed)
        interval, calm_at, everywhere = chance.choice([1.0, 2.5]), chance.choice([0.0, 5.0, 20.0]), Airspace()
        servers = [
            Server(
                chance,
                [_life(chance) for _ in range(chance.randint(1, 4))],
                trouble=chance.choice([0.1, 0.5, 1.0]),
                refusals=chance.choice([0.0, 0.0, 0.2]),
                slowest=chance.choice([0.0, 0.5, 3.0]),
                calm_at=calm_at,
                everywhere=everywhere,
            )
            for _ in range(chance.randint(1, 3))
        ]
        options = {
            "concurrency": chance.randint(1, 6),
            "lane_concurrency": chance.choice([None, 1, 3]),
            "rate": chance.choice([None, None, 4.0]),
            "lane_rate": chance.choice([None, None, 3.0]),
        }
        return cls(chance, interval, calm_at, servers, options)

    async def live(self) -> None:
        """Let everybody wait for what they want to know, until all have left."""
        chance, unseen = self.chance, list[dict[str, Any]]()
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unseen.append(context))
        async with Hub(schedule=Fixed(self.interval), random=chance.random, **self.options) as hub:
            async with asyncio.TaskGroup() as everybody:
                for _ in range(chance.randint(1, 6)):
                    everybody.create_task(self._wait(hub, self._job(), chance.choice([0.0, 0.0, 3.0, 12.0])))
                for _ in range(chance.choice([0, 1, 1, 2])):
                    everybody.create_task(self._run(hub, chance.choice([0.0, 2.0])))
                for _ in range(chance.randint(0, 3)):
                    everybody.create_task(self._nudge(hub, self._job(), chance.uniform(0, 25)))
            await self._settle(hub)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        gc.collect(0)
        assert not unseen

    async def _settle(self, hub: Hub) -> None:
        """Check that a hub without waits does nothing more, and does not await a job."""
        for _ in range(3):  # what was cut comes to its end
            await asyncio.sleep(0)
        assert (hub.counters.pending, hub.counters.in_flight) == (0, 0)
        assert all(server.here.now == 0 for server in self.servers)
        assert not any(hub.nudge(end.job.key) for end in self.ends)
        polls = [len(server.polls) for server in self.servers]
        await asyncio.sleep(100)
        assert [len(server.polls) for server in self.servers] == polls

    def _job(self) -> Job[int]:
        server = self.chance.choice(self.servers)
        ref = self.chance.randrange(len(server.lives))
        return self.chance.choice([ALONE, TOGETHER]).job(server, ref)

    def _timeout(self) -> float | None:
        return self.chance.choice([None, None, self.chance.uniform(0.2, 40.0)])

    async def _wait(self, hub: Hub, job: Job[int], delay: float) -> None:
        """Wait for one job, perhaps not to the end."""
        await asyncio.sleep(delay)
        self.given += 1
        now, timeout = asyncio.get_running_loop().time, self._timeout()
        patience = self.chance.choice([None, None, None, self.chance.uniform(0, 20.0)])
        began, snapshot, error = now(), None, None
        try:
            async with asyncio.timeout(patience):
                snapshot = await hub.wait(job, timeout=timeout, stable_for=self.chance.choice([1, 1, 2]))
        except Exception as problem:  # noqa: BLE001  which ones may come is checked afterwards
            error = problem
        gave_up = type(error) is TimeoutError
        self.ends.append(End(job, began, now(), timeout, snapshot, None if gave_up else error))

    async def _run(self, hub: Hub, delay: float) -> None:
        """Wait for many jobs, perhaps not to the end."""
        await asyncio.sleep(delay)
        jobs = [self._job() for _ in range(self.chance.randint(0, 8))]
        self.given += len(jobs)
        now, timeout, began = asyncio.get_running_loop().time, self._timeout(), asyncio.get_running_loop().time()
        enough = self.chance.choice([99, 99, 2])
        left = dict.fromkeys(jobs_by_identity(jobs))
        most = self.chance.choice([None, 1, 3])
        try:
            async with hub.as_completed(iter(jobs), timeout=timeout, max_pending=most) as outcomes:
                async for outcome in outcomes:
                    del left[id(outcome.job)]
                    at = now()
                    since = at - outcome.waited
                    self.ends.append(End(outcome.job, since, at, timeout, outcome.snapshot, outcome.error))
                    enough -= 1
                    if not enough:
                        break
                else:
                    assert not left
        except Rejected:
            pass
        self.ends.extend(End(job, began, now(), None) for job in jobs if id(job) in left)

    async def _nudge(self, hub: Hub, job: Job[int], at: float) -> None:
        await asyncio.sleep(at)
        hub.nudge(job.key)


def jobs_by_identity(jobs: Sequence[Job[int]]) -> dict[int, Job[int]]:
    """Return jobs by their identity: equal ones are told apart."""
    return {id(job): job for job in jobs}


def _life(chance: random.Random) -> Life:
    processing_at = chance.uniform(0, 10)
    ending = chance.choice([State.SUCCESS, State.SUCCESS, State.FAILED, State.CANCELLED])
    return Life(processing_at, processing_at + chance.choice([0.0, 3.0, 12.0]), ending)
