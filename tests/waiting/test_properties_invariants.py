"""The invariants of waiting, held over random schedules: every wait ends once and in time, whatever happens."""

from __future__ import annotations

import asyncio
import gc
from random import Random

import pytest
from chaos import Chaos

from asyncpoll import Fixed, Hub, Snapshot, State
from asyncpoll.testing import run_virtual


def sets_of_seeds(number: int, *, each: int) -> list[range]:
    """Return so many seeds, so many to a test."""
    return [range(first, first + each) for first in range(0, number, each)]


def assert_the_invariants_hold(seed: int) -> None:
    """Let the chaos of a seed happen; it sees by itself that every wait ends once and leaves nothing behind."""
    chaos = Chaos.of(seed)
    run_virtual(chaos.run())
    cancelling = max((target.cancels for target in chaos.targets), default=0) > 0
    assert all(late <= (6.0 if cancelling else 0.0) for late in chaos.late), f"seed {seed}: {chaos.late}"
    assert all(target.strangers == 0 for target in chaos.targets), f"seed {seed}: a stranger's context"


@pytest.mark.no_cover
@pytest.mark.parametrize("seeds", sets_of_seeds(10_000, each=500), ids=str)
def test_every_wait_ends_once_and_in_time(seeds: range) -> None:
    """Fetches succeed, miss, raise, return anything and hang; callers join, leave, cancel, nudge and close."""
    for seed in seeds:
        assert_the_invariants_hold(seed)
    gc.collect()  # each of them collects only its youngest garbage


@pytest.mark.slow
@pytest.mark.parametrize("seeds", sets_of_seeds(1_000_000, each=1000), ids=str)
def test_every_wait_ends_once_and_in_time_a_million_times(seeds: range) -> None:
    """The same, for those who have half an hour."""
    for seed in seeds:
        assert_the_invariants_hold(seed)
    gc.collect()


def expected_polls(waits: list[tuple[float, float, float]], until: float) -> list[float]:
    """Return when a job must be polled that is awaited from, until, every so many seconds, by the simplest model."""
    polls: list[float] = []
    due = dict.fromkeys(range(len(waits)), float("inf"))
    joined = set[int]()
    while True:
        moments = [(at, number) for number, (at, _, _) in enumerate(waits) if number not in joined]
        present = {number for number in joined if waits[number][1] > min(due.values(), default=0)}
        soonest = min((due[number] for number in joined), default=float("inf"))
        at, number = min(moments, default=(float("inf"), -1))
        if min(at, soonest) >= until:
            return polls
        if at <= soonest:
            joined.add(number)
            alone = not [other for other in joined - {number} if waits[other][1] > at]
            due[number] = at if alone else at + waits[number][2]
            continue
        present = {one for one in joined if waits[one][1] > soonest}
        for one in joined - present:
            due[one] = float("inf")
        if present and any(due[one] == soonest for one in present):
            polls.append(soonest)
            for one in present:
                due[one] = soonest + waits[one][2]


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(300))
def test_a_shared_poll_comes_when_the_first_wants_it(seed: int) -> None:
    """Each wait keeps its own schedule; the job is polled at the earliest time that any of them wants."""
    chance = Random(seed)
    waits = []
    for _ in range(chance.randint(1, 5)):
        began = chance.randint(0, 400) / 16
        waits.append((began, began + chance.randint(1, 800) / 16 + 1 / 256, chance.randint(1, 160) / 16 + 1 / 128))
    polled_at: list[float] = []

    async def fetch() -> Snapshot[None]:
        polled_at.append(asyncio.get_running_loop().time())
        return Snapshot(State.PROCESSING)

    async def caller(hub: Hub, began: float, left: float, interval: float) -> None:
        await asyncio.sleep(began)
        wait = asyncio.create_task(hub.wait(fetch, timeout=None, schedule=Fixed(interval)))
        await asyncio.sleep(left - began)
        wait.cancel()
        await asyncio.wait({wait})

    async def main() -> None:
        async with Hub() as hub:
            await asyncio.gather(*(caller(hub, *wait) for wait in waits))

    run_virtual(main())
    assert polled_at == pytest.approx(expected_polls(waits, 1000.0))
