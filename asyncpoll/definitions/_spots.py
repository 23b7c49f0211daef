"""Where each value of a definition stands: its line, its key, and the checks and errors that name them.

A `Spot` is a value with its place. `build` makes a class of `_model` from the table at a spot: each field of the class
says, with `key`, which function reads it. So the classes themselves are the list of the keys that there are.
"""

from __future__ import annotations

import json
import re
import reprlib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

import attrs
from attrs import field, frozen

T = TypeVar("T")
Step = str | int
"""A key, or the number of an item."""

_READ, _NAME = "asyncpoll.definitions.read", "asyncpoll.definitions.name"
_LONGEST = 1 << 20  # characters of a file
_LONGEST_SHOWN = 60
_LARGEST = 10**19
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_LINE = re.compile(rf"\s*(?:(\[\[?)\s*({_KEYS})\s*\]\]?\s*(?:#.*)?$|({_KEYS})\s*=)", re.ASCII)
_PART = re.compile(_KEY)


class DefinitionError(ValueError):
    """A definition cannot be used. The message says where, what is wrong there, and what to write.

    Attributes:
        source: The file, or what else the definition came from.
        line: The line in it, or None.
        key: The key, such as "start.ref", or None if the definition as a whole cannot be read.
    """

    def __init__(self, message: str, *, source: str, line: int | None = None, key: str | None = None) -> None:
        where = source if line is None else f"{source}:{line}"
        super().__init__(f"{where}: {message}" if key is None else f"{where}: {key}: {message}")
        self.source = source
        self.line = line
        self.key = key

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (str(self), self.source, self.line, self.key)


def _revived(shown: str, source: str, line: int | None, key: str | None) -> DefinitionError:
    error = DefinitionError("", source=source, line=line, key=key)
    error.args = (shown,)
    return error


@frozen
class Provenance:
    """Where a definition came from: a name for messages, and the line of each key, as far as lines are known."""

    source: str
    lines: Mapping[tuple[Step, ...], int] = field(factory=dict, repr=False)


