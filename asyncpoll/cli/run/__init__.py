"""`asyncpoll run`: many jobs from a file, remembered in a ledger, so that nothing is lost however the run ends."""

from __future__ import annotations

import argparse
from pathlib import Path

from asyncpoll.cli.access import settings_of
from asyncpoll.cli.run.driving import drive
from asyncpoll.cli.run.intake import check
from asyncpoll.cli.run.lines import Lines, read_jobs
from asyncpoll.cli.run.options import Options
from asyncpoll.cli.run.source import reading
from asyncpoll.cli.run.stop import run_stoppable
from asyncpoll.http._settings import TransportSettings
from asyncpoll.ledger import Reader

__all__ = ["finish", "refuse_output", "run"]


def run(args: argparse.Namespace) -> int:
    """Wait for the jobs that a file names; with a ledger that is there already, go on with that."""
    options, path, settings = Options.of(args), _ledger(args), settings_of(args)
    _refuse_mistakes(path, options)
    with reading(args.jobs, twice=args.strict) as file:
        if args.strict:
            check(read_jobs(file), settings)
            file.seek(0)
        return finish(path, options, read_jobs(file), settings, plain=args.plain)


def finish(path: Path, options: Options, lines: Lines | None, settings: TransportSettings, *, plain: bool) -> int:
    """Do a run, or what is left of it; see `drive`."""
    return run_stoppable(drive(path, options, lines, settings, plain=plain))


def _ledger(args: argparse.Namespace) -> Path:
    output: Path | None = args.output
    if args.ledger is not None:
        return Path(args.ledger)
    if output is None:
        raise ValueError("pass --output FILE for the results, --ledger FILE for what remembers the run, or both")
    return output.with_name(f"{output.name}.ledger")


def _refuse_mistakes(path: Path, options: Options) -> None:
    """Raise ValueError for a file that would be written without being meant."""
    kept = _kept(path)
    if options.output is not None:
        refuse_output(path, options, Path(options.output), fresh=kept is None)
    if kept is not None and kept.output != options.output:
        raise ValueError(
            f"the results of {path} go to {kept.output or 'no file'}; to go on with it: asyncpoll resume {path}"
        )


def refuse_output(path: Path, options: Options, output: Path, *, fresh: bool) -> None:
    """Raise ValueError when results cannot go to *output*; *fresh* says that none have so far."""
    if str(output) in (str(path.absolute()), options.input):
        raise ValueError(f"{output} would be replaced by the results; choose another --output")
    if not output.parent.is_dir():
        raise ValueError(f"there is no directory {output.parent}; make it first")
    if output.name == "-" or (output.exists() and not output.is_file()):
        raise ValueError(f"{output} is no plain file; choose another --output, and asyncpoll export to print results")
    if fresh and output.exists() and output.stat().st_size:
        raise ValueError(f"{output} has something in it that is not of this run; choose another --output")


def _kept(path: Path) -> Options | None:
    """Return the options that a ledger keeps, or None when it keeps none yet, or is not there."""
    if not path.exists():
        return None
    with Reader(path) as reader:
        return Options.kept(reader.options) if reader.options else None
