"""Requests of a definition: the reference of a job, and functions that make requests from one."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from operator import itemgetter
from typing import Any

from attrs import frozen

from asyncpoll.definitions._model import EndpointSpec, RequestSpec
from asyncpoll.definitions._templates import Slot, fill_slot, plain_text
from asyncpoll.http import Request, identifier, segment

Make = Callable[[Any], Any]
"""A function from the source of the values, such as a tuple or a mapping, to a part of a request."""

KeyOf = Callable[[str], Any]
"""A function from the name of a slot to the key or index of its value in the source."""

_LONGEST_ADDRESS = 8000


class Reference:
    """What names a job to a definition: fields and their values, in one order for all jobs of an endpoint.

    Attributes:
        names: The fields. Those that were given beyond the ones of the definition come last.
        values: Their values.
    """

    __slots__ = ("names", "values")

    def __init__(self, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
        self.names = names
        self.values = values

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same fields with the same values."""
        if not isinstance(other, Reference):
            return NotImplemented
        return self.values == other.values and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.values)

    def __repr__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in zip(self.names, self.values, strict=True))

    def plain(self) -> dict[str, Any]:
        """Return the fields as JSON data."""
        return dict(zip(self.names, self.values, strict=True))


@frozen
class References:
    """Makes the references of one endpoint.

    Attributes:
        names: The fields.
        defaults: The values of fields that may be left out.
        checks: From a field to the function that checks its value and returns it.
        open: Whether a reference may have further fields.
    """

    names: tuple[str, ...]
    defaults: Mapping[str, Any]
    checks: Mapping[str, Callable[[Any], Any]]
    open: bool

    @classmethod
    def of(cls, spec: EndpointSpec) -> References:
        """Return what makes the references of *spec*."""
        requests = [spec.ask, spec.cancel, spec.group.ask if spec.group else None]
        in_paths = {
            slot.name: (_address if request.is_address else partial(_part, slot))
            for request in requests
            if request is not None
            for slot in request.path
            if isinstance(slot, Slot)
        }
        repeated = {*spec.echo, *(spec.group.id if spec.group else ()), *(spec.about.id if spec.about else ())}
        checks = {name: in_paths.get(name, partial(_value, name, name in repeated)) for name in spec.fields}
        return cls(spec.fields, dict(spec.ref), checks, spec.open)

    def make(self, given: Mapping[str, Any]) -> Reference:
        """Return a reference with the given fields.

        Raises:
            ValueError: A field is missing, unknown, or cannot be sent.
        """
        missing = [name for name in self.names if name not in given and name not in self.defaults]
        if missing:
            raise ValueError(f"a reference needs {', '.join(self.names)}; it lacks {', '.join(missing)}")
        values = {name: self.checks[name](given.get(name, self.defaults.get(name))) for name in self.names}
        further = sorted(set(given) - set(self.names))
        if further and not self.open:
            raise ValueError(f"a reference has no {further[0]!r:.60}; its fields are {', '.join(self.names)}")
        values |= {name: json_copy(name, given[name]) for name in further}
        return Reference(tuple(values), tuple(values.values()))

    def changed(self, ref: Reference, changes: Mapping[str, Any]) -> Reference:
        """Return a reference with other values in some fields."""
        return self.make({**ref.plain(), **changes})

    def index(self, name: str) -> int:
        """Return where the value of a field stands in each reference."""
        return self.names.index(name)


def _part(slot: Slot, value: Any) -> str:
    text = plain_text(slot.name, value)
    fill_slot(slot, text)
    return text


def _address(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ADDRESS or not value.isprintable():
        raise ValueError("an address that the server gave must be text that can be printed; pass it as it was given")
    return value


def _value(name: str, is_text: bool, value: Any) -> Any:  # noqa: FBT001  bound by position, called with the value
    value = plain_text(name, value) if is_text else value
    return identifier(name, value) if isinstance(value, str) else json_copy(name, value)


def json_copy(name: str, value: Any) -> Any:
    """Return a copy of the value of a field that is sent as JSON, or raise a `ValueError`."""
    if name == "client":
        raise ValueError("a reference cannot have the field 'client', which names a client; leave it out")
    if isinstance(value, str):
        return value
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"{name[:60]} must be JSON, not {type(value).__name__}") from None


