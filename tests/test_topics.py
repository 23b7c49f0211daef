"""What a hub polls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import define

from asyncpoll._endpoint import Endpoint, Group, Job
from asyncpoll._errors import Rejected, Throttled, TransportError
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http.message import Reply, Request
from asyncpoll.testing import MemoryTransport, Script, run_virtual
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting._timeout import Timeout, as_timeout
from asyncpoll.waiting.scheduler.agenda import NEVER
from asyncpoll.waiting.scheduler.topics import Place, Together, Wait

ENDPOINT: Endpoint[str, Any] = Endpoint(
    "v.jobs", ask=lambda ref: Request("GET", f"/jobs/{ref}"), read=lambda _: Snapshot(State.SUCCESS)
)


def nobody() -> Any:
    """Return a sink that is told nothing here."""
    return object()


@define
class Alike:
    """A transport that equals every other of its kind, and cannot be hashed."""

    async def send(self, request: Request, /) -> Reply:
        """Answer nothing."""
        return Reply(200)


def waiting(transport: Any = None, *, seconds: float | None = None) -> Wait:
    """Return a wait for a job that began at second 100."""
    job: Job[Any] = ENDPOINT.job(transport or MemoryTransport(lambda _: Reply(200)), "1")
    return Wait(Policy(timeout=as_timeout(seconds)), 100.0, job, nobody())


def test_a_wait_expires_at_its_deadline() -> None:
    """Alone, a wait expires when its own time is up, if ever; it is neither due nor queued at first."""
    assert waiting(seconds=5).expires_at == 105.0
    assert waiting().expires_at == NEVER
    assert (waiting().due, waiting().queued) == (NEVER, False)


def test_a_shared_job_expires_with_its_first_wait() -> None:
    """Of several waits for a job the first deadline counts, as long as its wait is not over."""
    lead, short, long = waiting(seconds=50), waiting(seconds=5), waiting(seconds=90)
    lead.others = {short.claim: short, long.claim: long}
    assert list(lead.waits) == [lead, short, long]
    assert lead.expires_at == 105.0
    del lead.others[short.claim]
    assert list(lead.waits) == [lead, long]
    assert lead.expires_at == 150.0
    lead.sink = None
    assert list(lead.waits) == [long]
    assert (lead.expires_at, lead.awaited) == (190.0, True)
    del lead.others[long.claim]
    assert (list(lead.waits), lead.expires_at, lead.awaited) == ([], NEVER, False)


def test_a_job_alone_is_awaited_until_its_wait_is_over() -> None:
    """It leads itself, and nobody else."""
    lead = waiting()
    assert (lead.leads, lead.waits, lead.awaited) == ((lead,), (lead,), True)
    lead.sink = None
    assert (lead.waits, lead.awaited) == ((), False)


def test_an_object_is_claimed_once_for_each_sink() -> None:
    """The same job object for the same sink is the same claim; another object or another sink is another."""
    sink, policy, job = nobody(), Policy(), ENDPOINT.job(MemoryTransport(lambda _: Reply(200)), "1")
    claim = Wait(policy, 0.0, job, sink).claim
    assert Wait(policy, 9.0, job, sink).claim == claim
    assert Wait(policy, 0.0, job, nobody()).claim != claim
    assert Wait(policy, 0.0, ENDPOINT.job(job.transport, "1"), sink).claim != claim


def test_a_wait_asks_by_its_fetch() -> None:
    """What is seen is what the fetch returns, or raises."""
    script: Script[Any] = Script([Snapshot[Any](State.PENDING), OSError("down")])
    wait = Wait(Policy(), 0.0, script, nobody())
    assert run_virtual(wait.ask()) == Snapshot(State.PENDING)
    with pytest.raises(OSError, match="down"):
        run_virtual(wait.ask())


def test_a_deadline_may_move() -> None:
    """With clocks for phases the wait expires when that of the present phase runs out."""
    wait = Wait(Policy(timeout=Timeout(pending=10, processing=60)), 100.0, None, nobody())
    assert wait.expires_at == 110.0
    wait.saw(Snapshot(State.PROCESSING), 104.0)
    assert wait.expires_at == 164.0


def test_jobs_of_one_transport_share_a_lane() -> None:
    """The lane is the very transport; another one that takes itself to be equal has a lane of its own."""
    one, other = Alike(), Alike()
    assert one == other
    assert waiting(one).lane == waiting(one).lane
    assert hash(waiting(one).lane) == hash(waiting(one).lane)
    assert waiting(one).lane != waiting(other).lane
    assert Place(one) != one


def test_a_lane_keeps_its_transport() -> None:
    """As long as the lane is known, no other transport can come to have the same identity."""
    transport = Alike()
    assert waiting(transport).lane == Place(transport)
    assert Place(transport).transport is transport


def test_async_functions_share_a_lane() -> None:
    """What has no transport is polled in one lane."""
    one, other = (Wait(Policy(), 0.0, fetch, nobody()) for fetch in (waiting, ENDPOINT.ask))
    assert one.lane == other.lane == Place(None)


def test_a_group_expires_with_its_first_member() -> None:
    """A group has the deadline that comes first among its members; those apart have their own."""
    group = Together("key", Place(None))
    assert (group.key, group.lane, group.due, group.queued) == ("key", Place(None), NEVER, False)
    assert (group.size, group.expires_at, group.awaited) == (0, NEVER, False)
    short, long = waiting(seconds=5), waiting(seconds=90)
    group.members = {short: None, long: None}
    assert (group.size, group.expires_at, group.leads, group.awaited) == (2, 105.0, (short, long), True)
    del group.members[short]
    group.apart.add(short)
    assert (group.size, group.expires_at, group.leads) == (2, 190.0, (long,))


def test_a_group_asks_by_one_call() -> None:
    """All members are asked about at once; who joins meanwhile is too late, and is told apart when it has landed."""

    def read_all(reply: Reply, refs: Sequence[str]) -> dict[str, Snapshot[Any]]:
        return {ref: Snapshot(State.PENDING, reply.json) for ref in refs}

    asking: Group[str, Any] = Group(
        key=len, ask=lambda refs: Request("GET", f"/{','.join(refs)}"), read=read_all, size=9
    )
    end: Endpoint[str, Any] = Endpoint("v.jobs", ask=ENDPOINT.ask, read=ENDPOINT.read, group=asking)
    transport = MemoryTransport(lambda request: Reply(200, request.path), latency=1.0)
    group = Together("key", Place(transport))
    waits = [Wait(Policy(), 0.0, end.job(transport, ref), nobody()) for ref in ("1", "2", "3")]
    group.members = dict.fromkeys(waits[:2])
    assert group.landed() == {}

    async def main() -> dict[Any, Any]:
        asked = asyncio.ensure_future(group.ask())
        await asyncio.sleep(0.5)
        assert group.late is not None
        group.late[waits[2]] = 7.0
        return await asked

    assert run_virtual(main()) == {wait.subject: Snapshot(State.PENDING, "/1,2") for wait in waits[:2]}
    assert (group.landed(), group.late) == ({waits[2]: 7.0}, None)


def test_a_group_falls_back_when_its_call_keeps_failing() -> None:
    """Two failures in a row are one too many; an answer ends the row, and throttling is no reason for more calls."""
    group, passing = Together("key", Place(None)), TransportError("in trouble", status=500)
    seen = [passing, {}, passing, Throttled("slower"), passing, passing, Throttled("slower"), {}, OSError(), OSError()]
    assert [group.fell_back(each) for each in seen] == [False] * 4 + [True, True, False, False, False, True]


@pytest.mark.parametrize("error", [Rejected("no such task", status=404), NotImplementedError(), KeyError("data")])
def test_a_group_falls_back_at_once_when_its_call_cannot_work(error: Exception) -> None:
    """What asking again will not mend is not tried twice."""
    assert Together("key", Place(None)).fell_back(error)


def test_a_wait_is_small() -> None:
    """A wait has slots alone: a million of them must fit."""
    assert not hasattr(waiting(), "__dict__")
    assert not hasattr(Together("key", Place(None)), "__dict__")


def test_a_group_of_one_asks_by_the_call_of_its_job() -> None:
    """It brings the result, too; where it fails, nothing else is tried."""
    transport = MemoryTransport(lambda request: Reply(200, request.path))
    group = Together("key", Place(transport))
    lead = Wait(Policy(), 0.0, ENDPOINT.job(transport, "1"), nobody())
    group.members = {lead: None}
    assert run_virtual(group.ask()) == {lead.subject: run_virtual(lead.ask())}
    assert not group.fell_back(OSError())
    assert not group.fell_back(OSError())
