"""What goes to the terminal: JSON lines, notes, tables, result lines."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from attrs import field, frozen

from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._errors import TransportError, WaitTimeout, explained
from asyncpoll._json import json_line
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.cli._output import Grid, note, result_of, say_json
from asyncpoll.events import Ended
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport

HOSTILE = "\x1b[2J\x9b2J\u202eabc\x07\x7f\ud800\x00"


@frozen
class Inner:
    """A value inside a value."""

    at: datetime
    names: tuple[str, ...] = ()


@frozen
class Outer:
    """A result as providers make them."""

    inner: Inner
    facts: Mapping[str, Any]
    link: str = field(repr=False, default="https://example.org/?sig=abc")


def a_job() -> Job[Any]:
    """Return a job that nobody asks about."""
    endpoint: Endpoint[Any, Any] = Endpoint(
        "vendor.things", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda reply: Snapshot(State.PENDING)
    )
    return endpoint.job(MemoryTransport(lambda request: Reply(200)), {"id": "x"})


def test_values_become_objects_arrays_and_words() -> None:
    """Attrs classes become objects with all of their fields, tuples arrays, times ISO 8601, states their words."""
    value = Outer(Inner(datetime(2026, 1, 2, tzinfo=UTC), ("a",)), MappingProxyType({"n": 1.5, "none": None}))
    assert json.loads(json_line({"state": State.SUCCESS, "value": value})) == {
        "state": "success",
        "value": {
            "inner": {"at": "2026-01-02T00:00:00+00:00", "names": ["a"]},
            "facts": {"n": 1.5, "none": None},
            "link": "https://example.org/?sig=abc",
        },
    }


def test_what_json_lacks_becomes_text() -> None:
    """Whatever else there is becomes text, so that there always is a line."""
    assert json_line([1 + 2j]) == '["(1+2j)"]'


@pytest.mark.parametrize("ascii_only", [False, True])
def test_nothing_that_a_terminal_obeys_is_printed(ascii_only: bool) -> None:  # noqa: FBT001  a parameter of the test
    """What a terminal would obey is escaped, and reads back as it was."""
    line = json_line({"reason": HOSTILE, HOSTILE: "模力"}, ascii_only=ascii_only)
    assert line.isprintable()
    assert line.isascii() == ascii_only
    assert json.loads(line) == {"reason": HOSTILE, HOSTILE: "模力"}


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", '"模"'), ("UTF8", '"模"'), ("cp1252", '"\\u6a21"')])
def test_a_stream_that_is_not_unicode_gets_ascii(encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is not Unicode gets JSON that it can take."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    say_json("模")
    assert stream.buffer.getvalue().decode() == f"{shown}\n"


def test_notes_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """A note is one printable line, bounded, with signed links masked."""
    note(f"a\nb {HOSTILE} https://example.org/?sig=secret " + "x" * 2000)
    [line] = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert len(line) <= 1000
    assert "secret" not in line


def test_a_table_is_as_wide_as_its_cells() -> None:
    """A table is as wide as its cells; numbers keep to the right, and no line ends in blanks."""
    grid = Grid(("name", "n", "why"), "<><", (("a", "10", ""), ("longer", "7", "because")))
    assert list(grid.lines()) == ["name     n  why", "------  --  -------", "a       10", "longer   7  because"]


def test_a_table_without_rows_is_its_head() -> None:
    """A table without rows is its head."""
    assert list(Grid(("a", "bc"), "<<", ()).lines()) == ["a  bc", "-  --"]


def test_a_narrow_table_leaves_out_zeros() -> None:
    """Where it is too wide for the terminal, columns with nothing but zeros are left out; the names stay."""
    grid = Grid(("endpoint", "success", "failed", "delay"), "<>>>", (("vendor.things", "1", "0", "0.00"),))
    assert grid.within(80) is grid
    assert grid.within(30) == Grid(("endpoint", "success"), "<>", (("vendor.things", "1"),))


def test_the_result_line_has_the_last_snapshot() -> None:
    """The result line has what the last snapshot said; times are rounded to milliseconds."""
    seen = Snapshot[Any](State.FAILED, "error", reason="no money", code="1113", raw={"secret": 1})
    assert result_of(a_job(), Ended("k", seen, None, polls=3, waited=1.23456)) == {
        "endpoint": "vendor.things",
        "ref": {"id": "x"},
        "state": "failed",
        "status": "error",
        "value": None,
        "reason": "no money",
        "code": "1113",
        "polls": 3,
        "waited": 1.235,
    }


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"kind": "expired"}, "expired"),
        ({"partial": True}, "partial"),
        ({"partial": True, "kind": "a"}, "a"),
        ({}, None),
    ],
)
def test_the_result_line_has_a_kind_if_there_is_one(facts: dict[str, Any], kind: str | None) -> None:
    """What the state does not say is in the line: the kind, or that the result is not the whole."""
    seen = Snapshot[Any](State.SUCCESS, "done", **facts)
    result = result_of(a_job(), Ended("k", seen, None, polls=1, waited=1.0))
    assert (result.get("kind"), "kind" in result) == (kind, kind is not None)


def test_an_unfinished_job_has_the_state_last_seen() -> None:
    """A wait that was given up has the state last seen, and the reason why it was given up."""
    seen = Snapshot[Any](State.PROCESSING, "assigned")
    error = WaitTimeout(seen, waited=2.0, polls=2)
    result = result_of(a_job(), Ended("k", seen, error, polls=2, waited=2.0))
    assert (result["state"], result["status"], result["reason"]) == ("processing", "assigned", str(error))


def test_a_job_that_was_never_seen_names_the_failure() -> None:
    """Without any answer the state is unknown, and the reason names the last failure."""
    error = WaitTimeout(None, waited=2.0, polls=2)
    error.__cause__ = TransportError("connection refused", kind="connect")
    result = result_of(a_job(), Ended("k", None, error, polls=2, waited=2.0))
    assert (result["state"], result["status"]) == ("unknown", "")
    assert result["reason"] == f"{error}; the last poll failed: connection refused"
    assert explained(error) == result["reason"]
