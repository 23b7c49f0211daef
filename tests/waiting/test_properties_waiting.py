"""Properties of a wait with any schedule, any vocabulary and any results of polls."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asyncpoll._errors import LONGEST_HINT, Throttled, WaitTimeout
from asyncpoll._schedule import Exponential, Fixed, Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll._timeout import Timeout
from asyncpoll.events import Ended, Event, Missed, Polled
from asyncpoll.testing import run_virtual
from asyncpoll.waiting._decision import SHORTEST_HINT
from asyncpoll.waiting._wait import wait_until_terminal

NEXT_TO_NOTHING = 1e-6  # seconds; more than rounding, less than anything meant
property_of = settings(max_examples=200, derandomize=True, database=None, deadline=None)

seconds = st.floats(0.01, 1000.0)
jittered = st.one_of(st.floats(), st.floats(0.0, 1000.0))
polls = st.integers(1, 1_000_000)


# schedules


@property_of
@given(initial=seconds, ratio=st.floats(1.0, 1000.0), factor=st.floats(1.01, 100.0), jitter=jittered, polls=polls)
def test_exponential_delays_stay_within_their_bounds(
    initial: float, ratio: float, factor: float, jitter: float, polls: int
) -> None:
    """Whatever the jitter gives and however long the wait, a delay is never below initial, nor above maximum."""
    schedule = Exponential(initial, initial * ratio, factor, jitter=lambda _: jitter)
    assert initial <= schedule.delay(Progress(polls, 0.0)) <= schedule.maximum


@property_of
@given(initial=seconds, ratio=st.floats(1.0, 1000.0), factor=st.floats(1.01, 100.0), polls=polls)
def test_exponential_caps_follow_the_formula_and_never_shrink(
    initial: float, ratio: float, factor: float, polls: int
) -> None:
    """Without jitter the delay is the cap of the formula, the same at every call, and grows from poll to poll."""
    schedule = Exponential(initial, initial * ratio, factor, jitter=None)
    delay = schedule.delay(Progress(polls, 0.0))
    logarithm = math.log(initial) + (polls - 1) * math.log(factor)
    cap = schedule.maximum if logarithm > math.log(schedule.maximum) else math.exp(logarithm)
    assert delay == pytest.approx(cap)
    assert delay == schedule.delay(Progress(polls, 5.0)) <= schedule.delay(Progress(polls + 1, 0.0))


@property_of
@given(interval=seconds, jitter=jittered)
def test_fixed_delays_are_never_near_nought(interval: float, jitter: float) -> None:
    """Whatever the jitter gives, at least a tenth of the interval remains."""
    assert Fixed(interval, jitter=lambda _: jitter).delay(Progress(1, 0.0)) >= interval / 10


# vocabularies


words = st.text("abcdefghXYZ_-任务中", min_size=1, max_size=8)
listings = st.dictionaries(words.map(str.casefold), st.sampled_from(State), min_size=1, max_size=8)
disguises = st.sampled_from([str.upper, str.lower, str.title, str.swapcase, lambda word: f" \t{word}\n"])


@property_of
@given(listing=listings, disguise=disguises, data=st.data())
def test_a_listed_word_is_recognised_in_any_disguise(
    listing: dict[str, State], disguise: Any, data: st.DataObject
) -> None:
    """Letter case and outer spaces never matter."""
    word = data.draw(st.sampled_from(sorted(listing)))
    assert Vocabulary("v", listing).read(disguise(word)) is listing[word]


@property_of
@given(listing=listings, word=st.one_of(words, st.text()))
def test_an_unlisted_word_is_never_a_success(listing: dict[str, State], word: str) -> None:
    """Any text at all that is not listed reads as unknown, which is not terminal."""
    assert Vocabulary("v", listing).read(word) is listing.get(word.strip().casefold(), State.UNKNOWN)


# the course of a wait


@frozen
class Step:
    """The result of one poll: a snapshot to return or an error to raise, after so many seconds."""

    outcome: Snapshot[Any] | Exception
    latency: float = 0.0

    @property
    def hint(self) -> float:
        """How many seconds the server suggests, or 0."""
        return getattr(self.outcome, "retry_after", None) or 0.0

    @property
    def is_terminal(self) -> bool:
        """Whether it ends the wait."""
        return isinstance(self.outcome, Snapshot) and self.outcome.state.is_terminal


@frozen
class Poll:
    """A poll that was made: its step, when it began, and when it ended (None when it was cut)."""

    step: Step
    began: float
    ended: float | None


@frozen
class Course:
    """A wait as it went."""

    polls: list[Poll] = field(factory=list)
    noted: list[Event] = field(factory=list)

    async def run(self, steps: list[Step], timeout: Timeout, **options: Any) -> tuple[Any, float]:
        """Wait; return the snapshot or the error, and when it came."""
        now = asyncio.get_running_loop().time

        async def fetch() -> Snapshot[Any]:
            step, began = steps[min(len(self.polls), len(steps) - 1)], now()
            self.polls.append(Poll(step, began, None))
            await asyncio.sleep(step.latency)
            self.polls[-1] = Poll(step, began, now())
            if isinstance(step.outcome, Exception):
                raise step.outcome
            return step.outcome

        try:
            return await wait_until_terminal(fetch, timeout=timeout, observe=self.noted.append, **options), now()
        except (WaitTimeout, OSError, Throttled) as error:
            return error, now()


hints = st.one_of(st.none(), st.floats(0.0, 40.0))
latencies = st.sampled_from([0.0, 0.0, 0.125, 1.0, 7.0])
running = st.builds(
    lambda state, hint: Snapshot[Any](state, state.value, retry_after=hint),
    st.sampled_from([State.PENDING, State.PROCESSING, State.UNKNOWN]),
    hints,
)
misses = st.one_of(
    st.builds(ConnectionResetError, st.just("cut")), st.builds(lambda hint: Throttled("x", retry_after=hint), hints)
)
endings = st.sampled_from([Snapshot[Any](state, state.value) for state in State if state.is_terminal])
courses = st.lists(st.builds(Step, st.one_of(running, running, misses, endings), latencies), min_size=1, max_size=12)
limits = st.builds(Timeout, *[st.one_of(st.none(), st.floats(0.2, 60.0))] * 3).filter(lambda limit: limit != Timeout())
intervals = st.floats(0.5, 20.0)


@property_of
@given(steps=courses, timeout=limits, interval=intervals, hints=st.sampled_from(["at_least", "exactly", "ignore"]))
def test_a_wait_is_polite_and_ends(steps: list[Step], timeout: Timeout, interval: float, hints: Any) -> None:
    """In every course no poll comes too soon or after the end, and there is exactly one outcome, in time."""
    assume(any(step.is_terminal for step in steps) or timeout.total is not None)
    course = Course()
    outcome, at = run_virtual(course.run([*steps, steps[-1]], timeout, schedule=Fixed(interval), hints=hints))
    reckoned = deadlines(course, timeout)
    assert_no_poll_comes_too_soon(course, interval, hints, reckoned)
    assert_it_ends_in_time(course, reckoned, at)
    assert_one_outcome(course, outcome)


def deadlines(course: Course, timeout: Timeout) -> list[float]:
    """Return the deadline in force before each poll, and the one after the last, reckoned from what the polls saw."""
    budgets = {State.PENDING: timeout.pending or math.inf, State.PROCESSING: timeout.processing or math.inf}
    phase, since, reckoned = State.PENDING, 0.0, []
    for poll in course.polls:
        reckoned.append(min(timeout.total or math.inf, since + budgets[phase]))
        seen = poll.step.outcome
        if poll.ended is not None and isinstance(seen, Snapshot) and seen.state in budgets and seen.state is not phase:
            budgets[phase] -= poll.ended - since
            phase, since = seen.state, poll.ended
    return [*reckoned, min(timeout.total or math.inf, since + budgets[phase])]


def assert_no_poll_comes_too_soon(course: Course, interval: float, hints: str, limits: list[float]) -> None:
    """Polls keep the schedule's distance and the server's, but for the last call; sent away, even that one."""
    for before, after, deadline in zip(course.polls, course.polls[1:], limits[1:], strict=False):
        assert before.ended is not None
        gap = after.began - before.ended + NEXT_TO_NOTHING
        hint = 0.0 if hints == "ignore" else min(before.step.hint, LONGEST_HINT)
        wanted = max(hint, SHORTEST_HINT) if hint and hints == "exactly" else max(interval, hint)
        is_last_call = after.began >= deadline - 0.5 - NEXT_TO_NOTHING
        is_miss = isinstance(before.step.outcome, Exception)
        assert gap >= (hint if is_miss else 0.0) if is_last_call else gap >= wanted


def assert_it_ends_in_time(course: Course, limits: list[float], at: float) -> None:
    """No poll outlives the deadline in force when it began, nor the wait the last one."""
    for poll, deadline in zip(course.polls, limits, strict=False):
        assert poll.began < deadline
        assert (poll.ended or 0.0) <= deadline + NEXT_TO_NOTHING
    assert at <= max(limits[-1], course.polls[-1].ended or 0.0) + NEXT_TO_NOTHING


def assert_one_outcome(course: Course, outcome: Any) -> None:
    """The wait ends with the first terminal snapshot, or with an error that tells the truth; it is reported once."""
    terminal = [poll for poll in course.polls if poll.ended is not None and poll.step.is_terminal]
    assert [poll.step.outcome for poll in terminal] == ([outcome] if isinstance(outcome, Snapshot) else [])
    assert all(poll is course.polls[-1] for poll in terminal)
    if isinstance(outcome, WaitTimeout):
        assert outcome.polls == len(course.polls)
    assert [type(event) for event in course.noted].count(Ended) == 1
    seen = sum(isinstance(event, Polled | Missed) for event in course.noted)
    assert seen == sum(poll.ended is not None for poll in course.polls)
