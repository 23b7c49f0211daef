"""What predicts how long jobs take is kept in the ledger, for a process that goes on and for what is read of a run."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hub_kit import JOBS, jobs_of, transport_of
from ledger_kit import in_run

from asyncpoll import Endpoint, Job
from asyncpoll._errors import LedgerError
from asyncpoll.ledger import Entry, EntryInput, Ledger, Reader, recover, submit_all
from asyncpoll.waiting._hub import Hub

KINDS: Endpoint[Any, Any] = Endpoint("v.kinds", ask=JOBS.ask, read=JOBS.read, predicts=lambda ref: ref[0])
PACINGS = ("mode=fast", None, "c", "told")


def jobs(state: str) -> list[Job[Any]]:
    """Return jobs in a state: the first and the last were told what predicts, the third has it in its reference."""
    transport = transport_of(lambda _: {"state": state})
    first, second = jobs_of(transport, ["a", "b"])
    third, fourth = jobs_of(transport, ["c", "d"], KINDS)
    return [first.with_pacing("mode=fast"), second.with_submitted_at(5.0), third, fourth.with_pacing("told")]


def make_unfinished(path: Path) -> list[Entry]:
    """Make a ledger of jobs that have not ended; return what is left."""

    async def work(hub: Hub, ledger: Ledger) -> list[Entry]:
        async with hub.run(jobs("pending"), ledger=ledger, timeout=None):
            await asyncio.sleep(1)
        return [entry async for entry in ledger.unfinished()]

    return in_run(path, work)


def test_unfinished_jobs_have_what_was_told(path: Path) -> None:
    """In the process that entered them, and in any other; a job made of an entry has the key of the first."""
    left = make_unfinished(path)
    assert tuple(entry.pacing for entry in left) == PACINGS
    with Reader(path) as reader:
        assert tuple(entry.pacing for entry in reader.entries()) == PACINGS
        assert list(reader.check()) == []
    for entry, job in zip(left, jobs("pending"), strict=True):
        again = job.endpoint.job(job.transport, entry.ref)
        again = again if entry.pacing is None else again.with_pacing(entry.pacing)
        assert again.pacing_key == job.pacing_key


def test_outcomes_have_what_was_told(path: Path) -> None:
    """Those that a run gives out, and those that are read later."""

    async def work(hub: Hub, ledger: Ledger) -> dict[int, str | None]:
        async with hub.run(jobs("success"), ledger=ledger, timeout=None) as run:
            return {record.number: record.pacing async for record, _ in run}

    assert in_run(path, work) == dict(enumerate(PACINGS, 1))
    with Reader(path) as reader:
        assert {record.number: record.pacing for record in reader.records()} == dict(enumerate(PACINGS, 1))
        assert all("pacing" not in record.line() for record in reader.records())


async def test_it_may_be_entered_from_outside(path: Path) -> None:
    """As a part of what is entered of a job, and no more of it than of a job itself."""
    async with Ledger(path) as ledger:
        await ledger.enter([EntryInput("a", "v.jobs", "a", pacing="x" * 300), ("b", "v.jobs", "b")])
        assert [entry.pacing async for entry in ledger.unfinished()] == ["x" * 150, None]


def test_a_changed_text_is_found(path: Path) -> None:
    """By reading its entry, and by a check."""
    make_unfinished(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE submit SET pacing = 'mode=slow' WHERE number = 1")
    with Reader(path) as reader:
        assert any("submit 1" in problem for problem in reader.check())
        with pytest.raises(LedgerError, match="the submit of a job"):
            list(reader.entries())


def test_what_was_told_is_recovered(path: Path) -> None:
    """With the entries that it belongs to."""
    make_unfinished(path)
    recover(path, path.with_name("new.db"))
    with Reader(path.with_name("new.db")) as reader:
        assert tuple(entry.pacing for entry in reader.entries()) == PACINGS


async def test_a_job_of_an_earlier_submit_has_what_was_told(tmp_path: Path) -> None:
    """The file of a bulk submit keeps it with the job."""
    first = jobs("pending")[0]

    async def start(_item: str) -> Any:
        return first

    def restore(text: str) -> Any:
        return first.endpoint.job_from_json(first.transport, text)

    for fate in ("submitted", "known"):
        items = submit_all(["a"], start, ledger=tmp_path / "submitted", restore=restore)
        [submission] = [one async for one in items]
        assert submission.fate == fate
        assert submission.job is not None
        assert submission.job.pacing_key == first.pacing_key
