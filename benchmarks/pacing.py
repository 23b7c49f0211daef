"""What learning when to poll is worth, measured beside its targets.

    python benchmarks/pacing.py [--quick] [--processes 2] [--no-budget]

Durations are drawn from known distributions, so calls and delays of every schedule are exact expected values; only
what the learned schedule has seen is left to chance, and averaged over learners with seeds of their own. The poll at
the start of a wait, which all policies make, is not counted. Ratios are learned by other, of mean delay at the same
calls unless said otherwise; "worst" is the worst of the eight kinds of jobs. Of the families, fixed intervals and
exponential ones, that member counts which turns out best for the very distribution.

The full form takes some minutes. `--quick` has fewer learners and smaller families: good for a look, not for a verdict.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from random import Random

import shared_budget
from attrs import frozen
from durations import FURTHER, SUITE, Cost, Durations
from hub_pacing import own_cost, poisoned, through_the_day
from policies import (
    SHIPPED,
    between,
    exponential_family,
    fixed,
    fixed_family,
    geometric,
    growing,
    least_calls,
    least_delay,
    mean_cost,
    taught,
)
from table import Row
from two_phases import phase_costs

PRICE = 0.03
KINDS = [*SUITE, *FURTHER]
CHECKS = (0, 10, 30, 100)
FRONTIER = (0.0006, 0.002, 0.006, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
FLEET_PRICES = (0.01, 0.03, 0.1)
FLEET_SCALES = (0.1, 1.0, 30.0)


@frozen
class Effort:
    """How much is measured: learners, also at each of many prices, and members of the two families."""

    learners: int
    frontier_learners: int
    fixed: int
    exponential: int


FULL, QUICK = Effort(32, 10, 300, 28), Effort(6, 2, 60, 10)


@frozen
class Study:
    """All that is measured of one kind of jobs."""

    name: str
    median: float
    fixed: Sequence[Cost]
    exponential: Sequence[Cost]
    told: dict[int, Cost]
    seen: dict[int, Cost]
    frontier: Sequence[Cost]
    shipped: dict[str, Cost]
    optimum: Cost

    def learned(self, feedback: str, jobs: int) -> Cost:
        """Return the cost after so many jobs whose durations were told, or seen by polls alone."""
        return (self.told if feedback == "told" else self.seen)[jobs]

    def price_of(self, cost: Cost) -> float:
        """Return a cost by the least possible, with a call worth 3 % of the median."""
        worth = PRICE * self.median
        return (worth * cost[0] + cost[1]) / (worth * self.optimum[0] + self.optimum[1])


def study(number: int, effort: Effort) -> Study:
    """Measure one kind of jobs."""
    kind, learners = KINDS[number], effort.learners
    return Study(
        kind.name,
        kind.median,
        [kind.cost(fixed(interval)) for interval in fixed_family(effort.fixed)],
        [kind.cost(growing(*member)) for member in exponential_family(effort.exponential)],
        taught(kind, CHECKS, learners, exact=True),
        taught(kind, CHECKS, learners, exact=False),
        [taught(kind, [100], effort.frontier_learners, exact=True, price=price)[100] for price in FRONTIER],
        {
            name: mean_cost([kind.cost(policy(Random(n))) for n in range(2 * learners)])
            for name, policy in SHIPPED.items()
        },
        kind.optimum(PRICE * kind.median),
    )


def mean_and_worst(number: int, what: str, ratios: Sequence[float], mean: float, worst: float) -> list[Row]:
    """Return a row for the geometric mean of ratios, and one for the worst of them."""
    return [Row(number, what, geometric(ratios), mean), Row(number, f"{what}, worst", max(ratios), worst)]


def by_family(studies: Sequence[Study]) -> Iterable[Row]:
    """Give the rows that compare with what hindsight would have chosen, and with the best plan."""
    for number, feedback, jobs, mean, worst in (
        (1, "told", 30, 0.60, 1.10),
        (1, "told", 100, 0.55, 1.05),
        (2, "seen", 30, 0.65, 1.25),
        (2, "seen", 100, 0.60, 1.10),
    ):
        ratios = [by_best(one.exponential, one.learned(feedback, jobs)) for one in studies]
        yield from mean_and_worst(number, f"best exponential, {jobs} jobs, durations {feedback}", ratios, mean, worst)
    ratios = [by_best(one.fixed, one.told[30]) for one in studies]
    yield from mean_and_worst(5, "best fixed interval, 30 jobs, durations told", ratios, 0.75, 1.25)
    for feedback, jobs, target in (("told", 30, 1.12), ("told", 100, 1.10), ("seen", 30, 1.20), ("seen", 100, 1.15)):
        costs = geometric([one.price_of(one.learned(feedback, jobs)) for one in studies])
        yield Row(6, f"cost by that of the best plan, {jobs} jobs, durations {feedback}", costs, target)
    beginner, google = (
        geometric([one.price_of(cost(one)) for one in studies])
        for cost in (lambda one: one.told[0], lambda one: one.shipped["google-api-core"])
    )
    yield Row(7, "cost of a beginner by that of the best plan; of google-api-core", beginner, google)
    ratios = [by_best(one.exponential, one.told[10]) for one in studies]
    yield Row(7, "best exponential, 10 jobs, durations told", geometric(ratios), 0.70)


def by_best(family: Sequence[Cost], cost: Cost) -> float:
    """Return a delay by the least of a family that makes no more calls."""
    return cost[1] / least_delay(family, cost[0])


def as_shipped(studies: Sequence[Study]) -> Iterable[Row]:
    """Give the rows that compare with what is in use; learned from 100 jobs whose durations were told."""
    for name, target in (("google-api-core", 0.25), ("Smithy", 0.20), ("Terraform", 0.30)):
        ratios = [between(one.frontier, one.shipped[name][0]) / one.shipped[name][1] for one in studies]
        yield from mean_and_worst(3, f"{name} as shipped", ratios, target, 0.65)
        calls = [between(one.frontier, one.shipped[name][1], by_delay=True) / one.shipped[name][0] for one in studies]
        yield Row(3, f"{name} as shipped, calls at the same delay", geometric(calls), 0.40)


def fleet_member(member: tuple[int, float], effort: Effort) -> tuple[list[Cost], list[Cost]]:
    """Return the costs of one endpoint of a fleet: learned, and by exponential schedules."""
    kind = KINDS[member[0]].scaled(member[1])
    learners = max(2, effort.learners // 5)
    learned = [taught(kind, [30], learners, exact=True, price=price)[30] for price in FLEET_PRICES]
    grid = product((0.1, 0.2, 0.5, 1, 2, 5, 10), (1.15, 1.25, 1.5, 2, 3), (5, 10, 20, 30, 60, 120))
    exponential = [kind.cost(growing(*one)) for one in grid if one[2] >= 2 * one[0]]
    return relative(learned, kind), relative(exponential, kind)


def relative(costs: Sequence[Cost], kind: Durations) -> list[Cost]:
    """Return calls, and delays by the mean duration."""
    return [(calls, delay / kind.mean) for calls, delay in costs]


def fleet(pool: ProcessPoolExecutor, effort: Effort) -> Iterable[Row]:
    """Give the rows of one configuration for 24 endpoints, whose jobs take from 2 s to 10 min."""
    members = list(pool.map(partial(fleet_member, effort=effort), product(range(len(SUITE)), FLEET_SCALES)))
    learned, exponential = (
        [mean_cost(of_all) for of_all in zip(*costs, strict=True)] for costs in zip(*members, strict=True)
    )
    for price, (calls, delay) in zip(FLEET_PRICES, learned, strict=True):
        name = f"mixed fleet, price {price:g}: best single exponential"
        yield Row(4, f"{name}, relative delay", delay / least_delay(exponential, calls), 0.25)
        fewest = least_calls(exponential, delay)
        if fewest < math.inf:
            yield Row(4, f"{name}, calls at the same delay", calls / fewest, 0.30)


def two_phases(effort: Effort) -> Iterable[Row]:
    """Give the rows of jobs that are seen to be pending and processing."""
    blind, told, seen = phase_costs(jobs=200 * effort.learners, learners=max(2, effort.learners // 4))
    yield Row(9, "phases visible, start told: cost by that of the best plan that does not see them", told / blind, 0.75)
    yield Row(9, "phases visible, start seen: likewise", seen / blind, 0.75)


def further(studies: Sequence[Study]) -> None:
    """Print what comes out for kinds of jobs that the targets do not speak of."""
    print("\nfurther kinds of jobs, 30 jobs:       calls  delay |  by best exp  by best fixed   cost by best plan's")
    for one in studies:
        for feedback in ("told", "seen"):
            calls, delay = one.learned(feedback, 30)
            exponential, interval = least_delay(one.exponential, calls), least_delay(one.fixed, calls)
            print(
                f"  {one.name:27} {feedback:6} {calls:6.2f} {delay:6.2f} | {delay / exponential:12.2f} "
                f"{delay / interval:14.2f} {one.price_of((calls, delay)):19.2f}"
            )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer learners and smaller families")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--no-budget", action="store_true", help="without the shared budget, which takes longest")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    print(f"row  {'learned by':76} {'measured':>8} {'target':>8}")
    with ProcessPoolExecutor(options.processes) as pool:
        studies = list(pool.map(partial(study, effort=effort), range(len(SUITE))))
        rows = [*by_family(studies), *as_shipped(studies), *fleet(pool, effort), *two_phases(effort)]
        for row in sorted([*rows, *own_cost(), *poisoned(effort.learners)], key=lambda row: row.number):
            row.show()
        further(list(pool.map(partial(study, effort=effort), range(len(SUITE), len(KINDS)))))
        print()
        for row in through_the_day(effort.learners):
            row.show()
        if not options.no_budget:
            for what, measured, target in shared_budget.measured(pool, quick=options.quick):
                Row(8, what, measured, target).show()


if __name__ == "__main__":
    main()
