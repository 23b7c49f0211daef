"""`asyncpoll report`: one page that shows a run, whether or not it is over."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from asyncpoll.cli.exits import Exit
from asyncpoll.cli.files import replacing
from asyncpoll.cli.pacing import history_of
from asyncpoll.cli.report.figures import Figures
from asyncpoll.cli.report.page import Origin, page
from asyncpoll.ledger import Reader

_BESIDE = ("", "-journal", "-wal", "-shm", ".lock")  # what the names of a ledger's own files end in


def run(args: argparse.Namespace) -> int:
    """Draw the page of a ledger, to a file or to standard output.

    Raises:
        LedgerError: The ledger cannot be read.
        ValueError: The page would take the place of the ledger, or of what is no file.
    """
    target = None if args.output == "-" else _target(Path(args.output), args.ledger)
    with Reader(args.ledger) as reader:
        drawn = page(figures_of(reader), origin_of(reader)).encode()
    if target is None:
        sys.stdout.buffer.write(drawn)
        return Exit.SUCCESS
    with replacing(target) as file:
        file.write(drawn)
    return Exit.SUCCESS


def figures_of(reader: Reader) -> Figures:
    """Return the figures of a run as it is now; what is recorded in the meantime is left out."""
    outcomes = reader.counts.outcomes
    records = takewhile(lambda record: record.seq <= outcomes, reader.records())
    return Figures.of(records, reader.last_states(outcomes=outcomes), history_of(reader.options))


def origin_of(reader: Reader) -> Origin:
    """Return what the page says of the ledger itself."""
    sessions = reader.sessions
    worked = sum(max(0.0, until - began) for began, until in sessions)
    now = datetime.now(UTC).timestamp()
    return Origin(reader.path.name, now, len(sessions), worked, reader.counts.anomalies)


def _target(output: Path, ledger: Path) -> Path:
    """Return the file to replace; a symbolic link stays, and what it leads to is replaced."""
    target, own = output.resolve(), ledger.resolve()
    beside = {own.with_name(own.name + tail) for tail in _BESIDE}
    if target in beside or (target.exists() and ledger.exists() and target.samefile(ledger)):
        raise ValueError(f"{output} belongs to the ledger; choose another --output")
    if target.exists() and not target.is_file():
        raise ValueError(f"{output} is no file; give --output the name of one, or - for standard output")
    return target
