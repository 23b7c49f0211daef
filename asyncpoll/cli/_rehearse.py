"""`asyncpoll rehearse`: a bulk run against a server made of the definition, in virtual time."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import asdict

from asyncpoll._schedule import Fixed
from asyncpoll.cli import Exit
from asyncpoll.cli._draft import text_in
from asyncpoll.cli._output import counted, duration, say, say_json
from asyncpoll.clients._resolution import definition_of, several
from asyncpoll.definitions import Rehearsal, rehearse

_OPTIONS = frozenset({"timeout", "rate", "concurrency", "price", "arrivals", "seed"})
_DAY = 86_400.0


def run(args: argparse.Namespace) -> int:
    """Print what a run would cost, and how soon it would know that jobs have ended.

    Raises:
        ValueError: The definition or the file of durations cannot be used.
        OSError: One of them cannot be read.
    """
    given: dict[str, Any] = {"timeout": _DAY, **{name: value for name, value in vars(args).items() if name in _OPTIONS}}
    if "interval" in vars(args) and args.interval is not None:
        given["schedule"] = Fixed(args.interval)
    definition = definition_of(args.file)
    if len(definition.spec.endpoints) > 1:
        raise several(definition)
    rehearsal = rehearse(definition, durations=_durations(args.durations), outage=args.outage, **given)
    if args.json:
        say_json(asdict(rehearsal))
    for name, text in () if args.json else _rows(rehearsal):
        say(f"{name:<19}  {text}")
    return Exit.SUCCESS


def _durations(path: Path) -> list[float]:
    """Return the numbers in the first column of a file; a first line without a number is a header."""
    cells = [line.partition(",")[0].strip() for line in text_in(path).splitlines()]
    found: list[float] = []
    for number, cell in enumerate(cells, 1):
        try:
            seconds = float(cell) if cell else None
        except ValueError:
            seconds = math.nan if number > 1 else None
        if seconds is not None and not 0 <= seconds < math.inf:
            raise ValueError(f"{path}:{number}: not a number of seconds; write one in every line, 0 or more")
        found += [] if seconds is None else [seconds]
    if not found:
        raise ValueError(f"{path} has no durations; write the seconds of a job in every line, 0 or more")
    return found


def _rows(rehearsal: Rehearsal) -> Iterator[tuple[str, str]]:
    errors = "".join(f"; {number:,} {name}" for name, number in rehearsal.errors.items())
    failed = rehearsal.jobs - rehearsal.succeeded - rehearsal.gave_up
    yield counted(rehearsal.jobs, "job"), f"{rehearsal.succeeded:,} succeeded, {failed:,} did not{errors}"
    unanswered = f", {rehearsal.unanswered:,} of them not answered" if rehearsal.unanswered else ""
    yield "requests", f"{rehearsal.requests:,}{unanswered}: {rehearsal.polls_per_job:.2f} a job"
    yield "most in one second", f"{rehearsal.busiest:,}, after {duration(rehearsal.busiest_at)}"
    delays = rehearsal.delay_median, rehearsal.delay_p95, rehearsal.delay_max
    median, most, longest = ("-" if one is None else f"{one:.1f} s" for one in delays)
    yield "end known after", f"{median} (median), {most} (95 %), {longest} (longest)"
    yield "the last wait ended", f"after {duration(rehearsal.seconds)}"
