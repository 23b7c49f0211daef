"""`asyncpoll endpoints`: the endpoints, the fields that name their jobs, and the environment variables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping

from attrs import asdict, frozen

from asyncpoll._state import State, Word, spelled
from asyncpoll.cli import Exit
from asyncpoll.cli._output import Grid, say, say_json
from asyncpoll.clients._access import Target
from asyncpoll.clients._targets import Targets
from asyncpoll.definitions import catalog
from asyncpoll.providers import ENDPOINTS


@frozen
class _Entry:
    """One endpoint as it is listed; of an environment variable only whether it is set, never its value."""

    endpoint: str
    description: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    open: bool
    words: dict[State, list[str]]
    environment: dict[str, bool]


def run(args: argparse.Namespace) -> int:
    """List the endpoints that are built in, or those that are named, or all of the catalogue.

    Raises:
        ValueError: There is no such endpoint.
        OSError: A file cannot be read.
    """
    if args.all:
        return _list_catalog(as_json=args.json)
    targets = Targets()
    entries = [_entry(targets.load(spec)) for spec in args.endpoints or ENDPOINTS]
    if args.json:
        say_json({entry.endpoint: asdict(entry) for entry in entries})
    else:
        for line in _page(entries):
            say(line)
    return Exit.SUCCESS


def _list_catalog(*, as_json: bool) -> int:
    """List the endpoints of the catalogue, with the documents that each was written from, and when."""
    facts: dict[str, tuple[str, tuple[str, ...]]] = dict.fromkeys(ENDPOINTS, ("built in", ()))
    facts |= {name: (one.written, one.documents) for name, one in catalog().items() if name not in facts}
    if as_json:
        say_json({name: {"written": written, "documents": documents} for name, (written, documents) in facts.items()})
        return Exit.SUCCESS
    rows = [(name, written, " ".join(documents)) for name, (written, documents) in sorted(facts.items())]
    for line in Grid(("endpoint", "written", "from"), "<<<", tuple(rows)).lines():
        say(line)
    return Exit.SUCCESS


def _entry(target: Target) -> _Entry:
    listing = target.listing
    environment = {variable: variable in os.environ for variable in target.vendor.variables(None) if variable}
    words = words_by_state(target.words())
    return _Entry(
        target.name, listing.description, listing.required, listing.optional, listing.open, words, environment
    )


def words_by_state(words: Mapping[Word, State]) -> dict[State, list[str]]:
    """Return the status words of each state that has any."""
    by_state = {state: [spelled(word) for word, means in words.items() if means is state] for state in State}
    return {state: found for state, found in by_state.items() if found}


def _page(entries: list[_Entry]) -> Iterator[str]:
    yield from Grid(("endpoint", "a job is named by", "or also"), "<<<", tuple(map(_naming, entries))).lines()
    yield ""
    yield from Grid(("endpoint", "state", "status words"), "<<<", tuple(_meanings(entries))).lines()
    yield ""
    yield from Grid(("variable", "now"), "<<", tuple(_variables(entries))).lines()


def _naming(entry: _Entry) -> tuple[str, ...]:
    also = (*(f"{name}=..." for name in entry.optional), *(["any other"] if entry.open else []))
    return entry.endpoint, " ".join(f"{name}=..." for name in entry.required), " ".join(also)


def _meanings(entries: list[_Entry]) -> Iterator[tuple[str, ...]]:
    for entry in entries:
        for state, words in entry.words.items():
            yield entry.endpoint, state.value, ", ".join(words)


def _variables(entries: list[_Entry]) -> Iterator[tuple[str, ...]]:
    everything = {name: is_set for entry in entries for name, is_set in entry.environment.items()}
    for name, is_set in everything.items():
        yield name, "set" if is_set else "not set"