@frozen
class Spot:
    """A value of a definition and its place.

    Attributes:
        value: The value, as TOML or JSON has it.
        path: The keys that lead to it.
        origin: The definition.
    """

    value: Any = field(repr=False, eq=False)
    path: tuple[Step, ...]
    origin: Provenance = field(repr=False, eq=False)

    @property
    def key(self) -> str:
        """Return the path as text, such as "start.ref"."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).removeprefix(".")

    @property
    def line(self) -> int | None:
        """Return the line of the key, or of the nearest key around it, or None if lines are not known."""
        return self.line_of()

    def line_of(self, *keys: Step) -> int | None:
        """Return the line of a key below this one, as `line`."""
        path = (*self.path, *keys)
        lines = (self.origin.lines.get(path[:size]) for size in range(len(path), 0, -1))
        return next((line for line in lines if line is not None), None)

    def below(self, step: Step, value: Any) -> Spot:
        """Return the spot of a value inside of this one."""
        return Spot(value, (*self.path, step), self.origin)

    def _member(self, step: Step, value: Any) -> Spot:
        """Return the spot of a member of a table or list; an integer that cannot even be shown is refused."""
        spot = self.below(step, value)
        if type(value) is int and abs(value) > _LARGEST:
            spot.refuse("the number is too large; write one of at most 19 digits")
        return spot

    def refuse(self, problem: str, *keys: Step) -> NoReturn:
        """Raise the error for this spot, or for a key below it; *problem* ends with what to write."""
        at = Spot(None, (*self.path, *keys), self.origin)
        raise DefinitionError(problem, source=self.origin.source, line=at.line, key=at.key or None)

    def refuse_type(self, wanted: str) -> NoReturn:
        """Raise the error for a value of another kind; *wanted* says what to write."""
        self.refuse(f"{reprlib.repr(self.value)} is not possible here; write {wanted}")

    def table(self, wanted: str = "a table such as { key = value }") -> dict[str, Spot]:
        """Return the spots of a table by key."""
        if not isinstance(self.value, Mapping) or not all(type(name) in (str, int) for name in self.value):
            self.refuse_type(wanted)
        return {str(name): self._member(str(name), value) for name, value in self.value.items()}

    def items(self) -> list[Spot]:
        """Return the spots of a list, or this spot alone for a single value."""
        if not isinstance(self.value, list | tuple):
            return [self]
        return [self._member(number, value) for number, value in enumerate(self.value)]


Read = Callable[[Spot], Any]
"""A function that reads the value at a spot, or refuses it."""


def key(read: Read, default: Any = attrs.NOTHING, *, name: str | None = None) -> Any:
    """Return a field of a class of the model: what reads it, its default, and its key where that is no Python name."""
    return field(default=default, metadata={_READ: read, _NAME: name}, kw_only=True)


def keys_of(cls: type) -> dict[str, attrs.Attribute[Any]]:
    """Return the fields of a class of the model that a definition may set, by their keys."""
    fields = (one for one in attrs.fields(cls) if _READ in one.metadata)
    return {one.metadata[_NAME] or one.name: one for one in fields}


def build(cls: type[T], spot: Spot, given: Mapping[str, Spot] | None = None) -> T:
    """Return a *cls* made from the table at *spot*. Its attribute `where` is the spot.

    Args:
        cls: A class of the model.
        spot: The place of the table.
        given: The spots of its keys, if they are not those of the value.
    """
    given = spot.table() if given is None else given
    known = keys_of(cls)
    check_keys(given, known, spot)
    missing = [name for name, one in known.items() if one.default is attrs.NOTHING and name not in given]
    if missing:
        spot.refuse(f"{missing[0]} is missing; write {missing[0]} = ...")
    values = {known[name].name: known[name].metadata[_READ](one) for name, one in given.items()}
    make: Any = cls
    made: T = make(where=spot, **values)
    return made


def check_keys(given: Mapping[str, Spot], known: Mapping[str, Any] | list[str], spot: Spot) -> None:
    """Check that all keys are known; the error for another names the nearest one."""
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            cure = f"write {near[0]}" if near else f"the keys here are {', '.join(known)}"
            spot.refuse(f"there is no such key; {cure}", name[:_LONGEST_SHOWN])


def decode(text: str, source: str) -> Spot:
    """Return the spot of a whole definition in TOML, or in JSON if it begins with a brace.

    Raises:
        DefinitionError: It is neither, or longer than 1 MiB.
    """
    if len(text) > _LONGEST:
        raise DefinitionError("the text is longer than 1 MiB; write one definition per file", source=source)
    if text.lstrip()[:1] == "{":
        try:
            return Spot(json.loads(text), (), Provenance(source))
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else None
            raise DefinitionError(f"this is not JSON: {error}; correct it", source=source, line=line) from None
    try:
        value = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else None
        line = len(text.splitlines()) if "at end of document" in str(error) else line
        raise DefinitionError(f"this is not TOML: {error}; correct it", source=source, line=line) from None
    return Spot(value, (), Provenance(source, dict(_lines(text, value))))


def _lines(text: str, document: Any) -> Iterator[tuple[tuple[Step, ...], int]]:
    """Yield each key of a TOML document with its line, the last one first, so that the first one counts."""
    found: list[tuple[tuple[Step, ...], int]] = []
    around: tuple[Step, ...] = ()
    counts: dict[tuple[Step, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.match(line)
        if match is None:
            continue
        bracket, header, name = match.groups()
        keys = tuple(part.strip("\"'") for part in _PART.findall(header or name))
        if bracket is None:
            found.append(((*around, *keys), number))
        elif (path := _placed(document, keys, counts)) is not None:
            if bracket == "[[":
                count = counts[path] = counts.get(path, -1) + 1
                path = (*path, count)
            around = path
            found.append((around, number))
    yield from reversed(found)


def _placed(document: Any, keys: tuple[str, ...], counts: Mapping[tuple[Step, ...], int]) -> tuple[Step, ...] | None:
    """Return the path of a table header, with the number of the item in each list of tables, or None if it is none."""
    path: tuple[Step, ...] = ()
    for name in keys:
        if path in counts and isinstance(document, list):
            path, document = (*path, counts[path]), document[min(counts[path], len(document) - 1)]
        if not isinstance(document, Mapping) or name not in document:
            return None
        path, document = (*path, name), document[name]
    return path
