"""Decisions: the next poll, or the end of the wait, after each poll."""

from __future__ import annotations

import asyncio
import errno
import math
from typing import Any

import pytest
from decision_kit import BEGAN, BOTH, DONE, ODD, PENDING, PROCESSING, Recorder, decision, due, end, running

from asyncpoll import BadReply, Exponential, Progress, Rejected, Snapshot, State, Throttled, Timeout, TransportError
from asyncpoll.waiting._decision import NEVER, Decision, WaitCheckpoint
from asyncpoll.waiting._job_calls import as_result
from asyncpoll.waiting._misses import MISS_LIMITS, PATIENCE
from asyncpoll.waiting._policy import Policy

# when to poll first


@pytest.mark.parametrize(
    ("delay", "total", "first", "joining"),
    [(0.0, None, 100.0, 102.0), (3.0, 20.0, 103.0, 103.0), (50.0, 20.0, 119.5, 119.5), (0.0, 1.0, 100.0, 100.9)],
)
def test_the_first_poll_may_be_put_off(delay: float, total: float | None, first: float, joining: float) -> None:
    """By two delays, and by an interval where the wait joins others, but not past the last call."""
    assert decision(total).first_poll(BEGAN, delay) == first
    wait = decision(total, first_delay=delay)
    assert (wait.first_poll(BEGAN), wait.joining_poll(BEGAN)) == (first, joining)


@pytest.mark.parametrize(("now", "again"), [(104.0, 106.0), (109.0, 109.5), (120.0, 120.0)])
def test_a_late_poll_is_made_within_an_interval(now: float, again: float) -> None:
    """It is made after a random share of the interval, but not past the deadline."""
    assert decision(10.0, random=lambda: 0.25).late_poll(now, 8.0) == again


# what a poll saw


@pytest.mark.parametrize("state", State)
def test_a_wait_is_over_when_the_job_is_terminal(state: State) -> None:
    """Terminal snapshots of every kind end the wait; the others do not, unknown states included."""
    wait = decision()
    verdict = wait.apply(Snapshot(state), BEGAN)
    assert (verdict.over, verdict.error, verdict.due == NEVER) == (state.is_terminal, None, state.is_terminal)
    assert (wait.polls, wait.last) == (1, Snapshot(state))


def test_a_wait_knows_what_was_seen_before() -> None:
    """A verdict says what the poll before saw, and a wait when its job was last seen unfinished; a miss saw nothing."""
    wait = decision(stable_for=2)
    results: list[Any] = [PENDING, PROCESSING, TimeoutError(), DONE]
    assert decision().running_at is None
    before = [wait.apply(result, 101.0 + number).before for number, result in enumerate(results)]
    assert before == [None, PENDING, PROCESSING, PROCESSING]
    assert wait.running_at == 102.0


def test_a_fetch_must_return_a_snapshot() -> None:
    """Anything else is a TypeError that names what came instead, and ends the wait."""
    assert as_result(DONE) is DONE
    error = end(decision(), as_result({"status": "done"}))
    assert (type(error), str(error)) == (TypeError, "fetch must return a Snapshot, not dict")


def test_stable_for_wants_identical_answers_in_a_row() -> None:
    """Any other answer starts the count anew; a miss says nothing about the job, so it changes nothing."""
    wait = decision(stable_for=3)
    other = Snapshot(State.SUCCESS, "done", value=43)
    results: list[Any] = [DONE, DONE, other, DONE, PROCESSING, DONE, TimeoutError(), DONE, DONE]
    assert [wait.apply(result, BEGAN).over for result in results] == [False] * 8 + [True]


def test_values_are_only_compared_once_a_job_is_terminal() -> None:
    """A running job may carry values that cannot be compared, such as arrays."""

    class Incomparable:
        def __eq__(self, other: object) -> bool:
            raise TypeError("the truth of an array")

        __hash__ = None  # type: ignore[assignment]  # as arrays have it

    wait = decision()
    for _ in range(2):
        due(wait, Snapshot(State.PROCESSING, value=Incomparable()))


# misses


@pytest.mark.parametrize(
    "error",
    [Rejected("no"), ValueError("bug"), TransportError("no", passing=False), StopIteration(), asyncio.CancelledError()],
)
def test_an_error_that_is_not_a_miss_ends_the_wait(error: BaseException) -> None:
    """It ends it at once, the same object; one that cannot be raised to a caller is the cause of another."""
    wait = decision()
    ended = end(wait, error)
    assert isinstance(ended, Exception)
    assert error in (ended, ended.__cause__)
    assert wait.polls == 1


