"""What a ledger is told, and what it tells: plain frozen values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from asyncpoll.waiting._decision import WaitCheckpoint

_MILLISECONDS = 3  # decimals of a second
_MOST_POLLS = 2**63  # more than fit a column


@frozen
class Entry:
    """A job that a run is to wait for.

    Attributes:
        number: Its place in the order of intake, from 1.
        key: The job's key, unique in the ledger.
        endpoint: The name of its endpoint.
        ref: Its reference as JSON data.
    """

    number: int
    key: str
    endpoint: str
    ref: Any


@frozen
class Standing:
    """Where a job stands that was given to a ledger.

    Attributes:
        number: The number of its entry.
        fresh: Whether the ledger did not have it yet.
        done: Whether it has an outcome already.
        past: What is known of the wait for it so far; None when it is fresh, or done.
    """

    number: int
    fresh: bool
    done: bool
    past: WaitCheckpoint | None = None


@frozen(kw_only=True)
class Ending:
    """How the wait for a job ended, as a ledger is told.

    Attributes:
        number: The number of its entry.
        state: The word of the state last seen; "unknown" when nothing was.
        status: The API's own word for it.
        value: The result: whatever results are made of. It is stored as JSON.
        reason: Why there is none.
        code: The server's code for that.
        error: The name of the error's class when the wait ended with one; None when the job itself ended.
        polls: How many polls were made, over all processes.
        waited: Seconds that the wait took, over all processes.
        running: At which age, in seconds, the job was last seen unfinished, or None when it never was.

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

    def __attrs_post_init__(self) -> None:
        if not (0 <= self.polls < _MOST_POLLS and 0 <= self.waited < math.inf and 0 <= (self.running or 0) < math.inf):
            raise ValueError(
                f"polls, waited and running must be finite and not negative, not {self.polls!r}, {self.waited!r} and "
                f"{self.running!r}"
            )


@frozen
class Record:
    """One outcome as it is stored; it never changes.

    Attributes:
        seq: Its place in the order of recording: 1, 2, 3 and so on.
        number: The number of the job's entry.
        key: The job's key.
        endpoint: The name of its endpoint.
        ref: Its reference as JSON data.
        state: The word of the state last seen; "unknown" when nothing was.
        status: The API's own word for it.
        value: The result as JSON data; signed links are masked unless the ledger keeps them.
        reason: Why there is none.
        code: The server's code for that.
        error: The name of the error's class, such as "WaitTimeout"; None when the job itself ended, well or badly.
        polls: How many polls were made, over all processes.
        waited: Seconds that the wait took, over all processes; time without any process does not count.
        running: At which age, in seconds, the job was last seen unfinished, so that it ended between then and `waited`;
            None when it never was.
        began_at: When the job was taken in, in seconds of Unix time.
        ended_at: When its outcome was recorded, likewise.
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

    def line(self) -> dict[str, Any]:
        """Return the fields of a result line; `waited` is in seconds."""
        return {
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


@frozen
class Counts:
    """How far a run has come; each outcome is counted in exactly one of the two tables.

    Attributes:
        entries: Jobs taken in.
        outcomes: Those of them that have an outcome.
        by_state: Jobs that ended by themselves, by endpoint and state.
        by_error: Jobs whose wait ended with an error, by endpoint and the name of the error's class.
        anomalies: How often a job was reported again with another outcome than the recorded one.
        by_endpoint: Jobs taken in, by endpoint.
    """

    entries: int
    outcomes: int
    by_state: Mapping[tuple[str, str], int]
    by_error: Mapping[tuple[str, str], int]
    anomalies: int
    by_endpoint: Mapping[str, int]

    @property
    def unfinished(self) -> int:
        """Jobs that have no outcome yet."""
        return self.entries - self.outcomes
