"""What to do after a poll."""

from __future__ import annotations

import errno
import math
from typing import Any

import pytest

from asyncpoll._errors import BadReply, Rejected, Throttled, TransportError, WaitTimeout
from asyncpoll._schedule import Exponential, Fixed, Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.waiting._decision import LONGEST_HINT, SHORTEST_HINT, Decision
from asyncpoll.waiting._misses import MISS_LIMITS
from asyncpoll.waiting._past import Past
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting._timeout import Timeout

PENDING: Snapshot[Any] = Snapshot(State.PENDING, "queued")
PROCESSING: Snapshot[Any] = Snapshot(State.PROCESSING, "running", progress=0.25)
DONE = Snapshot(State.SUCCESS, "done", value=42)
BEGAN = 100.0


class Recorder:
    """A schedule that notes what it is told, and always says one second."""

    def __init__(self, delay: float = 1.0) -> None:
        self.told: list[Progress] = []
        self.answer = delay

    def delay(self, progress: Progress, /) -> float:
        """Note *progress*."""
        self.told.append(progress)
        return self.answer


class Keyed:
    """Something that is waited for, with a key."""

    key = "v:1"


def decision(total: float | None = None, **policy: Any) -> Decision:
    """Return the decision of a wait that began at 100 s and polls every 2 s unless told otherwise."""
    policy.setdefault("timeout", Timeout(total))
    policy.setdefault("schedule", Fixed(2.0))
    return Decision(Policy(**policy), BEGAN, subject=Keyed())


def running(retry_after: float) -> Snapshot[Any]:
    """Return what a poll sees of a job that runs and gives a hint."""
    return Snapshot(State.PROCESSING, retry_after=retry_after)


# the policy


