"""When polls may start."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field

from asyncpoll._errors import Throttled, TransportError
from asyncpoll.testing import VirtualLoop, run_virtual
from asyncpoll.waiting.scheduler.lane import Lane
from asyncpoll.waiting.scheduler.poller import Poller

REFUSED = TransportError("no connection could be made", kind="connect")


@define(eq=False)
class Item:
    """A topic that is polled again and again.

    Attributes:
        name: What it is called in the record.
        lane: Its lane.
        takes: Seconds that each poll takes.
        again: Seconds from the end of a poll to the next, or None for one poll in all.
        says: What its polls return, one after the other; then None.
        expires_at: When it runs out.
        due: See `Topic`.
        queued: See `Topic`.
    """

    name: object
    lane: str = "a"
    takes: float = 0.0
    again: float | None = None
    says: list[BaseException | None] = field(factory=list)
    expires_at: float = math.inf
    due: float = math.inf
    queued: bool = False


class Desk:
    """A poller, and a record of what it did and when."""

    def __init__(
        self,
        *,
        concurrency: int = 10,
        rate: float = math.inf,
        lane_concurrency: int = 1000,
        lane_rate: float = math.inf,
        interval: float = 30.0,
    ) -> None:
        self.polled: list[tuple[float, object]] = []
        self.expired: list[tuple[float, object]] = []
        self.in_flight = self.most_in_flight = self.lanes = 0
        self.options: dict[str, Any] = {"concurrency": lane_concurrency, "rate": lane_rate, "interval": interval}
        self.poller: Poller[Item] = Poller(
            poll=self.poll, expire=self.expire, concurrency=concurrency, rate=rate, new_lane=self.new_lane
        )

    def new_lane(self) -> Lane[Item]:
        """Return a lane."""
        self.lanes += 1
        return Lane(**self.options)

    async def poll(self, item: Item) -> BaseException | None:
        """Poll an item, and put it on again."""
        self.polled.append((self.poller.now(), item.name))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if item.takes:
                await asyncio.sleep(item.takes)
        finally:
            self.in_flight -= 1
        if item.again is not None:
            self.poller.put(item, self.poller.now() + item.again)
        return item.says.pop(0) if item.says else None

    def expire(self, item: Item) -> None:
        """Note that an item was not polled in time."""
        self.expired.append((self.poller.now(), item.name))

    def put(self, items: Iterable[Item], due: float = 0.0) -> None:
        """Have many items polled."""
        for item in items:
            self.poller.put(item, due)

    def names(self) -> list[object]:
        """Return what was polled, in order."""
        return [name for _, name in self.polled]

    def times(self, name: object) -> list[float]:
        """Return when one item was polled."""
        return [time for time, polled in self.polled if polled == name]


@asynccontextmanager
async def opened(**options: Any) -> AsyncGenerator[Desk]:
    """Open a desk, and see that it leaves neither a task nor a timer behind."""
    desk = Desk(**options)
    before = asyncio.all_tasks()
    yield desk
    await desk.poller.aclose()
    assert asyncio.all_tasks() == before
    assert timers() == 0


def timers() -> int:
    """Return how many timers of pollers are set."""
    loop: Any = asyncio.get_running_loop()
    handles = [handle for handle in (*loop._scheduled, *loop._ready) if not handle.cancelled()]
    return sum("Poller._on_time" in repr(handle) for handle in handles)


def polls_of(*items: Item, until: float, due: float = 0.0, **options: Any) -> Desk:
    """Have items polled for so many seconds, and return the record."""

    async def main() -> Desk:
        async with opened(**options) as desk:
            desk.put(items, due)
            await asyncio.sleep(until)
        return desk

    return run_virtual(main())


# when


def test_topics_are_polled_when_they_are_due() -> None:
    """Each at its own time, and again whenever it is put on again."""
    desk = polls_of(Item("now", again=7.25), Item("then", again=10.0), until=30.0)
    assert desk.times("now") == [0.0, 7.25, 14.5, 21.75, 29.0]
    assert desk.times("then") == [0.0, 10.0, 20.0]


def test_a_topic_can_be_moved_and_dropped() -> None:
    """What counts is where it was put last; what is dropped is not polled, be it far from due or queued already."""

    async def main() -> Desk:
        async with opened(concurrency=1) as desk:
            busy, sooner, later, dropped, queued, back = (Item(name) for name in range(6))
            busy.takes = 10.0
            desk.put([busy])
            desk.put([sooner, later, dropped], due=20.0)
            desk.put([queued, back], due=1.0)
            desk.put([sooner], due=15.0)
            desk.put([later], due=25.0)
            desk.poller.drop(dropped)
            await asyncio.sleep(5)
            assert queued.queued
            desk.poller.drop(queued)
            desk.put([back], due=30.0)
            assert not queued.queued
            assert not back.queued
            await asyncio.sleep(30)
        return desk

    assert run_virtual(main()).polled == [(0.0, 0), (15.0, 1), (25.0, 2), (30.0, 5)]


def test_a_topic_can_be_hastened() -> None:
    """It is polled at the given time at the latest, and never later than it was to be."""

    async def main() -> Desk:
        async with opened() as desk:
            sooner, as_ever = Item("sooner"), Item("as ever")
            desk.put([sooner, as_ever], due=20.0)
            desk.poller.hasten(sooner, 10.0)
            desk.poller.hasten(as_ever, 30.0)
            await asyncio.sleep(40)
        return desk

    assert run_virtual(main()).polled == [(10.0, "sooner"), (20.0, "as ever")]


# how many


def test_so_many_polls_are_in_flight_at_most() -> None:
    """Each that ends makes room for the next."""
    desk = polls_of(*(Item(name, takes=2.0) for name in range(25)), until=10.0, concurrency=10)
    assert desk.most_in_flight == 10
    assert Counter(time for time, _ in desk.polled) == {0.0: 10, 2.0: 10, 4.0: 5}
    assert desk.names() == list(range(25))


def test_a_poll_that_was_cut_makes_room() -> None:
    """Even a fetch that is cancelled from within gives its place back; the others go on."""

    async def main() -> Desk:
        async with opened(concurrency=1) as desk:
            desk.put([Item("cut", takes=60.0), Item("next")])
            await asyncio.sleep(1)
            (poll,) = desk.poller._polls
            poll.cancel()
            await asyncio.sleep(1)
        return desk

    assert run_virtual(main()).polled == [(0.0, "cut"), (1.0, "next")]


def test_tasks_exist_only_while_polls_are_in_flight() -> None:
    """Neither a poller that is idle nor a topic that waits has a task; one timer serves any number of topics."""

    async def main() -> None:
        before = asyncio.all_tasks()
        async with opened(concurrency=3, lane_rate=2.0) as desk:
            assert asyncio.all_tasks() == before
            desk.put((Item(name, takes=0.25) for name in range(8)), due=1.0)
            desk.put((Item(name, again=5.0) for name in range(20)), due=30.0)
            most = 0
            for _ in range(600):
                await asyncio.sleep(0.1)
                most = max(most, len(asyncio.all_tasks() - before))
                assert timers() <= 1
            assert 1 <= most <= 3
            assert asyncio.all_tasks() == before
            assert len(desk.polled) > 28

    run_virtual(main())


def test_many_topics_do_not_block_the_loop() -> None:
    """What becomes due at the same time is queued in chunks, with a turn of the event loop in between."""

    async def main() -> None:
        async with opened(concurrency=1, rate=0.001) as desk:
            items = [Item(name) for name in range(3500)]
            desk.put(items, due=5.0)
            await asyncio.sleep(4)
            seen: set[int] = set()
            loop = asyncio.get_running_loop()
            while loop.time() < 5 or len(seen) < 5:
                seen.add(sum(item.queued for item in items))
                await (asyncio.sleep(1) if loop.time() < 5 else asyncio.sleep(0))
            assert max(seen) >= 3499
            assert len([number for number in seen if 0 < number < 3499]) >= 3

    run_virtual(main())


def test_what_never_pauses_lets_others_run() -> None:
    """Polls without latency and without a delay leave turns of the event loop to others."""

    async def main() -> Desk:
        async with opened(concurrency=2) as desk:
            desk.put([Item("restless", again=0.0)])
            for _ in range(100):
                await asyncio.sleep(0)
        return desk

    assert 10 < len(run_virtual(main()).polled) <= 101


# how fast


@pytest.mark.parametrize("limit", ["rate", "lane_rate"])
@pytest.mark.parametrize("rate", [3.0, 30.0, 700.0])
def test_a_rate_is_kept(limit: str, rate: float) -> None:
    """Over ten seconds it is accurate within 2 %, first come first served, one at a time."""
    items = [Item(name, takes=0.05) for name in range(int(12 * rate))]
    desk = polls_of(*items, until=10.0, concurrency=1000, **{limit: rate})
    assert len(desk.polled) == pytest.approx(10 * rate, rel=0.02, abs=1)
    assert desk.names() == list(range(len(desk.polled)))
    times = [time for time, _ in desk.polled]
    assert min(after - before for before, after in itertools.pairwise(times)) > 0.999 / rate


def test_idle_time_gives_no_burst() -> None:
    """After a minute without polls they are as far apart as ever."""

    async def main() -> Desk:
        async with opened(rate=2.0) as desk:
            desk.put([Item("alone")])
            await asyncio.sleep(60)
            desk.put(Item(name) for name in range(5))
            await asyncio.sleep(5)
        return desk

    assert [time for time, _ in run_virtual(main()).polled] == [0.0, 60.0, 60.5, 61.0, 61.5, 62.0]


class LateLoop(VirtualLoop):
    """A loop whose clock is often ahead of its timers, as that of a busy machine is."""

    def time(self) -> float:
        """Return a time up to 30 ms ahead of what the timers go by, in steps."""
        return math.ceil(super().time() / 0.03) * 0.03


def test_late_timers_cost_no_pace() -> None:
    """Timers that fire up to 30 ms late leave the rate as it is; what is made up for is little."""

    async def main() -> Desk:
        async with opened(rate=50.0, concurrency=1000) as desk:
            desk.put(Item(name) for name in range(1000))
            await asyncio.sleep(10)
        return desk

    with asyncio.Runner(loop_factory=LateLoop) as runner:
        desk = runner.run(main())
    assert len(desk.polled) == pytest.approx(500, rel=0.02)
    assert max(Counter(time for time, _ in desk.polled).values()) <= 3


def test_every_topic_has_its_turn() -> None:
    """With more to poll than the rate allows nobody starves: all are polled equally often."""
    desk = polls_of(*(Item(name, again=0.1) for name in range(20)), until=50.0, rate=10.0)
    counts = Counter(desk.names())
    assert max(counts.values()) - min(counts.values()) <= 1
    assert sum(counts.values()) == pytest.approx(500, abs=1)


# lanes


def test_lanes_take_turns() -> None:
    """A lane with hundreds of topics does not make one with three wait for its end."""
    big = [Item(f"big {number}", lane="big") for number in range(500)]
    small = [Item(f"small {number}", lane="small") for number in range(3)]
    desk = polls_of(*big, *small, until=10.0, rate=1.0)
    lanes = [str(name).partition(" ")[0] for name in desk.names()]
    assert lanes == ["big", "small"] * 3 + ["big"] * 4


def test_a_lane_has_its_own_limits() -> None:
    """So many in flight and so many a second hold for each lane, whatever the others do."""
    items = [Item(number, lane="ab"[number % 2], takes=1.0) for number in range(12)]
    full = polls_of(*items, until=10.0, lane_concurrency=2)
    slow = polls_of(*items, until=10.0, lane_rate=0.5)
    assert Counter(time for time, _ in full.polled) == {0.0: 4, 1.0: 4, 2.0: 4}
    assert Counter(time for time, _ in slow.polled) == dict.fromkeys([0.0, 2.0, 4.0, 6.0, 8.0], 2)


def test_a_parked_lane_does_not_hold_up_the_others() -> None:
    """A Retry-After keeps its own lane quiet for as long as it says; what is due there comes afterwards, in order."""
    parked = Item("parked", lane="a", again=5.0, says=[Throttled("slower", status=429, retry_after=60)])
    other = Item("other", lane="b", again=10.0)
    waiting = [Item(name, lane="a") for name in range(3)]

    async def main() -> Desk:
        async with opened(concurrency=2) as desk:
            desk.put([parked, other])
            await asyncio.sleep(10)
            desk.put(waiting)
            await asyncio.sleep(80)
        return desk

    desk = run_virtual(main())
    assert desk.times("other") == [10.0 * number for number in range(9)]
    assert [time for time, name in desk.polled if name != "other"][:2] == [0.0, 60.0]
    assert [name for name in desk.names() if name != "other"][:5] == ["parked", "parked", 0, 1, 2]


def test_throttling_slows_its_lane_down_and_lets_it_recover() -> None:
    """The pace falls to 0.7 of what it was, is no better for a while, and comes back; other lanes keep theirs."""
    throttled = [Item(f"a{number}", lane="a", again=1.0) for number in range(100)]
    others = [Item(f"b{number}", lane="b", again=1.0) for number in range(100)]
    throttled[50].says = [None, None, None, Throttled("slower", status=429)]
    desk = polls_of(*throttled, *others, until=60.0, concurrency=1000)
    by_second = Counter((str(name)[0], int(time)) for time, name in desk.polled)
    assert by_second["a", 2] == 100
    assert [by_second["a", second] for second in (4, 6, 8)] == pytest.approx([75, 85, 95], abs=4)
    assert by_second["a", 50] == pytest.approx(100, abs=4)
    assert {by_second["b", second] for second in range(60)} == {100}


def test_a_server_that_is_down_is_probed() -> None:
    """After five refused connections one poll every five seconds finds out; three good ones open the lane again."""
    items = [Item(number, again=10.0, says=[REFUSED]) for number in range(5)]
    probes = [Item(f"probe {number}", takes=0.5, says=[REFUSED]) for number in range(4)]
    waiting = [Item(f"waiting {number}", takes=0.5) for number in range(300)]

    async def main() -> Desk:
        async with opened(concurrency=100) as desk:
            desk.put(items)
            await asyncio.sleep(1)
            desk.put([*probes, *waiting])
            await asyncio.sleep(70)
        return desk

    desk = run_virtual(main())
    assert [time for time, name in desk.polled if str(name).startswith("probe")] == [5.0, 10.5, 16.0, 21.5]
    back = [time for time, name in desk.polled if str(name).startswith("waiting")]
    assert back[:3] == [27.0, 27.5, 28.0]
    spread = Counter(int(time - 28.5) for time in back[3:])
    assert max(spread.values()) <= 11
    assert set(spread) == set(range(30))


def test_a_lane_can_be_held_for_one_topic() -> None:
    """While a suspicion is being confirmed only its topic is polled, ahead of all; others wait until the release."""

    async def main() -> Desk:
        async with opened(concurrency=10) as desk:
            first, suspect, second, other = Item("first"), Item("suspect"), Item("second"), Item("other", lane="b")
            desk.poller.hold(suspect)
            desk.put([first, second, other])
            desk.poller.hold(second)
            await asyncio.sleep(1)
            assert desk.names() == ["suspect", "other"]
            assert not desk.poller.release(second)
            assert desk.poller.release(suspect)
            await asyncio.sleep(1)
            assert not desk.poller.release(suspect)
            assert not desk.poller.release(Item("stranger", lane="c"))
        return desk

    assert run_virtual(main()).names() == ["suspect", "other", "first", "second"]


def test_a_suspect_is_polled_ahead_of_the_queue() -> None:
    """What is to be confirmed is confirmed at once, however many stand before it."""

    async def main() -> Desk:
        async with opened(concurrency=1, rate=1.0) as desk:
            items = [Item(number) for number in range(5)]
            desk.put(items)
            await asyncio.sleep(0.5)
            desk.poller.hold(items[3])
            await asyncio.sleep(1)
            assert desk.names() == [0, 3]
            assert desk.poller.release(items[3])
            await asyncio.sleep(10)
        return desk

    assert run_virtual(main()).names() == [0, 3, 1, 2, 4]


def test_lanes_that_are_at_rest_are_forgotten() -> None:
    """A poller that meets ever new clients keeps no lane for each; one that was told to stay away is remembered."""

    async def main() -> None:
        async with opened(concurrency=1000) as desk:
            desk.put([Item("parked", lane="parked", says=[Throttled("slower", status=429, retry_after=9000)])])
            for hour in range(5):
                desk.put((Item(name, lane=f"{hour}.{name}") for name in range(500)), due=600.0 * hour)
                await asyncio.sleep(600)
            assert desk.lanes == 2501
            assert len(desk.poller._lanes) <= 1000
            again = Item("parked again", lane="parked")
            desk.put([again])
            await asyncio.sleep(5990)
            assert "parked again" not in desk.names()
            await asyncio.sleep(20)
            assert desk.times("parked again") == [9000.0]

    run_virtual(main())


# expiry


def test_what_stands_in_the_queue_expires_in_time() -> None:
    """Behind a rate, in a parked lane or with every place taken: when its time is up it is told so, and not polled."""

    async def main() -> Desk:
        async with opened(concurrency=2, lane_rate=0.1) as desk:
            desk.put([Item("hangs", lane="a", takes=90.0), Item("parks", lane="b", takes=1.0, says=[parking])])
            desk.put([Item("behind a rate", lane="a", expires_at=5.0), Item("parked", lane="b", expires_at=7.0)])
            await asyncio.sleep(10)
            desk.put([Item("hangs too", lane="c", takes=90.0)])
            desk.put([Item("no place", lane="d", expires_at=15.0)], due=12.0)
            await asyncio.sleep(60)
        return desk

    parking = Throttled("slower", status=429, retry_after=60)
    desk = run_virtual(main())
    assert desk.expired == [(5.0, "behind a rate"), (7.0, "parked"), (15.0, "no place")]
    assert desk.names() == ["hangs", "parks", "hangs too"]


def test_a_deadline_may_move_while_a_topic_is_queued() -> None:
    """A later one is waited for; a sooner one counts from when the topic is hastened, and costs it no place."""

    async def main() -> Desk:
        async with opened(concurrency=1) as desk:
            later, sooner, last = (Item(name, expires_at=20.0) for name in ("later", "sooner", "last"))
            desk.put([Item("busy", takes=50.0), later, sooner, last])
            await asyncio.sleep(1)
            later.expires_at = 30.0
            sooner.expires_at = 10.0
            desk.poller.hasten(sooner, 1.0)
            last.expires_at = math.inf
            await asyncio.sleep(60)
        return desk

    desk = run_virtual(main())
    assert desk.expired == [(10.0, "sooner"), (30.0, "later")]
    assert desk.polled == [(0.0, "busy"), (50.0, "last")]


def test_a_topic_that_expires_may_be_put_on_again() -> None:
    """When somebody else still waits for it, it is polled in its old place."""

    async def main() -> Desk:
        async with opened(concurrency=1) as desk:
            items = [Item(number) for number in range(3)]
            items[0].expires_at = 5.0

            def expire(item: Item) -> None:
                item.expires_at = math.inf
                desk.put([item])

            desk.poller._expire = expire
            desk.put([Item("busy", takes=10.0), *items])
            await asyncio.sleep(20)
        return desk

    assert run_virtual(main()).names() == ["busy", 0, 1, 2]


def test_a_parked_topic_is_told_at_its_deadline() -> None:
    """It is not polled before, unless somebody has it polled after all."""

    async def main() -> Desk:
        async with opened() as desk:
            parked, nudged, endless = Item("parked"), Item("nudged"), Item("endless")
            parked.expires_at = nudged.expires_at = 50.0
            for item in (parked, nudged, endless):
                desk.put([item], due=item.expires_at)
            await asyncio.sleep(10)
            desk.put([nudged])
            await asyncio.sleep(1000)
        return desk

    desk = run_virtual(main())
    assert desk.polled == [(10.0, "nudged")]
    assert desk.expired == [(50.0, "parked")]


def test_what_is_nudged_again_and_again_is_queued_once() -> None:
    """A topic that stands in the queue keeps its one place however often it is put on."""

    async def main() -> Desk:
        async with opened(concurrency=1) as desk:
            busy, nudged, last = Item("busy", takes=10.0), Item("nudged"), Item("last")
            desk.put([busy, nudged, last])
            for _ in range(100):
                await asyncio.sleep(0.05)
                desk.put([nudged], due=desk.poller.now())
            assert len(desk.poller._lane("a").ready) == len(desk.poller._lane("a").ready._entries) == 2
            await asyncio.sleep(10)
        return desk

    assert run_virtual(main()).names() == ["busy", "nudged", "last"]


# timers that fire early


async def odd_times() -> Desk:
    """Have topics polled and expired at times between the ticks of the clock."""
    async with opened(concurrency=1, rate=3.0) as desk:
        desk.put([Item(name, again=1 / 3) for name in range(3)], due=1 + 4e-10)
        desk.put([Item("expires", expires_at=20 + 4.9e-10, lane="b")], due=19.9999)
        desk.poller.hold(Item("holds b", lane="b"))
        await asyncio.sleep(30)
    return desk


class EarlyLoop(VirtualLoop):
    """A loop whose timers fire up to 15 ms early, as on a system with a coarse clock."""

    def __init__(self) -> None:
        super().__init__()
        self._clock_resolution = 0.015


@pytest.mark.parametrize("loop", [VirtualLoop, EarlyLoop])
def test_timers_that_fire_early_are_no_livelock(loop: type[VirtualLoop]) -> None:
    """A timer that fires a tick before its time is taken for its time: the polls come, and nothing spins."""
    looks = 0

    async def main() -> Desk:
        original = Poller._on_time

        def counted(poller: Poller[Item], due: float) -> None:
            nonlocal looks
            looks += 1
            assert looks < 1000
            original(poller, due)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Poller, "_on_time", counted)
            return await odd_times()

    with asyncio.Runner(loop_factory=loop) as runner:
        desk = runner.run(main())
    assert len(desk.polled) == pytest.approx(3 * 29, abs=4)
    assert [name for _, name in desk.expired] == ["expires"]


# the end


def test_closing_cuts_what_is_in_flight() -> None:
    """Polls in flight are cancelled and waited for; what is put on afterwards is not polled, and no timer is set."""

    async def main() -> None:
        desk = Desk(concurrency=2)
        desk.put([Item("cut", takes=60.0), Item("cut too", takes=60.0), Item("queued")])
        desk.put([Item("later")], due=5.0)
        await asyncio.sleep(1)
        await desk.poller.aclose()
        assert desk.in_flight == 0
        assert timers() == 0
        desk.put([Item("too late")])
        await asyncio.sleep(60)
        assert desk.names() == ["cut", "cut too"]
        await desk.poller.aclose()

    run_virtual(main())


def test_a_poll_that_resists_ends_when_it_likes() -> None:
    """Closing waits for a fetch that does not let itself be cancelled, and starts nothing in its place."""

    async def main() -> None:
        desk = Desk(concurrency=1)
        original = desk.poll

        async def stubborn(item: Item) -> BaseException | None:
            try:
                return await original(item)
            except asyncio.CancelledError:
                await asyncio.sleep(3)
                desk.put([item])
                return None

        desk.poller._poll = stubborn
        desk.put([Item("stubborn", takes=60.0), Item("next")])
        await asyncio.sleep(1)
        await desk.poller.aclose()
        assert asyncio.get_running_loop().time() == 4.0
        await asyncio.sleep(60)
        assert desk.names() == ["stubborn"]

    run_virtual(main())


def test_a_poller_that_was_never_used_can_be_closed() -> None:
    """There is nothing to be ended."""

    async def main() -> None:
        async with opened() as desk:
            assert timers() == 0
        assert desk.polled == []

    run_virtual(main())
