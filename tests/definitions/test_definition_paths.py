"""Paths: what they find in an answer, and that they run backwards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.definitions import _paths
from asyncpoll.http import Reply

BODY = {
    "id": "7",
    "data": {"state": "done", "items": [{"n": 1, "tags": ["a"]}, {"n": 2, "tags": ["b", "c"]}, {}]},
    "x.y": 3,
    "http": "a key",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id", "7"),
        ("data.state", "done"),
        ("data.items[0].n", 1),
        ("data.items[-2].n", 2),
        ("data.items[9].n", None),
        ("data.items[*].n", [1, 2]),
        ("data.items[*].tags[*]", ["a", "b", "c"]),
        ("data.state.deeper.still", None),
        ("id[0]", None),
        ('["x.y"]', 3),
        ("$", BODY),
        ("$.http", "a key"),
        ('$["x.y"]', 3),
        ("http", 202),
        ("body", b"raw"),
        ("header:Retry-After", "5"),
        ("header:location", None),
    ],
)
def test_a_path_finds_its_value(text: str, found: Any) -> None:
    """A path leads through keys and items, or to the status, a header or the bytes; what is not there is None."""
    reply = Reply(202, BODY, {"retry-after": "5"}, b"raw")
    assert _paths.compile(text).get(reply.json, reply) == found


@pytest.mark.parametrize(
    "text", ["", ".a", "a.", "a..b", "$a", "$.", "a[", "a[x]", "a]", 'a["', "a[0]b", "a[99999]", "a" * 301, "header:"]
)
def test_what_is_not_a_path_is_refused(text: str) -> None:
    """Anything else is refused, and the error says what to write."""
    with pytest.raises(ValueError, match=r"data\.items\[0\]\.id"):
        _paths.compile(text)


STEPS = st.one_of(st.from_regex(r"\A\.[a-z]{1,3}\Z"), st.sampled_from(["[0]", "[2]", "[-1]", "[*]", '["k.l"]', "[*]"]))


@given(st.lists(STEPS, min_size=1, max_size=5), st.text(min_size=1))
def test_a_path_runs_backwards(steps: list[str], value: str) -> None:
    """What is put at a path is found there, in an empty body and in one that has other values already."""
    path = _paths.compile("$" + "".join(steps))
    found = path.get(path.put(None, value), Reply(200))
    assert found == ([value] if None in path.steps else value)
    other = _paths.compile("$.zzzz.q")
    if isinstance(path.steps[0], str):
        both = other.put(path.put(None, value), 1)
        assert (path.get(both, Reply(200)), other.get(both, Reply(200))) == (found, 1)


def test_a_list_is_spread_over_items() -> None:
    """At `[*]` a list becomes one item each."""
    assert _paths.compile("a[*].b").put({}, [1, 2]) == {"a": [{"b": 1}, {"b": 2}]}


@pytest.mark.parametrize(("text", "body"), [("header:x", {}), ("a.b", {"a": "text"}), ("a[0]", {"a": {}})])
def test_a_value_is_not_put_where_none_can_be(text: str, body: Any) -> None:
    """A header cannot be put into a body, and nothing is put over another value."""
    with pytest.raises(ValueError, match=r"not in the decoded body|stands in the way"):
        _paths.compile(text).put(body, 1)


@pytest.mark.parametrize(
    ("body", "found"), [({"a": "", "b": 0}, 0), ({"a": [], "b": {}}, None), ({"a": False}, False), ({"b": "x"}, "x")]
)
def test_the_first_path_with_content_counts(body: Any, found: Any) -> None:
    """Null and what is empty is passed over, but not a zero or a false."""
    get = _paths.first([_paths.compile("a"), _paths.compile("b")])
    assert get(body, Reply(200)) == found
