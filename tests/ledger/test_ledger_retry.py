"""Jobs that were given up are asked about again, and sources that must not be mixed."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hub_kit import jobs_of, now, transport_of
from ledger_kit import BEGINNING, QUICK, batch, filled, in_run, quick, success

from asyncpoll import Hub
from asyncpoll._errors import LedgerError
from asyncpoll.http import Request
from asyncpoll.ledger import Csv, EntryStatus, JsonLines, Ledger, OutcomeInput, Reader, Record, recover
from asyncpoll.waiting._decision import WaitCheckpoint

ENDS: dict[int, dict[str, Any]] = {
    1: {"state": "success"},
    2: {"state": "unknown", "error": "Rejected"},
    3: {"state": "processing", "error": "WaitTimeout"},
    4: {"state": "failed"},
    5: {"state": "pending", "error": "WaitTimeout"},
    6: {"state": "cancelled"},
}


async def ended(ledger: Ledger) -> None:
    """Enter seven jobs, and record how six of them ended."""
    await ledger.enter(batch(7))
    for number, end in ENDS.items():
        await ledger.record(OutcomeInput(number=number, **end))


async def left(ledger: Ledger) -> list[int]:
    """Return the numbers of the unfinished jobs."""
    return [entry.number async for entry in ledger.unfinished()]


# which


@pytest.mark.parametrize(
    ("kinds", "again"),
    [
        (["rejected"], [2]),
        (["unfinished"], [3, 5]),
        (["failed"], [4, 6]),
        (["failed", "rejected", "unfinished"], [2, 3, 4, 5, 6]),
    ],
)
async def test_jobs_are_retried_by_how_they_ended(path: Path, kinds: list[Any], again: list[int]) -> None:
    """They are unfinished again, in this process and later; a job that succeeded never is."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ended(ledger)
        assert await ledger.retry(*kinds) == len(again)
        assert await left(ledger) == [*again, 7]
        assert ledger.counts.unfinished == len(again) + 1
        assert await ledger.retry(*kinds) == 0
    async with Ledger(path, settings=QUICK) as ledger:
        assert await left(ledger) == [*again, 7]
        assert [record.number async for record in ledger.outcomes()] == [n for n in ENDS if n not in again]
    with Reader(path) as reader:
        counts = reader.counts
        assert (counts.outcomes, counts.recorded) == (6 - len(again), 6)
        assert sum(counts.by_state.values()) + sum(counts.by_error.values()) == counts.outcomes
        assert (len(list(reader.records())), reader.check()) == (counts.outcomes, [])
        assert sum(reader.last_states().values()) == len(again) + 1


@pytest.mark.parametrize("kinds", [[], ["success"], ["rejected", "no such kind"]])
async def test_only_what_was_given_up_can_be_retried(path: Path, kinds: list[Any]) -> None:
    """Other words are refused, and nothing changes."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ended(ledger)
        with pytest.raises(ValueError, match=r"retry\(\) takes some of rejected, unfinished, failed"):
            await ledger.retry(*kinds)
        assert await left(ledger) == [7]


# what follows


async def test_a_new_attempt_has_an_outcome_of_its_own(path: Path) -> None:
    """It is recorded once, and may be retried in its turn; the former ones are superseded."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ended(ledger)
        await ledger.retry("rejected")
        assert await ledger.record(OutcomeInput(number=2, state="unknown", error="Rejected")) == 7
        assert await ledger.record(OutcomeInput(number=2, state="failed")) is None
        assert ledger.counts.anomalies == 1
        await ledger.retry("rejected")
        assert await ledger.record(success(2)) == 8
        assert await ledger.retry("rejected") == 0
        found = [record async for record in ledger.outcomes(after=5)]
    assert [(record.seq, record.number, record.attempt) for record in found] == [(6, 6, 1), (8, 2, 3)]
    with Reader(path) as reader:
        assert reader.check() == []
        assert reader.counts.by_error == {("made.up", "WaitTimeout"): 2}
        assert reader.counts.by_state["made.up", "success"] == 2


