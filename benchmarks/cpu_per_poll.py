"""CPU per poll, ours beside a hand-written aiohttp loop, over the same server in another process.

    python benchmarks/cpu_per_poll.py [--rounds 7] [--jobs 2000] [--in-flight 100]

Every round runs each contestant once, in a process of its own, in turn. Printed are the medians over the rounds of each
contestant's CPU time (user and system, of its own process) and of its ratio to the hand-written loop of the same round.
Absolute times are those of the machine; the ratios are what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

POLLS_PER_JOB = 5
BASELINE = "hand-written"


async def in_flight(count: int, jobs: int, one: Callable[[str], Awaitable[object]]) -> None:
    """Run *one* for every job, *count* at a time."""
    names = iter([f"task-{number}" for number in range(jobs)])

    async def work() -> None:
        for name in names:
            await one(name)

    await asyncio.gather(*(work() for _ in range(count)))


async def hand_written(base: str, jobs: int, count: int) -> None:
    """Get, decode, compare, loop."""
    import aiohttp  # noqa: PLC0415  each contestant imports only its own

    connector = aiohttp.TCPConnector(limit=count)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key.secret"}, connector=connector) as session:

        async def one(name: str) -> object:
            while True:
                async with session.get(f"{base}/paas/v4/files/parser/result/{name}/text") as response:
                    payload = await response.json()
                if payload["status"] == "succeeded":
                    return payload

        await in_flight(count, jobs, one)


async def single_waits(base: str, jobs: int, count: int) -> None:
    """Wait for each job of the file parser with everything switched on."""
    from asyncpoll.providers import BigModel  # noqa: PLC0415

    async with BigModel("key.secret", base_url=base) as client:

        async def one(name: str) -> object:
            job = client.file_parser.job(task_id=name, format="text")
            return await job.result(timeout=600, schedule=AtOnce())

        await in_flight(count, jobs, one)


class AtOnce:
    """The schedule of a benchmark: no delay at all."""

    def delay(self, _progress: object, /) -> float:
        """Return nought."""
        return 0.0


CONTESTANTS: dict[str, Callable[[str, int, int], Awaitable[None]]] = {
    BASELINE: hand_written,
    "asyncpoll, one task per wait": single_waits,
}


def measure(name: str, port: str, jobs: int, count: int) -> None:
    """Run one contestant in this process and print its CPU seconds per poll, imports and first uses left out."""
    base = f"http://127.0.0.1:{port}"
    asyncio.run(_awaited(CONTESTANTS[name](f"{base}/warm-up", count, count)))
    before = resource.getrusage(resource.RUSAGE_SELF)
    asyncio.run(_awaited(CONTESTANTS[name](base, jobs, count)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(cpu / (jobs * POLLS_PER_JOB))


async def _awaited(work: Awaitable[None]) -> None:
    await work


def run_once(name: str, jobs: int, count: int) -> float:
    """Start a server and a contestant, and return the contestant's CPU seconds per poll."""
    server_command = [sys.executable, str(Path(__file__).with_name("server.py")), str(POLLS_PER_JOB)]
    with subprocess.Popen(server_command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        port = server.stdout.readline().strip() if server.stdout else ""
        command = [sys.executable, __file__, "--contestant", name, "--port", port]
        command += ["--jobs", str(jobs), "--in-flight", str(count)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Let the contestants take turns, and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--port", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        measure(options.contestant, options.port, options.jobs, options.in_flight)
        return
    rounds = [
        {name: run_once(name, options.jobs, options.in_flight) for name in CONTESTANTS} for _ in range(options.rounds)
    ]
    print(f"{'CPU per poll, median of ' + str(options.rounds):40} {'us':>8} {'ratio':>8}")
    for name in CONTESTANTS:
        median = statistics.median(times[name] for times in rounds)
        ratio = statistics.median(times[name] / times[BASELINE] for times in rounds)
        print(f"{name:40} {median * 1e6:8.1f} {ratio:8.2f}")


if __name__ == "__main__":
    main()
