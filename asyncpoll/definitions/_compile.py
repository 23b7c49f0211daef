"""Compile the model of an endpoint into an `Endpoint`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from attrs import evolve

from asyncpoll._calls import Group, Start
from asyncpoll._endpoint import Endpoint
from asyncpoll._errors import BadReply
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll._structure import text_of
from asyncpoll.definitions._chains import Chain, then_classifier
from asyncpoll.definitions._model import EndpointSpec, GroupSpec, ListSpec, PaceSpec, RequestSpec, StartSpec
from asyncpoll.definitions._paths import Getter, first, has_content
from asyncpoll.definitions._reading import Faults, judge, reader, reasons, value_getter
from asyncpoll.definitions._requests import Reference, References, json_copy, request_maker
from asyncpoll.http import Reply, Request
from asyncpoll.waiting._policy import Pace

IDEMPOTENCY = "idempotency_key"
"""The argument of a start whose idempotency key is a header."""

_IN_HEADER = "header:"
_IN_LISTS = (State.PENDING, State.PROCESSING, State.CANCELLED, State.UNKNOWN)


def compile_endpoint(spec: EndpointSpec, text: str | None = None) -> Endpoint[Reference, Any]:
    """Return the endpoint of a model.

    Args:
        spec: The model.
        text: The text of the definition, which a ledger keeps.
    """
    references, faults = References.of(spec), Faults.of(spec)
    ask, why = _asker(spec, references), reasons(spec, faults)
    chain = Chain.of(spec, ask, why) if spec.then or spec.pages else None
    return Endpoint(
        spec.name,
        ask=ask,
        read=reader(spec, faults, why, None if chain is None else chain.begin),
        classify=faults.classifier(),
        start=None if spec.start is None else _start(spec, spec.start, references),
        cancel=None if spec.cancel is None else _maker(spec.cancel, references),
        then=None if chain is None else chain.then,
        read_then=None if chain is None else chain.read_then,
        classify_then=None if chain is None else then_classifier(spec, faults),
        about=None if spec.about is None else _about(spec.about, references),
        group=None if spec.group is None else _group(spec, spec.group, references, faults),
        pace=None if spec.pace is None else _pace(spec.pace),
        predicts=_predicts(spec, references) if spec.predicts else None,
        same_job=_same_job(spec.echo, references) if spec.echo else None,
        plain=Reference.plain,
        restore=references.make,
        definition=text,
    )


def _maker(spec: RequestSpec, references: References) -> Callable[[Reference], Request]:
    make = request_maker(spec, references.index)
    return lambda ref: make(ref.values)


def _asker(spec: EndpointSpec, references: References) -> Callable[[Reference], Request]:
    make, known = request_maker(spec.ask, references.index), len(references.names)
    if not spec.open:
        return lambda ref: make(ref.values)

    def ask(ref: Reference) -> Request:
        values = ref.values
        if len(values) == known:
            return make(values)
        further = zip(ref.names[known:], values[known:], strict=True)
        request: Request = make(values)
        return evolve(request, json={**(request.json or {}), **dict(further)})

    return ask


def _start(spec: EndpointSpec, start: StartSpec, references: References) -> Start[Reference, Any]:
    key, in_header = start.idempotency, ""
    if key is not None and key.startswith(_IN_HEADER):
        key, in_header = IDEMPOTENCY, key.removeprefix(_IN_HEADER)
    make = request_maker(start, lambda name: name, repeatable=False)
    needed = dict.fromkeys(start.names)
    known = dict.fromkeys([*needed, *(name for name in spec.fields if name not in start.ref)])
    if key is not None:
        known[key] = None
    answered = {name: first(paths) for name, paths in start.ref.items()}

    def ask(**arguments: Any) -> Request:
        if missing := [name for name in needed if name not in arguments]:
            raise TypeError(f"{spec.name}: start needs {', '.join(needed)}; it lacks {', '.join(missing)}")
        further = {name: value for name, value in arguments.items() if name not in needed}
        if in_header:
            further.pop(key or "")
        if not start.open and (unknown := [name for name in further if name not in known]):
            raise TypeError(f"{spec.name}: start has no argument {unknown[0]!r:.60}; it takes {', '.join(known)}")
        request: Request = make(arguments)
        if start.open:
            body = {name: json_copy(name, value) for name, value in further.items()}
            request = evolve(request, json={**(request.json or {}), **body})
        return evolve(request, headers={**request.headers, in_header: arguments[key]}) if in_header else request

    def read(reply: Reply, arguments: Mapping[str, Any]) -> Reference:
        given = {name: arguments[name] for name in spec.fields if name in arguments}
        for name, get in answered.items():
            given[name] = get(reply.json, reply)
            if not has_content(given[name]):
                where = start.ref[name][0].text
                raise BadReply(f"the answer is malformed at $.{where}: an id is expected", reply=reply)
        try:
            return references.make(given)
        except ValueError as problem:
            raise BadReply(f"the answer has no usable id: {problem}", reply=reply) from None

    return Start(ask, read, key=key)


def _same_job(echo: Mapping[str, Any], references: References) -> Callable[[Reference, Reply], bool]:
    pairs = [(references.index(name), first(paths)) for name, paths in echo.items()]
    if len(pairs) == 1:
        [(index, get)] = pairs

        def same_one(ref: Reference, reply: Reply) -> bool:
            found = get(reply.json, reply)
            return found == ref.values[index] or text_of(found) in (None, ref.values[index])

        return same_one
    return lambda ref, reply: all(text_of(get(reply.json, reply)) in (None, ref.values[at]) for at, get in pairs)


def _predicts(spec: EndpointSpec, references: References) -> Callable[[Reference], Any]:
    if all(name in references.names for name in spec.predicts):
        get = itemgetter(*map(references.index, spec.predicts))
        return lambda ref: get(ref.values)
    return lambda ref: tuple(ref.plain().get(name) for name in spec.predicts)


def _pace(spec: PaceSpec) -> Pace:
    return Pace(
        at_least=spec.at_least,
        first=spec.first,
        not_found_grace=spec.not_found_grace,
        stable_for=spec.stable_for,
        per_second=spec.per_second,
    )


# lists


def _items(spec: ListSpec, references: References) -> Callable[[Reply], dict[tuple[Any, ...], Any]]:
    """Return a function from an answer to the items of its list, by their ids."""
    each = first(spec.each)
    ids: list[Getter] = [first(paths) for paths in spec.id.values()]

    def by_id(reply: Reply) -> dict[tuple[Any, ...], Any]:
        items = each(reply.json, reply)
        if items is None:
            items = []
        if not isinstance(items, list):
            raise BadReply(f"the answer is malformed at $.{spec.each[0].text}: an array is expected", reply=reply)
        found: dict[tuple[Any, ...], Any] = {}
        for item in items:
            key = tuple(text_of(get(item, reply)) for get in ids)
            if None in key:
                raise BadReply(f"the answer is malformed at $.{spec.each[0].text}: an item has no id", reply=reply)
            if key in found:
                raise BadReply("the answer is about a job twice", kind="identity", reply=reply)
            found[key] = item
        return found

    return by_id


def _key_of(spec: ListSpec, references: References) -> Callable[[Reference], tuple[Any, ...]]:
    indexes = [references.index(name) for name in spec.id]
    return lambda ref: tuple([ref.values[index] for index in indexes])


def _about(spec: ListSpec, references: References) -> Callable[[Reference, Reply], Reply]:
    by_id, key_of = _items(spec, references), _key_of(spec, references)

    def about(ref: Reference, reply: Reply) -> Reply:
        item = by_id(reply).get(key_of(ref))
        if item is None:
            raise BadReply("the job is not in the list that the server sent", reply=reply)
        return evolve(reply, json=item)

    return about


def _group(spec: EndpointSpec, group: GroupSpec, references: References, faults: Faults) -> Group[Reference, Any]:
    by_id, key_of = _items(group, references), _key_of(group, references)
    shared = [references.index(name) for name in group.ask.names]
    make = request_maker(group.ask, references.index)
    echoed = _same_job(group.echo, references) if group.echo else None
    verdict_of = judge(evolve(spec, status=group.status, when=(), http={}, missing=None), faults)
    has_value = bool(group.value) and not spec.then and not spec.pages
    value_of = value_getter(group.value)
    tells = frozenset(map(State, group.tells)) if group.tells else frozenset(_IN_LISTS)
    tells |= {State.SUCCESS} if has_value else set()

    def read(reply: Reply, refs: Sequence[Reference]) -> Mapping[Reference, Snapshot[Any]]:
        if echoed is not None and not echoed(refs[0], reply):
            raise BadReply("the answer is about another group", kind="identity", reply=reply)
        items = by_id(reply)
        seen: dict[Reference, Snapshot[Any]] = {}
        for ref in refs:
            item = items.get(key_of(ref))
            verdict = None if item is None else _verdict(verdict_of, item, reply)
            if verdict is not None and verdict.state in tells:
                is_done = verdict.state is State.SUCCESS
                seen[ref] = Snapshot(
                    verdict.state,
                    verdict.word,
                    value_of(item, reply) if is_done else None,
                    retry_after=reply.retry_after,
                    raw=item if is_done else None,
                    partial=verdict.partial,
                    kind=verdict.kind,
                )
        return seen

    return Group(
        lambda ref: tuple([ref.values[index] for index in shared]), lambda refs: make(refs[0].values), read, group.size
    )


def _verdict(verdict_of: Any, item: Any, reply: Reply) -> Any:
    """Return the verdict about an item, or None if its word is unusable, so that the job is asked about alone."""
    try:
        return verdict_of(item, reply)
    except BadReply:
        return None
