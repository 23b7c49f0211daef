"""What a pending wait costs in a hub: bytes, and CPU to take it in, to poll it, and to let it go.

    python benchmarks/many_waits.py [--rounds 5] [--waits 1000000] [--state-change]

The jobs are those of BigModel's file parser, asked about in memory, and never finish. Each is polled once, 1,000 jobs
a second of virtual time; then 200,000 further polls are timed. A few waits are the baseline: the cost of a poll must
not depend on how many wait. Bytes are those by which the process has grown when all waits have been polled once, the
job, its reference and its id included; they are read from /proc, so on Linux only. To take a wait in means all that the
hub does for a job that has been made. With `--state-change` the jobs stand in a queue at the first poll and are being
processed at the second, after which the bytes are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import rounds
from attrs import evolve
from drive import KEY

from asyncpoll import Fixed, Hub, Job, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.providers import BigModel
from asyncpoll.testing import MemoryTransport, VirtualLoop

FEW = 1000
POLLS_A_SECOND = 1000
MEASURED_POLLS = 200_000
LONG = 10_000_000.0  # seconds, longer than anything here takes

BYTES = "bytes per pending wait"
ENTER = "us of CPU to take a wait in"
POLL = "us of CPU per poll"
LEAVE = "us of CPU to let a wait go"

WHOSE: ContextVar[str] = ContextVar("WHOSE")
"""Something that the caller has in its context, as callers have."""


def jobs(count: int, *, queued_until: float) -> Iterator[Job[Any]]:
    """Yield *count* jobs, none of which is held by anybody but the hub; until then they stand in a queue."""
    now = asyncio.get_running_loop().time

    def answer(request: Request) -> Reply:
        status = "pending" if now() < queued_until else "processing"
        return Reply(200, {"task_id": request.path.split("/")[-2], "status": status})

    file_parser = BigModel(KEY, transport=MemoryTransport(answer)).file_parser
    made = (file_parser.job(task_id=f"task-{number:09}") for number in range(count))
    return with_a_queue(made) if queued_until else made


def with_a_queue(given: Iterator[Job[Any]]) -> Iterator[Job[Any]]:
    """Yield the same jobs, of an API that tells when one stands in a queue, which the file parser's does not."""
    first = next(given)
    documented = first.endpoint

    def read(reply: Reply) -> Snapshot[Any]:
        if reply.json["status"] == "pending":
            return Snapshot(State.PENDING, "pending", raw=reply.json)
        return documented.read(reply)

    endpoint = evolve(documented, read=read)
    yield evolve(first, endpoint=endpoint)
    for job in given:
        yield evolve(job, endpoint=endpoint)


def resident() -> int:
    """Return the bytes of memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


async def cost(waits: int, *, state_change: bool) -> rounds.Figures:
    """Take in so many waits, poll them, let them go, and return what each step cost."""
    interval = waits / POLLS_A_SECOND
    WHOSE.set("the benchmark's")
    async with Hub(concurrency=100) as hub:
        gc.collect()
        bytes_before = resident()
        given = list(jobs(waits, queued_until=interval if state_change else 0.0))
        start = time.process_time()
        async with hub.as_completed(iter(given), timeout=LONG, schedule=Fixed(interval)):
            while hub.counters.pending < waits:  # noqa: ASYNC110  in virtual time there is nothing to wait for
                await asyncio.sleep(0)
            entered = time.process_time()
            given.clear()
            await asyncio.sleep(2 * interval if state_change else interval)
            size = resident() - bytes_before
            polls, begun = hub.counters.polls, time.process_time()
            await asyncio.sleep(MEASURED_POLLS / POLLS_A_SECOND)
            polls, done = hub.counters.polls - polls, time.process_time()
        left = time.process_time()
    figures = {
        ENTER: (entered - start) / waits * 1e6,
        POLL: (done - begun) / polls * 1e6,
        LEAVE: (left - done) / waits * 1e6,
    }
    return figures if waits == FEW else figures | {BYTES: size / waits}


class FreshTimes(VirtualLoop):
    """A virtual loop whose clock gives a new number each time, as a real one does: numbers take memory, too."""

    def time(self) -> float:
        """Return the time; the sum is a number that nobody shares."""
        return super().time() + 0.0


def measured(waits: int, options: argparse.Namespace) -> rounds.Figures:
    """Return what so many waits cost."""
    with asyncio.Runner(loop_factory=FreshTimes) as runner:
        return runner.run(cost(waits, state_change=options.state_change))


def main() -> None:
    """Let few and many take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.add_argument("--waits", type=int, default=1_000_000)
    parser.add_argument("--state-change", action="store_true", help="jobs are seen in a queue first, processed later")
    options = parser.parse_args()
    few, many = f"{FEW:,} waits", f"{options.waits:,} waits"
    contestants = {few: lambda options: measured(FEW, options), many: lambda options: measured(options.waits, options)}
    results = rounds.take(options, contestants)
    rounds.show(results, BYTES, baseline=many)
    for figure in (ENTER, POLL, LEAVE):
        rounds.show(results, figure, baseline=few)


if __name__ == "__main__":
    main()
