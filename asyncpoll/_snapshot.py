"""Define `Snapshot`, what one poll saw of a job."""

from __future__ import annotations

import math
import re
import reprlib
import sys
from datetime import datetime
from typing import Any, Generic, TypeVar

from attrs import field, fields, frozen

from asyncpoll._errors import JobCancelled, JobError, JobFailed, JobTimedOut
from asyncpoll._state import State

T_co = TypeVar("T_co", covariant=True)

_LONGEST_WORD = 100
_LONGEST_SENTENCE = 1000
_MOST_MISFITS = 100
_MOST_WORDS = 1000  # that are remembered as checked
_NONE = ()
_NUMBERS = (int, float)
_LARGEST = sys.float_info.max
KIND = re.compile(r"[a-z_]{1,40}")
_NUMERAL = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})", re.ASCII)

_checked_words: set[str] = set()  # the words of APIs are few, and looking one up takes half as long

_ERRORS: dict[State, type[JobError]] = {
    State.FAILED: JobFailed,
    State.TIMEOUT: JobTimedOut,
    State.CANCELLED: JobCancelled,
}


@frozen(init=False, weakref_slot=False)
class Snapshot(Generic[T_co]):
    """A snapshot of a job: what one poll saw. A field that the server says nothing about has its default.

    Args:
        state: The state of the job, or its word, such as "success".
        status: The API's own word for the state. It is cut at 100 characters; an integer or a boolean, which are
            words of some APIs, becomes text: "1", "true".
        value: The typed result, once the job has succeeded.
        reason: Why the job failed, in the server's words. It is cut at 1,000 characters.
        code: The server's code for the reason. It is cut at 100 characters.
        progress: The share of the job that is done: a number from 0 to 1, or text such as "40%", "2/5" or "0.4". A
            number out of this range is limited to it. Anything else, NaN included, becomes None, and `misfits` then
            names "progress".
        retry_after: The seconds until the next poll that the server suggests. A value that is not a finite number
            above 0 becomes None.
        ended_at: When the job ended by the server's clock: a datetime with a time zone.
        raw: The decoded payload. It is kept as it is; the repr and comparisons leave it out.
        misfits: The paths of what does not fit the typed value, such as "$.data.referenceList[0].index". It is left
            out of the value, and is in `raw`.
        partial: Whether the value is not the whole of it: a success of which a part has failed, or a value that was
            there before the job ended.
        kind: What the state does not say, as a word: "expired" for a job or a result that the server no longer keeps,
            "needs_action" for a job that waits for its owner, or another one of lower-case letters and underscores,
            at most 40.

    Raises:
        TypeError: A value has a wrong type. The message names the field.
    """

    state: State
    status: str
    value: T_co | None = field(repr=reprlib.repr)
    reason: str | None
    code: str | None
    progress: float | None
    retry_after: float | None
    ended_at: datetime | None
    raw: Any = field(repr=False, eq=False)
    misfits: tuple[str, ...]
    partial: bool
    kind: str | None

    # Every poll makes a snapshot, so this is written for speed: with converters it takes 1.4 times as long.
    def __init__(  # noqa: PLR0917  every field may be given by position
        self,
        state: State | str,
        status: str | int = "",
        value: T_co | None = None,
        reason: str | None = None,
        code: str | None = None,
        progress: float | str | None = None,
        retry_after: float | None = None,
        ended_at: datetime | None = None,
        raw: Any = None,
        misfits: tuple[str, ...] = _NONE,
        partial: bool = False,  # noqa: FBT001, FBT002  by keyword only it would take longer
        kind: str | None = None,
    ) -> None:
        _set_state(self, state if type(state) is State else _state(state))
        _set_status(self, status if type(status) is str and status in _checked_words else _word(status))
        _set_value(self, value)
        _set_reason(self, None if reason is None else _text(reason, _LONGEST_SENTENCE, "reason"))
        _set_code(self, None if code is None else _text(code, _LONGEST_WORD, "code"))
        if progress is not None:
            progress = _progress(progress)
            if progress is None:
                misfits = ("progress", *(path for path in _paths(misfits) if path != "progress"))
        _set_progress(self, progress)
        _set_retry_after(self, None if retry_after is None else _seconds(retry_after))
        _set_ended_at(self, None if ended_at is None else _moment(ended_at))
        _set_raw(self, raw)
        _set_misfits(self, misfits if misfits is _NONE else _paths(misfits))
        _set_partial(self, partial if partial is False else _flag(partial))
        _set_kind(self, None if kind is None else _checked_kind(kind))

    def unwrap(self) -> T_co:
        """Return the result of a job that succeeded.

        Raises:
            JobFailed: The job failed.
            JobTimedOut: The job ran out of time at the server.
            JobCancelled: The job was cancelled.
            ValueError: The job is not terminal yet. Wait for it first.
        """
        if self.state is State.SUCCESS:
            return self.value  # type: ignore[return-value]  # the snapshot of a success has a result
        if self.state not in _ERRORS:
            raise ValueError(f"the job is still {self.state.value}; wait until it is terminal")
        raise _ERRORS[self.state](self)


