"""A whole definition: its endpoints, where they are, how the key is sent, and the checks between keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from attrs import evolve, field, frozen

from asyncpoll._state import State, Words
from asyncpoll.definitions import _values as read
from asyncpoll.definitions._model import MARKS, NOTHING, EndpointSpec, GroupSpec, RequestSpec, StartSpec
from asyncpoll.definitions._spots import Spot, build, check_keys, key, keys_of
from asyncpoll.definitions._values import STATES
from asyncpoll.http._message import header_problem
from asyncpoll.http._urls import Address

_NAME = re.compile(r"[a-z0-9_-]{1,60}(?:\.[a-z0-9_-]{1,60}){0,5}", re.ASCII)
_PART = re.compile(r"[a-z0-9_-]{1,60}", re.ASCII)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,99}", re.ASCII)


@frozen
class AuthSpec:
    """How the key is sent.

    Attributes:
        scheme: "bearer", "basic", "header", "query", "none", or the name of an `Auth` registered in Python.
        options: The other keys: `header` and `prefix`, `query`, or the arguments of the registered one.
    """

    scheme: str
    options: Mapping[str, Any] = NOTHING


BEARER = AuthSpec("bearer")


def _auth(spot: Spot) -> AuthSpec:
    if isinstance(spot.value, str):
        return AuthSpec(read.one_of("bearer", "basic", "none")(spot))
    given = spot.table('"bearer", "basic", "none", or a table with header, query or scheme')
    chosen = [name for name in ("header", "query", "scheme") if name in given]
    if len(chosen) != 1:
        spot.refuse("one of header, query and scheme must be given; write { header = ... }, for example")
    name = read.text(given[chosen[0]])
    if chosen == ["scheme"]:
        return AuthSpec(name, {option: read.scalar(one) for option, one in given.items() if option != "scheme"})
    known = {"header": ["header", "prefix"], "query": ["query"]}[chosen[0]]
    if unknown := [one for one in given if one not in known]:
        spot.refuse(f"there is no such key; the keys here are {', '.join(known)}", unknown[0])
    for one in given.values():
        if not isinstance(one.value, str):
            one.refuse_type("a text")
    if chosen == ["header"] and (problem := header_problem(name, given.get("prefix", given["header"]).value, ())):
        spot.refuse(f"{problem}; write another header or prefix")
    return AuthSpec(chosen[0], {option: one.value for option, one in given.items()})


def _base(spot: Spot) -> str:
    try:
        Address.of(read.text(spot))
    except ValueError as problem:
        spot.refuse(
            str(problem)
            .replace("base_url is", "the address is")
            .replace(", or pass insecure=True to send all in the clear", "")
        )
    return str(spot.value)


def _name(spot: Spot) -> str:
    if not _NAME.fullmatch(read.text(spot)):
        spot.refuse_type('a name of lower-case letters, digits, "-" and "_", such as "acme" or "acme.renders"')
    return str(spot.value)


def _variable(spot: Spot) -> str:
    if not _VARIABLE.fullmatch(read.text(spot)):
        spot.refuse_type("the name of an environment variable, such as ACME_API_KEY")
    return str(spot.value)


def _date(spot: Spot) -> str:
    return spot.value.isoformat() if isinstance(spot.value, date) else read.text(spot)


@frozen(kw_only=True)
class DefinitionSpec:
    """A definition, after all checks.

    Attributes:
        name: The name. That of an endpoint in `[endpoints.NAME]` is this one, a dot, and NAME.
        base: The base address, or None if every caller names one.
        auth: How the key is sent.
        env: The environment variable of the key that the file suggests, or None.
        documents: Addresses of the documents that it was written from.
        written: The day on which it was written, as text.
        endpoints: The endpoints by full name.
        is_listed: Whether it is one of the catalogue.
    """

    name: str = key(_name)
    base: str | None = key(_base, None)
    auth: AuthSpec = key(_auth, BEARER)
    env: str | None = key(_variable, None)
    documents: tuple[str, ...] = key(read.listed(read.text), ())
    written: str = key(_date, "")
    endpoints: Mapping[str, EndpointSpec] = field(default=NOTHING, kw_only=True)
    is_listed: bool = field(default=False, kw_only=True)
    where: Spot = field(repr=False, eq=False)

    @property
    def vendor(self) -> str:
        """Return the first part of the name."""
        return self.name.partition(".")[0]


def parse(spot: Spot) -> DefinitionSpec:
    """Return the definition at *spot*, the place of the whole text.

    Raises:
        DefinitionError: Something in it cannot be used.
    """
    given = spot.table("the table of a definition, with name, base, ask, status, success and failed")
    own = keys_of(DefinitionSpec)
    shared = {name: one for name, one in given.items() if name not in own and name != "endpoints"}
    check_keys(shared, [*keys_of(EndpointSpec), *own, "endpoints"], spot)
    definition = build(DefinitionSpec, spot, {name: one for name, one in given.items() if name in own})
    if "endpoints" not in given:
        return evolve(definition, endpoints={definition.name: _endpoint(spot, shared, definition.name)})
    endpoints: dict[str, EndpointSpec] = {}
    for part, one in given["endpoints"].table().items():
        if not _PART.fullmatch(part):
            one.refuse('the name of an endpoint has lower-case letters, digits, "-" and "_" only; write another one')
        name = f"{definition.name}.{part}"
        endpoints[name] = _endpoint(one, {**shared, **one.table()}, name)
    if not endpoints:
        given["endpoints"].refuse("there is no endpoint; write [endpoints.NAME] and its keys")
    return evolve(definition, endpoints=endpoints)


def _endpoint(spot: Spot, given: Mapping[str, Spot], name: str) -> EndpointSpec:
    endpoint = evolve(build(EndpointSpec, spot, given), name=name, given=given)
    _check_words(endpoint)
    _check_fields(endpoint)
    return endpoint


def _check_words(endpoint: EndpointSpec) -> None:
    _check_once(endpoint, {state: State(state) for state in STATES})
    _check_once(endpoint, MARKS)
    words = endpoint.words
    if any(word in words for word in endpoint.absent):
        endpoint.refuse("absent", "a word of this list has a state, too; list it once")
    has_words = bool(words or endpoint.absent)
    if has_words and not endpoint.status:
        endpoint.refuse("ask", 'there are status words, but not where they stand; write status = "..."')
    if endpoint.status and not has_words:
        endpoint.refuse("status", 'there are no words; write success = "..." and failed = "..."')
    if any(path.place == "body" for path in endpoint.status):
        endpoint.refuse("status", "the bytes of a body are not a word; write the path of the status word")
    if not (has_words or endpoint.when or endpoint.http):
        endpoint.refuse("ask", 'nothing says what an answer means; write status = "...", success = "..."')


def _check_once(endpoint: EndpointSpec, states: Mapping[str, State]) -> None:
    """Check that no word is in two of some lists, which stand for these states."""
    listed: list[tuple[Any, State]] = []
    for name, state in states.items():
        listed += [(word, state) for word in getattr(endpoint, name)]
        try:
            Words(listed)
        except ValueError as problem:
            endpoint.refuse(name, str(problem))


def _check_fields(endpoint: EndpointSpec) -> None:
    """Check that every slot has something to fill it."""
    for name, request in (("ask", endpoint.ask), ("cancel", endpoint.cancel), ("group", endpoint.group)):
        for slot in _slots(request):
            read.field_name(endpoint.given[name].below(slot, slot))
    if endpoint.start is not None:
        _check_start(endpoint, endpoint.start)
    for step in endpoint.then:
        for slot in step.names:
            read.path(step.where.below(slot, slot))
    for name, fields in (("moved", endpoint.moved), ("predicts", endpoint.predicts)):
        unknown = [one for one in fields if one not in endpoint.fields]
        if unknown and not endpoint.open:
            endpoint.refuse(name, f"no request has the field {unknown[0]}; write {' or '.join(endpoint.fields)}")


def _check_start(endpoint: EndpointSpec, start: StartSpec) -> None:
    for slot in start.names:
        read.field_name(endpoint.given["start"].below(slot, slot))
    if start.is_address:
        endpoint.refuse("start", 'a start needs an address of its own; write a path such as "POST /tasks"')
    missing = [name for name in endpoint.required if name not in start.ref and name not in start.names]
    if missing and not start.open:
        name = missing[0]
        endpoint.refuse("start", f"nothing fills {name} of the reference; write ref = {{ {name} = ... }}")


def _slots(request: RequestSpec | GroupSpec | None) -> tuple[str, ...]:
    request = request.ask if isinstance(request, GroupSpec) else request
    return () if request is None else request.names
