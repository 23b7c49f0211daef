"""What is learned within one batch, and what is believed of jobs however they were polled.

    python benchmarks/batch.py [--quick] [--processes 2]

A hub awaits a batch of jobs that have the age 0 when they are submitted: a tenth of them at a time, or all at once. It
has learned nothing before; only polls show that a job has ended, and what is learned from the first jobs of the batch
serves the others. Delays are compared with those of the best exponential schedule in hindsight at the same calls, over
twelve kinds of jobs. One kind, whose ends come at every 5 s, is left out: the best of its family waits for just that,
which no poll can show.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from random import Random
from statistics import fmean

from durations import FURTHER, SUITE, Cost, Durations
from policies import exponential_family, geometric, growing, least_delay, mean_cost, taught
from table import Row

from asyncpoll import Endpoint, History, Hub, Job, Learned, Progress, Snapshot
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

KINDS = [*SUITE, *FURTHER[:4]]
TRIMODAL, QUANTISED = FURTHER[3], FURTHER[4]
SIZES = (10, 30, 100)
PRICE = 0.03


class Server:
    """A server in virtual time that knows when its jobs end, and counts the polls of jobs that have begun."""

    def __init__(self, kind: Durations, seed: str) -> None:
        self._kind, self._chance = kind, Random(seed)
        self.calls = 0
        self.times: dict[str, tuple[float, float]] = {}  # when each job began and ended
        transport = MemoryTransport(self._answer)
        self._endpoint: Endpoint[str, None] = Endpoint(
            "made.up", ask=lambda ref: Request("GET", ref), read=lambda reply: Snapshot(reply.json)
        )
        self._job = partial(self._endpoint.job, transport)

    def submitted(self, count: int) -> Iterator[Job[None]]:
        """Yield so many jobs, each submitted when it is asked for."""
        for number in range(count):
            now = asyncio.get_running_loop().time()
            self.times[f"{number}"] = now, now + max(0.0, self._kind.draw(self._chance))
            yield self._job(f"{number}").with_submitted_at(datetime.now(UTC))

    def _answer(self, request: Request) -> Reply:
        (began, ended), now = self.times[request.path], asyncio.get_running_loop().time()
        self.calls += now > began  # the poll at age 0, which all policies make alike, is not counted
        return Reply(200, "success" if now >= ended else "processing")


def batch(number: int, size: int, at_once: int, seed: int) -> Cost:
    """Return the mean calls and the mean delay of a batch of one kind of jobs."""
    server = Server(KINDS[number], f"{KINDS[number].name} {size} {seed}")

    async def wait() -> float:
        late, now = 0.0, asyncio.get_running_loop().time
        async with (
            Hub(concurrency=size, schedule=Learned(random=Random(seed).random)) as hub,
            hub.as_completed(server.submitted(size), timeout=None, max_pending=at_once) as outcomes,
        ):
            async for outcome in outcomes:
                late += now() - server.times[outcome.job.ref][1]
        return late

    late = run_virtual(wait())
    return server.calls / size, late / size


def of_kind(number: int, rounds: int) -> dict[tuple[str, int], float]:
    """Return the delays of batches of one kind by those of the best exponential schedule."""
    family = [KINDS[number].cost(growing(*member)) for member in exponential_family(14)]
    found = {}
    for size in SIZES:
        for name, at_once in (("a tenth at a time", max(1, size // 10)), ("all at once", size)):
            costs = [batch(number, size, at_once, seed) for seed in range(max(2, rounds * 10 // size))]
            calls, delay = mean_cost(costs)
            found[name, size] = delay / least_delay(family, calls)
    return found


def batches(pool: ProcessPoolExecutor, rounds: int) -> Iterator[Row]:
    """Yield the rows of batches."""
    kinds = list(pool.map(partial(of_kind, rounds=rounds), range(len(KINDS))))
    targets = {10: 1.10, 30: 0.85, 100: 0.70}
    for name, size in kinds[0]:
        ratios = [kind[name, size] for kind in kinds]
        target = targets[size] if name.startswith("a tenth") else 1.3
        yield Row(1, f"a batch of {size}, {name}: best exponential", geometric(ratios), target)
        if size == SIZES[-1] and name.startswith("a tenth"):
            yield Row(1, f"a batch of {size}, {name}: best exponential, worst", max(ratios), 1.25)


def medians(seeds: int) -> Iterator[Row]:
    """Yield how far the believed median of 300 jobs is from the true one, however they were polled."""
    ways: dict[str, Callable[[Learned, float], float]] = {
        "every second": lambda _, age: age + 1.0,
        "every 4 s": lambda _, age: age + 4.0,
        "by the plan": lambda one, age: age + one.delay(Progress(2, age, state="processing", in_state=age)),
        "at 2 s, then at 30 s": lambda _, age: max(30.0, 2 * age) if age else 2.0,
    }
    for name, poll in ways.items():
        for resumed in (False, True):
            errors = [abs(math.log(believed(poll, seed, resumed=resumed))) for seed in range(seeds)]
            what = f"median of 300 jobs polled {name}{', from their records' if resumed else ''}: error"
            yield Row(2, what, math.expm1(fmean(errors)), 0.3 if "30" in name else 0.15)


def believed(poll: Callable[[Learned, float], float], seed: int, *, resumed: bool) -> float:
    """Return the median that is believed by the true one."""
    chance, learned = Random(f"median {seed}"), Learned(random=Random(seed).random)
    durations = [5.3 * math.exp(0.6 * chance.gauss(0, 1)) for _ in range(300)]
    for duration in durations:
        seen = 0.0
        while (age := poll(learned, seen)) < duration:
            learned.look(seen, age)
            seen = age
        learned.observe(seen, age, during=(0.0, age))
    if resumed:
        learned.settle()
        learned = Learned(history=History.from_json(learned.history.to_json()))
    return learned.survival().age_at(0.5) / sorted(durations)[len(durations) // 2]


def structured(learners: int) -> Iterator[Row]:
    """Yield the costs of two kinds with narrow modes by those of the best plan."""
    for kind, exact, targets in ((TRIMODAL, False, (1.35, 1.20)), (QUANTISED, True, (1.6, 1.4))):
        worth = PRICE * kind.median
        least = _cost(worth, kind.optimum(worth))
        costs = taught(kind, (30, 100), learners, exact=exact)
        for (jobs, cost), target in zip(costs.items(), targets, strict=True):
            feedback = "told" if exact else "seen"
            yield Row(3, f"{kind.name}, {jobs} jobs, {feedback}: best plan", _cost(worth, cost) / least, target)


def _cost(worth: float, cost: Sequence[float]) -> float:
    return worth * cost[0] + cost[1]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer batches and learners")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    print(f"row  {'learned by':76} {'measured':>8} {'target':>8}")
    rounds = 10 if options.quick else 60
    for row in medians(seeds=3 if options.quick else 8):
        row.show()
    for row in structured(learners=6 if options.quick else 32):
        row.show()
    with ProcessPoolExecutor(options.processes) as pool:
        for row in batches(pool, rounds):
            row.show()


if __name__ == "__main__":
    main()
