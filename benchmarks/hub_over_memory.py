"""CPU per poll without a network: a bare loop of fetches, a wait for each job, and a hub.

    python benchmarks/hub_over_memory.py [--rounds 40] [--jobs 500] [--in-flight 100]

The jobs are those of BigModel's file parser, over a transport that answers at once, from memory; each takes five polls,
with no delay between them. In each round every contestant sees so many jobs through. Printed are the medians of the CPU
time, and of its ratio to the bare loop of the same round: what is above 1 is what waiting itself costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import rounds
from drive import CPU_PER_POLL, KEY, POLLS_PER_JOB, AtOnce, SeeThrough, cpu_slices, in_flight

from asyncpoll import Hub, State
from asyncpoll.http import Reply, Request
from asyncpoll.providers import BigModel
from asyncpoll.providers.bigmodel import FileParser
from asyncpoll.testing import MemoryTransport

BASELINE = "await job.fetch() in a loop"


def in_memory(polls: int = POLLS_PER_JOB) -> FileParser:
    """Return the file parser of an API whose tasks are done when they have been asked about so many times."""
    asked: Counter[str] = Counter()

    def answer(request: Request) -> Reply:
        name = request.path.split("/")[-2]
        asked[name] += 1
        if asked[name] < polls:
            return Reply(200, {"task_id": name, "status": "processing"})
        del asked[name]
        return Reply(200, {"task_id": name, "status": "succeeded", "content": "the text of a document"})

    return BigModel(KEY, transport=MemoryTransport(answer)).file_parser


@asynccontextmanager
async def bare_loop(count: int) -> AsyncGenerator[SeeThrough, None]:
    """Fetch until it is done."""
    parser = in_memory()

    async def one(name: str) -> None:
        job = parser.job(task_id=name)
        while (await job.fetch()).state is not State.SUCCESS:
            pass

    yield lambda names: in_flight(count, names, one)


@asynccontextmanager
async def single_waits(count: int) -> AsyncGenerator[SeeThrough, None]:
    """Wait for one job after the other in each of as many tasks."""
    parser = in_memory()

    async def one(name: str) -> None:
        await parser.job(task_id=name).wait(timeout=600, schedule=AtOnce())

    yield lambda names: in_flight(count, names, one)


@asynccontextmanager
async def hub(count: int) -> AsyncGenerator[SeeThrough, None]:
    """Wait for all jobs in one hub."""
    parser = in_memory()
    async with Hub(concurrency=count) as waiting:
        yield lambda names: all_of(waiting, parser, names)


async def all_of(waiting: Hub, parser: FileParser, names: Sequence[str]) -> None:
    """See these tasks through in a hub."""
    jobs = [parser.job(task_id=name) for name in names]
    async with waiting.as_completed(jobs, timeout=600, schedule=AtOnce()) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


def main() -> None:
    """Let the three take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.set_defaults(rounds=40)
    parser.add_argument("--jobs", type=int, default=500, help="of each contestant in a round")
    parser.add_argument("--in-flight", type=int, default=100)
    options = parser.parse_args()
    opened = {BASELINE: bare_loop, "job.wait, a task for each in flight": single_waits, "a hub": hub}
    contestants = {
        name: lambda options, work=work: cpu_slices(work(options.in_flight), options.jobs)
        for name, work in opened.items()
    }
    rounds.show(rounds.interleave(options, contestants), CPU_PER_POLL, baseline=BASELINE)


if __name__ == "__main__":
    main()
