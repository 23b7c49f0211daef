"""From decoded JSON to typed values: tolerant about what is missing, strict about what is there.

Three rules hold for every class:

- A field that it does not know is ignored.
- What is missing, null, or an empty string where something else than text belongs, takes the field's default.
- Nothing is coerced, but for an integer where text belongs: ids come either way. Null never becomes "None".

Whoever reads an answer gets a value or a `BadReply` that says where the answer is wrong; what stood there is never
repeated, since it may be anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from asyncpoll._errors import BadReply

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")

_WIRE_NAME = "asyncpoll.wire_name"
_TEXT = (str, str | None, Any)


def camel_case(_cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Spell the fields of a class `likeThis` on the wire; it is an attrs `field_transformer`."""
    return [one.evolve(metadata={_WIRE_NAME: _camel(one.name), **one.metadata}) for one in fields]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def at(payload: Any, *path: str) -> Any:
    """Return what stands at *path* in nested objects, or None where there is nothing."""
    for name in path:
        if not isinstance(payload, Mapping):
            return None
        payload = payload.get(name)
    return payload


def text_at(payload: Any, *path: str) -> str:
    """Return the text at *path*, such as a status word.

    Raises:
        BadReply: Something else stands there, or nothing.
    """
    value = at(payload, *path)
    if not isinstance(value, str):
        raise _malformed(".".join(("$", *path)), f"text is expected, not {_json_type(value)}")
    return value


def echoes(payload: Any, expected: str, *path: str) -> bool:
    """Return whether the id at *path* is *expected*; an answer without one may well be about it."""
    value = at(payload, *path)
    return value in (None, "") or str(value) == expected


def as_json_data(value: Any) -> Any:
    """Return what `json.dumps` can write in place of *value*: its `default`, for whatever results are made of.

    Classes made by attrs become objects, times ISO 8601, and all else that JSON lacks becomes text.
    """
    if attrs.has(type(value)):
        return {one.name: getattr(value, one.name) for one in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def json_line(data: Any, *, ascii_only: bool = False) -> str:
    """Return *data* as one line of JSON in which nothing is left that a terminal would obey.

    Args:
        data: Whatever results are made of; see `as_json_data`.
        ascii_only: Escape every character that is not ASCII, for a stream that takes no other.
    """
    text = json.dumps(data, ensure_ascii=ascii_only, default=as_json_data)
    # What is not printable can only be inside a string, where an escape means the same.
    return (
        text if text.isprintable() else "".join(mark if mark.isprintable() else json.dumps(mark)[1:-1] for mark in text)
    )


def structure(payload: Any, cls: type[T], *, where: str = "$") -> T:
    """Return *payload* as a *cls*.

    Args:
        payload: Decoded JSON.
        cls: A class made by attrs, or a type that such a class has fields of.
        where: The path of the payload in the answer, for messages: `$` is the answer itself.

    Raises:
        BadReply: It does not fit. The message has the path of the misfit, never its value.
    """
    from cattrs.errors import BaseValidationError  # noqa: PLC0415  only those who structure pay for cattrs

    try:
        return _converter().structure(payload, cls)
    except (BaseValidationError, _Misfit) as error:
        raise _malformed(*_locate(error, where)) from None


class _Misfit(TypeError):
    """Something of another type than what is expected stands there."""


def _malformed(path: str, problem: str) -> BadReply:
    return BadReply(f"the answer is malformed at {path}: {problem}")


_JSON_TYPES: Mapping[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "text",
    list: "an array",
    dict: "an object",
}


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), "something else")


@cache
def _converter() -> Converter:
    """Build the one converter when the first value is structured, not before: cattrs takes its time to import."""
    from cattrs import Converter  # noqa: PLC0415  likewise

    converter = Converter(prefer_attrib_converters=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _exactly(int))
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_is_tuple, _array_hook)
    converter.register_structure_hook_factory(attrs.has, _object_hook)
    return converter


def _expect(value: object, *accepted: type) -> None:
    if type(value) not in accepted:
        raise _Misfit(f"{_JSON_TYPES[accepted[0]]} is expected, not {_json_type(value)}")


def _text(value: Any, _type: Any) -> str:
    _expect(value, str, int)
    return str(value)


def _number(value: Any, _type: Any) -> float:
    _expect(value, float, int)
    return float(value)


def _exactly(accepted: type) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _type: Any) -> Any:
        _expect(value, accepted)
        return value

    return hook


def _is_tuple(cls: Any) -> bool:
    return getattr(cls, "__origin__", None) is tuple


def _array_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    items: Any = list[cls.__args__[0]]
    read = converter.get_structure_hook(items)

    def hook(value: Any, _type: Any) -> tuple[Any, ...]:
        _expect(value, list)
        return tuple(read(value, items))

    return hook


def _object_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415  likewise

    attrs.resolve_types(cls)
    names = {one.name: _wire_name(one) for one in attrs.fields(cls)}
    texts = {_wire_name(one) for one in attrs.fields(cls) if one.type in _TEXT}
    renamed: Any = {name: override(rename=wire) for name, wire in names.items()}
    read = make_dict_structure_fn(cls, converter, **renamed)

    def hook(value: Any, _type: Any) -> Any:
        _expect(value, dict)
        there = {name: one for name, one in value.items() if one is not None and (one != "" or name in texts)}
        return read(there, cls)

    return hook


def _wire_name(one: attrs.Attribute[Any]) -> str:
    return str(one.metadata.get(_WIRE_NAME, one.name))


def _locate(error: Exception, path: str) -> tuple[str, str]:
    """Return the path of the first misfit among those that cattrs collected, and what is wrong there."""
    from cattrs.errors import BaseValidationError  # noqa: PLC0415  likewise

    if isinstance(error, BaseValidationError):
        first = error.exceptions[0]
        return _locate(first, path + _step(error.cl, first))
    if isinstance(error, KeyError):
        return path, "it is missing"
    return path, str(error) if isinstance(error, _Misfit) else "the value is refused"


def _step(cls: type, error: Exception) -> str:
    """Return the step from a value of *cls* to the member in which *error* happened."""
    from cattrs.errors import IterableValidationNote  # noqa: PLC0415  likewise

    notes = getattr(error, "__notes__", None)
    if not notes:
        return ""
    if isinstance(notes[-1], IterableValidationNote):
        return f"[{notes[-1].index}]"
    return f".{_wire_name(getattr(attrs.fields(cls), notes[-1].name))}"