@pytest.mark.parametrize(
    "bad",
    [
        {"max_polls": 0},
        {"max_polls": -1},
        {"max_misses": -1},
        {"not_found_grace": -0.1},
        {"not_found_grace": math.nan},
        {"not_found_grace": math.inf},
        {"stable_for": 0},
        {"hints": "sometimes"},
    ],
    ids=str,
)
def test_a_policy_refuses_what_is_out_of_range(bad: dict[str, Any]) -> None:
    """Every number has its range, and hints are one of three words; the message names the option."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        Policy(**bad)


@pytest.mark.parametrize("schedule", [5.0, None, Fixed])
def test_a_policy_refuses_what_is_no_schedule(schedule: Any) -> None:
    """A number, nothing, or a class in place of its instance is no schedule."""
    with pytest.raises(TypeError, match=r"schedule must have a method delay\(progress\)"):
        Policy(schedule=schedule)


# when to poll first


@pytest.mark.parametrize(
    ("delay", "total", "first"),
    [(0.0, None, 100.0), (3.0, None, 103.0), (3.0, 20.0, 103.0), (50.0, 20.0, 119.5), (50.0, 1.0, 100.9)],
)
def test_the_first_poll_is_made_at_once_or_after_a_delay(delay: float, total: float | None, first: float) -> None:
    """The first poll is made after the delay, but never later than just before the deadline."""
    assert decision(total).first_poll(BEGAN, delay) == first


# what a poll saw


@pytest.mark.parametrize("state", State)
def test_a_wait_is_over_when_the_job_is_terminal(state: State) -> None:
    """Terminal snapshots of every kind end the wait; the others do not, unknown states included."""
    wait = decision()
    assert wait.saw(Snapshot(state), BEGAN) is state.is_terminal
    assert (wait.polls, wait.last) == (1, Snapshot(state))


def test_a_fetch_that_returns_something_else_is_told_so() -> None:
    """What is no snapshot is a TypeError that names what came instead."""
    with pytest.raises(TypeError, match="must return a Snapshot, not dict"):
        decision().saw({"status": "done"}, BEGAN)  # type: ignore[arg-type]  # that is what must fail


def test_stable_for_wants_identical_answers_in_a_row() -> None:
    """A terminal answer is believed once it came so often in a row; any other answer starts the count anew."""
    wait = decision(stable_for=3)
    other = Snapshot(State.SUCCESS, "done", value=43)
    answers = [DONE, DONE, other, DONE, PROCESSING, DONE, DONE, DONE]
    assert [wait.saw(answer, BEGAN) for answer in answers] == [False] * 7 + [True]


def test_a_miss_between_identical_answers_changes_nothing() -> None:
    """A failed poll says nothing about the job, so it does not start the count anew either."""
    wait = decision(stable_for=2)
    assert not wait.saw(DONE, BEGAN)
    wait.missed(TimeoutError(), BEGAN)
    assert wait.saw(DONE, BEGAN)


def test_values_are_only_compared_once_a_job_is_terminal() -> None:
    """A running job may carry values that cannot be compared, such as arrays."""

    class Incomparable:
        def __eq__(self, other: object) -> bool:
            raise TypeError("the truth of an array")

        __hash__ = None  # type: ignore[assignment]  # as arrays have it

    wait = decision()
    partial = [Snapshot(State.PROCESSING, value=Incomparable()) for _ in range(2)]
    assert [wait.saw(seen, BEGAN) for seen in partial] == [False, False]


# misses


@pytest.mark.parametrize("error", [Rejected("no"), ValueError("bug"), TransportError("no", passing=False)])
def test_what_is_no_miss_is_raised_as_it_is(error: Exception) -> None:
    """An error that asking again does not mend ends the wait at once, and is no poll that counts."""
    wait = decision()
    with pytest.raises(type(error)) as caught:
        wait.missed(error, BEGAN)
    assert caught.value is error
    assert wait.polls == 0


@pytest.mark.parametrize(("kind", "limit"), MISS_LIMITS.items())
def test_misses_of_a_class_are_raised_at_its_limit(kind: str, limit: int) -> None:
    """The miss that reaches the limit of its class is the error of the wait."""
    wait = decision()
    error = BadReply("x", kind=kind)
    for _ in range(limit - 1):
        wait.missed(error, BEGAN)
    with pytest.raises(BadReply) as caught:
        wait.missed(error, BEGAN)
    assert caught.value is error
    assert wait.polls == limit


def test_a_poll_that_saw_something_ends_the_row() -> None:
    """Only misses in a row count."""
    wait = decision()
    for _ in range(10):
        wait.missed(BadReply("x", kind="identity"), BEGAN)
        wait.saw(PENDING, BEGAN)
    assert wait.polls == 20


def test_max_misses_stands_in_for_the_limits_of_the_classes() -> None:
    """The caller's own limit tolerates so many misses in a row of any class, and raises the next."""
    wait = decision(max_misses=7)
    error = BadReply("x", kind="identity")
    for _ in range(7):
        wait.missed(error, BEGAN)
    with pytest.raises(BadReply):
        wait.missed(error, BEGAN)


def test_max_misses_of_nought_tolerates_none() -> None:
    """With no misses allowed the first one is raised."""
    with pytest.raises(ConnectionResetError):
        decision(max_misses=0).missed(ConnectionResetError(), BEGAN)


def test_a_local_shortage_is_raised_after_a_minute() -> None:
    """A shortage on this machine may last 60 s; then it is the error of the wait."""
    wait = decision()
    shortage = OSError(errno.EMFILE, "too many open files")
    wait.missed(shortage, BEGAN + 5.0)
    wait.missed(shortage, BEGAN + 64.9)
    with pytest.raises(OSError, match="too many open files"):
        wait.missed(shortage, BEGAN + 65.0)


def test_a_404_is_tolerated_within_its_grace() -> None:
    """The grace runs from the start of the wait."""
    wait = decision(not_found_grace=30.0)
    wait.missed(Rejected("no such job", status=404), BEGAN + 29.0)
    with pytest.raises(Rejected):
        wait.missed(Rejected("no such job", status=404), BEGAN + 30.0)


# when to poll next


def test_the_schedule_says_when() -> None:
    """The next poll is due one delay after the last answer, after misses too."""
    wait = decision()
    wait.saw(PENDING, 101.0)
    assert wait.next_poll(101.0) == 103.0
    wait.missed(TimeoutError(), 104.5)
    assert wait.next_poll(104.5) == 106.5