@pytest.mark.parametrize(("kind", "limit"), MISS_LIMITS.items())
def test_misses_of_a_kind_end_the_wait_at_its_limit(kind: str, limit: int) -> None:
    """The miss that reaches the limit of its kind is the error of the wait."""
    wait = decision()
    error = BadReply("x", kind=kind)
    for number in range(1, limit):
        due(wait, error, BEGAN + (PATIENCE + 1) * number)
    assert end(wait, error, BEGAN + (PATIENCE + 1) * limit) is error
    assert wait.polls == limit


@pytest.mark.parametrize("error", [BadReply("x", kind="identity"), OSError(errno.EMFILE, "too many open files")])
def test_misses_of_a_limited_kind_may_last_a_minute(error: Exception) -> None:
    """However many they are, they and shortages on this machine end the wait once the row has lasted 60 s."""
    wait = decision()
    for second in (5.0, 6.0, 7.0, 30.0, 64.9):
        due(wait, error, BEGAN + second)
    assert end(wait, error, BEGAN + 65.0) is error


def test_a_poll_that_saw_something_ends_the_row() -> None:
    """Only misses in a row count."""
    wait = decision()
    for number in range(10):
        due(wait, BadReply("x", kind="identity"), BEGAN + PATIENCE * number)
        due(wait, PENDING, BEGAN + PATIENCE * number)
    assert wait.polls == 20


def test_max_misses_replaces_the_limits_of_the_kinds() -> None:
    """The caller's own limit tolerates so many misses in a row of any kind, and not one more; 0 tolerates none."""
    wait = decision(max_misses=7)
    error = BadReply("x", kind="identity")
    for number in range(7):
        due(wait, error, BEGAN + PATIENCE * number)
    assert end(wait, error, BEGAN + PATIENCE * 7) is error
    assert isinstance(end(decision(max_misses=0), ConnectionResetError()), ConnectionResetError)


def test_a_404_is_tolerated_within_its_grace() -> None:
    """The grace runs from the start of the wait."""
    wait = decision(not_found_grace=30.0)
    error = Rejected("no such job", status=404)
    due(wait, error, BEGAN + 29.0)
    assert end(wait, error, BEGAN + 30.0) is error


# when to poll next


def test_the_schedule_says_when_unless_others_have_settled() -> None:
    """The next poll is due one delay after the last answer, or a given delay; a hint may ask for more than either."""
    wait = decision()
    verdicts = [wait.apply(PENDING, 101.0), wait.apply(TimeoutError(), 104.5)]
    verdicts += [wait.apply(running(7.0), BEGAN, delay=delay) for delay in (3.0, 9.0)]
    assert [verdict.due for verdict in verdicts] == [103.0, 106.5, 107.0, 109.0]
    assert [verdict.interval for verdict in verdicts] == [2.0, 2.0, 3.0, 9.0]


def test_the_schedule_knows_how_far_the_wait_has_come() -> None:
    """Progress counts polls, seconds, misses in a row; it names the last state, hint and share done."""
    schedule = Recorder()
    wait = decision(schedule=schedule)
    due(wait, TimeoutError(), 101.0)
    due(wait, Snapshot(State.PROCESSING, progress=0.25, retry_after=3.0), 104.0)
    due(wait, Throttled("x", retry_after=7.0), 108.0)
    assert schedule.seen == [
        Progress(1, 1.0, misses=1),
        Progress(2, 4.0, state="processing", hint=3.0, done=0.25, in_state=4.0),
        Progress(3, 8.0, misses=1, state="processing", hint=7.0, done=0.25, in_state=8.0),
    ]


@pytest.mark.parametrize("delay", [-1.0, math.nan, math.inf])
def test_a_schedule_that_goes_astray_ends_the_wait(delay: float) -> None:
    """A delay that is negative, NaN or endless never reaches the event loop; the error names schedule and delay."""
    error = end(decision(schedule=Recorder(delay)), PENDING)
    assert isinstance(error, ValueError)
    assert str(error).startswith("the schedule Recorder(")
    assert f"returned a delay of {delay}" in str(error)


def test_a_schedule_may_begin_anew_when_a_job_is_processed() -> None:
    """With `replans`, the polls made while the job was pending do not count for the schedule."""
    then = {}
    for replans in (False, True):
        wait = decision(schedule=Exponential(1.0, 60.0, jitter=None), replans=replans)
        for second in (100.0, 101.0, 103.0):
            due(wait, PENDING, second)
        then[replans] = due(wait, PROCESSING, 107.0)
    assert then == {False: 115.0, True: 108.0}


