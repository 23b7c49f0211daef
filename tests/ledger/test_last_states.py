"""The states in which unfinished jobs were last seen, as a ledger tells them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from ledger_kit import batch, filled, in_run, success

from asyncpoll._errors import LedgerError
from asyncpoll._state import State
from asyncpoll.ledger import Ledger, Reader
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._hub import Hub

SEEN = {1: State.PENDING, 2: State.PROCESSING, 3: None, 5: State.PROCESSING, 6: State.PENDING}


def write(path: Path) -> None:
    """Write a ledger with 7 jobs, of 5 of which something was noted, and the outcomes of numbers 6 and 7."""

    async def work(_hub: Hub, ledger: Ledger) -> None:
        await ledger.enter([*batch(4), *((f"other:{number}", "other", {}) for number in (5, 6, 7))])
        for number, state in SEEN.items():
            ledger.note(number, WaitCheckpoint(polls=1, state=state))
        await asyncio.sleep(3)
        await ledger.record(success(6))
        await ledger.record(success(7))

    in_run(path, work)


def test_unfinished_jobs_are_counted_by_the_state_last_noted(path: Path) -> None:
    """By endpoint, too; jobs of which nothing was noted, or that no poll has seen, are said not to be seen yet."""
    write(path)
    with Reader(path) as reader:
        assert reader.last_states() == {
            ("made.up", "pending"): 1,
            ("made.up", "processing"): 1,
            ("made.up", "not seen yet"): 2,
            ("other", "processing"): 1,
        }


def test_only_the_first_outcomes_count(path: Path) -> None:
    """A job whose outcome was recorded after those is unfinished."""
    write(path)
    with Reader(path) as reader:
        later = reader.last_states(outcomes=1)
        assert (later["other", "processing"], later["other", "not seen yet"]) == (1, 1)
        assert reader.last_states(outcomes=0)["other", "pending"] == 1
        assert sum(reader.last_states(outcomes=0).values()) == 7


def test_a_large_ledger_is_read_to_the_end(path: Path) -> None:
    """However many pages it takes."""
    filled(path, 1100, 600)
    with Reader(path) as reader:
        assert reader.last_states() == {("made.up", "not seen yet"): 500}


def test_a_finished_run_has_none(path: Path) -> None:
    """Nor has one without jobs."""
    filled(path, 3, 3)
    filled(path.with_name("empty.db"), 0, 0)
    for place in (path, path.with_name("empty.db")):
        with Reader(place) as reader:
            assert reader.last_states() == {}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE progress SET state = 'success' WHERE number = 1", "the progress of a job"),
        ("UPDATE entry SET endpoint = 'x' WHERE number = 4", "entry 4"),
    ],
)
def test_what_was_tampered_with_is_found(path: Path, change: str, found: str) -> None:
    """Every row that counts is checked."""
    write(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change)
    with Reader(path) as reader, pytest.raises(LedgerError, match=found):
        reader.last_states()
