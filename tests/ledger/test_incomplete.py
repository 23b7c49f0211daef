"""Ledgers of which something is missing: a log that was left behind, cut or damaged is always noticed."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ledger_kit import QUICK, batch, filled, success

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import Ledger, Reader, recover
from asyncpoll.ledger._files import is_whole

FILES = "run.db", "run.db-wal", "run.db.lock"
CHANGES = 60


def killed(path: Path, *, copied: tuple[str, ...] = FILES) -> Path:
    """Return the copy of a ledger with 8 outcomes in the file and 12 in its log, as a killed process leaves it."""
    filled(path, 30, 8)
    place = path.parent / "copy"
    place.mkdir()

    async def go_on() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            for number in range(9, 21):
                await ledger.record(success(number))
            for name in copied:
                await asyncio.to_thread(shutil.copy, path.with_name(name), place)

    asyncio.run(go_on())
    return place / "run.db"


def opened(path: Path, *, accept_loss: bool = False) -> int:
    """Open a ledger, close it, and return how many outcomes it had."""

    async def session() -> int:
        async with Ledger(path, settings=QUICK, accept_loss=accept_loss) as ledger:
            return ledger.counts.outcomes

    return asyncio.run(session())


def read(path: Path) -> int:
    """Read a ledger, and return how many outcomes it has."""
    with Reader(path) as reader:
        assert reader.check() == []
        return len(list(reader.records()))


def recovered(path: Path) -> int:
    """Copy a ledger, and return how many outcomes that has."""
    return recover(path, path.with_name("new.db")).outcomes


WAYS = pytest.mark.parametrize("way", [opened, read, recovered])
LOCKED = pytest.mark.parametrize("lock", [(), ("run.db.lock",)], ids=["without the lock file", "with the lock file"])


@WAYS
@pytest.mark.parametrize("copied", [FILES, FILES[:2]], ids=["all files", "file and log"])
def test_a_copy_with_its_log_is_complete(path: Path, way: Callable[[Path], int], copied: tuple[str, ...]) -> None:
    """All 20 outcomes are there, those in the log included."""
    assert way(killed(path, copied=copied)) == 20


@WAYS
@LOCKED
def test_a_copy_without_its_log_is_refused(path: Path, way: Callable[[Path], int], lock: tuple[str, ...]) -> None:
    """The error names the file that is missing, and both cures."""
    copy = killed(path, copied=("run.db", *lock))
    with pytest.raises(LedgerError, match=r"put run\.db-wal .* beside it, or pass accept_loss=True") as caught:
        way(copy)
    assert caught.value.kind == "incomplete"


@pytest.mark.parametrize("way", [opened, recovered])
def test_a_refusal_leaves_no_new_files(path: Path, way: Callable[[Path], int]) -> None:
    """The log can still be put beside the file, and then nothing is missing."""
    copy = killed(path, copied=("run.db", "run.db-wal"))
    log = copy.with_name("run.db-wal")
    log.rename(path.with_name("found"))
    with pytest.raises(LedgerError):
        way(copy)
    assert [file.name for file in copy.parent.iterdir()] == ["run.db"]
    path.with_name("found").rename(log)
    assert opened(copy) == 20


@LOCKED
def test_a_loss_can_be_accepted(path: Path, lock: tuple[str, ...]) -> None:
    """Jobs whose outcomes are lost are unfinished again; from then on the ledger is complete."""
    copy = killed(path, copied=("run.db", *lock))
    with Reader(copy, accept_loss=True) as reader:
        assert reader.loss is not None
        assert reader.loss in reader.check()[0]
        assert [entry.number for entry in reader.unfinished()] == list(range(9, 31))
    assert recover(copy, copy.with_name("new.db"), accept_loss=True).outcomes == 8
    assert (opened(copy, accept_loss=True), opened(copy), read(copy)) == (8, 8, 8)
    assert sorted(file.name for file in copy.parent.iterdir()) == ["new.db", "run.db"]


async def test_a_ledger_says_what_was_lost(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In words, and in the log of the program."""
    copy = await asyncio.to_thread(lambda: _in_thread(path))
    async with Ledger(copy, settings=QUICK, accept_loss=True) as ledger:
        assert "run.db-wal is missing" in (ledger.loss or "")
    assert "opened although run.db-wal is missing" in caplog.text
    async with Ledger(copy, settings=QUICK) as ledger:
        assert ledger.loss is None


def _in_thread(path: Path) -> Path:
    return killed(path, copied=("run.db",))


