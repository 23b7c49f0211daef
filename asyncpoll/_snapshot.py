"""One look at a job."""

from __future__ import annotations

import math
import reprlib
from datetime import datetime
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from asyncpoll._errors import JobCancelled, JobError, JobFailed, JobTimedOut
from asyncpoll._state import State

T_co = TypeVar("T_co", covariant=True)

_LONGEST_WORD = 100
_LONGEST_SENTENCE = 1000

_ERRORS: dict[State, type[JobError]] = {
    State.FAILED: JobFailed,
    State.TIMEOUT: JobTimedOut,
    State.CANCELLED: JobCancelled,
}


def _bounded(text: str, limit: int) -> str:
    """Bound a text that a server wrote, and take out what a terminal would obey."""
    if len(text) <= limit and text.isprintable():
        return text
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(mark if mark.isprintable() else " " for mark in shown)


def _word(text: str) -> str:
    return _bounded(text, _LONGEST_WORD)


def _optional_word(text: str | None) -> str | None:
    return None if text is None else _bounded(text, _LONGEST_WORD)


def _sentence(text: str | None) -> str | None:
    return None if text is None else _bounded(text, _LONGEST_SENTENCE)


def _share(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else min(1.0, max(0.0, value))


def _wait(value: float | None) -> float | None:
    return value if value is not None and 0 < value < math.inf else None


@frozen
class Snapshot(Generic[T_co]):
    """What one poll saw.

    Attributes:
        state: Where the job stands.
        status: The API's own word for it, at most 100 characters; empty when there was none.
        value: The typed result once the job has succeeded.
        reason: Why the job failed, in the server's words, at most 1,000 characters.
        code: The server's code for that.
        progress: The share that is done, 0 to 1, where the API tells.
        retry_after: Seconds to the next poll, as the server suggests.
        ended_at: When the job ended, by the server's clock, where the API tells.
        raw: The decoded payload, untouched.
    """

    state: State
    status: str = field(default="", converter=_word)
    value: T_co | None = field(default=None, repr=reprlib.repr)
    reason: str | None = field(default=None, converter=_sentence)
    code: str | None = field(default=None, converter=_optional_word)
    progress: float | None = field(default=None, converter=_share)
    retry_after: float | None = field(default=None, converter=_wait)
    ended_at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)

    def unwrap(self) -> T_co:
        """Return the result of a job that succeeded.

        Raises:
            JobFailed: The job failed.
            JobTimedOut: The job ran out of time at the server.
            JobCancelled: The job was cancelled.
            ValueError: The job is not terminal yet; wait for it first.
        """
        if self.state is State.SUCCESS:
            return self.value  # type: ignore[return-value]  # a successful snapshot carries its result
        if self.state not in _ERRORS:
            raise ValueError(f"the job is still {self.state.value}; wait until it is terminal")
        raise _ERRORS[self.state](self)
