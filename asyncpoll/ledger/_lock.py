"""A lock file beside the ledger that records which process has it open, and how many commits there were.

The lock itself is one of the system, on the open file: it ends with the process, however that ends. The file stays
behind when a process is killed; the next one locks it again.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from attrs import asdict, frozen
from filelock import lock_descriptor

from asyncpoll._errors import LedgerError
from asyncpoll.ledger._files import Identity, Mark, incomplete, inspect, log_of, loss_of, os_trouble, peek, remove_log
from asyncpoll.ledger._schema import Head

_NETWORKED: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb", "smb2", "smb3", "smbfs",
})  # fmt: skip
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NOT_OPEN: Final = -1
_FIRST: Final = 1  # Windows locks the first byte, so that no other process can read it
_MARK_AT: Final = 1024  # bytes before the mark: room for the holder
_LONGEST: Final = 100  # bytes of a mark
_TRIES: Final = 5  # a reader that looks for the holder takes the lock for an instant
_PAUSE: Final = 0.02  # seconds between two of them
_STARTED: Final = 19  # the field of /proc/PID/stat, counted behind the name in parentheses

_logger = logging.getLogger("asyncpoll.ledger")


@frozen
class Holder:
    """The process that has a ledger open.

    Attributes:
        pid: Its number.
        host: The name of its machine.
        boot: The identity of the machine's last start, where the system tells it.
        started: When the process began, in the system's own unit, where the system tells it.
    """

    pid: int
    host: str
    boot: str | None = None
    started: str | None = None

    @classmethod
    def myself(cls) -> Self:
        """Return this process."""
        return cls(os.getpid(), socket.gethostname(), _boot(), _started(os.getpid()))

    @property
    def is_alive_elsewhere(self) -> bool:
        """Whether it is certainly another process, and still there."""
        return (
            self.pid != os.getpid()
            and self.started is not None
            and (self.host, self.boot, self.started) == (socket.gethostname(), _boot(), _started(self.pid))
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def plain(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)


class Lock:
    """The right to write a ledger.

    Args:
        path: The ledger's file.

    Attributes:
        mark: The mark that the file had when it was locked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = lock_file_of(path)
        self._descriptor = _NOT_OPEN
        self.mark: Mark | None = None

    def take(self) -> None:
        """Lock the file.

        Raises:
            LedgerError: Another process has it ("locked"), or the directory cannot be written ("readonly", "io").
        """
        try:
            self._descriptor = self._opened()
            self.mark = _mark_in(self._descriptor)
            _write(self._descriptor, 0, f" {json.dumps(Holder.myself().plain())}".ljust(_MARK_AT))
        except OSError as error:
            raise os_trouble(error, self._path) from error

    def note(self, mark: Mark) -> None:
        """Store the state after a commit, for the case that this process is killed."""
        self.mark = mark
        with suppress(OSError):  # the ledger itself is safe; only a lost log would be harder to notice
            _write(self._descriptor, _MARK_AT, f"{mark.ledger} {mark.commits}\n")

    def sync(self) -> None:
        """Bring the file to the disk: with no mark at all, a log that a power failure ended would look cut."""
        os.fsync(self._descriptor)

    def release(self) -> None:
        """Unlock the file, and remove it unless its mark is still of use."""
        if self._descriptor != _NOT_OPEN:
            if self.mark is None:
                with suppress(OSError):  # an open file cannot be removed on Windows
                    self._beside.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = _NOT_OPEN

    def check(self, *, accept_loss: bool) -> tuple[Head | None, str | None]:
        """Check that the ledger is one, that no process has it open without its lock file, and that it is complete.

        Args:
            accept_loss: Accept a ledger of which something is missing.

        Returns:
            Its head, and in words what is missing.

        Raises:
            LedgerError: As `inspect`, "locked" or "incomplete"; the ledger is left as it was.
        """
        had_log = log_of(self._path).exists()
        inspect(self._path)
        head = peek(self._path)
        if head is not None and head.holder is not None:
            holder = Holder(**head.holder)
            if holder.is_alive_elsewhere:
                raise self._held_by(holder)
        loss = loss_of(self._path, head, self.mark)
        if loss is not None and not accept_loss:
            if not had_log:
                remove_log(self._path)
            raise incomplete(self._path, loss)
        if loss is not None:
            _logger.warning("the ledger %s is opened although %s", self._path, loss)
        return head, loss

    def _held_by(self, holder: object) -> LedgerError:
        return LedgerError(
            f"the ledger {self._path} is in use by {holder}; wait until it has finished, or use another ledger",
            kind="locked",
        )

    def _opened(self) -> int:
        """Open and lock the file; open it again when the process that had it before removes it meanwhile."""
        tries = _TRIES
        while True:
            descriptor = os.open(self._beside, os.O_CREAT | os.O_RDWR, 0o600)
            if lock_descriptor(descriptor, blocking=False):
                status = os.fstat(descriptor)
                if Identity.of(self._beside) == Identity(status.st_dev, status.st_ino):
                    return descriptor
            else:
                tries -= 1
                if not tries:
                    holder = _described(descriptor)
                    os.close(descriptor)
                    raise self._held_by(holder)
                time.sleep(_PAUSE)
            os.close(descriptor)


