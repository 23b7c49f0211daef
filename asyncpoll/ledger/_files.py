"""The files of a ledger: how they are made, what is refused before anything is written, and what is missing.

While a ledger is open, its newest changes are in a log beside it, the -wal file. SQLite ends the log at the first frame
that is not sound, and says nothing: a log that was left behind, cut or damaged would be an older state of the run.
Three things show it: the head of the main file says since the first write of a session that there is a log; the lock
file keeps the number of commits, and outlives a process that is killed; and where that was not copied either, the log
itself tells whether there is more of it than its sound part.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from struct import Struct, unpack_from
from typing import Final, NamedTuple

from attrs import frozen

from asyncpoll._atomic_file import AtomicFile
from asyncpoll._errors import LedgerError
from asyncpoll.ledger._schema import APPLICATION, CURE, VERSION, Head, create_tables

_PATIENCE: Final = 5.0  # seconds for a writer that is just opening or closing the file
_PRIMARY: Final = 0xFF  # the part of SQLite's error codes that names the class

DATABASE_ERRORS: Final = sqlite3.Error, UnicodeDecodeError
"""The errors of reading and writing a database; the latter when the name of a column is damaged."""

_CAUSES: Final = {
    sqlite3.SQLITE_FULL: ("full", "there is no space left; free some"),
    sqlite3.SQLITE_IOERR: ("io", "reading or writing failed; check the disk"),
    sqlite3.SQLITE_CANTOPEN: ("io", "it cannot be opened; check its directory and the limit of open files"),
    sqlite3.SQLITE_READONLY: ("readonly", "it cannot be written; make the file and its directory writable"),
    sqlite3.SQLITE_BUSY: ("busy", "another program has locked the file; wait until it has finished"),
    sqlite3.SQLITE_LOCKED: ("busy", "another program has locked the file; wait until it has finished"),
}
_DAMAGED: Final = "damaged", f"the file is not as it was written; {CURE}"

_LOG_HEADER, _FRAME_HEADER = Struct(">8I"), Struct(">6I")
_LOG_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
"""The first word of a log, and the byte order of its checksums (https://www.sqlite.org/fileformat2.html#walformat)."""


class Mark(NamedTuple):
    """The state of a ledger after a commit, as its lock file keeps it.

    Attributes:
        ledger: The identity of the ledger.
        commits: The number of commits.
    """

    ledger: str
    commits: int


@frozen
class Identity:
    """The identity of a file, whatever its name: device and number."""

    device: int
    number: int

    @classmethod
    def of(cls, path: Path) -> Identity | None:
        """Return the identity of the file that now has this name, or None when there is none."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_dev, status.st_ino)


def log_of(path: Path) -> Path:
    """Return the path of the log of a ledger."""
    return path.with_name(f"{path.name}-wal")


def inspect(path: Path) -> None:
    """Check that a file is a ledger, without changing it.

    Only SQLite opens it: if this process opened and closed it in any other way, the system would release the locks that
    SQLite has on it, also those of a connection in use.

    Raises:
        LedgerError: It is not a ledger ("foreign"), has another format ("version"), is empty ("damaged"), or cannot be
            read ("io", "readonly").
    """
    try:
        if path.is_dir():
            raise LedgerError(f"{path} is a directory, not a ledger; name the file", kind="foreign")
        if path.stat().st_size == 0:
            raise LedgerError(f"{path} is an empty file, not a ledger; remove it if you miss nothing", kind="damaged")
        with closing(read_only(path)) as connection:
            names = "application_id", "user_version"
            application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    except FileNotFoundError as error:
        raise LedgerError(f"there is no ledger {path}; check the name", kind="missing") from error
    except OSError as error:
        raise os_trouble(error, path) from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
            raise ledger_error(error, path) from error
        application = version = 0
    if application != APPLICATION:
        message = f"{path} is not an asyncpoll ledger, or its header is damaged; choose another file"
        raise LedgerError(message, kind="foreign")
    if version != VERSION:
        raise LedgerError(
            f"the ledger {path} has format {version}, and this asyncpoll reads {VERSION}; use the one that wrote it, "
            "or a newer one",
            kind="version",
        )


def read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that can only read the file."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE, isolation_level=None)


def create(
    path: Path,
    fill: Callable[[sqlite3.Connection], object],
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
) -> None:
    """Create a ledger, which appears under its name only when it is complete; only its owner can read it.

    Args:
        path: Its name, which must be free.
        fill: Writes at least the head into the empty tables.
        connect: Makes a connection, as `sqlite3.connect` does.

    Raises:
        LedgerError: It cannot be created.
        sqlite3.Error: Likewise.
    """
    try:
        unfinished(path).unlink(missing_ok=True)
        with (
            AtomicFile(path, temporary=unfinished(path)) as new,
            closing(connect(str(new.temporary), isolation_level=None)) as connection,
        ):
            create_tables(connection)
            fill(connection)
    except OSError as error:
        raise os_trouble(error, path) from error


def unfinished(path: Path) -> Path:
    """Return the name that a ledger has while it is being created."""
    return path.with_name(f".{path.name}.new")


def peek(path: Path) -> Head | None:
    """Return the head of a ledger, or None when that is damaged, which is reported where the rows are read."""
    with closing(read_only(path)) as connection, suppress(LedgerError, *DATABASE_ERRORS):
        return Head.read(connection)
    return None


def remove_log(path: Path) -> None:
    """Remove the empty log that SQLite makes when a file is read whose log was left behind."""
    for tail in ("-wal", "-shm"):
        path.with_name(f"{path.name}{tail}").unlink(missing_ok=True)


def loss_of(path: Path, head: Head | None, mark: Mark | None) -> str | None:
    """Return in words which changes of a ledger are missing, or None when nothing is.

    Args:
        path: The ledger's file.
        head: Its head, as it was read.
        mark: The mark in its lock file, if there is one.
    """
    if head is None:
        return None
    if mark is not None and mark.ledger == head.id:
        lost = mark.commits - head.commits
        return f"the last {lost} of {mark.commits} commits are missing" if lost > 0 else None
    if head.holder is None:
        return None
    log = log_of(path)
    content = log.read_bytes() if log.exists() else b""
    if not content:
        return f"{log.name} is missing or empty, and the newest outcomes were in it"
    return None if is_whole(content) else f"the end of {log.name} is damaged or missing"


def incomplete(path: Path, loss: str) -> LedgerError:
    """Return the error of a ledger of which something is missing."""
    return LedgerError(
        f"the ledger {path} is not complete: {loss}; put {log_of(path).name} and {path.name}.lock of the same run "
        "beside it, or pass accept_loss=True to go on without: jobs whose outcomes are lost are then unfinished",
        kind="incomplete",
    )


def is_whole(log: bytes) -> bool:
    """Return whether a log ends with a commit, and has nothing of its own behind it.

    Behind the last commit there may be frames of an earlier log, which this one has begun to overwrite: neither of
    their salts is that of this log.
    """
    if len(log) < _LOG_HEADER.size:
        return False
    magic, _version, page, _number, *salts, first, second = _LOG_HEADER.unpack_from(log)
    order = _LOG_MAGIC.get(magic)
    if order is None or _checksum(order, log, 0, _LOG_HEADER.size - 8, (0, 0)) != (first, second):
        return False
    size, sums = _FRAME_HEADER.size + page, (first, second)
    is_own = is_committed = True
    for at in range(_LOG_HEADER.size, len(log), size):
        if at + size > len(log):
            return False
        _page, commit, *own, first, second = _FRAME_HEADER.unpack_from(log, at)
        if is_own and own == salts:
            sums = _checksum(order, log, at, 8, sums)
            sums = _checksum(order, log, at + _FRAME_HEADER.size, page, sums)
            if sums != (first, second):
                return False
            is_committed = bool(commit)
        elif own[0] == salts[0] or own[1] == salts[1]:
            return False
        else:
            is_own = False
    return is_committed


def _checksum(order: str, log: bytes, at: int, size: int, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = unpack_from(f"{order}{size // 4}I", log, at)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def ledger_error(error: Exception, path: Path) -> LedgerError:
    """Return the error of the ledger at *path* that one of `DATABASE_ERRORS` stands for."""
    code: int | None = getattr(error, "sqlite_errorcode", None)  # text that is not UTF-8 has none
    return trouble(_DAMAGED if code is None else _CAUSES.get(code & _PRIMARY, _DAMAGED), path)


def gone(path: Path) -> LedgerError:
    """Return the error of a file that has lost its name while it was open."""
    return LedgerError(
        f"the ledger {path} was moved, removed or replaced while in use; put it back, with the files that are named "
        "like it, and resume the run",
        kind="gone",
    )


def held(path: Path) -> LedgerError:
    """Return the error of a file that another program has locked."""
    return trouble(_CAUSES[sqlite3.SQLITE_BUSY], path)


def os_trouble(error: OSError, path: Path) -> LedgerError:
    """Return the error that an error of the file system stands for; the file is a ledger or one made from it."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return trouble(_CAUSES[sqlite3.SQLITE_READONLY], path)
    if error.errno == errno.ENOSPC:
        return trouble(_CAUSES[sqlite3.SQLITE_FULL], path)
    cure = "" if isinstance(error, FileExistsError) else "; choose another place"
    return LedgerError(f"{path} cannot be used: {error.strerror}{cure}", kind="io")


def trouble(cause: tuple[str, str], path: Path) -> LedgerError:
    """Return the error for a cause: its kind, and what happened and what to do."""
    kind, words = cause
    return LedgerError(f"{path} cannot be used: {words}", kind=kind)
