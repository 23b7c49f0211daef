"""How long a wait may take."""

from __future__ import annotations

import math

import pytest

from asyncpoll._state import State
from asyncpoll._timeout import UNLIMITED, PhaseClocks, Timeout, as_timeout


@pytest.mark.parametrize("clock", ["total", "pending", "processing"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_every_clock_is_above_nought_and_finite(clock: str, seconds: float) -> None:
    """A limit of nought, below nought, NaN or without end is refused by name."""
    with pytest.raises(ValueError, match=clock):
        Timeout(**{clock: seconds})


@pytest.mark.parametrize(
    ("timeout", "has_phases"),
    [(Timeout(), False), (Timeout(1.0), False), (Timeout(pending=1.0), True), (Timeout(processing=1.0), True)],
)
def test_a_timeout_knows_whether_it_limits_phases(timeout: Timeout, has_phases: bool) -> None:  # noqa: FBT001  a column
    """Only a limit for one phase needs clocks that follow the job's state."""
    assert timeout.has_phases is has_phases


def test_a_number_is_the_total() -> None:
    """Seconds limit the whole wait."""
    assert as_timeout(30) == as_timeout(30.0) == Timeout(total=30.0)


def test_none_sets_no_limit() -> None:
    """None, said out loud, sets no limit at all."""
    assert as_timeout(None) is UNLIMITED


def test_a_timeout_is_taken_as_it_is() -> None:
    """Three clocks stay three clocks."""
    clocks = Timeout(total=3.0, pending=1.0, processing=2.0)
    assert as_timeout(clocks) is clocks


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, True])
def test_what_is_not_a_number_of_seconds_is_refused(seconds: float) -> None:
    """Zero, negative, NaN, endless and boolean limits are refused, and the message says how to wait for ever."""
    with pytest.raises(ValueError, match="or None for no limit"):
        as_timeout(seconds)


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (Timeout(pending=10.0, processing=20.0), [(110.0, 10.0), (124.0, 20.0), (136.0, 10.0), (158.0, 20.0)]),
        (Timeout(pending=10.0), [(110.0, 10.0), None, (136.0, 10.0), None]),
        (Timeout(processing=20.0), [None, (124.0, 20.0), None, (158.0, 20.0)]),
    ],
)
def test_phase_clocks_stop_and_go_on(timeout: Timeout, expected: list[tuple[float, float] | None]) -> None:
    """Each phase has its own budget; a job that goes back to the queue goes on with what was left of it."""
    clocks = PhaseClocks(100.0)
    limits = [clocks.limit(timeout)]
    for phase, now in ((State.PROCESSING, 104.0), (State.PENDING, 130.0), (State.PROCESSING, 164.0)):
        clocks.turn(phase, now)
        limits.append(clocks.limit(timeout))
    assert limits == expected
