"""Where lines come from: a file, or standard input."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

STANDARD_INPUT = "-"


@contextmanager
def reading(name: str, *, twice: bool = False) -> Generator[BinaryIO, None, None]:
    """Open the file with this name, or standard input for "-".

    Args:
        name: The name.
        twice: It is to be read more than once; of a pipe that takes a copy of all that it gives.

    Raises:
        OSError: It cannot be read.
    """
    file = _opened(name)
    if twice and not file.seekable():
        file = _copied(file)
    try:
        yield file
    finally:
        if file.seekable():  # in a pipe a thread may be stuck, and closing would wait for it
            file.close()


def _opened(name: str) -> BinaryIO:
    if name != STANDARD_INPUT:
        return Path(name).open("rb")
    # A file object of our own: a thread that is stuck in `sys.stdin` would be in the way when the interpreter ends.
    return open(sys.stdin.fileno(), "rb", closefd=False)


def _copied(file: BinaryIO) -> BinaryIO:
    copy = TemporaryFile()  # noqa: SIM115  whoever reads it closes it
    shutil.copyfileobj(file, copy)
    copy.seek(0)
    return copy
