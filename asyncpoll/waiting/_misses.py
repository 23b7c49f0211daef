"""Misses: polls that failed, saw nothing, and therefore changed nothing about the job.

A miss ends a wait only when too many of its kind come in a row. Transient faults of network and server have no such
limit: they may go on until the deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import define

from asyncpoll._errors import LOCAL_ERRNOS, PollError, Rejected, Throttled, TransportError
from asyncpoll.waiting._policy import MissOn

MISS_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "dns": 3,  # a name that does not exist three times is not there
        "protocol": 3,  # not HTTP, or broken HTTP
        "encoding": 3,  # compressed in a way that was not asked for
        "malformed": 5,  # an error page in place of JSON often passes; a changed API does not
        "limit": 2,  # an answer above the limits will be so again
        "identity": 2,  # an answer about another job, even on a fresh connection
        "unknown_code": 5,  # a business code that no table lists
    }
)
"""How many misses of one kind in a row end the wait, once they have also lasted `PATIENCE`."""

PATIENCE = 60.0
"""Seconds that misses of a limited kind must have lasted: a gateway that restarts sends error pages for as long. A
shortage on this machine (descriptors, ports, disk) that lasts so long ends the wait, too."""

CONDEMNING = frozenset({"credential", "certificate", "tls", "unpaid", "login"})
"""Refusals that concern every job of a client, not only the one that was asked about."""

SHORTEST_THROTTLE, LONGEST_THROTTLE = 1.0, 60.0
"""Seconds to the poll after a first, and after a sixth throttling answer that does not say how long to stay away."""

NOT_FOUND = 404

_UNANSWERED = frozenset(
    {
        ("aiohttp", "ClientConnectionError"),
        ("aiohttp", "ClientPayloadError"),
        ("httpx", "TimeoutException"),
        ("httpx", "NetworkError"),
        ("httpx", "RemoteProtocolError"),
        ("httpx", "ProxyError"),
        ("httpcore", "TimeoutException"),
        ("httpcore", "NetworkError"),
        ("httpcore", "RemoteProtocolError"),
        ("httpcore", "ProxyError"),
        ("requests", "ConnectionError"),
        ("requests", "Timeout"),
        ("requests", "ChunkedEncodingError"),
        ("urllib3", "TimeoutError"),
        ("urllib3", "ProtocolError"),
        ("urllib3", "MaxRetryError"),
        ("urllib", "URLError"),
    }
)
"""The errors, as package and class, by which HTTP libraries say that no answer came."""

_OTHERWISE = frozenset({("requests", "RequestException"), ("urllib", "HTTPError"), ("ssl", "SSLCertVerificationError")})
"""Subclasses of `OSError` that mean something else: an answer, a wrong address, a certificate to look at."""


def is_miss(error: BaseException, *, elapsed: float, not_found_grace: float, miss_on: MissOn | None = None) -> bool:
    """Return whether a poll that raised *error*, *elapsed* seconds into the wait, merely saw nothing.

    Args:
        error: What the poll raised.
        elapsed: Seconds since the wait began.
        not_found_grace: Seconds in which a 404 is a miss.
        miss_on: Further errors that are misses: exception types, or a predicate.
    """
    if not isinstance(error, Exception):
        return False
    if isinstance(error, TransportError):
        # An API may also say "not found" in the envelope of a success.
        not_found = error.status == NOT_FOUND or error.kind == "not_found"
        missed = error.passing or (not_found and elapsed < not_found_grace)
    else:
        missed = not isinstance(error, PollError) and _is_unanswered(error)
    return missed or (miss_on is not None and _fits(error, miss_on))


def _is_unanswered(error: Exception) -> bool:
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}
    if names & _UNANSWERED:
        return ("urllib", "HTTPError") not in names
    return isinstance(error, OSError) and not names & _OTHERWISE  # TimeoutError is an OSError


def _fits(error: Exception, miss_on: MissOn) -> bool:
    if isinstance(miss_on, type | tuple):
        return isinstance(error, miss_on)
    return bool(miss_on(error))


def kind_of(error: BaseException) -> str:
    """Return the kind of a miss, in one word."""
    if isinstance(error, TransportError):
        return error.kind
    if isinstance(error, TimeoutError):
        return "timeout"
    return "local" if isinstance(error, OSError) and error.errno in LOCAL_ERRNOS else "connect"


def is_condemning(error: Rejected, *, first_contact: bool) -> bool:
    """Return whether a refusal concerns every job of the client.

    Args:
        error: The refusal.
        first_contact: Whether the API has not answered this client yet. Then a refusal that is not the API's own, such
            as the page of a web server for a path that it does not know, means that the address is wrong.
    """
    return error.kind in CONDEMNING or (first_contact and not error.from_api)


def drop_tracebacks(error: BaseException) -> None:
    """Remove the tracebacks of *error* and of its causes: each holds the frames of a poll, some kilobytes."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link.__context__ = link.__cause__
        link = link.__cause__


@define
class MissRow:
    """The misses in a row, up to now.

    Attributes:
        last: The newest.
        total: How many they are.
        throttles: How many of the last ones asked for fewer requests without saying how long to stay away.
        by_kind: For each limited kind, how many they are and when the first one came, on the loop's clock.
    """

    last: BaseException
    total: int = 0
    throttles: int = 0
    by_kind: dict[str, tuple[int, float]] | None = None

    def add(self, error: BaseException, now: float) -> bool:
        """Count one more; return whether the limit of its kind has been reached."""
        self.last = error
        self.total += 1
        self.throttles = self.throttles + 1 if isinstance(error, Throttled) and not error.retry_after else 0
        kind = kind_of(error)
        limit = 1 if kind == "local" else MISS_LIMITS.get(kind)
        if limit is None:
            return False
        self.by_kind = self.by_kind or {}
        count, since = self.by_kind.get(kind, (0, now))
        self.by_kind[kind] = count + 1, since
        return count + 1 >= limit and now - since >= PATIENCE

    def throttle(self, random: Callable[[], float]) -> float:
        """Return the seconds to stay away after throttling answers that do not say how long; 0 after others."""
        if not self.throttles:
            return 0.0
        longest = min(LONGEST_THROTTLE, SHORTEST_THROTTLE * 2.0 ** min(self.throttles, 16))
        return longest * (1 + random()) / 2
