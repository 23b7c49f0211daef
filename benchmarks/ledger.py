"""What remembering a run costs: the same run with and without a ledger, and how soon a resumed run asks again.

    python benchmarks/ledger.py [--rounds 5] [--jobs 1000000] [--outcomes 20000] [--directory DIR]

Three comparisons. In memory every job takes five polls that cost next to nothing, so that what a ledger costs per
outcome stands out: CPU of all threads. Over HTTP, with the server in another process, it is what it costs in CPU and in
throughput. Then a ledger of `--jobs` entries is resumed, from the opening of the file to the first request: once when
nothing has ended and once when nine tenths have. The ledgers are made in DIR, by default where temporary files go.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import rounds
import server
from drive import KEY, POLLS_PER_JOB, AtOnce

from asyncpoll import Endpoint, Hub, Job, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.ledger import Ledger, OutcomeInput
from asyncpoll.providers import BigModel
from asyncpoll.testing import MemoryTransport

IN_FLIGHT = 100
BATCH = 5000

CPU = "us of CPU per outcome, in memory"
CPU_HTTP = "us of CPU per outcome, over HTTP"
THROUGHPUT = "polls a second over HTTP"
FIRST_POLL = "ms to the first poll of a resumed run"

ALONE, FULL, NORMAL = "hub alone", "with a ledger", 'with a ledger, synchronous="normal"'
FRESH, LATE = "nothing has ended", "nine tenths have ended"

THINGS: Endpoint[str, str] = Endpoint(
    "memory.things",
    ask=lambda ref: Request("GET", ref, repeatable=True),
    read=lambda reply: Snapshot(State(reply.json["state"]), reply.json["state"], reply.json.get("value")),
)


def things(count: int) -> Iterator[Job[str]]:
    """Yield jobs that are done when they have been asked about five times."""
    asked: dict[str, int] = {}

    def answer(request: Request) -> Reply:
        times = asked[request.path] = asked.get(request.path, 0) + 1
        if times < POLLS_PER_JOB:
            return Reply(200, {"state": "processing"})
        return Reply(200, {"state": "success", "value": f"the result of {request.path}"})

    transport = MemoryTransport(answer)
    return (THINGS.job(transport, f"thing-{number:09}") for number in range(count))


async def waited(jobs: Any, ledger: Ledger | None) -> None:
    """Wait for all jobs, with a ledger or without."""
    async with Hub(concurrency=IN_FLIGHT, schedule=AtOnce()) as hub:
        if ledger is None:
            async with hub.as_completed(jobs, timeout=600) as outcomes:
                async for _ in outcomes:
                    pass
        else:
            async with hub.run(jobs, ledger=ledger, timeout=600) as run:
                async for _ in run:
                    pass


async def opened(exits: AsyncExitStack, name: str, directory: Path) -> Ledger | None:
    """Open a new ledger, for the contestants that have one."""
    if name == ALONE:
        return None
    place = exits.enter_context(tempfile.TemporaryDirectory(dir=directory))
    return await exits.enter_async_context(
        Ledger(Path(place) / "run.db", synchronous="full" if name == FULL else "normal")
    )


async def cost(name: str, options: argparse.Namespace) -> rounds.Figures:
    """Return what a run costs in memory, and how fast it is over HTTP."""
    async with AsyncExitStack() as exits:
        ledger = await opened(exits, name, options.directory)
        begun = time.process_time()
        await waited(things(options.outcomes), ledger)
        cpu = time.process_time() - begun
    async with AsyncExitStack() as exits:
        ledger = await opened(exits, name, options.directory)
        base = exits.enter_context(server.serving(POLLS_PER_JOB))
        client = await exits.enter_async_context(BigModel(KEY, base_url=base))
        await waited([client.file_parser.job(task_id=f"warm-up-{number}") for number in range(IN_FLIGHT)], None)
        count = options.outcomes // 10
        begun, cpu_begun = time.perf_counter(), time.process_time()
        await waited([client.file_parser.job(task_id=f"task-{number}") for number in range(count)], ledger)
        seconds, cpu_http = time.perf_counter() - begun, time.process_time() - cpu_begun
    return {
        CPU: cpu / options.outcomes * 1e6,
        CPU_HTTP: cpu_http / count * 1e6,
        THROUGHPUT: count * POLLS_PER_JOB / seconds,
    }


async def resumed(share: float, options: argparse.Namespace) -> rounds.Figures:
    """Fill a ledger of which this share has ended, and return how soon a run that goes on with it asks again."""
    first: list[float] = []

    def answer(_request: Request) -> Reply:
        first.append(time.perf_counter())
        return Reply(200, {"state": "processing"})

    transport = MemoryTransport(answer, latency=0.01)

    async def left(ledger: Ledger) -> AsyncIterator[Job[str]]:
        async for entry in ledger.unfinished():
            yield THINGS.job(transport, entry.ref)

    with tempfile.TemporaryDirectory(dir=options.directory) as place:
        path = Path(place) / "run.db"
        await fill(path, options.jobs, share)
        begun = time.perf_counter()
        async with (
            Ledger(path) as ledger,
            Hub(concurrency=IN_FLIGHT) as hub,
            hub.run(left(ledger), ledger=ledger, timeout=600),
        ):
            while not first:  # noqa: ASYNC110  the poll has no event
                await asyncio.sleep(0.001)
    return {FIRST_POLL: (first[0] - begun) * 1e3}


async def fill(path: Path, jobs: int, share: float) -> None:
    """Write a ledger of so many jobs, a share of which has ended, in no order."""
    numbers = list(range(1, jobs + 1))
    random.Random(1).shuffle(numbers)
    async with Ledger(path, synchronous="normal") as ledger:
        for start in range(0, jobs, BATCH):
            names = (f"thing-{number:09}" for number in range(start, min(start + BATCH, jobs)))
            await ledger.enter([(f"memory.things:{name}", "memory.things", name) for name in names])
        ended = numbers[: int(jobs * share)]
        for start in range(0, len(ended), BATCH):
            batch = ended[start : start + BATCH]
            await asyncio.gather(
                *(ledger.record(OutcomeInput(number=number, state="success", value="done")) for number in batch)
            )


def in_loop(
    measure: Callable[[Any, argparse.Namespace], Any], what: Any, options: argparse.Namespace
) -> rounds.Figures:
    """Measure in an event loop of its own."""
    figures: rounds.Figures = asyncio.run(measure(what, options))
    return figures


def main() -> None:
    """Let the contestants take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--outcomes", type=int, default=20_000)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    costs: dict[str, rounds.Contestant] = {name: partial(in_loop, cost, name) for name in (ALONE, FULL, NORMAL)}
    resumes: dict[str, rounds.Contestant] = {
        name: partial(in_loop, resumed, share) for name, share in ((FRESH, 0.0), (LATE, 0.9))
    }
    if options.contestant:
        rounds.take(options, costs | resumes)
    results = rounds.take(options, costs)
    rounds.show(results, CPU, baseline=ALONE)
    rounds.show(results, CPU_HTTP, baseline=ALONE)
    rounds.show(results, THROUGHPUT, baseline=ALONE)
    options.rounds = 1
    rounds.show(rounds.take(options, resumes), FIRST_POLL, baseline=FRESH)


if __name__ == "__main__":
    main()
