"""What the exit status says: a script need not read a word of the output to know how the job ended."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Exit(IntEnum):
    """The exit statuses of every verb."""

    SUCCESS = 0
    FAILED = 1  # the job failed; of the demo: an outcome was not the truth
    USAGE = 2  # as argparse has it: a bad argument, a missing key or file, a port in use
    TIMEOUT = 3  # the server ran out of time
    DEADLINE = 4  # we did; the job was left running
    CANCELLED = 5  # the job was cancelled at the server
    TRANSPORT = 6  # no answer about the job could be had: network, server or credentials
    INTERRUPTED = 130  # as shells count Ctrl-C
    BROKEN_PIPE = 141  # as shells count it: whoever read our output had seen enough


EXIT_OF_STATE: Mapping[str, Exit] = MappingProxyType(
    {"success": Exit.SUCCESS, "failed": Exit.FAILED, "timeout": Exit.TIMEOUT, "cancelled": Exit.CANCELLED}
)
"""How a wait exits that reached a terminal state."""
