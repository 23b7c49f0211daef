"""`asyncpoll resume`: go on with a run where it was, whatever had become of the process."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from asyncpoll.cli.access import settings_of
from asyncpoll.cli.output import note
from asyncpoll.cli.run import finish, refuse_output
from asyncpoll.cli.run.lines import read_jobs
from asyncpoll.cli.run.options import Options
from asyncpoll.cli.run.source import reading
from asyncpoll.ledger import Reader


def run(args: argparse.Namespace) -> int:
    """Wait for the jobs of a ledger that have not ended."""
    if not args.ledger.exists():
        raise ValueError(f"there is no ledger {args.ledger}; asyncpoll run makes one")
    with Reader(args.ledger) as reader:
        if not (reader.options or reader.counts.entries):
            raise ValueError(f"{args.ledger} holds no run; begin one with asyncpoll run")
        kept = Options.kept(reader.options)
    options = kept.changed(args)
    if args.output is not None:
        refuse_output(args.ledger, options, args.output.absolute(), fresh=kept.output != options.output)
    source = _left(options)
    with nullcontext() if source is None else reading(source) as file:
        return finish(
            args.ledger, options, None if file is None else read_jobs(file), settings_of(args), plain=args.plain
        )


def _left(options: Options) -> str | None:
    """Return the name of the input when it is to be read again because its end had not been reached."""
    if options.complete:
        return None
    if options.input is not None and Path(options.input).exists():
        return options.input
    note(f"asyncpoll: {options.input or 'standard input'} had not been read to its end, and cannot be read again now")
    return None