# makers


def request_maker(
    spec: RequestSpec, key_of: KeyOf, *, decode: bool = True, repeatable: bool = True
) -> Callable[[Any], Request]:
    """Return a function from the source of the values to the request.

    Args:
        spec: The request.
        key_of: Where the value of a slot stands in the source.
        decode: Whether the answer is JSON.
        repeatable: Whether the request may be sent twice.
    """
    method = spec.method
    rest: dict[str, Any] = {"repeatable": repeatable} if decode else {"repeatable": repeatable, "decode": False}
    makers: dict[str, Make] = {}
    if spec.query:
        makers["query"] = _pairs([(name, _json(value, key_of)) for name, value in spec.query])
    if spec.json is not None:
        makers["json"] = _json(spec.json, key_of)
    if spec.form is not None:
        makers["form"] = _table({name: _text(one, key_of) for name, one in spec.form.items()})
    if spec.headers:
        makers["headers"] = _table({name: _text(one, key_of) for name, one in spec.headers.items()})
    if spec.is_address:
        at = key_of(spec.names[0])
        return lambda source: Request.to(method, source[at], **rest, **_made(makers, source))
    path_of = _path(spec, key_of)
    if not makers:
        return lambda source: Request(method, path_of(source), **rest)
    if list(makers) == ["json"]:
        body = makers["json"]
        return lambda source: Request(method, path_of(source), json=body(source), **rest)
    return lambda source: Request(method, path_of(source), **rest, **_made(makers, source))


def _made(makers: Mapping[str, Make], source: Any) -> dict[str, Any]:
    return {name: make(source) for name, make in makers.items()}


def _path(spec: RequestSpec, key_of: KeyOf) -> Callable[[Any], str]:
    """Return a maker of the path; that of a path with one slot is quick."""
    found = [(piece.name, key_of(piece.name), piece) for piece in spec.path if isinstance(piece, Slot)]
    if not found:
        path = "".join(piece for piece in spec.path if isinstance(piece, str))
        return lambda _source: path
    fixed = [""]
    for piece in spec.path:
        if isinstance(piece, str):
            fixed[-1] += piece
        else:
            fixed.append("")
    head, *tails = fixed
    if not any(slot.open for _, _, slot in found):
        if len(found) == 1:
            [(name, at, _)], [tail] = found, tails
            return lambda source: f"{head}{segment(name, _as_text(source[at]))}{tail}"
        steps = [(name, at, tail) for (name, at, _), tail in zip(found, tails, strict=True)]
        return lambda source: head + "".join([segment(name, _as_text(source[at])) + tail for name, at, tail in steps])
    mixed = [(slot, at, tail) for (_, at, slot), tail in zip(found, tails, strict=True)]
    return lambda source: head + "".join([fill_slot(slot, source[at]) + tail for slot, at, tail in mixed])


def _as_text(value: Any) -> Any:
    return value if type(value) is str else plain_text("an id", value)


def _text(template: Any, key_of: KeyOf) -> Make:
    pieces = [(piece, None) if isinstance(piece, str) else (piece.name, key_of(piece.name)) for piece in template]

    def make(source: Any) -> str:
        return "".join([name if at is None else plain_text(name, source[at]) for name, at in pieces])

    return make


def _json(template: Any, key_of: KeyOf) -> Make:
    if isinstance(template, tuple):
        if len(template) == 1 and isinstance(template[0], Slot):
            return itemgetter(key_of(template[0].name))
        if all(isinstance(piece, str) for piece in template):
            text = "".join(template)
            return lambda _source: text
        return _text(template, key_of)
    if isinstance(template, Mapping):
        return _table({name: _json(one, key_of) for name, one in template.items()})
    if isinstance(template, list):
        items = [_json(one, key_of) for one in template]
        return lambda source: [make(source) for make in items]
    return lambda _source: template


def _table(makers: Mapping[str, Make]) -> Make:
    return partial(_made, makers)


def _pairs(makers: Collection[tuple[str, Make]]) -> Make:
    return lambda source: [(name, _in_query(value)) for name, make in makers if (value := make(source)) is not None]


def _in_query(value: Any) -> str | list[str]:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return [_scalar(one) for one in value]
    return _scalar(value)


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
