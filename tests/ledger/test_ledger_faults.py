"""Disks that fail and fill up: nothing counts as recorded that is not, and what can go on goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from ledger_kit import QUICK, Faults, batch, directory, files_up_to, filled, journal_of, quick, records_of, success

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import Ledger, Reader
from asyncpoll.waiting._decision import WaitCheckpoint

FULL, FSYNC = sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC
JOBS = range(1, 4)


async def session(path: Path, acknowledged: dict[int, int | None], faults: Faults, **settings: Any) -> None:
    """Do a bit of everything, and note which outcomes were said to be recorded."""
    async with Ledger(path, settings=quick(connect=faults.connect, **settings)) as ledger:
        await ledger.keep({"timeout": 5})
        await ledger.enter(batch(len(JOBS)))
        for number in JOBS:
            ledger.note(number, WaitCheckpoint(waited=1.0, polls=1))
            acknowledged[number] = await ledger.record(success(number))
        await ledger.acknowledge("run", len(JOBS))


def statements() -> int:
    """Return how many statements a session takes when nothing fails."""
    faults = Faults()
    with directory() as place:
        asyncio.run(session(place / "run.db", {}, faults))
    return faults.statements


@pytest.mark.parametrize("afterwards", [False, True])
def test_every_statement_may_fail_once(path: Path, afterwards: bool) -> None:  # noqa: FBT001  a parameter
    """Whether it had its effect or not: each outcome is recorded once, and a ledger that could not be opened, later."""
    for at in range(1, statements() + 4):
        place, faults = path.with_name(f"{at}.db"), Faults(at, afterwards=afterwards, code=FSYNC)
        acknowledged: dict[int, int | None] = {}
        with suppress(LedgerError):  # while opening
            asyncio.run(session(place, acknowledged, faults))
        if len(acknowledged) < len(JOBS):
            assert acknowledged == {}
            asyncio.run(session(place, acknowledged, faults))
        assert acknowledged == {number: number for number in JOBS}
        assert [record.number for record in records_of(place)] == list(acknowledged)
        with Reader(place) as reader:
            assert (reader.check(), reader.counts.anomalies) == ([], 0)


@pytest.mark.parametrize("afterwards", [False, True])
def test_every_statement_may_be_the_first_of_many_that_fail(path: Path, afterwards: bool) -> None:  # noqa: FBT001  a parameter
    """What was said to be recorded is there; what was not said fails with an error, and another process goes on."""
    for at in range(1, statements() + 4, 2):
        place, faults = path.with_name(f"{at}.db"), Faults(at, lasting=True, afterwards=afterwards, code=FULL)
        acknowledged: dict[int, int | None] = {}
        with suppress(LedgerError):
            asyncio.run(session(place, acknowledged, faults, patience=0.002))
        before = dict(acknowledged)
        found = {record.number: record.seq for record in records_of(place)} if place.exists() else {}
        assert before.items() <= found.items()
        asyncio.run(session(place, acknowledged, Faults()))
        assert {record.number: record.seq for record in records_of(place)}.keys() == set(JOBS)
        with Reader(place) as reader:
            assert (reader.check(), reader.counts.anomalies) == ([], 0)


async def test_a_full_disk_is_waited_for(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Outcomes are kept meanwhile, and recorded once there is room again."""
    room = [60]

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(*args, **options)
        connection.execute(f"PRAGMA max_page_count = {room[0]}")
        return connection

    async with Ledger(path, settings=quick(connect=connect, patience=30.0)) as ledger:
        await ledger.enter(batch(20))
        recording = [asyncio.create_task(ledger.record(success(number, value="x" * 20_000))) for number in range(1, 21)]
        while "no space left" not in caplog.text:  # noqa: ASYNC110  the log has no event
            await asyncio.sleep(0.001)
        assert not all(task.done() for task in recording)
        room[0] = 10_000
        assert [await task for task in recording] == list(range(1, 21))
    assert [len(record.value) for record in records_of(path)] == [20_000] * 20


