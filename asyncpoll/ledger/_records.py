"""The values that go into a ledger and come out of it, and its settings. All of them are frozen."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from attrs import Factory, field, frozen, validators

from asyncpoll._schedule import DURATION
from asyncpoll.waiting._decision import WaitCheckpoint

RetryKind = Literal["rejected", "unfinished", "failed"]
"""The jobs that `Ledger.retry` asks about again: those whose wait ended with `Rejected`, those whose wait ended with
another error, such as `WaitTimeout`, and those that ended by themselves without success."""

RETRY_KINDS: Final[tuple[RetryKind, ...]] = ("rejected", "unfinished", "failed")

_MILLISECONDS = 3  # decimals of a second
_MOST_POLLS = 2**63  # more than SQLite stores


@frozen
class Entry:
    """A job of a run.

    Attributes:
        number: Its place in the order of entry, from 1.
        key: The job's key, unique in the ledger.
        endpoint: The name of its endpoint.
        ref: Its reference as JSON data.
        meta: What `Job.with_meta` gave it, as JSON data, or None.
        submitted_at: The Unix time of its submit, if that was known; see `Job.with_submitted_at`.
    """

    number: int
    key: str
    endpoint: str
    ref: Any
    meta: Mapping[str, Any] | None = None
    submitted_at: float | None = None


@frozen
class EntryStatus:
    """The status of a job that was entered.

    Attributes:
        number: The number of its entry.
        fresh: Whether the ledger did not have it yet.
        done: Whether it has an outcome already.
        checkpoint: The progress of the wait for it so far; None when it is fresh or done.
    """

    number: int
    fresh: bool
    done: bool
    checkpoint: WaitCheckpoint | None = None


@frozen(kw_only=True)
class OutcomeInput:
    """The end of the wait for a job, as it is given to `Ledger.record`.

    Attributes:
        number: The number of its entry.
        state: The word of the state last seen; "unknown" when nothing was.
        status: The API's own word for it.
        value: The result. It is stored as JSON.
        reason: Why there is no result.
        code: The server's code for that.
        error: The name of the error's class when the wait ended with one; None when the job itself ended.
        polls: The number of polls, over all processes.
        waited: The seconds that the wait took, over all processes.
        running: The age in seconds at which the job was last seen unfinished; None when it never was.
        kind: The kind of the snapshot last seen, or "partial" where it only says that the result is not the whole.

    Raises:
        ValueError: A figure is negative or not finite.
    """

    number: int
    state: str
    status: str = ""
    value: Any = None
    reason: str | None = None
    code: str | None = None
    error: str | None = None
    polls: int = 0
    waited: float = 0.0
    running: float | None = None
    kind: str | None = None

    def __attrs_post_init__(self) -> None:
        if not (0 <= self.polls < _MOST_POLLS and 0 <= self.waited < math.inf and 0 <= (self.running or 0) < math.inf):
            raise ValueError(
                f"polls, waited and running must be finite and not negative, not {self.polls!r}, {self.waited!r} and "
                f"{self.running!r}"
            )


@frozen
class Record:
    """One outcome as it is stored.

    Attributes:
        seq: Its place in the order of recording: 1, 2, 3 and so on.
        number: The number of the job's entry.
        key: The job's key.
        endpoint: The name of its endpoint.
        ref: Its reference as JSON data.
        state: The word of the state last seen; "unknown" when nothing was.
        status: The API's own word for it.
        value: The result as JSON data. The secrets in signed links are masked unless the ledger keeps links. A value
            that JSON cannot hold is described: `{"type": ..., "problem": ...}`.
        reason: Why there is no result.
        code: The server's code for that.
        error: The name of the error's class, such as "WaitTimeout"; None when the job itself ended, well or badly.
        polls: The number of polls of this attempt, over all processes.
        waited: The seconds that this attempt took, over all processes; time without any process does not count.
        running: The age in seconds at which the job was last seen unfinished, so that it ended between then and
            `waited`; None when it never was.
        began_at: When the job was entered, in seconds of Unix time.
        ended_at: When its outcome was recorded, likewise.
        attempt: 1, or more for a job that was asked about again; see `Ledger.retry`.
        superseded: Whether the job has been retried since: then this outcome does not count any more.
        meta: What `Job.with_meta` gave the job, as JSON data, or None.
        kind: The kind of the snapshot last seen, such as "expired", or "partial" for a result that is not the whole.
    """

    seq: int
    number: int
    key: str
    endpoint: str
    ref: Any
    state: str
    status: str
    value: Any
    reason: str | None
    code: str | None
    error: str | None
    polls: int
    waited: float
    running: float | None
    began_at: float
    ended_at: float
    attempt: int = 1
    superseded: bool = False
    meta: Mapping[str, Any] | None = None
    kind: str | None = None

    def line(self) -> dict[str, Any]:
        """Return the fields of a result line. `waited` is in seconds.

        `kind` and `meta` are there when the job has one, `attempt` when it is above 1.
        """
        line: dict[str, Any] = {
            "endpoint": self.endpoint,
            "ref": self.ref,
            "state": self.state,
            "status": self.status,
            "value": self.value,
            "reason": self.reason,
            "code": self.code,
            "polls": self.polls,
            "waited": round(self.waited, _MILLISECONDS),
        }
        if self.kind is not None:
            line["kind"] = self.kind
        if self.attempt > 1:
            line["attempt"] = self.attempt
        if self.meta is not None:
            line["meta"] = self.meta
        return line


@frozen
class Counts:
    """The progress of a run; each outcome that counts is in exactly one of the two tables.

    Attributes:
        entries: The jobs that were entered.
        outcomes: Those of them that have an outcome.
        by_state: Jobs that ended by themselves, by endpoint and state.
        by_error: Jobs whose wait ended with an error, by endpoint and the name of the error's class.
        anomalies: How often a job was reported again with another outcome than the recorded one.
        by_endpoint: The jobs that were entered, by endpoint.
        recorded: The seq of the last outcome; above `outcomes` when jobs were retried.
    """

    entries: int
    outcomes: int
    by_state: Mapping[tuple[str, str], int]
    by_error: Mapping[tuple[str, str], int]
    anomalies: int
    by_endpoint: Mapping[str, int]
    recorded: int = field(default=Factory(lambda self: self.outcomes, takes_self=True), kw_only=True)

    @property
    def unfinished(self) -> int:
        """The number of jobs that have no outcome yet."""
        return self.entries - self.outcomes


def wall_clock() -> float:
    """Return the time of day in seconds of Unix time."""
    return datetime.now(UTC).timestamp()


@frozen(kw_only=True)
class LedgerSettings:
    """The timing of a ledger, and its sources of time, connections and mounts. All durations are seconds.

    Attributes:
        group: The most outcomes that are committed together.
        linger: How long an outcome may wait for others to be committed with.
        beat: How often a ledger that has nothing to write notes that its process is alive.
        busy: How long to wait for another program that has locked the file.
        retry_every: How long after a failure to try again, when the cause may pass.
        patience: How long such a cause may last before the ledger gives up.
        clock: Returns the time of day in seconds of Unix time.
        connect: Makes a connection, as `sqlite3.connect` does.
        mounts: The table of mounted file systems; without one, every file system counts as local.
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


DEFAULT_SETTINGS = LedgerSettings()
