"""A reader shows all that a ledger holds, and changes nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from attrs import evolve
from ledger_kit import QUICK, batch, filled, success

from asyncpoll._errors import LedgerError
from asyncpoll._state import State
from asyncpoll.ledger import Ledger, Reader, WaitCheckpoint


def test_a_reader_reads_everything(path: Path) -> None:
    """Entries, what is unfinished and what is recorded, each from anywhere on."""
    filled(path, 1100, 600)
    with Reader(path) as reader:
        assert [entry.number for entry in reader.entries()] == list(range(1, 1101))
        assert [entry.number for entry in reader.entries(after=1098)] == [1099, 1100]
        assert [entry.number for entry in reader.unfinished()] == list(range(601, 1101))
        assert [record.seq for record in reader.records()] == list(range(1, 601))
        assert [record.seq for record in reader.records(after=599)] == [600]
        assert reader.check() == []


def test_a_reader_leaves_no_trace(path: Path) -> None:
    """Not even where nothing may be written."""
    filled(path)
    before = path.read_bytes()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with Reader(path) as reader:
            assert (reader.counts.outcomes, reader.check(), reader.holder) == (6, [], None)
    finally:
        path.parent.chmod(0o700)
    assert [file.name for file in path.parent.iterdir()] == ["run.db"]
    assert path.read_bytes() == before


def test_a_reader_tells_how_far_a_wait_has_come(path: Path) -> None:
    """As it was noted last; the wait of a job that is asked about again has begun again."""
    moments = iter(range(1_000_000))

    async def work() -> None:
        settings = evolve(QUICK, clock=lambda: 5e8 + next(moments))
        async with Ledger(path, settings=settings) as ledger:
            await ledger.enter(batch(3))
            ledger.note(1, WaitCheckpoint(waited=5.0, polls=2, state=State.PENDING, in_state=0.5))
            ledger.note(2, WaitCheckpoint(waited=1.0, polls=1))
            await ledger.record(success(3, state="failed"))
            await ledger.retry("failed")

    asyncio.run(work())
    with Reader(path) as reader:
        keys = [entry.key for entry in reader.entries()]
        (began, seen), (_, unseen), (again, nothing) = map(reader.progress, keys)
        assert seen == WaitCheckpoint(waited=5.0, polls=2, state=State.PENDING, in_state=0.5)
        assert unseen == WaitCheckpoint(waited=1.0, polls=1)
        assert nothing is None
        assert 5e8 <= began < again
        with pytest.raises(ValueError, match="has no job with the key elsewhere"):
            reader.progress("elsewhere")


async def test_a_reader_looks_on_while_a_run_is_on(path: Path) -> None:
    """It sees what is committed, and holds nobody up."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(600))
        with Reader(path) as reader:
            entries = reader.entries()
            assert next(entries).number == 1
            await ledger.record(success(1))
            assert [record.number for record in reader.records()] == [1]
            assert len(list(entries)) == 599
            assert reader.check() == []


def test_a_ledger_that_was_never_used_is_empty(path: Path) -> None:
    """No jobs, no outcomes, and nothing wrong."""
    filled(path, 0, 0)
    with Reader(path) as reader:
        assert (list(reader.entries()), list(reader.records()), reader.check()) == ([], [], [])


def test_no_file_is_made_by_reading(path: Path) -> None:
    """A name without a file is an error, and stays one."""
    with pytest.raises(LedgerError, match="there is no ledger") as caught:
        Reader(path).__enter__()
    assert (caught.value.kind, path.exists()) == ("missing", False)


def test_a_path_through_a_file_is_refused(path: Path) -> None:
    """What cannot even be looked for is told as the system tells it."""
    path.write_text("no directory")
    with pytest.raises(LedgerError) as caught:
        Reader(path / "run.db").__enter__()
    assert caught.value.kind == "io"


def test_what_is_stored_can_be_read_with_any_sqlite(path: Path) -> None:
    """The tables are plain, and the file is signed and numbered."""
    filled(path)
    with sqlite3.connect(path) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        rows = connection.execute("SELECT ref, value FROM outcome JOIN entry USING (number) LIMIT 1").fetchall()
    connection.close()
    assert (application.to_bytes(4).decode(), version) == ("aplg", 4)
    assert [(json.loads(ref), json.loads(value)) for ref, value in rows] == [({"id": 1}, {"n": 1})]
