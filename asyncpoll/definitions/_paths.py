"""Paths: where a value stands in an answer, such as `data.items[0].id` or `header:location`.

A path is keys with dots between them. `[0]` and `[-1]` are items of an array, `[*]` is each of them, `["a.b"]` is a
key with a dot in it, and `$`, alone or in front, is the whole body. `header:NAME` is a header, `http` the status, and
`body` the bytes of the body. A path can also be run backwards: `Path.put` places a value where `Path.get` finds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, cast

from attrs import field, frozen

from asyncpoll.http import Reply

Getter = Callable[[Any, Reply], Any]
"""A function from the decoded body of an answer, and the answer, to the value at a path, or None."""

Place = Literal["json", "header", "http", "body"]

EACH = None
"""The step to every item of an array."""

Step = str | int | None

_HEADER = re.compile(r"header:([\w!#$%&'*+\-.^`|~]+)", re.ASCII)
_STEP = re.compile(r"""(?:^|\.)([^.\[\]"'\s$][^.\[\]"']*)|\[(-?[0-9]{1,6})\]|\[(\*)\]|\["([^"]+)"\]""")
_LONGEST = 300
_FARTHEST = 1000


@frozen
class Path:
    """One compiled path.

    Attributes:
        text: The path as it was written.
        place: Whether it leads into the decoded body ("json"), to a header, to the HTTP status or to the bytes.
        steps: Keys, indexes and `EACH`, from the outside; of a header its name in lower case.
        get: Returns the value in an answer, or None.
    """

    text: str
    place: Place = field(eq=False)
    steps: tuple[Step, ...] = field(eq=False)
    get: Getter = field(eq=False, repr=False)

    def put(self, body: Any, value: Any) -> Any:
        """Place *value* in *body*, which may be None, and return the body.

        At `[*]` a list is spread over the items, and any other value becomes the only item.

        Raises:
            ValueError: The path does not lead into the decoded body, or something else stands in the way.
        """
        if self.place != "json":
            raise ValueError(f"{self.text} is not in the decoded body")
        return _put(body, self.steps, value, self.text)


@lru_cache(maxsize=4096)
def compile(text: str) -> Path:  # noqa: A001  as `re.compile`
    """Compile one path.

    Raises:
        ValueError: It is not a path. The message says what to write.
    """
    if header := _HEADER.fullmatch(text):
        name = header[1].lower()
        return Path(text, "header", (name,), lambda _body, reply: reply.headers.get(name))
    if text == "http":
        return Path(text, "http", (), lambda _body, reply: reply.status)
    if text == "body":
        return Path(text, "body", (), lambda _body, reply: reply.body)
    steps = _steps(text)
    return Path(text, "json", steps, _getter(steps))


def first(paths: Sequence[Path]) -> Getter:
    """Return a getter of the first value with something in it: not null, and not an empty text, array or object."""
    if len(paths) == 1:
        return paths[0].get
    getters = [path.get for path in paths]

    def get(body: Any, reply: Reply) -> Any:
        for getter in getters:
            value = getter(body, reply)
            if value or has_content(value):
                return value
        return None

    return get


def has_content(value: Any) -> bool:
    """Return whether a value is something: not null, and not an empty text, array or object."""
    return bool(value) or isinstance(value, int | float)


def _steps(text: str) -> tuple[Step, ...]:
    wanted = 'write keys with dots between them, such as data.items[0].id, items[*].state or data["a.b"]'
    if not text or len(text) > _LONGEST or text.startswith("header:"):
        raise ValueError(f"{text[:60]!r} is not a path, or longer than {_LONGEST} characters; {wanted}")
    rest = text
    if text.startswith("$"):
        rest = text[2:] if text.startswith("$.") else text[1:]
        if text == "$." or not (rest == "" or text[1] in ".["):
            raise ValueError(f"{text!r} is not a path; {wanted}")
    steps: list[Step] = []
    position = 0
    while position < len(rest):
        found = _STEP.match(rest, position)
        if found is None or (found[0].startswith(".") and position == 0):
            raise ValueError(f"{text!r} is not a path, from {rest[position : position + 20]!r} on; {wanted}")
        key, index, each, quoted = found.groups()
        steps.append(EACH if each else int(index) if index else key or quoted)
        if index and abs(int(index)) > _FARTHEST:
            raise ValueError(f"{text!r} has an index beyond {_FARTHEST}; {wanted}")
        position = found.end()
    return tuple(steps)


def _getter(steps: tuple[Step, ...]) -> Getter:
    """Return the getter for a path into the body; those of one and two keys, which nearly all are, are quick."""
    if not steps:
        return lambda body, _reply: body
    if not all(isinstance(step, str) for step in steps):
        return lambda body, _reply: _walk(body, steps)
    keys = cast("tuple[str, ...]", steps)
    key, *others = keys

    def one(body: Any, _reply: Reply) -> Any:
        return body.get(key) if type(body) is dict else None

    if not others:
        return one
    last = others[0]

    def two(body: Any, _reply: Reply) -> Any:
        inner = body.get(key) if type(body) is dict else None
        return inner.get(last) if type(inner) is dict else None

    def many(body: Any, _reply: Reply) -> Any:
        for name in keys:
            if type(body) is not dict:
                return None
            body = body.get(name)
        return body

    return many if len(keys) > 2 else two  # noqa: PLR2004  as it says


def _walk(value: Any, steps: tuple[Step, ...]) -> Any:
    for position, step in enumerate(steps):
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif not isinstance(value, list):
            return None
        elif step is None:
            return _gather(value, steps[position + 1 :])
        else:
            value = value[step] if -len(value) <= step < len(value) else None
    return value


def _gather(items: list[Any], steps: tuple[Step, ...]) -> list[Any]:
    """Return what stands at *steps* of each item, without nulls; the lists of a further `[*]` become one."""
    found = [value for item in items if (value := _walk(item, steps)) is not None]
    return [one for many in found for one in many] if EACH in steps else found


def _put(holder: Any, steps: tuple[Step, ...], value: Any, text: str) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    kind: type[Any] = dict if isinstance(step, str) else list
    holder = kind() if holder is None else holder
    if not isinstance(holder, kind):
        raise ValueError(f"something else stands in the way of {text}")  # noqa: TRY004  it is about the value
    if isinstance(step, str):
        holder[step] = _put(holder.get(step), rest, value, text)
        return holder
    spread = value if step is None and isinstance(value, list) else [value]
    start = 0 if step is None or step < 0 else step
    holder.extend([None] * (start + len(spread) - len(holder)))
    for number, one in enumerate(spread, start):
        holder[number] = _put(holder[number], rest, one, text)
    return holder
