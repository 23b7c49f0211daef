"""The driver for one wait. All times are virtual, hence exact."""

from __future__ import annotations

import asyncio
import errno
import math
from contextlib import aclosing
from typing import Any

import pytest
from wait_kit import DONE, EVERY_SECOND, PENDING, PROCESSING, failed, play, running

from asyncpoll._errors import BadReply, Rejected, Throttled, TransportError, UnknownStatus
from asyncpoll._schedule import Exponential, Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll._timeout import Timeout
from asyncpoll.testing import run_virtual
from asyncpoll.waiting._misses import MISS_LIMITS
from asyncpoll.waiting._wait import wait_until_terminal, watch

# polling


def test_any_coroutine_function_can_be_awaited() -> None:
    """All that a wait needs is an `async def` that returns a snapshot."""
    answers = iter([PENDING, PROCESSING, DONE])

    async def fetch() -> Snapshot[int]:
        return next(answers)

    seen = run_virtual(wait_until_terminal(fetch, timeout=60))
    assert seen is DONE
    assert seen.unwrap() == 42


def test_it_polls_at_once_and_then_by_schedule() -> None:
    """The first poll is made at once, the others by the schedule, and none after the terminal one."""
    script = play(PENDING, PENDING, PENDING, PENDING, DONE)
    run_virtual(wait_until_terminal(script, timeout=60, schedule=Exponential(1.0, 4.0, jitter=None)))
    assert script.polled_at == [0.0, 1.0, 3.0, 7.0, 11.0]


def test_delays_run_from_the_answer() -> None:
    """A slow answer delays the next poll; polls of one wait never overlap."""
    script = play(PENDING, PENDING, DONE, latency=0.75)
    run_virtual(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND))
    assert script.polled_at == [0.0, 1.75, 3.5]


def test_the_first_poll_can_be_delayed() -> None:
    """Who knows that the job takes a while need not ask at once."""
    script = play(PENDING, DONE)
    run_virtual(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND, first_delay=20.0))
    assert script.polled_at == [20.0, 21.0]


@pytest.mark.parametrize("state", [state for state in State if state.is_terminal])
def test_every_terminal_snapshot_is_returned(state: State) -> None:
    """A failed job is an answer, not an error: nothing is raised for it."""
    assert run_virtual(wait_until_terminal(play(PROCESSING, state), timeout=60)).state is state


def test_a_wait_without_a_limit_goes_on() -> None:
    """None waits for as long as it takes."""
    script = play(*[PENDING] * 5000, DONE)
    assert run_virtual(wait_until_terminal(script, timeout=None, schedule=Fixed(60.0))) is DONE
    assert script.polled_at[-1] == 300_000.0


def test_a_terminal_answer_can_be_wanted_several_times() -> None:
    """With `stable_for` the job is asked again until the terminal answer has come so often in a row."""
    script = play(DONE, PROCESSING, DONE, DONE, DONE)
    assert run_virtual(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND, stable_for=3)) is DONE
    assert script.polls == 5


# the deadline


def test_the_last_poll_is_made_just_before_the_deadline() -> None:
    """The last poll comes half a second before the deadline; when it sees nothing new, the wait is given up."""
    script = play(PENDING)
    error, at = failed(wait_until_terminal(script, timeout=10, schedule=Fixed(4.0)))
    assert script.polled_at == [0.0, 4.0, 8.0, 9.5]
    assert (at, error.waited, error.polls, error.limit) == (9.5, 9.5, 4, "total")


def test_the_last_poll_may_bring_the_answer() -> None:
    """A job that ends during the last interval is not missed."""
    script = play(PENDING, DONE)
    assert run_virtual(wait_until_terminal(script, timeout=10, schedule=Fixed(3600.0))) is DONE
    assert script.polled_at == [0.0, 9.5]


def test_a_deadline_before_the_first_interval_has_two_polls() -> None:
    """A short limit has its first poll at once and its last one a tenth before the end."""
    script = play(PENDING)
    error, _ = failed(wait_until_terminal(script, timeout=0.2, schedule=Fixed(60.0)))
    assert script.polled_at == [0.0, 0.18]
    assert error.polls == 2


@pytest.mark.parametrize("latency", [0.6, 3600.0])
def test_a_poll_in_flight_is_cut_at_the_deadline(latency: float) -> None:
    """A poll that has no answer at the deadline is cancelled then, exactly, and counts."""
    script = play(PENDING, latency=latency)
    error, at = failed(wait_until_terminal(script, timeout=3, schedule=Fixed(1.8), first_delay=0.0))
    assert at == error.waited == 3.0
    assert error.polls == script.polls
    assert error.__cause__ is None