def lock_file_of(path: Path) -> Path:
    """Return the path of the lock file of a ledger."""
    return path.with_name(f"{path.name}.lock")


def holder_of(path: Path) -> str | None:
    """Return which process has the ledger with this path open, in words, or None when none has."""
    return _look(path)[0]


def mark_of(path: Path) -> Mark | None:
    """Return the mark in the lock file of the ledger with this path, or None when there is none."""
    return _look(path)[1]


def refuse_network(path: Path, mounts: Path) -> None:
    """Check that the file is on this machine: locks and shared memory do not hold over a network.

    Args:
        path: The ledger's file.
        mounts: The table of mounted file systems. Without one, every place counts as local.

    Raises:
        LedgerError: It is on a network file system; the kind is "network".
    """
    try:
        table = mounts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    place = path.resolve()
    kinds: dict[Path, str] = {}
    for line in table.splitlines():
        _, mounted, kind, *_ = line.split(" ")
        kinds[Path(mounted.replace("\\040", " "))] = kind
    kind = next((kinds[parent] for parent in place.parents if parent in kinds), "")
    if kind in _NETWORKED:
        raise LedgerError(
            f"the ledger {path} is on a network file system ({kind}), where it is not safe; put it on a local disk",
            kind="network",
        )


def _look(path: Path) -> tuple[str | None, Mark | None]:
    try:
        descriptor = os.open(lock_file_of(path), os.O_RDONLY)
    except OSError:
        return None, None
    try:
        holder = None if lock_descriptor(descriptor, blocking=False) else _described(descriptor)
        return holder, _mark_in(descriptor)
    finally:
        os.close(descriptor)


def _described(descriptor: int) -> str:
    """Return the holder of a locked file in words."""
    try:
        facts = json.loads(_read(descriptor, _FIRST, _MARK_AT - _FIRST))
        return str(Holder(facts["pid"], facts["host"]))
    except (ValueError, TypeError, KeyError):  # it has just been made, and is still empty
        return "another process"


def _mark_in(descriptor: int) -> Mark | None:
    match _read(descriptor, _MARK_AT, _LONGEST).partition(b"\n")[0].split(b" "):
        case [ledger, commits] if commits.isdigit():
            return Mark(ledger.decode("ascii", "replace"), int(commits))
        case _:
            return None


def _read(descriptor: int, at: int, size: int) -> bytes:
    os.lseek(descriptor, at, os.SEEK_SET)
    return os.read(descriptor, size)


def _write(descriptor: int, at: int, text: str) -> None:
    os.lseek(descriptor, at, os.SEEK_SET)
    os.write(descriptor, text.encode())


def _boot() -> str | None:
    return _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else None


def _started(pid: int) -> str | None:
    """Return when a process began; None when it is gone, or the system does not tell."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return facts.split()[_STARTED]
    except (OSError, IndexError):
        return None
