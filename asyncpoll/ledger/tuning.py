"""The pace and the patience of a ledger, and what it takes from its surroundings."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from attrs import field, frozen, validators

from asyncpoll._schedule import DURATION


def wall_clock() -> float:
    """Return the time of day in seconds of Unix time."""
    return datetime.now(UTC).timestamp()


@frozen(kw_only=True)
class Tuning:
    """How a ledger does its work. The defaults suit everybody but tests. All times are seconds.

    Attributes:
        group: The most outcomes that are committed together.
        linger: How long an outcome may wait for others to be committed with.
        beat: How often a ledger that has nothing to write notes that its process is alive.
        busy: How long to wait for another program that holds the file.
        retry_every: How long after a failure to try again, when the cause may pass.
        patience: How long such a cause may last before the ledger gives up.
        clock: The time of day in seconds of Unix time.
        connect: Makes a connection, as `sqlite3.connect` does.
        mounts: The table of what is mounted where; where there is none, every file system is taken to be local.
    """

    group: int = field(default=500, validator=validators.ge(1))
    linger: float = field(default=0.1, validator=DURATION)
    beat: float = field(default=1.0, validator=DURATION)
    busy: float = field(default=30.0, validator=DURATION)
    retry_every: float = field(default=5.0, validator=DURATION)
    patience: float = field(default=300.0, validator=DURATION)
    clock: Callable[[], float] = wall_clock
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    mounts: Path = Path("/proc/self/mounts")

    def now(self) -> float:
        """Return the time of day in seconds of Unix time."""
        return float(self.clock())


USUAL = Tuning()
"""The pace and the patience of every ledger for which nothing else is said."""
