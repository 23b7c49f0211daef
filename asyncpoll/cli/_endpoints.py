"""`asyncpoll endpoints`: the endpoints, the fields that name their jobs, and the environment variables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from importlib import import_module

from attrs import asdict, frozen

from asyncpoll._state import State, Vocabulary
from asyncpoll.cli import Exit
from asyncpoll.cli._clients import client_of
from asyncpoll.cli._output import Grid, say, say_json
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
    """List the endpoints."""
    entries = [_entry(name) for name in ENDPOINTS]
    if args.json:
        say_json({entry.endpoint: asdict(entry) for entry in entries})
    else:
        for line in _page(entries):
            say(line)
    return Exit.SUCCESS


def _entry(name: str) -> _Entry:
    listing, client = ENDPOINTS[name], client_of(name)
    environment = {variable: variable in os.environ for variable in (client.key_variable, client.url_variable)}
    words = _words(import_module(f"asyncpoll.providers.{name.replace('.', '._')}").STATUSES)
    return _Entry(name, listing.description, listing.required, listing.optional, listing.open, words, environment)


def _words(vocabulary: Vocabulary) -> dict[State, list[str]]:
    by_state = {state: [str(word) for word, means in vocabulary.words.items() if means is state] for state in State}
    return {state: words for state, words in by_state.items() if words}


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