def test_the_schedule_is_told_how_far_the_wait_has_come() -> None:
    """Progress counts polls, seconds, misses in a row; it names the last state, hint and share done."""
    schedule = Recorder()
    wait = decision(schedule=schedule)
    wait.missed(TimeoutError(), 101.0)
    wait.next_poll(101.0)
    wait.saw(Snapshot(State.PROCESSING, progress=0.25, retry_after=3.0), 104.0)
    wait.next_poll(104.0)
    wait.missed(Throttled("x", retry_after=7.0), 108.0)
    wait.next_poll(108.0)
    assert schedule.told == [
        Progress(1, 1.0, misses=1),
        Progress(2, 4.0, state="processing", hint=3.0, done=0.25, in_state=4.0),
        Progress(3, 8.0, misses=1, state="processing", hint=7.0, done=0.25, in_state=8.0),
    ]


@pytest.mark.parametrize("delay", [-1.0, math.nan, math.inf])
def test_a_schedule_that_goes_astray_is_stopped(delay: float) -> None:
    """A delay that is negative, NaN or endless never reaches the event loop; the error names schedule and delay."""
    wait = decision(schedule=Recorder(delay))
    wait.saw(PENDING, BEGAN)
    with pytest.raises(ValueError, match=r"Recorder .* gave a delay of"):
        wait.next_poll(BEGAN)


def test_max_polls_ends_the_wait() -> None:
    """After so many polls, misses included, the wait is given up; the limit is named."""
    wait = decision(max_polls=2)
    wait.saw(PENDING, 101.0)
    wait.next_poll(101.0)
    cause = TimeoutError()
    wait.missed(cause, 103.0)
    with pytest.raises(WaitTimeout) as caught:
        wait.next_poll(103.0)
    error = caught.value
    assert (error.limit, error.polls, error.waited, error.last, error.key) == ("polls", 2, 3.0, PENDING, "v:1")
    assert error.__cause__ is cause


@pytest.mark.parametrize(
    ("total", "answered", "due"),
    [
        (10.0, 107.0, 109.0),  # by the schedule
        (10.0, 107.5, 109.5),  # just fits
        (10.0, 108.0, 109.5),  # the last one, half a second before the deadline
        (10.0, 109.3, 109.5),
        (2.0, 101.0, 101.8),  # for short limits, a tenth of them before
        (1.0, 100.0, 100.9),
    ],
)
def test_the_last_poll_is_made_just_before_the_deadline(total: float, answered: float, due: float) -> None:
    """A delay that would lead past the last call is cut to it."""
    wait = decision(total)
    wait.saw(PENDING, answered)
    assert wait.next_poll(answered) == pytest.approx(due)


@pytest.mark.parametrize("answered", [109.4, 109.5, 109.8, 110.5])
def test_after_the_last_poll_the_wait_is_given_up(answered: float) -> None:
    """Once the last call is made, or as good as made, there is nothing to wait for."""
    wait = decision(10.0)
    wait.saw(PENDING, answered)
    with pytest.raises(WaitTimeout, match=r"v:1 .* 1 polls \(total limit\); last seen pending") as caught:
        wait.next_poll(answered)
    assert caught.value.waited == pytest.approx(answered - BEGAN)
    assert caught.value.__cause__ is None


def test_a_miss_after_the_deadline_is_no_throttling() -> None:
    """A fetch that blocks the loop past the deadline and then fails ends the wait by its real limit."""
    wait = decision(10.0)
    cause = ConnectionResetError()
    wait.missed(cause, 111.0)
    with pytest.raises(WaitTimeout, match=r"\(total limit\); nothing was seen") as caught:
        wait.next_poll(111.0)
    assert caught.value.__cause__ is cause


# hints


