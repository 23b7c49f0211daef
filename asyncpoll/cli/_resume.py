"""`asyncpoll resume`: go on with a run where it was, whatever happened to its process."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from attrs import evolve

from asyncpoll.cli._lines import read_jobs, reading
from asyncpoll.cli._output import note
from asyncpoll.cli._parser import clients_of
from asyncpoll.cli._run import RunStart, drive, refuse_output
from asyncpoll.cli._run_options import Options
from asyncpoll.cli._signals import run_stoppable
from asyncpoll.ledger import Reader


def run(args: argparse.Namespace) -> int:
    """Wait for the jobs of a ledger that have not ended."""
    with Reader(args.ledger, accept_loss=args.accept_loss) as reader:
        if not (reader.options or reader.counts.entries):
            raise ValueError(
                f"{args.ledger} does not hold a run; if it is a copy, copy {args.ledger.name}-wal, too; "
                "else begin with asyncpoll run"
            )
        kept = Options.kept(reader.options)
        definitions = reader.definitions
    options = kept.changed(args)
    clients = clients_of(args, definitions=definitions, code=kept.code, **options.reach)
    targets = clients.targets
    targets.name(args.endpoint)
    options = evolve(options, code=targets.code)
    if args.output is not None:
        refuse_output(args.ledger, options, args.output.absolute(), fresh=kept.output != options.output)
    source = _unread(options)
    with nullcontext() if source is None else reading(source) as file:
        usual = None if options.endpoint is None else targets.find(options.endpoint)
        lines = None if file is None else read_jobs(file, usual)
        start = RunStart(accept_loss=args.accept_loss, retry=args.retry)
        return run_stoppable(drive(args.ledger, options, start, lines, clients, plain=args.plain, dask=args.dask))


def _unread(options: Options) -> str | None:
    """Return the name of the input if it is to be read again because its end had not been reached."""
    if options.complete:
        return None
    if options.input is not None and Path(options.input).exists():
        return options.input
    note(f"asyncpoll: {options.input or 'standard input'} had not been read to its end, and cannot be read again now")
    return None
