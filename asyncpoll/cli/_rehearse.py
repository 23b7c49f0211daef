"""`asyncpoll rehearse`: a bulk run against a server made of the definition, in virtual time."""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from pathlib import Path

from attrs import asdict

from asyncpoll._schedule import Fixed
from asyncpoll.cli import Exit
from asyncpoll.cli._output import counted, duration, say, say_json
from asyncpoll.cli._targets import definition_of
from asyncpoll.definitions import Rehearsal, rehearse


def run(args: argparse.Namespace) -> int:
    """Print what a run would cost, and how soon it would know that jobs have ended.

    Raises:
        ValueError: The definition or the file of durations cannot be used.
        OSError: One of them cannot be read.
    """
    given = vars(args)
    interval = given.get("interval")
    rehearsal = rehearse(
        definition_of(args.file),
        durations=_durations(args.durations),
        schedule=None if interval is None else Fixed(interval),
        price=None if interval is not None else given.get("price"),
        timeout=given.get("timeout"),
        rate=given.get("rate"),
        concurrency=given.get("concurrency", 100),
        arrivals=args.arrivals,
        outage=args.outage,
        latency=args.latency,
        seed=args.seed,
    )
    if args.json:
        say_json(asdict(rehearsal))
    else:
        for name, text in _rows(rehearsal):
            say(f"{name:<19}  {text}")
    return Exit.SUCCESS


def _durations(path: Path) -> list[float]:
    """Return the numbers in the first column of a file; a first line without a number is a header."""
    with path.open(encoding="utf-8", newline="") as file:
        cells = [(number, row[0].strip()) for number, row in enumerate(csv.reader(file), 1) if row and row[0].strip()]
    found: list[float] = []
    for number, cell in cells:
        try:
            seconds = float(cell)
        except ValueError:
            seconds = math.nan
        if 0 <= seconds < math.inf:
            found.append(seconds)
        elif found or number > 1:
            raise ValueError(f"{path}:{number}: not a number of seconds; write one in every line")
    if not found:
        raise ValueError(f"{path} has no durations; write the seconds of a job in every line")
    return found


def _rows(rehearsal: Rehearsal) -> Iterator[tuple[str, str]]:
    jobs, errors = rehearsal.jobs, ", ".join(f"{number:,} {name}" for name, number in rehearsal.errors.items())
    failed = jobs - rehearsal.succeeded - rehearsal.gave_up
    yield (
        counted(jobs, "job"),
        f"{rehearsal.succeeded:,} succeeded, {failed:,} did not" + (f"; {errors}" if errors else ""),
    )
    unanswered = f", {rehearsal.unanswered:,} of them not answered" if rehearsal.unanswered else ""
    yield "requests", f"{rehearsal.requests:,}{unanswered}: {rehearsal.polls_per_job:.2f} a job"
    yield "most in one second", f"{rehearsal.busiest:,}, after {duration(rehearsal.busiest_at)}"
    if rehearsal.delay_median is not None:
        delays = (rehearsal.delay_median, rehearsal.delay_p95, rehearsal.delay_max)
        median, most, longest = (f"{one:.1f} s" for one in delays if one is not None)
        yield "end known after", f"{median} (median), {most} (95 %), {longest} (longest)"
    yield "the last wait ended", f"after {duration(rehearsal.seconds)}"
