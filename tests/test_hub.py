"""The hub: any number of waits, one scheduler. All times are virtual, hence exact."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import random
import tracemalloc
from collections import deque
from typing import Any, cast

import pytest
from attrs import evolve
from await_points import MOMENTS, Moment, cancelled_everywhere
from hub_kit import (
    EVERY_SECOND,
    FAILED,
    JOBS,
    PENDING,
    PROCESSING,
    SUCCESS,
    arriving,
    in_hub,
    jobs_of,
    now,
    play,
    transport_of,
)

from asyncpoll import events
from asyncpoll._endpoint import Group
from asyncpoll._errors import ClientClosed, JobFailed, PollError, Rejected, Throttled, TransportError, WaitTimeout
from asyncpoll._schedule import Exponential, Fixed, Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll.http import Request
from asyncpoll.http.pace import Paced
from asyncpoll.http.retry import Retrying
from asyncpoll.testing import Script, run_virtual
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._timeout import Timeout

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


def test_time_in_the_queue_of_the_server_does_not_spend_the_budget_for_processing() -> None:
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


def test_an_error_that_is_no_miss_ends_the_wait() -> None:
    """A refusal is raised as it is."""
    with pytest.raises(Rejected):
        in_hub(lambda hub: hub.wait(play(Rejected("no")), timeout=60))


def test_what_is_no_snapshot_is_said_so() -> None:
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


# many waits for one job


def test_one_job_awaited_by_many_is_polled_once() -> None:
    """Equal jobs share their polls, whichever objects they are."""
    words = iter(["pending", "pending", "success"])
    transport = transport_of(lambda _: {"state": next(words), "value": "x"})
    jobs = jobs_of(transport, ["a"] * 50)
    snapshots = in_hub(lambda hub: asyncio.gather(*(hub.wait(job, timeout=60) for job in jobs)))
    assert {snapshot.value for snapshot in snapshots} == {"x"}
    assert transport.requests == 3


@pytest.mark.parametrize("latency", [0.0, 0.9, 7.0])
def test_each_waiter_keeps_its_own_deadline(latency: float) -> None:
    """One that runs out of time, be it the first, leaves the others alone."""
    script = play(*[PENDING] * 30, SUCCESS, latency=latency)

    async def work(hub: Hub) -> tuple[Any, Any, Any]:
        waits = (hub.wait(script, timeout=limit) for limit in (10.0, None, 20.0))
        short, endless, longer = await asyncio.gather(*waits, return_exceptions=True)
        return short, endless, longer

    short, endless, longer = in_hub(work)
    assert isinstance(short, WaitTimeout)
    assert isinstance(longer, WaitTimeout)
    assert 9.4 <= short.waited <= 10.0
    assert 19.4 <= longer.waited <= 20.0
    assert endless.state is SUCCESS
    assert script.polls == 31


def test_deadlines_that_come_one_after_the_other_cannot_starve_a_slow_poll() -> None:
    """Where somebody's time runs out every second, a poll that takes three still comes to its end."""
    script = play(SUCCESS, latency=3.0)

    async def work(hub: Hub) -> list[Any]:
        waits = [asyncio.create_task(hub.wait(script, timeout=0.5 + number)) for number in range(9)]
        await asyncio.wait(waits)
        return [type(wait.exception()) for wait in waits]

    assert in_hub(work) == [WaitTimeout] * 3 + [type(None)] * 6
    assert script.polls == 1


def test_a_waiter_that_joins_a_poll_in_flight_has_its_answer_or_its_own_deadline() -> None:
    """It is told by the poll that is under way, unless its time runs out before."""
    script = play(SUCCESS, latency=3.0)

    async def work(hub: Hub) -> None:
        first = asyncio.create_task(hub.wait(script, timeout=None))
        await asyncio.sleep(1)
        with pytest.raises(WaitTimeout):
            await hub.wait(script, timeout=1)
        assert now() == 2.0
        assert (await hub.wait(script, timeout=5)).state is SUCCESS
        await first

    in_hub(work)
    assert script.polls == 1


