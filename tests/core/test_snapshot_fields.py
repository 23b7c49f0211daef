"""The fields of a snapshot: which values they accept, and which they refuse."""

from __future__ import annotations

import inspect
import math
import pickle
import reprlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from attrs import evolve, fields
from attrs.exceptions import FrozenInstanceError

from asyncpoll._snapshot import Snapshot, share
from asyncpoll._state import State

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FULL: Mapping[str, Any] = {
    "state": State.FAILED,
    "status": "failed",
    "value": 42,
    "reason": "out of paper",
    "code": "17",
    "progress": 0.5,
    "retry_after": 3.0,
    "ended_at": NOON,
    "raw": {"status": "failed"},
    "misfits": ("$.data.time",),
    "partial": True,
    "kind": "expired",
}

KIND = "a word of lower-case letters and underscores, at most 40, or None"


class Nowhere(tzinfo):
    """A time zone without an offset: a datetime in it is still naive."""

    def utcoffset(self, _moment: datetime | None) -> None:
        """Return no offset."""

    dst = tzname = utcoffset


@pytest.mark.parametrize("state", State)
def test_the_words_of_the_states_are_accepted(state: State) -> None:
    """A state can be written as its word; the snapshot holds the state itself."""
    assert Snapshot(state.value).state is state
    assert Snapshot(state).state is state


@pytest.mark.parametrize("state", ["done", "SUCCESS", " success", "", 1, None, True, ["success"], b"success"])
def test_another_state_is_refused(state: Any) -> None:
    """Anything that is not a state is refused, and the message lists the words."""
    with pytest.raises(TypeError) as caught:
        Snapshot(state)
    assert str(caught.value) == (
        "Snapshot.state must be a State or one of its words (pending, processing, success, failed, timeout, "
        f"cancelled, unknown), not {state!r}"
    )


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("status", None, "a status word"),
        ("status", 1.5, "a status word"),
        ("status", b"done", "a status word"),
        ("reason", 1, "text or None"),
        ("reason", b"no", "text or None"),
        ("reason", ["no"], "text or None"),
        ("code", 17, "text or None"),
        ("code", False, "text or None"),
        ("retry_after", "7", "a number of seconds, or None"),
        ("retry_after", False, "a number of seconds, or None"),
        ("retry_after", timedelta(seconds=7), "a number of seconds, or None"),
        ("ended_at", "2026-01-02T12:00:00Z", "a datetime with a time zone, or None"),
        ("ended_at", 1767355200.0, "a datetime with a time zone, or None"),
        ("ended_at", date(2026, 1, 2), "a datetime with a time zone, or None"),
        ("ended_at", NOON.replace(tzinfo=None), "a datetime with a time zone, or None"),
        ("ended_at", NOON.replace(tzinfo=Nowhere()), "a datetime with a time zone, or None"),
        ("misfits", "$.time", "a tuple of paths"),
        ("misfits", ["$.time"], "a tuple of paths"),
        ("misfits", (1,), "a tuple of paths"),
        ("misfits", None, "a tuple of paths"),
        ("partial", 1, "True or False"),
        ("partial", None, "True or False"),
        *(("kind", kind, KIND) for kind in ("", "Expired", "needs-action", "a1", "a b", "é", "x" * 41, "a\n", 1, b"x")),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(name: str, value: Any, wanted: str) -> None:
    """The message names the field, and what it must be."""
    with pytest.raises(TypeError) as caught:
        Snapshot(State.FAILED, **{name: value})
    assert str(caught.value) == f"Snapshot.{name} must be {wanted}, not {reprlib.repr(value)}"


def test_a_refused_value_is_shown_in_short() -> None:
    """A long value does not make a long message."""
    for name in ("state", "code"):
        facts: dict[str, Any] = {"state": State.FAILED, name: ["x" * 1000] * 1000}
        with pytest.raises(TypeError) as caught:
            Snapshot(**facts)
        assert len(str(caught.value)) < 400