@pytest.mark.parametrize(
    ("hints", "hint", "due"),
    [
        ("at_least", 5.0, 105.0),
        ("at_least", 0.5, 102.0),
        ("exactly", 5.0, 105.0),
        ("exactly", 0.5, 100.5),
        ("exactly", 0.001, 100.0 + SHORTEST_HINT),
        ("ignore", 5.0, 102.0),
        ("at_least", 1e9, 100.0 + LONGEST_HINT),
        ("exactly", 1e9, 100.0 + LONGEST_HINT),
    ],
)
@pytest.mark.parametrize("missed", [False, True])
def test_a_hint_makes_the_next_poll_no_earlier_or_sets_it_or_nothing(
    hints: str,
    hint: float,
    due: float,
    missed: bool,  # noqa: FBT001  a column
) -> None:
    """Hints of answers and of errors count alike, within a tenth of a second and a day."""
    wait = decision(hints=hints)
    if missed:
        wait.missed(Throttled("x", retry_after=hint), BEGAN)
    else:
        wait.saw(running(hint), BEGAN)
    assert wait.next_poll(BEGAN) == due


@pytest.mark.parametrize("hint", [None, 0.0, -5.0, math.nan, "soon", "7", [], {}])
@pytest.mark.parametrize("hints", ["at_least", "exactly"])
def test_a_hint_that_makes_no_sense_is_ignored(hint: Any, hints: str) -> None:
    """What a foreign error carries as `retry_after` may be anything."""
    error = ConnectionResetError()
    error.retry_after = hint  # type: ignore[attr-defined]  # as foreign errors do
    wait = decision(hints=hints)
    wait.missed(error, BEGAN)
    assert wait.next_poll(BEGAN) == 102.0


def test_a_hint_holds_for_one_poll_only() -> None:
    """Every answer is read anew: a hint that is not repeated is gone."""
    wait = decision()
    wait.saw(running(50.0), BEGAN)
    assert wait.next_poll(BEGAN) == 150.0
    wait.missed(ConnectionResetError(), 150.0)
    assert wait.next_poll(150.0) == 152.0
    wait.missed(Throttled("x", retry_after=9.0), 152.0)
    assert wait.next_poll(152.0) == 161.0
    wait.saw(PROCESSING, 161.0)
    assert wait.next_poll(161.0) == 163.0


@pytest.mark.parametrize("hint", [10.0, 10.5, 3600.0])
def test_a_throttled_wait_ends_at_once_when_told_to_stay_away_too_long(hint: float) -> None:
    """Told to stay away until the deadline or beyond, the wait ends with that reason and does not wait for nothing."""
    wait = decision(10.0)
    cause = Throttled("slower", retry_after=hint)
    wait.missed(cause, BEGAN)
    with pytest.raises(WaitTimeout) as caught:
        wait.next_poll(BEGAN)
    assert (caught.value.limit, caught.value.waited, caught.value.__cause__) == ("throttled", 0.0, cause)


@pytest.mark.parametrize(("hint", "due"), [(9.4, 109.4), (9.5, 109.5), (9.8, 109.8), (9.99, 109.99)])
@pytest.mark.parametrize("hints", ["at_least", "exactly"])
def test_a_throttled_wait_never_asks_sooner_than_it_was_told(hint: float, due: float, hints: str) -> None:
    """Even the last call just before the deadline waits for as long as the server said to stay away."""
    wait = decision(10.0, hints=hints)
    wait.missed(Throttled("slower", retry_after=hint), BEGAN)
    assert wait.next_poll(BEGAN) == pytest.approx(due)


def test_a_throttled_wait_still_respects_its_schedule() -> None:
    """A hint shorter than the schedule's delay does not bring the next poll forward, the last call does."""
    wait = decision(10.0)
    wait.missed(Throttled("slower", retry_after=0.2), 108.5)
    assert wait.next_poll(108.5) == 109.5


def test_a_running_job_gets_its_last_poll_whatever_it_hints() -> None:
    """A job that merely runs is asked once more just before the deadline, though it suggested a later time."""
    wait = decision(10.0)
    wait.saw(running(3600.0), BEGAN)
    assert wait.next_poll(BEGAN) == 109.5


def test_ignored_hints_do_not_end_a_wait() -> None:
    """Who ignores hints is not stopped by them either."""
    wait = decision(10.0, hints="ignore")
    wait.missed(Throttled("slower", retry_after=3600.0), BEGAN)
    assert wait.next_poll(BEGAN) == 102.0


# three clocks


