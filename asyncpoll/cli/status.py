"""`asyncpoll status`: how far a run has come, whether or not a process is at it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from attrs import asdict, frozen

from asyncpoll.cli.exits import Exit
from asyncpoll.cli.grid import Grid
from asyncpoll.cli.output import say, say_json
from asyncpoll.cli.run.progress import duration
from asyncpoll.ledger import Counts, Reader


@frozen
class Status:
    """A run as its ledger knows it.

    Attributes:
        ledger: The path of the ledger.
        process: Which process is at it, in words, or None.
        created_at: When it was made, ISO 8601; None when no process has been at it.
        alive: Seconds in which a process was at it, in all sessions.
        sessions: How many there were.
        rate: Outcomes a second in that time.
        jobs: Jobs taken in.
        ended: Those of them that have an outcome.
        endpoints: For each endpoint how many jobs ended how, by state and by the name of an error, or not yet.
        anomalies: How often a job was reported again with another outcome than the recorded one.
    """

    ledger: str
    process: str | None
    created_at: str | None
    alive: float
    sessions: int
    rate: float | None
    jobs: int
    ended: int
    endpoints: dict[str, dict[str, int]]
    anomalies: int


def run(args: argparse.Namespace) -> int:
    """Say how far a run has come."""
    with Reader(args.ledger) as reader:
        status = _status(args.ledger, reader)
    if args.json:
        say_json(asdict(status))
    else:
        for line in _page(status):
            say(line)
    return Exit.SUCCESS


def _status(path: Path, reader: Reader) -> Status:
    counts, sessions = reader.counts, reader.sessions
    alive = sum(until - began for began, until in sessions)
    return Status(
        str(path),
        reader.holder,
        datetime.fromtimestamp(reader.created_at, UTC).isoformat(timespec="seconds") if sessions else None,
        round(alive, 3),
        len(sessions),
        round(counts.outcomes / alive, 3) if alive > 0 else None,
        counts.entries,
        counts.outcomes,
        {endpoint: _endings(counts, endpoint) for endpoint in sorted(counts.by_endpoint)},
        counts.anomalies,
    )


def _endings(counts: Counts, endpoint: str) -> dict[str, int]:
    ended = {
        word: number
        for table in (counts.by_state, counts.by_error)
        for (where, word), number in sorted(table.items())
        if where == endpoint
    }
    return {**ended, "unfinished": counts.by_endpoint[endpoint] - sum(ended.values())}


def _page(status: Status) -> Iterator[str]:
    yield f"{status.ended:,} of {status.jobs:,} jobs have ended; {status.process or 'no process'} is at it"
    rate = "" if status.rate is None else f", {status.rate:,.3g} outcomes a second"
    made = status.created_at or "at an unknown time"
    yield f"made {made}; {duration(status.alive)} of work in {_counted(status.sessions)}{rate}"
    if status.anomalies:
        yield f"{status.anomalies:,} jobs were reported again with another outcome; the first one stands"
    if status.endpoints:
        rows = [
            (endpoint, word, f"{number:,}")
            for endpoint, words in status.endpoints.items()
            for word, number in words.items()
        ]
        yield ""
        yield from Grid(("endpoint", "state", "jobs"), "<<>", tuple(rows)).lines()


def _counted(sessions: int) -> str:
    return "1 session" if sessions == 1 else f"{sessions:,} sessions"
