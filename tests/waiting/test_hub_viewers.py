"""Watching, fetching and peeking in a hub: many callers share the polls of a job. Draining ends all waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from hub_kit import (
    FAILED,
    PENDING,
    PROCESSING,
    SUCCESS,
    Batch,
    Cancellable,
    Host,
    ends_of,
    in_hub,
    leave,
    now,
    play,
    waits_for,
)

from asyncpoll import ClientClosed, Draining, Fixed, Hub, Rejected, Snapshot, State, Throttled, TransportError
from asyncpoll.events import Began, Called, Ended, Event


async def states(snapshots: AsyncGenerator[Snapshot[Any], None], most: int = 100) -> list[State]:
    """Return the states that a viewer sees, up to so many."""
    seen: list[State] = []
    async with aclosing(snapshots):
        async for snapshot in snapshots:
            seen.append(snapshot.state)
            if len(seen) == most:
                break
    return seen


def life(name: str) -> State:
    """Return the state of a job that is pending for two seconds and takes two more."""
    return PENDING if now() < 2 else PROCESSING if now() < 4 else SUCCESS


# watching


def test_viewers_and_waits_share_the_polls_of_a_job() -> None:
    """Fifty viewers and a wait cost as many requests as one."""
    host = Host(life)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        viewers = [asyncio.create_task(states(hub.watch(job))) for _ in range(50)]
        waits = waits_for(hub, [job])
        for seen in await asyncio.gather(*viewers):
            assert seen == [PENDING, PENDING, PROCESSING, PROCESSING, SUCCESS]
        await asyncio.gather(*waits)
        assert hub.counters.pending == 0

    in_hub(work)
    assert host.times() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_viewer_may_want_changes_only() -> None:
    """Then equal snapshots are left out."""
    (job,) = Host(life).jobs("a")
    assert in_hub(lambda hub: states(hub.watch(job, changes_only=True))) == [PENDING, PROCESSING, SUCCESS]


def test_a_viewer_that_comes_later_sees_at_once_what_is_known() -> None:
    """It need not wait for the next poll, and causes none."""
    host = Host(life)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        waits = waits_for(hub, [job])
        await asyncio.sleep(2.5)
        assert await states(hub.watch(job), most=1) == [PROCESSING]
        assert now() == 2.5
        await asyncio.gather(*waits)

    in_hub(work)
    assert host.times() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_slow_viewer_sees_the_newest_and_delays_no_other() -> None:
    """What it was too slow for is left out; the end is not."""
    host = Host(life)

    async def slowly(hub: Hub, job: Any) -> list[State]:
        seen: list[State] = []
        async for snapshot in hub.watch(job):
            seen.append(snapshot.state)
            await asyncio.sleep(2.5)
        return seen

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        slow = asyncio.create_task(slowly(hub, job))
        assert await states(hub.watch(job)) == [PENDING, PENDING, PROCESSING, PROCESSING, SUCCESS]
        assert now() == 4.0
        assert await slow == [PENDING, PROCESSING, SUCCESS]

    in_hub(work)
    assert len(host.asked) == 5


def test_the_last_viewer_to_leave_ends_the_polling() -> None:
    """One that leaves before changes nothing for the others."""
    host = Host(lambda _: PENDING)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        viewers = [asyncio.create_task(states(hub.watch(job))) for _ in range(3)]
        for viewer in viewers:
            await asyncio.sleep(2.2)
            viewer.cancel()
            await asyncio.wait({viewer})
        await asyncio.sleep(60.0)
        assert hub.counters.pending == 0

    in_hub(work)
    assert host.times()[-1] == 6.0


@pytest.mark.parametrize("end", [Rejected("no"), FAILED], ids=repr)
def test_a_viewer_sees_how_it_ends(end: Any) -> None:
    """An error that ends the wait is raised, after what was seen before; a job that failed is a snapshot."""
    job = play(PENDING, end)

    async def work(hub: Hub) -> list[State]:
        seen: list[State] = []
        try:
            async for snapshot in hub.watch(job):
                seen.append(snapshot.state)  # noqa: PERF401  what came before the error is the point
        except Rejected:
            seen.append(State.UNKNOWN)
        return seen

    assert in_hub(work) == [PENDING, FAILED if end is FAILED else State.UNKNOWN]


def test_a_viewer_that_is_slower_than_the_error_sees_both() -> None:
    """What was seen last comes first, and then the error."""

    async def work(hub: Hub) -> None:
        snapshots = hub.watch(play(PENDING, PROCESSING, Rejected("no")))
        assert (await anext(snapshots)).state is PENDING
        await asyncio.sleep(10.0)
        assert (await anext(snapshots)).state is PROCESSING
        with pytest.raises(Rejected):
            await anext(snapshots)

    in_hub(work)


def test_a_viewer_that_leaves_may_cancel_the_remote_job() -> None:
    """As a wait that is abandoned may, when it is the last one."""
    job = Cancellable(play(PENDING), patience=1.0)
    assert in_hub(lambda hub: states(hub.watch(job, on_abandon="cancel"), most=2)) == [PENDING, PENDING]
    assert job.cancelled_at == [2.0]


def test_jobs_of_a_batch_can_be_viewed() -> None:
    """Calls about many jobs serve viewers, too."""
    batch = Batch(lambda number: 2.0 + number)

    async def work(hub: Hub) -> list[list[State]]:
        return await asyncio.gather(*(states(hub.watch(job, changes_only=True)) for job in batch.jobs(0, 1)))

    assert [seen[-1] for seen in in_hub(work)] == [SUCCESS, SUCCESS]


# fetching


def test_all_who_ask_at_once_share_one_request() -> None:
    """Also those who come while it is under way; the next to come asks anew."""
    host = Host(lambda _: PENDING, latency=1.0)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        first = [asyncio.create_task(hub.fetch(job)) for _ in range(9)]
        await asyncio.sleep(0.5)
        first.append(asyncio.create_task(hub.fetch(job)))
        assert {snapshot.state for snapshot in await asyncio.gather(*first)} == {PENDING}
        await hub.fetch(job)
        assert (hub.counters.polls, hub.counters.pending, hub.counters.ended) == (2, 0, 0)

    in_hub(work)
    assert host.times() == [0.0, 1.0]


def test_an_answer_that_is_young_enough_is_given_again() -> None:
    """For as long as the caller says, without a request, whatever its state."""
    host = Host()

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        for _ in range(4):
            assert (await hub.fetch(job, max_age=2.0)).state is SUCCESS
            await asyncio.sleep(0.9)
        await hub.fetch(job)

    in_hub(work)
    assert host.times() == [0.0, 2.7, 3.6]


def test_what_a_wait_has_seen_is_young_enough_too() -> None:
    """A job that is awaited is polled for it only if that was too long ago, and then for all."""
    host = Host(lambda _: PENDING)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        waits = waits_for(hub, [job])
        await asyncio.sleep(5.0)
        await hub.fetch(job, max_age=5.0)
        await hub.fetch(job, max_age=4.0)
        await asyncio.sleep(9.5)
        await leave(waits)

    in_hub(work, schedule=Fixed(10.0))
    assert host.times() == [0.0, 5.0]


def test_a_fetch_does_not_hold_up_or_end_the_waits() -> None:
    """The job goes on to be polled for those who wait, when they want it."""
    host = Host(life)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        looking = asyncio.create_task(hub.fetch(job))
        await asyncio.sleep(0)
        waits = waits_for(hub, [job])
        assert (await looking).state is PENDING
        assert [end.state for end in await ends_of(waits)] == [SUCCESS]

    in_hub(work)
    assert host.times()[-1] == 4.0


@pytest.mark.parametrize("error", [Throttled("slower"), TransportError("cut"), Rejected("no")], ids=repr)
def test_a_fetch_that_fails_says_so(error: Exception) -> None:
    """A miss, too, is raised; the next fetch asks anew."""
    job = play(error, SUCCESS)

    async def work(hub: Hub) -> None:
        with pytest.raises(type(error)):
            await hub.fetch(job, max_age=9.0)
        assert (await hub.fetch(job, max_age=9.0)).state is SUCCESS

    in_hub(work)


def test_a_fetch_that_is_cancelled_leaves_nothing() -> None:
    """Its poll is cut when nothing else wants it."""

    async def work(hub: Hub) -> None:
        looking = asyncio.create_task(hub.fetch(play(SUCCESS, latency=60.0)))
        await asyncio.sleep(1.0)
        looking.cancel()
        await asyncio.wait({looking})
        assert (hub.counters.in_flight, hub.counters.pending) == (0, 0)

    in_hub(work)


def test_fetches_keep_to_the_rate_of_the_hub() -> None:
    """They take their turn like any poll."""
    host = Host()
    in_hub(lambda hub: asyncio.gather(*(hub.fetch(job) for job in host.jobs(*range(4)))), rate=0.5)
    assert host.times() == [0.0, 2.0, 4.0, 6.0]


def test_a_fetch_is_not_told_as_a_wait() -> None:
    """Observers hear of waits and viewers, which a fetch is not."""
    noted: list[Event] = []

    async def work(hub: Hub) -> None:
        await hub.fetch(play(PENDING))
        assert noted == []
        await states(hub.watch(play(SUCCESS)))

    in_hub(work, observe=[noted.append])
    assert [type(event) for event in noted if isinstance(event, Began | Called | Ended)] == [Began, Called, Ended]


def test_a_hub_keeps_a_limited_number_of_answers() -> None:
    """The oldest goes first."""
    host = Host()

    async def work(hub: Hub) -> None:
        first, *others = host.jobs(*range(1001))
        await hub.fetch(first, max_age=3600.0)
        await asyncio.gather(*(hub.fetch(job, max_age=3600.0) for job in others))
        await hub.fetch(others[-1], max_age=3600.0)
        assert len(host.asked) == 1001
        await hub.fetch(first, max_age=3600.0)
        assert len(host.asked) == 1002

    in_hub(work)


@pytest.mark.parametrize(("age", "error"), [(-1.0, ValueError), (float("nan"), ValueError), ("2", TypeError)])
def test_an_age_that_cannot_be_is_refused(age: Any, error: type[Exception]) -> None:
    """Before any request, and by name."""

    async def work(hub: Hub) -> None:
        with pytest.raises(error, match=r"Hub\.fetch\(\): max_age"):
            await hub.fetch(play(SUCCESS), max_age=age)

    in_hub(work)


# peeking


def test_a_peek_shows_what_was_seen_and_when() -> None:
    """Without a request; nothing is known of a job that is not awaited, or has not been seen yet."""
    host = Host(life, latency=0.5)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("a")
        assert hub.peek(job.key) is None
        waits = waits_for(hub, [job])
        await asyncio.sleep(0.25)
        assert hub.peek(job.key) is None
        await asyncio.sleep(1.0)
        seen = hub.peek(job.key)
        assert seen is not None
        assert (seen.snapshot.state, seen.age) == (PENDING, 0.75)
        await asyncio.gather(*waits)
        assert hub.peek(job.key) is None
        await hub.fetch(job, max_age=9.0)
        await asyncio.sleep(1.0)
        seen = hub.peek(job.key)
        assert seen is not None
        assert (seen.snapshot.state, seen.age) == (SUCCESS, 1.0)

    in_hub(work)


# draining


def test_draining_ends_what_is_open_with_what_was_seen() -> None:
    """Waits, viewers and fetches alike, after the grace; whatever ends within it is not touched."""
    host = Host(life)

    async def work(hub: Hub) -> None:
        quick, slow = host.jobs("a")[0], play(PROCESSING)
        waits = [*waits_for(hub, [quick, slow]), asyncio.create_task(hub.fetch(play(SUCCESS, latency=99.0)))]
        viewer = asyncio.create_task(states(hub.watch(slow)))
        await asyncio.sleep(1.5)
        await hub.drain(grace=10.0)
        assert now() == 11.5
        done, *others = [*await ends_of(waits), *await asyncio.gather(viewer, return_exceptions=True)]
        assert isinstance(done, Snapshot)
        assert [type(end) for end in others] == [Draining] * 3
        assert [getattr(end, "limit", None) for end in others] == ["drained"] * 3
        assert getattr(others[0], "last", None) == Snapshot(PROCESSING, "processing")
        assert hub.counters.pending == 0

    in_hub(work)


def test_draining_is_over_when_all_have_ended() -> None:
    """The grace is a limit, not a pause; a hub without waits is drained at once."""

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, Host(life).jobs("a"))
        await asyncio.sleep(1.0)
        await hub.drain(grace=60.0)
        assert now() == 4.0
        await asyncio.gather(*waits)
        await hub.drain(grace=60.0)
        assert now() == 4.0

    in_hub(work)


def test_a_drained_hub_begins_no_wait() -> None:
    """It says what to do, for every way to wait; after it is closed it says that instead."""

    async def work(hub: Hub) -> Hub:
        await hub.drain()
        for waiting in (hub.wait(play(SUCCESS), timeout=5), hub.fetch(play(SUCCESS)), states(hub.watch(play(SUCCESS)))):
            with pytest.raises(Draining, match="the hub is drained"):
                await waiting
        with pytest.raises(Draining):
            await hub.wait_all([play(SUCCESS)], timeout=5)
        return hub

    hub = in_hub(work)
    with pytest.raises(ClientClosed):
        hub.watch(play(SUCCESS))


def test_a_run_that_is_drained_leaves_its_jobs_unfinished() -> None:
    """It raises `Draining` after the outcomes that had come; no job gets an outcome for it."""

    async def work(hub: Hub) -> None:
        ended: list[Any] = []
        quick = play(SUCCESS)
        async with hub.as_completed([quick, play(PENDING), play(PENDING)], timeout=600) as outcomes:
            draining = asyncio.create_task(hub.drain(grace=5.0))
            ended.append((await anext(outcomes)).job)
            with pytest.raises(Draining):
                await anext(outcomes)
            await draining
        assert ended == [quick]

    in_hub(work)


def test_draining_cancels_jobs_where_that_was_asked_for() -> None:
    """As closing does: nothing waits for them any more."""
    job = Cancellable(play(PENDING))

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [job], on_abandon="cancel")
        await asyncio.sleep(1.0)
        await hub.drain()
        assert [type(end) for end in await ends_of(waits)] == [Draining]

    in_hub(work)
    assert job.cancels == 1
