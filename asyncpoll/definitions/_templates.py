"""Templates: texts and JSON with slots, such as `/tasks/{task_id}` or `{ id = "{id}" }`, for the parts of a request.

`{name}` in a path is one segment, percent-encoded. `{+name}` may hold slashes. `{+name}` that is the whole path is an
address that the server gave. In JSON and in a query, a text that is one slot alone is the value itself.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from attrs import frozen

from asyncpoll.http import identifier, segment

_SLOT = re.compile(r"\{(\+?)([^{}+]+)\}")
_CALL = re.compile(r"([A-Z]{3,10}) +(\S+)")
_FIXED = re.compile(r"(?:[\w\-.~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*", re.ASCII)
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_PLAIN = re.compile(r"(?=.{1,512}\Z)[\w-]++(?:/[\w-]++)*+", re.ASCII)  # as most are; every poll checks them anew
_LARGEST = 1e40
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@frozen
class Slot:
    """A slot of a template.

    Attributes:
        name: The name of a field of the reference or of an argument; in a later call of `then` also a path.
        open: Whether the value may hold slashes.
    """

    name: str
    open: bool = False


Template = tuple[str | Slot, ...]
"""A text with slots: its fixed pieces and slots, in their order."""


def parse_text(text: str) -> Template:
    """Return the pieces of a text with slots.

    Raises:
        ValueError: A brace is not part of a slot.
    """
    pieces: list[str | Slot] = []
    position = 0
    for found in _SLOT.finditer(text):
        pieces += [text[position : found.start()], Slot(found[2], found[1] == "+")]
        position = found.end()
    pieces.append(text[position:])
    if any(isinstance(piece, str) and ("{" in piece or "}" in piece) for piece in pieces):
        raise ValueError(f"{text[:60]!r} has a brace that is not part of a slot; write slots as {{name}}")
    return tuple(piece for piece in pieces if piece != "")


def parse_call(text: str) -> tuple[str, Template, tuple[tuple[str, Template], ...]]:
    """Return the method, the path and the query of a call such as "GET /tasks/{id}?view=full".

    Raises:
        ValueError: It is not a call.
    """
    found = _CALL.fullmatch(text)
    if found is None or found[1] not in _METHODS:
        raise ValueError(f'{text[:60]!r} is not a call; write a method and a path, such as "GET /tasks/{{id}}"')
    target, has_query, query = found[2].partition("?")
    path = parse_text(target)
    if not is_address(path):
        _check_path(path, target)
    pairs = tuple((name, parse_text(value)) for name, value in parse_qsl(query, keep_blank_values=True))
    if has_query and (is_address(path) or not pairs):
        raise ValueError(f"{text[:60]!r} has an unusable query; write ?name=value behind a path")
    return found[1], path, pairs


def is_address(path: Template) -> bool:
    """Return whether a path is one open slot alone: an address that the server gave."""
    return len(path) == 1 and isinstance(path[0], Slot) and path[0].open


def _check_path(path: Template, text: str) -> None:
    shape = "".join(piece if isinstance(piece, str) else "_" for piece in path)
    if not shape.startswith("/") or not _FIXED.fullmatch(shape) or _DOTS.search(shape):
        wanted = "write one that begins with a slash, percent-encoded and without dot segments, such as /tasks/{id}"
        raise ValueError(f"{text[:60]!r} is not a path; {wanted}")


def parse_json(value: Any) -> Any:
    """Return JSON with every text in it as its pieces.

    Raises:
        ValueError: Something is not JSON, or a text has a brace that is not part of a slot.
    """
    if isinstance(value, str):
        return parse_text(value)
    if isinstance(value, Mapping):
        return {str(name): parse_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [parse_json(one) for one in value]
    if value is None or (isinstance(value, bool | int | float) and abs(value) < _LARGEST):
        return value
    shown = "so large a number" if isinstance(value, int) else reprlib.repr(value)
    raise ValueError(f"{shown} is not JSON; write a text, a number, a boolean, a list or a table")


def slots(template: Any) -> Iterator[Slot]:
    """Yield the slots of a template, or of all texts in JSON."""
    if isinstance(template, Slot):
        yield template
    elif isinstance(template, Mapping):
        for one in template.values():
            yield from slots(one)
    elif isinstance(template, list | tuple):
        for one in template:
            yield from slots(one)


def fill_slot(slot: Slot, value: Any) -> str:
    """Return a value as a part of a path."""
    text = plain_text(slot.name, value)
    if not slot.open:
        return segment(slot.name, text)
    if _PLAIN.fullmatch(text):
        return text
    parts = identifier(slot.name, text).split("/")
    if any(unquote(part) in {"", ".", ".."} for part in parts):
        raise ValueError(f"{slot.name} must not hold empty or dot segments; pass the id as the API gave it")
    return "/".join(quote(part, safe=":@") for part in parts)


def plain_text(name: str, value: Any) -> str:
    """Return a value as text: an integer is written out, anything else but text is refused."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text or an integer, not {type(value).__name__}")  # noqa: TRY004  as all bad ids
    text: str = value
    return text
