"""The hub: any number of waits, one scheduler. All times are virtual, hence exact."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hub_kit import FAILED, PENDING, PROCESSING, SUCCESS, Cancellable, arriving, in_hub, jobs_of, play, transport_of

from asyncpoll import (
    ClientClosed,
    Exponential,
    Fixed,
    Hub,
    JobFailed,
    PollError,
    Rejected,
    Snapshot,
    Throttled,
    Timeout,
    TransportError,
    WaitTimeout,
    events,
)
from asyncpoll.http._wrappers import Paced, Retrying

# one wait


def test_a_wait_ends_with_the_terminal_snapshot() -> None:
    """The first poll is made at once, the others on the hub's schedule."""
    script = play(PENDING, PROCESSING, SUCCESS)
    snapshot = in_hub(lambda hub: hub.wait(script, timeout=60))
    assert (snapshot.state, script.polled_at) == (SUCCESS, [0.0, 1.0, 2.0])


def test_a_result_is_unwrapped() -> None:
    """`result` gives the value, or raises what became of the job."""
    assert in_hub(lambda hub: hub.result(play(Snapshot(SUCCESS, value=7)), timeout=60)) == 7
    with pytest.raises(JobFailed):
        in_hub(lambda hub: hub.result(play(FAILED), timeout=60))


def test_a_wait_may_have_a_schedule_of_its_own() -> None:
    """The hub's is for those that do not say otherwise."""
    script = play(PENDING, SUCCESS)
    in_hub(lambda hub: hub.wait(script, timeout=60, schedule=Fixed(7.0)))
    assert script.polled_at == [0.0, 7.0]


def test_a_wait_may_begin_with_a_pause() -> None:
    """`first_delay` puts the first poll off."""
    script = play(SUCCESS)
    in_hub(lambda hub: hub.wait(script, timeout=60, first_delay=5.0))
    assert script.polled_at == [5.0]


def test_the_last_poll_is_made_just_before_the_deadline() -> None:
    """It is made so that its answer can still arrive, and the wait ends with it."""
    script = play(PENDING)
    with pytest.raises(WaitTimeout) as caught:
        in_hub(lambda hub: hub.wait(script, timeout=10, schedule=Fixed(4.0)))
    assert script.polled_at == [0.0, 4.0, 8.0, 9.5]
    assert (caught.value.waited, caught.value.polls) == (9.5, 4)


def test_a_poll_in_flight_is_cut_at_the_deadline() -> None:
    """An answer that comes later would be of no use."""
    with pytest.raises(WaitTimeout) as caught:
        in_hub(lambda hub: hub.wait(play(PENDING, latency=99.0), timeout=10))
    assert (caught.value.waited, caught.value.polls, caught.value.last) == (10.0, 1, None)


def test_time_in_the_queue_does_not_count_as_processing() -> None:
    """A wait has three clocks."""
    script = play(*[PENDING] * 30, *[PROCESSING] * 9)
    with pytest.raises(WaitTimeout) as caught:
        in_hub(lambda hub: hub.wait(script, timeout=Timeout(processing=5.0)))
    assert (caught.value.limit, caught.value.waited) == ("processing", 34.5)


def test_the_interval_is_planned_anew_when_processing_begins() -> None:
    """After a long time in the queue a short job is not polled at the queue's pace."""
    script = play(PENDING, PENDING, PENDING, PROCESSING, PROCESSING, SUCCESS)
    in_hub(lambda hub: hub.wait(script, timeout=None), schedule=Exponential(1.0, 60.0, jitter=None))
    assert script.polled_at == [0.0, 1.0, 3.0, 7.0, 8.0, 10.0]


def test_an_error_that_is_not_a_miss_ends_the_wait() -> None:
    """A refusal is raised as it is."""
    with pytest.raises(Rejected):
        in_hub(lambda hub: hub.wait(play(Rejected("no")), timeout=60))


def test_a_fetch_must_return_a_snapshot() -> None:
    """A fetch that returns anything else is a TypeError for its own wait."""

    async def nothing() -> Any:
        return None

    with pytest.raises(TypeError, match="Snapshot"):
        in_hub(lambda hub: hub.wait(nothing, timeout=60))


