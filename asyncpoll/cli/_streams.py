"""Standard output to the last byte: a result that cannot be written is an error, whatever the buffering.

Python loses data in three places. A raw stream (`python -u`, `PYTHONUNBUFFERED`) writes as much as fits and says how
much that was, but a text stream on top of it does not listen. argparse ignores every error when it prints. And the
interpreter flushes once more on its way out, when it is too late for an exit status of ours.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

STANDARD_OUTPUT = "standard output"
"""The name of standard output in errors."""


def open_closed_streams() -> None:
    """Replace the standard streams that were closed from the start: what is written to them goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  open to the end


def write_results(data: bytes) -> None:
    """Write *data* to standard output, to the last byte.

    Raises:
        BrokenPipeError: The reader has gone.
        OSError: It cannot be written; `filename` is `STANDARD_OUTPUT`.
    """
    left = memoryview(data)
    try:
        sys.stdout.flush()
        while left:
            written = sys.stdout.buffer.write(left)
            if not written:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            left = left[written:]
        sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from None  # of the class that fits the number


def drop_output() -> None:
    """Send to nowhere what the interpreter flushes on its way out; it would fail once more."""
    with suppress(OSError, ValueError):  # a stream in memory has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
