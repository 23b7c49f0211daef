"""The command line: `asyncpoll VERB ...`. Each verb is a module of its own, imported when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from asyncpoll.cli.exits import Exit
from asyncpoll.cli.parser import build_parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status, one of `asyncpoll.cli.exits.Exit`.

    Args:
        argv: The arguments after the name of the program; by default those of the process.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed from the start: what is said goes nowhere
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  open to the end
    try:
        status = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more on its way out; let that go nowhere instead of into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as said:  # argparse has printed the help, the version or what is wrong
        return int(said.code or 0)
    from asyncpoll.cli.guard import guarded  # noqa: PLC0415  --help is quick without it

    return guarded(lambda: import_module(f"asyncpoll.cli.{args.verb}").run(args))
