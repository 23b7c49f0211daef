"""Jobs that enter a run: in turn, as room allows, from any iterable."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from hub_kit import PENDING, SUCCESS, all_of, arriving, in_hub, now, play

from asyncpoll._schedule import Fixed
from asyncpoll.testing import Script
from asyncpoll.waiting._hub import Hub


@pytest.mark.parametrize("most", [1, 2, 5])
def test_jobs_enter_as_room_allows(most: int) -> None:
    """With `max_pending` no more is taken out of the iterable than that; what has come out makes room."""
    taken = given = held = 0

    async def jobs() -> AsyncIterator[Any]:
        nonlocal taken, held
        for _ in range(9):
            taken += 1
            held = max(held, taken - given)
            yield play(PENDING, SUCCESS)

    async def work(hub: Hub) -> None:
        nonlocal given
        async with hub.as_completed(jobs(), timeout=60, max_pending=most) as outcomes:
            async for _ in outcomes:
                given += 1
                await asyncio.sleep(3)

    in_hub(work)
    assert (given, held) == (9, most)


def test_what_is_polled_at_once_is_polled_apart_thereafter() -> None:
    """A schedule without jitter does not make a burst of the first polls for ever."""
    scripts = [play(PENDING) for _ in range(100)]
    chance = random.Random(1).random

    async def work(hub: Hub) -> None:
        async with hub.as_completed(scripts, timeout=None):
            await asyncio.sleep(150)

    in_hub(work, concurrency=50, random=chance, schedule=Fixed(100.0))
    second = sorted(script.polled_at[1] for script in scripts[:50])
    assert 75 < second[0] < 80
    assert 95 < second[-1] < 100
    assert min(after - before for before, after in itertools.pairwise(second)) > 0


def test_a_source_without_end_can_be_left() -> None:
    """A few jobs enter between two turns of the event loop, so that outcomes come out meanwhile."""

    def jobs() -> Iterator[Script[Any]]:
        while True:
            yield play(SUCCESS)

    async def work(hub: Hub) -> int:
        number = 0
        async with hub.as_completed(jobs(), timeout=None) as outcomes:
            async for _ in outcomes:
                number += 1
                if number == 100:
                    break
        return number

    assert in_hub(work) == 100


def test_jobs_that_come_together_do_not_stay_together() -> None:
    """As many as may be in flight are polled at once, the others over one interval."""
    scripts = [play(SUCCESS) for _ in range(1000)]
    chance = random.Random(1).random
    in_hub(lambda hub: hub.wait_all(scripts, timeout=None), concurrency=10, random=chance, schedule=Fixed(100.0))
    first = sorted(script.polled_at[0] for script in scripts)
    assert first[9] == 0.0
    assert first[10] > 0.0
    assert max(sum(slot <= at < slot + 10 for at in first) for slot in range(0, 100, 10)) < 150


def test_a_first_delay_goes_before_all() -> None:
    """The first polls are spread from then on."""
    scripts = [play(SUCCESS) for _ in range(3)]
    options: dict[str, Any] = {"concurrency": 1, "random": lambda: 0.5, "schedule": Fixed(10.0)}
    in_hub(lambda hub: hub.wait_all(scripts, timeout=None, first_delay=4.0), **options)
    assert [script.polled_at for script in scripts] == [[4.0], [9.0], [9.0]]


def test_an_iterable_that_raises_half_way() -> None:
    """Jobs that have entered are finished, then the error is raised."""
    ended: list[Any] = []

    async def work(hub: Hub) -> None:
        jobs = arriving([play(PENDING, SUCCESS), play(SUCCESS)], then=KeyError("half-way"))
        async with hub.as_completed(jobs, timeout=60) as outcomes:
            async for outcome in outcomes:
                ended.append(outcome)  # noqa: PERF401  what came before the error is the point

    with pytest.raises(KeyError, match="half-way"):
        in_hub(work)
    assert len(ended) == 2


def test_an_iterable_that_raises_after_the_run_was_left() -> None:
    """Who leaves early does not want its error, nor is it reported as one that was never looked at."""

    async def work(hub: Hub) -> None:
        jobs = arriving([play(SUCCESS), play(PENDING)], then=KeyError("half-way"))
        async with hub.as_completed(jobs, timeout=60) as outcomes:
            async for _ in outcomes:
                await asyncio.sleep(1)
                break

    in_hub(work)


def test_what_cannot_be_awaited_ends_the_run_at_last() -> None:
    """A list that holds anything else than jobs is an iterable that fails half-way."""
    thing: Any = object()
    ended: list[Any] = []

    async def work(hub: Hub) -> None:
        async with hub.as_completed([play(PENDING, SUCCESS), thing, play(SUCCESS)], timeout=60) as outcomes:
            async for outcome in outcomes:
                ended.append(outcome)  # noqa: PERF401  what came before the error is the point

    with pytest.raises(TypeError, match="async function"):
        in_hub(work)
    assert len(ended) == 1


@pytest.mark.parametrize("early", [True, False])
def test_an_async_generator_is_closed(early: bool) -> None:  # noqa: FBT001  both ways
    """At the end and when the run is left, so that what it holds open is not left to the garbage collector."""
    closed: list[float] = []

    async def jobs() -> AsyncGenerator[Any, None]:
        try:
            for _ in range(3):
                yield play(SUCCESS)
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(0.25)
            closed.append(now())

    async def work(hub: Hub) -> None:
        async with hub.as_completed(jobs(), timeout=None, max_pending=1) as outcomes:
            async for _ in outcomes:
                if early:
                    break
        assert closed == [0.25 if early else 3.25]

    in_hub(work)


class Arrivals:
    """An async iterable that is not a generator."""

    def __init__(self, jobs: Sequence[Any]) -> None:
        self.jobs = iter(jobs)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self.jobs)
        except StopIteration:
            raise StopAsyncIteration from None


def test_any_async_iterable_will_do() -> None:
    """It need not be a generator."""
    assert len(in_hub(lambda hub: all_of(hub, Arrivals([play(SUCCESS) for _ in range(3)])))) == 3


def test_a_source_that_will_not_stop_is_not_listened_to() -> None:
    """One that swallows its cancellation may give another job; that does not enter."""
    extra = play(SUCCESS)

    async def jobs() -> AsyncIterator[Any]:
        yield play(SUCCESS, latency=1.0)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            yield extra

    async def work(hub: Hub) -> None:
        async with hub.as_completed(jobs(), timeout=None) as outcomes:
            await anext(outcomes)
        await asyncio.sleep(10)
        assert hub.counters.pending == 0

    in_hub(work)
    assert extra.polls == 0


def test_a_source_cancelled_from_within_is_not_at_its_end() -> None:
    """Jobs that never entered must not go missing in silence."""

    async def jobs() -> AsyncIterator[Any]:
        yield play(SUCCESS)
        raise asyncio.CancelledError

    async def work(hub: Hub) -> None:
        with pytest.raises(asyncio.CancelledError):
            await all_of(hub, jobs())

    in_hub(work)
