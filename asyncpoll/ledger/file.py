"""The file of a ledger: how it comes to be, and what is refused before it is written."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from asyncpoll._errors import LedgerError
from asyncpoll.ledger.schema import APPLICATION, CURE, VERSION, create_tables

_PATIENCE: Final = 5.0  # seconds for a writer that is just opening or closing the file
_PRIMARY: Final = 0xFF  # the part of SQLite's error codes that names the class

DATABASE_ERRORS: Final = sqlite3.Error, UnicodeDecodeError
"""What reading and writing a database raises; the latter when the name of a column is damaged."""

_CAUSES: Final = {
    sqlite3.SQLITE_FULL: ("full", "there is no space left; make some"),
    sqlite3.SQLITE_IOERR: ("io", "reading or writing failed; look after the disk"),
    sqlite3.SQLITE_CANTOPEN: ("io", "it cannot be opened; look at its directory, and at the limit of open files"),
    sqlite3.SQLITE_READONLY: ("readonly", "it cannot be written; make the file and its directory writable"),
    sqlite3.SQLITE_BUSY: ("busy", "another program holds the file; wait until it is done"),
    sqlite3.SQLITE_LOCKED: ("busy", "another program holds the file; wait until it is done"),
}
_DAMAGED: Final = "damaged", f"the file is not what was written; {CURE}"


@frozen
class Identity:
    """Which file it is, whatever its name: device and number."""

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


def inspect(path: Path) -> None:
    """Look at a file that is said to be a ledger, without changing it.

    It is opened by nobody but SQLite: if this process opened and closed it in any other way, the system would take
    away the locks that SQLite has on it, also for a connection that is at work.

    Raises:
        LedgerError: It is no ledger ("foreign"), of another format ("version"), empty ("damaged"), or cannot be read
            ("io", "readonly").
    """
    try:
        if path.is_dir():
            raise LedgerError(f"{path} is a directory, not a ledger; name the file", kind="foreign")
        if path.stat().st_size == 0:
            raise LedgerError(f"{path} is an empty file, not a ledger; remove it if nothing is missing", kind="damaged")
        with closing(read_only(path)) as connection:
            names = "application_id", "user_version"
            application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    except FileNotFoundError as error:
        raise LedgerError(f"there is no ledger {path}; see whether the name is right", kind="io") from error
    except OSError as error:
        raise os_trouble(error, path) from error
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
            raise ledger_error(error, path) from error
        application = version = 0
    if application != APPLICATION:
        message = f"{path} is no ledger but another kind of file, or its beginning is lost; choose another name"
        raise LedgerError(message, kind="foreign")
    if version != VERSION:
        raise LedgerError(
            f"the ledger {path} has format {version}, and this asyncpoll reads {VERSION}; use the one that wrote it, "
            "or a newer one",
            kind="version",
        )


def read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that can look at the file, and no more."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE, isolation_level=None)


def create(
    path: Path,
    fill: Callable[[sqlite3.Connection], object],
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
) -> None:
    """Make a ledger, which appears under its name only when it is complete; only its owner can read it.

    Args:
        path: Its name, which nothing must have.
        fill: Writes at least the head into the empty tables.
        connect: Makes a connection, as `sqlite3.connect` does.

    Raises:
        LedgerError: It cannot be made.
        sqlite3.Error: Likewise.
    """
    temporary = unfinished(path)
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with closing(connect(str(temporary), isolation_level=None)) as connection:
                create_tables(connection)
                fill(connection)
            path.hardlink_to(temporary)  # unlike a rename it never replaces
        finally:
            temporary.unlink()
        _sync_directory(path.parent)
    except OSError as error:
        raise os_trouble(error, path) from error


def unfinished(path: Path) -> Path:
    """Return the name that a ledger has while it is being made."""
    return path.with_name(f".{path.name}.new")


def ledger_error(error: Exception, path: Path) -> LedgerError:
    """Return what one of `DATABASE_ERRORS` means for the ledger at *path*."""
    code: int | None = getattr(error, "sqlite_errorcode", None)  # what is no UTF-8 has none
    return trouble(_DAMAGED if code is None else _CAUSES.get(code & _PRIMARY, _DAMAGED), path)


def gone(path: Path) -> LedgerError:
    """Return the error that says that the file has lost its name while it was open."""
    return LedgerError(
        f"the ledger {path} was moved, removed or replaced while in use; put it back, with what is named like it, and "
        "go on from there",
        kind="gone",
    )


def held(path: Path) -> LedgerError:
    """Return the error that says that another program has the file."""
    return trouble(_CAUSES[sqlite3.SQLITE_BUSY], path)


def os_trouble(error: OSError, path: Path) -> LedgerError:
    """Return what an error of the file system means for the file at *path*, a ledger or what is made from one."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return trouble(_CAUSES[sqlite3.SQLITE_READONLY], path)
    if error.errno == errno.ENOSPC:
        return trouble(_CAUSES[sqlite3.SQLITE_FULL], path)
    return LedgerError(f"{path} cannot be used: {error.strerror}; choose another place", kind="io")


def trouble(cause: tuple[str, str], path: Path) -> LedgerError:
    """Return the error for a cause: one word for it, and what to do about it."""
    kind, cure = cause
    return LedgerError(f"{path} cannot be used: {cure}", kind=kind)


def _sync_directory(path: Path) -> None:
    with suppress(OSError):  # not every system can do it; the content is safe by now, only the name may be lost
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
