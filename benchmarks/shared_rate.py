"""Where a rate is too low for all: how late ends are known under one, in a real hub, in virtual time.

    python benchmarks/shared_rate.py [--waits 2000] [--seconds 3000] [--seeds 2] [--each] [--processes 2]

So many jobs are awaited at any time; when one ends another is submitted. A hub may poll a 25th of them a second, then a
40th. What counts are the delays in the last third of the time, as ratios to those of polling all in turn. The bound is
what no schedule can beat: the best plans, with all known, at the price that costs just as many calls.

The jobs are of four kinds (20 s, 2 or 60 s, 120 s, 240 s); with `--each`, of one kind at a time, for eight kinds with a
mean of 110 s. A target of one kind is its bound + 0.35, and never more than 1.10.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from statistics import fmean

from attrs import frozen
from durations import FURTHER, SUITE, Durations, lognormal, mixture
from table import Row

from asyncpoll import Endpoint, Exponential, Fixed, Hub, Job, Learned, Schedule, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

MIX = (
    lognormal(20, 0.4),
    mixture(lognormal(2, 0.1), lognormal(60, 0.1), name="bimodal"),
    lognormal(120, 0.4),
    lognormal(240, 0.4),
)
MEAN = 110.0
ONE_KIND = [
    (kind.scaled(MEAN / kind.mean),) for kind in (SUITE[1], SUITE[3], SUITE[5], SUITE[7], FURTHER[1], *FURTHER[3:])
]
WORLDS = [MIX, *ONE_KIND]
SHARES = (25, 40)
TARGETS = {25: 0.50, 40: 0.55}
LONGEST = 2.6  # waits by rate


@frozen
class Scene:
    """What is awaited.

    Attributes:
        world: The number of the world in `WORLDS`, of whose kinds of jobs each is as often.
        is_known: Whether the age of a job is known.
        share: One in so many is polled a second.
        waits: The jobs awaited at a time.
        seconds: Of virtual time.
        seed: For the durations.
    """

    world: int
    is_known: bool
    share: int
    waits: int
    seconds: float
    seed: int


class World:
    """Jobs that are submitted one after the other; of those whose age is not known, some ran before."""

    def __init__(self, scene: Scene) -> None:
        self.ends: dict[str, float] = {}
        self._is_known, self._kinds = scene.is_known, WORLDS[scene.world]
        self._chance = random.Random(scene.seed)
        self._transport = MemoryTransport(self._answer)
        self._endpoint: Endpoint[str, None] = Endpoint(
            "made.up",
            ask=lambda ref: Request("GET", ref, repeatable=True),
            read=lambda reply: Snapshot(State(reply.json)),
            predicts=lambda ref: ref.partition("/")[0],
        )

    def jobs(self) -> Iterator[Job[None]]:
        """Yield jobs without end."""
        for number in itertools.count():
            kind = self._chance.randrange(len(self._kinds))
            name, now = f"{kind}/{number}", asyncio.get_running_loop().time()
            duration = self._kinds[kind].draw(self._chance)
            job = self._endpoint.job(self._transport, name)
            if self._is_known:
                self.ends[name] = now + duration
                yield job.with_submitted_at(datetime.now(UTC))
            else:
                self.ends[name] = now + duration * self._chance.random()
                yield job

    def _answer(self, request: Request) -> Reply:
        ended = asyncio.get_running_loop().time() >= self.ends[request.path]
        return Reply(200, "success" if ended else "processing")


async def delays(scene: Scene, schedule: Schedule) -> tuple[float, float]:
    """Return the mean delay and the longest of those whose end is known in the last third of the time."""
    world, late = World(scene), list[float]()
    now = asyncio.get_running_loop().time
    async with Hub(concurrency=1000, rate=scene.waits / scene.share, schedule=schedule) as hub:
        run = hub.as_completed(world.jobs(), timeout=None, max_pending=scene.waits)
        async with run as outcomes:
            async for outcome in outcomes:
                if now() > scene.seconds:
                    break
                if now() > scene.seconds * 2 / 3:
                    late.append(now() - world.ends[outcome.job.ref])
    return fmean(late), max(late)


def compared(scene: Scene) -> tuple[float, float]:
    """Return the mean delay by that of polling in turn, and the longest one by the time that one turn takes."""
    learned = Learned(cold=Exponential(), max_interval=3600.0, random=random.Random(scene.seed).random)
    in_turn, _ = run_virtual(delays(scene, Fixed(15.0)))
    mean, longest = run_virtual(delays(scene, learned))
    return mean / in_turn, longest / scene.share


def bound(kinds: Sequence[Durations], share: int) -> float:
    """Return the least mean delay by half of a turn, for jobs of known age."""
    low, high = 0.01, 500.0
    for _ in range(20):
        price = (low * high) ** 0.5
        calls, delay = (fmean(costs) for costs in zip(*(kind.optimum(price) for kind in kinds), strict=True))
        there_are = (fmean(kind.mean for kind in kinds) + delay) / share
        low, high = (price, high) if calls > there_are else (low, price)
    return delay / (share / 2)


def report(number: int, name: str, scenes: Sequence[Scene], pool: ProcessPoolExecutor, target: float) -> None:
    """Print the rows of one scene, the mean over its seeds and the worst of them."""
    ratios, longest = zip(*pool.map(compared, scenes), strict=True)
    what = f"{name}, a {scenes[0].share}th a second"
    Row(number, f"{what}: mean delay by that in turn", fmean(ratios), target).show()
    Row(number, f"{what}: longest delay by waits/rate", max(longest), LONGEST).show()


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waits", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=3000.0, help="of virtual time")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--each", action="store_true", help="one kind of jobs at a time")
    options = parser.parse_args()
    scene = partial(Scene, waits=options.waits, seconds=options.seconds)
    seeds = range(1, options.seeds + 1)
    worlds = range(1, len(WORLDS)) if options.each else range(1)
    with ProcessPoolExecutor(options.processes) as pool:
        for world, share in itertools.product(worlds, SHARES):
            name = WORLDS[world][0].name.partition(" x ")[0] if world else "mix"
            least = bound(WORLDS[world], share)
            print(f"     {name}, a {share}th a second: the bound is {least:.2f}")
            target = min(1.10, least + 0.35) if options.each else TARGETS[share]
            report(1, name, [scene(world, True, share, seed=seed) for seed in seeds], pool, target)
            report(2, f"{name}, ages unknown", [scene(world, False, share, seed=seed) for seed in seeds], pool, 1.10)


if __name__ == "__main__":
    main()
