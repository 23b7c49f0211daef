"""How evenly the polls of jobs that come together are spread, in virtual time.

    python benchmarks/spread.py [--rounds 5] [--jobs 100000] [--interval 30]

Jobs that never finish enter a hub at the same moment. After three intervals the polls of one more interval are counted
in bins of 10 ms. The ratio is that of the busiest bin to the mean; were each poll thrown in by chance, the busiest of
3,000 bins with a mean of 33 would come to about 1.7, and without any spreading it would be the number of bins.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable

import rounds

from asyncpoll import Exponential, Fetch, Fixed, Hub, Schedule, Snapshot, State
from asyncpoll._schedule import full_jitter
from asyncpoll.testing import run_virtual

BIN = 0.01
MEAN = "polls in 10 ms, mean"
BUSIEST = "polls in 10 ms, busiest"
RATIO = "busiest 10 ms by the mean"
BASELINE = "fixed, without jitter"


async def polls_by_bin(jobs: int, interval: float, schedule: Schedule) -> Counter[int]:
    """Return the polls of the fourth interval, by bin."""
    loop = asyncio.get_running_loop()
    bins: Counter[int] = Counter()
    unfinished = Snapshot[None](State.PROCESSING, "processing")

    def job() -> Fetch[None]:
        async def fetch() -> Snapshot[None]:
            bins[int((loop.time() - 3 * interval) / BIN)] += loop.time() >= 3 * interval
            return unfinished

        return fetch

    async with (
        Hub(concurrency=100) as hub,
        hub.as_completed([job() for _ in range(jobs)], timeout=10 * interval, schedule=schedule),
    ):
        await asyncio.sleep(4 * interval)
    return bins


def unevenness(schedule_for: Callable[[float], Schedule]) -> rounds.Contestant:
    """Return what measures the schedule that *schedule_for* makes for an interval."""

    def measure(options: argparse.Namespace) -> rounds.Figures:
        bins = run_virtual(polls_by_bin(options.jobs, options.interval, schedule_for(options.interval)))
        mean = bins.total() * BIN / options.interval
        return {MEAN: mean, BUSIEST: max(bins.values()), RATIO: max(bins.values()) / mean}

    return measure


CONTESTANTS: dict[str, Callable[[float], Schedule]] = {
    BASELINE: Fixed,
    "fixed, with jitter": lambda interval: Fixed(interval, jitter=full_jitter),
    "exponential, up to the interval": lambda interval: Exponential(maximum=interval),
}


def main() -> None:
    """Let the schedules take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--interval", type=float, default=30.0, help="seconds between two polls of a job")
    options = parser.parse_args()
    results = rounds.take(options, {name: unevenness(schedule_for) for name, schedule_for in CONTESTANTS.items()})
    for figure in (MEAN, BUSIEST, RATIO):
        rounds.show(results, figure, baseline=BASELINE)


if __name__ == "__main__":
    main()
