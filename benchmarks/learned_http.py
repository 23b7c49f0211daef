"""What learning saves over real HTTP: calls counted by the server, delays by the server's own knowledge of each end.

    python benchmarks/learned_http.py [--rounds 3] [--jobs 150]

The jobs of BigModel's file parser take 1 to 30 s in the simulator, in one of three ways. A hub waits for thirty jobs,
from which it may learn, and then for those that count, twenty at a time. Their delay is compared with that of the best
exponential schedule in hindsight at the same calls, as it is computed for jobs of this kind without any network. The
first poll, with which the simulator lets a job begin, is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from statistics import fmean

from durations import Durations, lognormal, mixture, uniform
from policies import exponential_family, growing, least_delay
from table import Row

from asyncpoll import Exponential, Hub, Learned
from asyncpoll.providers import BigModel
from asyncpoll.simulator import Life, Simulator

ENDPOINT = "bigmodel.file_parser"
TAUGHT, AT_A_TIME = 30, 20
PRICES = (0.03, 0.1)
TARGET = 0.55
KINDS = (
    lognormal(5.0, 0.4),
    mixture(uniform(0.95, 1.05), uniform(11.4, 12.6), name="two modes, 1 and 12 s"),
    uniform(10.0, 13.0),
)


async def batch(sim: Simulator, hub: Hub, client: BigModel, names: list[str]) -> list[float]:
    """Wait for so many jobs that begin with their first poll; return the delays."""
    now = asyncio.get_running_loop().time
    delays: list[float] = []
    jobs = [client.file_parser.job(task_id=name) for name in names]
    async with hub.as_completed(jobs, timeout=120, max_pending=AT_A_TIME) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()
            delays.append(now() - sim.truth(ENDPOINT, outcome.job.ref.task_id).finished_at)
    return delays


async def measured(kind: Durations, price: float, jobs: int, seed: int) -> tuple[float, float]:
    """Return the calls a job, without the first, and the mean delay in seconds once some were learned from."""
    chance = random.Random(seed)
    schedule = Learned(price=price, cold=Exponential(), random=random.Random(seed).random)
    async with (
        Simulator(seed=seed) as sim,
        BigModel("any", base_url=sim.url + "/api") as client,
        Hub(concurrency=2 * jobs, schedule=schedule) as hub,
    ):
        names = [f"job-{number}" for number in range(TAUGHT + jobs)]
        for name in names:
            sim.script(ENDPOINT, name, Life(pending=0.0, processing=kind.draw(chance), outcome="succeeded"))
        await batch(sim, hub, client, names[:TAUGHT])
        before = sim.polls
        delays = await batch(sim, hub, client, names[TAUGHT:])
        return (sim.polls - before) / jobs - 1, fmean(delays)


async def all_kinds(jobs: int, seed: int) -> list[tuple[float, float]]:
    """Return the figures of each kind and price; all are awaited at the same time."""
    return await asyncio.gather(*(measured(kind, price, jobs, seed) for kind in KINDS for price in PRICES))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=150, help="that count, of each kind")
    options = parser.parse_args()
    rounds = [asyncio.run(all_kinds(options.jobs, seed)) for seed in range(1, options.rounds + 1)]
    scenes = [(kind, price) for kind in KINDS for price in PRICES]
    for (kind, price), figures in zip(scenes, zip(*rounds, strict=True), strict=True):
        calls, delay = (fmean(each) for each in zip(*figures, strict=True))
        scale = kind.mean / 20
        family = [kind.cost(growing(*member)) for member in exponential_family(28, scale)]
        what = f"{kind.name}, price {price:g}, {calls:.1f} calls: best exponential"
        Row(1, what, delay / least_delay(family, calls), TARGET).show()


if __name__ == "__main__":
    main()
