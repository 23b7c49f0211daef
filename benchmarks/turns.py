"""Contestants take turns: round by round, each in a process of its own. What counts are the medians of their ratios.

Others may use the machine meanwhile. That hits all contestants of a round alike, so ratios within a round stay true
where times do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

Figures = dict[str, float]
Contestant = Callable[[argparse.Namespace], Figures]
Round = Mapping[str, Figures]

_PATIENCE = 1800  # seconds for one contestant in one round


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


def show(rounds: Sequence[Round], figure: str, *, baseline: str) -> None:
    """Print the median of one figure for every contestant that has it, and of its ratio to *baseline*."""
    print(f"\n{figure + ', median of ' + str(len(rounds)):52} {'':>10} {'ratio':>8}")
    for name in [name for name, figures in rounds[0].items() if figure in figures]:
        median = statistics.median(figures[name][figure] for figures in rounds)
        ratio = statistics.median(figures[name][figure] / figures[baseline][figure] for figures in rounds)
        print(f"{name:52} {median:10,.{1 if median >= 10 else 2}f} {ratio:8.2f}", flush=True)