def test_a_throttle_beyond_the_deadline_parks_the_wait() -> None:
    """In a hub it ends at its deadline, unpolled, with the throttling as the cause."""
    script = play(Throttled("slow", retry_after=60.0))
    with pytest.raises(WaitTimeout) as caught:
        in_hub(lambda hub: hub.wait(script, timeout=10))
    assert (script.polls, caught.value.waited) == (1, 10.0)
    assert isinstance(caught.value.__cause__, Throttled)


def test_a_fetch_that_is_cancelled_from_within_ends_its_wait() -> None:
    """Nobody cancelled the wait: it fails, with a word about why, and the hub goes on."""

    async def work(hub: Hub) -> None:
        with pytest.raises(PollError, match="from within") as caught:
            await hub.wait(play(asyncio.CancelledError()), timeout=60)
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        await hub.wait(play(SUCCESS), timeout=60)

    in_hub(work, concurrency=1)


def test_a_job_is_left_alone_or_cancelled() -> None:
    """On a deadline or a cancel the remote job is cancelled once, if that was asked for; never after success."""
    left, late, stopped, done = (Cancellable(play(last)) for last in (PENDING, PENDING, PENDING, SUCCESS))

    async def work(hub: Hub) -> None:
        with pytest.raises(WaitTimeout):
            await hub.wait(left, timeout=5)
        with pytest.raises(WaitTimeout):
            await hub.wait(late, timeout=5, on_abandon="cancel")
        await hub.wait(done, timeout=5, on_abandon="cancel")
        task = asyncio.create_task(hub.wait(stopped, timeout=None, on_abandon="cancel"))
        await asyncio.sleep(2)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    in_hub(work)
    counts = [len(job.cancelled_at) for job in (left, late, stopped, done)]
    assert counts == [0, 1, 1, 0]


async def test_arriving_jobs_may_be_awaited_on_a_real_clock() -> None:
    """Nothing in the hub depends on virtual time."""
    async with Hub(schedule=Fixed(0.001)) as hub:
        outcomes = await hub.wait_all(arriving([play(PENDING, SUCCESS) for _ in range(5)]), timeout=60)
    assert all(outcome.succeeded for outcome in outcomes)


