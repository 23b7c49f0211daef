"""A whole definition: its endpoints, where they are, how the key is sent, and the checks between keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from types import NoneType
from typing import Any

from attrs import evolve, field, frozen

from asyncpoll._marks import fact_keys
from asyncpoll._state import State, Words
from asyncpoll.definitions import _values as read
from asyncpoll.definitions._model import MARKS, NOTHING, EndpointSpec, RequestSpec, StartSpec, TableSpec
from asyncpoll.definitions._spots import Spot, build, check_keys, key, keys_of
from asyncpoll.definitions._values import STATES
from asyncpoll.http._auth import ApiKey
from asyncpoll.http._urls import Address

_PART = r"[a-z0-9_-]{1,60}"


@frozen
class AuthSpec:
    """How the key is sent.

    Attributes:
        scheme: "bearer", "basic", "header", "query", "none", or the name of an `Auth` registered in Python.
        options: The other keys: `header` and `prefix`, `query`, or the arguments of the registered one.
    """

    scheme: str
    options: Mapping[str, Any] = NOTHING


_SCHEMES = ("bearer", "basic", "none", "header", "query")


def _auth(spot: Spot) -> AuthSpec:
    if isinstance(spot.value, str):
        return AuthSpec(read.one_of(*_SCHEMES[:3])(spot))
    given = spot.table('"bearer", "basic", "none", or a table with header, query or scheme')
    chosen = ["scheme"] if "scheme" in given else [name for name in ("header", "query") if name in given]
    if len(chosen) != 1:
        spot.refuse("one of header, query and scheme must be given; write { header = ... }, for example")
    name = read.text(given[chosen[0]])
    if chosen == ["scheme"]:
        if "key" in given:
            spot.refuse("a definition holds no key; leave it out, and pass it to the client", "key")
        if name in _SCHEMES:
            spot.refuse('this is not a registered scheme; write auth = "bearer" or { header = ... }, for example')
        return AuthSpec(name, {option: read.scalar(one) for option, one in given.items() if option != "scheme"})
    known = {"header": ["header", "prefix"], "query": ["query"]}[chosen[0]]
    if unknown := [one for one in given if one not in known]:
        spot.refuse(f"there is no such key; the keys here are {', '.join(known)}", unknown[0])
    for one in given.values():
        if not isinstance(one.value, str):
            one.refuse_type("a text")
    options = {option: one.value for option, one in given.items()}
    try:
        ApiKey("a-key", **options)
    except ValueError as problem:
        spot.refuse(str(problem).removeprefix("ApiKey: "))
    return AuthSpec(chosen[0], options)


def _base(spot: Spot) -> str:
    address: str = read.text(spot)
    try:
        Address.of(address)
    except ValueError as problem:
        spot.refuse(
            str(problem)
            .replace("base_url is", "the address is")
            .replace(", or pass insecure=True to send all in the clear", "")
        )
    return address


_name = read.matching(
    rf"{_PART}(?:\.{_PART}){{0,5}}",
    'a name of lower-case letters, digits, "-" and "_", such as "acme" or "acme.renders"',
)
_variable = read.matching(r"[A-Z][A-Z0-9_]{0,99}", "the name of an environment variable, such as ACME_API_KEY")


def _date(spot: Spot) -> str:
    return spot.value.isoformat() if isinstance(spot.value, date) else read.prose(spot)


@frozen(kw_only=True)
class DefinitionSpec(TableSpec):
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
    auth: AuthSpec = key(_auth, AuthSpec("bearer"))
    env: str | None = key(_variable, None)
    documents: tuple[str, ...] = key(read.listed(read.prose), ())
    written: str = key(_date, "")
    endpoints: Mapping[str, EndpointSpec] = field(default=NOTHING, kw_only=True)
    is_listed: bool = field(default=False, kw_only=True)

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
        if not re.fullmatch(_PART, part):
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
    for name, request in endpoint.requests.items():
        for slot in request.names:
            read.field_name(endpoint.given[name].below(slot, slot))
    if endpoint.start is not None:
        _check_start(endpoint, endpoint.start)
    if endpoint.open:
        _check_body(endpoint, "ask", endpoint.ask)
    for step in endpoint.then:
        for slot in step.names:
            read.path(step.where.below(slot, slot))
    _check_known(endpoint, "moved", endpoint.moved, endpoint.fields, is_open=endpoint.open)
    held = [] if endpoint.submitted_at is None else [endpoint.submitted_at]
    _check_known(endpoint, "submitted_at", held, endpoint.fields, is_open=endpoint.open)
    start, facts = endpoint.start, [fact_keys(path)[0] for path in endpoint.predicts]
    known = dict.fromkeys([*endpoint.fields, *(start.names if start else ())])
    _check_known(endpoint, "predicts", facts, known, is_open=endpoint.open or (start is not None and start.open))


def _check_known(
    endpoint: EndpointSpec, name: str, fields: Iterable[str], known: Iterable[str], *, is_open: bool
) -> None:
    unknown = [one for one in fields if one not in known]
    if unknown and not is_open:
        endpoint.refuse(name, f"no request has the field {unknown[0]}; write {' or '.join(known)}")


def _check_start(endpoint: EndpointSpec, start: StartSpec) -> None:
    for slot in start.names:
        read.field_name(endpoint.given["start"].below(slot, slot))
    if start.is_address:
        endpoint.refuse("start", 'a start needs an address of its own; write a path such as "POST /tasks"')
    missing = [name for name in endpoint.required if name not in start.ref and name not in start.names]
    if missing and not start.open:
        name = missing[0]
        endpoint.refuse("start", f"nothing fills {name} of the reference; write ref = {{ {name} = ... }}")
    if start.open:
        _check_body(endpoint, "start", start)


def _check_body(endpoint: EndpointSpec, name: str, request: RequestSpec) -> None:
    """Check that further fields can go into the body of a request."""
    if request.form or not isinstance(request.json, Mapping | NoneType):
        endpoint.refuse(name, "with open = true, further fields go into the JSON body; write a table for json")