(
    _set_state,
    _set_status,
    _set_value,
    _set_reason,
    _set_code,
    _set_progress,
    _set_retry_after,
    _set_ended_at,
    _set_raw,
    _set_misfits,
    _set_partial,
    _set_kind,
) = (getattr(Snapshot, one.name).__set__ for one in fields(Snapshot))


def kind_of(snapshot: Snapshot[Any]) -> str | None:
    """Return the kind that is recorded for *snapshot*: its own, or "partial" if it is only that."""
    return snapshot.kind or ("partial" if snapshot.partial else None)


def share(done: Any, total: Any = 1) -> float | None:
    """Return the share of a job that is done, from 0 to 1, or None if it cannot be told.

    Args:
        done: What is done: a number, or text such as "2". Text such as "40%" or "2/5" is the share itself.
        total: What 1 would be: a number or text, such as a count of items, or 100 for a percentage.
    """
    if isinstance(done, str):
        text = done.strip()
        if text.endswith(("%", "\uff05")):
            done, total = text[:-1], 100
        elif "/" in text:
            done, _, total = text.partition("/")
    part, whole = number(done), number(total)
    if part is None or whole is None or whole <= 0:
        return None
    result = part / whole
    return min(1.0, max(0.0, result)) if math.isfinite(result) else None


def number(value: Any) -> float | None:
    """Return a number, such as a counter, also one that is written as text; None for anything else."""
    if isinstance(value, str):
        return float(value) if _NUMERAL.fullmatch(value.strip()) else None
    if not _is_number(value):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _refusal(name: str, wanted: str, value: object) -> TypeError:
    return TypeError(f"Snapshot.{name} must be {wanted}, not {reprlib.repr(value)}")


def _state(word: Any) -> State:
    try:
        return State(word)
    except ValueError:
        raise _refusal("state", f"a State or one of its words ({', '.join(State)})", word) from None


def _word(word: object) -> str:
    if isinstance(word, int):
        word = str(word).lower() if isinstance(word, bool) else str(word)
    checked = _text(word, _LONGEST_WORD, "status", "a status word")
    if len(_checked_words) >= _MOST_WORDS:
        _checked_words.clear()
    _checked_words.add(checked)
    return checked


def _text(text: object, longest: int, name: str, wanted: str = "text or None") -> str:
    """Return a text that a server wrote without what a terminal would obey, cut if it is too long."""
    if not isinstance(text, str):
        raise _refusal(name, wanted, text)
    if len(text) <= longest and text.isprintable():
        return text
    shown = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(mark if mark.isprintable() else " " for mark in shown)


def _is_number(value: object) -> bool:
    return type(value) is float or (isinstance(value, _NUMBERS) and not isinstance(value, bool))


def _progress(value: Any) -> float | None:
    if not _is_number(value):
        return share(value)
    return min(1.0, max(0.0, value)) if value == value else None  # noqa: PLR0124  NaN is not equal to itself


def _seconds(value: float) -> float | None:
    if not _is_number(value):
        raise _refusal("retry_after", "a number of seconds, or None", value)
    return value if 0 < value <= _LARGEST else None


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise _refusal("ended_at", "a datetime with a time zone, or None", value)
    return value


def _paths(paths: object) -> tuple[str, ...]:
    if not isinstance(paths, tuple) or not all(isinstance(path, str) for path in paths):
        raise _refusal("misfits", "a tuple of paths", paths)
    return tuple(_text(path, _LONGEST_SENTENCE, "misfits") for path in paths[:_MOST_MISFITS])


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _refusal("partial", "True or False", value)


def _checked_kind(value: object) -> str:
    if isinstance(value, str) and KIND.fullmatch(value):
        return value
    raise _refusal("kind", "a word of lower-case letters and underscores, at most 40, or None", value)