def test_the_first_interval_alone_can_be_cut_short() -> None:
    """By a share of a quarter of it, and never below what the server asked for."""
    wait = decision(scatter=lambda: 0.5)
    assert [due(wait, PENDING) for _ in range(2)] == [101.75, 102.0]
    assert due(decision(scatter=lambda: 0.5), running(2.0)) == 102.0


def test_max_polls_ends_the_wait() -> None:
    """After so many polls, misses included, the wait is given up; the limit is named."""
    wait = decision(max_polls=2)
    due(wait, PENDING, 101.0)
    cause = TimeoutError()
    error = end(wait, cause, 103.0)
    assert (error.limit, error.polls, error.waited, error.last, error.key) == ("polls", 2, 3.0, PENDING, "v:1")
    assert error.__cause__ is cause


@pytest.mark.parametrize(
    ("total", "answered", "then"),
    [
        (10.0, 107.0, 109.0),  # by the schedule
        (10.0, 107.5, 109.5),  # just fits
        (10.0, 108.0, 109.5),  # the last one, half a second before the deadline
        (10.0, 109.3, 109.5),
        (2.0, 101.0, 101.8),  # for short limits, a tenth of them before
        (1.0, 100.0, 100.9),
    ],
)
def test_the_last_poll_is_made_just_before_the_deadline(total: float, answered: float, then: float) -> None:
    """A delay that would reach past the last call is cut to it."""
    assert due(decision(total), PENDING, answered) == pytest.approx(then)


@pytest.mark.parametrize("answered", [109.4, 109.5, 109.8, 110.5])
def test_after_the_last_poll_the_wait_is_given_up(answered: float) -> None:
    """Once the last call is made, or as good as made, there is nothing to wait for."""
    error = end(decision(10.0), PENDING, answered)
    assert "1 polls (total limit); last seen pending" in str(error)
    assert getattr(error, "seconds_left", None) == pytest.approx(max(0.0, 110.0 - answered))
    assert (error.key, error.waited, error.__cause__) == ("v:1", pytest.approx(answered - BEGAN), None)


def test_a_miss_after_the_deadline_does_not_count_as_throttling() -> None:
    """A fetch that blocks the loop past the deadline and then fails ends the wait by its real limit."""
    cause = ConnectionResetError()
    error = end(decision(10.0), cause, 111.0)
    assert "(total limit); nothing was seen" in str(error)
    assert error.__cause__ is cause


# three clocks


@pytest.mark.parametrize(
    ("timeout", "course", "deadlines"),
    [
        (BOTH, [(PENDING, 150.0), (PROCESSING, 155.0)], [160.0, 165.0]),
        (BOTH, [(PROCESSING, 120.0), (PENDING, 126.0), (PROCESSING, 150.0)], [130.0, 166.0, 154.0]),
        (BOTH, [(PROCESSING, 105.0), (ODD, 107.0), (TimeoutError(), 108.0)], [115.0] * 3),
        (Timeout(pending=10.0), [(PENDING, 104.0), (PROCESSING, 105.0), (PENDING, 106.0)], [110.0, math.inf, 111.0]),
        (Timeout(pending=10.0), [(PENDING, 104.0), (PROCESSING, 105.0), (ODD, 1e9)], [110.0, math.inf, math.inf]),
    ],
)
def test_the_deadline_follows_the_phase(timeout: Timeout, course: list[Any], deadlines: list[float]) -> None:
    """Each phase has its own budget, which going back and forth does not refill; what says nothing changes nothing."""
    wait = decision(timeout=timeout)
    for (result, now), deadline in zip(course, deadlines, strict=True):
        due(wait, result, now)
        assert wait.deadline == deadline


@pytest.mark.parametrize(
    ("timeout", "seen", "limit", "deadline"),
    [
        (Timeout(30.0, pending=10.0), PENDING, "pending", 110.0),
        (Timeout(30.0, pending=10.0), PROCESSING, "total", 130.0),
        (Timeout(30.0, processing=10.0), PENDING, "total", 130.0),
        (Timeout(30.0, processing=10.0), PROCESSING, "processing", 111.0),
        (Timeout(5.0, pending=10.0, processing=10.0), PROCESSING, "total", 105.0),
        (Timeout(10.0, pending=10.0), PENDING, "total", 110.0),
        (Timeout(pending=10.0), PENDING, "pending", 110.0),
    ],
)
def test_the_limit_that_passed_is_named(timeout: Timeout, seen: Snapshot[Any], limit: str, deadline: float) -> None:
    """Of several clocks the earliest ends the wait, and the error says which it was."""
    wait = decision(timeout=timeout)
    due(wait, seen, 101.0)
    assert wait.deadline == deadline
    assert end(wait, seen, deadline).limit == limit


