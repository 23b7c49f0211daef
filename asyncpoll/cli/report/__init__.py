"""`asyncpoll report`: one page that shows a run, whether or not it has ended.

`_stats` counts and measures the outcomes in one pass, `_pacing` and `_charts` compute curves and bars from that,
`_view` turns all of it into plain values, and `_page` puts these into the template. `_words` formats numbers and texts.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from asyncpoll._atomic_file import replacing
from asyncpoll.cli import Exit
from asyncpoll.cli._output import write_results
from asyncpoll.cli._pacing import history_of
from asyncpoll.cli.report._stats import RunStats
from asyncpoll.cli.report._view import LedgerInfo, load_template, render
from asyncpoll.ledger import Reader

_BESIDE = ("", "-journal", "-wal", "-shm", ".lock")  # the ends of the names of a ledger's own files


def run(args: argparse.Namespace) -> int:
    """Write the page of a ledger to a file or to standard output.

    Raises:
        LedgerError: The ledger cannot be read.
        ValueError: The page would replace the ledger or something that is not a file, or Jinja2 is not installed.
    """
    target = None if args.output == "-" else _target(Path(args.output), args.ledger)
    template = load_template()
    with Reader(args.ledger, accept_loss=args.accept_loss) as reader:
        page = render(template, stats_of(reader), ledger_info_of(reader)).encode()
    if target is None:
        write_results(page)
        return Exit.SUCCESS
    with replacing(target) as file:
        file.write(page)
    return Exit.SUCCESS


def stats_of(reader: Reader) -> RunStats:
    """Return the statistics of a run as it is now; outcomes recorded in the meantime are left out."""
    outcomes = reader.counts.recorded
    records = takewhile(lambda record: record.seq <= outcomes, reader.records())
    return RunStats.of(records, reader.last_states(outcomes=outcomes), history_of(reader.options))


def ledger_info_of(reader: Reader) -> LedgerInfo:
    """Return the facts about the ledger itself."""
    sessions = reader.sessions
    worked = sum(max(0.0, until - began) for began, until in sessions)
    now = datetime.now(UTC).timestamp()
    shard = str(reader.options.get("shard") or "") or None
    return LedgerInfo(reader.path.name, now, len(sessions), worked, reader.counts.anomalies, shard)


def _target(output: Path, ledger: Path) -> Path:
    """Return the file to replace; a symbolic link stays, and its target is replaced."""
    target, own = output.resolve(), ledger.resolve()
    beside = {own.with_name(own.name + tail) for tail in _BESIDE}
    if target in beside or (target.exists() and ledger.exists() and target.samefile(ledger)):
        raise ValueError(f"{output} belongs to the ledger; choose another --output")
    if target.exists() and not target.is_file():
        raise ValueError(f"{output} is not a file; give --output the name of a file, or - for standard output")
    return target
