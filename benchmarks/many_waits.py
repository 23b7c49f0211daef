"""What a pending wait costs in a hub: bytes, and CPU to take it in, to poll it, and to let it go.

    python benchmarks/many_waits.py [--rounds 5] [--waits 1000000]

The jobs are asked about in memory and never finish. Each is polled once, 1,000 jobs a second of virtual time; then
200,000 further polls are timed. A few waits are the baseline: the cost of a poll must not depend on how many wait.
Bytes are those by which the process has grown when all waits have been polled once, the job and its id included;
they are read from /proc, so on Linux only. To take a wait in means all that the hub does for a job that has been made.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import turns

from asyncpoll import Endpoint, Fixed, Hub, Job, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, VirtualLoop

FEW = 1000
POLLS_A_SECOND = 1000
MEASURED_POLLS = 200_000
LONG = 10_000_000.0  # seconds, longer than anything here takes

BYTES = "bytes per pending wait"
ENTER = "us of CPU to take a wait in"
POLL = "us of CPU per poll"
LEAVE = "us of CPU to let a wait go"

THINGS: Endpoint[str, None] = Endpoint(
    "memory.things",
    ask=lambda ref: Request("GET", ref, repeatable=True),
    read=lambda _reply: Snapshot(State.PROCESSING, "processing"),
)


def jobs(count: int) -> Iterator[Job[None]]:
    """Yield *count* jobs, none of which is held by anybody but the hub."""
    transport = MemoryTransport(lambda _request: Reply(200, {}))
    for number in range(count):
        yield THINGS.job(transport, f"thing-{number:09}")


def resident() -> int:
    """Return the bytes of memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


async def cost(waits: int) -> turns.Figures:
    """Take in so many waits, poll them, let them go, and return what each step cost."""
    interval = waits / POLLS_A_SECOND
    async with Hub(concurrency=100) as hub:
        gc.collect()
        bytes_before = resident()
        given = list(jobs(waits))
        start = time.process_time()
        async with hub.as_completed(iter(given), timeout=LONG, schedule=Fixed(interval)):
            while hub.counters.pending < waits:  # noqa: ASYNC110  in virtual time there is nothing to wait for
                await asyncio.sleep(0)
            entered = time.process_time()
            given.clear()
            await asyncio.sleep(interval)
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


def measure(waits: int) -> turns.Figures:
    """Return what so many waits cost."""
    with asyncio.Runner(loop_factory=FreshTimes) as runner:
        return runner.run(cost(waits))


def main() -> None:
    """Let few and many take turns, and print their medians."""
    parser = turns.parser(__doc__)
    parser.add_argument("--waits", type=int, default=1_000_000)
    options = parser.parse_args()
    crowd = f"{options.waits:,} waits"
    baseline = f"{FEW:,} waits"
    rounds = turns.take(options, {baseline: lambda _: measure(FEW), crowd: lambda options: measure(options.waits)})
    turns.show(rounds, BYTES, baseline=crowd)
    for figure in (ENTER, POLL, LEAVE):
        turns.show(rounds, figure, baseline=baseline)


if __name__ == "__main__":
    main()
