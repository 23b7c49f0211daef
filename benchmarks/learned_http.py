"""What learning saves over real HTTP: calls counted by the server, delays by the server's own knowledge of each end.

    python benchmarks/learned_http.py [--rounds 5] [--jobs 200]

The jobs of BigModel's file parser take 1 to 30 s in the simulator, in one of four ways. A hub waits for a first batch,
which it may learn from, and then for a second, which counts. The hubs take turns, each with a simulator of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics

import rounds

from asyncpoll import Exponential, Hub, Learned, Schedule
from asyncpoll.providers import BigModel
from asyncpoll.simulator import Life, Simulator

ENDPOINT = "bigmodel.file_parser"
FIRST, SECOND = "first", "second"
CALLS = "calls a job, counted by the server"
DELAY = "seconds from the end of a job until it is known"
LATEST = "the same, 95th percentile"
BASELINE = "exponential"

DURATIONS = {
    "lognormal": lambda chance: min(30.0, chance.lognormvariate(1.6, 0.4)),
    "two modes": lambda chance: chance.choice((1.0, 12.0)) * chance.uniform(0.95, 1.05),
    "uniform": lambda chance: chance.uniform(2.0, 15.0),
    "near 8 s": lambda chance: chance.gauss(8.0, 0.2),
}
"""By name, how the seconds that a job takes are drawn."""


async def batch(sim: Simulator, hub: Hub, client: BigModel, names: list[str]) -> list[float]:
    """Wait for so many jobs that begin with their first poll; return the delays."""
    now = asyncio.get_running_loop().time
    delays: list[float] = []
    jobs = [client.file_parser.job(task_id=name) for name in names]
    async with hub.as_completed(jobs, timeout=120) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()
            delays.append(now() - sim.truth(ENDPOINT, outcome.job.ref.task_id).finished_at)
    return delays


async def measured(kind: str, schedule: Schedule, jobs: int) -> rounds.Figures:
    """Wait for two batches of jobs of one kind; return the figures of the second."""
    chance = random.Random(7)
    async with (
        Simulator(seed=1) as sim,
        BigModel("any", base_url=sim.url + "/api") as client,
        Hub(concurrency=2 * jobs, schedule=schedule) as hub,
    ):
        names = {which: [f"{which}-{number}" for number in range(jobs)] for which in (FIRST, SECOND)}
        for name in (*names[FIRST], *names[SECOND]):
            seconds = max(0.1, DURATIONS[kind](chance))
            sim.script(ENDPOINT, name, Life(pending=0.0, processing=seconds, outcome="succeeded"))
        await batch(sim, hub, client, names[FIRST])
        before = sim.polls
        delays = await batch(sim, hub, client, names[SECOND])
        calls = (sim.polls - before) / jobs
    return {CALLS: calls, DELAY: statistics.fmean(delays), LATEST: statistics.quantiles(delays, n=20)[-1]}


async def all_kinds(schedules: list[Schedule], jobs: int) -> rounds.Figures:
    """Return the means over all kinds of jobs, which are awaited at the same time."""
    kinds = zip(DURATIONS, schedules, strict=True)
    figures = await asyncio.gather(*(measured(kind, schedule, jobs) for kind, schedule in kinds))
    return {name: statistics.fmean(one[name] for one in figures) for name in (CALLS, DELAY, LATEST)}


def contestant(price: float | None) -> rounds.Contestant:
    """Return what measures a learned schedule at this price, or the exponential one."""

    def schedule() -> Schedule:
        return Exponential() if price is None else Learned(price=price, cold=Exponential())

    def measure(options: argparse.Namespace) -> rounds.Figures:
        return asyncio.run(all_kinds([schedule() for _ in DURATIONS], options.jobs))

    return measure


def main() -> None:
    """Let the schedules take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="in each of the two batches of each kind")
    options = parser.parse_args()
    contestants = {BASELINE: contestant(None)}
    contestants |= {f"learned, price {price:g}": contestant(price) for price in (0.03, 0.1)}
    results = rounds.take(options, contestants)
    for figure in (CALLS, DELAY, LATEST):
        rounds.show(results, figure, baseline=BASELINE)


if __name__ == "__main__":
    main()