async def test_an_attempt_may_begin_between_two_outcomes(path: Path) -> None:
    """Also when all of it is committed together."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ended(ledger)
        first, again, second = await asyncio.gather(
            ledger.record(success(7)), ledger.retry("rejected"), ledger.record(success(2))
        )
    assert (first, again, second) == (7, 1, 8)
    with Reader(path) as reader:
        assert (reader.counts.unfinished, reader.check()) == (0, [])


async def test_a_new_attempt_has_a_new_deadline(path: Path) -> None:
    """Neither time nor polls of the former one count."""
    moment = [BEGINNING]
    async with Ledger(path, settings=quick(clock=lambda: moment[0])) as ledger:
        await ended(ledger)
        moment[0] += 100.0
        await ledger.retry("unfinished")
        moment[0] += 5.0
        assert (await ledger.enter(batch(3)))[2] == EntryStatus(3, False, False, WaitCheckpoint(waited=5.0))


def test_results_files_get_a_later_line(path: Path) -> None:
    """Its attempt says that it takes the place of the former one; a file that is made later has that one only."""
    lines, table = JsonLines(path.with_name("out.jsonl")), Csv(path.with_name("out.csv"))

    async def session() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            await ended(ledger)
            await ledger.deliver(lines)
            await ledger.deliver(table)
            await ledger.retry("rejected")
            await ledger.record(success(2))
            assert (await ledger.deliver(lines), await ledger.deliver(table)) == (1, 1)
            await ledger.deliver(JsonLines(path.with_name("late.jsonl")))

    asyncio.run(session())
    found = [json.loads(line) for line in lines.path.read_text().splitlines()]
    assert [line["ref"]["id"] for line in found] == [1, 2, 3, 4, 5, 6, 2]
    assert [line.get("attempt") for line in found] == [None] * 6 + [2]
    with table.path.open(newline="") as file:
        assert [row["attempt"] for row in csv.DictReader(file)] == ["1"] * 6 + ["2"]
    late = [json.loads(line) for line in path.with_name("late.jsonl").read_text().splitlines()]
    assert [line["ref"]["id"] for line in late] == [1, 3, 4, 5, 6, 2]


def test_a_run_asks_about_retried_jobs_again(path: Path) -> None:
    """And about no others; superseded outcomes that were not acknowledged are not given out any more."""
    polled: list[int] = []

    def answer(request: Request) -> Any:
        polled.append(int(request.path.rpartition("/")[2]))
        return {"state": "success" if polled[-1] != 2 or now() < 100 or polled.count(2) > 11 else "processing"}

    jobs = jobs_of(transport_of(answer), range(1, 4))

    async def first(hub: Hub, ledger: Ledger) -> None:
        await asyncio.sleep(100)
        async with hub.run(jobs, ledger=ledger, timeout=10) as run:
            async for record, _ in run:
                if record.number == 2:
                    raise KeyError(record.error)

    async def second(hub: Hub, ledger: Ledger) -> list[Record]:
        await asyncio.sleep(100)
        assert await ledger.retry("unfinished") == 1
        async with hub.run(jobs, ledger=ledger, timeout=10) as run:
            return [record async for record, _ in run]

    with pytest.raises(KeyError, match="WaitTimeout"):
        in_run(path, first)
    asked = len(polled)
    (record,) = in_run(path, second, at=500.0)
    assert (record.number, record.state, record.attempt, record.polls) == (2, "success", 2, 1)
    assert polled[asked:] == [2]


# damage


@pytest.mark.parametrize(
    "statement", ["UPDATE retry SET attempt = 1", "DELETE FROM retry", "INSERT INTO retry VALUES (1, 2, 0, 'x')"]
)
def test_a_changed_attempt_is_found(path: Path, statement: str) -> None:
    """A job that succeeded must not be asked about again because of it, nor one be forgotten."""

    async def fill() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            await ended(ledger)
            await ledger.retry("rejected")
            await ledger.record(success(2))

    asyncio.run(fill())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    with Reader(path) as reader:
        assert reader.check() != []


async def test_a_damaged_outcome_is_not_retried(path: Path) -> None:
    """It is an error, and every job stays as it is."""
    await asyncio.to_thread(filled, path, 1000, 900)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE outcome SET state = 'failed' WHERE seq = 3")
    with pytest.raises(LedgerError, match="outcome 3"):
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.retry("failed")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM retry").fetchone() == (0,)


def test_attempts_are_recovered(path: Path) -> None:
    """Superseded outcomes stay superseded, and an attempt without its former outcome goes on."""

    async def fill() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            await ended(ledger)
            await ledger.claim_source("mine")
            await ledger.retry("rejected", "failed")
            await ledger.record(success(2))

    asyncio.run(fill())
    whole, cut = path.with_name("whole.db"), path.with_name("cut.db")
    assert recover(path, whole).outcomes == 4
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE outcome SET polls = 7 WHERE seq = 4")
    assert recover(path, cut).outcomes == 2
    for place, unfinished in ((whole, [4, 6, 7]), (cut, [2, 4, 5, 6, 7])):
        with Reader(place) as reader:
            assert (reader.check(), reader.sources) == ([], ["mine"])
            assert [entry.number for entry in reader.unfinished()] == unfinished


def test_an_outcome_of_an_unknown_attempt_is_not_recovered(path: Path) -> None:
    """Nor is anything after it."""

    async def fill() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            await ended(ledger)
            await ledger.retry("rejected")
            await ledger.record(success(2))

    asyncio.run(fill())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM retry")
    assert recover(path, path.with_name("new.db")).recorded == 6


# sources


async def test_a_ledger_has_the_jobs_of_one_source(path: Path) -> None:
    """Another one is refused by an error that names both cures, unless it is to be added."""
    first, second = path.with_name("a.jsonl"), path.with_name("b.jsonl")
    await asyncio.to_thread(first.write_text, '{"ref": 1}\n')
    await asyncio.to_thread(second.write_text, '{"ref": 2}\n')
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.claim_source(first)
        await ledger.claim_source(first)
    async with Ledger(path, settings=QUICK) as ledger:
        with pytest.raises(LedgerError, match=r"resume that run, or pass append=True") as caught:
            await ledger.claim_source(second)
        assert (caught.value.kind, str(first) in str(caught.value), str(second) in str(caught.value)) == (
            "source", True, True,
        )  # fmt: skip
        await ledger.claim_source(second, append=True)
        await ledger.claim_source(second)
        await ledger.claim_source(first)
    with Reader(path) as reader:
        assert reader.sources == [str(first), str(second)]


async def test_a_source_may_be_renamed_and_may_grow(path: Path) -> None:
    """What counts is its beginning; an empty file goes by its name."""
    first, other = path.with_name("a.jsonl"), path.with_name("b.jsonl")
    await asyncio.to_thread(first.touch)
    await asyncio.to_thread(other.touch)
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.claim_source(first)
        with pytest.raises(LedgerError):
            await ledger.claim_source(other)
        await asyncio.to_thread(first.write_bytes, b"line\n" * 20_000)
        await ledger.claim_source(first)
        await ledger.claim_source(first, append=True)
    async with Ledger(path.with_name("next.db"), settings=QUICK) as ledger:
        await ledger.claim_source(first)
        await asyncio.to_thread(first.rename, other)
        await asyncio.to_thread(other.write_bytes, b"line\n" * 30_000)
        await ledger.claim_source(other)
        await asyncio.to_thread(other.write_bytes, b"Line\n" * 30_000)
        with pytest.raises(LedgerError, match="has changed at its beginning"):
            await ledger.claim_source(other)


async def test_a_source_may_be_any_text(path: Path) -> None:
    """It is compared as it is, and no file is taken for it."""
    file = path.with_name("standard input")
    await asyncio.to_thread(file.touch)
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.claim_source("standard input")
        await ledger.claim_source("standard input")
        for other in ("Standard input", file, Path("standard input")):
            with pytest.raises((LedgerError, FileNotFoundError)):
                await ledger.claim_source(other)