def test_a_waiter_that_joins_in_the_queue_keeps_its_own_deadline() -> None:
    """Also while the poll may not start yet."""
    script = play(SUCCESS)

    async def work(hub: Hub) -> None:
        await hub.wait(play(SUCCESS), timeout=None)
        first = asyncio.create_task(hub.wait(script, timeout=None))
        await asyncio.sleep(1)
        with pytest.raises(WaitTimeout) as caught:
            await hub.wait(script, timeout=3)
        assert (caught.value.waited, caught.value.polls) == (3.0, 0)
        await first

    in_hub(work, rate=0.1)
    assert script.polled_at == [10.0]


def test_the_last_to_leave_ends_the_polling() -> None:
    """Waiters may leave, the first one too; when nobody waits nobody is asked."""
    script = play(PENDING)

    async def work(hub: Hub) -> None:
        tasks = [asyncio.create_task(hub.wait(script, timeout=None)) for _ in range(3)]
        await asyncio.sleep(2.5)
        tasks[0].cancel()
        await asyncio.sleep(2)
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(60)
        assert hub.counters.pending == 0

    in_hub(work)
    assert script.polled_at == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_last_to_leave_cuts_the_poll_in_flight() -> None:
    """A slow answer that nobody waits for keeps no place from others."""
    slow, other = play(SUCCESS, latency=60.0), play(SUCCESS)

    async def work(hub: Hub) -> None:
        tasks = [asyncio.create_task(hub.wait(slow, timeout=None)) for _ in range(2)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        await asyncio.sleep(1)
        assert hub.counters.in_flight == 1
        tasks[1].cancel()
        await hub.wait(other, timeout=None)

    in_hub(work, concurrency=1)
    assert other.polled_at == [2.0]


def test_a_job_can_be_awaited_again_while_its_cut_poll_still_unwinds() -> None:
    """The new wait has a poll of its own."""
    starts: list[float] = []

    async def stubborn() -> Snapshot[None]:
        starts.append(now())
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
            raise ConnectionError("of no interest any more") from None
        return Snapshot(SUCCESS)

    async def work(hub: Hub) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await hub.wait(stubborn, timeout=None)
        await hub.wait(stubborn, timeout=None)
        assert (hub.counters.polls, hub.counters.missed) == (2, 0)

    in_hub(work)
    assert starts == [0.0, 10.0]


def test_a_late_waiter_hears_soon() -> None:
    """Whoever joins a wait that pauses for long need not wait for the end of the pause, nor pass its own deadline."""
    script = play(PENDING, PENDING, SUCCESS)

    async def work(hub: Hub) -> None:
        first = asyncio.create_task(hub.wait(script, timeout=None, schedule=Fixed(600.0)))
        await asyncio.sleep(10)
        with pytest.raises(WaitTimeout):
            await hub.wait(script, timeout=5, schedule=Fixed(60.0))
        await hub.wait(script, timeout=None)
        await first

    in_hub(work)
    assert script.polled_at == [0.0, 14.5, 15.5]


def test_a_waiter_told_to_stay_away_beyond_its_deadline_does_not_put_the_others_off() -> None:
    """Who has the time is polled when the server said, not just before the end."""
    script = play(TransportError("later", retry_after=100.0), SUCCESS)

    async def work(hub: Hub) -> Any:
        waits = (hub.wait(script, timeout=limit) for limit in (50.0, 1000.0))
        return await asyncio.gather(*waits, return_exceptions=True)

    short, _ = in_hub(work)
    assert short.waited == 50.0
    assert script.polled_at[-1] >= 50.0


def test_waiters_that_come_and_go_leave_nothing_behind() -> None:
    """A job that is awaited for long does not remember who waited for it for a while."""
    script = play(PENDING)

    async def work(hub: Hub) -> None:
        first = asyncio.create_task(hub.wait(script, timeout=None, schedule=Fixed(1000.0)))
        await asyncio.sleep(0)
        for _ in range(20):
            with pytest.raises(WaitTimeout):
                await hub.wait(script, timeout=2)
        engine: Any = hub._engine
        (lead,) = engine._leads
        assert lead.waits == (lead,)
        assert not lead.others
        first.cancel()
        await asyncio.wait((first,))

    in_hub(work)


@pytest.mark.parametrize("answer", [Snapshot[Any](SUCCESS), Rejected("no")])
def test_an_end_may_come_at_the_moment_of_a_cancellation(answer: Any) -> None:
    """Cancelled is cancelled, and the end is nobody's business then."""

    async def work(hub: Hub) -> None:
        gate = asyncio.get_running_loop().create_future()

        async def fetch() -> Snapshot[Any]:
            await gate
            if isinstance(answer, Exception):
                raise answer
            return cast("Snapshot[Any]", answer)

        wait = asyncio.create_task(hub.wait(fetch, timeout=None))
        await asyncio.sleep(1)
        gate.set_result(None)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        assert hub.counters.pending == 0

    in_hub(work)


# a nudge


def test_a_nudge_polls_now() -> None:
    """A webhook need not wait for the schedule; a key that nobody awaits is said to be so."""
    words = iter(["pending", "success"])
    (job,) = jobs_of(transport_of(lambda _: {"state": next(words)}), ["a"])

    async def work(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(job, timeout=None))
        await asyncio.sleep(7)
        assert (hub.nudge(job.key), hub.nudge("nobody")) == (True, False)
        await wait
        assert now() == 7.0
        assert not hub.nudge(job.key)

    in_hub(work, schedule=Fixed(600.0))


def test_a_nudge_while_the_job_is_being_polled_polls_once_more() -> None:
    """The answer that is under way may be older than the reason for the nudge."""
    words = iter(["pending", "success"])
    (job,) = jobs_of(transport_of(lambda _: {"state": next(words)}, latency=2.0), ["a"])

    async def work(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(job, timeout=None))
        await asyncio.sleep(1)
        assert hub.nudge(job.key)
        assert hub.nudge(job.key)
        await wait
        assert now() == 4.0

    in_hub(work, schedule=Fixed(600.0))


def test_a_nudge_does_not_push_through_a_closed_lane() -> None:
    """A server that asked to be left alone is left alone."""
    said = iter([Throttled("slow", status=429, retry_after=30.0), {"state": "success"}])
    (job,) = jobs_of(transport_of(lambda _: next(said)), ["a"])

    async def work(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(job, timeout=None))
        await asyncio.sleep(5)
        for _ in range(3):
            assert hub.nudge(job.key)
        await wait
        assert now() == 30.0

    in_hub(work)


def test_a_nudge_finds_the_jobs_of_every_client() -> None:
    """Two accounts may have jobs with one key; those that are over are forgotten."""
    words = {"state": "pending"}
    jobs = [jobs_of(transport_of(lambda _: words), ["a"])[0] for _ in range(2)]

    async def work(hub: Hub) -> None:
        assert not hub.nudge(jobs[0].key)
        waits = [asyncio.create_task(hub.wait(job, timeout=None)) for job in jobs]
        bare = asyncio.create_task(hub.wait(play(PENDING, SUCCESS), timeout=None))
        await asyncio.sleep(1)
        words["state"] = "success"
        assert not hub.nudge("")
        assert hub.nudge(jobs[0].key)
        await asyncio.wait(waits)
        assert now() == 1.0
        await bare
        engine: Any = hub._engine
        assert engine._leads._by_key == {}

    in_hub(work, schedule=Fixed(600.0))


# limits


@pytest.mark.parametrize("name", ["concurrency", "lane_concurrency"])
@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_polls_are_in_flight_than_that(name: str, limit: int) -> None:
    """In the hub and in a lane."""
    flying = most = 0

    async def fetch() -> Snapshot[None]:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(1)
        flying -= 1
        return Snapshot(SUCCESS)

    fetches: list[Any] = [lambda number=number: fetch() for number in range(10)]  # ten different functions
    in_hub(lambda hub: hub.wait_all(fetches, timeout=None), **{name: limit})
    assert most == limit


@pytest.mark.parametrize("name", ["rate", "lane_rate"])
def test_polls_start_one_at_a_time_at_the_rate(name: str) -> None:
    """First come, first served, and accurate over ten seconds."""
    scripts = [play(SUCCESS) for _ in range(51)]
    in_hub(lambda hub: hub.wait_all(scripts, timeout=None), **{name: 5.0})
    starts = [script.polled_at[0] for script in scripts]
    assert starts == sorted(starts)
    assert starts[-1] == pytest.approx(10.0, rel=0.02)
    assert min(after - before for before, after in itertools.pairwise(starts)) > 0.199


def test_a_wait_in_the_queue_ends_at_its_own_deadline() -> None:
    """A poll that may not start yet does not keep a wait beyond its deadline."""
    scripts = [play(SUCCESS) for _ in range(20)]
    outcomes = in_hub(lambda hub: hub.wait_all(scripts, timeout=5.0), rate=1.0)
    late = [outcome for outcome in outcomes if isinstance(outcome.error, WaitTimeout)]
    assert 13 <= len(late) <= 15
    assert {(outcome.polls, outcome.waited) for outcome in late} == {(0, 5.0)}


# servers in trouble


def test_a_retry_after_parks_its_lane_alone() -> None:
    """Nothing is asked there sooner; other lanes go on."""
    asked: list[float] = []

    def throttling(_request: Request) -> Any:
        asked.append(now())
        return Throttled("slow", status=429, retry_after=30.0) if len(asked) == 1 else {"state": "success"}

    async def work(hub: Hub) -> None:
        calm = jobs_of(transport_of(lambda _: {"state": "success"}), range(3))
        outcomes = await hub.wait_all([*jobs_of(transport_of(throttling), range(4)), *calm], timeout=600)
        assert [outcome.waited for outcome in outcomes[4:]] == [0.0] * 3
        assert (hub.counters.throttled, hub.counters.missed) == (1, 1)

    in_hub(work, lane_concurrency=1)
    assert asked[0] == 0.0
    assert min(asked[1:]) >= 30.0


def test_an_outage_is_probed_and_ends_without_a_burst() -> None:
    """While the server is down one poll at a time is made; afterwards what is overdue is spread over an interval."""
    asked: list[float] = []

    def answer(_request: Request) -> Any:
        asked.append(now())
        return TransportError("refused", kind="connect") if now() < 60 else {"state": "success"}

    jobs = jobs_of(transport_of(answer), range(200))
    outcomes = in_hub(lambda hub: hub.wait_all(jobs, timeout=None), schedule=Fixed(10.0), concurrency=20)
    assert all(outcome.succeeded for outcome in outcomes)
    assert sum(15 <= at < 60 for at in asked) <= 10
    assert max(sum(slot <= at < slot + 1 for at in asked) for slot in range(60, 90)) <= 45


def test_throttling_slows_a_lane_down_and_lets_it_recover() -> None:
    """After a throttling answer the rate is lower for a while, then as before."""
    asked: list[float] = []

    def answer(_request: Request) -> Any:
        asked.append(now())
        return Throttled("slow", status=429) if len(asked) == 50 else {"state": "success"}

    jobs = jobs_of(transport_of(answer), range(600))
    in_hub(lambda hub: hub.wait_all(jobs, timeout=None), lane_rate=20.0)
    at = asked[49]
    assert 12 <= sum(at + 0.1 < when <= at + 1.1 for when in asked) <= 15
    assert sum(at + 14 < when <= at + 15 for when in asked) >= 19


def test_lanes_that_are_told_apart_keep_their_own_pace() -> None:
    """Where each lane may have one poll in flight, two lanes have two."""
    transports = [transport_of(lambda _: {"state": "success"}, latency=1.0) for _ in range(2)]
    jobs = [job for transport in transports for job in jobs_of(transport, range(5))]

    async def work(hub: Hub) -> None:
        await hub.wait_all(jobs, timeout=None)
        assert now() == 5.0

    in_hub(work, lane_concurrency=1)


# bad input and bad times


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
    """What is neither a job nor an async function is a TypeError, before anything else."""
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


def test_a_job_that_cannot_be_grouped_is_refused_and_forgotten() -> None:
    """An endpoint that cannot say what a job is asked about together with is told so, each time anew."""
    group: Group[Any, str] = Group(lambda ref: ref["batch"], lambda _: Request("GET", "/"), lambda *_: {}, size=9)
    transport = transport_of(lambda _: {"state": "success"})
    (job,) = jobs_of(transport, ["no mapping"], evolve(JOBS, group=group))

    async def work(hub: Hub) -> None:
        for _ in range(2):
            with pytest.raises(TypeError, match="indices"):
                await hub.wait(job, timeout=5)
        assert hub.counters.pending == 0

    in_hub(work)


def test_a_job_of_a_closed_client_fails_alone() -> None:
    """That its client is closed is the outcome of its own wait."""
    with pytest.raises(ClientClosed):
        in_hub(lambda hub: hub.wait(play(ClientClosed("the client is closed")), timeout=5))


def test_a_hub_is_used_inside_its_block() -> None:
    """Before and after it is closed, and it is opened once; what it counted stays."""
    hub = Hub()

    async def use() -> None:
        with pytest.raises(ClientClosed, match="inside its block"):
            hub.nudge("x")
        with pytest.raises(ClientClosed, match="inside its block"):
            await hub.wait(play(SUCCESS), timeout=None)

    async def live() -> None:
        await use()
        async with hub:
            await hub.wait(play(SUCCESS), timeout=None)
        await use()
        assert hub.counters.succeeded == 1
        with pytest.raises(ClientClosed, match="once"):
            await hub.__aenter__()

    run_virtual(live())


async def test_a_hub_is_used_in_its_own_event_loop() -> None:
    """In another one, or in none at all, it is closed."""

    async def use(hub: Hub) -> None:
        with pytest.raises(ClientClosed, match="another event loop"):
            await hub.wait(play(SUCCESS), timeout=None)

    def nudge(hub: Hub) -> None:
        with pytest.raises(ClientClosed, match="another event loop"):
            hub.nudge("x")

    async with Hub() as hub:
        await asyncio.to_thread(lambda: asyncio.run(use(hub)))
        await asyncio.to_thread(nudge, hub)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forking with threads is what is at issue
async def test_a_hub_is_used_in_its_own_process() -> None:
    """After a fork it is closed in the child."""
    async with Hub() as hub:
        if (child := os.fork()) == 0:  # pragma: no cover  measured in the parent only
            try:
                hub.nudge("x")
            except ClientClosed:
                os._exit(0)
            os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0


def test_closing_ends_every_wait() -> None:
    """Who still waits when the hub is closed is told so, and the polls are cut."""
    script = play(PENDING, latency=1.0)

    async def main() -> None:
        async with Hub() as hub:
            waits = [asyncio.create_task(hub.wait(script, timeout=None)) for _ in range(3)]
            await asyncio.sleep(0.5)
        assert (hub.counters.pending, hub.counters.in_flight) == (0, 0)
        await asyncio.wait(waits)
        assert all(isinstance(wait.exception(), ClientClosed) for wait in waits)
        assert now() == 0.5

    run_virtual(main())


def test_closing_is_not_held_up_by_a_fetch_that_swallows_its_cancellation() -> None:
    """What it makes of being cut is of no interest any more."""

    async def stubborn() -> Snapshot[None]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return Snapshot(PENDING)

    async def main() -> None:
        async with Hub() as hub:
            wait = asyncio.create_task(hub.wait(stubborn, timeout=None))
            await asyncio.sleep(0.5)
        assert isinstance(wait.exception(), ClientClosed)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert now() == 1.5

    run_virtual(main())


# cancellation


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("latency", [0.0, 0.25])
def test_a_cancel_at_any_await_point_of_a_wait_leaves_nothing(latency: float, moment: Moment) -> None:
    """Cancelled at each await point in turn it ends cancelled, and leaves no task, no wait and no poll."""

    async def wait() -> Snapshot[Any]:
        async with Hub(schedule=EVERY_SECOND) as hub:
            try:
                return await hub.wait(play(PENDING, PENDING, SUCCESS, latency=latency), timeout=60)
            finally:
                assert hub.counters.pending == 0

    *cancelled, finished = cancelled_everywhere(wait, moment=moment, settling=3)
    assert len(cancelled) >= 1
    assert all(run.cancelled for run in cancelled)
    assert finished.result.state is SUCCESS


@pytest.mark.parametrize("steps", range(12))
def test_a_caller_that_is_cancelled_in_the_turn_of_the_answer_is_cancelled(steps: int) -> None:
    """Whichever comes first in one turn of the event loop, nothing goes wrong unseen."""

    async def work(hub: Hub) -> None:
        task = asyncio.create_task(hub.wait(play(SUCCESS, SUCCESS), timeout=60))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.result().state is SUCCESS
        assert hub.counters.pending == 0

    in_hub(work)


class Cancellable:
    """A fetch whose remote job can be cancelled."""

    def __init__(self, script: Script[Any]) -> None:
        self.script = script
        self.cancelled_at: list[float] = []

    async def __call__(self) -> Snapshot[Any]:
        """Poll."""
        return await self.script()

    async def cancel(self) -> None:
        """Cancel the job."""
        self.cancelled_at.append(now())


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


def test_a_job_that_cannot_be_cancelled_is_refused_at_once() -> None:
    """Asked for what its API cannot do, the wait does not begin."""
    script = play(SUCCESS)
    with pytest.raises(ValueError, match="on_abandon"):
        in_hub(lambda hub: hub.wait(script, timeout=5, on_abandon="cancel"))
    assert script.polls == 0


# looking on


def test_events_tell_what_happens() -> None:
    """An observer is told of every poll, change, miss, unknown word and end, by the key of the job."""
    told: list[events.Event] = []
    said = iter([{"state": "pending"}, Throttled("slow"), {"state": "unknown"}, {"state": "success"}])
    (job,) = jobs_of(transport_of(lambda _: next(said)), ["a"])
    in_hub(lambda hub: hub.wait(job, timeout=60), observe=told.append)
    assert [type(event) for event in told] == [
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
    assert {event.key for event in told} == {job.key}


def test_every_wait_that_ends_is_told_of() -> None:
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
            await hub.wait(play(ConnectionError(), Throttled("slow"), Snapshot(PENDING)), timeout=3)
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


@pytest.mark.parametrize("concurrency", [1, 100])
def test_thousands_that_are_due_wait_out_a_parked_server(concurrency: int) -> None:
    """A server that sends everybody away for an hour does not lose a wait, and is then asked at the rate it bears."""
    asked: list[float] = []

    def answer(_: Request) -> Any:
        asked.append(now())
        return Throttled("later", status=429, retry_after=3600.0) if now() < 3600 else {"state": "success"}

    jobs = jobs_of(transport_of(answer, latency=0.125), range(3000))
    outcomes = in_hub(lambda hub: hub.wait_all(jobs, timeout=None), concurrency=concurrency)
    assert all(outcome.succeeded for outcome in outcomes)
    turned_away = sum(at < 3600 for at in asked)
    assert turned_away <= concurrency
    assert len(asked) == 3000 + turned_away


def test_polls_that_take_no_time_let_others_have_their_turn() -> None:
    """Neither latency nor delay: the event loop still comes round."""

    async def work(hub: Hub) -> None:
        async with asyncio.timeout(1.0):
            async with hub.as_completed([play(PENDING) for _ in range(200)], timeout=None, schedule=AtOnce()):
                for _ in range(100):
                    await asyncio.sleep(0)

    in_hub(work)


class AtOnce:
    """No delay at all."""

    def delay(self, _progress: Progress, /) -> float:
        """Return nought."""
        return 0.0


# memory


def test_a_wait_costs_little() -> None:
    """At most 400 bytes each, with the job and its id, and neither a task nor a timer."""
    transport = transport_of(lambda _: {"state": "pending"})
    transport.sent = deque(maxlen=0)  # it remembers requests, which are no part of a wait

    async def work(hub: Hub) -> float:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        jobs = (jobs_of(transport, [f"job-{number:016}"])[0] for number in range(5000))
        async with hub.as_completed(jobs, timeout=3600):
            await asyncio.sleep(45)
            each = (tracemalloc.get_traced_memory()[0] - before) / 5000
            tracemalloc.stop()
            assert len(asyncio.all_tasks()) < 10
            return each

    assert in_hub(work, schedule=Fixed(30.0), chance=random.Random(1).random) <= 400


async def test_arriving_jobs_may_be_awaited_on_a_real_clock() -> None:
    """Nothing in the hub depends on virtual time."""
    async with Hub(schedule=Fixed(0.001)) as hub:
        outcomes = await hub.wait_all(arriving([play(PENDING, SUCCESS) for _ in range(5)]), timeout=60)
    assert all(outcome.succeeded for outcome in outcomes)
