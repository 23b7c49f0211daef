"""Who is at a ledger: a locked file beside it that names the process."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any, Final

from asyncpoll._errors import LedgerError
from asyncpoll.ledger.file import Identity, os_trouble

_NETWORKED: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb", "smb2", "smb3", "smbfs",
})  # fmt: skip
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_LONGEST: Final = 1000  # bytes of a lock file that are looked at


class Lock:
    """The right to write a ledger. The system takes it back when the process ends, however it ends.

    Args:
        path: The ledger's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.name}.lock")
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            LedgerError: Another process has it ("locked"), or the directory cannot be written ("readonly", "io").
        """
        try:
            while self._descriptor is None:
                self._descriptor = self._try()
        except OSError as error:
            raise os_trouble(error, self._path) from error
        os.truncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(_myself()).encode(), 0)

    def release(self) -> None:
        """Give the lock back, and remove its file."""
        if self._descriptor is not None:
            self._beside.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _try(self) -> int | None:
        """Return the locked file, or None when it was removed by the one who had it before."""
        import fcntl  # noqa: PLC0415  not there on Windows, where the rest of the package works

        descriptor = os.open(self._beside, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _described(os.pread(descriptor, _LONGEST, 0))
            os.close(descriptor)
            raise LedgerError(
                f"the ledger {self._path} is in use by {holder}; wait until it is done, or use another ledger",
                kind="locked",
            ) from None
        status = os.fstat(descriptor)
        if Identity.of(self._beside) == Identity(status.st_dev, status.st_ino):
            return descriptor
        os.close(descriptor)
        return None


def holder_of(path: Path) -> str | None:
    """Return who is at the ledger with this path, in words, or None when nobody is."""
    import fcntl  # noqa: PLC0415  not there on Windows

    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _described(os.pread(descriptor, _LONGEST, 0))
    finally:
        os.close(descriptor)
    return None


def refuse_network(path: Path, mounts: Path) -> None:
    """See to it that the file is on this machine: locks and shared memory do not hold over a network.

    Args:
        path: The ledger's file.
        mounts: The table of what is mounted where. Where there is none, every place is taken to be local.

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


def _myself() -> dict[str, Any]:
    boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else None
    return {"pid": os.getpid(), "host": socket.gethostname(), "boot": boot}


def _described(content: bytes) -> str:
    try:
        facts = json.loads(content)
        return f"process {facts['pid']} on {facts['host']}"
    except (ValueError, TypeError, KeyError):  # it has just been made, and is still empty
        return "another process"