def test_values_of_the_right_types_are_kept() -> None:
    """Every field keeps what it was given."""
    seen: Snapshot[int] = Snapshot(**FULL)
    assert {name: getattr(seen, name) for name in FULL} == FULL
    assert Snapshot(State.SUCCESS, ended_at=NOON.astimezone(timezone(timedelta(hours=8)))).ended_at == NOON


def test_a_word_may_be_of_a_subclass_of_text() -> None:
    """An enumeration of words is text as well."""
    seen: Snapshot[int] = Snapshot(State.FAILED, State.FAILED, reason=State.FAILED, code=State.FAILED)
    assert (seen.status, seen.reason, seen.code) == ("failed", "failed", "failed")


def test_any_number_of_words_is_checked() -> None:
    """A word is checked however many others there were; what a terminal would obey is left out each time."""
    assert {Snapshot(State.PENDING, f"word {n}").status for n in range(2500)} == {f"word {n}" for n in range(2500)}
    assert {Snapshot(State.PENDING, "a\x1bb").status for _ in range(2)} == {"a b"}


@pytest.mark.parametrize(
    ("word", "text"), [(0, "0"), (-1, "-1"), (True, "true"), (False, "false"), (10**200, "1" + "0" * 98 + "…")]
)
def test_a_word_may_be_an_integer_or_a_boolean(word: Any, text: str) -> None:
    """A status code becomes text, as JSON spells it."""
    assert Snapshot(State.PENDING, word).status == text


@pytest.mark.parametrize(("given", "kept"), [(10**400, 1.0), (-(10**400), 0.0), (0, 0.0), (1, 1.0)])
def test_progress_may_be_a_whole_number_of_any_size(given: int, kept: float) -> None:
    """A number that no float can hold is out of range as any other."""
    assert Snapshot(State.PROCESSING, progress=given).progress == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("50%", 0.5),
        (" 12.5 % ", 0.125),
        ("40\uff05", 0.4),
        ("0.5", 0.5),
        (".5", 0.5),
        ("3/10", 0.3),
        ("3 / 10", 0.3),
        ("-1/10", 0.0),
        ("200%", 1.0),
        ("1", 1.0),
    ],
)
def test_progress_may_be_text(given: str, kept: float) -> None:
    """A percentage, a fraction and a number are read as the share that they stand for."""
    seen: Snapshot[int] = Snapshot(State.PROCESSING, progress=given)
    assert (seen.progress, seen.misfits) == (kept, ())


@pytest.mark.parametrize(
    "given",
    ["", " ", "half", "%", "1/0", "1/", "/2", "1/2/3", "nan%", "inf", "0x1", "٣٠%", "9" * 99, True, 1j, b"1", [0.5], {},
     math.nan],
)  # fmt: skip
def test_progress_that_cannot_be_read_is_a_misfit(given: Any) -> None:
    """It costs nothing but itself: the progress is None, and the misfits name it, once."""
    seen: Snapshot[int] = Snapshot(State.SUCCESS, value=42, progress=given, misfits=("$.a",))
    assert (seen.progress, seen.misfits, seen.unwrap()) == (None, ("progress", "$.a"), 42)
    assert evolve(seen, progress=given).misfits == seen.misfits


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [
        (2, 5, 0.4),
        ("2", "5", 0.4),
        ("40%", 1, 0.4),
        (" 40.0 % ", 100, 0.4),
        ("2/5", 1, 0.4),
        ("2 / 5", 7, 0.4),
        (0.4, 1, 0.4),
        (40, 100, 0.4),
        ("+0.4", 1, 0.4),
        (7, 5, 1.0),
        (-1, 5, 0.0),
        (0, 5, 0.0),
        (2, 0, None),
        (2, -5, None),
        (2, None, None),
        (None, 5, None),
        (True, 5, None),
        ("two", 5, None),
        ("1/2/3", 5, None),
        ("/", 5, None),
        ("%", 5, None),
        ("", 5, None),
        ("1e3", 5, None),
        ("inf", 5, None),
        ("\u0663", 5, None),
        ([1], 5, None),
        ({}, {}, None),
        (10**400, 5, None),
        (2, 10**400, 0.0),
        (math.nan, 5, None),
        (2, math.nan, None),
        (math.inf, math.inf, None),
        ("9" * 50, 1, None),
    ],
)
def test_a_share_is_read_from_any_counter(done: Any, total: Any, expected: float | None) -> None:
    """Numbers, text, fractions and percentages are read; nonsense is None, never an error."""
    assert share(done, total) == expected