# bad input


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": math.nan},
        {"concurrency": 1.5},
        {"rate": 0.0},
        {"rate": math.inf},
        {"rate": math.nan},
        {"lane_concurrency": 0},
        {"lane_rate": -1.0},
    ],
    ids=str,
)
def test_limits_must_make_sense(options: dict[str, Any]) -> None:
    """A limit that is not above 0 is refused, and named."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Hub(**options)


@pytest.mark.parametrize("first_delay", [-1.0, math.nan, math.inf])
def test_a_first_delay_must_make_sense(first_delay: float) -> None:
    """It is refused before any request."""
    script = play(SUCCESS)
    for work in (
        lambda hub: hub.wait(script, timeout=60, first_delay=first_delay),
        lambda hub: hub.wait_all([script], timeout=60, first_delay=first_delay),
    ):
        with pytest.raises(ValueError, match="first_delay"):
            in_hub(work)
    assert script.polls == 0


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan, math.inf])
def test_a_timeout_must_make_sense(timeout: float) -> None:
    """As everywhere: seconds above 0, or None said out loud."""
    with pytest.raises(ValueError, match="timeout"):
        in_hub(lambda hub: hub.wait(play(SUCCESS), timeout=timeout))


def test_what_is_awaited_must_be_a_job() -> None:
    """An object that is neither a job nor an async function is a TypeError, before any poll."""
    thing: Any = object()
    with pytest.raises(TypeError, match="async function"):
        in_hub(lambda hub: hub.wait(thing, timeout=5))


def test_a_job_that_cannot_be_named_is_refused_at_once() -> None:
    """It must not be polled first and fail at its end."""
    transport = transport_of(lambda _: {"state": "pending"})
    (job,) = jobs_of(transport, [object()])
    with pytest.raises(TypeError, match="JSON"):
        in_hub(lambda hub: hub.wait(job, timeout=5))
    assert transport.requests == 0


def test_a_job_that_cannot_be_cancelled_is_refused_at_once() -> None:
    """Asked for what its API cannot do, the wait does not begin."""
    script = play(SUCCESS)
    with pytest.raises(ValueError, match="on_abandon"):
        in_hub(lambda hub: hub.wait(script, timeout=5, on_abandon="cancel"))
    assert script.polls == 0


def test_a_job_of_a_closed_client_fails_alone() -> None:
    """That its client is closed is the outcome of its own wait."""
    with pytest.raises(ClientClosed):
        in_hub(lambda hub: hub.wait(play(ClientClosed("the client is closed")), timeout=5))


# looking on


def test_events_tell_what_happens() -> None:
    """An observer notes every poll, change, miss, unknown word and end, by the key of the job."""
    noted: list[events.Event] = []
    said = iter([{"state": "pending"}, Throttled("slow"), {"state": "unknown"}, {"state": "success"}])
    (job,) = jobs_of(transport_of(lambda _: next(said)), ["a"])
    in_hub(lambda hub: hub.wait(job, timeout=60), observe=noted.append)
    assert [type(event) for event in noted].count(events.Called) == 4
    assert [type(event) for event in noted if not isinstance(event, events.Called)] == [
        events.Began,
        events.Polled,
        events.StateChanged,
        events.Missed,
        events.Throttled,
        events.Polled,
        events.StateChanged,
        events.UnknownWord,
        events.Polled,
        events.StateChanged,
        events.Ended,
    ]
    assert {event.key for event in noted} == {job.key}


def test_every_wait_that_ends_is_reported() -> None:
    """Also one that was cancelled or ran out of time."""
    ends: list[Any] = []

    async def work(hub: Hub) -> None:
        with pytest.raises(WaitTimeout):
            await hub.wait(play(PENDING), timeout=3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await hub.wait(play(PENDING), timeout=None)

    def observe(event: events.Event) -> None:
        if isinstance(event, events.Ended):
            ends.append(event.error)

    in_hub(work, observe=observe)
    assert [type(error) for error in ends] == [WaitTimeout, asyncio.CancelledError]


def test_an_observer_that_fails_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Looking on must not break what is looked at."""

    def observe(_event: events.Event) -> None:
        raise KeyError("mine")

    assert in_hub(lambda hub: hub.wait(play(SUCCESS), timeout=5), observe=observe).state is SUCCESS
    assert "observer" in caplog.text


def test_counters_count() -> None:
    """They are plain integers."""

    async def work(hub: Hub) -> None:
        waits = [asyncio.create_task(hub.wait(play(PENDING, SUCCESS, latency=0.5), timeout=60)) for _ in range(2)]
        await asyncio.sleep(0.25)
        counters = hub.counters
        assert (counters.polls, counters.in_flight, counters.pending, counters.ended) == (0, 2, 2, 0)
        await asyncio.wait(waits)
        with pytest.raises(WaitTimeout):
            await hub.wait(play(ConnectionError(), Throttled("slow"), PENDING), timeout=None, max_polls=3)
        with pytest.raises(Rejected):
            await hub.wait(play(Rejected("no")), timeout=3)
        assert (counters.polls, counters.in_flight, counters.pending, counters.ended) == (8, 0, 0, 4)
        assert (counters.succeeded, counters.missed, counters.throttled, counters.unknown) == (2, 3, 1, 0)

    in_hub(work)


def test_requests_are_those_really_sent() -> None:
    """Repeated ones are counted too, where the transport counts, whatever is wrapped around it."""
    stumbles = iter([TransportError("cut", kind="disconnect")])
    inner = transport_of(lambda _: next(stumbles, {"state": "success"}))

    async def work(hub: Hub) -> None:
        inner.requests = 7  # before the hub saw it
        transport: Any = Retrying(Paced(inner))
        await hub.wait_all(jobs_of(transport, range(3)), timeout=60)
        assert (hub.counters.polls, hub.counters.requests) == (3, 4)

    in_hub(work)
