"""Where a rate is too low for all: how late ends are known under one, in a real hub, in virtual time.

    python benchmarks/shared_rate.py [--rounds 5] [--waits 2000] [--seconds 3000]

So many jobs of four kinds (20 s, 2 or 60 s, 120 s, 240 s) are awaited at any time; when one ends another begins. A hub
may poll a 25th of them a second, then a 40th; each job takes two polls at least, at its start and after its end. The
delays of the last third of the time are what counts. A fixed interval with a queue, which polls them in turn, is the
baseline.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Callable, Iterator

import rounds

from asyncpoll import Endpoint, Exponential, Fixed, Hub, Job, Learned, Schedule, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

KINDS: dict[str, Callable[[random.Random], float]] = {
    "twenty": lambda chance: 20 * math.exp(0.4 * chance.gauss()),
    "two modes": lambda chance: chance.choice((2.0, 60.0)) * math.exp(0.1 * chance.gauss()),
    "two minutes": lambda chance: 120 * math.exp(0.4 * chance.gauss()),
    "four minutes": lambda chance: 240 * math.exp(0.4 * chance.gauss()),
}
SHARES = (25, 40)
BASELINE = "fixed interval, in turn"


def mean(share: int) -> str:
    """Return the name of the figure."""
    return f"mean delay in s, with a {share}th of the waits polled a second"


class World:
    """Jobs that begin when they are first asked for."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self._chance = random.Random(11)
        self._transport = MemoryTransport(self._answer)
        self._endpoint: Endpoint[str, None] = Endpoint(
            "made.up",
            ask=lambda ref: Request("GET", ref, repeatable=True),
            read=lambda reply: Snapshot(State(reply.json)),
            predicts=lambda ref: ref.partition("/")[0],
        )

    def jobs(self) -> Iterator[Job[None]]:
        """Yield jobs without end."""
        number = 0
        while True:
            number += 1
            yield self._endpoint.job(self._transport, f"{self._chance.choice(tuple(KINDS))}/{number}")

    def _answer(self, request: Request) -> Reply:
        now, name = asyncio.get_running_loop().time(), request.path
        if name not in self.ends:
            self.ends[name] = now + KINDS[name.partition("/")[0]](self._chance)
        return Reply(200, "success" if now >= self.ends[name] else "processing")


async def delay(hub_schedule: Schedule, schedule: Schedule, options: argparse.Namespace, share: int) -> float:
    """Return the mean delay of those whose end is known in the last third of the time."""
    world, late = World(), []
    now = asyncio.get_running_loop().time
    async with Hub(concurrency=1000, rate=options.waits / share, schedule=hub_schedule) as hub:
        run = hub.as_completed(world.jobs(), timeout=None, max_pending=options.waits, schedule=schedule)
        async with run as outcomes:
            async for outcome in outcomes:
                if now() > options.seconds:
                    break
                if now() > options.seconds * 2 / 3:
                    late.append(now() - world.ends[outcome.job.ref])
    return statistics.fmean(late)


def contestant(make: Callable[[], tuple[Schedule, Schedule]]) -> rounds.Contestant:
    """Return what measures the schedules that *make* makes: the hub's own, and that of its waits."""

    def measure(options: argparse.Namespace) -> rounds.Figures:
        return {mean(share): run_virtual(delay(*make(), options, share)) for share in SHARES}

    return measure


def shared() -> tuple[Schedule, Schedule]:
    """Return one learned schedule for the hub, which then sets the price of a call."""
    learned = Learned(cold=Exponential(), max_interval=3600.0)
    return learned, learned


CONTESTANTS = {
    BASELINE: lambda: (Fixed(15.0), Fixed(15.0)),
    "exponential": lambda: (Exponential(), Exponential()),
    "learned, each at its own price": lambda: (Fixed(15.0), Learned(cold=Exponential(), max_interval=3600.0)),
    "learned, at one shared price": shared,
}


def main() -> None:
    """Let the schedules take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.add_argument("--waits", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=3000.0, help="of virtual time")
    options = parser.parse_args()
    results = rounds.take(options, {name: contestant(make) for name, make in CONTESTANTS.items()})
    for share in SHARES:
        rounds.show(results, mean(share), baseline=BASELINE)


if __name__ == "__main__":
    main()