async def test_a_file_that_may_not_grow_fails_the_run_in_the_end(path: Path) -> None:
    """The limit of the system is met as a full disk is; what was recorded before stays."""
    recorded: list[int | None] = []

    async def fill() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.enter(batch(200))
            with files_up_to(300_000):
                for number in range(1, 201):
                    seq = await ledger.record(success(number, value="x" * 20_000))
                    recorded.append(seq)

    with pytest.raises(LedgerError, match=r"reading or writing failed|no space left"):
        await fill()
    assert 0 < len(recorded) < 200
    assert [record.seq for record in records_of(path)] == recorded
    with Reader(path) as reader:
        assert reader.check() == []


async def test_another_program_that_holds_the_file_is_waited_for(path: Path) -> None:
    """A backup tool may take its time; the event loop goes on meanwhile."""
    async with Ledger(path, settings=quick(patience=30.0)) as ledger:
        await ledger.enter(batch(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            recording = asyncio.create_task(ledger.record(success(1)))
            for _ in range(100):
                await asyncio.sleep(0.002)
            assert not recording.done()
            other.execute("ROLLBACK")
        assert await recording == 1


def test_a_log_that_cannot_be_brought_in_is_not_written_on(path: Path) -> None:
    """While somebody reads an old state, nobody knows whether what was logged since has reached the disk."""
    filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer, closing(sqlite3.connect(path)) as reader:
        writer.execute("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM options").fetchall()
        writer.execute("UPDATE options SET id = 1")
        with pytest.raises(LedgerError, match="another program has locked the file"):
            asyncio.run(Ledger(path, settings=QUICK).__aenter__())


async def test_patience_has_an_end(path: Path) -> None:
    """All who wait are told, also those who come later, and the ledger can be opened again."""
    await asyncio.to_thread(filled, path)
    faults = Faults(code=FULL)

    async def use() -> None:
        async with Ledger(path, settings=quick(connect=faults.connect)) as ledger:
            faults.at, faults.lasting = faults.statements + 1, True
            journal_of(ledger).submit(success(10)).cancel()
            waiting = [asyncio.create_task(ledger.record(success(number))) for number in (7, 8)]
            for task in waiting:
                with pytest.raises(LedgerError, match="no space left") as caught:
                    await task
                assert (caught.value.kind, caught.value.passing) == ("full", True)
            with pytest.raises(LedgerError, match="no space left"):
                await ledger.record(success(9))

    with pytest.raises(LedgerError, match="no space left"):
        await use()
    assert len(records_of(path)) == 6


async def test_leaving_does_not_wait_for_a_disk_that_stays_full(path: Path) -> None:
    """One last try is made; the block is left with the error."""
    faults = Faults(code=FULL)

    async def use() -> None:
        async with Ledger(path, settings=quick(connect=faults.connect, patience=1e6, retry_every=1e6)) as ledger:
            await ledger.enter(batch(1))
            faults.at, faults.lasting = faults.statements + 1, True
            journal_of(ledger).submit(success(1))
            await asyncio.sleep(0.05)

    with pytest.raises(LedgerError, match="no space left"):
        await use()
    assert records_of(path) == []


async def test_an_error_in_the_block_is_not_masked(path: Path) -> None:
    """When the ledger has failed as well, the block's own error comes out."""
    faults = Faults(code=FULL)

    async def use() -> None:
        async with Ledger(path, settings=quick(connect=faults.connect)) as ledger:
            await ledger.enter(batch(1))
            faults.at, faults.lasting = faults.statements + 1, True
            journal_of(ledger).submit(success(1))
            raise KeyError

    with pytest.raises(KeyError):
        await use()


async def test_who_waits_for_room_is_told_that_there_will_be_none(path: Path) -> None:
    """More outcomes than may wait at once, and a disk that stays full."""
    faults = Faults(code=FULL)

    async def use() -> None:
        async with Ledger(path, settings=quick(connect=faults.connect)) as ledger:
            await ledger.enter(batch(2001))
            faults.at, faults.lasting = faults.statements + 1, True
            for number in range(1, 2001):
                journal_of(ledger).submit(success(number))
            await ledger.record(success(2001))

    with pytest.raises(LedgerError, match="no space left"):
        await use()
