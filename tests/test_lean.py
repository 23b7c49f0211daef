"""What a million waits can keep of a look at an unfinished job."""

from __future__ import annotations

from typing import Any

from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.waiting.scheduler.lean import Lean


def test_equal_looks_are_kept_once_and_without_their_payload() -> None:
    """Of all that look alike, one snapshot is left."""
    lean = Lean()
    first, second = (lean.of(Snapshot(State.PENDING, "queued", raw={"id": number})) for number in range(2))
    assert first is second
    assert first == Snapshot(State.PENDING, "queued")
    assert first.raw is None


def test_a_terminal_look_is_kept_whole() -> None:
    """The payload of a result, and whatever is no snapshot, is not touched."""
    done, error = Snapshot(State.SUCCESS, value=1, raw={}), OSError()
    assert Lean().of(done) is done
    assert Lean().of(error) is error


def test_a_part_of_a_result_is_kept_but_not_remembered() -> None:
    """A value need not be hashable."""
    lean = Lean().of(Snapshot(State.PROCESSING, value=["so far"], raw={}))
    assert (lean.value, lean.raw) == (["so far"], None)


def test_looks_that_all_differ_do_not_pile_up() -> None:
    """An API that tells the progress in a million steps does not fill the memory."""
    lean = Lean()
    shares: list[Snapshot[Any]] = [lean.of(Snapshot(State.PROCESSING, progress=step / 1e4)) for step in range(10_001)]
    assert shares[5] is not lean.of(Snapshot(State.PROCESSING, progress=5e-4))
    assert shares[-1] is lean.of(Snapshot(State.PROCESSING, progress=1.0))
