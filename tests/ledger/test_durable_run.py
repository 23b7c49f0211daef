"""Runs that are remembered: recorded before they are given out, resumed where they were."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hub_kit import arriving, jobs_of, now, transport_of
from ledger_kit import BEGINNING, Faults, in_run, records_of, success

from asyncpoll._endpoint import Job
from asyncpoll._errors import ClientClosed, LedgerError, Rejected
from asyncpoll._schedule import Fixed
from asyncpoll._timeout import Timeout
from asyncpoll.http import Request
from asyncpoll.ledger import Ledger, Reader, Record
from asyncpoll.testing import MemoryTransport, Script, run_virtual
from asyncpoll.waiting._hub import Hub


class Server:
    """An API whose jobs are done after as many seconds as their number, in wall-clock time over all processes.

    Attributes:
        polled: The numbers of the jobs that were asked about.
        ahead: Seconds by which its clock is ahead of the loop's.
    """

    def __init__(self, ahead: float = 0.0) -> None:
        self.polled: list[int] = []
        self.ahead = ahead
        self.transport: MemoryTransport = transport_of(self._answer)

    def jobs(self, count: int) -> list[Job[str]]:
        """Return the jobs numbered from 1 on."""
        return jobs_of(self.transport, range(1, count + 1))

    def _answer(self, request: Request) -> Any:
        number = int(request.path.rpartition("/")[2])
        self.polled.append(number)
        if now() + self.ahead < number:
            return {"state": "pending" if now() + self.ahead < number / 2 else "processing"}
        return {"state": "success", "value": f"result {number}"}


async def all_of(hub: Hub, ledger: Ledger, jobs: Any, *, timeout: Any = 1e6, **options: Any) -> list[Record]:
    """Return the records of a run in the order in which they came."""
    async with hub.run(jobs, ledger=ledger, timeout=timeout, **options) as run:
        return [item.record async for item in run]


# what comes out


def test_every_job_has_a_record(path: Path) -> None:
    """In the order in which they end, with what it took, and each is committed when it is given out."""
    server = Server()

    async def work(hub: Hub, ledger: Ledger) -> list[Record]:
        found: list[Record] = []
        async with hub.run(server.jobs(3), ledger=ledger, timeout=60) as run:
            async for record, _ in run:
                found.append(record)
                assert await asyncio.to_thread(records_of, path) == found
        return found

    found = in_run(path, work)
    assert [(one.seq, one.number, one.ref, one.value, one.polls) for one in found] == [
        (1, 1, 1, "result 1", 2),
        (2, 2, 2, "result 2", 3),
        (3, 3, 3, "result 3", 4),
    ]
    assert [(one.waited, one.running) for one in found] == [(1.0, 0.0), (2.0, 1.0), (3.0, 2.0)]
    assert [one.began_at for one in found] == [BEGINNING] * 3
    assert all(BEGINNING + one.waited <= one.ended_at <= BEGINNING + one.waited + 0.2 for one in found)


def test_any_kind_of_iterable_will_do(path: Path) -> None:
    """A list, an iterator, an async generator, one that comes slowly, and an empty one."""

    async def slowly(jobs: list[Any]) -> AsyncIterator[Any]:
        for job in jobs:
            await asyncio.sleep(10)
            yield job

    kinds: list[Any] = [lambda jobs: jobs, iter, arriving, slowly]
    for number, kind in enumerate(kinds):

        async def work(hub: Hub, ledger: Ledger, kind: Any = kind) -> list[Record]:
            return await all_of(hub, ledger, kind(Server().jobs(3)))

        found = in_run(path.with_name(str(number)), work)
        assert [record.number for record in found] == [1, 2, 3]
    assert in_run(path, lambda hub, ledger: all_of(hub, ledger, [])) == []


def test_more_jobs_than_a_page_all_come_out(path: Path) -> None:
    """Whatever the number that is waited for at once."""
    server = Server(ahead=1e6)
    found = in_run(path, lambda hub, ledger: all_of(hub, ledger, iter(server.jobs(1300)), max_pending=7))
    assert sorted(record.number for record in found) == list(range(1, 1301))
    assert sorted(server.polled) == list(range(1, 1301))


def test_failures_and_errors_are_outcomes(path: Path) -> None:
    """With what was last seen, and the error in words."""

    def answer(request: Request) -> Any:
        if request.path == "/jobs/bad":
            return {"state": "failed"}
        return Rejected("no such job", kind="unknown_job") if request.path == "/jobs/none" else {"state": "processing"}

    jobs = jobs_of(transport_of(answer), ["bad", "none", "slow"])
    bad, none, slow = in_run(path, lambda hub, ledger: all_of(hub, ledger, jobs, timeout=5))
    assert (bad.state, bad.error) == ("failed", None)
    assert (none.state, none.error, none.reason) == ("unknown", "Rejected", "no such job")
    assert (slow.state, slow.error, slow.polls) == ("processing", "WaitTimeout", 6)
    assert "gave up waiting" in (slow.reason or "")
    with Reader(path) as reader:
        assert reader.counts.by_error == {("made.up", "Rejected"): 1, ("made.up", "WaitTimeout"): 1}


def test_a_job_given_twice_is_waited_for_once(path: Path) -> None:
    """In one run, and when the next one is given it again."""
    server = Server()

    async def work(hub: Hub, ledger: Ledger) -> tuple[int, int, int]:
        async with hub.run([*server.jobs(2), *server.jobs(2)], ledger=ledger, timeout=60) as first:
            count = len([item async for item in first])
        async with hub.run(server.jobs(2), ledger=ledger, timeout=60) as second:
            assert [item async for item in second] == []
        return count, first.duplicates, second.done_before

    assert in_run(path, work) == (2, 2, 2)
    assert server.polled.count(1) == 2


def test_a_run_can_end_at_the_first_success(path: Path) -> None:
    """The options of a run are those of any other; the jobs that are left stay unfinished."""
    found = in_run(path, lambda hub, ledger: all_of(hub, ledger, Server().jobs(3), until="first_success"))
    assert [record.number for record in found] == [1]
    with Reader(path) as reader:
        assert [entry.number for entry in reader.unfinished()] == [2, 3]


# what is refused


def test_a_run_takes_jobs_only(path: Path) -> None:
    """An async function has no name to be remembered by."""
    script: Script[Any] = Script(["pending"])  # type: ignore[list-item]  # never polled
    with pytest.raises(TypeError, match="takes jobs, not Script"):
        in_run(path, lambda hub, ledger: all_of(hub, ledger, [script]))


def test_what_the_source_raises_comes_last(path: Path) -> None:
    """After the records of all jobs that came before."""
    found: list[Record] = []

    async def work(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(arriving(Server().jobs(3), then=KeyError("source")), ledger=ledger, timeout=60) as run:
            for _ in range(3):
                found.append((await anext(run)).record)  # noqa: PERF401  what comes next is raised
            await anext(run)

    with pytest.raises(KeyError, match="source"):
        in_run(path, work)
    assert len(found) == 3


def test_a_ledger_has_one_run_at_a_time(path: Path) -> None:
    """A second one at the same time is refused, one after the other is fine; so is one outside of a block."""

    async def work(hub: Hub, ledger: Ledger) -> None:
        run = hub.run(Server().jobs(1), ledger=ledger, timeout=60)
        with pytest.raises(RuntimeError, match="inside its block"):
            await anext(run)
        async with run:
            with pytest.raises(RuntimeError, match="one run at a time"):
                await all_of(hub, ledger, [])
        assert await all_of(hub, ledger, []) == []

    in_run(path, work)


def test_a_run_needs_an_open_ledger(path: Path) -> None:
    """Nothing is polled otherwise."""
    server = Server()

    async def main() -> None:
        async with Hub() as hub:
            await all_of(hub, Ledger(path), server.jobs(1))

    with pytest.raises(ClientClosed, match="not open"):
        run_virtual(main())
    assert server.polled == []


def test_a_credential_that_is_refused_ends_the_run(path: Path) -> None:
    """It is raised, and the jobs stay unfinished."""
    transport = transport_of(lambda _: Rejected("the key is refused", kind="credential"))
    with pytest.raises(Rejected, match="the key is refused"):
        in_run(path, lambda hub, ledger: all_of(hub, ledger, jobs_of(transport, range(50))))
    with Reader(path) as reader:
        assert (reader.counts.outcomes, len(list(reader.unfinished()))) == (0, 50)


# resuming


class Crash(BaseException):
    """The process is no more."""


def crashed(path: Path, server: Server, seconds: float, jobs: int, **options: Any) -> None:
    """Run until something happens to the process after so many seconds."""

    async def work(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(server.jobs(jobs), ledger=ledger, timeout=1e6, **options) as run:
            async with asyncio.timeout(seconds):
                async for _ in run:
                    pass

    with pytest.raises(TimeoutError):
        in_run(path, work)


def test_finished_jobs_are_not_polled_again(path: Path) -> None:
    """A run that goes on polls what is unfinished, and gives out what is new."""
    server = Server()
    crashed(path, server, 3.6, 6)
    later = Server(ahead=100.0)
    found = in_run(path, lambda hub, ledger: all_of(hub, ledger, later.jobs(6)), at=100.0)
    assert [record.number for record in found] == [4, 5, 6]
    assert sorted(later.polled) == [4, 5, 6]
    with Reader(path) as reader:
        assert (reader.counts.outcomes, reader.check()) == (6, [])


def test_polls_and_time_go_on_counting(path: Path) -> None:
    """Over both processes, without the time in between."""
    server = Server()
    crashed(path, server, 3.5, 6)
    later = Server(ahead=1000.0)
    found = in_run(path, lambda hub, ledger: all_of(hub, ledger, later.jobs(6)), at=1000.0)
    assert [record.polls for record in found] == [5, 5, 5]
    assert [record.waited for record in found] == pytest.approx([3.5] * 3, abs=0.2)


def test_a_deadline_counts_what_was_waited_before(path: Path) -> None:
    """A job that had waited for 4 seconds of its 10 has 6 left, and one that is new has all of them."""
    server = Server()
    crashed(path, server, 4.0, 1000, schedule=Fixed(2.0))

    async def rest(hub: Hub, ledger: Ledger) -> list[Record]:
        jobs = Server(ahead=-1e9).jobs(1001)
        return await all_of(hub, ledger, [jobs[998], jobs[1000]], timeout=10)

    found = [record for record in in_run(path, rest, at=50_000.0) if record.number > 990]
    assert [(record.number, record.error) for record in found] == [(999, "WaitTimeout"), (1001, "WaitTimeout")]
    assert [round(record.ended_at - BEGINNING - 50_000) for record in found] == [6, 10]
    assert [round(record.waited) for record in found] == [10, 10]


def test_a_clock_of_a_phase_goes_on_where_it_stopped(path: Path) -> None:
    """Time in the server's queue does not spend the budget for processing, in no process."""
    server = Server()
    crashed(path, server, 8.0, 10)

    def stays(request: Request) -> Any:
        return {"state": "processing"}

    async def rest(hub: Hub, ledger: Ledger) -> list[Record]:
        jobs = jobs_of(transport_of(stays), [10])
        return await all_of(hub, ledger, jobs, timeout=Timeout(processing=20.0))

    *_, record = in_run(path, rest, at=500.0)
    assert record.error == "WaitTimeout"
    assert record.waited == pytest.approx(25.0, abs=1.0)  # pending until 5


