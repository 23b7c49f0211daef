"""One look at a job."""

from __future__ import annotations

import math

import pytest

from asyncpoll import JobCancelled, JobError, JobFailed, JobTimedOut, Snapshot, State


def test_a_snapshot_needs_only_a_state() -> None:
    """Everything but the state has a default that says: the server did not tell."""
    seen: Snapshot[int] = Snapshot(State.PENDING)
    assert (seen.status, seen.value, seen.reason, seen.code, seen.progress, seen.retry_after, seen.raw) == (
        "",
        None,
        None,
        None,
        None,
        None,
        None,
    )


def test_unwrap_returns_the_value_of_a_success() -> None:
    """A success gives its result."""
    assert Snapshot(State.SUCCESS, value=42).unwrap() == 42


@pytest.mark.parametrize(
    ("state", "error"), [(State.FAILED, JobFailed), (State.TIMEOUT, JobTimedOut), (State.CANCELLED, JobCancelled)]
)
def test_unwrap_raises_for_a_job_that_ended_badly(state: State, error: type[JobError]) -> None:
    """Every bad end has an error of its own, which carries the snapshot."""
    seen: Snapshot[int] = Snapshot(state, reason="out of paper", code="17")
    with pytest.raises(error, match=r"\[17\]: out of paper") as caught:
        seen.unwrap()
    assert caught.value.snapshot is seen


@pytest.mark.parametrize("state", [State.PENDING, State.PROCESSING, State.UNKNOWN])
def test_unwrap_refuses_a_job_that_is_not_terminal(state: State) -> None:
    """Unwrapping too early says so and names the cure."""
    with pytest.raises(ValueError, match=f"still {state.value}; wait until it is terminal"):
        Snapshot(state).unwrap()


@pytest.mark.parametrize(
    ("given", "kept"), [(0.25, 0.25), (-3.0, 0.0), (80.0, 1.0), (math.inf, 1.0), (math.nan, None), (None, None)]
)
def test_progress_is_a_share(given: float | None, kept: float | None) -> None:
    """Progress is held between 0 and 1; NaN counts as not known."""
    assert Snapshot(State.PROCESSING, progress=given).progress == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [(7.0, 7.0), (0.0, None), (-1.0, None), (math.inf, None), (math.nan, None), (None, None), (1e9, 1e9)],
)
def test_a_hint_is_a_positive_number_of_seconds(given: float | None, kept: float | None) -> None:
    """A hint that is nought, negative, NaN or endless counts as not given."""
    assert Snapshot(State.PROCESSING, retry_after=given).retry_after == kept


def test_what_a_server_writes_is_bounded() -> None:
    """Words are cut at 100 characters and reasons at 1,000, with an ellipsis for what is missing."""
    seen: Snapshot[int] = Snapshot(State.FAILED, "s" * 101, reason="r" * 1001, code="c" * 101)
    assert seen.status == "s" * 99 + "…"
    assert seen.code == "c" * 99 + "…"
    assert seen.reason == "r" * 999 + "…"


def test_what_just_fits_is_kept() -> None:
    """Texts of just the greatest length stay whole."""
    seen: Snapshot[int] = Snapshot(State.FAILED, "s" * 100, reason="任" * 1000)
    assert (seen.status, seen.reason) == ("s" * 100, "任" * 1000)


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    """Escape, newline and direction marks of a server become spaces, so that no log or terminal obeys them."""
    seen: Snapshot[int] = Snapshot(State.FAILED, "do\x1b[2Jne", reason="a\r\nb\u202ec", code="\x00")
    assert (seen.status, seen.reason, seen.code) == ("do [2Jne", "a  b c", " ")


def test_the_raw_payload_is_neither_shown_nor_compared() -> None:
    """The raw payload may hold anything; it is kept untouched, out of the repr and out of comparisons."""
    payload = {"link": "https://example.org/?sig=abc"}
    seen: Snapshot[int] = Snapshot(State.SUCCESS, value=1, raw=payload)
    assert seen.raw is payload
    assert "sig" not in repr(seen)
    assert seen == Snapshot(State.SUCCESS, value=1)


def test_a_long_value_is_shown_in_short() -> None:
    """The repr of a snapshot stays readable when its value is long."""
    assert len(repr(Snapshot(State.SUCCESS, value="x" * 100_000))) < 300
