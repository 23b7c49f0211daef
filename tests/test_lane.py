"""The pace towards one server."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Callable

import pytest
from attrs import define

from asyncpoll._errors import BadReply, ClientClosed, Rejected, Throttled, TransportError, WaitTimeout
from asyncpoll.waiting._decision import LONGEST_HINT
from asyncpoll.waiting.scheduler.lane import PROBE_EVERY, Lane

REFUSED = TransportError("no connection could be made", kind="connect")
BROKEN = TransportError("the server is in trouble", kind="server", status=500)


@define(eq=False)
class Item:
    """Something that may be polled."""

    queued: bool = False


def lane(*, concurrency: int = 100, rate: float = math.inf, interval: float = 30.0, backlog: int = 0) -> Lane[Item]:
    """Return a lane in which so many polls are overdue."""
    made: Lane[Item] = Lane(concurrency=concurrency, rate=rate, interval=interval)
    for _ in range(backlog):
        made.ready.append(Item())
    return made


def poll(towards: Lane[Item], at: float, error: BaseException | None = None) -> None:
    """Make a poll that takes no time."""
    towards.start(at)
    towards.finish(error, at)


def down(**options: int) -> Lane[Item]:
    """Return the lane of a server that refused five connections at second 10."""
    made = lane(**options)
    for _ in range(5):
        poll(made, 10.0, REFUSED)
    return made


# in flight


def test_so_many_polls_are_in_flight_at_most() -> None:
    """A full lane opens when a poll finishes, whatever came of it."""
    busy = lane(concurrency=2)
    busy.start(1.0)
    assert busy.opens_at <= 1.0
    busy.start(1.0)
    assert (busy.in_flight, busy.opens_at) == (2, math.inf)
    busy.finish(asyncio.CancelledError(), 2.0)
    assert busy.in_flight == 1
    assert busy.opens_at <= 2.0


def test_a_rate_keeps_polls_apart() -> None:
    """With a rate of its own a lane opens again after its share of a second."""
    slow = lane(rate=4.0)
    poll(slow, 1.0)
    assert slow.opens_at == 1.25


def test_what_is_ready_starts_first_come_first_served() -> None:
    """Without a suspect the first in the queue is the next."""
    busy, first, second = lane(), Item(), Item()
    busy.ready.append(first)
    busy.ready.append(second)
    assert [busy.take(), busy.take()] == [first, second]


def test_a_lane_can_be_held_for_a_suspect() -> None:
    """While there is one it alone may start, before all others; until it is ready nothing may."""
    held, suspect = lane(backlog=3), Item()
    held.suspect = suspect
    assert held.opens_at == math.inf
    held.ready.append(suspect)
    assert held.opens_at < math.inf
    assert held.take() is suspect
    assert (len(held.ready), held.opens_at) == (3, math.inf)
    held.suspect = None
    assert held.opens_at < math.inf


# what a server says about its load


def test_throttling_slows_the_lane_down() -> None:
    """An answer that asks for fewer requests makes the next poll wait; without more of them the pace recovers."""
    slowed = lane()
    for _ in range(10):
        slowed.start(5.0)
    slowed.finish(Throttled("slower", status=429), 5.0)
    slowed.start(5.5)
    assert slowed.opens_at == pytest.approx(5.5 + 1 / 7)
    for second in range(6, 30):
        poll(slowed, float(second))
    poll(slowed, 30.0)
    assert slowed.opens_at - 30.0 < 1 / 1000


@pytest.mark.parametrize(
    ("error", "parks"),
    [
        (Throttled("slower", status=429, retry_after=7), True),
        (Throttled("slower", status=200, retry_after=7), True),
        (Throttled("left alone for 7 s more", retry_after=7), True),
        (TransportError("maintenance", kind="server", status=503, retry_after=7), True),
        (Throttled("slower", status=429), False),
        (Rejected("no such job", kind="not_found", status=404, retry_after=7), False),
        (TransportError("in trouble", kind="server", status=500, retry_after=7), False),
        (TransportError("busy", kind="conflict", status=409, retry_after=7), False),
    ],
)
def test_a_hint_about_the_server_parks_the_lane(error: TransportError, parks: bool) -> None:  # noqa: FBT001  a case
    """A Retry-After parks the lane when it speaks for the server: when it throttles, or with a 429 or a 503."""
    parked = lane()
    poll(parked, 10.0, error)
    assert (parked.opens_at == 17.0) is parks


def test_the_furthest_hint_counts() -> None:
    """Of several that were on their way together the one that leads furthest is obeyed, for a day at most."""
    parked = lane()
    for _ in range(3):
        parked.start(10.0)
    for wait in (9, 3):
        parked.finish(Throttled("slower", status=429, retry_after=wait), 10.0)
    assert parked.opens_at == 19.0
    parked.finish(Throttled("slower", status=429, retry_after=999_999_999), 10.0)
    assert parked.opens_at == 10.0 + LONGEST_HINT


def test_what_a_parked_lane_owes_is_spread() -> None:
    """When the time has come, the polls that have become overdue start over one interval."""
    parked = lane(backlog=299)
    poll(parked, 10.0, TransportError("maintenance", kind="server", status=503, retry_after=60))
    parked.start(70.0)
    assert parked.opens_at == pytest.approx(70.0 + 30 / 299)
    parked.start(parked.opens_at)
    assert parked.opens_at == pytest.approx(70.0 + 2 * 30 / 299)


# outages


@pytest.mark.parametrize(
    ("error", "enough"),
    [
        (REFUSED, 5),
        (TransportError("no such host", kind="dns"), 5),
        (ConnectionRefusedError(), 5),
        (BROKEN, 20),
        (TransportError("cut", kind="disconnect"), 20),
        (TransportError("late", kind="timeout"), 20),
        (TimeoutError(), 20),
    ],
)
def test_failures_in_a_row_make_an_outage(error: Exception, enough: int) -> None:
    """It takes five refused connections, or twenty failures of a server that is there."""
    troubled = lane()
    for _ in range(enough - 1):
        poll(troubled, 10.0, error)
    assert not troubled.probing
    poll(troubled, 10.0, error)
    assert troubled.probing
    assert troubled.opens_at == 10.0 + PROBE_EVERY


@pytest.mark.parametrize(
    "error",
    [
        Throttled("left alone for 7 s more"),
        TransportError("out of files", kind="local"),
        OSError(errno.EMFILE, "too many open files"),
        BadReply("not HTTP", kind="protocol"),
        WaitTimeout(None, waited=1.0, polls=1),
        ClientClosed("closed"),
        ValueError("a fault in the caller's own code"),
        asyncio.CancelledError(),
    ],
)
def test_what_says_nothing_about_the_server_changes_nothing(error: BaseException) -> None:
    """Polls that were cut, and faults of this side, are neither signs of trouble nor signs of life."""
    troubled, healthy, probing = lane(), lane(), down()
    for _ in range(4):
        poll(troubled, 10.0, REFUSED)
    for _ in range(100):
        poll(troubled, 10.0, error)
        poll(healthy, 10.0, error)
        poll(probing, 20.0, error)
    poll(troubled, 10.0, REFUSED)
    assert troubled.probing
    assert not healthy.probing
    assert probing.probing


@pytest.mark.parametrize(
    "error",
    [
        None,
        Rejected("no such job", kind="not_found", status=404),
        Throttled("slower", status=429),
        BadReply("no JSON", status=200),
        TransportError("busy", kind="conflict", status=409),
    ],
)
def test_every_answer_is_a_sign_of_life(error: Exception | None) -> None:
    """A server that answers is there, be it to refuse: it ends a row of failures, and three of them end an outage."""
    troubled, probing = lane(), down()
    for _ in range(4):
        poll(troubled, 10.0, REFUSED)
        poll(troubled, 10.0, error)
    assert not troubled.probing
    for _ in range(3):
        assert probing.probing
        poll(probing, 20.0, error)
    assert not probing.probing


def test_one_poll_at_a_time_probes() -> None:
    """While a probe is on its way nothing else starts; after one that failed there is a pause, else none."""
    probed = down(concurrency=100)
    assert probed.opens_at == 15.0
    probed.start(15.0)
    assert probed.opens_at == math.inf
    probed.finish(REFUSED, 16.0)
    assert probed.opens_at == 21.0
    poll(probed, 21.0)
    assert probed.opens_at <= 21.0


def test_a_short_interval_is_kept_while_probing() -> None:
    """A schedule that polls every second probes every second."""
    assert down(interval=1).opens_at == 11.0


def test_after_an_outage_what_is_overdue_is_spread() -> None:
    """A hundred thousand overdue polls start over one interval, then the pace goes back to normal."""
    probed = down(backlog=90_000)
    for _ in range(3):
        poll(probed, 15.0)
    started, now = 0, 15.0
    while now < 45.0:
        poll(probed, now)
        started += 1
        now = max(now, probed.opens_at)
    assert started == pytest.approx(90_000, rel=0.01)
    poll(probed, 45.0)
    poll(probed, 46.0)
    assert probed._gate.rate > 2 * 90_000 / 30


def test_a_limit_of_its_own_holds_after_an_outage() -> None:
    """What is overdue never starts faster than the lane's own rate."""
    probed: Lane[Item] = Lane(concurrency=100, rate=0.5, interval=30.0)
    for number in range(8):
        poll(probed, 10.0 + 5 * number, REFUSED if number < 5 else None)
    assert not probed.probing
    assert probed.opens_at == 45.0 + 2.0


# a lane that may be forgotten

CHANGES: list[Callable[[Lane[Item]], None]] = [
    lambda changed: changed.ready.append(Item()),
    lambda changed: changed.start(10.0),
    lambda changed: setattr(changed, "suspect", Item()),
    lambda changed: poll(changed, 10.0, REFUSED),
    lambda changed: poll(changed, 10.0, Throttled("slower")),
    lambda changed: poll(changed, 10.0, TransportError("away", kind="maintenance", status=503, retry_after=60)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_lane_at_rest_remembers_nothing(change: Callable[[Lane[Item]], None]) -> None:
    """A new lane is at rest, and so is one whose polls went well; what is under way or was heard keeps it awake."""
    changed = lane(rate=10.0)
    assert changed.is_at_rest(0.0)
    poll(changed, 9.0)
    assert not changed.is_at_rest(9.0)
    assert changed.is_at_rest(9.1)
    change(changed)
    assert not changed.is_at_rest(20.0)
