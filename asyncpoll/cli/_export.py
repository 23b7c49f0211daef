"""`asyncpoll export`: the outcomes of a run as lines or as a table, in the order in which they were recorded.

Several ledgers follow one another in the order in which they are given. Of a job that is in several of them, one
outcome is written: a success before any other, else the one that was recorded last.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from asyncpoll._atomic_file import replacing
from asyncpoll._state import State
from asyncpoll.cli import Exit
from asyncpoll.cli._output import counted, note, write_results
from asyncpoll.cli._run_options import format_of
from asyncpoll.ledger import Csv, JsonLines, Reader, Record

_PAGE = 500  # outcomes that are written at once
_SHARD = re.compile(r"\d{1,6}/\d{1,6}", re.ASCII)
_MOST_TOLD = 5  # missing shards that are named


def run(args: argparse.Namespace) -> int:
    """Write all outcomes of one ledger or of several to a file or to standard output.

    Raises:
        ValueError: The file is a ledger itself, or cannot be made.
        OSError: The file, or standard output, cannot be written.
    """
    output: Path | None = args.output
    sink = Csv("") if (args.format or format_of(output)) == "csv" else JsonLines("")
    with ExitStack() as stack:
        readers = [stack.enter_context(Reader(path, accept_loss=args.accept_loss)) for path in args.ledgers]
        records = readers[0].records() if len(readers) == 1 else _merged(readers)
        if output is None:
            _write(records, sink, write_results)
            return Exit.SUCCESS
        if output.exists() and any(map(output.samefile, args.ledgers)):
            raise ValueError(f"{output} is the ledger itself; choose another --output")
        with replacing(output) as file:
            _write(records, sink, file.write)
    return Exit.SUCCESS


def _merged(readers: Sequence[Reader]) -> Iterator[Record]:
    """Yield one outcome of each job, and report jobs that are in several ledgers, and shards that are missing."""
    best: dict[str, tuple[bool, float, int]] = {}
    several: set[str] = set()
    for place, reader in enumerate(readers):
        for record in reader.records():
            rank = _rank(record, place)
            if record.key in best:
                several.add(record.key)
            best[record.key] = max(best.get(record.key, rank), rank)
    if several:
        note(f"asyncpoll: {counted(len(several), 'job')} in several ledgers; a success counts, else the later outcome")
    if missing := list(islice(_missing(readers), _MOST_TOLD + 1)):
        more = "" if len(missing) <= _MOST_TOLD else " and others"
        note(f"asyncpoll: not among these ledgers: shard {', '.join(missing[:_MOST_TOLD])}{more}")
    for place, reader in enumerate(readers):
        yield from (record for record in reader.records() if best.get(record.key) == _rank(record, place))


def _rank(record: Record, place: int) -> tuple[bool, float, int]:
    return record.error is None and record.state == State.SUCCESS, record.ended_at, place


def _missing(readers: Sequence[Reader]) -> Iterator[str]:
    """Yield the shards that are not there, beside some others of as many."""
    shards = {str(reader.options.get("shard")) for reader in readers}
    for count in sorted({int(shard.partition("/")[2]) for shard in shards if _SHARD.fullmatch(shard)}):
        yield from (shard for number in range(1, count + 1) if (shard := f"{number}/{count}") not in shards)


def _write(records: Iterator[Record], sink: Csv | JsonLines, write: Callable[[bytes], object]) -> None:
    first = True
    while page := list(islice(records, _PAGE)):
        write(sink.text(page, first=first).encode())
        first = False
