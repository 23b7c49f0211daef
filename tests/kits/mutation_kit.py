"""Mutations: JSON and text with parts exchanged, left out or made odd, from a source of random choices."""

from __future__ import annotations

from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 200, 404, 1.5, 1e308, 10**30, "", " ", "success", "done", "failed", "{id}", "{+x}"),
    *(
        "a.b",
        "[*]",
        "$",
        "body",
        "header:x",
        "http",
        "GET /x/{id}",
        "\x00",
        "\ud83d\ude00",
        "x" * 2000,
        "(a+)+",
        "(?i)a",
    ),
    *([], [[]], [None], {}, {"": None}, {"a": {"b": [1]}}, [{"id": 1}, {"id": 1}], {"present": True}, {"not": {}}),
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of a value and of all that is in it."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for step, one in pairs for below in paths_of(one, (*path, step)))]


def copied(value: Any) -> Any:
    """Return a copy of JSON whose containers can be changed."""
    if isinstance(value, dict):
        return {name: copied(one) for name, one in value.items()}
    return [copied(one) for one in value] if isinstance(value, list | tuple) else value


def mutated(value: Any, random: Random, most: int = 3) -> Any:
    """Return JSON with one or a few mutations."""
    value = copied(value)
    for _ in range(random.randint(1, most)):
        paths = paths_of(value)
        *around, last = random.choice(paths) or (None,)
        if last is None:
            value = random.choice((value, value, random.choice(ODD)))
            continue
        holder = value
        for step in around:
            holder = holder[step]
        _mutate(holder, last, value, random)
    return value


def _mutate(holder: Any, last: Any, whole: Any, random: Random) -> None:
    way = random.randrange(6)
    if way == 0:
        del holder[last]
    elif way == 1 and isinstance(holder, dict):
        holder[random.choice(("id", "status", "error", "data", last + "x", last[:-1]))] = holder.pop(last)
    elif way == 2:
        other = whole
        for step in random.choice(paths_of(whole)):
            other = other[step]
        holder[last] = copied(other)
    elif way == 3 and isinstance(holder[last], str):
        holder[last] = mutated_text(holder[last], random)
    elif way == 4:
        holder[last] = [copied(holder[last])] * random.randint(0, 2)
    else:
        holder[last] = copied(random.choice(ODD))


def mutated_text(text: str, random: Random) -> str:
    """Return a text with a piece left out, doubled, or replaced by a mark that means something somewhere."""
    start = random.randrange(len(text) + 1)
    end = min(len(text), start + random.choice((0, 1, 1, 2, 8)))
    marks = ("", "", text[start:end] * 2, *"{}[]()\"'=.,#+*|\\\n", "\x00", "= 1\n", "\n[x]\n", "\n[[x]]\n", "[" * 50)
    mark: str = random.choice(marks)
    return text[:start] + mark + text[end:]
