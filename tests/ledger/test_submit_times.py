"""The times of submits are kept in the ledger, so that a process that goes on knows the ages of its jobs."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hub_kit import jobs_of, transport_of
from ledger_kit import in_run, records_of

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import Entry, Ledger, Reader, recover, submit_all
from asyncpoll.waiting._hub import Hub

AT = 1_700_000_000.5
TIMES = (AT, None)


def make_unfinished(path: Path) -> list[Entry]:
    """Make a ledger of two jobs that have not ended, of which the first has a time; return what is left."""

    async def work(hub: Hub, ledger: Ledger) -> list[Entry]:
        first, second = jobs_of(transport_of(lambda _: {"state": "pending"}), ["a", "b"])
        async with hub.run([first.with_submitted_at(AT), second], ledger=ledger, timeout=None):
            await asyncio.sleep(1)
        return [entry async for entry in ledger.unfinished()]

    return in_run(path, work)


def test_unfinished_jobs_have_the_times_of_their_submits(path: Path) -> None:
    """In the process that entered them, and in any other."""
    assert tuple(entry.submitted_at for entry in make_unfinished(path)) == TIMES
    with Reader(path) as reader:
        assert tuple(entry.submitted_at for entry in reader.entries()) == TIMES
        assert list(reader.check()) == []


def test_a_changed_time_is_found(path: Path) -> None:
    """By reading its entry, and by a check."""
    make_unfinished(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE submit SET submitted_at = 7")
    with Reader(path) as reader:
        assert any("submit 1" in problem for problem in reader.check())
        with pytest.raises(LedgerError, match="the submit of a job"):
            list(reader.entries())


def test_times_are_recovered(path: Path) -> None:
    """With the entries that they belong to."""
    make_unfinished(path)
    recover(path, path.with_name("new.db"))
    with Reader(path.with_name("new.db")) as reader:
        assert tuple(entry.submitted_at for entry in reader.entries()) == TIMES


async def test_a_job_of_an_earlier_submit_has_its_age(tmp_path: Path) -> None:
    """The file of a bulk submit keeps it with the job."""
    transport = transport_of(lambda _: {"state": "pending"})

    async def start(item: str) -> Any:
        return jobs_of(transport, [item])[0].with_submitted_at(AT)

    def restore(text: str) -> Any:
        return jobs_of(transport, ["x"])[0].endpoint.job_from_json(transport, text)

    for fate in ("submitted", "known"):
        items = submit_all(["a"], start, ledger=tmp_path / "submitted", restore=restore)
        [submission] = [one async for one in items]
        assert submission.fate == fate
        assert submission.job is not None
        assert submission.job.submitted_at == AT


def test_a_resumed_run_records_a_job_of_known_age(path: Path) -> None:
    """It was seen unfinished before it was seen ended, as in a run that was not interrupted."""
    make_unfinished(path)

    async def work(hub: Hub, ledger: Ledger) -> None:
        first, second = jobs_of(transport_of(lambda _: {"state": "success"}), ["a", "b"])
        jobs = [first.with_submitted_at(AT), second]
        async with hub.run(jobs, ledger=ledger, timeout=None) as records:
            assert len([record async for record in records]) == 2

    in_run(path, work)
    for record in records_of(path):
        assert (record.state, record.error) == ("success", None)
        assert record.running is not None
        assert 0 <= record.running <= record.waited
