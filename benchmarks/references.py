"""What a run of very many references takes: in memory with and without a ledger, and over HTTP by the command line.

    python benchmarks/references.py [--rounds 1] [--references 1000000] [--over-http 50000] [--directory DIR]

In memory each job takes two polls, a second of the hub's own time apart, and at most 100,000 are awaited at once. Over
HTTP the jobs of BigModel's file parser take a second or so in a simulator in another process; `asyncpoll run` polls
them, and a hub without a ledger. Ledgers and results are made in DIR, by default where temporary files go.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rounds

from asyncpoll import Endpoint, Fixed, Hub, Job, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.ledger import Ledger
from asyncpoll.providers import BigModel
from asyncpoll.testing import MemoryTransport

SECONDS = "seconds, in memory"
MEGABYTES = "MB at most, in memory"
SECONDS_HTTP = "seconds, over HTTP"
MEGABYTES_HTTP = "MB at most, over HTTP"
AWAITED = 100_000
KEY = "key.secret"
PATIENCE = 3600.0


class Twice(MemoryTransport):
    """An API whose jobs are done at the second look; it remembers no more than those that have had one."""

    def __init__(self) -> None:
        super().__init__(self._look)
        self.sent = deque(maxlen=0)  # type: ignore[assignment]  # a million requests are no part of what is measured
        self._looked: set[str] = set()

    def _look(self, request: Request) -> Reply:
        done = request.path in self._looked
        (self._looked.discard if done else self._looked.add)(request.path)
        return Reply(200, "success" if done else "processing")


THINGS: Endpoint[str, None] = Endpoint(
    "memory.things",
    ask=lambda ref: Request("GET", ref, repeatable=True),
    read=lambda reply: Snapshot(State(reply.json), reply.json),
)


def things(count: int) -> Iterator[Job[None]]:
    """Yield so many jobs."""
    transport = Twice()
    return (THINGS.job(transport, f"thing-{number:09}") for number in range(count))


def expect(ended: int, given: int) -> None:
    """Stop when some have been lost: then the rest of the figures would mean nothing."""
    if ended != given:
        raise RuntimeError(f"{ended:,} of {given:,} references have ended")


async def in_memory(options: argparse.Namespace, place: Path | None) -> None:
    """See all through, with a ledger in *place* if there is one."""
    async with Hub(concurrency=100, schedule=Fixed(1.0)) as hub:
        if place is None:
            async with hub.as_completed(things(options.references), timeout=PATIENCE, max_pending=AWAITED) as outcomes:
                ended = [outcome.succeeded async for outcome in outcomes]
        else:
            async with (
                Ledger(place / "run.db") as ledger,
                hub.run(things(options.references), ledger=ledger, timeout=PATIENCE, max_pending=AWAITED) as run,
            ):
                ended = [record.state == "success" async for record, _ in run]
    expect(sum(ended), options.references)


@contextmanager
def simulated() -> Iterator[str]:
    """Run a simulator in a process of its own; give BigModel's address in it."""
    command = [sys.executable, "-m", "asyncpoll", "simulate", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as simulator:
        address = next(line for line in simulator.stdout or () if "BIGMODEL_BASE_URL=" in line)
        try:
            yield address.split("BIGMODEL_BASE_URL=")[1].split()[0].strip("'\"")
        finally:
            simulator.terminate()


async def bare(options: argparse.Namespace, base: str) -> None:
    """Wait for all over HTTP in a hub."""
    async with BigModel(KEY, base_url=base) as client, Hub() as hub:
        jobs = (client.file_parser.job(task_id=f"task-{number}") for number in range(options.over_http))
        async with hub.as_completed(jobs, timeout=PATIENCE, max_pending=AWAITED) as outcomes:
            expect(len([None async for _ in outcomes]), options.over_http)


def by_command(options: argparse.Namespace, base: str, place: Path) -> None:
    """Wait for all over HTTP with `asyncpoll run`."""
    lines = ({"endpoint": "bigmodel.file_parser", "ref": {"task_id": f"task-{n}"}} for n in range(options.over_http))
    (place / "jobs.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    command = [sys.executable, "-m", "asyncpoll", "run", str(place / "jobs.jsonl"), "-o", str(place / "results.jsonl")]
    environment = {**os.environ, "BIGMODEL_API_KEY": KEY, "BIGMODEL_BASE_URL": base}
    subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False)  # 1 when a job failed, as some do
    expect(len((place / "results.jsonl").read_text().splitlines()), options.over_http)


def megabytes(whose: int) -> float:
    """Return the most memory that this process, or one of its children, has taken."""
    return resource.getrusage(whose).ru_maxrss / 1024


def contestant(*, ledger: bool) -> rounds.Contestant:
    """Return what measures both runs, with or without a ledger."""

    def measure(options: argparse.Namespace) -> rounds.Figures:
        with tempfile.TemporaryDirectory(dir=options.directory) as name:
            place, begun = Path(name), time.perf_counter()
            asyncio.run(in_memory(options, place if ledger else None))
            figures = {SECONDS: time.perf_counter() - begun, MEGABYTES: megabytes(resource.RUSAGE_SELF)}
            with simulated() as base:
                begun = time.perf_counter()
                if ledger:
                    by_command(options, base, place)
                else:
                    asyncio.run(bare(options, base))
                figures[SECONDS_HTTP] = time.perf_counter() - begun
            if ledger:  # the largest child: the command line, or the simulator
                figures[MEGABYTES_HTTP] = megabytes(resource.RUSAGE_CHILDREN)
        return figures

    return measure


def main() -> None:
    """Let both take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.set_defaults(rounds=1)
    parser.add_argument("--references", type=int, default=1_000_000)
    parser.add_argument("--over-http", type=int, default=50_000)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    alone, remembered = "a hub alone", "with a ledger"
    results = rounds.take(options, {alone: contestant(ledger=False), remembered: contestant(ledger=True)})
    for figure in (SECONDS, MEGABYTES, SECONDS_HTTP):
        rounds.show(results, figure, baseline=alone)
    rounds.show([{remembered: each[remembered]} for each in results], MEGABYTES_HTTP, baseline=remembered)


if __name__ == "__main__":
    main()
