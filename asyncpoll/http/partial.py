"""A file that appears under its name only when it is complete."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import secrets
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from attrs import define, field

if TYPE_CHECKING:
    from hashlib import _Hash


@define(eq=False)
class Partial:
    """A file on its way to *target*: until it is complete it has a random name beside it.

    Only its owner can read it. Every method blocks, so call them off the event loop, one at a time.

    Attributes:
        target: The name it will have. What has that name already, if only a broken symbolic link, is left alone.
    """

    target: Path
    _temporary: Path = field(init=False)
    _file: BinaryIO = field(init=False)
    _open: ExitStack = field(factory=ExitStack, init=False)
    _md5: _Hash = field(factory=lambda: hashlib.md5(usedforsecurity=False), init=False)

    def __attrs_post_init__(self) -> None:
        self._temporary = self.target.with_name(f".{secrets.token_hex(16)}.part")

    def open(self) -> None:
        """Create the temporary file.

        Raises:
            FileExistsError: There is a target already.
            OSError: The directory does not exist, is not writable or is full.
        """
        if os.path.lexists(self.target):
            raise self._taken()
        self._file = self._open.enter_context(open(self._temporary, "xb", opener=_private))  # noqa: SIM115  closed by the stack

    def write(self, data: bytes) -> None:
        """Append *data*.

        Raises:
            OSError: The disk is full or fails.
        """
        self._file.write(data)
        self._md5.update(data)

    def digest(self) -> str:
        """Return the MD5 digest of what was written, as `Content-MD5` spells it (RFC 1864)."""
        return base64.b64encode(self._md5.digest()).decode()

    def commit(self) -> None:
        """Bring everything to the disk, then give it its name.

        Raises:
            FileExistsError: Something has taken the name in the meantime.
            OSError: The disk is full or fails, or it knows no hard links.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._open.close()
        try:
            self.target.hardlink_to(self._temporary)  # unlike a rename it never replaces
        except FileExistsError:
            raise self._taken() from None
        self._temporary.unlink()
        _sync_directory(self.target.parent)

    def discard(self) -> None:
        """Remove the temporary file, if there is one."""
        with suppress(OSError):  # closing writes out what is left, which fails again on a full disk
            self._open.close()
        self._temporary.unlink(missing_ok=True)

    def _taken(self) -> FileExistsError:
        return FileExistsError(errno.EEXIST, "never replaced; choose another name", str(self.target))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _sync_directory(path: Path) -> None:
    with suppress(OSError):  # not every system can do it; the content is safe by now, only the name may be lost
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
