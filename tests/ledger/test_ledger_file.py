"""What is refused before a ledger is opened, and left exactly as it is."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ledger_kit import QUICK, batch, filled, journal_of, quick

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import Ledger, Reader, recover
from asyncpoll.ledger._files import ledger_error, os_trouble
from asyncpoll.ledger._lock import holder_of, refuse_network


def refusal(path: Path) -> LedgerError:
    """Return the error with which opening is refused, and see that nothing was touched."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}

    async def open_it() -> None:
        async with Ledger(path, settings=QUICK):
            pass

    with pytest.raises(LedgerError) as caught:
        asyncio.run(open_it())
    assert {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before
    return caught.value


def foreign_database(path: Path) -> None:
    """Make the database of another program."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cake (taste TEXT)")


def newer_ledger(path: Path) -> None:
    """Make a ledger of a later format."""
    filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 5")


def cut_header(path: Path) -> None:
    """Make a ledger of which the first bytes are left."""
    filled(path)
    path.write_bytes(path.read_bytes()[:50])


def cut_end(path: Path) -> None:
    """Make a ledger without its last page."""
    filled(path)
    path.write_bytes(path.read_bytes()[:-4096])


STRANGERS: list[tuple[str, str, Callable[[Path], object]]] = [
    ("foreign", "not an asyncpoll ledger", lambda path: path.write_text('{"endpoint": "bigmodel.agents"}\n')),
    ("foreign", "not an asyncpoll ledger", lambda path: path.write_bytes(bytes(4096))),
    ("foreign", "not an asyncpoll ledger", foreign_database),
    ("version", "format 5", newer_ledger),
    ("damaged", "empty file", lambda path: path.touch()),
    ("foreign", "its header is damaged", cut_header),
    ("damaged", "recover", cut_end),
    ("foreign", "is a directory", lambda path: path.mkdir()),
]


@pytest.mark.parametrize(("kind", "words", "make"), STRANGERS)
def test_what_is_no_sound_ledger_is_refused(path: Path, kind: str, words: str, make: Callable[[Path], object]) -> None:
    """It is never overwritten, and the error says what it is and what to do."""
    make(path)
    error = refusal(path)
    assert (error.kind, words in str(error)) == (kind, True)


@pytest.mark.parametrize(
    ("name", "kind", "words"), [("none.db", "missing", "there is no ledger"), ("", "foreign", "is a dir")]
)
def test_what_is_not_there_cannot_be_read(path: Path, name: str, kind: str, words: str) -> None:
    """Neither a file that is missing nor a directory."""
    with pytest.raises(LedgerError, match=words) as caught, Reader(path.parent / name):
        pass
    assert caught.value.kind == kind


def test_a_directory_that_does_not_exist_is_refused(path: Path) -> None:
    """Nothing is made on the way."""
    with pytest.raises(LedgerError, match="No such file or directory"):
        asyncio.run(Ledger(path.parent / "none" / "run.db", settings=QUICK).__aenter__())
    assert not (path.parent / "none").exists()


MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/home {share} {kind} rw 0 0
tmpfs {share}/here tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("kind", "place", "refused"),
    [
        ("nfs4", "", True),
        ("cifs", "deep/down", True),
        ("fuse.sshfs", "", True),
        ("ext4", "", False),
        ("fuse.mergerfs", "", False),
        ("nfs", "here", False),
    ],
)
def test_a_network_file_system_is_refused(path: Path, kind: str, place: str, refused: bool) -> None:  # noqa: FBT001  a parameter
    """The innermost mount decides; a name with a space in it is found, too."""
    share = path.parent / "a share"
    mounts = path.parent / "mounts"
    mounts.write_text(MOUNTS.format(share=str(share).replace(" ", "\\040"), kind=kind))
    ledger = share / place / "run.db"
    if not refused:
        refuse_network(ledger, mounts)
        return
    with pytest.raises(LedgerError, match="network file system") as caught:
        asyncio.run(Ledger(ledger, settings=quick(mounts=mounts)).__aenter__())
    assert (caught.value.kind, share.exists()) == ("network", False)


def test_where_mounts_are_not_told_every_place_is_local(path: Path) -> None:
    """Other systems have no such table."""
    refuse_network(path, path.parent / "none")


def test_a_lock_file_that_was_left_behind_is_taken_over(path: Path) -> None:
    """What counts is the lock of the system, which a dead process does not have; not the file."""
    filled(path)
    beside = path.with_name("run.db.lock")
    beside.write_text('{"pid": 1, "host": "gone"}')
    assert holder_of(path) is None
    filled(path)
    assert not beside.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"pid": 1}', b"\xff"])
def test_a_holder_that_has_no_name_yet_holds_the_ledger(path: Path, content: bytes) -> None:
    """Between making the file and writing into it there is a moment."""
    beside = path.with_name("run.db.lock")
    beside.write_bytes(content)
    with beside.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "in use by another process" in str(refusal(path))
        assert holder_of(path) == "another process"


def test_a_lock_file_that_vanishes_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had it before may remove it between our opening and our locking."""
    beside, real = path.with_name("run.db.lock"), fcntl.flock
    vanished: list[bool] = []

    def late(descriptor: int, how: int) -> None:
        if not vanished:
            vanished.append(True)
            beside.unlink()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    filled(path)
    with Reader(path) as reader:
        assert (vanished, reader.counts.entries) == ([True], 10)


def test_what_a_killed_creation_left_behind_is_no_obstacle(path: Path) -> None:
    """A file under its temporary name is removed; the name itself was never given."""
    beside = path.with_name(".run.db.new")
    beside.write_bytes(b"half a led")
    filled(path)
    beside.hardlink_to(path)  # it was killed just after the name was given
    filled(path)
    assert [file.name for file in path.parent.iterdir()] == ["run.db"]


def test_what_stands_in_the_way_of_a_creation_is_told(path: Path) -> None:
    """A directory with the temporary name is nobody's leftover."""
    path.with_name(".run.db.new").mkdir()
    assert refusal(path).kind in {"io", "readonly"}


async def test_a_ledger_that_is_moved_away_fails_at_once(path: Path) -> None:
    """It must not go on writing into a file that has another name, or none."""

    async def use() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.enter(batch(1))
            await asyncio.to_thread(path.rename, path.with_name("other.db"))
            with pytest.raises(LedgerError):
                await ledger.enter(batch(1, 2))
            assert not await asyncio.to_thread(path.exists)

    with pytest.raises(LedgerError, match="moved, removed or replaced") as caught:
        await use()
    assert caught.value.kind == "gone"


async def test_a_ledger_that_is_removed_is_missed_within_a_second(path: Path) -> None:
    """Also when there is nothing to write."""
    ledger = Ledger(path, settings=quick(beat=0.01))

    async def use() -> None:
        async with ledger:
            await asyncio.to_thread(path.unlink)
            while True:
                await asyncio.sleep(0.001)
                journal_of(ledger).raise_failure()

    with pytest.raises(LedgerError, match="moved, removed or replaced"):
        await use()


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EACCES, "readonly"), (errno.EROFS, "readonly"), (errno.ENOSPC, "full"), (errno.EIO, "io")],
)
def test_errors_of_the_file_system_have_kinds(number: int, kind: str) -> None:
    """Each names the file, and what to do."""
    error = os_trouble(OSError(number, os.strerror(number)), Path("run.db"))
    assert (error.kind, "run.db" in str(error)) == (kind, True)


@pytest.mark.parametrize(
    ("code", "kind", "passing"),
    [
        (sqlite3.SQLITE_FULL, "full", True),
        (sqlite3.SQLITE_IOERR_FSYNC, "io", True),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "busy", True),
        (sqlite3.SQLITE_READONLY, "readonly", False),
        (sqlite3.SQLITE_CORRUPT, "damaged", False),
        (sqlite3.SQLITE_CONSTRAINT, "damaged", False),
        (None, "damaged", False),
    ],
)
def test_errors_of_sqlite_have_kinds(code: int | None, kind: str, passing: bool) -> None:  # noqa: FBT001  a parameter
    """Some may pass by themselves; what must not happen at all is damage."""
    error = sqlite3.OperationalError("made up")
    if code is not None:
        error.sqlite_errorcode = code
    made = ledger_error(error, Path("run.db"))
    assert (made.kind, made.passing) == (kind, passing)


def test_a_new_name_for_recovery_must_be_free(path: Path) -> None:
    """Recovering never writes over anything."""
    filled(path)
    other = path.with_name("other.db")
    other.write_text("mine")
    with pytest.raises(LedgerError, match="never replaced"):
        recover(path, other)
    assert other.read_text() == "mine"
