"""The command line: `asyncpoll VERB ...`.

How it works. `_parser` describes the arguments of every verb and imports nothing heavy, so that `--help` is quick. The
verb itself is a module of the same name behind an underscore, with a function `run(args)` that returns the exit status;
`report` is a package. `main` imports the module of one verb, runs it, and turns whatever may be expected to go wrong
into one line on standard error and an exit status.

The life of a line of `asyncpoll run`: `_lines` reads it from the file and knows JSON from CSV. `_ingest` has it do so
in a thread, since a disk may be slow and a pipe may be silent for hours, and makes a job of the line with
`asyncpoll.clients`, which finds the endpoint and opens its client. `_run` gives the job to a hub and a ledger, and
brings the results file up to date twice a second, while `_progress` shows how far the run has come. A signal
(`_signals`) drains the clients: polls in flight end, no new ones begin, and what is known is saved.

Two streams are kept apart. Standard output has results and nothing else, to the last byte or with an error
(`_streams`); standard error has notes for people. What servers and files say is made harmless before it is shown, and
what looks like a key is masked (`_output`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from importlib import import_module
from types import MappingProxyType

from asyncpoll._errors import LedgerError, PollError
from asyncpoll.cli._parser import build_parser
from asyncpoll.cli._streams import STANDARD_OUTPUT, drop_output, open_closed_streams, write_results

__all__ = ["EXIT_OF_STATE", "Exit", "main"]


class Exit(IntEnum):
    """The exit statuses of every verb."""

    SUCCESS = 0
    FAILED = 1  # the job failed; of the demo: an outcome is not the truth
    USAGE = 2  # as in argparse: a bad argument, a missing key or file, a port in use
    TIMEOUT = 3  # the server ran out of time
    DEADLINE = 4  # the caller's own deadline passed; the job was left running
    CANCELLED = 5  # the job was cancelled at the server
    TRANSPORT = 6  # no answer about the job: network, server, credential or ledger; or results that cannot be written
    INTERRUPTED = 130  # as shells count Ctrl-C
    BROKEN_PIPE = 141  # as shells count it: the reader of the output had seen enough


EXIT_OF_STATE: Mapping[str, Exit] = MappingProxyType(
    {"success": Exit.SUCCESS, "failed": Exit.FAILED, "timeout": Exit.TIMEOUT, "cancelled": Exit.CANCELLED}
)
"""How a wait exits that reached a terminal state."""

_USAGE = frozenset({"missing", "source", "definition"})  # kinds of trouble with a ledger that a user makes


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status, one of `Exit`.

    Args:
        argv: The arguments after the name of the program; by default those of the process.
    """
    open_closed_streams()
    try:
        status = _run_verb(argv)
        write_results(b"")  # and what a library has printed
    except (PollError, OSError, ValueError, KeyboardInterrupt) as error:
        return _explain(error)
    return status


def _run_verb(argv: Sequence[str] | None) -> int:
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as end:  # argparse has printed the help, the version or what is wrong
        return int(end.code or 0)
    verb = import_module(f"asyncpoll.cli.{args.module}")
    status: int = verb.run(args)
    return status


def _explain(error: BaseException) -> Exit:
    """Print why a verb ended, in one line, and return its exit status."""
    if isinstance(error, BrokenPipeError):
        drop_output()
        return Exit.BROKEN_PIPE
    from asyncpoll.cli._output import message_of, note  # noqa: PLC0415  --help is quick without it

    if isinstance(error, KeyboardInterrupt):
        note("asyncpoll: interrupted")
        return Exit.INTERRUPTED
    note(f"asyncpoll: {message_of(error)}")
    if isinstance(error, OSError) and error.filename == STANDARD_OUTPUT:
        drop_output()
        return Exit.TRANSPORT
    is_usage = not isinstance(error, PollError) or (isinstance(error, LedgerError) and error.kind in _USAGE)
    return Exit.USAGE if is_usage else Exit.TRANSPORT
