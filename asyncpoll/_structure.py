"""Turn decoded JSON into typed values.

Three rules hold for every class:

- A field that the class does not have is ignored.
- A field that is missing or null has its default. So has an empty string, unless the field is text.
- No value is converted, except an integer to text, since APIs send ids as either. Null never becomes "None".

`structure` raises a `BadReply` for the first value that does not fit. `fit` leaves such values out and returns their
paths, so that one odd side field does not cost the result of a finished job. Both name the path of a value, and never
the value, which may be secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from asyncpoll._errors import BadReply
from asyncpoll._state import State, Vocabulary, json_name, kind_of, spelled

if TYPE_CHECKING:
    from cattrs import Converter

    from asyncpoll.http import Reply

T = TypeVar("T")
Step = str | int
"""One step of a path: the name of a field, or an index."""

_WIRE_NAME = "asyncpoll.wire_name"
_READ = "asyncpoll.read"
_TEXT = (str, str | None, Any)
_MOST_PASSES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_MILLISECONDS = 10**11  # in seconds this is the year 5138, in milliseconds 1973
_LEFT_OUT = object()


def camel_case(_cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Use names `likeThis` for the fields of a class on the wire. This is an attrs `field_transformer`."""
    return [one.evolve(metadata={_WIRE_NAME: camel(one.name), **one.metadata}) for one in fields]


def camel(name: str) -> str:
    """Return a `name_like_this` as a `nameLikeThis`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def at(payload: Any, *path: str) -> Any:
    """Return the value at *path* in nested objects, or None if there is none."""
    for name in path:
        if not isinstance(payload, Mapping):
            return None
        payload = payload.get(name)
    return payload


def reading(function: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the metadata of a field that is read by *function*.

    Args:
        function: A function from the value on the wire to the value of the field. It raises an error for a value that
            does not fit.
    """
    return {_READ: function}


def status_at(payload: Any, words: Vocabulary, *path: str) -> tuple[State, str]:
    """Return the state that the status word at *path* stands for, and the word as text.

    Raises:
        BadReply: There is no word, or the vocabulary has no words of its type.
        UnknownStatus: The vocabulary is strict and does not list the word.
    """
    word = at(payload, *path)
    if not words.accepts(word):
        raise malformed(".".join(("$", *path)), f"{words.expected} is expected, not {kind_of(word)}")
    return words.read(word), spelled(word)


def text_of(value: Any) -> str | None:
    """Return a text that is not blank, or an integer as text. Return None for anything else, such as null."""
    if isinstance(value, str):
        return value if value.strip() else None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def echoes(payload: Any, expected: str, *path: str) -> bool:
    """Return whether the id at *path* is *expected*, or there is no usable id at *path*."""
    return text_of(at(payload, *path)) in (None, expected)


def timestamp(value: Any) -> datetime | None:
    """Return a number of seconds or milliseconds since 1970 as a time in UTC, or None for 0 and None.

    The magnitude tells which of both it is, since documents of APIs are often wrong about it. Text with a number, or
    with a time in ISO 8601 and an offset, is accepted, too.

    Raises:
        ValueError: The value is not a point in time.
        OverflowError: The time is too far away for a `datetime`.
    """
    if value is None or isinstance(value, datetime):
        return value
    if isinstance(value, str) and not value.strip().isdecimal():
        time = datetime.fromisoformat(value.strip())
        if time.tzinfo is None:
            raise ValueError("the time has no offset")
        return time.astimezone(UTC)
    count = int(value) if isinstance(value, str) else value
    if isinstance(count, bool) or not isinstance(count, int | float) or count < 0:
        raise ValueError("this is not a point in time")
    if count == 0:
        return None
    return _EPOCH + timedelta(seconds=count / 1000 if count >= _LEAST_MILLISECONDS else count)


def structure(payload: Any, cls: type[T], *, where: str = "$") -> T:
    """Return *payload* as a *cls*.

    Args:
        payload: Decoded JSON.
        cls: A class made by attrs, or a type of a field of such a class.
        where: The path of the payload in the reply, for messages. `$` is the whole reply.

    Raises:
        BadReply: The payload does not fit. The message has the path of the misfit, never its value.
    """
    from cattrs.errors import BaseValidationError  # noqa: PLC0415  only those who structure pay for cattrs

    try:
        return _converter().structure(payload, cls)
    except (BaseValidationError, _Misfit) as error:
        path, _, problem = next(_misfits(error))
        raise malformed(where + _spelled(path), problem) from None


def from_json(text: str, cls: type[T]) -> T:
    """Return the instance of *cls*, a class made by attrs, that is in JSON text with its fields by name.

    Raises:
        ValueError: It is not there. The message has the path of the misfit, never its value.
    """
    try:
        return structure(json.loads(text), cls)
    except BadReply as error:
        problem = str(error).removeprefix("the answer is malformed ")
    except (ValueError, RecursionError):
        problem = "it is not JSON"
    raise ValueError(f"this is not what {cls.__name__}.to_json wrote: {problem}")