def test_time_in_the_queue_does_not_spend_the_budget_for_processing() -> None:
    """The deadline follows the phase: first that of the queue, then a whole budget for processing."""
    wait = decision(timeout=Timeout(pending=60.0, processing=10.0))
    assert wait.deadline == 160.0
    wait.saw(PENDING, 150.0)
    assert wait.deadline == 160.0
    wait.saw(PROCESSING, 155.0)
    assert wait.deadline == 165.0


def test_a_job_that_goes_back_to_the_queue_goes_on_with_what_was_left() -> None:
    """Flapping between phases refills neither budget."""
    wait = decision(timeout=Timeout(pending=60.0, processing=10.0))
    deadlines: list[float] = []
    for seen, now in ((PROCESSING, 120.0), (PENDING, 126.0), (PROCESSING, 150.0), (PENDING, 153.0)):
        wait.saw(seen, now)
        deadlines.append(wait.deadline)
    assert deadlines == [130.0, 166.0, 154.0, 169.0]


def test_unknown_states_and_misses_let_the_present_clock_run() -> None:
    """What says nothing about the phase does not change it."""
    wait = decision(timeout=Timeout(processing=10.0))
    wait.saw(PROCESSING, 105.0)
    wait.saw(Snapshot(State.UNKNOWN, "odd"), 107.0)
    wait.missed(TimeoutError(), 108.0)
    assert wait.deadline == 115.0


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
    wait.saw(seen, 101.0)
    assert wait.deadline == deadline
    with pytest.raises(WaitTimeout) as caught:
        wait.next_poll(deadline)
    assert caught.value.limit == limit


def test_a_phase_without_a_limit_may_last_for_ever() -> None:
    """A limit for the queue alone ends when the job starts."""
    wait = decision(timeout=Timeout(pending=10.0))
    wait.saw(PROCESSING, 105.0)
    assert wait.deadline == math.inf
    assert wait.next_poll(1e9) == 1e9 + 2.0


def test_a_budget_that_is_already_spent_ends_the_wait() -> None:
    """A job seen in a phase whose budget is used up is given up at once."""
    wait = decision(timeout=Timeout(pending=10.0, processing=5.0))
    wait.saw(PROCESSING, 101.0)
    wait.saw(PENDING, 108.0)
    wait.saw(PROCESSING, 109.0)
    with pytest.raises(WaitTimeout, match="processing limit"):
        wait.next_poll(109.0)


# the end


def test_a_poll_that_is_cut_counts() -> None:
    """A poll in flight at the deadline is counted, and the error carries every fact of the wait."""
    wait = decision(10.0)
    wait.saw(PENDING, 101.0)
    wait.saw(Snapshot(State.UNKNOWN, "frozen"), 103.0)
    cause = ConnectionResetError()
    wait.missed(cause, 105.0)
    error = wait.cut(110.0)
    assert (error.polls, error.waited, error.limit, error.key) == (4, 10.0, "total", "v:1")
    assert (error.last, error.unknown) == (Snapshot(State.UNKNOWN, "frozen"), ("frozen",))
    assert error.__cause__ is cause


def test_unknown_words_are_named_once_each_and_five_at_most() -> None:
    """The error names the unknown words in the order they came, but no flood of them."""
    wait = decision(10.0)
    for word in "abacbdefg":
        wait.saw(Snapshot(State.UNKNOWN, word), 101.0)
    assert wait.cut(110.0).unknown == ("a", "b", "c", "d", "e")


def test_a_bare_wait_has_no_key() -> None:
    """A decision about a bare coroutine function has no key to name."""
    assert Decision(Policy(), 0.0).key is None


def test_a_wait_that_parks_goes_on_unpolled() -> None:
    """Told to stay away until after its deadline, a wait that parks gets no further poll and no error."""
    wait = decision(10.0, parks=True)
    wait.missed(Throttled("slow down", retry_after=60.0), 101.0)
    assert wait.next_poll(101.0) == math.inf
    assert wait.timed_out(110.0).limit == "total"


