"""`asyncpoll export`: the outcomes of a run as lines or as a table, in the order in which they were recorded."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from asyncpoll._atomic_file import replacing
from asyncpoll.cli import Exit
from asyncpoll.cli._output import write_results
from asyncpoll.cli._run_options import format_of
from asyncpoll.ledger import Csv, JsonLines, Reader

_PAGE = 500  # outcomes that are written at once


def run(args: argparse.Namespace) -> int:
    """Write all outcomes of a ledger to a file or to standard output.

    Raises:
        ValueError: The file is the ledger itself, or cannot be made.
        OSError: The file, or standard output, cannot be written.
    """
    output: Path | None = args.output
    sink = Csv("") if (args.format or format_of(output)) == "csv" else JsonLines("")
    with Reader(args.ledger, accept_loss=args.accept_loss) as reader:
        if output is None:
            _write(reader, sink, write_results)
            return Exit.SUCCESS
        if output.exists() and output.samefile(args.ledger):
            raise ValueError(f"{output} is the ledger itself; choose another --output")
        with replacing(output) as file:
            _write(reader, sink, file.write)
    return Exit.SUCCESS


def _write(reader: Reader, sink: Csv | JsonLines, write: Callable[[bytes], object]) -> None:
    records = reader.records()
    first = True
    while page := list(islice(records, _PAGE)):
        write(sink.text(page, first=first).encode())
        first = False
