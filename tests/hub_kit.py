"""Jobs of a made-up API, and a hub that polls them in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from asyncpoll import Endpoint, Fixed, Group, Hub, Job, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, Script, run_virtual

T = TypeVar("T")
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


async def arriving(jobs: Sequence[Any], *, then: Exception | None = None) -> AsyncIterator[Any]:
    """Give jobs one by one, then raise."""
    for job in jobs:
        await asyncio.sleep(0)
        yield job
    if then is not None:
        raise then


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


def jobs_of(transport: MemoryTransport, refs: Sequence[Any], endpoint: Endpoint[Any, str] = JOBS) -> list[Job[str]]:
    """Return jobs of one transport."""
    return [endpoint.job(transport, ref) for ref in refs]


class Batch:
    """A made-up API that tells the state of a whole batch in one call, but no results.

    Args:
        life: When each job ends, by its number.
        size: The most jobs in one call.
        latency: Seconds that an answer takes.

    Attributes:
        together: When a call about the batch was made.
        alone: When a call about one job was made.
        trouble: What the calls about the batch fail with, one after the other.
        hidden: The jobs that the batch does not tell.
    """

    def __init__(self, life: Callable[[int], float], *, size: int = 400, latency: float = 0.0) -> None:
        self.life = life
        self.together: list[float] = []
        self.alone: list[float] = []
        self.trouble: Iterator[Any] = iter(())
        self.hidden: set[int] = set()
        self.transport = transport_of(self._answer, latency=latency)
        group: Group[Any, str] = Group(lambda _: "batch", self._ask, self._read, size)
        self.endpoint: Endpoint[Any, str] = Endpoint("made.batch", ask=ask, read=read, group=group)

    def jobs(self, number: int) -> list[Job[str]]:
        """Return so many jobs."""
        return jobs_of(self.transport, range(number), self.endpoint)

    @staticmethod
    def _ask(_refs: Sequence[Any]) -> Request:
        return Request("GET", "/batch", repeatable=True)

    def _read(self, _reply: Reply, refs: Sequence[Any]) -> dict[Any, Snapshot[str]]:
        running = [ref for ref in refs if now() < self.life(ref) and ref not in self.hidden]
        return {ref: Snapshot(PROCESSING) for ref in running}

    def _answer(self, request: Request) -> Any:
        if request.path == "/batch":
            self.together.append(now())
            return next(self.trouble, {})
        self.alone.append(now())
        done = now() >= self.life(int(request.path.rpartition("/")[2]))
        return {"state": "success" if done else "processing"}
