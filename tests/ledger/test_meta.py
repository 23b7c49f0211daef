"""Data of the caller's own: they are stored with a job, and come back in its record and in the results files."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hub_kit import jobs_of, transport_of
from ledger_kit import in_run, records_of

from asyncpoll._endpoint import Job
from asyncpoll._errors import LedgerError
from asyncpoll.http import Request
from asyncpoll.ledger import Csv, EntryInput, JsonLines, Ledger, Reader, recover
from asyncpoll.waiting._hub import Hub

LINK = "https://a.example/?sig=canary"


def jobs_with(*metas: Mapping[str, Any] | None) -> list[Job[str]]:
    """Return a job for each meta that has just succeeded."""

    def answer(_request: Request) -> Any:
        return {"state": "success", "value": "result"}

    plain = jobs_of(transport_of(answer), range(1, len(metas) + 1))
    return [job if meta is None else job.with_meta(meta) for job, meta in zip(plain, metas, strict=True)]


def run(path: Path, *metas: Mapping[str, Any] | None, sink: Csv | JsonLines | None = None) -> None:
    """Run jobs with these metas, and bring a file up to date."""

    async def work(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(jobs_with(*metas), ledger=ledger, timeout=60) as items:
            async for _ in items:
                pass
        if sink is not None:
            await ledger.deliver(sink)

    in_run(path, work)


def test_a_record_has_the_meta_of_its_job(path: Path) -> None:
    """The line of a job without one does not mention it."""
    run(path, {"row": 7, "tags": ["a"]}, None)
    first, second = sorted(records_of(path), key=lambda record: record.number)
    assert (first.meta, second.meta) == ({"row": 7, "tags": ["a"]}, None)
    assert first.line()["meta"] == {"row": 7, "tags": ["a"]}
    assert "meta" not in second.line()


def test_the_first_meta_of_a_job_stays(path: Path) -> None:
    """The same job with another one is the same job."""
    run(path, {"row": 1})
    run(path, {"row": 2})
    with Reader(path) as reader:
        assert [entry.meta for entry in reader.entries()] == [{"row": 1}]


def test_unfinished_jobs_have_their_metas(path: Path) -> None:
    """So a process that goes on can show them."""

    async def work(_hub: Hub, ledger: Ledger) -> list[Any]:
        await ledger.enter([EntryInput("k", "vendor.things", 1, {"row": 1}), ("l", "vendor.things", 2)])
        return [entry.meta async for entry in ledger.unfinished()]

    assert in_run(path, work) == [{"row": 1}, None]


def test_secrets_in_a_meta_are_masked(path: Path) -> None:
    """As they are in results."""
    run(path, {"link": LINK})
    assert b"canary" not in path.read_bytes()
    assert records_of(path)[0].meta == {"link": LINK.replace("canary", "***")}


@pytest.mark.parametrize("meta", [{"text": "x" * 70_000}, {"text": {1: {2}, (3,): 4}}])
def test_a_meta_that_cannot_be_stored_is_refused(meta: dict[str, Any], path: Path) -> None:
    """What JSON cannot hold, and more than 64 KiB; the run ends with that error."""
    with pytest.raises(LedgerError) as caught:
        run(path, meta)
    assert caught.value.kind == "value"


def test_a_changed_meta_is_found(path: Path) -> None:
    """By reading its record, and by a check."""
    run(path, {"row": 1})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET data = '{\"row\":2}'")
    with Reader(path) as reader:
        assert any("meta 1" in problem for problem in reader.check())
        with pytest.raises(LedgerError, match="the meta of a job"):
            list(reader.records())


def test_metas_are_recovered(path: Path) -> None:
    """With the entries that they belong to."""
    run(path, {"row": 1})
    recover(path, path.with_name("new.db"))
    assert records_of(path.with_name("new.db"))[0].meta == {"row": 1}


def test_a_table_has_a_column_for_each_key(path: Path) -> None:
    """Its header is that of the first records, also in a later process; a title or a text is not a formula."""
    output = path.with_name("out.csv")
    run(path, {"row": 1, "=sum": "=1+1"}, {"list": [1]}, sink=Csv(output))
    run(path, {"row": 1}, None, {"row": 3, "=sum": "x", "late": "y"}, sink=Csv(output))
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [(row["row"], row["'=sum"], row["list"]) for row in rows]
    assert cells == [("1", "'=1+1", ""), ("", "", "[1]"), ("3", "x", "")]
    assert "late" not in rows[0]
    assert [row["attempt"] for row in rows] == ["1", "1", "1"]


def test_lines_have_the_meta(path: Path) -> None:
    """Under one key."""
    output = path.with_name("out.jsonl")
    run(path, {"row": 1}, sink=JsonLines(output))
    assert '"meta": {"row": 1}' in output.read_text()
