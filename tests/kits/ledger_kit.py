"""Ledgers that hurry, connections that fail on demand, and a look at what is left."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from hub_kit import EVERY_SECOND

from asyncpoll.ledger import Ledger, LedgerSettings, OutcomeInput, Reader, Record
from asyncpoll.ledger._journal import Journal
from asyncpoll.testing import run_virtual
from asyncpoll.waiting._hub import Hub

T = TypeVar("T")

QUICK = LedgerSettings(linger=0.001, retry_every=0.001, patience=0.05, busy=0.05)
"""For ledgers in real time that must not take any."""

BEGINNING = 1_700_000_000.0


@contextmanager
def directory() -> Generator[Path, None, None]:
    """Give a directory in memory, where there is such a thing: no disk has to be waited for."""
    memory = Path("/dev/shm")  # noqa: S108  a name of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        yield Path(place)


@contextmanager
def files_up_to(size: int) -> Generator[None, None, None]:
    """Let no file of this process grow beyond so many bytes."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def quick(**changes: Any) -> LedgerSettings:
    """Return settings in which nothing takes time, with some changes."""
    return evolve(QUICK, **changes)


def journal_of(ledger: Ledger) -> Journal:
    """Return the journal of an open ledger."""
    assert ledger._journal is not None
    return ledger._journal


def batch(count: int, first: int = 1) -> list[tuple[str, str, Any]]:
    """Return so many made-up jobs as a ledger takes them; the numbers of a new ledger's entries begin at 1."""
    return [(f"made.up:{number}", "made.up", {"id": number}) for number in range(first, first + count)]


def success(number: int, **facts: Any) -> OutcomeInput:
    """Return how the wait for a job ended well."""
    return evolve(OutcomeInput(number=number, state="success", status="done", value={"n": number}), **facts)


def filled(path: Path, entries: int = 10, outcomes: int = 6, **options: Any) -> None:
    """Write a ledger with so many entries and outcomes, a note of progress and a position, and close it."""

    async def fill() -> None:
        async with Ledger(path, settings=quick(clock=lambda: BEGINNING), **options) as ledger:
            await ledger.keep({"timeout": 5.0})
            await ledger.enter(batch(entries))
            await asyncio.gather(*(ledger.record(success(number)) for number in range(1, outcomes + 1)))
            await ledger.acknowledge("run", outcomes // 2)

    asyncio.run(fill())


def records_of(path: Path) -> list[Record]:
    """Return all that is recorded."""
    with Reader(path) as reader:
        return list(reader.records())


def in_run(path: Path, work: Callable[[Hub, Ledger], Awaitable[T]], *, at: float = 0.0, **settings: Any) -> T:
    """Run *work* in virtual time with a hub that polls every second and an open ledger; nothing is left behind.

    It begins *at* seconds after the beginning.
    """

    async def main() -> T:
        clock = asyncio.get_running_loop().time
        told: dict[str, Any] = {"clock": lambda: BEGINNING + at + clock(), **settings}
        async with Ledger(path, settings=LedgerSettings(**told)) as ledger, Hub(schedule=EVERY_SECOND) as hub:
            result = await work(hub, ledger)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return run_virtual(main())


class Faults:
    """Makes connections whose statements fail as they are told to.

    Attributes:
        statements: How many statements have been executed through all of them.
        at: The statement that fails, counted from 1, or 0 for none.
        lasting: Whether all statements after it fail, too.
        afterwards: Whether it fails after it has been executed, so that it had its effect.
        code: What it fails with, an error code of SQLite.
    """

    def __init__(
        self, at: int = 0, *, lasting: bool = False, afterwards: bool = False, code: int = sqlite3.SQLITE_IOERR
    ) -> None:
        self.statements = 0
        self.at = at
        self.lasting = lasting
        self.afterwards = afterwards
        self.code = code

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        """Connect, as `sqlite3.connect` does."""
        faults = self

        class Faulty(sqlite3.Connection):
            def execute(self, *statement: Any) -> sqlite3.Cursor:
                faults.statements += 1
                fails = faults.at and (
                    faults.statements == faults.at or (faults.lasting and faults.statements > faults.at)
                )
                if fails and not faults.afterwards:
                    raise faults.error()
                cursor = super().execute(*statement)
                if fails:
                    cursor.close()
                    raise faults.error()
                return cursor

        return sqlite3.connect(*args, **options, factory=Faulty)

    def error(self) -> sqlite3.OperationalError:
        """Return the error."""
        error = sqlite3.OperationalError("made up")
        error.sqlite_errorcode = self.code
        return error