def test_a_poll_that_fails_while_it_is_cut_has_been_cut() -> None:
    """An error that a fetch raises as it is cancelled at the deadline does not hide the deadline."""

    async def fetch() -> Snapshot[int]:
        try:
            await asyncio.sleep(3600.0)
        except asyncio.CancelledError:
            raise Rejected("closed") from None
        raise AssertionError

    error, at = failed(wait_until_terminal(fetch, timeout=3))
    assert (at, error.polls) == (3.0, 1)


def test_the_error_carries_the_facts() -> None:
    """`WaitTimeout` says what was seen last, which words were unknown, and what the last poll failed with."""
    cause = ConnectionResetError("cut")
    odd: Snapshot[Any] = Snapshot(State.UNKNOWN, "frozen")
    script = play(PENDING, odd, cause)
    error, _ = failed(wait_until_terminal(script, timeout=3, schedule=EVERY_SECOND))
    assert isinstance(error, TimeoutError)
    assert (error.last, error.unknown, error.key, error.polls) == (odd, ("frozen",), None, 4)
    assert error.__cause__ is cause


def test_the_cause_is_gone_when_the_last_poll_saw_something() -> None:
    """An earlier miss is not the cause of a timeout."""
    error, _ = failed(wait_until_terminal(play(OSError(), PENDING), timeout=3, schedule=EVERY_SECOND))
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_polls_can_be_limited() -> None:
    """After `max_polls` polls the wait is given up at once."""
    script = play(PENDING)
    error, at = failed(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND, max_polls=3))
    assert (script.polls, error.polls, error.limit, at) == (3, 3, "polls", 2.0)


# three clocks


def test_queue_time_does_not_spend_the_processing_budget() -> None:
    """A job that waits long in the queue still has its whole budget once it runs."""
    script = play(*[PENDING] * 100, *[PROCESSING] * 8, DONE)
    timeout = Timeout(pending=200.0, processing=10.0)
    assert run_virtual(wait_until_terminal(script, timeout=timeout, schedule=EVERY_SECOND)) is DONE
    assert script.polled_at[-1] == 108.0


def test_the_queue_clock_ends_a_wait_in_the_queue() -> None:
    """A job that never starts is given up when the queue's budget is spent."""
    error, at = failed(wait_until_terminal(play(PENDING), timeout=Timeout(pending=5.0), schedule=EVERY_SECOND))
    assert (error.limit, at) == ("pending", 4.5)


def test_flapping_refills_no_budget() -> None:
    """A job that goes back to the queue goes on with what was left of both budgets."""
    script = play(*[PENDING, PROCESSING] * 20)
    timeout = Timeout(pending=100.0, processing=5.0)
    error, at = failed(wait_until_terminal(script, timeout=timeout, schedule=EVERY_SECOND))
    assert (error.limit, at) == ("processing", 10.5)


def test_a_poll_is_cut_when_its_phase_runs_out() -> None:
    """The deadline of the present phase cuts a poll in flight, too."""
    script = play(PROCESSING, latency=0.75)
    error, at = failed(wait_until_terminal(script, timeout=Timeout(100.0, processing=2.0), schedule=Fixed(0.9)))
    assert (error.limit, at) == ("processing", 2.75)


# misses


@pytest.mark.parametrize("miss", [TransportError("x"), BadReply("x"), OSError("x"), TimeoutError("x")], ids=repr)
def test_a_poll_that_fails_in_passing_changes_nothing(miss: Exception) -> None:
    """The next scheduled poll is the retry; there is not another."""
    script = play(PENDING, miss, miss, DONE)
    assert run_virtual(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND)) is DONE
    assert script.polled_at == [0.0, 1.0, 2.0, 3.0]


def test_a_throttled_poll_is_followed_later() -> None:
    """After a poll that was throttled without a time the schedule waits for its curve: 1 to 2 s at first."""
    script = play(PENDING, Throttled("x"), DONE)
    assert run_virtual(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND)) is DONE
    assert script.polled_at[:2] == [0.0, 1.0]
    assert 2.0 <= script.polled_at[2] <= 3.0


@pytest.mark.parametrize("error", [Rejected("x"), TransportError("x", passing=False), ValueError("x")], ids=repr)
def test_any_other_error_ends_the_wait_as_it_is(error: Exception) -> None:
    """An error that another poll cannot mend is raised at once, as the same object."""
    with pytest.raises(type(error)) as caught:
        run_virtual(wait_until_terminal(play(PENDING, error, DONE), timeout=60))
    assert caught.value is error


