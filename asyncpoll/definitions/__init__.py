"""Definitions: endpoints as data, in TOML or in a mapping, without code.

A definition says where each field of a `Snapshot` stands in an answer, which words mean which `State`, and which
request each method of a `Job` makes. It is compiled into endpoints, which are like those written in Python.

The parts, from below: `_paths` and `_templates` are the two small languages in it, for answers and for requests, and
`_patterns` keeps regular expressions quick. `_spots` knows the place of every value, so that each error has a line.
`_values` reads single values and `_model` whole tables, into one class for each table of the format; `_document` checks
what concerns several keys. So much is done before anything is asked. `_requests`, `_conditions`, `_reading` and
`_chains` turn parts of the model into functions, and `_compile` makes an `Endpoint` of them. Every path, word and rule
is looked up once, when the functions are made; a poll only calls them. `_definition` is the whole, `_catalog` the
definitions that come with the package, and `_client` a client with a transport of its own.

The paths of a definition can be run backwards, so it is a server, too: `_fabricate` writes the answers that it reads,
and `_world` is a server without a socket, which knows jobs and answers requests. `_server` puts it on a socket,
`_rehearse` waits for its jobs in virtual time, and `_lint` reads back all that it can say.

A first version is drafted from what an API publishes: `_draft_openapi` reads documents of OpenAPI (by `_openapi`), and
`_draft_waiters` the waiters of botocore. `_draft` writes the TOML, with a comment at every guess.

A definition may come from a stranger. Nothing in it is code; it chooses neither the environment variable of the key
freely nor an address outside of its base; and no text of a server can make it slow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asyncpoll.definitions._client import DefinedClient
from asyncpoll.definitions._definition import Definition, catalog, find
from asyncpoll.definitions._spots import DefinitionError

if TYPE_CHECKING:
    from asyncpoll.definitions._draft_openapi import draft_openapi
    from asyncpoll.definitions._draft_waiters import draft_waiter
    from asyncpoll.definitions._lint import Finding, lint
    from asyncpoll.definitions._rehearse import Rehearsal, rehearse
    from asyncpoll.definitions._server import DefinitionServer, simulate
    from asyncpoll.definitions._world import JobTruth

__all__ = [
    "DefinedClient",
    "Definition",
    "DefinitionError",
    "DefinitionServer",
    "Finding",
    "JobTruth",
    "Rehearsal",
    "catalog",
    "draft_openapi",
    "draft_waiter",
    "find",
    "lint",
    "rehearse",
    "simulate",
]

_LAZY = {
    "DefinitionServer": "_server",
    "Finding": "_lint",
    "JobTruth": "_world",
    "Rehearsal": "_rehearse",
    "draft_openapi": "_draft_openapi",
    "draft_waiter": "_draft_waiters",
    "lint": "_lint",
    "rehearse": "_rehearse",
    "simulate": "_server",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"asyncpoll.definitions.{_LAZY[name]}"), name)
