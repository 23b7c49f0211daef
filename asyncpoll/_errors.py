"""Define the errors of this package.

    PollError                       the base of all errors below
     ├─ WaitTimeout                 a limit of the caller passed; the job was left running (also a TimeoutError)
     │   └─ Draining                the hub is about to be closed
     ├─ JobError                    the job ended without success; see `.snapshot`
     │   ├─ JobFailed
     │   ├─ JobTimedOut             the *server* ran out of time
     │   └─ JobCancelled
     ├─ TransportError              there was no answer about the job
     │   ├─ Throttled               the server asks for fewer requests
     │   ├─ Rejected                the server refuses this request; a repetition will not help
     │   └─ BadReply                the server answered, but the answer cannot be used
     ├─ UnknownStatus               a strict vocabulary does not list the status word
     ├─ ClientClosed                a client was used after close, from another event loop, or after a fork
     └─ LedgerError                 the ledger of a run cannot be opened, read or written

A bad argument raises a plain `ValueError` or `TypeError` before any request. No error contains a credential, a request
header, or more of an address than its origin.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpoll._snapshot import Snapshot
    from asyncpoll.http._message import Reply


LOCAL_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENOSPC})
"""The numbers of an `OSError` by which this machine says that it is out of files, ports or space."""

PARKING_STATUSES = frozenset({429, 503})
"""The statuses whose `Retry-After` speaks for the server, not for one job (RFC 6585, section 4; RFC 9110, 15.6.4)."""

LONGEST_HINT = 86_400.0
"""A server that asks to stay away for more than a day, in seconds, is taken to mean a day."""


class PollError(Exception):
    """The base class of the errors that asyncpoll defines. All of them can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self.__dict__)


def _revive(kind: type[PollError], args: tuple[Any, ...], facts: dict[str, Any]) -> PollError:
    # By default, pickle calls the constructor with the message only, so that all keyword arguments are lost.
    error = kind.__new__(kind)
    error.args = args  # WaitTimeout is an OSError, too, whose constructor would ignore them here
    error.__dict__.update(facts)
    return error


class WaitTimeout(PollError, TimeoutError):
    """The wait reached a limit before the job was terminal. The job itself was left running.

    Attributes:
        last: The snapshot of the last poll that succeeded, or None if all polls failed.
        waited: The seconds from the start of the wait.
        polls: The number of polls, including failed ones.
        limit: The limit that passed: "total", "pending", "processing", "polls", "throttled" or "drained".
        key: The key of the job, or None if the wait was for a plain coroutine function.
        unknown: The status words that the vocabulary does not list.
        seconds_left: The seconds from the last poll to the deadline, if the wait ended early because the answer to one
            more poll would have come too late; else 0.
    """

    reason = "{limit} limit"

    def __init__(
        self,
        last: Snapshot[Any] | None,
        *,
        waited: float,
        polls: int,
        limit: str = "total",
        key: str | None = None,
        unknown: tuple[str, ...] = (),
        seconds_left: float = 0.0,
    ) -> None:
        seen = "nothing was seen" if last is None else f"last seen {last.state.value}"
        seen += f" ({last.kind})" if last is not None and last.kind else ""
        about = "" if key is None else f" for {key}"
        words = f"; unknown status words: {', '.join(map(repr, unknown))}" if unknown else ""
        early = f" by the last poll, {seconds_left:.3g} s before the deadline" if seconds_left else ""
        reason = self.reason.format(limit=limit)
        super().__init__(
            f"gave up waiting{about} after {waited:.6g} s and {polls} polls ({reason}); {seen}{early}{words}"
        )
        self.last = last
        self.waited = waited
        self.polls = polls
        self.limit = limit
        self.key = key
        self.unknown = unknown
        self.seconds_left = seconds_left


class Draining(WaitTimeout):
    """The hub is being drained, before it is closed: it ended the wait, or refused to begin it. Ask again later."""

    reason = "the hub is drained"


class JobError(PollError):
    """The job ended without success. `snapshot` is the terminal snapshot, with the reason that the server gave."""

    verb = "ended badly"

    def __init__(self, snapshot: Snapshot[Any]) -> None:
        kind = f" ({snapshot.kind})" if snapshot.kind else ""
        code = f" [{snapshot.code}]" if snapshot.code else ""
        reason = f": {snapshot.reason}" if snapshot.reason else ""
        super().__init__(f"the job {self.verb}{kind}{code}{reason}")
        self.snapshot = snapshot


