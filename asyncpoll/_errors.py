"""What can go wrong, and whose fault it was.

    PollError                       everything below
     ├─ WaitTimeout                 the caller's own limit passed; the job was left running (also a TimeoutError)
     ├─ JobError                    the job ended, but not well; `.snapshot` holds what the server said
     │   ├─ JobFailed
     │   ├─ JobTimedOut             the *server* ran out of time
     │   └─ JobCancelled
     ├─ TransportError              no answer about the job could be had
     │   ├─ Throttled               the server asks for fewer requests
     │   ├─ Rejected                the server refuses this request; asking again will not help
     │   └─ BadReply                an answer came, but it makes no sense
     ├─ UnknownStatus               a strict vocabulary met a word it does not list
     ├─ ClientClosed                used after close, from another event loop, or after a fork
     └─ LedgerError                 the ledger of a run cannot be opened, read or written

Bad arguments are plain `ValueError`, raised before any request. No error carries a credential, a request header or
more of an address than its origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpoll._snapshot import Snapshot


class PollError(Exception):
    """The base of every error that asyncpoll raises on its own account. All of them can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self.__dict__)


def _revive(kind: type[PollError], args: tuple[Any, ...], facts: dict[str, Any]) -> PollError:
    # The default way would call the constructor with the message alone and lose every keyword.
    error = kind.__new__(kind)
    error.args = args  # an OSError, which WaitTimeout is too, would not take them from its constructor
    error.__dict__.update(facts)
    return error


class WaitTimeout(PollError, TimeoutError):
    """The wait reached a limit before the job was terminal. The job itself was left alone.

    Attributes:
        last: What the last successful poll saw, or None when no poll saw anything.
        waited: Seconds from the start of the wait.
        polls: How many polls were made, failed ones included.
        limit: Which limit passed: "total", "pending", "processing", "polls" or "throttled".
        key: The key of the job, or None when a bare coroutine function was awaited.
        unknown: Status words seen that the vocabulary does not list.
    """

    def __init__(
        self,
        last: Snapshot[Any] | None,
        *,
        waited: float,
        polls: int,
        limit: str = "total",
        key: str | None = None,
        unknown: tuple[str, ...] = (),
    ) -> None:
        seen = "nothing was seen" if last is None else f"last seen {last.state.value}"
        about = "" if key is None else f" for {key}"
        words = f"; unknown status words: {', '.join(map(repr, unknown))}" if unknown else ""
        super().__init__(
            f"gave up waiting{about} after {waited:.6g} s and {polls} polls ({limit} limit); {seen}{words}"
        )
        self.last = last
        self.waited = waited
        self.polls = polls
        self.limit = limit
        self.key = key
        self.unknown = unknown


class JobError(PollError):
    """The job is terminal and did not succeed. `snapshot` is what the server said about it."""

    verb = "ended badly"

    def __init__(self, snapshot: Snapshot[Any]) -> None:
        code = f" [{snapshot.code}]" if snapshot.code else ""
        reason = f": {snapshot.reason}" if snapshot.reason else ""
        super().__init__(f"the job {self.verb}{code}{reason}")
        self.snapshot = snapshot


class JobFailed(JobError):
    """The server says that the job failed."""

    verb = "failed"


class JobTimedOut(JobError):
    """The server says that the job ran out of time there; the caller's own limit is `WaitTimeout`."""

    verb = "timed out at the server"


class JobCancelled(JobError):
    """The server says that the job was cancelled or stopped."""

    verb = "was cancelled"


class TransportError(PollError):
    """A request brought no answer about the job.

    Attributes:
        kind: One word for what happened, such as "connect", "timeout", "server" or "malformed".
        passing: Whether asking again later may help. A poll that fails so is a miss; the wait goes on.
        status: The HTTP status, or None when no response was received.
        code: The API's own error code, as text, or None.
        retry_after: Seconds to stay away for, as the server asked, or None.
        origin: Scheme, host and port of the server, or None; never a path or a query.
    """

    default_kind = "transport"

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        passing: bool = True,
        origin: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind or self.default_kind
        self.passing = passing
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.origin = origin


class Throttled(TransportError):
    """The server asks for fewer requests. `retry_after` is in seconds, where it said so."""

    default_kind = "throttled"


class Rejected(TransportError):
    """The server refuses the request: a bad credential, an unpaid bill, an unknown id. Not worth repeating as it is."""

    default_kind = "rejected"

    def __init__(self, message: str, *, passing: bool = False, **facts: Any) -> None:
        super().__init__(message, passing=passing, **facts)


class BadReply(TransportError):
    """An answer arrived, but it is malformed, too large, or about another job."""

    default_kind = "malformed"


class UnknownStatus(PollError):
    """A strict vocabulary met a status word that it does not list.

    Attributes:
        word: The word as the server wrote it, shortened to 100 characters.
        vocabulary: The name of the vocabulary.
    """

    def __init__(self, word: str, *, vocabulary: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(f"{vocabulary} does not list the status word {word!r}; known words: {', '.join(known)}")
        self.word = word
        self.vocabulary = vocabulary


class ClientClosed(PollError):
    """The client was used after `aclose()`, from another event loop, or after a fork. Open one client per loop."""


class LedgerError(PollError):
    """The ledger of a run cannot be used as it is. Nothing was changed, and what was committed before is safe.

    Attributes:
        kind: One word for why: "locked" (another process is at it), "damaged" (a row or the file is not what was
            written), "foreign" (not a ledger), "version" (of another format), "full" (no space left), "io" (reading
            or writing failed), "readonly", "network" (on a network file system), "gone" (moved or removed while in
            use), "busy" (another program holds the file) or "value" (what was given cannot be stored).
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def passing(self) -> bool:
        """Whether the cause may pass by itself: a full or failing disk, or a file that somebody else holds."""
        return self.kind in {"full", "io", "busy"}


def explained(error: BaseException) -> str:
    """Return an error in words, and why the last poll failed if it did."""
    return f"{error}" if error.__cause__ is None else f"{error}; the last poll failed: {error.__cause__}"