def test_what_was_recorded_but_not_acknowledged_comes_first(path: Path) -> None:
    """A consumer that fails on the third has dealt with two; the next run begins with the third."""
    server = Server()

    async def failing(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(server.jobs(5), ledger=ledger, timeout=60) as run:
            async for record, _ in run:
                if record.number == 3:
                    raise KeyError(record.number)

    async def late(hub: Hub, ledger: Ledger) -> tuple[int, list[int]]:
        acknowledged = await ledger.position("run")
        return acknowledged, [record.number for record in await all_of(hub, ledger, server.jobs(5))]

    with pytest.raises(KeyError):
        in_run(path, failing)
    assert in_run(path, late) == (2, [3, 4, 5])
    assert in_run(path, late) == (5, [])


def test_many_that_were_not_acknowledged_come_in_pages(path: Path) -> None:
    """In the order of recording, and each once."""
    server = Server(ahead=1e6)

    async def left_early(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(server.jobs(1500), ledger=ledger, timeout=60) as run:
            await anext(run)
            await asyncio.sleep(60)

    in_run(path, left_early)
    found = in_run(path, lambda hub, ledger: all_of(hub, ledger, server.jobs(1500)))
    assert [record.seq for record in found] == list(range(2, 1501))
    assert len(server.polled) == 1500


def test_leaving_without_an_error_acknowledges_the_last(path: Path) -> None:
    """A block that is left early has dealt with what it was given."""

    async def first_two(hub: Hub, ledger: Ledger) -> int:
        async with hub.run(Server().jobs(5), ledger=ledger, timeout=60) as run:
            await anext(run)
            await anext(run)
        return await ledger.position("run")

    assert in_run(path, first_two) == 2


def test_what_has_come_when_the_run_is_left_is_recorded(path: Path) -> None:
    """Also when it is left by a cancellation: answers are not thrown away."""
    server = Server()

    async def cancelled(hub: Hub, ledger: Ledger) -> int:
        async def run() -> None:
            async with hub.run(server.jobs(5), ledger=ledger, timeout=60):
                await asyncio.sleep(2.0)  # both poll and cancellation come at this moment
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await run()
        return ledger.counts.outcomes

    assert in_run(path, cancelled) in (1, 2)
    polls = server.polled.count(2)
    assert len(records_of(path)) == (2 if polls == 3 else 1)


def test_a_consumer_that_is_slow_holds_the_run_back(path: Path) -> None:
    """No more than 2,000 records wait for it; the rest wait in the hub, or are not even taken in."""
    server = Server(ahead=1e6)

    async def slow(hub: Hub, ledger: Ledger) -> tuple[int, int]:
        jobs = server.jobs(3000)
        async with hub.run(jobs, ledger=ledger, timeout=1e6, max_pending=100, schedule=Fixed(0.001)) as run:
            await anext(run)
            await asyncio.sleep(60)
            held = ledger.counts.outcomes
            rest = len([item async for item in run])
        return held, rest

    held, rest = in_run(path, slow)
    assert (2000 <= held <= 2001, rest) == (True, 2999)


def test_a_step_of_the_iteration_may_be_given_up(path: Path) -> None:
    """A timeout around one step loses no record."""

    async def impatient(hub: Hub, ledger: Ledger) -> list[int]:
        found: list[int] = []
        async with hub.run(Server().jobs(3), ledger=ledger, timeout=60) as run:
            while len(found) < 3:
                try:
                    async with asyncio.timeout(0.05):
                        found.append((await anext(run)).record.number)
                except TimeoutError:
                    continue
        return found

    assert in_run(path, impatient) == [1, 2, 3]


# trouble with the disk


def test_a_ledger_that_fails_ends_the_run(path: Path) -> None:
    """At once, also while the run waits for its jobs; nothing is given out that is not recorded."""
    faults = Faults(code=sqlite3.SQLITE_CORRUPT)

    async def work(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(Server().jobs(1000)[500:], ledger=ledger, timeout=1e6) as run:
            await asyncio.sleep(5)
            faults.at, faults.lasting = faults.statements + 1, True
            async for _ in run:
                pass

    with pytest.raises(LedgerError, match="not as it was written"):
        in_run(path, work, connect=faults.connect)
    assert records_of(path) == []


def test_leaving_early_tells_of_a_ledger_that_has_failed(path: Path) -> None:
    """Also when the block itself has no error."""
    faults = Faults(code=sqlite3.SQLITE_CORRUPT)

    async def work(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(Server().jobs(5), ledger=ledger, timeout=1e6) as run:
            await anext(run)
            faults.at, faults.lasting = faults.statements + 1, True

    with pytest.raises(LedgerError, match="not as it was written"):
        in_run(path, work, connect=faults.connect)


def test_leaving_does_not_wait_long_for_the_disk(path: Path) -> None:
    """After some seconds it is the ledger's own end that waits, and commits what is left."""
    faults = Faults(code=sqlite3.SQLITE_FULL)

    async def work(hub: Hub, ledger: Ledger) -> float:
        async with hub.run(Server().jobs(5), ledger=ledger, timeout=1e6) as run:
            await anext(run)
            faults.at, faults.lasting = faults.statements + 1, True
            await asyncio.sleep(3.0)
            left = now()
        took = now() - left
        faults.at = 0
        return took

    assert in_run(path, work, connect=faults.connect) == pytest.approx(5.0, abs=0.2)
    assert [record.number for record in records_of(path)] == [1, 2]


def test_a_run_that_cannot_begin_leaves_room_for_another(path: Path) -> None:
    """Nothing is polled, and the ledger is not taken."""
    server = Server()

    async def work(hub: Hub, ledger: Ledger) -> int:
        run = hub.run(server.jobs(1), ledger=ledger, timeout=60)
        async with run:
            pass
        with pytest.raises(RuntimeError, match="entered once"):
            await run.__aenter__()
        return len(await all_of(hub, ledger, server.jobs(1)))

    assert in_run(path, work) == 1


def test_an_outcome_that_was_recorded_meanwhile_is_not_given_out(path: Path) -> None:
    """The first one stands, whoever recorded it."""

    async def work(hub: Hub, ledger: Ledger) -> list[int]:
        async with hub.run(Server().jobs(3), ledger=ledger, timeout=60) as run:
            await asyncio.sleep(0.5)
            await ledger.record(success(2))
            return [record.number async for record, _ in run]

    assert in_run(path, work) == [1, 3]
    assert [record.number for record in records_of(path)] == [2, 1, 3]


def test_an_error_of_the_consumers_own_is_not_masked(path: Path) -> None:
    """Not by a ledger that has failed as well."""
    faults = Faults(code=sqlite3.SQLITE_CORRUPT)

    async def work(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(Server().jobs(5), ledger=ledger, timeout=1e6) as run:
            async for record, _ in run:
                faults.at, faults.lasting = faults.statements + 1, True
                await asyncio.sleep(1.1)
                raise KeyError(record.number)

    with pytest.raises(KeyError):
        in_run(path, work, connect=faults.connect)


def test_a_run_that_is_left_says_how_far_its_jobs_have_come(path: Path) -> None:
    """Polls, state and time of every unfinished job are noted when the block is left."""
    crashed(path, Server(), 4.0, 12)

    async def look(_hub: Hub, ledger: Ledger) -> list[Any]:
        jobs = [(f"made.up:{json.dumps(number)}", "made.up", number) for number in range(1, 13)]
        return [standing.checkpoint for standing in await ledger.enter(jobs)]

    pasts = [past for past in in_run(path, look, at=99.0) if past is not None]
    assert {(past.polls, str(past.state)) for past in pasts} == {(5, "processing"), (5, "pending")}
    assert {round(past.waited) for past in pasts} == {4}
