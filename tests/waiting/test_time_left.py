"""When the jobs that are awaited should have ended, from how long such jobs took."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hub_kit import FAILED, PENDING, PROCESSING, SUCCESS, in_hub, jobs_of, leave, play, transport_of, waits_for

from asyncpoll import Fixed, Hub, Learned
from asyncpoll.waiting.learning._survival import SurvivalCurve
from asyncpoll.waiting.scheduler._targets import WaitRegistry

RAMP = SurvivalCurve([0.0, 10.0, 20.0], [1.0, 1.0, 0.0], 15.0, 20.0)


def taught(*durations: tuple[str, float], **options: Any) -> Learned:
    """Return a schedule that has seen some durations of jobs without a key, twenty times."""
    learned = Learned(**options)
    for state, seconds in durations * 20:
        learned.observe(seconds, seconds, state=state)
    learned.survival()
    return learned


@pytest.mark.parametrize(("age", "left"), [(0.0, 19.0), (10.0, 9.0), (19.0, 0.9), (20.0, 20.0), (50.0, 50.0)])
def test_nine_in_ten_jobs_end_within_the_time_left(age: float, left: float) -> None:
    """One beyond the curve is expected to go on as long again."""
    assert RAMP.time_left(age) == pytest.approx(left)


def test_a_schedule_that_has_seen_little_says_nothing() -> None:
    """Of a key of which it has seen too few jobs, or of a state in which it has seen none."""
    assert Learned().time_left(1.0) is None
    learned = taught(("pending", 5.0))
    assert learned.time_left(1.0, state="processing") is None
    pending = learned.time_left(1.0, state="pending")
    assert pending is not None
    assert 3.0 < pending < 8.0


def test_the_queue_comes_before_the_processing() -> None:
    """A job that is pending has both before it; one that has not been seen, too."""
    learned = taught(("pending", 5.0), ("processing", 50.0))
    pending, processing = learned.time_left(0.0, state="pending"), learned.time_left(0.0, state="processing")
    assert pending is not None
    assert processing is not None
    assert 50.0 < processing < 70.0
    assert processing + 5.0 <= pending <= processing + 8.0
    assert learned.time_left(0.0) == pending


def test_the_longest_of_all_jobs_counts() -> None:
    """A deadline that comes before it ends the wait anyway."""

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [play(PROCESSING)])
        await asyncio.sleep(40.0)
        waits += waits_for(hub, [play(PROCESSING)])
        await asyncio.sleep(0.0)
        newest = hub.time_left()
        assert newest is not None
        assert 50.0 < newest < 70.0
        await leave(waits[1:])
        oldest = hub.time_left()
        assert oldest is not None
        assert oldest < newest
        await leave(waits)
        waits = waits_for(hub, [play(PENDING)], timeout=10.0)
        await asyncio.sleep(1.0)
        assert hub.time_left() == pytest.approx(9.0)
        await leave(waits)

    in_hub(work, schedule=taught(("processing", 50.0)))


def test_nothing_is_expected_of_a_schedule_that_learns_nothing() -> None:
    """Nor before the hub is open; a hub that awaits nothing is done."""

    async def work(hub: Hub) -> None:
        assert hub.time_left() == 0.0
        async with hub.as_completed([play(PENDING)], timeout=10.0) as run:
            await asyncio.sleep(1.0)
            assert hub.time_left() is run.time_left() is None

    assert Hub().time_left() is None
    in_hub(work, schedule=Fixed(1.0))


def test_some_of_many_jobs_are_looked_at() -> None:
    """Those that came first, and those that came last, each once."""

    async def work(hub: Hub) -> None:
        assert hub._scheduler is not None
        registry: WaitRegistry = hub._scheduler.registry
        waits = waits_for(hub, jobs_of(transport_of(lambda _: {"state": "pending"}), range(10)))
        await asyncio.sleep(0.1)
        assert {wait.subject.ref for wait in registry.sample(4)} == {0, 1, 8, 9}
        assert len(registry.sample(3)) == 3
        assert len(registry.sample(100)) == len({*registry.sample(100)}) == 10
        await leave(waits)

    in_hub(work)


def test_outcomes_are_counted() -> None:
    """By the hub, in all and by endpoint, and by the run; a wait that is left has none."""

    async def work(hub: Hub) -> None:
        steps = [play(SUCCESS), play(FAILED), play(OSError("cut")), play(PENDING)]
        async with hub.as_completed(steps, timeout=3.0) as run:
            outcomes = [outcome async for outcome in run]
        assert len(outcomes) == run.done == run.total == 4
        assert run.outcomes == hub.counters.outcomes == {"success": 1, "failed": 1, "deadline": 2}
        await leave(waits_for(hub, [play(PENDING)]))
        assert hub.counters.by_endpoint[""].outcomes.total() == 4
        assert run.counters is hub.counters

    in_hub(work)
