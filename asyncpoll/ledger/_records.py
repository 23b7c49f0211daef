"""The frozen values that go into a ledger and come out of it, its settings, and the JSON that is stored."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar

from attrs import Factory, evolve, field, frozen, validators

from asyncpoll._errors import LedgerError, explained
from asyncpoll._json import as_json_data
from asyncpoll._schedule import DURATION
from asyncpoll._snapshot import Snapshot, kind_of
from asyncpoll._state import State
from asyncpoll._structure import from_json
from asyncpoll.http._secrets import masked, printable
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._run import Outcome

T = TypeVar("T")

RetryKind = Literal["rejected", "unfinished", "failed"]
"""The jobs that `Ledger.retry` asks about again: those whose wait ended with `Rejected`, those whose wait ended with
another error, such as `WaitTimeout`, and those that ended by themselves without success."""

RETRY_KINDS: Final[tuple[RetryKind, ...]] = ("rejected", "unfinished", "failed")

_MILLISECONDS = 3  # decimals of a second
_MOST_POLLS = 2**63  # more than SQLite stores
_NOTHING_SEEN = Snapshot[Any](State.UNKNOWN)


class EntryInput(NamedTuple):
    """A job, as it is given to `Ledger.enter`.

    Attributes:
        key: The job's key, unique in the ledger.
        endpoint: The name of its endpoint.
        ref: Its reference as JSON data.
        meta: Data of the caller's own as JSON data, at most 64 KiB, or None.
        submitted_at: The Unix time of its submit in seconds, or None.
        definition: The text from which its endpoint was made, if it was made from a definition.
        pacing: What predicts how long it takes, or None; see `Job.with_pacing`.
    """

    key: str
    endpoint: str
    ref: Any
    meta: Mapping[str, Any] | None = None
    submitted_at: float | None = None
    definition: str | None = None
    pacing: str | None = None

    @classmethod
    def of(cls, job: Any) -> Self:
        """Return what is entered of *job*; raise a TypeError if it is not one, for then it has no name."""
        try:
            endpoint = job.endpoint
            named = job.key, endpoint.name, endpoint.plain(job.ref)
        except AttributeError:
            raise TypeError(
                f"a run that is remembered takes jobs, not {type(job).__name__}; make an Endpoint for what you wait for"
            ) from None
        return cls(*named, job.meta, job.submitted_at, endpoint.definition, job.pacing)


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
        pacing: What predicts how long it takes, if that was known; see `Job.with_pacing`.
        checkpoint: The progress of the wait for it so far, from `Ledger.unfinished`; None from a `Reader`.
    """

    number: int
    key: str
    endpoint: str
    ref: Any
    meta: Mapping[str, Any] | None = None
    submitted_at: float | None = None
    pacing: str | None = None
    checkpoint: WaitCheckpoint | None = None


