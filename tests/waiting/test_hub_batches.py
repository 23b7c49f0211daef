"""Jobs that an API can be asked about together: which ones are, when, and what if that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hub_kit import (
    JOBS,
    SUCCESS,
    Batch,
    Host,
    ends_of,
    in_hub,
    jobs_of,
    leave,
    transport_of,
    wait_for_a_while,
    waits_for,
)

from asyncpoll import Fixed, Group, Hub, Rejected, Throttled, TransportError, WaitTimeout
from asyncpoll.http import Request

TROUBLE = TransportError("in trouble", kind="server", status=500)


# who is asked about together


def test_a_thousand_jobs_cost_a_call_an_interval_and_one_each() -> None:
    """The call about all tells who runs, one of its own brings each result."""
    batch = Batch(lambda number: 5.0 + number % 20, size=1000)
    outcomes = in_hub(lambda hub: hub.wait_all(batch.jobs(*range(1000)), timeout=600), concurrency=1000)
    assert all(outcome.succeeded for outcome in outcomes)
    assert len(batch.alone) == 1000
    assert len(batch.together) <= 30


def test_jobs_of_one_key_are_asked_about_together() -> None:
    """One call for all that share a key, and another one for those that have another."""
    batch = Batch(key=lambda ref: int(ref) % 2)
    wait_for_a_while(0.5, batch.jobs(*range(5)))
    assert batch.together == [(0.0, "0+2+4"), (0.0, "1+3")]


def test_jobs_of_different_clients_are_asked_about_apart() -> None:
    """Each with its own credential."""
    batches = Batch(), Batch()
    wait_for_a_while(0.5, [job for batch in batches for job in batch.jobs(1, 2)])
    assert [batch.together for batch in batches] == [[(0.0, "1+2")]] * 2


def test_a_group_has_a_size() -> None:
    """Jobs beyond the size of a group are polled by another call."""
    batch = Batch(size=3)
    wait_for_a_while(1.5, batch.jobs(*range(7)))
    assert [names for _, names in batch.together] == ["0+1+2", "3+4+5"] * 2
    assert [name for _, name in batch.alone] == ["6"] * 2


def test_a_job_alone_in_its_group_is_asked_on_its_own() -> None:
    """Its own call brings the result, too, and where it fails nothing else is tried."""
    batch = Batch(lambda _: 3.0)
    batch.answer = in_order(TROUBLE, TROUBLE, TROUBLE, SUCCESS)
    wait_for_a_while(9.0, batch.jobs(1))
    assert batch.asked == [(0.0, "1"), (1.0, "1"), (2.0, "1"), (3.0, "1")]


def test_a_job_awaited_by_many_is_asked_about_once() -> None:
    """In a call about several as in one of its own."""
    batch = Batch(lambda _: 0.5)
    wait_for_a_while(9.0, batch.jobs(1, 1, 2, 1))
    assert batch.asked == [(0.0, "+1+2"), (1.0, "+1+2"), (1.0, "1"), (1.0, "2")]


def in_order(*said: Any) -> Callable[[str], Any]:
    """Return an answer that says one thing after the other, and the last for ever."""
    words = list(said)
    return lambda _: words.pop(0) if len(words) > 1 else words[0]


# who joins


def test_a_new_job_has_the_call_made_sooner() -> None:
    """Whoever comes is polled at once, and the others with it; they keep one rhythm from then on."""
    batch = Batch()

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, batch.jobs(0, 1))
        await asyncio.sleep(4)
        waits += waits_for(hub, batch.jobs(2))
        await asyncio.sleep(1)
        waits += waits_for(hub, batch.jobs(3), first_delay=60.0)
        await asyncio.sleep(16)
        await leave(waits)

    in_hub(work, schedule=Fixed(10.0))
    assert batch.asked == [(0.0, "+0+1"), (4.0, "+0+1+2"), (14.0, "+0+1+2+3")]


def test_a_job_that_joins_during_the_call_comes_too_late() -> None:
    """It is asked about once the call has been made and it is due, and not by a call of its own meanwhile."""
    batches = Batch(latency=2.0), Batch(latency=2.0)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [job for batch in batches for job in batch.jobs(0, 1)])
        await asyncio.sleep(1)
        waits += waits_for(hub, batches[0].jobs(2)) + waits_for(hub, batches[1].jobs(2), first_delay=3.0)
        await asyncio.sleep(5.5)
        await leave(waits)

    in_hub(work, schedule=Fixed(5.0))
    assert [batch.asked for batch in batches] == [[(0.0, "+0+1"), (at, "+0+1+2")] for at in (2.0, 4.0)]


@pytest.mark.parametrize(("timeout", "asked_at"), [(0.75, [0.0, 0.925, 4.425]), (50.0, [0.0, 3.25])])
def test_waits_of_a_job_that_joins_during_the_call(timeout: float, asked_at: list[float]) -> None:
    """The next call is made when the first of them wants it, which is no later than just before its deadline."""
    batch = Batch(latency=0.5)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, batch.jobs(0, 1))
        await asyncio.sleep(0.25)
        waits += waits_for(hub, [*batch.jobs(2), *batch.jobs(2)], first_delay=9.0)
        waits += waits_for(hub, batch.jobs(2), timeout=timeout, first_delay=9.0)
        waits += waits_for(hub, batch.jobs(2), schedule=Fixed(3.0))
        await asyncio.sleep(5.0)
        await leave(waits)

    in_hub(work, schedule=Fixed(20.0))
    assert [at for at, _ in batch.together] == pytest.approx(asked_at)


def test_a_job_joins_a_group_in_the_queue() -> None:
    """The place is kept, and so is the deadline of each."""
    batch, busy = Batch(), Host(latency=30.0)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [*busy.jobs("a"), *batch.jobs(0)], timeout=60.0)
        await asyncio.sleep(1)
        waits += waits_for(hub, batch.jobs(1))
        waits += waits_for(hub, batch.jobs(2), timeout=15.0)
        await asyncio.sleep(39)
        assert isinstance(waits[3].exception(), WaitTimeout)
        await leave([*waits[1:3]])

    in_hub(work, concurrency=1)
    assert (busy.times(), batch.asked[0]) == ([0.0], (30.0, "+0+1"))


# who is left out


def test_a_job_that_is_left_out_is_asked_on_its_own() -> None:
    """Whether it has ended or is merely missing; it then comes back to the rhythm of the others."""
    batch = Batch()
    batch.hidden = {"1"}
    wait_for_a_while(3.5, batch.jobs(0, 1, 2))
    assert batch.alone == [(float(second), "1") for second in range(4)]
    assert batch.together == [(float(second), "0+1+2") for second in range(4)]


def test_a_group_keeps_the_places_of_those_apart() -> None:
    """Whoever comes while a job is asked on its own does not take its place."""
    batch = Batch(size=2, latency=1.0)
    batch.hidden = {"0"}

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, batch.jobs(0, 1))
        await asyncio.sleep(1.5)
        waits += waits_for(hub, batch.jobs(2))
        await asyncio.sleep(20)
        await leave(waits)

    in_hub(work, schedule=Fixed(5.0))
    assert {names for _, names in batch.together} <= {"0+1"}
    assert len(batch.together) >= 3
    assert batch.alone.count((1.5, "2")) == 1


def test_when_all_are_left_out_no_call_is_made_meanwhile() -> None:
    """They are asked one by one and come back together."""
    batch = Batch(latency=2.0)
    batch.hidden = {"0", "1"}
    wait_for_a_while(10.5, batch.jobs(0, 1), schedule=Fixed(5.0))
    assert batch.asked == [(0.0, "+0+1"), (2.0, "0"), (2.0, "1"), (9.0, "+0+1")]


# calls that fail


@pytest.mark.parametrize(
    ("trouble", "falls_back_at"),
    [
        ([TROUBLE, TROUBLE], 1.0),
        ([OSError("cut"), TROUBLE], 1.0),
        ([Rejected("no such task", status=404)], 0.0),
        ([NotImplementedError()], 0.0),
        ([KeyError("data")], 0.0),
    ],
    ids=repr,
)
def test_a_call_that_keeps_failing_is_replaced(trouble: list[Exception], falls_back_at: float) -> None:
    """After two failures in a row, or one that will not mend, jobs are asked one by one; then the call is tried."""
    batch = Batch()
    batch.trouble = iter(trouble)
    wait_for_a_while(falls_back_at + 1.5, batch.jobs(*range(3)))
    assert batch.alone == [(falls_back_at, name) for name in "012"]
    assert [at for at, _ in batch.together] == [float(second) for second in range(int(falls_back_at) + 2)]


@pytest.mark.parametrize("trouble", [[TROUBLE, None] * 3, [Throttled("slower", status=429, retry_after=1.0)] * 6])
def test_a_call_that_fails_now_and_then_goes_on(trouble: list[Exception | None]) -> None:
    """One failure is a miss for each job; throttling is no reason to make more calls, an answer ends the row."""
    batch = Batch()
    batch.trouble = iter(trouble)
    ends = in_hub(lambda hub: ends_of(waits_for(hub, batch.jobs(0, 1), timeout=20.0)), schedule=Fixed(2.0))
    assert [type(end) for end in ends] == [WaitTimeout] * 2
    assert batch.alone == []
    assert len(batch.together) >= 4


def test_misses_of_a_call_count_for_each_job() -> None:
    """Whoever tolerates none gets the first."""
    batch = Batch()
    batch.trouble = iter([TROUBLE])

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, batch.jobs(0), max_misses=0) + waits_for(hub, batch.jobs(1))
        await asyncio.sleep(2.5)
        assert waits[0].exception() is TROUBLE
        assert hub.counters.missed == 1
        await leave(waits[1:])

    in_hub(work)
    assert batch.asked == [(0.0, "+0+1"), (1.0, "1"), (2.0, "1")]


def test_a_refused_credential_ends_all_jobs_of_a_batch() -> None:
    """It is confirmed by one more call, and no job is asked about by itself."""
    batch = Batch()
    batch.trouble = iter([Rejected("no", kind="credential", status=401) for _ in range(9)])
    ends = in_hub(lambda hub: ends_of(waits_for(hub, batch.jobs(*range(5)))))
    assert [type(end) for end in ends] == [Rejected] * 5
    assert (len(batch.together), batch.alone) == (2, [])


# who leaves, and when


@pytest.mark.parametrize(
    ("latency", "leaves_at", "expected"),
    [
        (0.0, 2.5, ["+0+1+2"]),  # while nothing is to be done
        (2.0, 1.0, ["+0+1+2"]),  # while the call is made
        (2.0, 2.0, ["+0+1+2"]),  # as it ends
        (2.0, 3.0, ["+0+1+2", "0", "1", "2"]),  # while it is asked on its own
    ],
)
def test_jobs_may_leave_in_every_phase(latency: float, leaves_at: float, expected: list[str]) -> None:
    """The others are asked on; when all have left, none is asked about, and what is in flight is cut."""
    alone = expected[1:]

    def batch() -> Batch:
        made = Batch(latency=latency)
        made.hidden = {"0", "1", "2"} if alone else set()
        return made

    async def work(hub: Hub, batch: Batch, leavers: int) -> None:
        waits = waits_for(hub, batch.jobs(*range(3)))
        await asyncio.sleep(leaves_at)
        await leave(waits[:leavers])
        await asyncio.sleep(0)
        assert hub.counters.pending == 3 - leavers
        assert leavers < 3 or batch.in_flight == 0
        await asyncio.sleep(12)
        await leave(waits[leavers:] or waits)

    one, all_of_them = batch(), batch()
    in_hub(lambda hub: work(hub, one, 1), schedule=Fixed(5.0))
    in_hub(lambda hub: work(hub, all_of_them, 3), schedule=Fixed(5.0))
    assert all_of_them.names() == expected
    assert "+1+2" in one.names()


def test_a_group_may_be_left_in_the_queue() -> None:
    """Whoever goes is not asked about; when all have gone the call is not made."""
    batch, gone, busy = Batch(), Batch(), Host(latency=10.0)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [*busy.jobs("a"), *batch.jobs(0, 1, 2), *gone.jobs(0, 1)])
        await asyncio.sleep(1)
        await leave([waits[1], *waits[4:]])
        await asyncio.sleep(9.5)
        await leave(waits[2:4])

    in_hub(work, concurrency=1)
    assert (batch.asked, gone.asked) == ([(10.0, "+1+2")], [])


def test_jobs_that_have_left_may_come_back() -> None:
    """A group that ended begins anew."""
    batch = Batch()

    async def work(hub: Hub) -> None:
        for _ in range(2):
            waits = waits_for(hub, batch.jobs(0, 1))
            await asyncio.sleep(1.5)
            await leave(waits)
            await asyncio.sleep(10)

    in_hub(work)
    assert [at for at, _ in batch.together] == [0.0, 1.0, 11.5, 12.5]


@pytest.mark.parametrize("latency", [0.0, 0.75, 9.0])
def test_each_job_of_a_batch_keeps_its_own_deadline(latency: float) -> None:
    """One that runs out of time, in flight or not, leaves the others alone."""
    batch = Batch(lambda _: 40.0, latency=latency)

    async def work(hub: Hub) -> None:
        limits = (10.0, 20.0, None)
        waits = [
            wait for number, limit in enumerate(limits) for wait in waits_for(hub, batch.jobs(number), timeout=limit)
        ]
        first, second, last = await ends_of(waits)
        assert 9.4 <= first.waited <= 10.0
        assert 19.4 <= second.waited <= 20.0
        assert last.state is SUCCESS

    in_hub(work)


# nudges


def test_a_nudge_has_the_call_made_now() -> None:
    """For all its jobs; in flight it is made once more, and a job on its own is asked again, too."""
    batch = Batch(latency=1.0)

    async def work(hub: Hub) -> None:
        jobs = batch.jobs(0, 1)
        waits = waits_for(hub, jobs)
        await asyncio.sleep(0.5)
        assert hub.nudge(jobs[0].key)
        assert hub.nudge(jobs[1].key)
        await asyncio.sleep(9.5)
        assert hub.nudge(jobs[1].key)
        await asyncio.sleep(9.0)
        await leave(waits)

    in_hub(work, schedule=Fixed(600.0))
    assert batch.asked == [(0.0, "+0+1"), (1.0, "+0+1"), (10.0, "+0+1")]


def test_a_nudge_finds_a_job_that_is_asked_on_its_own() -> None:
    """Its answer may be older than the reason for the nudge, so that it is asked about once more."""
    batch = Batch(latency=1.0)
    batch.hidden = {"1"}

    async def work(hub: Hub) -> None:
        jobs = batch.jobs(0, 1)
        waits = waits_for(hub, jobs)
        await asyncio.sleep(1.5)
        batch.hidden = set()
        assert hub.nudge(jobs[1].key)
        await asyncio.sleep(9.0)
        await leave(waits)

    in_hub(work, schedule=Fixed(600.0))
    assert batch.asked == [(0.0, "+0+1"), (1.0, "1"), (2.0, "+0+1")]


# bad input


def test_a_job_that_cannot_be_grouped_is_refused_and_forgotten() -> None:
    """An endpoint that cannot say which batch a job belongs to gets an error that says so, each time anew."""
    group: Group[Any, str] = Group(lambda ref: ref["batch"], lambda _: Request("GET", "/"), lambda *_: {}, size=9)
    transport = transport_of(lambda _: {"state": "success"})
    (job,) = jobs_of(transport, ["no mapping"], evolve(JOBS, group=group))

    async def work(hub: Hub) -> None:
        for _ in range(2):
            with pytest.raises(TypeError, match="indices"):
                await hub.wait(job, timeout=5)
        assert hub.counters.pending == 0

    in_hub(work)
