"""Misses: polls that failed, saw nothing, and therefore changed nothing about the job.

A miss ends a wait only when too many of its class come in a row. Passing faults of network and server have no limit of
their own: they may go on until the deadline.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeGuard

from attrs import define

from asyncpoll._errors import BadReply, PollError, Rejected, TransportError

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
"""How many misses of one kind in a row end the wait."""

CONDEMNING = frozenset({"credential", "certificate", "tls", "unpaid", "login"})
"""Refusals that concern every job of a client, not the one that was asked about."""

LOCAL_PATIENCE = 60.0
"""Seconds without progress after which a shortage on this machine (descriptors, ports, disk) ends the wait."""

NOT_FOUND = 404

_LOCAL_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENOSPC})


def is_miss(error: BaseException, *, elapsed: float, not_found_grace: float) -> bool:
    """Return whether a poll that raised *error*, *elapsed* seconds into the wait, merely saw nothing."""
    if isinstance(error, TransportError):
        # An API may also say "not found" in the envelope of a success.
        not_found = error.status == NOT_FOUND or error.kind == "not_found"
        return error.passing or isinstance(error, BadReply) or (not_found and elapsed < not_found_grace)
    return isinstance(error, OSError) and not isinstance(error, PollError)  # TimeoutError is an OSError


def kind_of(error: BaseException) -> str:
    """Return the class of a miss, in one word."""
    if isinstance(error, TransportError):
        return error.kind
    if isinstance(error, TimeoutError):
        return "timeout"
    return "local" if isinstance(error, OSError) and error.errno in _LOCAL_ERRORS else "connect"


def condemns(seen: object) -> TypeGuard[Rejected]:
    """Return whether what a poll saw is a refusal that concerns every job of the client."""
    return isinstance(seen, Rejected) and seen.kind in CONDEMNING


def without_traces(error: BaseException) -> None:
    """Take the tracebacks off *error* and off what it came from: each holds the frames of a poll, some kilobytes."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link.__context__ = link.__cause__
        link = link.__cause__


@define
class MissRow:
    """The misses since the last poll that saw something.

    Attributes:
        total: How many they are.
        by_kind: The same, by class.
        local_since: When the first local shortage among them happened, on the loop's clock.
        last: The newest.
    """

    last: BaseException
    total: int = 0
    by_kind: dict[str, int] | None = None
    local_since: float | None = None

    def add(self, error: BaseException, now: float) -> bool:
        """Count one more; return whether the limit of its class has been reached."""
        self.last = error
        self.total += 1
        kind = kind_of(error)
        if kind == "local":
            self.local_since = now if self.local_since is None else self.local_since
            return now - self.local_since >= LOCAL_PATIENCE
        if kind not in MISS_LIMITS:
            return False
        self.by_kind = self.by_kind or {}
        self.by_kind[kind] = self.by_kind.get(kind, 0) + 1
        return self.by_kind[kind] >= MISS_LIMITS[kind]
