"""`asyncpoll lint`: what is wrong with a definition, or may be, before a single request."""

from __future__ import annotations

import argparse
from itertools import chain

from attrs import asdict

from asyncpoll.cli import Exit
from asyncpoll.cli._output import counted, note, say, say_json
from asyncpoll.clients._resolution import definition_of
from asyncpoll.definitions import DefinitionError, Finding, lint


def run(args: argparse.Namespace) -> int:
    """Print what is found in the definitions, one line for each finding.

    Raises:
        OSError: A file cannot be read.
    """
    found = list(chain.from_iterable(_findings(spec) for spec in args.files))
    if args.json:
        say_json([{"source": source, **asdict(finding)} for source, finding in found])
    for source, finding in () if args.json else found:
        say(f"{source}:{' ' if finding.line is None else ''}{finding}")
    errors = sum(finding.level == "error" for _, finding in found)
    note(f"asyncpoll: {counted(errors, 'error')}, {counted(len(found) - errors, 'other finding')}")
    return Exit.FAILED if errors or (args.strict and found) else Exit.SUCCESS


def _findings(spec: str) -> list[tuple[str, Finding]]:
    """Return the findings of one file, each with the name of the file.

    What makes it unusable as a whole is a finding, so that the files after it are read as well.
    """
    try:
        definition = definition_of(spec)
    except DefinitionError as error:
        where = error.source if error.line is None else f"{error.source}:{error.line}"
        message = str(error).removeprefix(f"{where}: ").removeprefix(f"{error.key}: ")
        return [(error.source, Finding("error", error.key or "", error.line, message))]
    return [(definition.source, finding) for finding in lint(definition)]
