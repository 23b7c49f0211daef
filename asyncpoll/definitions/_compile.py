"""Compile the model of an endpoint into an `Endpoint`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from math import floor
from typing import Any

from attrs import evolve, fields, frozen

from asyncpoll._calls import Group, Poll, Start
from asyncpoll._endpoint import Endpoint
from asyncpoll._errors import BadReply, TransportError
from asyncpoll._marks import fact_keys, predictor
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll._structure import malformed, text_of
from asyncpoll.definitions._chains import Chain, then_classifier
from asyncpoll.definitions._model import EndpointSpec, GroupSpec, ListSpec, LongPollSpec, RequestSpec, StartSpec
from asyncpoll.definitions._paths import Getter, first, has_content
from asyncpoll.definitions._reading import Faults, Judge, Meaning, judge, reader, reasons, value_getter
from asyncpoll.definitions._requests import Make, Reference, References, json_copy, request_maker, with_query
from asyncpoll.http import Reply, Request
from asyncpoll.waiting._policy import Pace

IDEMPOTENCY = "idempotency_key"
"""The argument of a start whose idempotency key is a header."""

Asker = Callable[[Reference], Request]
Reading = Callable[[Reply], Snapshot[Any]]

_IN_HEADER = "header:"
_ROUND_TRIP, _PATIENCE = 1.0, 10.0  # seconds that are left for the answer to a long poll, and that it may be late
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
    read = reader(spec, faults, why, None if chain is None else chain.begin)
    return Endpoint(
        spec.name,
        ask=ask,
        read=read,
        classify=faults.classifier(),
        start=None if spec.start is None else _Submit.of(spec, spec.start, references, read),
        cancel=None if spec.cancel is None else _maker(spec.cancel, references),
        then=None if chain is None else chain.then,
        read_then=None if chain is None else chain.read_then,
        classify_then=None if chain is None else then_classifier(spec, faults),
        again=_again(spec, references, ask) if spec.moved or spec.long_poll else None,
        about=None if spec.about is None else _about(spec.about, references),
        group=None if spec.group is None else _group(spec, spec.group, references, faults),
        pace=None if spec.pace is None else Pace(**{one.name: getattr(spec.pace, one.name) for one in fields(Pace)}),
        predicts=_predicts(spec, references),
        submitted_at=None if spec.submitted_at is None else partial(_time_in, spec.submitted_at),
        same_job=_same_job(spec.echo, references) if spec.echo else None,
        plain=Reference.plain,
        restore=references.make,
        definition=text,
    )


def _maker(spec: RequestSpec, references: References) -> Asker:
    make: Callable[[Any], Request] = request_maker(spec, references.index)
    return lambda ref: make(ref.values)


def _asker(spec: EndpointSpec, references: References) -> Asker:
    if not spec.open:
        return _maker(spec.ask, references)
    make, known = request_maker(spec.ask, references.index), len(references.names)

    def ask(ref: Reference) -> Request:
        request: Request = make(ref.values)
        if len(ref.values) == known:
            return request
        further = dict(zip(ref.names[known:], ref.values[known:], strict=True))
        return evolve(request, json={**(request.json or {}), **further})

    return ask


@frozen
class _Submit:
    """The submit of an endpoint.

    Attributes:
        key: The argument that is the idempotency key, or None.
        header: The header that carries it, or nothing if it has a place of its own.
        make: Makes the request from the arguments.
        answered: From the fields that the answer has to their getters.
    """

    spec: EndpointSpec
    start: StartSpec
    references: References
    key: str | None
    header: str
    make: Make
    answered: Mapping[str, Getter]

    @classmethod
    def of(cls, spec: EndpointSpec, start: StartSpec, references: References, read: Reading) -> Start[Reference, Any]:
        """Return the `Start` of an endpoint."""
        key, header = start.idempotency, ""
        if key is not None and key.startswith(_IN_HEADER):
            key, header = IDEMPOTENCY, key.removeprefix(_IN_HEADER)
        make = request_maker(start, lambda name: name, repeatable=False)
        answered = {name: first(paths) for name, paths in start.ref.items()}
        submit = cls(spec, start, references, key, header, make, answered)
        predict = predictor(spec.predicts)
        predicts = (lambda arguments: predict({**spec.ref, **arguments})) if spec.predicts else None
        return Start(submit.ask, submit.read, _ended(read) if start.answers else None, key, predicts)

    def ask(self, **arguments: Any) -> Request:
        """Return the request."""
        further = self._further(arguments)
        request: Request = self.make(arguments)
        if further:
            body = {name: json_copy(name, value) for name, value in further.items()}
            request = evolve(request, json={**(request.json or {}), **body})
        if not self.header:
            return request
        return evolve(request, headers={**request.headers, self.header: str(arguments[self.key or ""])})

    def _further(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments without a slot, which go into the body."""
        needed, answered = self.start.names, self.answered
        known = dict.fromkeys([*needed, *(name for name in self.spec.fields if name not in answered)])
        name = self.spec.name
        if missing := [one for one in needed if one not in arguments]:
            raise TypeError(f"{name}: start needs {', '.join(needed)}; it lacks {', '.join(missing)}")
        further = {one: value for one, value in arguments.items() if one not in needed}
        if self.header:
            further.pop(self.key or "", None)
        if self.start.open:
            return further
        if unknown := [one for one in further if one not in known]:
            raise TypeError(f"{name}: start has no argument {unknown[0]!r:.60}; it takes {', '.join(known) or 'none'}")
        return {}

    def read(self, reply: Reply, arguments: Mapping[str, Any]) -> Reference:
        """Return the reference in the answer; fields that the answer does not have are among the arguments."""
        given = {name: arguments[name] for name in self.spec.fields if name in arguments}
        for name, get in self.answered.items():
            given[name] = get(reply.json, reply)
            if not has_content(given[name]):
                raise malformed(f"$.{self.start.ref[name][0].text}", "an id is expected", reply)
        try:
            return self.references.make(given)
        except ValueError as problem:
            raise BadReply(f"the answer has no usable id: {problem}", reply=reply) from None


