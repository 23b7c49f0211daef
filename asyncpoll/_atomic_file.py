"""A file that appears under its name only when it is complete.

Its content is written to a temporary file in the same directory, brought to the disk, and then given its name in one
step. A reader sees the whole file or none, also after a power failure.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from attrs import Factory, define, field

_PRIVATE, _USUAL = 0o600, 0o666


@define(eq=False)
class AtomicFile:
    """A file on its way to *target*: a context manager that commits it, or discards it after an error.

    Every method blocks: call them off the event loop, one at a time.

    Attributes:
        target: The name that the file will have.
        replace: Whether to replace a file that has the name already; else that is left alone, even if it is only a
            broken symbolic link.
        private: Whether only its owner can read it; else the umask decides.
        temporary: The name that it has until then; by default a random one that begins with a dot.
    """

    target: Path
    replace: bool = field(default=False, kw_only=True)
    private: bool = field(default=True, kw_only=True)
    temporary: Path = field(default=Factory(lambda self: _hidden_beside(self.target), takes_self=True), kw_only=True)
    file: BinaryIO = field(init=False)
    _open: ExitStack = field(factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.commit()
        finally:
            self.discard()

    def open(self) -> None:
        """Create the temporary file.

        Raises:
            FileExistsError: The name is taken, by the target if it is not to be replaced.
            OSError: The directory does not exist, is not writable or is full.
        """
        if not self.replace and os.path.lexists(self.target):
            raise self._taken()
        self.file = self._open.enter_context(open(self.temporary, "xb", opener=self._create))  # noqa: SIM115  closed by the stack

    def commit(self) -> None:
        """Bring the content to the disk, then give the file its name.

        Raises:
            FileExistsError: The name has been taken in the meantime, and is not to be replaced.
            OSError: The disk is full or fails; or, where nothing is to be replaced, it has no hard links.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        self._open.close()
        if self.replace:
            self.temporary.replace(self.target)
        else:
            try:
                self.target.hardlink_to(self.temporary)  # unlike a rename it never replaces
            except FileExistsError:
                raise self._taken() from None
            self.temporary.unlink()
        _sync_directory(self.target.parent)

    def discard(self) -> None:
        """Remove the temporary file, if there is one."""
        with suppress(OSError):  # closing writes what is left, which fails again on a full disk
            self._open.close()
        self.temporary.unlink(missing_ok=True)

    def _create(self, path: str, flags: int) -> int:
        return os.open(path, flags, mode=_PRIVATE if self.private else _USUAL)

    def _taken(self) -> FileExistsError:
        return FileExistsError(errno.EEXIST, "it exists, and is never replaced; choose another name", str(self.target))


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO, None, None]:
    """Open a file that takes the place of *path* when the block is left without an error. The umask sets its mode.

    Raises:
        ValueError: The path is a directory, or lies in one that does not exist.
        OSError: The file cannot be written; the former one is still there.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a directory; name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"there is no directory {path.parent}; make it first")
    with AtomicFile(path, replace=True, private=False) as new:
        yield new.file


def _hidden_beside(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(16)}.part")


def _sync_directory(path: Path) -> None:
    with suppress(OSError):  # not every system can do it; the content is safe by now, only the name may be lost
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
