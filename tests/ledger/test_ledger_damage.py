"""Truncated, flipped and mended by hand: damage is found, and what is sound can be saved."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from ledger_kit import QUICK, batch, files_up_to, filled, records_of, success

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import Entry, Ledger, Reader, Record, recover

FLIPS = 300
CUTS = 40


@define
class Content:
    """All that a ledger tells."""

    entries: list[Entry]
    records: list[Record]
    rest: tuple[Any, ...]


def content_of(path: Path) -> Content:
    """Read all that a ledger tells; raise what it says about damage."""
    with Reader(path) as reader:
        problems = reader.check()
        if problems:
            raise LedgerError("; ".join(problems), kind="damaged")
        rest = reader.counts, reader.options, reader.sessions, [entry.number for entry in reader.unfinished()]
        return Content(list(reader.entries()), list(reader.records()), rest)


def verdict(path: Path, sound: Content) -> str:
    """Return what became of a file that was tampered with: "harmless" or "found"; anything else fails."""
    try:
        content = content_of(path)
    except LedgerError:
        return "found"
    assert content == sound
    return "harmless"


def test_every_flipped_bit_is_found_or_harmless(path: Path) -> None:
    """No ledger ever tells something else than what was written into it."""
    filled(path, 60, 40)
    sound, data, chance = content_of(path), path.read_bytes(), random.Random(7)
    verdicts: list[str] = []
    for _ in range(FLIPS):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        verdicts.append(verdict(path, sound))
    assert verdicts.count("found") > FLIPS / 10


def test_every_cut_is_found(path: Path) -> None:
    """Wherever the file ends too soon."""
    filled(path, 60, 40)
    sound, data, chance = content_of(path), path.read_bytes(), random.Random(8)
    for _ in range(CUTS):
        path.write_bytes(data[: chance.randrange(len(data))])
        assert verdict(path, sound) == "found"


HANDIWORK = [
    ("UPDATE outcome SET state = 'failed' WHERE seq = 3", "outcome 3"),
    ("UPDATE outcome SET value = '{\"n\":4}' WHERE seq = 3", "outcome 3"),
    ("UPDATE outcome SET value = CAST(value AS BLOB) WHERE seq = 3", "outcome 3"),
    ("UPDATE outcome SET value = CAST(x'ff' AS TEXT) WHERE seq = 3", "not as it was written"),
    ("DELETE FROM outcome WHERE seq = 3", "outcome 4"),
    ("DELETE FROM outcome WHERE seq = 6", "the number of rows"),
    ("DELETE FROM entry WHERE number = 2", "entry 3"),
    ("DELETE FROM entry WHERE number = 10", "the number of rows"),
    ("UPDATE entry SET ref = '{\"id\":77}' WHERE number = 9", "entry 9"),
    ("UPDATE entry SET number = 11 WHERE number = 10", "entry 11"),
    ("UPDATE head SET data = replace(data, '\"outcomes\": 6', '\"outcomes\": 7')", "the head"),
    ("DELETE FROM head", "the head"),
    ("UPDATE options SET data = '{}'", "the options"),
    ("UPDATE session SET alive_until = alive_until + 1", "session 1"),
    ("UPDATE consumer SET seq = 5", "consumer run"),
    ("INSERT INTO progress VALUES (8, 0, 0, 0, NULL, 0, 'x')", "progress 8"),
    ("DROP TABLE progress", "not as it was written"),
    ("DROP TABLE head", "not as it was written"),
]


def mend(path: Path, statement: str) -> None:
    """Change a ledger behind its back."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(("statement", "words"), HANDIWORK)
def test_what_was_changed_behind_its_back_is_found(path: Path, statement: str, words: str) -> None:
    """Rows changed, missing or moved, and everything that is kept beside them."""
    filled(path)
    mend(path, statement)
    with Reader(path) as reader:
        assert any(words in problem for problem in reader.check())


@pytest.mark.parametrize(("statement", "words"), [row for row in HANDIWORK if "outcome" in row[0] or "entry" in row[0]])
async def test_what_is_wrong_at_the_end_is_found_when_it_is_opened(path: Path, statement: str, words: str) -> None:
    """The last rows and their number are looked at before anything is written."""
    await asyncio.to_thread(filled, path)
    mend(path, statement)
    with pytest.raises(LedgerError) as caught:
        await Ledger(path, settings=QUICK).__aenter__()
    assert caught.value.kind == "damaged"


def test_problems_are_listed_up_to_a_hundred(path: Path) -> None:
    """A ledger that is all wrong does not fill the screen."""
    filled(path, 300, 300)
    mend(path, "UPDATE outcome SET polls = 77")
    with Reader(path) as reader:
        assert len(reader.check()) == 100


OLD_DAMAGE = [
    ("UPDATE entry SET endpoint = 'other' WHERE number = 2", "entry 2"),
    ("UPDATE outcome SET state = 'failed' WHERE seq = 2", "outcome 2"),
    ("DELETE FROM entry WHERE number = 2", "entry 2"),
    ("DELETE FROM outcome WHERE seq BETWEEN 2 AND 3", "outcome 2"),
]


