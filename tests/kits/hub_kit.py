"""Jobs of a made-up API, and a hub that polls them in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from asyncpoll import Endpoint, Fixed, Group, Hub, Job, Outcome, Snapshot, State
from asyncpoll.http import Reply, Request, Transport
from asyncpoll.testing import MemoryTransport, Script, run_virtual

T = TypeVar("T")
Waiting = asyncio.Task[Snapshot[Any]]
EVERY_SECOND = Fixed(1.0)
PENDING, PROCESSING, SUCCESS, FAILED = State.PENDING, State.PROCESSING, State.SUCCESS, State.FAILED


def play(*steps: Any, latency: float = 0.0) -> Script[Any]:
    """Return a fetch that gives one step after the other, and the last one for ever."""
    return Script(steps, latency=latency)


def now() -> float:
    """Return the virtual time."""
    return asyncio.get_running_loop().time()


def in_hub(work: Callable[[Hub], Awaitable[T]], **options: Any) -> T:
    """Run *work* with a hub that polls every second unless told otherwise, and see that nothing is left behind."""
    options.setdefault("schedule", EVERY_SECOND)

    async def main() -> T:
        unseen: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unseen.append(context))
        async with Hub(**options) as hub:
            result = await work(hub)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert unseen == []
        return result

    return run_virtual(main())


def waits_for(hub: Hub, jobs: Sequence[Any], *, timeout: float | None = None, **options: Any) -> list[Waiting]:
    """Begin to wait for jobs, each of which is polled at once."""
    return [asyncio.create_task(hub.wait(job, timeout=timeout, **options)) for job in jobs]


async def leave(waits: Sequence[Waiting]) -> None:
    """Give waits up."""
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)


async def ends_of(waits: Sequence[Waiting]) -> list[Any]:
    """Return what each of the waits ended with: a snapshot or an error."""
    return await asyncio.gather(*waits, return_exceptions=True)


def wait_for_a_while(seconds: float, jobs: Sequence[Any], **options: Any) -> None:
    """Wait for jobs, each of which is polled at once, for so many seconds."""

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, jobs)
        await asyncio.sleep(seconds)
        await leave(waits)

    in_hub(work, **options)


async def arriving(jobs: Sequence[Any], *, then: Exception | None = None) -> AsyncIterator[Any]:
    """Give jobs one by one, then raise."""
    for job in jobs:
        await asyncio.sleep(0)
        yield job
    if then is not None:
        raise then


class Cancellable:
    """A fetch whose remote job can be cancelled."""

    def __init__(self, script: Script[Any], *, patience: float = 0.0) -> None:
        self.script = script
        self.patience = patience
        self.cancels = 0
        self.cancelled_at: list[float] = []

    async def __call__(self) -> Snapshot[Any]:
        """Poll."""
        return await self.script()

    async def cancel(self) -> None:
        """Cancel the job, in its own time."""
        self.cancels += 1
        await asyncio.sleep(self.patience)
        self.cancelled_at.append(now())


# an API that knows its jobs by number or name


def ask(ref: Any) -> Request:
    """Ask about one job."""
    return Request("GET", f"/jobs/{ref}", repeatable=True)


def read(reply: Reply) -> Snapshot[str]:
    """Read an answer: a state, and a value once there is one."""
    return Snapshot(State(reply.json["state"]), reply.json["state"], reply.json.get("value"))


JOBS: Endpoint[Any, str] = Endpoint("made.up", ask=ask, read=read)


def transport_of(answer: Callable[[Request], Any], *, latency: float = 0.0) -> MemoryTransport:
    """Return a transport that answers with JSON, or raises what it is given."""

    def reply(request: Request) -> Reply:
        said = answer(request)
        if isinstance(said, Exception):
            raise said
        return Reply(200, said)

    return MemoryTransport(reply, latency=latency)


def jobs_of(transport: Transport, refs: Sequence[Any], endpoint: Endpoint[Any, str] = JOBS) -> list[Job[str]]:
    """Return jobs of one transport."""
    return [endpoint.job(transport, ref) for ref in refs]


class Host:
    """A server with one client: its jobs are what *answer* says, by name; it notes when it is asked about which.

    Args:
        answer: Gives the state of a job, or the error that comes instead.
        latency: Seconds that an answer takes.

    Attributes:
        asked: When a request came, and for which job.
        in_flight: Requests that are being answered.
        most: The most that were at the same time.
    """

    def __init__(self, answer: Callable[[str], State | Exception] = lambda _: SUCCESS, *, latency: float = 0) -> None:
        self.answer = answer
        self.latency = latency
        self.endpoint = JOBS
        self.asked: list[tuple[float, str]] = []
        self.in_flight = self.most = 0

    async def send(self, request: Request, /) -> Reply:
        """Answer after a while."""
        name = request.path.rpartition("/")[2]
        self.asked.append((now(), name))
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
        finally:
            self.in_flight -= 1
        return self._reply(name)

    def _reply(self, name: str) -> Reply:
        said = self.answer(name)
        if isinstance(said, Exception):
            raise said
        return Reply(200, {"state": said.value})

    def jobs(self, *names: object) -> list[Job[str]]:
        """Return jobs, by their names."""
        return jobs_of(self, [str(name) for name in names], self.endpoint)

    def times(self, name: object = None) -> list[float]:
        """Return when it was asked about this job, or about any."""
        return [at for at, asked in self.asked if name is None or asked == str(name)]

    def names(self) -> list[str]:
        """Return which jobs it was asked about, in order."""
        return [name for _, name in self.asked]


class Batch(Host):
    """A made-up API that tells the state of a whole batch in one call, but no results.

    Args:
        life: When each job ends, by its number.
        size: The most jobs in one call.
        key: What jobs must share to be asked about together.
        latency: Seconds that an answer takes.

    Attributes:
        trouble: What the calls about the batch fail with, one after the other.
        hidden: The jobs that the batch does not tell.
    """

    def __init__(
        self,
        life: Callable[[int], float] = lambda _: math.inf,
        *,
        size: int = 400,
        key: Callable[[Any], object] = lambda _: "batch",
        latency: float = 0,
    ) -> None:
        super().__init__(lambda name: SUCCESS if now() >= life(int(name)) else PROCESSING, latency=latency)
        self.life = life
        self.trouble: Iterator[Exception | None] = iter(())
        self.hidden: set[str] = set()
        group: Group[Any, str] = Group(key, self._ask, self._read, size)
        self.endpoint = Endpoint("made.batch", ask=ask, read=read, group=group)

    @property
    def together(self) -> list[tuple[float, str]]:
        """When a call about several jobs was made, and about which."""
        return [(at, names.removeprefix("+")) for at, names in self.asked if names.startswith("+")]

    @property
    def alone(self) -> list[tuple[float, str]]:
        """When a call about one job was made, and about which."""
        return [(at, name) for at, name in self.asked if not name.startswith("+")]

    @staticmethod
    def _ask(refs: Sequence[Any]) -> Request:
        return Request("GET", "/batch/+" + "+".join(sorted(refs, key=int)), repeatable=True)

    def _reply(self, name: str) -> Reply:
        if not name.startswith("+"):
            return super()._reply(name)
        problem = next(self.trouble, None)
        if problem is not None:
            raise problem
        return Reply(200, {})

    def _read(self, _reply: Reply, refs: Sequence[Any]) -> dict[Any, Snapshot[str]]:
        running = [ref for ref in refs if now() < self.life(int(ref)) and ref not in self.hidden]
        return {ref: Snapshot(PROCESSING) for ref in running}


async def all_of(hub: Hub, jobs: Any, *, timeout: float | None = None, **options: Any) -> list[Outcome[Any]]:
    """Return the outcomes of a run in the order in which they came."""
    async with hub.as_completed(jobs, timeout=timeout, **options) as outcomes:
        return [outcome async for outcome in outcomes]
