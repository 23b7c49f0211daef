"""Which jobs are asked about together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncpoll._endpoint import Endpoint, Group
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http.message import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting._timeout import as_timeout
from asyncpoll.waiting.scheduler.agenda import NEVER
from asyncpoll.waiting.scheduler.groups import Groups
from asyncpoll.waiting.scheduler.lane import Lane
from asyncpoll.waiting.scheduler.poller import Poller
from asyncpoll.waiting.scheduler.topics import Together, Topic, Wait

SIZE = 3
TRANSPORT = MemoryTransport(lambda _: Reply(200))
STATUS = Request("GET", "/jobs", repeatable=True)
ENDPOINT: Endpoint[str, Any] = Endpoint(
    "v.jobs",
    ask=lambda _: STATUS,
    read=lambda _: Snapshot(State.SUCCESS),
    group=Group(key=lambda ref: ref[0], ask=lambda _: STATUS, read=lambda _reply, _refs: {}, size=SIZE),
)


class Desk:
    """Groups, and a record of what was asked about and when."""

    def __init__(self, concurrency: int) -> None:
        self.asked: list[tuple[float, object]] = []
        self.expired: list[tuple[float, Topic]] = []
        self.poller: Poller[Topic] = Poller(
            poll=self.poll,
            expire=lambda topic: self.expired.append((self.poller.now(), topic)),
            concurrency=concurrency,
            rate=math.inf,
            new_lane=lambda: Lane(concurrency=100, rate=math.inf, interval=30.0),
        )
        self.groups = Groups(self.poller)

    async def poll(self, topic: Topic) -> None:
        """Note which jobs were asked about: a tuple of them together, or one alone."""
        refs = tuple(lead.subject.ref for lead in topic.leads)
        self.asked.append((self.poller.now(), refs if isinstance(topic, Together) else refs[0]))

    def waits(self, *refs: str, seconds: float | None = None) -> list[Wait]:
        """Return a wait for each of some jobs."""
        policy, now = Policy(timeout=as_timeout(seconds)), self.poller.now()
        nobody: Any = object()
        return [Wait(policy, now, ENDPOINT.job(TRANSPORT, ref), nobody) for ref in refs]

    def put(self, *leads: Wait, due: float = 0.0) -> None:
        """Have jobs asked about with others."""
        for lead in leads:
            self.groups.put(lead.subject.group_key, lead, due)

    def refs(self) -> list[object]:
        """Return what was asked about, in order."""
        return [refs for _, refs in self.asked]


@asynccontextmanager
async def opened(concurrency: int = 10) -> AsyncGenerator[Desk]:
    """Open a desk."""
    desk = Desk(concurrency)
    yield desk
    await desk.poller.aclose()


async def later(seconds: float = 1.0) -> None:
    """Let time pass."""
    await asyncio.sleep(seconds)


def test_jobs_of_one_key_are_asked_about_together() -> None:
    """One call for all that share a key, and another one for those that have another."""

    async def main() -> None:
        async with opened() as desk:
            desk.put(*desk.waits("a1", "b1", "a2", "b2", "a3"))
            await later()
            assert desk.refs() == [("a1", "a2", "a3"), ("b1", "b2")]

    run_virtual(main())


def test_a_group_has_a_size() -> None:
    """What does not fit into one call makes another group; those apart for a while keep their places."""

    async def main() -> None:
        async with opened() as desk:
            leads = desk.waits("a1", "a2", "a3", "a4")
            desk.put(*leads)
            await later()
            assert desk.refs() == [("a1", "a2", "a3"), ("a4",)]
            desk.groups.part(leads[:1], desk.poller.now())
            desk.put(*desk.waits("a5", "a6", "a7"), due=5.0)
            desk.put(leads[0], due=5.0)
            await later(10)
            assert desk.refs()[2:] == ["a1", ("a4", "a5", "a6"), ("a7",), ("a2", "a3", "a1")]

    run_virtual(main())


def test_the_first_due_time_counts() -> None:
    """A new job has the call made sooner, never later."""

    async def main() -> None:
        async with opened() as desk:
            first, second, third = desk.waits("a1", "a2", "a3")
            desk.put(first, due=20.0)
            desk.put(second, due=10.0)
            desk.put(third, due=30.0)
            await later(60)
            assert desk.asked == [(10.0, ("a1", "a2", "a3"))]

    run_virtual(main())


def test_a_job_that_comes_back_follows_the_rhythm_of_the_others() -> None:
    """Only a group that has no next call, or makes it after the deadline of that job, goes by its due time."""

    async def main() -> None:
        async with opened() as desk:
            first, second = desk.waits("a1", "a2")
            (hurried,) = desk.waits("a3", seconds=15.0)
            for lead in (first, second, hurried):
                lead.polls = 1
            desk.put(first, due=20.0)
            desk.put(second, due=10.0)
            group = desk.groups.of(first)
            assert group is not None
            assert group.due == 20.0
            desk.put(hurried, due=14.0)
            assert group.due == 14.0

    run_virtual(main())


def test_a_group_in_the_queue_stays_there() -> None:
    """A job that joins it changes neither its place nor, unless it runs out sooner, its expiry."""

    async def main() -> None:
        async with opened(concurrency=0) as desk:
            first, slow = desk.waits("a1", "a2", seconds=60.0)
            (hurried,) = desk.waits("a3", seconds=15.0)
            desk.put(first)
            await later()
            group = desk.groups.of(first)
            assert group is not None
            assert (group.queued, group.due) == (True, 60.0)
            desk.put(slow, due=30.0)
            assert (group.queued, group.due) == (True, 60.0)
            desk.put(hurried, due=30.0)
            assert (group.queued, group.due) == (True, 15.0)
            await later(20)
            assert desk.expired == [(15.0, group)]

    run_virtual(main())


def test_joining_a_group_in_the_queue_is_cheap() -> None:
    """Jobs that join it do not have all its deadlines looked at, each time anew."""
    looks = 0
    expires_at: Any = Together.expires_at

    def counted(group: Together) -> float:
        nonlocal looks
        looks += 1
        return float(expires_at.fget(group))

    async def main() -> None:
        async with opened(concurrency=0) as desk:
            first, *others = desk.waits("a1", "a2", "a3", seconds=60.0)
            desk.put(first)
            await later()
            before = looks
            desk.put(*others)
            assert looks == before

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Together, "expires_at", property(counted))
        run_virtual(main())


def test_a_job_that_joins_during_the_call_comes_too_late() -> None:
    """It is noted for the next call, when it is due, and has no call of its own made in between."""

    async def main() -> None:
        async with opened() as desk:
            first, second = desk.waits("a1", "a2")
            desk.put(first)
            group = desk.groups.of(first)
            assert group is not None
            await later()
            group.late = {}
            desk.put(second, due=7.0)
            assert (group.late, group.due) == ({second: 7.0}, NEVER)
            assert desk.groups.of(second) is group

    run_virtual(main())


def test_a_job_may_be_asked_about_on_its_own() -> None:
    """Apart it is no member, and is polled at once; when it comes back it is in its group again."""

    async def main() -> None:
        async with opened() as desk:
            first, second = desk.waits("a1", "a2")
            desk.put(first, second, due=10.0)
            group = desk.groups.of(first)
            assert group is not None
            await later()
            desk.groups.part([second], desk.poller.now())
            assert desk.groups.of(second) is None
            assert (group.leads, group.size) == ((first,), 2)
            await later()
            desk.put(second, due=5.0)
            assert desk.groups.of(second) is group
            await later(20)
            assert desk.asked == [(1.0, "a2"), (5.0, ("a1", "a2"))]

    run_virtual(main())


def test_a_group_without_members_makes_no_call() -> None:
    """When all are apart nothing is asked together; what the group has learnt is kept until they come back."""

    async def main() -> None:
        async with opened() as desk:
            leads = desk.waits("a1", "a2")
            desk.put(*leads, due=5.0)
            group = desk.groups.of(leads[0])
            assert group is not None
            group.failures = 2
            desk.groups.part(group.members, desk.poller.now())
            await later(10)
            assert desk.refs() == ["a1", "a2"]
            desk.put(*leads, due=20.0)
            assert desk.groups.of(leads[1]) is group
            await later(20)
            assert desk.asked[2:] == [(20.0, ("a1", "a2"))]
            assert group.failures == 2

    run_virtual(main())


def test_what_is_over_is_not_asked_about() -> None:
    """A job that left its group while an answer was on its way is not asked about on its own."""

    async def main() -> None:
        async with opened() as desk:
            gone, apart, never = desk.waits("a1", "a2", "a3")
            desk.put(gone, apart, due=50.0)
            desk.groups.forget(gone)
            desk.groups.part([gone, apart, never], 0.0)
            desk.groups.part([apart], 0.0)
            await later()
            assert desk.refs() == ["a2"]

    run_virtual(main())


def test_a_group_whose_members_have_gone_makes_no_call() -> None:
    """Those apart are asked about on their own; the group waits until one comes back."""

    async def main() -> None:
        async with opened() as desk:
            apart, gone = desk.waits("a1", "a2")
            desk.put(apart, gone, due=5.0)
            desk.groups.part([apart], 0.0)
            assert desk.groups.forget(gone) is None
            await later(10)
            assert desk.refs() == ["a1"]
            desk.put(apart, due=15.0)
            await later(10)
            assert desk.asked[1:] == [(15.0, ("a1",))]

    run_virtual(main())


def test_the_last_job_to_go_ends_the_group() -> None:
    """It gives the group back, which makes no call any more and is not remembered, wherever its jobs were."""

    async def main() -> None:
        async with opened() as desk:
            leads = desk.waits("a1", "a2", "a3", "a4")
            desk.put(*leads, due=5.0)
            full, other = desk.groups.of(leads[0]), desk.groups.of(leads[3])
            assert full is not other
            desk.groups.part(leads[:1], 0.0)
            await later()
            assert [desk.groups.forget(lead) for lead in (*leads[:3], leads[0])] == [None, None, full, None]
            await later(10)
            assert desk.refs() == ["a1", ("a4",)]
            assert list(desk.groups._open.values()) == [other]
            assert desk.groups.forget(leads[3]) is other
            assert (desk.groups._open, desk.groups._of) == ({}, {})

    run_virtual(main())
