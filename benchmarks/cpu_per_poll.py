"""CPU per poll, ours beside a hand-written aiohttp loop and beside peers, over the same server in another process.

    python benchmarks/cpu_per_poll.py [--rounds 7] [--jobs 2000] [--in-flight 100] [--environment DIR]

With `--environment` the peers take part; they are installed into a virtual environment of their own in DIR, made on
demand. One that cannot be installed is named and left out. Every job takes five polls. Printed are the medians of the
CPU time (user and system, all threads) of each contestant's process, without imports and first uses, and of its ratio
to the hand-written loop of the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import peers
import server
import turns
from drive import KEY, Work, in_flight, path_of

POLLS_PER_JOB = 5
FIGURE = "CPU per poll in us"
BASELINE = "hand-written aiohttp"


async def hand_written(base: str, names: Sequence[str], count: int) -> None:
    """Get, decode, compare, loop."""
    import aiohttp  # noqa: PLC0415  each contestant imports only its own

    connector = aiohttp.TCPConnector(limit=count)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, connector=connector) as session:

        async def one(name: str) -> object:
            while True:
                async with session.get(base + path_of(name)) as response:
                    payload = await response.json()
                if payload["status"] == "succeeded":
                    return payload

        await in_flight(count, names, one)


async def single_waits(base: str, names: Sequence[str], count: int) -> None:
    """Wait for each job of the file parser in a task of its own, with everything switched on."""
    from asyncpoll.providers import BigModel  # noqa: PLC0415

    async with BigModel(KEY, base_url=base) as client:

        async def one(name: str) -> object:
            return await client.file_parser.job(task_id=name).result(timeout=600, schedule=AtOnce())

        await in_flight(count, names, one)


async def hub(base: str, names: Sequence[str], count: int) -> None:
    """Wait for all jobs of the file parser in one hub, with everything switched on."""
    from asyncpoll import Hub  # noqa: PLC0415
    from asyncpoll.providers import BigModel  # noqa: PLC0415

    async with BigModel(KEY, base_url=base) as client, Hub(concurrency=count) as waiting:
        jobs = [client.file_parser.job(task_id=name) for name in names]
        async with waiting.as_completed(jobs, timeout=600, schedule=AtOnce()) as outcomes:
            async for outcome in outcomes:
                outcome.unwrap()


class AtOnce:
    """The schedule of a benchmark: no delay at all."""

    def delay(self, _progress: object, /) -> float:
        """Return nought."""
        return 0.0


OURS: dict[str, Work] = {BASELINE: hand_written, "asyncpoll, one task per wait": single_waits, "asyncpoll Hub": hub}


def cpu_per_poll(work: Work) -> turns.Contestant:
    """Return what measures the CPU time of *work* per poll."""

    def measure(options: argparse.Namespace) -> turns.Figures:
        with server.serving(POLLS_PER_JOB) as base:
            _run(work, base, [f"warm-up-{number}" for number in range(options.in_flight)], options.in_flight)
            before = time.process_time()
            _run(work, base, [f"task-{number}" for number in range(options.jobs)], options.in_flight)
            cpu = time.process_time() - before
        return {FIGURE: cpu / (options.jobs * POLLS_PER_JOB) * 1e6}

    return measure


def _run(work: Work, base: str, names: Sequence[str], count: int) -> None:
    async def awaited() -> None:
        await work(base, names, count)

    asyncio.run(awaited())


def main() -> None:
    """Let the contestants take turns, and print their medians."""
    parser = turns.parser(__doc__)
    parser.set_defaults(rounds=7)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--environment", type=Path, help="where the peers are installed; without it they stay away")
    options = parser.parse_args()
    pythons = dict.fromkeys(OURS, sys.executable)
    if options.environment and not options.contestant:
        pythons |= peers.installed(options.environment)
    contestants = {name: cpu_per_poll(work) for name, work in (OURS | peers.PEERS).items()}
    rounds = turns.take(options, contestants, pythons)
    turns.show(rounds, FIGURE, baseline=BASELINE)


if __name__ == "__main__":
    main()
