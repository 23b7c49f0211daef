"""Contestants take turns, round by round. What counts are the medians of their ratios.

Others may use the machine meanwhile. That hits all contestants of a round alike, so ratios within a round stay true
where times do not. `take` gives each a new process in every round. Where a figure comes quickly, `interleave` is
steadier: many short slices, for which the process of each contestant stays for some rounds. Not for all, since one
process may be a fifth slower than the next with the same code, from its first slice to its last.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager

Figures = dict[str, float]
Contestant = Callable[[argparse.Namespace], Figures]
Round = Mapping[str, Figures]

Slice = Callable[[], Awaitable[Figures]]
"""Measures once, briefly."""
Staying = Callable[[argparse.Namespace], AbstractAsyncContextManager[Slice]]
"""A contestant that stays: it makes itself ready once, and then measures as often as it is asked to."""

_PATIENCE = 1800  # seconds for one contestant in one round
_WARM_UPS = 2  # slices of a process that do not count
_STAY = 4  # rounds of slices that do


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--contestant", help=argparse.SUPPRESS)
    return made


def take(
    options: argparse.Namespace, contestants: Mapping[str, Contestant], pythons: Mapping[str, str] | None = None
) -> list[Round]:
    """Run every contestant once a round. In the process of a contestant, print its figures and do not return.

    Args:
        options: What `parser` made of the command line.
        contestants: Each measures itself.
        pythons: Those that are present and their interpreters; by default all, in this one.
    """
    if options.contestant:
        print(json.dumps(contestants[options.contestant](options)))
        raise SystemExit
    pythons = pythons or dict.fromkeys(contestants, sys.executable)
    return [{name: _in_own_process(name, python) for name, python in pythons.items()} for _ in range(options.rounds)]


def _in_own_process(name: str, python: str) -> Figures:
    command = [python, *sys.argv, "--contestant", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=_PATIENCE)
    figures: Figures = json.loads(done.stdout)
    return figures


def interleave(
    options: argparse.Namespace,
    contestants: Mapping[str, Staying],
    pythons: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> list[Round]:
    """Ask every contestant for one slice a round, in an order that is drawn anew; the first of a process do not count.

    In the process of a contestant, measure on demand and do not return.

    Args:
        options: What `parser` made of the command line.
        contestants: Each measures itself.
        pythons: Those that are present and their interpreters; by default all, in this one.
        arguments: What else the command line of their processes has.
    """
    if options.contestant:
        asyncio.run(_on_demand(contestants[options.contestant](options)))
        raise SystemExit
    pythons = pythons or dict.fromkeys(contestants, sys.executable)
    chance = random.Random(1)
    results: list[Round] = []
    while len(results) < options.rounds:
        with ExitStack() as exits:
            asking = {name: exits.enter_context(_staying(name, python, arguments)) for name, python in pythons.items()}
            for ask in [*asking.values()] * _WARM_UPS:
                ask()
            for _ in range(min(_STAY, options.rounds - len(results))):
                figures = {name: asking[name]() for name in chance.sample(list(asking), len(asking))}
                results.append({name: figures[name] for name in asking})
    return results


async def _on_demand(contestant: AbstractAsyncContextManager[Slice]) -> None:
    async with contestant as measure:
        for _ in sys.stdin:  # the event loop stands still meanwhile, so that nothing goes on between two slices
            gc.collect()
            print(json.dumps(await measure()), flush=True)


@contextmanager
def _staying(name: str, python: str, arguments: Sequence[str]) -> Generator[Callable[[], Figures], None, None]:
    """Start the process of a contestant, give what asks it for a slice, and have it end."""
    command = [python, *sys.argv, *arguments, "--contestant", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def ask() -> Figures:
            if process.stdin is None or process.stdout is None or process.poll() is not None:
                raise RuntimeError(f"{name} has ended")
            process.stdin.write("\n")
            figures: Figures = json.loads(process.stdout.readline())
            return figures

        yield ask


def show(rounds: Sequence[Round], figure: str, *, baseline: str) -> None:
    """Print one figure of every contestant that has it: its median, and the quartiles of its ratio to *baseline*."""
    print(f"\n{figure + ', median of ' + str(len(rounds)):52} {'':>10} {'ratio':>8}  quartiles")
    for name in [name for name, figures in rounds[0].items() if figure in figures]:
        median = statistics.median(figures[name][figure] for figures in rounds)
        ratios = [figures[name][figure] / figures[baseline][figure] for figures in rounds]
        line = f"{name:52} {median:10,.{1 if median >= 10 else 2}f} {statistics.median(ratios):8.3f}"
        if len(ratios) > 1:
            low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
            line += f"  {low:.3f} to {high:.3f}"
        print(line, flush=True)
