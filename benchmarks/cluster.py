"""What a run on a cluster costs: CPU per poll, memory, and the time that a shared rate takes with unequal shards.

    python benchmarks/cluster.py [--rounds 5] [--jobs 5000] [--workers 2] [--rate 250]

The cluster is on this machine, and has as many worker processes as `--workers` says. The CPU is that of the client, the
scheduler, the nannies and the workers, once these are there. It is compared with that of one process that does the
same run with the same ledger; a server in another process ends each job with its fifth poll. Memory is what each
process occupies at the end, without what it shares with others.

For the shared rate 1,250 jobs go to four workers in five shards, so that one of the workers has twice as many as any
other. The time of the whole run is compared with that of so many polls at the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import rounds
import server
from distributed import Client
from drive import KEY, POLLS_PER_JOB

from asyncpoll import Fixed, Hub, Job
from asyncpoll.clients import Clients
from asyncpoll.dask import connected, distributed_run
from asyncpoll.ledger import Ledger

ENDPOINT = "bigmodel.file_parser"
AT_ONCE = Fixed(0.001)
ALONE, CLUSTER, SHARED = "one process", "a cluster", "a shared rate"
CPU, OWN, WORKER = "us of CPU per poll", "MB of the client", "MB of a worker"
RATIO = "time by that of the rate alone"
UNEQUAL = 1250  # jobs, in five shards


def refs(count: int) -> list[tuple[str, dict[str, str]]]:
    """Return so many references."""
    return [(ENDPOINT, {"task_id": f"task-{number}", "format": "text"}) for number in range(count)]


def megabytes() -> float:
    """Return what this process occupies alone."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = [int(line.split()[1]) for line in lines if line.startswith("Private")]
    return sum(private) / 1024


@asynccontextmanager
async def ledger_for() -> AsyncGenerator[Ledger]:
    """Open a ledger in a directory of its own."""
    with tempfile.TemporaryDirectory() as place:
        async with Ledger(Path(place) / "run.db") as ledger:
            yield ledger


def served(work: Any, options: argparse.Namespace) -> rounds.Figures:
    """Return the figures of *work*, with a server whose address and key are in the environment."""
    with server.serving(POLLS_PER_JOB) as address:
        os.environ.update(BIGMODEL_BASE_URL=address, BIGMODEL_API_KEY=KEY)
        figures: rounds.Figures = asyncio.run(work(options))
        return figures


async def alone(options: argparse.Namespace) -> rounds.Figures:
    """Run in this process."""
    async with ledger_for() as ledger, Clients() as clients, Hub(schedule=AT_ONCE) as hub:
        before = time.process_time()

        def jobs() -> Iterator[Job[Any]]:
            for ref in refs(options.jobs):
                yield clients.job(*ref)

        async with hub.run(jobs(), ledger=ledger, timeout=600) as records:
            async for _ in records:
                pass
        cpu = time.process_time() - before
        return {CPU: cpu / (options.jobs * POLLS_PER_JOB) * 1e6, OWN: megabytes()}


async def clustered(options: argparse.Namespace) -> rounds.Figures:
    """Run on a cluster."""
    async with connected(f"local:{options.workers}") as client, ledger_for() as ledger:
        await warm_up(client, ledger)
        before = await cpu_of(client)
        async with distributed_run(
            refs(options.jobs), client, ledger=ledger, timeout=600, schedule=AT_ONCE, concurrency=100 // options.workers
        ) as records:
            async for _ in records:
                pass
        cpu = await cpu_of(client) - before
        workers = (await client.run(megabytes)).values()
        return {CPU: cpu / (options.jobs * POLLS_PER_JOB) * 1e6, OWN: megabytes(), WORKER: median(workers)}


async def warm_up(client: Client, ledger: Ledger) -> None:
    """Have the workers import what a run needs."""
    few = [(ENDPOINT, {"task_id": f"warm-{number}", "format": "text"}) for number in range(600)]
    async with distributed_run(few, client, ledger=ledger, timeout=60, schedule=AT_ONCE) as records:
        async for _ in records:
            pass


async def cpu_of(client: Client) -> float:
    """Return the seconds of CPU of this process, with the scheduler and the nannies, and of the workers."""
    return time.process_time() + sum((await client.run(time.process_time)).values())


async def shared(options: argparse.Namespace) -> rounds.Figures:
    """Run unequal shards at a rate that all of them share."""
    async with connected("local:4") as client, ledger_for() as ledger:
        await warm_up(client, ledger)
        began = time.monotonic()
        async with distributed_run(
            refs(UNEQUAL), client, ledger=ledger, timeout=600, schedule=Fixed(0.2), rate=options.rate
        ) as records:
            async for _ in records:
                pass
        return {RATIO: (time.monotonic() - began) / (UNEQUAL * POLLS_PER_JOB / options.rate)}


def main() -> None:
    """Measure, and print the table."""
    parser = rounds.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=250.0)
    options = parser.parse_args()
    contestants = {ALONE: alone, CLUSTER: clustered, SHARED: shared}
    taken = rounds.take(
        options, {name: lambda given, work=work: served(work, given) for name, work in contestants.items()}
    )
    for name, figure in ((ALONE, CPU), (CLUSTER, CPU), (ALONE, OWN), (CLUSTER, OWN), (CLUSTER, WORKER)):
        print(f"{name}: {median(one[name][figure] for one in taken):.0f} {figure}")
    ratio = median(one[CLUSTER][CPU] / one[ALONE][CPU] for one in taken)
    print(f"CPU per poll on a cluster, relative to one process: {ratio:.2f}")
    print(f"{SHARED}, unequal shards: {median(one[SHARED][RATIO] for one in taken):.2f} {RATIO}")


if __name__ == "__main__":
    main()
