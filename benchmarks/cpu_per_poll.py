"""CPU per poll, ours beside a hand-written aiohttp loop and beside peers, over the same server in another process.

    python benchmarks/cpu_per_poll.py [--rounds 40] [--jobs 200] [--in-flight 100] [--environment DIR]

With `--environment` the peers take part; they are installed into a virtual environment of their own in DIR, made on
demand. One that cannot be installed is named and left out. Every job takes five polls. In each round every contestant
sees so many jobs through, over connections that stay open. Printed are the medians of the CPU time (user and system,
all threads) of each contestant's process, and of its ratio to the hand-written loop of the same round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import peers
import rounds
import server
from drive import CPU_PER_POLL, KEY, POLLS_PER_JOB, AtOnce, SeeThrough, Work, cpu_slices, in_flight, path_of

BASELINE = "hand-written aiohttp"


@asynccontextmanager
async def hand_written(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
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

        yield lambda names: in_flight(count, names, one)


@asynccontextmanager
async def single_waits(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
    """Wait for each job of the file parser in a task of its own, with everything switched on."""
    from asyncpoll.providers import BigModel  # noqa: PLC0415

    async with BigModel(KEY, base_url=base) as client:

        async def one(name: str) -> object:
            return await client.file_parser.job(task_id=name).result(timeout=600, schedule=AtOnce())

        yield lambda names: in_flight(count, names, one)


@asynccontextmanager
async def lent_session(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
    """Fetch every status over the session path, with a lent session that holds as many connections."""
    import aiohttp  # noqa: PLC0415  each contestant imports only its own

    from asyncpoll.http import AiohttpTransport, Bearer, Request  # noqa: PLC0415

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=count)) as session,
        AiohttpTransport(base, auth=Bearer(KEY), session=session, connections=count) as transport,
    ):

        async def one(name: str) -> object:
            while True:
                reply = await transport.send(Request("GET", path_of(name), repeatable=True))
                if reply.json["status"] == "succeeded":
                    return reply

        yield lambda names: in_flight(count, names, one)


@asynccontextmanager
async def hub(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
    """Wait for all jobs of the file parser in one hub, with everything switched on."""
    from asyncpoll import Hub  # noqa: PLC0415
    from asyncpoll.providers import BigModel  # noqa: PLC0415

    async with BigModel(KEY, base_url=base) as client, Hub(concurrency=count) as waiting:

        async def see_through(names: Sequence[str]) -> None:
            jobs = [client.file_parser.job(task_id=name) for name in names]
            async with waiting.as_completed(jobs, timeout=600, schedule=AtOnce()) as outcomes:
                async for outcome in outcomes:
                    outcome.unwrap()

        yield see_through


OURS: dict[str, Work] = {
    BASELINE: hand_written,
    "asyncpoll, one task per wait": single_waits,
    "asyncpoll Hub": hub,
    "asyncpoll, session path": lent_session,
}


def cpu_per_poll(work: Work) -> rounds.Staying:
    """Return what measures the CPU time of *work* per poll."""
    return lambda options: cpu_slices(work(options.base, options.in_flight), options.jobs)


def main() -> None:
    """Let the contestants take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.set_defaults(rounds=40)
    parser.add_argument("--jobs", type=int, default=200, help="of each contestant in a round")
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--environment", type=Path, help="where the peers are installed; without it they stay away")
    parser.add_argument("--base", help=argparse.SUPPRESS)
    options = parser.parse_args()
    pythons = dict.fromkeys(OURS, sys.executable)
    if options.environment and not options.contestant:
        pythons |= peers.installed(options.environment)
    contestants = {name: cpu_per_poll(work) for name, work in (OURS | peers.PEERS).items()}
    if options.contestant:
        rounds.interleave(options, contestants)
    with server.serving(POLLS_PER_JOB) as base:
        results = rounds.interleave(options, contestants, pythons, ["--base", base])
    rounds.show(results, CPU_PER_POLL, baseline=BASELINE)


if __name__ == "__main__":
    main()
