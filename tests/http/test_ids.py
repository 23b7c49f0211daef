"""Ids and path segments."""

from __future__ import annotations

import pytest
from attrs import field, frozen

from asyncpoll.http._urls import identifier, is_identifier, is_segment, segment

UNUSABLE = [
    "",
    " a",
    "a\n",
    "\u3000a",
    "a\rb",
    "a\tb",
    "a\0b",
    "a\x85b",
    "a\ud800b",
    "x" * 513,
    "é" * 257,
    None,
    7,
    b"a",
]


@pytest.mark.parametrize("value", UNUSABLE, ids=repr)
@pytest.mark.parametrize("check", [identifier, segment])
def test_what_cannot_be_an_id_is_refused_by_name(check: object, value: object) -> None:
    """An id that is empty, too long, no text, spaced out or unsendable is refused, and the message names the field."""
    assert callable(check)
    with pytest.raises(ValueError, match=r"^task_id must (not )?.*; pass the id as the API gave it$") as refused:
        check("task_id", value)
    assert "a\n" not in str(refused.value)


@pytest.mark.parametrize("value", [".", "..", "%2e", "%2E%2e", "a/b", "/", "../x"])
def test_an_id_that_would_change_the_path_is_no_segment(value: str) -> None:
    """Slashes and dot segments, percent-encoded ones too, are fine in an id but not in a path."""
    assert identifier("task_id", value) == value
    with pytest.raises(ValueError, match="task_id must not hold a slash"):
        segment("task_id", value)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("task_123-4.5~", "task_123-4.5~"),
        ("a?q=1#b", "a%3Fq%3D1%23b"),
        ("a b%2f+=", "a%20b%252f%2B%3D"),
        ("...", "..."),
        ("é", "%C3%A9"),
        ("e\u0301", "e%CC%81"),
        ("任务", "%E4%BB%BB%E5%8A%A1"),
        ("é" * 256, "%C3%A9" * 256),
    ],
)
def test_all_else_is_percent_encoded_and_not_normalised(value: str, encoded: str) -> None:
    """A segment is the UTF-8 of the id, percent-encoded byte by byte, whichever way the id is spelled."""
    assert segment("task_id", value) == encoded


def test_fields_of_a_reference_are_checked_by_their_names() -> None:
    """The two attrs validators apply the two checks."""

    @frozen
    class Ref:
        agent: str = field(validator=is_identifier)
        task: str = field(validator=is_segment)

    assert Ref("a/b", "c").task == "c"
    with pytest.raises(ValueError, match="agent must not be empty"):
        Ref("", "c")
    with pytest.raises(ValueError, match="task must not hold a slash"):
        Ref("a/b", "a/b")
