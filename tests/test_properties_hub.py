"""What must hold in a hub whatever happens: thousands of seeded schedules, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from asyncpoll import (
    BadReply,
    Exponential,
    Fixed,
    Hub,
    Outcome,
    Rejected,
    Schedule,
    Snapshot,
    State,
    Throttled,
    TransportError,
)
from asyncpoll.testing import Script, run_virtual

ENDS = (State.SUCCESS, State.FAILED, State.CANCELLED, State.TIMEOUT, Rejected("no", kind="bad_request", status=400))


class Place:
    """A server, as far as a hub knows it: what jobs share a lane by."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.closed_until = 0.0


class Polled:
    """A job with a random life, that watches over what is done to it."""

    flying = 0
    most = 0

    def __init__(self, chance: random.Random, place: Place) -> None:
        self.transport = place
        self.end = chance.choice(ENDS)
        steps = [self._step(chance) for _ in range(chance.randrange(6))]
        self._script: Script[Any] = Script([*steps, self.end], latency=chance.choice([0.0, 0.1, 0.5, 3.0]))

    @staticmethod
    def _step(chance: random.Random) -> State | Exception:
        steps: dict[State | Exception, int] = {
            State.PENDING: 50,
            State.PROCESSING: 20,
            ConnectionResetError(): 10,
            Throttled("slow", status=429, retry_after=chance.choice([None, 2.0, 5.0])): 7,
            TransportError("trouble", kind="server", status=503): 7,
            BadReply("no JSON"): 6,
        }
        return chance.choices([*steps], [*steps.values()])[0]

    async def __call__(self) -> Snapshot[Any]:
        """Poll."""
        clock = asyncio.get_running_loop().time
        assert clock() >= self.transport.closed_until - 1e-5, "polled before Retry-After had passed"
        self.transport.starts.append(clock())
        Polled.flying += 1
        Polled.most = max(Polled.most, Polled.flying)
        try:
            return await self._script()
        except Throttled as error:
            self.transport.closed_until = max(self.transport.closed_until, clock() + (error.retry_after or 0.0))
            raise
        finally:
            Polled.flying -= 1


async def play(seed: int) -> None:
    """Let one random world take place, and hold it to what must be."""
    chance = random.Random(seed)
    places = [Place() for _ in range(chance.randint(1, 3))]
    jobs = [Polled(chance, chance.choice(places)) for _ in range(chance.randint(1, 50))]
    concurrency, rate = chance.choice([1, 1, 3, 10, 100]), chance.choice([None, None, 5.0, 50.0])
    timeout = chance.choice([20.0, 60.0, 300.0])
    Polled.flying = Polled.most = 0
    outcomes: list[Outcome[Any]] = []
    schedules: list[Schedule] = [Fixed(1.0), Exponential(0.5, 8.0)]
    pace: dict[str, Any] = {"schedule": chance.choice(schedules), "rate": rate, "chance": chance.random}
    # One poll at a time in a lane, because Retry-After is watched: what has started cannot be called back.
    async with Hub(concurrency=concurrency, lane_concurrency=1, **pace) as hub:
        async with hub.as_completed(jobs, timeout=timeout) as run:
            async for outcome in run:
                outcomes.append(outcome)
                assert hub.counters.in_flight <= concurrency
        assert (hub.counters.pending, hub.counters.ended) == (0, len(jobs))
    assert sorted(id(outcome.job) for outcome in outcomes) == sorted(map(id, jobs)), "lost, or twice"
    for outcome in outcomes:
        assert outcome.waited <= timeout + 1e-3
        if outcome.error is None:
            assert outcome.snapshot is not None
            assert outcome.snapshot.state is outcome.job.end, "swapped"
    assert Polled.most <= concurrency
    if rate is not None:
        assert all(later - earlier >= 1 / rate - 0.021 for earlier, later in pairwise(sorted(_starts(places))))
    assert asyncio.all_tasks() == {asyncio.current_task()}


def _starts(places: list[Place]) -> Iterator[float]:
    for place in places:
        yield from place.starts


@pytest.mark.parametrize("seed", range(0, 2000, 100))
def test_one_outcome_each_within_all_limits(seed: int) -> None:
    """No outcome is lost, doubled, swapped or late; concurrency, rate and Retry-After hold; nothing is left behind."""
    for number in range(seed, seed + 100):
        run_virtual(play(number))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, 1_000_000, 1000))
def test_a_million_schedules(seed: int) -> None:
    """The same, a million times."""
    for number in range(seed, seed + 1000):
        run_virtual(play(number))