def test_a_strict_vocabulary_ends_the_wait() -> None:
    """An unlisted word under a strict vocabulary is raised out of the wait."""

    async def fetch() -> Snapshot[int]:
        return Snapshot(Vocabulary("v", {"done": State.SUCCESS}, strict=True).read("frozen"))

    with pytest.raises(UnknownStatus):
        run_virtual(wait_until_terminal(fetch, timeout=60))


def test_an_unlisted_word_keeps_the_wait_going() -> None:
    """An unknown state is neither a success nor a failure."""
    script = play(State.UNKNOWN, State.UNKNOWN, DONE)
    assert run_virtual(wait_until_terminal(script, timeout=60)) is DONE


def test_a_fetch_must_return_a_snapshot() -> None:
    """A result that is not a snapshot ends the wait with a TypeError."""

    async def fetch() -> Any:
        return {"status": "done"}

    with pytest.raises(TypeError, match="must return a Snapshot, not dict"):
        run_virtual(wait_until_terminal(fetch, timeout=60))


@pytest.mark.parametrize(("kind", "limit"), MISS_LIMITS.items())
def test_each_class_of_misses_has_its_limit(kind: str, limit: int) -> None:
    """The miss that reaches the limit of its class is raised, so many polls in."""
    script = play(PENDING, BadReply("x", kind=kind))
    with pytest.raises(BadReply):
        run_virtual(wait_until_terminal(script, timeout=600, schedule=Fixed(61.0)))
    assert script.polls == 1 + limit


def test_a_local_shortage_is_given_a_minute() -> None:
    """A shortage on this machine ends the wait after a minute without progress."""
    script = play(OSError(errno.EMFILE, "too many open files"))
    with pytest.raises(OSError, match="too many open files"):
        run_virtual(wait_until_terminal(script, timeout=600, schedule=Fixed(20.0)))
    assert script.polled_at == [0.0, 20.0, 40.0, 60.0]


def test_misses_can_be_limited() -> None:
    """`max_misses` tolerates so many in a row, of any class, and raises the next."""
    script = play(OSError(), OSError(), PENDING, OSError(), OSError(), ConnectionResetError())
    with pytest.raises(ConnectionResetError):
        run_virtual(wait_until_terminal(script, timeout=60, max_misses=2))
    assert script.polls == 6


def test_a_job_may_become_visible_late() -> None:
    """Within its grace a 404 is a miss; later it is what it says."""
    unseen = Rejected("no such job", status=404)
    script = play(unseen, unseen, PENDING, unseen)
    with pytest.raises(Rejected):
        run_virtual(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND, not_found_grace=3.0))
    assert script.polled_at == [0.0, 1.0, 2.0, 3.0]


# hints


