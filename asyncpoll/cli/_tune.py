"""`asyncpoll tune`: compare the cost of a run with that of other schedules, on paper, or explain the polls of a job."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from asyncpoll._schedule import Exponential, Fixed, Jitter, Schedule
from asyncpoll.cli import Exit
from asyncpoll.cli._explained import explained
from asyncpoll.cli._output import Grid, columns_of_terminal, say
from asyncpoll.cli._pacing import Cost, Sample
from asyncpoll.ledger import Reader
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.learning._plan import RandomSource

_FIXED = (1.0, 5.0, 15.0, 30.0)
_PRICES = (0.01, 0.03, 0.1)


def _jitter(random: RandomSource) -> Jitter:
    return lambda seconds: seconds * random()


def schedules(random: RandomSource, price: float | None = None) -> Mapping[str, Schedule]:
    """Return the schedules that are compared, by what a user would write.

    Args:
        random: The source of jitter.
        price: A further price for the schedule that learns.
    """
    blind = Exponential(jitter=_jitter(random))
    named: dict[str, Schedule] = {"Exponential()": blind}
    named |= {f"Fixed({interval:g})": Fixed(interval) for interval in _FIXED}
    for each in sorted({*_PRICES, *(() if price is None else (price,))}):
        named[f"Learned(price={each:g})"] = Learned(price=each, cold=blind, random=random)
    return MappingProxyType(named)


def run(args: argparse.Namespace) -> int:
    """Replay the jobs of a ledger under each schedule, or explain when one of them is polled."""
    with Reader(args.ledger, accept_loss=args.accept_loss) as reader:
        if args.job is not None:
            for line in explained(reader, args.job, price=args.price, random=Random(args.seed).random):
                say(line)
            return Exit.SUCCESS
        sample = Sample.of(reader.records())
    if not sample.jobs:
        raise ValueError(f"{args.ledger} has no job yet that was seen unfinished and then seen ended; wait for some")
    costs = {"as it was": sample.actual_cost()}
    for name, schedule in schedules(Random(args.seed).random, args.price).items():
        costs[name] = sample.replay_cost(schedule)
    for line in _table(costs).within(columns_of_terminal()).lines():
        say(line)
    say("")
    say(f"Over {len(sample.jobs):,} of the {sample.count:,} jobs that were seen to end. A job ended at an unknown time")
    say("between two polls, so delays are means over that time. A schedule that learns sees one job after the other.")
    return Exit.SUCCESS


def _table(costs: Mapping[str, Cost]) -> Grid:
    rows = tuple((name, f"{cost.calls:.2f}", f"{cost.delay:.2f}") for name, cost in costs.items())
    return Grid(("schedule", "polls a job", "delay in s"), "<>>", rows)
