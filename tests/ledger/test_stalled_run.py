"""Durable runs that cannot write, whose results cannot be stored, or whose process lacks memory or threads."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from hub_kit import jobs_of, now, transport_of
from ledger_kit import Faults, in_run, records_of

import asyncpoll
from asyncpoll import Endpoint, Hub, Job, Outcome, Snapshot, State
from asyncpoll._errors import LedgerError
from asyncpoll.http import Reply, Request
from asyncpoll.ledger import Ledger, OutcomeInput, Reader, Record, RunItem
from asyncpoll.testing import MemoryTransport


class Server:
    """An API whose jobs end after as many seconds as their number.

    Attributes:
        polled: When it was asked about any job.
    """

    def __init__(self) -> None:
        self.polled: list[float] = []
        self.transport: MemoryTransport = transport_of(self._answer)

    def jobs(self, count: int) -> list[Job[str]]:
        """Return the jobs numbered from 1 on."""
        return jobs_of(self.transport, range(1, count + 1))

    def _answer(self, request: Request) -> Any:
        self.polled.append(now())
        return {"state": "success" if now() >= int(request.path.rpartition("/")[2]) else "processing"}


# a disk that is full


def test_polls_pause_while_the_disk_is_full(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Answers are kept, the cause is told once, and the run goes on when there is room again."""
    server, other, faults = Server(), Server(), Faults(code=sqlite3.SQLITE_FULL)

    async def work(hub: Hub, ledger: Ledger) -> list[Record]:
        alone = asyncio.create_task(hub.wait(other.jobs(100)[-1], timeout=None))
        async with hub.run(server.jobs(20), ledger=ledger, timeout=1e6) as run:
            await asyncio.sleep(5.05)
            assert ledger.stalled is None
            faults.at, faults.lasting = faults.statements + 1, True
            await asyncio.sleep(1.0)
            assert (ledger.stalled is not None, str(path) in str(ledger.stalled)) == (True, True)
            await asyncio.sleep(99)
            faults.at = 0
            found = [item.record async for item in run]
        assert ledger.stalled is None
        await alone
        return found

    found = in_run(path, work, connect=faults.connect)
    assert [record.number for record in found] == list(range(1, 21))
    assert not [at for at in server.polled if 6.1 < at < 104]
    assert len([at for at in other.polled if 6.1 < at < 100]) == 93  # a job that is not of the run
    pauses = [message for message in caplog.messages if "pause" in message]
    assert len(pauses) == 1
    assert str(path) in pauses[0]
    assert "no space left" in pauses[0]
    assert f"{path} can be written again; its run goes on" in caplog.messages


