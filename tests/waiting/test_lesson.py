"""The observations that a schedule learns from."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hub_kit import JOBS, in_hub, jobs_of, now, transport_of

from asyncpoll._endpoint import Endpoint
from asyncpoll._schedule import Fixed, Learning, Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http import Request
from asyncpoll.testing import Script, run_virtual
from asyncpoll.waiting._decision import Decision
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting._wait import wait_until_terminal

PENDING: Snapshot[Any] = Snapshot(State.PENDING)
PROCESSING: Snapshot[Any] = Snapshot(State.PROCESSING)
DONE: Snapshot[Any] = Snapshot(State.SUCCESS)
UNKNOWN: Snapshot[Any] = Snapshot(State.UNKNOWN, "archived")


class Pupil:
    """A schedule that polls every second and notes what it learns."""

    def __init__(self) -> None:
        self.lessons: list[tuple[str, float, float]] = []
        self.keys: set[str] = set()
        self.settled = 0

    def delay(self, _progress: Progress, /, *, key: str = "") -> float:
        """Return a second."""
        self.keys.add(key)
        return 1.0

    def observe(
        self,
        lo: float,
        hi: float,
        *,
        state: str = "processing",
        key: str = "",
        during: tuple[float, float] | None = None,
    ) -> None:
        """Note the lesson."""
        assert during is not None
        assert during[1] - during[0] >= lo
        self.keys.add(key)
        self.lessons.append((state, lo, hi))

    def settle(self) -> None:
        """Note that nothing is left to wait for."""
        self.settled += 1


def taught(*steps: Any, timeout: float = 60.0) -> list[tuple[str, float, float]]:
    """Return the lessons of one wait, which is polled every second."""
    pupil = Pupil()
    wait = wait_until_terminal(Script(steps), timeout=timeout, schedule=pupil)
    with suppress(TimeoutError):
        run_virtual(wait)
    return pupil.lessons


@pytest.mark.parametrize(
    ("steps", "lessons"),
    [
        ([PROCESSING, PROCESSING, DONE], [("processing", 1.0, 2.0)]),
        ([PENDING, PENDING, PROCESSING, PROCESSING, DONE], [("pending", 1.0, 2.0), ("processing", 1.5, 2.5)]),
        ([PENDING, DONE], [("pending", 0.0, 1.0)]),
        ([PROCESSING, OSError(), OSError(), DONE], [("processing", 0.0, 3.0)]),
        ([DONE], []),
        ([OSError(), DONE], []),
        ([UNKNOWN, DONE], []),
        ([PROCESSING, UNKNOWN, DONE], []),
    ],
)
def test_a_wait_tells_how_long_each_state_lasted(steps: list[Any], lessons: list[tuple[str, float, float]]) -> None:
    """From when it was last seen to when it was seen no more; a job that was never seen unfinished says nothing."""
    assert taught(*steps) == lessons


def test_a_wait_given_up_tells_how_long_a_state_lasted_at_least() -> None:
    """How much longer the job takes is not known."""
    assert taught(PENDING, PROCESSING, timeout=10.0) == [("pending", 0.0, 1.0), ("processing", 9.0, math.inf)]
    assert taught(OSError(), timeout=10.0) == []


@pytest.mark.parametrize(("seconds_ago", "lesson"), [(3.0, (7.0, 7.0)), (30.0, (4.0, 10.0)), (-30.0, (4.0, 10.0))])
def test_the_servers_own_word_goes_before_the_polls(seconds_ago: float, lesson: tuple[float, float]) -> None:
    """It is believed as far as it agrees with what the polls saw: clocks differ."""
    pupil = Pupil()
    wait = Decision(Policy(schedule=pupil), 100.0)
    for at in (100.0, 104.0):
        wait.apply(PROCESSING, at)
    wait.apply(Snapshot(State.SUCCESS, ended_at=datetime.now(UTC) - timedelta(seconds=seconds_ago)), 110.0)
    ((state, lo, hi),) = pupil.lessons
    assert state == "processing"
    assert (lo, hi) == pytest.approx(lesson, abs=0.5)


def test_a_schedule_that_cannot_learn_is_not_taught() -> None:
    """Whether one can is seen by its methods."""
    assert isinstance(Pupil(), Learning)
    assert not isinstance(Fixed(1.0), Learning)
    assert Policy(schedule=Fixed(1.0)).learning is None


def test_a_hub_learns_from_each_job_once_and_by_its_key() -> None:
    """However many wait for it; and from those that are given up."""
    pupil = Pupil()
    end: Endpoint[Any, str] = Endpoint("made.up", ask=JOBS.ask, read=JOBS.read, predicts=lambda ref: "x" * 300 + ref)

    def answer(request: Request) -> Any:
        return {"state": "success" if now() >= 2 and request.path != "/jobs/c" else "processing"}

    async def work(hub: Hub) -> None:
        jobs = jobs_of(transport_of(answer), ["a", "a", "b", "c"], end)
        await hub.wait_all(jobs, timeout=4.0)

    in_hub(work, schedule=pupil)
    assert sorted(pupil.lessons) == [("processing", 1.0, 2.0), ("processing", 1.0, 2.0), ("processing", 3.6, math.inf)]
    assert pupil.settled == 1
    assert pupil.keys - {""} == {"made.up:" + "x" * 150}


class Dunce(Pupil):
    """A schedule that cannot bear to be taught."""

    def observe(self, *_ages: float, **_facts: Any) -> None:
        """Fail."""
        raise RuntimeError("too hard")


def test_a_schedule_that_fails_to_learn_breaks_no_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the wait that is learned from nor any other; it is logged."""

    async def work(hub: Hub) -> None:
        outcomes = await hub.wait_all([Script([PROCESSING, DONE]), Script([PROCESSING])], timeout=4.0)
        assert [outcome.succeeded for outcome in outcomes] == [True, False]

    in_hub(work, schedule=Dunce())
    assert [record.message.endswith("failed to learn") for record in caplog.records] == [True, True]