@pytest.mark.parametrize(
    ("hints", "polled_at"),
    [
        ("at_least", [0.0, 7.0, 8.0, 9.0, 14.0]),
        ("exactly", [0.0, 7.0, 7.5, 8.5, 13.5]),
        ("ignore", [0.0, 1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_hints_are_read_anew_from_every_answer(hints: Any, polled_at: list[float]) -> None:
    """Each hint, of an answer or of an error, holds for the poll after it and no longer."""
    script = play(running(7.0), running(0.5), PENDING, TransportError("x", status=503, retry_after=5.0), DONE)
    run_virtual(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND, hints=hints))
    assert script.polled_at == polled_at


def test_a_server_that_hints_nought_does_not_make_us_spin() -> None:
    """A hint of nought, or next to nought, leaves a distance between polls even when hints are taken exactly."""
    script = play(running(0.0), running(1e-9), Throttled("x", retry_after=0.0), Throttled("x", retry_after=1e-9))
    error, _ = failed(wait_until_terminal(script, timeout=5, schedule=EVERY_SECOND, hints="exactly"))
    assert error.polls < 40


@pytest.mark.parametrize("hint", [math.nan, -5.0, math.inf])
def test_a_hint_that_is_not_a_duration_is_ignored(hint: float) -> None:
    """NaN, negative and endless hints of a running job do nothing."""
    script = play(running(hint), DONE)
    run_virtual(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND))
    assert script.polled_at == [0.0, 1.0]


def test_a_throttled_wait_ends_at_once_with_its_reason() -> None:
    """Told to stay away until after the deadline, the wait does not sit it out."""
    cause = Throttled("slower", retry_after=120.0)
    error, at = failed(wait_until_terminal(play(PENDING, cause), timeout=60, schedule=EVERY_SECOND))
    assert (error.limit, at, error.last) == ("throttled", 1.0, PENDING)
    assert error.__cause__ is cause


def test_a_throttled_wait_never_asks_too_soon() -> None:
    """Not even the last poll comes before the time that the server asked for."""
    script = play(Throttled("slower", retry_after=59.75), DONE)
    run_virtual(wait_until_terminal(script, timeout=60))
    assert script.polled_at == [0.0, 59.75]


def test_a_running_job_gets_its_last_poll() -> None:
    """A job that merely suggests a time after the deadline is asked once more just before it."""
    script = play(running(3600.0), DONE)
    run_virtual(wait_until_terminal(script, timeout=60))
    assert script.polled_at == [0.0, 59.5]


# bad arguments


@pytest.mark.parametrize(
    ("options", "error"),
    [
        *(({"timeout": value}, ValueError) for value in (0, -1, math.nan, math.inf, True)),
        *(({"first_delay": value}, ValueError) for value in (-1, math.nan, math.inf)),
        ({"max_polls": 0}, ValueError),
        ({"max_misses": -1}, ValueError),
        ({"not_found_grace": -1}, ValueError),
        ({"stable_for": 0}, ValueError),
        ({"hints": "sometimes"}, ValueError),
        ({"on_abandon": "stop"}, ValueError),
        ({"on_abandon": "cancel"}, ValueError),
        ({"schedule": 5.0}, TypeError),
        ({"retries": 3}, TypeError),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_before_any_poll(options: dict[str, Any], error: type[Exception]) -> None:
    """Whatever is out of range is refused by name, and nothing has been requested."""
    script = play(DONE)
    arguments: dict[str, Any] = {"timeout": 60, **options}
    with pytest.raises(error, match=next(iter(options))):
        run_virtual(wait_until_terminal(script, **arguments))
    assert script.polls == 0


def test_what_cannot_be_called_is_not_a_fetch() -> None:
    """Who passes the coroutine in place of its function is given the cure, by `watch` at once."""
    with pytest.raises(TypeError, match="not Snapshot; pass it uncalled"):
        watch(DONE)  # type: ignore[arg-type]  # that is what must fail


def test_watch_refuses_a_timeout() -> None:
    """Watching has no deadline of its own; `timeout` is refused at once."""
    with pytest.raises(TypeError, match="timeout"):
        watch(play(DONE), timeout=60)  # type: ignore[call-arg]  # that is what must fail


def test_watch_refuses_bad_arguments_at_once() -> None:
    """A bad option of `watch` is refused when it is called, not when it is iterated."""
    with pytest.raises(ValueError, match="stable_for"):
        watch(play(DONE), stable_for=0)


# watching


def test_watch_yields_what_every_poll_sees() -> None:
    """Every snapshot comes, up to and including the terminal one; misses see nothing and yield nothing."""
    script = play(PENDING, PENDING, OSError(), PROCESSING, DONE)

    async def main() -> list[Snapshot[int]]:
        return [snapshot async for snapshot in watch(script, schedule=EVERY_SECOND)]

    assert run_virtual(main()) == [PENDING, PENDING, PROCESSING, DONE]
    assert script.polls == 5


def test_watch_can_yield_changes_only() -> None:
    """Only what differs in state, kind, status or progress from the one before comes; the terminal one always does."""
    quarter: Snapshot[Any] = Snapshot(State.PROCESSING, "processing", progress=0.25)
    half: Snapshot[Any] = Snapshot(State.PROCESSING, "processing", progress=0.5)
    other_word: Snapshot[Any] = Snapshot(State.PROCESSING, "rendering", progress=0.5)
    asks: Snapshot[Any] = Snapshot(State.PROCESSING, "rendering", progress=0.5, kind="needs_action")
    steps = [PENDING, PENDING, quarter, quarter, half, other_word, other_word, asks, asks, half, DONE]

    async def main() -> list[Snapshot[int]]:
        return [snapshot async for snapshot in watch(play(*steps), changes_only=True)]

    assert run_virtual(main()) == [PENDING, quarter, half, other_word, asks, half, DONE]


@pytest.mark.parametrize("changes_only", [False, True])
def test_watch_can_be_left_early(changes_only: bool) -> None:  # noqa: FBT001  both ways
    """Closing the generator ends the polling; nothing is left behind."""
    script = play(PENDING)

    async def main() -> None:
        async with aclosing(watch(script, changes_only=changes_only)) as snapshots:
            async for _ in snapshots:
                break
        await asyncio.sleep(3600.0)

    run_virtual(main())
    assert script.polls == 1


def test_the_consumer_may_take_its_time() -> None:
    """The next poll is made one delay after the answer, or when the consumer asks for it, whichever is later."""
    script = play(PENDING, PENDING, DONE)

    async def main() -> None:
        async for _ in watch(script, schedule=Fixed(5.0)):
            await asyncio.sleep(3.0 if script.polls == 1 else 30.0)

    run_virtual(main())
    assert script.polled_at == [0.0, 5.0, 35.0]
