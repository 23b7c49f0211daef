"""`asyncpoll tune`: what other schedules would have cost a run that is over, on paper."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from asyncpoll._schedule import Exponential, Fixed, Jitter, Schedule
from asyncpoll.cli.exits import Exit
from asyncpoll.cli.grid import Grid
from asyncpoll.cli.output import say
from asyncpoll.cli.pacing import Cost, Sample
from asyncpoll.ledger import Reader
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.learning._plan import RandomSource

_FIXED = (1.0, 5.0, 15.0, 30.0)
_PRICES = (0.01, 0.03, 0.1)


def _jitter(random: RandomSource) -> Jitter:
    return lambda seconds: seconds * random()


def schedules(random: RandomSource) -> Mapping[str, Schedule]:
    """Return the schedules that are compared, by what a user would write."""
    blind = Exponential(jitter=_jitter(random))
    named: dict[str, Schedule] = {"Exponential()": blind}
    named |= {f"Fixed({interval:g})": Fixed(interval) for interval in _FIXED}
    named |= {f"Learned(price={price:g})": Learned(price=price, cold=blind, random=random) for price in _PRICES}
    return MappingProxyType(named)


def run(args: argparse.Namespace) -> int:
    """Replay the jobs of a ledger under each schedule."""
    with Reader(args.ledger) as reader:
        sample = Sample.of(reader.records())
    if not sample.jobs:
        raise ValueError(f"{args.ledger} has no job yet that was seen unfinished and then seen ended")
    costs = {"as it was": sample.really()}
    for name, schedule in schedules(Random(args.seed).random).items():
        costs[name] = sample.with_(schedule)
    for line in _table(costs).lines():
        say(line)
    say("")
    say(f"Over {len(sample.jobs):,} of the {sample.count:,} jobs that were seen to end. When exactly they did is not")
    say("known, only between which polls: delays are means over that. What learns is shown one job after the other.")
    return Exit.SUCCESS


def _table(costs: Mapping[str, Cost]) -> Grid:
    rows = tuple((name, f"{cost.calls:.2f}", f"{cost.delay:.2f}") for name, cost in costs.items())
    return Grid(("schedule", "polls a job", "delay in s"), "<>>", rows)
