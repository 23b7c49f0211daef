"""How long an event loop keeps others waiting while ten thousand waits go on in it.

    python benchmarks/loop_lag.py [--rounds 5] [--jobs 10000] [--in-flight 100] [--interval 4]

The jobs are polled over HTTP, at a server in another process; each takes five polls. Beside them runs a probe that
wants to be woken every 5 ms, and notes how late it is. An idle loop shows what the machine itself adds, ten thousand
tasks that each poll by hand what people do without a hub.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Awaitable, Callable

import rounds
import server
from drive import KEY, path_of

POLLS_PER_JOB = 5
TICK = 0.005
USUAL = "lag of the loop in ms, median"
LATE = "lag of the loop in ms, 99.9th percentile"
WORST = "lag of the loop in ms, worst"
BASELINE = "hand-written aiohttp, one task per job"

Work = Callable[[str, argparse.Namespace], Awaitable[None]]


async def probe(lags: list[float]) -> None:
    """Note how late every tick is, in seconds, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK
        await asyncio.sleep(TICK)
        lags.append(loop.time() - due)


async def hand_written(base: str, options: argparse.Namespace) -> None:
    """Get, decode, compare, sleep, in a task for each job."""
    import aiohttp  # noqa: PLC0415  each contestant imports only its own

    connector = aiohttp.TCPConnector(limit=options.in_flight)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, connector=connector) as session:

        async def one(name: str) -> object:
            while True:
                async with session.get(base + path_of(name)) as response:
                    payload = await response.json()
                if payload["status"] == "succeeded":
                    return payload
                await asyncio.sleep(options.interval)

        await asyncio.gather(*(one(f"task-{number}") for number in range(options.jobs)))


async def hub(base: str, options: argparse.Namespace) -> None:
    """Wait for all jobs in one hub, with everything switched on."""
    from asyncpoll import Fixed, Hub  # noqa: PLC0415
    from asyncpoll.providers import BigModel  # noqa: PLC0415

    async with (
        BigModel(KEY, base_url=base) as client,
        Hub(concurrency=options.in_flight, schedule=Fixed(options.interval)) as waiting,
    ):
        jobs = [client.file_parser.job(task_id=f"task-{number}") for number in range(options.jobs)]
        async with waiting.as_completed(jobs, timeout=600) as outcomes:
            async for outcome in outcomes:
                outcome.unwrap()


async def idle(_base: str, options: argparse.Namespace) -> None:
    """Do nothing for as long as the others take at least."""
    await asyncio.sleep(POLLS_PER_JOB * options.interval)


async def lag(work: Work, options: argparse.Namespace) -> rounds.Figures:
    """Run *work* with the probe beside it, and return how late the probe was."""
    lags: list[float] = []
    with server.serving(POLLS_PER_JOB) as base:
        probing = asyncio.create_task(probe(lags))
        await work(base, options)
        probing.cancel()
    percentiles = statistics.quantiles(lags, n=1000)
    return {USUAL: percentiles[499] * 1e3, LATE: percentiles[998] * 1e3, WORST: max(lags) * 1e3}


def beside(work: Work) -> rounds.Contestant:
    """Return what measures the lag beside *work*."""
    return lambda options: asyncio.run(lag(work, options))


def main() -> None:
    """Let the contestants take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--interval", type=float, default=4.0, help="seconds between two polls of a job")
    options = parser.parse_args()
    contestants = {BASELINE: hand_written, "asyncpoll Hub": hub, "an idle loop": idle}
    results = rounds.take(options, {name: beside(work) for name, work in contestants.items()})
    for figure in (USUAL, LATE, WORST):
        rounds.show(results, figure, baseline=BASELINE)


if __name__ == "__main__":
    main()