def test_a_disk_that_stays_full_ends_the_run(path: Path) -> None:
    """After five minutes, with that error; nothing is polled any more."""
    server, faults = Server(), Faults(code=sqlite3.SQLITE_FULL)

    async def work(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(server.jobs(50), ledger=ledger, timeout=1e6) as run:
            await asyncio.sleep(5.5)
            faults.at, faults.lasting = faults.statements + 1, True
            async for _ in run:
                pass

    with pytest.raises(LedgerError, match="no space left") as caught:
        in_run(path, work, connect=faults.connect)
    assert caught.value.kind == "full"
    assert max(server.polled) < 7
    assert [record.number for record in records_of(path)] == [1, 2, 3, 4, 5]


# results that cannot be stored


@frozen
class Table:
    """A result that JSON cannot hold."""

    cells: dict[tuple[int, int], str]


def circle() -> list[Any]:
    """Return a list that is in itself."""
    itself: list[Any] = []
    itself.append(itself)
    return itself


class Mute:
    """A result that cannot even be shown."""

    def __str__(self) -> str:
        raise KeyError("no words")


@pytest.mark.parametrize(
    ("value", "name", "problem"),
    [
        (Table({(1, 2): "x"}), "Table", "keys must be str"),
        ({(1, 2): 3}, "dict", "keys must be str"),
        (circle(), "list", "Circular reference"),
        (Mute(), "Mute", "no words"),
        ({"n": 10**5000}, "dict", "digits"),
    ],
)
def test_a_result_that_json_cannot_hold_is_described(path: Path, value: Any, name: str, problem: str) -> None:
    """The job keeps its state, the run goes on, and the typed result is given out all the same."""
    things: Endpoint[int, Any] = Endpoint(
        "made.up",
        ask=lambda ref: Request("GET", str(ref), repeatable=True),
        read=lambda reply: Snapshot(State.SUCCESS, "done", value if reply.json == "odd" else "plain"),
    )
    transport = MemoryTransport(lambda request: Reply(200, "odd" if request.path == "1" else "even"))

    async def work(hub: Hub, ledger: Ledger) -> list[RunItem[Any]]:
        jobs = [things.job(transport, number) for number in (1, 2)]
        async with ledger.run(hub, jobs, timeout=60) as run:
            return sorted([item async for item in run], key=lambda item: item.record.number)

    odd, even = in_run(path, work)
    assert (odd.record.state, odd.record.status, even.record.value) == ("success", "done", "plain")
    assert odd.record.value["type"] == name
    assert problem in odd.record.value["problem"]
    assert f"the result, a {name}, cannot be stored as JSON" in (odd.record.reason or "")
    assert len(odd.record.reason or "") < 600
    assert odd.outcome is not None
    assert odd.outcome.unwrap() is value


def test_a_reason_is_kept_beside_the_description(path: Path) -> None:
    """A job that failed with a partial result says both."""
    things: Endpoint[int, Any] = Endpoint(
        "made.up",
        ask=lambda ref: Request("GET", str(ref), repeatable=True),
        read=lambda _: Snapshot(State.FAILED, "bad", {(1, 2): 3}, reason="out of paper"),
    )
    jobs = [things.job(MemoryTransport(lambda _: Reply(200, "")), 1)]

    async def work(hub: Hub, ledger: Ledger) -> list[Record]:
        async with hub.run(jobs, ledger=ledger, timeout=60) as run:
            found = [record async for record, _ in run]
            assert run.taken == 1
        return found

    (record,) = in_run(path, work)
    assert (record.state, (record.reason or "").endswith("; out of paper")) == ("failed", True)


def test_a_result_that_memory_cannot_hold_is_no_description(path: Path) -> None:
    """The lack is this process's, not the result's."""

    class Huge:
        def __str__(self) -> str:
            raise MemoryError

    async def work(_hub: Hub, ledger: Ledger) -> None:
        await ledger.enter([("made.up:1", "made.up", 1)])
        await ledger.record(OutcomeInput(number=1, state="success", value=Huge()))

    with pytest.raises(MemoryError):
        in_run(path, work)
    assert records_of(path) == []


def test_an_item_has_the_outcome_of_this_process_only(path: Path) -> None:
    """The typed outcome of a job that ended in an earlier process is gone; its record is not."""
    server = Server()

    async def fails(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(server.jobs(3), ledger=ledger, timeout=60) as run:
            async for item in run:
                raise KeyError(item.record.number)

    async def whole(hub: Hub, ledger: Ledger) -> list[tuple[int, Outcome[str] | None]]:
        jobs = server.jobs(3)
        async with ledger.run(hub, jobs, timeout=60) as run:
            found = [(record.number, outcome) async for record, outcome in run]
        assert [outcome.job for _, outcome in found if outcome is not None] == jobs[1:]
        return found

    with pytest.raises(KeyError, match="1"):
        in_run(path, fails)
    first, *rest = in_run(path, whole, at=60.0)
    assert first == (1, None)
    assert [(number, outcome is not None and outcome.succeeded) for number, outcome in rest] == [(2, True), (3, True)]


# a process that lacks something


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_a_lack_of_memory_or_threads_ends_the_run(path: Path, error: Exception) -> None:
    """It says nothing about the job, which stays unfinished, and those that ended before are recorded."""

    def answer(request: Request) -> Any:
        if now() >= 3:
            raise error
        return {"state": "success" if request.path == "/jobs/1" else "processing"}

    async def work(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(jobs_of(transport_of(answer), range(1, 4)), ledger=ledger, timeout=60) as run:
            async for _ in run:
                pass

    with pytest.raises(type(error)) as caught:
        in_run(path, work)
    assert caught.value is error
    assert [record.number for record in records_of(path)] == [1]


STARVED = str(Path(__file__).with_name("starved_run.py"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the address space")
@pytest.mark.parametrize(
    ("lack", "words"),
    [
        ("memory", "MemoryError"),
        ("threads", "can't start new thread"),
        ("threads from the start", "can't start new thread"),
    ],
)
def test_a_process_that_lacks_something_ends_at_once(path: Path, lack: str, words: str) -> None:
    """With one error and a sound ledger, which the next process goes on with."""
    environment = {**os.environ, "PYTHONPATH": str(Path(str(asyncpoll.__file__)).parents[1])}
    command = [sys.executable, STARVED, str(path.parent)]
    done = subprocess.run([*command, lack], capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (done.returncode, words in done.stderr.splitlines()[-1]) == (1, True)
    if path.exists():
        with Reader(path) as reader:
            assert reader.check() == []
            assert reader.counts.outcomes < 300
    whole = subprocess.run([*command, ""], capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert whole.returncode == 0, whole.stderr
    assert len(records_of(path)) == len(path.with_name("out.jsonl").read_text().splitlines()) == 300
