"""`asyncpoll export`: the outcomes of a run as lines or as a table, in the order in which they were recorded."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from asyncpoll._atomic_file import replacing
from asyncpoll.cli.exits import Exit
from asyncpoll.cli.run.options import format_of
from asyncpoll.ledger import Csv, JsonLines, Reader, Sink

_PAGE = 500  # outcomes that are written at once


def run(args: argparse.Namespace) -> int:
    """Write all outcomes that a ledger has, to a file or to standard output."""
    output: Path | None = args.output
    sink = Csv("") if (args.format or format_of(output)) == "csv" else JsonLines("")
    with Reader(args.ledger) as reader:
        if output is None:
            _write(reader, sink, sys.stdout.buffer)
            return Exit.SUCCESS
        if output.exists() and output.samefile(args.ledger):
            raise ValueError(f"{output} is the ledger itself; choose another --output")
        with replacing(output) as file:
            _write(reader, sink, file)
    return Exit.SUCCESS


def _write(reader: Reader, sink: Sink, file: BinaryIO) -> None:
    records = reader.records()
    first = True
    while page := list(islice(records, _PAGE)):
        file.write(sink.text(page, first=first).encode())
        first = False