@pytest.mark.parametrize(("statement", "words"), OLD_DAMAGE)
async def test_damage_far_from_the_end_is_found_when_it_is_read(path: Path, statement: str, words: str) -> None:
    """Opening looks at the last rows of each table; what is read later is checked then."""
    await asyncio.to_thread(filled, path, 1100, 1050)
    mend(path, statement)
    with pytest.raises(LedgerError, match=words):
        async with Ledger(path, settings=QUICK) as ledger:
            _ = [record async for record in ledger.outcomes()]
    with Reader(path) as reader, pytest.raises(LedgerError, match=words):
        list(reader.records())


async def test_a_job_whose_entry_is_damaged_is_not_used(path: Path) -> None:
    """Nobody polls a job that was never entered."""
    await asyncio.to_thread(filled, path, 1100, 0)
    mend(path, "UPDATE entry SET ref = '{}' WHERE number = 2")
    with pytest.raises(LedgerError, match="entry 2"):
        async with Ledger(path, settings=QUICK) as ledger:
            _ = [entry async for entry in ledger.unfinished()]
    with pytest.raises(LedgerError, match="entry 2"):
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.record(success(2))


async def test_a_job_whose_entry_is_gone_is_not_recorded(path: Path) -> None:
    """An outcome of nothing would be of no use."""
    await asyncio.to_thread(filled, path, 1100, 0)
    mend(path, "DELETE FROM entry WHERE number = 2")
    with pytest.raises(LedgerError, match="entry 2"):
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.record(success(2))


async def test_a_damaged_note_of_progress_is_not_believed(path: Path) -> None:
    """A deadline must not depend on it."""
    await asyncio.to_thread(filled, path)
    mend(path, "INSERT INTO progress VALUES (8, 0, 0, 0, NULL, 0, 'x')")
    with pytest.raises(LedgerError, match="progress"):
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.enter(batch(10))


async def test_a_damaged_position_is_not_believed(path: Path) -> None:
    """What was delivered must neither be lost nor come twice because of it."""
    await asyncio.to_thread(filled, path)
    mend(path, "UPDATE consumer SET seq = 5")
    with pytest.raises(LedgerError, match="the position of run"):
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.position("run")


def test_outcomes_that_vanish_while_it_is_open_are_missed(path: Path) -> None:
    """Fewer rows than the head says are an error, not the end."""

    async def look() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            mend(path, "DELETE FROM outcome WHERE seq > 3")
            _ = [record async for record in ledger.outcomes()]

    filled(path)
    with pytest.raises(LedgerError, match="outcome 4"):
        asyncio.run(look())


# recovering


def test_what_is_sound_can_be_saved(path: Path) -> None:
    """Entries and outcomes up to the first damage, the options and the sessions; the rest is unfinished again."""
    filled(path, 20, 10)
    before = path.read_bytes()
    whole = records_of(path)
    mend(path, "UPDATE outcome SET state = 'failed' WHERE seq = 8")
    new = path.with_name("new.db")
    counts = recover(path, new)
    assert (counts.entries, counts.outcomes, counts.by_state) == (20, 7, {("made.up", "success"): 7})
    with Reader(new) as reader:
        assert reader.check() == []
        assert list(reader.records()) == whole[:7]
        assert [entry.number for entry in reader.unfinished()] == list(range(8, 21))
        assert (reader.options, len(reader.sessions)) == ({"timeout": 5.0}, 1)
    assert len(path.read_bytes()) == len(before)


async def test_a_recovered_ledger_goes_on(path: Path) -> None:
    """It takes in what was lost, and records it."""
    await asyncio.to_thread(filled, path, 20, 10)
    mend(path, "UPDATE entry SET ref = '{}' WHERE number = 5")
    new = path.with_name("new.db")
    await asyncio.to_thread(recover, path, new)
    async with Ledger(new, settings=QUICK) as ledger:
        assert (ledger.counts.entries, ledger.counts.outcomes, await ledger.position("run")) == (4, 4, 0)
        standings = await ledger.enter(batch(20))
        assert [standing.number for standing in standings if standing.fresh] == list(range(5, 21))
        assert await ledger.record(success(5)) == 5
    with Reader(new) as reader:
        assert reader.check() == []


def test_an_outcome_without_its_entry_is_not_saved(path: Path) -> None:
    """Nobody would know what it is the outcome of."""
    filled(path, 20, 10)
    mend(path, "UPDATE entry SET ref = '{}' WHERE number = 5")
    counts = recover(path, path.with_name("new.db"))
    assert (counts.entries, counts.outcomes) == (4, 4)


def test_a_recovery_that_fails_leaves_nothing_half_done(path: Path) -> None:
    """Where there is no room for the new ledger, there is no new ledger."""
    filled(path, 2000, 1000)
    new = path.with_name("new.db")
    with files_up_to(100_000), pytest.raises(LedgerError, match=r"reading or writing failed|no space left"):
        recover(path, new)
    assert [file.name for file in path.parent.iterdir()] == ["run.db"]


async def test_a_ledger_in_use_is_not_recovered(path: Path) -> None:
    """What a process is at is not damaged, or is being changed."""
    async with Ledger(path, settings=QUICK):
        with pytest.raises(LedgerError, match="in use by process"):
            recover(path, path.with_name("new.db"))
    assert not path.with_name("new.db").exists()