class JobFailed(JobError):
    """The server reports that the job failed."""

    verb = "failed"


class JobTimedOut(JobError):
    """The server reports that the job ran out of time there. For a limit of the caller, see `WaitTimeout`."""

    verb = "timed out at the server"


class JobCancelled(JobError):
    """The server reports that the job was cancelled or stopped."""

    verb = "was cancelled"


class TransportError(PollError):
    """A request did not bring an answer about the job.

    Attributes:
        kind: One word for the failure, such as "connect", "timeout", "server" or "malformed".
        passing: Whether a repetition may succeed later. If True, the poll counts as a miss and the wait continues. If
            False, the wait ends with this error.
        status: The HTTP status, or None if there was no response.
        code: The API's own error code, as text, or None.
        retry_after: The seconds until the next request that the server asks for, or None.
        origin: The scheme, host and port of the server, or None. It never contains a path or a query.
        from_api: False if the response is not the API's own, but that of something before it or in its place, such as
            a proxy, a firewall, or the web server at a wrong address.
    """

    default_kind = "transport"
    from_api: bool = True

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
    """The server asks for fewer requests. `retry_after` is None if it does not say when to come back."""

    default_kind = "throttled"


class Rejected(TransportError):
    """The server refuses the request, for example for a bad credential, an unpaid bill or an unknown id.

    The same request would be refused again, so `passing` is False by default, and the wait ends at once. If the server
    refuses to cancel a job because the job has already ended, raise it with `kind="already_ended"` from
    `Endpoint.classify`: then `Job.cancel` succeeds.
    """

    default_kind = "rejected"

    def __init__(self, message: str, *, passing: bool = False, **facts: Any) -> None:
        super().__init__(message, passing=passing, **facts)


class BadReply(TransportError):
    """The server answered, but the answer is malformed, too large, or about another job.

    By default `passing` is True: the poll counts as a miss, and the wait continues, because the next answer may be
    good. `BadReply(..., passing=False)` ends the wait at once. Raise it so for an answer that will not change, such
    as the result of a job that has ended.

    Attributes:
        reply: The answer, or None if it was not received to its end. It may contain anything, so it is never in the
            message or the repr, and a pickled error is without it.
    """

    default_kind = "malformed"
    reply: Reply | None = None

    def __init__(self, message: str, *, reply: Reply | None = None, **facts: Any) -> None:
        if reply is not None:
            facts = {"status": reply.status, "origin": reply.origin, **facts}
        super().__init__(message, **facts)
        self.reply = reply

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, {**self.__dict__, "reply": None})


class UnknownStatus(PollError):
    """A strict vocabulary does not list the status word of the server.

    Attributes:
        word: The word as the server wrote it, cut at 100 characters; a number or a boolean as text.
        vocabulary: The name of the vocabulary.
    """

    def __init__(self, word: str | int, *, vocabulary: str, known: tuple[str | int, ...] = ()) -> None:
        listed = ", ".join(map(str, known))
        super().__init__(f"{vocabulary} does not list the status word {word!r}; known words: {listed}")
        self.word = str(word)
        self.vocabulary = vocabulary


class ClientClosed(PollError):
    """A client was used after `aclose()`, from another event loop, or after a fork. Open one client per event loop."""


class LedgerError(PollError):
    """The ledger of a run cannot be used as it is. Nothing was changed, and everything committed before is safe.

    Attributes:
        kind: One word for the cause: "locked" (another process uses the ledger), "damaged" (a row or the file is not
            as it was written), "foreign" (the file is not a ledger), "version" (the ledger has another format), "full"
            (the disk is full), "io" (reading or writing failed), "readonly" (the file cannot be written), "network"
            (the file is on a network file system), "gone" (the file was moved or removed while in use), "busy"
            (another program has locked the file), "value" (the given value cannot be stored), "missing" (there
            is no such file), "incomplete" (the newest changes are missing, because a file beside it was left behind or
            damaged), "source" (the ledger has the jobs of another source) or "definition" (it has another definition
            of an endpoint).
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def passing(self) -> bool:
        """Return whether the cause may pass: a full or failing disk, or a file that another program has locked."""
        return self.kind in {"full", "io", "busy"}


def explained(error: BaseException) -> str:
    """Return the message of *error*, followed by that of the error which caused it, if there is one."""
    return f"{error}" if error.__cause__ is None else f"{error}; the last poll failed: {error.__cause__}"
