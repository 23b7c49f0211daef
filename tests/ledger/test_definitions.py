"""The definitions of endpoints: a ledger keeps the text of each, and refuses another one with the same name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from hub_kit import jobs_of, transport_of
from ledger_kit import directory, in_run

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import Ledger, Reader, recover
from asyncpoll.waiting._hub import Hub

NAME = "vendor.things"
TEXT = 'name = "vendor.things"  # é\n'


@pytest.fixture
def path() -> Iterator[Path]:
    """Return where a ledger may be made."""
    with directory() as place:
        yield place / "run.db"


def run(path: Path, *definitions: str | None) -> None:
    """Run one job for each of these definitions of the same endpoint."""

    async def work(hub: Hub, ledger: Ledger) -> None:
        jobs = jobs_of(transport_of(lambda _: {"state": "success", "value": "result"}), range(1, len(definitions) + 1))
        named = [
            evolve(job, endpoint=evolve(job.endpoint, name=NAME, definition=text))
            for job, text in zip(jobs, definitions, strict=True)
        ]
        async with hub.run(named, ledger=ledger, timeout=60) as items:
            async for _ in items:
                pass

    in_run(path, work)


def kept(path: Path) -> dict[str, str]:
    """Return the definitions that a ledger keeps."""
    with Reader(path) as reader:
        assert reader.check() == []
        return reader.definitions


def test_a_run_keeps_the_definitions_of_its_jobs(path: Path) -> None:
    """Those of endpoints that were made from one; the same text may come again, also in another process."""
    run(path, TEXT, TEXT, None)
    run(path, TEXT)
    assert kept(path) == {NAME: TEXT}


def test_without_definitions_none_is_kept(path: Path) -> None:
    """An endpoint in Python has none."""
    run(path, None)
    assert kept(path) == {}


@pytest.mark.parametrize("definitions", [[TEXT.upper()], [TEXT, TEXT.upper()]])
def test_another_definition_with_the_same_name_is_refused(path: Path, definitions: list[str]) -> None:
    """In one run as in a later one; both cures are named, and the first text stays."""
    run(path, TEXT)
    with pytest.raises(LedgerError, match="go on with that one, as asyncpoll resume does, or use another") as error:
        run(path, *definitions)
    assert error.value.kind == "definition"
    assert kept(path) == {NAME: TEXT}


def test_a_program_can_keep_and_read_definitions(path: Path) -> None:
    """Before any of their jobs is known."""

    async def work(_hub: Hub, ledger: Ledger) -> dict[str, str]:
        await ledger.define(NAME, TEXT)
        return await ledger.definitions()

    assert in_run(path, work) == {NAME: TEXT}
    assert kept(path) == {NAME: TEXT}


def test_definitions_are_recovered(path: Path) -> None:
    """A copy of the sound part of a ledger has them."""
    run(path, TEXT)
    recover(path, path.with_name("new.db"))
    assert kept(path.with_name("new.db")) == {NAME: TEXT}


def test_a_changed_definition_is_damage(path: Path) -> None:
    """It is not used, and the check finds it."""
    run(path, TEXT)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE definition SET text = 'name = 1'")
        connection.commit()
    with Reader(path) as reader:
        assert any("definition vendor.things" in problem for problem in reader.check())
        with pytest.raises(LedgerError, match=r"the definition of vendor\.things is not as it was written"):
            _ = reader.definitions