@LOCKED
def test_every_changed_bit_of_a_log_is_noticed(path: Path, lock: tuple[str, ...]) -> None:
    """SQLite itself drops what comes after it, and says nothing."""
    copy, chance = killed(path, copied=("run.db", "run.db-wal", *lock)), random.Random(5)
    files = {name: copy.with_name(name).read_bytes() for name in ("run.db", "run.db-wal", *lock)}
    length = len(files["run.db-wal"])
    last = length - 24 - 4096  # the frame that ends the last commit: 24 bytes about it, and a page
    for at in [0, 3, 16, 20, last, last + 8, last + 12, *(chance.randrange(length) for _ in range(CHANGES))]:
        changed = bytearray(files["run.db-wal"])
        changed[at] ^= 1 << chance.randrange(8)
        for file in copy.parent.iterdir():
            file.unlink()
        for name, content in {**files, "run.db-wal": bytes(changed)}.items():
            copy.with_name(name).write_bytes(content)
        for way in (read, opened):
            with pytest.raises(LedgerError) as caught:
                way(copy)
            assert caught.value.kind == "incomplete"


@LOCKED
def test_every_cut_of_a_log_is_noticed(path: Path, lock: tuple[str, ...]) -> None:
    """Wherever it ends too soon, at once or after a while."""
    copy, chance = killed(path, copied=("run.db", "run.db-wal", *lock)), random.Random(6)
    log = copy.with_name("run.db-wal").read_bytes()
    for length in [0, 1, 31, 32 + 4000, *(chance.randrange(len(log)) for _ in range(CHANGES))]:
        copy.with_name("run.db-wal").write_bytes(log[:length])
        with pytest.raises(LedgerError) as caught:
            read(copy)
        assert caught.value.kind == "incomplete"


def test_a_transaction_that_was_being_written_is_no_loss(path: Path) -> None:
    """The lock file knows that its outcomes were never said to be recorded; without that file it could be a cut."""
    copy = killed(path)
    with copy.with_name("run.db-wal").open("rb+") as log:
        content = log.read()
        log.write(content[32 : 32 + 5000])
    assert read(copy) == 20
    copy.with_name("run.db.lock").unlink()
    with pytest.raises(LedgerError, match=r"the end of run\.db-wal"):
        read(copy)


def test_a_log_that_another_program_brought_in_is_no_loss(path: Path) -> None:
    """Any SQLite that opens the file does that, and removes the log."""
    copy = killed(path)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("SELECT * FROM head").fetchall()
    assert not copy.with_name("run.db-wal").exists()
    assert (read(copy), opened(copy)) == (20, 20)


def test_an_older_copy_of_the_file_is_refused(path: Path) -> None:
    """The lock file has seen later commits than that."""
    filled(path, 30, 8)
    older = path.read_bytes()
    copy = killed(path)
    copy.with_name("run.db-wal").unlink()
    copy.write_bytes(older)
    with pytest.raises(LedgerError, match=r"commits are missing") as caught:
        opened(copy)
    assert caught.value.kind == "incomplete"


def test_the_lock_file_of_another_ledger_says_nothing(path: Path) -> None:
    """A new ledger may have the name of one that was removed without its lock file."""
    copy = killed(path)
    for name in ("run.db", "run.db-wal"):
        copy.with_name(name).unlink()
    filled(copy, 5, 5)
    assert read(copy) == 5


def test_a_log_may_end_with_frames_of_the_log_before(path: Path) -> None:
    """SQLite writes from the beginning again once all of a log is in the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.executemany("INSERT INTO words VALUES (?)", [(f"{number}" * 1000,) for number in range(50)])
        log = path.with_name("run.db-wal")
        whole = log.read_bytes()
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        connection.execute("INSERT INTO words VALUES ('one')")
        assert len(log.read_bytes()) == len(whole)
        assert is_whole(log.read_bytes())
    assert is_whole(whole)
    assert not is_whole(whole[:32] + whole[32 + 24 + 4096 :])


HOLDER = """
import asyncio, sys
from asyncpoll.ledger import Ledger

async def hold():
    async with Ledger(sys.argv[1]) as ledger:
        await ledger.enter([("made.up:1", "made.up", 1)])
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_a_lock_file_that_is_removed_lets_no_second_process_in(path: Path) -> None:
    """The ledger itself says which process has it open, and that is still there."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        path.with_name("run.db.lock").unlink()
        with pytest.raises(LedgerError, match=f"in use by process {holder.pid} on") as caught:
            opened(path)
        assert caught.value.kind == "locked"
        holder.communicate()
    assert holder.returncode == 0
    assert read(path) == 0


@pytest.mark.parametrize("left", [True, False], ids=["with its lock file", "without its lock file"])
def test_a_holder_that_was_killed_does_not_hold(path: Path, left: bool) -> None:  # noqa: FBT001  a parameter
    """Its ledger is complete, and can be opened at once."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        holder.kill()
    if not left:
        path.with_name("run.db.lock").unlink()
    with Reader(path) as reader:
        assert (reader.holder, reader.counts.entries, reader.check()) == (None, 1, [])
    assert opened(path) == 0
    assert [file.name for file in path.parent.iterdir()] == ["run.db"]


async def test_entries_in_a_log_are_not_lost_either(path: Path) -> None:
    """Jobs that were entered and never ended count, too."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(5))
        copy = path.with_name("copy.db")
        await asyncio.to_thread(shutil.copy, path, copy)
    with pytest.raises(LedgerError) as caught:
        await asyncio.to_thread(read, copy)
    assert caught.value.kind == "incomplete"
