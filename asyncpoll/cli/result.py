"""The result line: what is known about a job when its wait is over."""

from __future__ import annotations

from typing import Any

from asyncpoll._endpoint import Job
from asyncpoll._errors import explained
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.events import Ended

_MILLISECONDS = 3  # decimals of a second
_NOTHING_SEEN = Snapshot[Any](State.UNKNOWN)


def result_of(job: Job[Any], end: Ended) -> dict[str, Any]:
    """Return the fields of the result line; `waited` is in seconds.

    Of a wait that an error ended, `state` is what was last seen and `reason` is the error.
    """
    seen = end.snapshot or _NOTHING_SEEN
    return {
        "endpoint": job.endpoint.name,
        "ref": job.endpoint.plain(job.ref),
        "state": seen.state,
        "status": seen.status,
        "value": seen.value,
        "reason": seen.reason if end.error is None else explained(end.error),
        "code": seen.code,
        "polls": end.polls,
        "waited": round(end.waited, _MILLISECONDS),
    }