def test_a_budget_that_is_already_spent_ends_the_wait() -> None:
    """A job seen in a phase whose budget is used up is given up at once."""
    wait = decision(timeout=Timeout(pending=10.0, processing=5.0))
    due(wait, PROCESSING, 101.0)
    assert due(wait, PENDING, 105.8) == 107.8
    assert end(wait, PROCESSING, 107.8).limit == "processing"


# the end


def test_a_poll_that_is_cut_counts() -> None:
    """A poll in flight at the deadline is counted, and the error has every fact of the wait; a bare one has no key."""
    wait = decision(10.0)
    cause = ConnectionResetError()
    for result, now in ((PENDING, 101.0), (ODD, 103.0), (cause, 105.0)):
        due(wait, result, now)
    error = wait.cut(110.0)
    assert (error.polls, error.waited, error.limit, error.key) == (4, 10.0, "total", "v:1")
    assert (error.last, error.unknown, error.__cause__) == (ODD, ("odd",), cause)
    assert Decision(Policy(), BEGAN).cut(110.0).key is None


def test_unknown_words_are_named_once_each_and_five_at_most() -> None:
    """The error names the unknown words in the order they came, but no flood of them."""
    wait = decision(10.0)
    for word in "abacbdefg":
        due(wait, Snapshot(State.UNKNOWN, word), 101.0)
    assert wait.cut(110.0).unknown == ("a", "b", "c", "d", "e")


# going on with what an earlier process began


def test_a_wait_goes_on_where_another_process_stopped() -> None:
    """Its limit, its schedule and its count of polls include the progress made there."""
    schedule = Recorder()
    checkpoint = WaitCheckpoint(waited=50.0, polls=7, state=State.PROCESSING, in_state=20.0)
    wait = Decision(Policy(timeout=Timeout(60.0), schedule=schedule), BEGAN, checkpoint=checkpoint)
    assert (wait.began, wait.deadline, wait.polls, wait.state_since) == (50.0, 110.0, 7, 80.0)
    assert (wait.first_poll(BEGAN), wait.first_poll(BEGAN, 30.0)) == (BEGAN, 109.5)
    due(wait, PROCESSING, 102.0)
    assert schedule.seen == [Progress(8, 52.0, state="processing", done=0.25, in_state=22.0)]
    assert wait.timed_out(110.0).waited == 60.0


def test_a_checkpoint_holds_the_progress_of_a_wait() -> None:
    """A wait that begins with it has the same one; before the first answer no state is known."""
    wait = decision()
    assert wait.checkpoint(103.0) == WaitCheckpoint(waited=3.0)
    due(wait, PENDING, 104.0)
    due(wait, PROCESSING, 105.0)
    checkpoint = wait.checkpoint(109.0)
    assert checkpoint == WaitCheckpoint(waited=9.0, polls=2, state=State.PROCESSING, in_state=4.5)
    assert Decision(Policy(), 500.0, checkpoint=checkpoint).checkpoint(500.0) == checkpoint


@pytest.mark.parametrize(
    ("checkpoint", "deadline"),
    [
        (WaitCheckpoint(waited=10.0), 115.0),
        (WaitCheckpoint(waited=10.0, state=State.PENDING, in_state=10.0), 115.0),
        (WaitCheckpoint(waited=10.0, state=State.PROCESSING, in_state=4.0), 101.0),
    ],
)
def test_the_clock_of_the_present_phase_goes_on(checkpoint: WaitCheckpoint, deadline: float) -> None:
    """Time in the queue still does not spend the budget for processing, nor the other way round."""
    limits = Timeout(pending=25.0, processing=5.0)
    assert Decision(Policy(timeout=limits), BEGAN, checkpoint=checkpoint).deadline == deadline


@pytest.mark.parametrize("bad", [{"waited": -1.0}, {"waited": math.nan}, {"polls": -1}, {"in_state": math.inf}])
def test_a_checkpoint_that_cannot_be_is_refused(bad: dict[str, Any]) -> None:
    """Neither time nor polls are negative or without end."""
    with pytest.raises(ValueError, match="must be"):
        WaitCheckpoint(**bad)