@pytest.mark.parametrize(("given", "kept"), [(7, 7), (10**400, None), (-(10**400), None), (0, None)])
def test_a_hint_may_be_a_whole_number_of_any_size(given: int, kept: float | None) -> None:
    """A number that no float can hold counts as not given: nothing could be added to it."""
    assert Snapshot(State.PROCESSING, retry_after=given).retry_after == kept


def test_the_constructor_is_as_documented() -> None:
    """Every field is a parameter, in the order of the fields; all but the state have a default."""
    parameters = inspect.signature(Snapshot).parameters
    assert list(parameters) == [one.name for one in fields(Snapshot)] == list(FULL)
    defaults = {name: one.default for name, one in parameters.items() if one.default is not inspect.Parameter.empty}
    assert defaults == {**dict.fromkeys(list(FULL)[2:]), "status": "", "misfits": (), "partial": False}
    seen: Snapshot[int] = Snapshot(*FULL.values())
    assert (seen, seen.raw) == (Snapshot(**FULL), FULL["raw"])


def test_the_repr_shows_every_field_but_the_payload() -> None:
    """The repr can be read as the call that makes the snapshot."""
    assert repr(Snapshot(State.PENDING, "queued", raw={})) == (
        "Snapshot(state=<State.PENDING: 'pending'>, status='queued', value=None, reason=None, code=None, "
        "progress=None, retry_after=None, ended_at=None, misfits=(), partial=False, kind=None)"
    )


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_snapshot_can_be_pickled(protocol: int) -> None:
    """A snapshot in another process has every field, the payload included."""
    seen: Snapshot[int] = Snapshot(**FULL)
    again = pickle.loads(pickle.dumps(seen, protocol))  # noqa: S301  made here
    assert (again, again.raw) == (seen, seen.raw)


def test_a_snapshot_is_a_frozen_value() -> None:
    """A snapshot is hashable without its payload, has no other attributes, and cannot be changed."""
    seen: Snapshot[int] = Snapshot(**FULL)
    assert hash(seen) == hash(evolve(seen, raw=None))
    assert seen != evolve(seen, progress=0.75)
    assert not hasattr(seen, "__dict__")
    assert not hasattr(seen, "__weakref__")
    with pytest.raises(FrozenInstanceError):
        seen.state = State.SUCCESS  # type: ignore[misc]  # that is what must fail
    with pytest.raises(FrozenInstanceError):
        delattr(seen, "state")


def test_a_copy_with_changes_is_checked_as_well() -> None:
    """`attrs.evolve` refuses what the constructor refuses, and bounds what it bounds."""
    seen: Snapshot[int] = Snapshot(State.PROCESSING)
    assert evolve(seen, progress=math.inf).progress == 1.0
    with pytest.raises(TypeError, match=r"Snapshot\.code must be text or None, not 5"):
        evolve(seen, code=5)  # type: ignore[arg-type]  # that is what must fail


def test_misfits_are_bounded() -> None:
    """A snapshot keeps 100 paths, each without what a terminal would obey, and cut at 1,000 characters."""
    seen: Snapshot[int] = Snapshot(State.SUCCESS, misfits=("$.a\x1b", *["$" * 5000] * 200))
    assert len(seen.misfits) == 100
    assert seen.misfits[0] == "$.a "
    assert len(seen.misfits[1]) == 1000
    assert not evolve(seen, misfits=()).misfits