def fit(payload: Any, cls: type[T], *, where: str = "$") -> tuple[T, tuple[str, ...]]:
    """Return *payload* as a *cls*, and the paths of what does not fit and is left out.

    A field that does not fit has its default, and an item of an array that does not fit is left out. An object that
    lacks a field without a default does not fit as a whole.

    Args:
        payload: Decoded JSON.
        cls: A class made by attrs.
        where: The path of the payload in the reply. `$` is the whole reply.

    Raises:
        BadReply: The payload is not an object, or lacks a field without a default.
    """
    from cattrs.errors import BaseValidationError  # noqa: PLC0415  only those who structure pay for cattrs

    misfits: dict[str, None] = {}  # in this order, each once
    for _ in range(_MOST_PASSES):
        try:
            return _converter().structure(payload, cls), tuple(misfits)
        except (BaseValidationError, _Misfit) as error:
            left_out: dict[Step, Any] = {}
            for path, is_missing, problem in _misfits(error):
                holder = path[:-1] if is_missing else path
                if not holder:
                    raise malformed(where + _spelled(path), problem) from None
                misfits[where + _spelled(path)] = None
                _mark(left_out, holder)
            payload = _without(payload, left_out)
    raise malformed(where, "too much of it does not fit")


def _spelled(path: tuple[Step, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _mark(tree: dict[Step, Any], path: tuple[Step, ...]) -> None:
    """Add *path* to a tree of steps in which each path ends with None."""
    for step in path[:-1]:
        below = tree.setdefault(step, {})
        if below is None:
            return  # all of it is left out
        tree = below
    tree[path[-1]] = None


def _without(value: Any, tree: Mapping[Step, Any]) -> Any:
    """Return a copy of *value* without the marked parts. The items of an array keep their indexes."""
    if isinstance(value, dict):
        kept = ((name, one) for name, one in value.items() if tree.get(name, _LEFT_OUT) is not None)
        return {name: _without(one, tree[name]) if name in tree else one for name, one in kept}
    items = ((tree.get(index, _LEFT_OUT), one) for index, one in enumerate(value))
    return [one if below is _LEFT_OUT else _LEFT_OUT if below is None else _without(one, below) for below, one in items]


class _Misfit(TypeError):
    """A value has another type than its field."""


def malformed(path: str, problem: str, reply: Reply | None = None) -> BadReply:
    """Return the error for an answer that has something else at a path."""
    return BadReply(f"the answer is malformed at {path}: {problem}", reply=reply)


@cache
def _converter() -> Converter:
    """Build the converter, once, for the first value: cattrs is slow to import."""
    from cattrs import Converter  # noqa: PLC0415  likewise

    converter = Converter(prefer_attrib_converters=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(State, lambda word, _type: State(word))
    converter.register_structure_hook(int, _exactly(int))
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_is_tuple, _array_hook)
    converter.register_structure_hook_factory(attrs.has, _object_hook)
    return converter


def _expect(value: object, *accepted: type) -> None:
    if type(value) not in accepted:
        raise _Misfit(f"{json_name(accepted[0])} is expected, not {kind_of(value)}")


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
    from cattrs.errors import IterableValidationError, IterableValidationNote  # noqa: PLC0415  likewise

    item = cls.__args__[0]
    read = converter.get_structure_hook(item)

    def hook(value: Any, _type: Any) -> tuple[Any, ...]:
        _expect(value, list)
        items, errors = [], []
        for index, one in enumerate(value):
            if one is _LEFT_OUT:
                continue
            try:
                items.append(read(one, item))
            except Exception as error:  # noqa: BLE001  cattrs collects every error of an item in this way
                note = IterableValidationNote(f"in item {index}", index, item)
                error.__notes__ = [*getattr(error, "__notes__", []), note]
                errors.append(error)
        if errors:
            raise IterableValidationError("in an array", errors, cls)  # pyright: ignore[reportCallIssue]  # its `__new__`
        return tuple(items)

    return hook


def _object_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415  likewise

    attrs.resolve_types(cls)
    names = {one.name: _wire_name(one) for one in attrs.fields(cls)}
    texts = {_wire_name(one) for one in attrs.fields(cls) if one.type in _TEXT}
    renamed: Any = {
        one.name: override(rename=names[one.name], struct_hook=_read_hook(one.metadata.get(_READ)))
        for one in attrs.fields(cls)
    }
    read = make_dict_structure_fn(cls, converter, **renamed)

    def hook(value: Any, _type: Any) -> Any:
        _expect(value, dict)
        there = {name: one for name, one in value.items() if one is not None and (one != "" or name in texts)}
        return read(there, cls)

    return hook


def _wire_name(one: attrs.Attribute[Any]) -> str:
    return str(one.metadata.get(_WIRE_NAME, one.name))


def _read_hook(function: Callable[[Any], Any] | None) -> Callable[[Any, Any], Any] | None:
    return None if function is None else lambda value, _type: function(value)


def _misfits(error: Exception, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], bool, str]]:
    """Yield each misfit that cattrs collected: its path, whether a field is missing there, and the problem."""
    from cattrs.errors import BaseValidationError  # noqa: PLC0415  likewise

    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _misfits(inner, path + _steps(error.cl, inner))
    elif isinstance(error, KeyError):
        yield path, True, "it is missing"
    else:
        yield path, False, str(error) if isinstance(error, _Misfit) else "the value is refused"


def _steps(cls: type, error: Exception) -> tuple[Step, ...]:
    """Return the step from a value of *cls* to the member with the *error*, or no step for the value itself."""
    from cattrs.errors import IterableValidationNote  # noqa: PLC0415  likewise

    notes = getattr(error, "__notes__", None)
    if not notes:
        return ()
    note = notes[-1]
    if isinstance(note, IterableValidationNote):
        return (int(note.index),)
    return (_wire_name(getattr(attrs.fields(cls), note.name)),)
