"""`asyncpoll show`: what a definition says, and which key it would send where."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator

from asyncpoll._state import spelled
from asyncpoll.cli import Exit
from asyncpoll.cli._endpoints import words_by_state
from asyncpoll.cli._output import Grid, message_of, say
from asyncpoll.clients._access import Access
from asyncpoll.clients._resolution import address_of, definition_of, key_variable_of
from asyncpoll.definitions import Definition
from asyncpoll.definitions._model import MARKS, EndpointSpec, RequestSpec
from asyncpoll.http._urls import Origin


def run(args: argparse.Namespace) -> int:
    """Print the requests and the words of each endpoint of a definition; nothing is sent.

    Raises:
        ValueError: The definition cannot be used.
        OSError: The file cannot be read.
    """
    definition = definition_of(args.file)
    specs = definition.spec.endpoints.values()
    for spec in specs:
        say(spec.name + (f": {spec.description}" if spec.description else ""))
        for line in Grid(("request", "is"), "<<", tuple(_requests(spec))).lines():
            say(f"  {line}")
        say("")
        for line in Grid(("state", "status words"), "<<", tuple(_words(spec))).lines():
            say(f"  {line}")
        say("")
    say(_sent(definition, Access(args.base_url, key_env=args.key_env)))
    return Exit.SUCCESS


def _sent(definition: Definition, access: Access) -> str:
    """Return which variable is sent where, and whether it is set; or why it is not sent."""
    address = address_of(definition, access) or definition.base
    if address is None:
        return "there is no address; pass --base-url URL"
    if definition.spec.auth.scheme == "none":
        return f"requests go to {Origin.of(address)}, without a key"
    try:
        variable = key_variable_of(definition, access)
    except ValueError as problem:
        return message_of(problem)
    now = "set" if variable in os.environ else "not set"
    return f"requests go to {Origin.of(address)}, with the key in {variable}, which is {now}"


def _requests(spec: EndpointSpec) -> Iterator[tuple[str, str]]:
    many = None if spec.group is None else spec.group.ask
    calls = [("start", spec.start), ("ask", spec.ask), ("about many", many), *(("then", each) for each in spec.then)]
    for name, request in [*calls, ("cancel", spec.cancel)]:
        if request is not None:
            yield name, _call(request)
    yield "a job is named by", _naming(spec)


def _call(request: RequestSpec) -> str:
    said = request.where.value
    return str(said if isinstance(said, str) else said["call"])


def _naming(spec: EndpointSpec) -> str:
    also = [f"{name}=... ({value!r} if not given)" for name, value in spec.ref.items()]
    return " ".join((*(f"{name}=..." for name in spec.required), *also, *(["any other"] if spec.open else [])))


def _words(spec: EndpointSpec) -> Iterator[tuple[str, str]]:
    yield from ((state.value, ", ".join(words)) for state, words in words_by_state(spec.words).items())
    for mark in (*MARKS, "absent"):
        if words := getattr(spec, mark):
            yield mark, ", ".join(map(spelled, words))
    for rule in spec.when:
        yield (
            rule.state.value + (f" ({rule.kind})" if rule.kind else ""),
            f"if {json.dumps(rule.where.value['if'], ensure_ascii=False)}",
        )
    for status, means in spec.http.items():
        yield means, f"HTTP {status}"
    if spec.missing is not None:
        yield spec.missing.value, "if there is no word"