def test_a_schedule_may_begin_anew_when_a_job_is_processed() -> None:
    """With `replans`, the polls made while the job was pending do not count for the schedule."""
    due = {}
    for replans in (False, True):
        wait = decision(schedule=Exponential(1.0, 60.0, jitter=None), replans=replans)
        for second in (100.0, 101.0, 103.0):
            wait.saw(Snapshot(State.PENDING), second)
        wait.saw(Snapshot(State.PROCESSING), 107.0)
        due[replans] = wait.next_poll(107.0)
    assert due == {False: 115.0, True: 108.0}


def test_a_delay_settled_on_by_others_goes_before_the_schedule() -> None:
    """A delay that is given is taken, but for a hint that asks for more."""
    wait = decision()
    wait.saw(running(retry_after=7.0), 100.0)
    assert (wait.next_poll(100.0, 3.0), wait.next_poll(100.0, 9.0)) == (107.0, 109.0)


def test_the_first_interval_alone_can_be_cut_short() -> None:
    """By a share of a quarter of it, and never below what the server asked for."""
    wait = decision(scatter=lambda: 0.5)
    wait.saw(PENDING, BEGAN)
    assert wait.next_poll(BEGAN) == 101.75
    wait.saw(PENDING, BEGAN)
    assert wait.next_poll(BEGAN) == 102.0
    hinted = decision(scatter=lambda: 0.5)
    hinted.saw(running(2.0), BEGAN)
    assert hinted.next_poll(BEGAN) == 102.0


# going on with what an earlier process began


def test_a_wait_goes_on_where_another_process_stopped() -> None:
    """Its limit, its schedule and its count of polls take the past in."""
    schedule = Recorder()
    past = Past(waited=50.0, polls=7, state=State.PROCESSING, in_state=20.0)
    wait = Decision(Policy(timeout=Timeout(60.0), schedule=schedule), BEGAN, past=past)
    assert (wait.began, wait.deadline, wait.polls) == (50.0, 110.0, 7)
    assert wait.first_poll(BEGAN, 0.0) == BEGAN
    assert wait.first_poll(BEGAN, 30.0) == 109.5
    wait.saw(PROCESSING, 102.0)
    wait.next_poll(102.0)
    assert schedule.told == [Progress(8, 52.0, state="processing", done=0.25, in_state=22.0)]
    assert wait.timed_out(110.0).waited == 60.0


def test_a_wait_can_be_told_to_another_process() -> None:
    """What it tells is what it is begun with there; before the first answer no state is known."""
    wait = decision()
    assert wait.at_present(103.0) == Past(waited=3.0)
    wait.saw(PENDING, 104.0)
    wait.saw(PROCESSING, 105.0)
    past = wait.at_present(109.0)
    assert past == Past(waited=9.0, polls=2, state=State.PROCESSING, in_state=4.5)
    assert Decision(Policy(), 500.0, past=past).at_present(500.0) == past


@pytest.mark.parametrize(
    ("past", "deadline"),
    [
        (Past(waited=10.0), 115.0),
        (Past(waited=10.0, state=State.PENDING, in_state=10.0), 115.0),
        (Past(waited=10.0, state=State.PROCESSING, in_state=4.0), 101.0),
    ],
)
def test_the_clock_of_the_present_phase_goes_on(past: Past, deadline: float) -> None:
    """Time in the queue still does not spend the budget for processing, nor the other way round."""
    limits = Timeout(pending=25.0, processing=5.0)
    assert Decision(Policy(timeout=limits), BEGAN, past=past).deadline == deadline


@pytest.mark.parametrize("bad", [{"waited": -1.0}, {"waited": math.nan}, {"polls": -1}, {"in_state": math.inf}])
def test_a_past_that_cannot_be_is_refused(bad: dict[str, Any]) -> None:
    """Neither time nor polls are negative or without end."""
    with pytest.raises(ValueError, match="must be"):
        Past(**bad)


def test_a_wait_knows_when_its_job_was_last_seen_unfinished() -> None:
    """A miss saw nothing, and an end is no such look."""
    wait = decision(stable_for=2)
    assert wait.running_at is None
    wait.saw(PENDING, 101.0)
    wait.missed(TimeoutError(), 102.0)
    wait.saw(DONE, 103.0)
    assert wait.running_at == 101.0
