"""`asyncpoll status`: how far a run has come, whether or not a process is running it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from attrs import asdict, frozen

from asyncpoll.cli import Exit
from asyncpoll.cli._output import Grid, columns_of_terminal, counted, duration, say, say_json
from asyncpoll.http._secrets import printable
from asyncpoll.ledger import Counts, Reader

_LONGEST = 1000


@frozen
class Status:
    """A run as its ledger knows it.

    Attributes:
        ledger: The path of the ledger.
        shard: The share of its input that it has, such as "3/8", or None for all of it.
        process: The process that runs it, in words, or None.
        created_at: When the ledger was made, ISO 8601, or None if no process has opened it.
        alive: Seconds in which a process had the ledger open, in all sessions.
        sessions: The number of sessions.
        rate: Outcomes a second in that time.
        jobs: Jobs in the ledger.
        ended: Jobs that have an outcome.
        endpoints: For each endpoint how many jobs ended how, by state and by the name of an error, or not yet.
        anomalies: How often a job was reported again with another outcome than the recorded one.
        loss: What of the ledger is missing, in words, or None.
        misses: How many polls of the last session were missed and why the last one was, in words, or None.
        paused: For how long polls of the last session paused because the ledger could not be written, or None.
    """

    ledger: str
    shard: str | None
    process: str | None
    created_at: str | None
    alive: float
    sessions: int
    rate: float | None
    jobs: int
    ended: int
    endpoints: dict[str, dict[str, int]]
    anomalies: int
    loss: str | None
    misses: str | None
    paused: str | None


def run(args: argparse.Namespace) -> int:
    """Print how far a run has come."""
    with Reader(args.ledger, accept_loss=True) as reader:
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
        _kept(reader, "shard"),
        reader.holder,
        datetime.fromtimestamp(reader.created_at, UTC).isoformat(timespec="seconds") if sessions else None,
        round(alive, 3),
        len(sessions),
        round(counts.outcomes / alive, 3) if alive > 0 else None,
        counts.entries,
        counts.outcomes,
        {endpoint: _endings(counts, endpoint) for endpoint in sorted(counts.by_endpoint)},
        counts.anomalies,
        reader.loss,
        _kept(reader, "misses"),
        _kept(reader, "paused"),
    )


def _kept(reader: Reader, name: str) -> str | None:
    return str(reader.options.get(name) or "") or None


def _endings(counts: Counts, endpoint: str) -> dict[str, int]:
    ended = {
        word: number
        for table in (counts.by_state, counts.by_error)
        for (where, word), number in sorted(table.items())
        if where == endpoint
    }
    return {**ended, "unfinished": counts.by_endpoint[endpoint] - sum(ended.values())}


def _page(status: Status) -> Iterator[str]:
    running = "not running" if status.process is None else f"running in {status.process}"
    share = "" if status.shard is None else f" of shard {status.shard}"
    yield f"{status.ended:,} of {counted(status.jobs, 'job')}{share} finished; {running}"
    rate = "" if status.rate is None else f", {status.rate:,.3g} outcomes a second"
    made = status.created_at or "at an unknown time"
    yield f"made {made}; {duration(status.alive)} of work in {counted(status.sessions, 'session')}{rate}"
    if status.loss:
        yield f"NOT complete: {status.loss}"
    for told in (status.misses, status.paused):
        if told:
            yield printable(f"last session: {told}", _LONGEST)
    if status.anomalies:
        yield f"{counted(status.anomalies, 'job')} reported again with another outcome; the first outcome stands"
    if status.endpoints:
        rows = [
            (endpoint, word, f"{number:,}")
            for endpoint, words in status.endpoints.items()
            for word, number in words.items()
            if number
        ]
        yield ""
        yield from Grid(("endpoint", "state", "jobs"), "<<>", tuple(rows)).within(columns_of_terminal()).lines()
