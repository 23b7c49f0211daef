"""Properties of a hub with any schedule, any errors and any waits that end early."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hub_world import LATENCY, LONGEST_PARKING, End, Poll, Server, World

from asyncpoll import BadReply, Rejected, Throttled, WaitTimeout
from asyncpoll.testing import run_virtual

TINY = 1e-6  # seconds; more than rounding, less than anything meant
LEAST_RATE = 0.2  # polls a second towards even a server that throttles without end
LAST_CALL = 0.6  # seconds before the deadline in which a poll that was just made was the last one


def sets_of_seeds(number: int, *, each: int) -> list[range]:
    """Return so many seeds, so many to a test."""
    return [range(first, first + each) for first in range(0, number, each)]


def live(seed: int) -> World:
    """Let the world of this seed live; it checks by itself that nothing is left behind."""
    world = World.of(seed)
    run_virtual(world.live())
    return world


def assert_all_is_well(world: World) -> None:
    """Hold a world that has lived to every rule."""
    assert_exactly_one_end_each(world)
    for end in world.ends:
        assert_the_end_is_true(end)
        assert_the_end_is_in_time(world, end)
    assert_limits_are_kept(world)
    for server in world.servers:
        assert_no_poll_is_made_twice_at_once(server)
        assert_the_server_is_left_alone_as_it_asked(server)


def assert_exactly_one_end_each(world: World) -> None:
    """No wait is lost, none ends twice."""
    assert len(world.ends) == world.given


def assert_the_end_is_true(end: End) -> None:
    """A snapshot is about the job asked about and says how it ended; an error is one that can have happened."""
    if end.error is not None:
        assert isinstance(end.error, WaitTimeout | BadReply | Rejected)
    elif end.snapshot is not None:
        life = server_of(end).lives[end.job.ref]
        assert (end.snapshot.state, end.snapshot.value, end.at >= life.done_at) == (life.ending, end.job.ref, True)


def assert_the_end_is_in_time(world: World, end: End) -> None:
    """No wait outlives its deadline, nor ends long before it; when the faults stop, every job soon comes to its end."""
    if end.timeout is not None:
        assert end.at <= end.began + end.timeout + TINY
    if isinstance(end.error, WaitTimeout):
        assert end.timeout is not None
        assert end.at >= end.began + end.timeout - LAST_CALL
    elif end.snapshot is not None:
        done_at = server_of(end).lives[end.job.ref].done_at
        assert end.at <= max(world.calm_at, done_at, end.began) + patience(world)


def patience(world: World) -> float:
    """Return in how many seconds a job must be seen to have ended: two intervals, one cap, and the time in queues."""
    topics = sum(len(server.lives) + 1 for server in world.servers)
    slowest = max(server.slowest for server in world.servers) + LATENCY
    lane = world.options["lane_concurrency"] or math.inf
    in_turn = topics / min(lane, world.options["concurrency"])
    paced = topics / min(world.options["rate"] or math.inf, world.options["lane_rate"] or math.inf)
    slowed = 4 * topics / LEAST_RATE if any(isinstance(poll.fault, Throttled) for poll in all_polls(world)) else 0.0
    return float(2 * world.interval + LONGEST_PARKING + 2 * slowest * (1 + in_turn) + paced + slowed)


def assert_limits_are_kept(world: World) -> None:
    """Never more polls in flight than that, in all and in each lane, and never more a second."""
    options = world.options
    assert world.servers[0].everywhere.most <= options["concurrency"]
    assert all(server.here.most <= (options["lane_concurrency"] or math.inf) for server in world.servers)
    assert_rate(options["rate"], all_polls(world))
    for server in world.servers:
        assert_rate(options["lane_rate"], server.polls)


def assert_rate(rate: float | None, polls: list[Poll]) -> None:
    """Polls start one at a time."""
    starts = sorted(poll.began for poll in polls)
    gaps = [after - before for before, after in pairwise(starts)]
    assert rate is None or all(gap > 1 / rate - TINY for gap in gaps)


def assert_no_poll_is_made_twice_at_once(server: Server) -> None:
    """However many wait for a job, or for one of a group: there is one poll of it at a time."""
    assert all(space.most == 1 for space in server.about.values())


def assert_the_server_is_left_alone_as_it_asked(server: Server) -> None:
    """After a `Retry-After` that speaks for the server no poll starts before that time has passed."""
    for poll in server.polls:
        hint = getattr(poll.fault, "retry_after", None)
        if poll.ended is not None and hint:
            open_again = poll.ended + hint - TINY
            assert not any(poll.ended + TINY < other.began < open_again for other in server.polls)


def server_of(end: End) -> Server:
    """Return the server that was asked."""
    assert isinstance(end.job.transport, Server)
    return end.job.transport


def all_polls(world: World) -> list[Poll]:
    """Return the polls of all servers."""
    return [poll for server in world.servers for poll in server.polls]


@pytest.mark.no_cover
@pytest.mark.parametrize("seeds", sets_of_seeds(2000, each=100), ids=str)
def test_random_schedules(seeds: range) -> None:
    """One outcome each, none swapped, no limit passed, no server pressed, nothing left behind: whatever happens."""
    for seed in seeds:
        assert_all_is_well(live(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", sets_of_seeds(1_000_000, each=10_000), ids=str)
def test_a_million_random_schedules(seeds: range) -> None:
    """The same, for those who have an hour."""
    for seed in seeds:
        assert_all_is_well(live(seed))