@frozen
class EntryStatus:
    """The status of a job that was entered: *fresh* if the ledger did not have it yet, *done* if it knows its end.

    Attributes:
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

    @classmethod
    def of(cls, number: int, outcome: Outcome[Any], *, links: bool = False) -> OutcomeInput:
        """Return what is recorded of *outcome* as plain data, which another process may be given.

        A value that JSON cannot hold is described, as in `Record.value`.

        Args:
            number: The number of the entry of its job.
            outcome: How the wait for the job ended.
            links: Keep the secrets in signed links, which are masked otherwise.
        """
        given = outcome_input(number, outcome)
        try:
            given = evolve(given, value=json.loads(json_text(given.value, links=links)))
        except (LedgerError, RecursionError) as error:
            given = described(given, error)
        reason, code = _short(given.reason, links=links), _short(given.code, links=links)
        return evolve(given, status=clean_text(given.status), reason=reason, code=code)

    def to_json(self, *, links: bool = False) -> str:
        """Return it as JSON text that `from_json` reads.

        Args:
            links: Keep the secrets in signed links, which are masked otherwise.
        """
        try:
            return json_text(self, links=links)
        except LedgerError as error:
            return json_text(described(self, error), links=links)

    @classmethod
    def from_json(cls, text: str) -> OutcomeInput:
        """Return the outcome in *text*, which `to_json` wrote.

        Raises:
            ValueError: The text is not such an outcome.
        """
        return from_json(text, cls)


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
        pacing: What predicted how long the job took, if that was known; see `Job.with_pacing`.
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
    pacing: str | None = None

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
    def endings(self) -> Counter[str]:
        """How many jobs ended in which way, by state or by the name of the error."""
        found = Counter[str]()
        for (_, word), number in (*self.by_state.items(), *self.by_error.items()):
            found[word] += number
        return found

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


_encode_exactly = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=as_json_data).encode
_LONGEST_REASON = 1000
MOST_META = 65_536
"""The most characters of the JSON text of the meta of a job."""

_LONGEST_PROBLEM = 200
_LONGEST_KEY = 200


def outcome_columns(outcome: OutcomeInput, *, ended_at: float, links: bool) -> tuple[Any, ...]:
    """Return the columns of an outcome that are stored, from `state` to `value`.

    Raises:
        LedgerError: As `json_text`.
    """
    return (
        clean_text(outcome.state),
        clean_text(outcome.status),
        _short(outcome.reason, links=links),
        _short(outcome.code, links=links),
        outcome.error,
        int(outcome.polls),
        float(outcome.waited),
        None if outcome.running is None else float(outcome.running),
        outcome.kind,
        ended_at,
        json_text(outcome.value, links=links),
    )


def outcome_input(number: int, outcome: Outcome[Any]) -> OutcomeInput:
    """Return what is recorded of the outcome of the job with this number, with the value as it is."""
    seen = outcome.snapshot or _NOTHING_SEEN
    error = outcome.error
    return OutcomeInput(
        number=number,
        state=seen.state.value,
        status=seen.status,
        value=seen.value,
        reason=seen.reason if error is None else explained(error),
        code=seen.code,
        error=None if error is None else type(error).__name__,
        polls=outcome.polls,
        waited=max(0.0, outcome.waited),
        running=outcome.running,
        kind=kind_of(seen),
    )


def described(outcome: OutcomeInput, error: Exception) -> OutcomeInput:
    """Return *outcome* with a description in place of its value, which JSON cannot hold, as *error* says."""
    problem = printable(str(error.__cause__ or error), _LONGEST_PROBLEM)
    name = printable(type(outcome.value).__name__, _LONGEST_PROBLEM)
    reason = f"the result, a {name}, cannot be stored as JSON: {problem}"
    if outcome.reason:
        reason = f"{reason}; {outcome.reason}"
    return evolve(outcome, value={"type": name, "problem": problem}, reason=reason)


def meta_text(meta: Mapping[str, Any], key: str, *, links: bool) -> str:
    """Return the data of the caller's own that belong to the job with this *key* as JSON text.

    Raises:
        LedgerError: JSON cannot hold them, or they take more than 64 KiB; the kind is "value".
    """
    text = json_text(dict(meta), links=links)
    if len(text) > MOST_META:
        raise LedgerError(
            f"the meta of {key:.200} takes more than {MOST_META >> 10} KiB; keep a key to it", kind="value"
        )
    return text


def json_text(data: Any, *, links: bool) -> str:
    """Return *data* as JSON text that can be stored anywhere.

    Args:
        data: Any result. A number that is not finite becomes null, half a surrogate pair U+FFFD.
        links: Keep keys, signatures and user names in links; otherwise they are masked.

    Raises:
        LedgerError: JSON cannot hold it, such as a table with tuples for keys; the kind is "value".
    """
    try:
        text = _dump(data)
        if not links and _may_have_links(text):
            text = _dump(_mapped(json.loads(text), str, masked))
    except MemoryError:
        raise
    except Exception as error:
        raise LedgerError(
            f"a {type(data).__name__} cannot be stored as JSON; let the endpoint read text, numbers, lists, tables "
            "with text for keys, or attrs classes of these",
            kind="value",
        ) from error
    return text


def clean_text(text: str) -> str:
    """Return *text* with surrogates joined into the characters they stand for, half a pair as U+FFFD."""
    return str(text) if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def exact_text(ref: Any, key: str) -> str:
    """Return the reference of the job with this *key* as JSON text from which the very same job can be made again.

    Raises:
        LedgerError: JSON cannot hold it as it is, or the key is not plain text; the kind is "value".
    """
    try:
        text = _encode_exactly(ref)
        f"{key}{text}".encode()
    except (TypeError, ValueError, RecursionError):  # half a surrogate pair is a ValueError, too
        text = "\0"
    if "\0" in key or "\0" in text:
        raise LedgerError(
            f"the job {printable(key, _LONGEST_KEY)!r} cannot be stored; its reference must be JSON data in "
            "well-formed text, as its endpoint's `plain` makes it",
            kind="value",
        )
    return text


def _short(text: str | None, *, links: bool) -> str | None:
    if text is None:
        return None
    if not links:
        text = printable(text, _LONGEST_REASON)
    return clean_text("".join(mark if mark.isprintable() else " " for mark in text[:_LONGEST_REASON]))


def _dump(data: Any) -> str:
    try:
        text = _encode(data)
    except ValueError:
        text = _encode(_mapped(json.loads(json.dumps(data, default=as_json_data)), float, _finite))
    return clean_text(text)


def _may_have_links(text: str) -> bool:
    return ("=" in text and ("?" in text or "&" in text)) or ("//" in text and "@" in text)


def _mapped(data: Any, kind: type[T], change: Callable[[T], Any]) -> Any:
    """Return JSON data with every value of a type changed, but for the names of members."""
    if isinstance(data, kind):
        return change(data)
    if isinstance(data, list):
        return [_mapped(one, kind, change) for one in data]
    return {name: _mapped(one, kind, change) for name, one in data.items()} if isinstance(data, dict) else data


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
