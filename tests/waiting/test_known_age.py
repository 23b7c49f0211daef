"""Waits for jobs of known age: their first poll is planned, and a schedule learns from every look at them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hub_kit import in_hub, now
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll import Hub, Learned, Snapshot, State, wait_until_terminal
from asyncpoll._schedule import Progress
from asyncpoll.testing import Script, run_virtual
from asyncpoll.waiting._decision import Decision, WaitCheckpoint
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting.learning._learned import SINCE_SUBMIT

PENDING: Snapshot[Any] = Snapshot(State.PENDING)
PROCESSING: Snapshot[Any] = Snapshot(State.PROCESSING)
HALF: Snapshot[Any] = Snapshot(State.PROCESSING, progress=0.5)
DONE: Snapshot[Any] = Snapshot(State.SUCCESS)
UNKNOWN: Snapshot[Any] = Snapshot(State.UNKNOWN, "archived")


class Aged:
    """A job that was submitted some seconds ago."""

    pacing_key = "made.up"

    def __init__(self, steps: Any = (DONE,), *, age: float | None = 0.0, submitted: Any = None) -> None:
        self.script = Script(steps)
        self.submitted = submitted
        self.age = age

    @property
    def submitted_at(self) -> float | None:
        """The time of the submit, so many seconds ago."""
        return None if self.age is None else datetime.now(UTC).timestamp() - self.age

    async def __call__(self) -> Snapshot[Any]:
        """Poll."""
        return self.submitted if self.submitted is not None else await self.script()


class Notes:
    """A schedule that polls every second, plans the first poll, and notes what it learns."""

    def __init__(self, first: Any = 0.0, came: Any = 0.0) -> None:
        self.first, self.came = first, came
        self.lessons: list[tuple[Any, ...]] = []
        self.keys: set[str] = set()

    def delay(self, _progress: Progress, /, *, key: str = "") -> float:
        """Return a second."""
        self.keys.add(key)
        return 1.0

    def first_delay(self, age: float | None, *, key: str = "") -> Any:
        """Note the age, and return what is wanted."""
        self.lessons.append(("first_delay", age if age is None else round(age)))
        if isinstance(self.first, Exception):
            raise self.first
        return self.first

    def first_look(self, age: float, *, state: str = "processing", key: str = "") -> Any:
        """Note the look."""
        self.lessons.append(("first", state, round(age, 2)))
        if isinstance(self.came, Exception):
            raise self.came
        return self.came

    def look(self, lo: float, hi: float, *, state: str = "processing", key: str = "") -> None:
        """Note the look."""
        self.lessons.append(("look", state, round(lo, 2), round(hi, 2)))
        if isinstance(self.came, Exception):
            raise self.came

    def observe(self, lo: float, hi: float, *, state: str = "processing", key: str = "", during: Any = None) -> None:
        """Note the end."""
        self.lessons.append(("end", state, round(lo, 2), round(hi, 2)))

    def compare_progress(self, total: float, lo: float, hi: float, *, state: str, key: str = "") -> None:
        """Note what the progress of a job has let one expect, and between which ages it ended."""
        self.lessons.append(("progress", state, round(total, 2), round(lo, 2), round(hi, 2)))

    def settle(self) -> None:
        """Do nothing."""


def taught(job: Aged, notes: Notes, timeout: float = 60.0, **options: Any) -> list[tuple[Any, ...]]:
    """Return what a schedule has learned from a wait for a job, without what it was asked for."""
    run_virtual(wait_until_terminal(job, timeout=timeout, schedule=notes, **options))
    return [lesson for lesson in notes.lessons if lesson[0] != "first_delay"]


def experienced(*durations: float, key: str = "made.up", **options: Any) -> Learned:
    """Return a schedule that has seen jobs of these durations, each of them twenty times."""
    learned = Learned(random=Random(1).random, **options)
    for seconds in durations * 20:
        learned.observe(seconds, seconds, key=key)
    return learned


# the first poll


def test_the_first_poll_of_a_job_of_known_age_is_planned() -> None:
    """A job that was submitted just now is polled when such jobs end, one that was submitted before so much sooner."""
    for age, due in ((0.0, 20.0), (12.0, 8.0), (1000.0, 0.0)):
        job = Aged([DONE], age=age)
        run_virtual(wait_until_terminal(job, timeout=None, schedule=experienced(20.0)))
        assert job.script.polled_at == [pytest.approx(due, abs=1.5)]


def test_a_hub_plans_first_polls_too() -> None:
    """Jobs whose age is not known are polled at once, and so is one that had ended when it was submitted."""
    jobs = [Aged([DONE]), Aged([DONE], age=None), Aged(submitted=DONE)]

    async def work(hub: Hub) -> list[float]:
        return [outcome.waited for outcome in await hub.wait_all(jobs, timeout=None)]

    planned, *others = in_hub(work, schedule=experienced(20.0))
    assert planned == pytest.approx(20.0, abs=1.5)
    assert others == [0.0, 0.0]


def test_a_hub_that_knows_too_little_polls_at_once() -> None:
    """Before three jobs of a kind have ended there is no plan."""
    job = Aged([DONE])
    in_hub(lambda hub: hub.wait(job, timeout=None), schedule=Learned())
    assert job.script.polled_at == [0.0]


def test_the_caller_has_the_last_word_on_the_first_poll() -> None:
    """An option says when it is made, whatever the schedule wants."""
    for option in (0.0, 3.0):
        job = Aged([DONE])
        run_virtual(wait_until_terminal(job, timeout=None, schedule=experienced(20.0), first_delay=option))
        assert job.script.polled_at == [option]


def test_a_first_poll_is_made_before_the_deadline() -> None:
    """Also when such jobs take longer than the caller wants to wait."""
    job = Aged([DONE])
    run_virtual(wait_until_terminal(job, timeout=10.0, schedule=experienced(20.0)))
    assert job.script.polled_at == [9.5]


@pytest.mark.parametrize("first", [-1.0, math.nan, math.inf, RuntimeError("no"), None, "soon"])
def test_a_schedule_that_fails_to_plan_breaks_no_wait(first: Any) -> None:
    """The first poll is made at once."""
    job = Aged([DONE])
    run_virtual(wait_until_terminal(job, timeout=10.0, schedule=Notes(first)))
    assert job.script.polled_at == [0.0]


def test_a_wait_that_joins_another_does_not_plan_a_first_poll() -> None:
    """The job has been polled; the next poll comes an interval later."""
    job = Aged([PROCESSING, PROCESSING, DONE])

    async def work(hub: Hub) -> float:
        await hub.wait_all([job], timeout=None)
        return now()

    assert in_hub(work, schedule=Notes(7.0)) == 9.0
    wait = Decision(Policy(schedule=Notes(7.0)), 100.0, subject=job)
    assert wait.joining_poll(100.0) == 101.0
    assert wait.first_poll(100.0, 5.0) == 112.0


@pytest.mark.parametrize(("age", "asked"), [(0.0, 0), (50.0, 50), (None, None), (-50.0, 0)])
def test_a_schedule_is_told_the_age(age: float | None, asked: float | None) -> None:
    """By the wall clock; a job from the future has just been submitted."""
    notes = Notes()
    Decision(Policy(schedule=notes), 100.0, subject=Aged(age=age)).first_poll(100.0)
    assert notes.lessons == [("first_delay", asked)]


def test_jobs_of_known_age_are_learned_apart() -> None:
    """Only by a schedule that plans first polls; long keys are cut."""
    keys = []
    for job, schedule in ((Aged(), Notes()), (Aged(age=None), Notes()), (lambda: None, Notes())):
        keys.append(Decision(Policy(schedule=schedule), 0.0, subject=job).pacing_key)
    assert keys == ["made.up" + SINCE_SUBMIT, "made.up", ""]
    job = Aged()
    job.pacing_key = "x" * 500
    key = Decision(Policy(schedule=Notes()), 0.0, subject=job).pacing_key
    assert len(key) == 200
    assert key.endswith(SINCE_SUBMIT)


def test_a_wait_that_is_resumed_keeps_the_age_of_its_job() -> None:
    """The time that was waited before is part of the age, and counts once; so does time without a process."""
    for age, in_state, since in ((65.0, 65.0, 935.0), (165.0, 65.0, 835.0), (65.0, 20.0, 980.0), (10.0, 5.0, 995.0)):
        past = WaitCheckpoint(waited=60.0, polls=3, state=State.PROCESSING, in_state=in_state)
        wait = Decision(Policy(schedule=Notes()), 1000.0, subject=Aged(age=age), checkpoint=past)
        assert wait.state_since == pytest.approx(since, abs=0.1)
        assert wait.seconds_left(1000.0) is None
        assert wait.began == 940.0
        assert wait.running_at is not None
        assert 940.0 <= wait.running_at <= 1000.0


# what is learned


@pytest.mark.parametrize(
    ("steps", "age", "lessons"),
    [
        (
            [PROCESSING, PROCESSING, DONE],
            0.0,
            [("first", "processing", 0.0), ("look", "processing", 0.0, 1.0), ("end", "processing", 1.0, 2.0)],
        ),
        (
            [PROCESSING, PROCESSING, DONE],
            5.0,
            [("first", "processing", 5.0), ("look", "processing", 5.0, 6.0), ("end", "processing", 6.0, 7.0)],
        ),
        (
            [PENDING, PROCESSING, PROCESSING, DONE],
            0.0,
            [
                ("first", "pending", 0.0),
                ("end", "pending", 0.0, 1.0),
                ("look", "processing", 0.0, 0.5),
                ("look", "processing", 0.5, 1.5),
                ("end", "processing", 1.5, 2.5),
            ],
        ),
        (
            [PROCESSING, PROCESSING, DONE],
            None,
            [("look", "processing", 0.0, 0.0), ("look", "processing", 0.0, 1.0), ("end", "processing", 1.0, 2.0)],
        ),
        (
            [Snapshot(State.PENDING, progress=0.0), HALF, HALF, DONE],
            0.0,
            [
                ("first", "pending", 0.0),
                ("end", "pending", 0.0, 1.0),
                ("look", "processing", 0.0, 0.5),
                ("look", "processing", 0.5, 1.5),
                ("end", "processing", 1.5, 2.5),
                ("progress", "processing", 1.0, 1.5, 2.5),
            ],
        ),
        (
            [PROCESSING, HALF, DONE],
            None,
            [
                ("look", "processing", 0.0, 0.0),
                ("look", "processing", 0.0, 1.0),
                ("end", "processing", 1.0, 2.0),
                ("progress", "processing", 2.0, 1.0, 2.0),
            ],
        ),
        ([DONE], 5.0, [("end", "processing", 0.0, 5.0)]),
        ([DONE], None, []),
        ([OSError(), OSError(), DONE], None, [("end", "processing", 0.0, 2.0)]),
        ([UNKNOWN, UNKNOWN, DONE], 0.0, []),
    ],
)
def test_every_look_is_told(steps: list[Any], age: float | None, lessons: list[tuple[Any, ...]]) -> None:
    """With the time since the job came into its state; one of unknown age that had ended at once says nothing."""
    assert taught(Aged(steps, age=age), Notes()) == lessons


def test_a_schedule_need_not_learn_from_progress() -> None:
    """It may be without the method; the other lessons come."""

    class Simple(Notes):
        compare_progress: Any = None

    lessons = taught(Aged([HALF, HALF, DONE], age=3.0), Simple())
    assert lessons == [("first", "processing", 3.0), ("look", "processing", 3.0, 4.0), ("end", "processing", 4.0, 5.0)]


def test_a_job_first_seen_in_processing_may_have_been_pending() -> None:
    """Where the schedule says so, the queue has ended before, and processing has its own clock."""
    assert taught(Aged([PROCESSING, PROCESSING, DONE], age=8.0), Notes(came=6.0)) == [
        ("first", "processing", 8.0),
        ("end", "pending", 0.0, 8.0),
        ("look", "processing", 2.0, 3.0),
        ("end", "processing", 3.0, 4.0),
    ]


def test_a_told_end_comes_after_a_look() -> None:
    """The job still ran just before: the time up to there has been seen, too."""
    notes = Notes()
    wait = Decision(Policy(schedule=notes), 100.0, subject=Aged(age=0.0))
    for at in (100.0, 104.0):
        wait.apply(PROCESSING, at)
    wait.apply(Snapshot(State.SUCCESS, ended_at=datetime.now(UTC) - timedelta(seconds=3)), 110.0)
    assert [lesson[0] for lesson in notes.lessons[-2:]] == ["look", "end"]
    assert notes.lessons[-2][2:] == pytest.approx((4.0, 7.0), abs=0.3)
    assert notes.lessons[-1][2:] == pytest.approx((7.0, 7.0), abs=0.3)


def test_a_job_that_had_ended_at_its_submit_teaches_nothing() -> None:
    """Such jobs need no polls."""
    assert taught(Aged(submitted=DONE, age=3.0), Notes()) == []


@pytest.mark.parametrize("came", [RuntimeError("no"), "late", math.nan, -1.0, 1e9])
def test_a_schedule_that_fails_at_a_look_breaks_no_wait(came: Any) -> None:
    """Whatever it raises or returns."""
    job = Aged([PROCESSING, PROCESSING, DONE], age=4.0)
    taught(job, Notes(came=came))
    assert job.script.polled_at == [0.0, 1.0, 2.0]


# calls to spare


def test_a_poll_is_not_made_early_before_half_of_its_interval() -> None:
    """Nor when the server said when to come, after a miss, or before the first delay."""
    wait = Decision(Policy(schedule=Learned()), 100.0, subject=Aged())
    assert wait.earliest_poll(110.0) == 105.0
    wait.apply(PROCESSING, 200.0)
    assert wait.earliest_poll(220.0) == 210.0
    wait.apply(OSError(), 204.0)
    assert wait.earliest_poll(220.0) == 220.0
    wait.apply(Snapshot(State.PROCESSING, retry_after=15.0), 206.0)
    assert wait.earliest_poll(221.0) == 221.0
    patient = Policy(schedule=Learned(), first_delay=8.0, at_least=12.0)
    wait = Decision(patient, 100.0, subject=Aged())
    assert wait.earliest_poll(110.0) == 108.0
    wait.apply(PROCESSING, 110.0)
    assert wait.earliest_poll(130.0) == 122.0
    assert wait.earliest_poll(121.0) == 121.0


@settings(max_examples=30, derandomize=True, database=None, deadline=None)
@given(
    jobs=st.lists(st.tuples(st.floats(0.0, 300.0), st.none() | st.floats(-10.0, 1e6)), min_size=1, max_size=25),
    rate=st.sampled_from([None, 0.5, 3.0]),
    known=st.lists(st.floats(0.0, 400.0), max_size=5),
)
def test_a_hub_ends_each_wait_once_whatever_the_ages(
    jobs: list[tuple[float, float | None]], rate: float | None, known: list[float]
) -> None:
    """With scarce calls or enough, with any history: all ends are seen, each once."""

    class Timed(Aged):
        ends_at = 0.0

        async def __call__(self) -> Snapshot[Any]:
            return DONE if now() >= self.ends_at else PROCESSING

    timed = []
    for ends_at, age in jobs:
        job = Timed(age=age)
        job.ends_at = ends_at
        timed.append(job)

    async def work(hub: Hub) -> list[Any]:
        async with hub.as_completed(timed, timeout=None) as outcomes:
            return [outcome.job async for outcome in outcomes]

    ended = in_hub(work, rate=rate, schedule=experienced(*known), random=Random(1).random)
    assert sorted(map(id, ended)) == sorted(map(id, timed))