def _ended(read: Reading) -> Callable[[Reply], Snapshot[Any] | None]:
    """Return the function that reads a job which has ended with the answer to its start.

    An answer that says nothing about the job is that to a start alone.
    """

    def read_ended(reply: Reply) -> Snapshot[Any] | None:
        try:
            return read(reply)
        except TransportError:
            return None

    return read_ended


def _again(spec: EndpointSpec, references: References, ask: Asker) -> Callable[[Reference, Poll], Request]:
    """Return the function that asks within a wait: at an address that the last answer gave, or with a long poll."""
    moved = [(name, first(paths)) for name, paths in spec.moved.items()]
    long_poll = spec.long_poll

    def again(ref: Reference, poll: Poll) -> Request:
        last = poll.last
        if last is not None and moved:
            found = {name: value for name, get in moved if has_content(value := get(last.json, last))}
            ref = references.changed(ref, found) if found else ref
        request = ask(ref)
        return request if long_poll is None else _held(request, long_poll, poll.seconds_left)

    return again


def _held(request: Request, spec: LongPollSpec, left: float | None) -> Request:
    """Return a request whose answer the server holds back, until shortly before the wait ends."""
    wanted = spec.seconds if left is None else min(spec.seconds, left - _ROUND_TRIP)
    count = floor(wanted * spec.per_second)
    if count < 1:
        return request
    return evolve(with_query(request, spec.query, str(count)), attempt=wanted + _PATIENCE)


def _same_job(echo: Mapping[str, Any], references: References) -> Callable[[Reference, Reply], bool]:
    pairs = [(references.index(name), first(paths)) for name, paths in echo.items()]
    if len(pairs) == 1:
        [(index, get)] = pairs

        def same_one(ref: Reference, reply: Reply) -> bool:
            found = get(reply.json, reply)
            return found == ref.values[index] or text_of(found) in (None, ref.values[index])

        return same_one
    return lambda ref, reply: all(text_of(get(reply.json, reply)) in (None, ref.values[at]) for at, get in pairs)


def _predicts(spec: EndpointSpec, references: References) -> Callable[[Reference], str | None] | None:
    """Return the function that finds in a reference what predicts, or None if there is never anything."""
    roots = dict.fromkeys(fact_keys(path)[0] for path in spec.predicts)
    known = {name: references.index(name) for name in roots if name in references.names}
    if not known and not (roots and spec.open):
        return None
    predict, indexes, usual = predictor(spec.predicts), list(known.values()), len(references.names)
    remembered = lru_cache(maxsize=1024, typed=True)(lambda *values: predict(dict(zip(known, values, strict=True))))

    def predicted(ref: Reference) -> str | None:
        try:
            if len(ref.names) == usual:
                return remembered(*[ref.values[index] for index in indexes])
        except TypeError:  # a list or an object cannot be remembered
            pass
        return predict(ref.plain())

    return predicted


def _time_in(name: str, ref: Reference) -> Any:
    """Return the field of a reference that holds the time of the submit, as itself or in an id."""
    return ref.plain().get(name)


# lists


def _items(spec: ListSpec) -> Callable[[Reply], dict[tuple[Any, ...], Any]]:
    """Return a function from an answer to the items of its list, by their ids."""
    each, where = first(spec.each), f"$.{spec.each[0].text}"
    ids: list[Getter] = [first(paths) for paths in spec.id.values()]

    def by_id(reply: Reply) -> dict[tuple[Any, ...], Any]:
        items = each(reply.json, reply)
        if items is None:
            items = []
        if not isinstance(items, list):
            raise malformed(where, "an array is expected", reply)
        found: dict[tuple[Any, ...], Any] = {}
        for item in items:
            key = tuple(text_of(get(item, reply)) for get in ids)
            if None in key:
                raise malformed(where, "an item has no id", reply)
            if key in found:
                raise BadReply("the answer is about a job twice", kind="identity", reply=reply)
            found[key] = item
        return found

    return by_id


def _key_of(spec: ListSpec, references: References) -> Callable[[Reference], tuple[Any, ...]]:
    indexes = [references.index(name) for name in spec.id]
    return lambda ref: tuple([ref.values[index] for index in indexes])


def _about(spec: ListSpec, references: References) -> Callable[[Reference, Reply], Reply]:
    by_id, key_of = _items(spec), _key_of(spec, references)

    def about(ref: Reference, reply: Reply) -> Reply:
        item = by_id(reply).get(key_of(ref))
        if item is None:
            raise BadReply("the job is not in the list that the server sent", reply=reply)
        return evolve(reply, json=item)

    return about


def _group(spec: EndpointSpec, group: GroupSpec, references: References, faults: Faults) -> Group[Reference, Any]:
    by_id, key_of = _items(group), _key_of(group, references)
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
            if verdict is not None and verdict.word and verdict.state in tells:
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


def _verdict(verdict_of: Judge, item: Any, reply: Reply) -> Meaning | None:
    """Return the verdict about an item, or None if its word is unusable, so that the job is asked about alone."""
    try:
        return verdict_of(item, reply)
    except BadReply:
        return None
