"""Wait for remote jobs: politely, cheaply, until they are done.

The names below are the whole front door. Each is fetched from its module on first use, so that `import asyncpoll`
costs nothing to those who import it long before they wait for anything.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asyncpoll._version import __version__

if TYPE_CHECKING:
    from asyncpoll._endpoint import Endpoint, Group, Job
    from asyncpoll._errors import (
        BadReply,
        ClientClosed,
        JobCancelled,
        JobError,
        JobFailed,
        JobTimedOut,
        LedgerError,
        PollError,
        Rejected,
        Throttled,
        TransportError,
        UnknownStatus,
        WaitTimeout,
    )
    from asyncpoll._schedule import Exponential, Fixed, Progress, Schedule
    from asyncpoll._snapshot import Snapshot
    from asyncpoll._state import State, Vocabulary
    from asyncpoll.waiting._convenience import as_completed, wait_all
    from asyncpoll.waiting._hub import Hub
    from asyncpoll.waiting._run import Outcome
    from asyncpoll.waiting._timeout import Timeout
    from asyncpoll.waiting._wait import Fetch, wait_until_terminal, watch
    from asyncpoll.waiting.learning._history import History
    from asyncpoll.waiting.learning._learned import Learned

_HOMES = {
    "_endpoint": ("Endpoint", "Group", "Job"),
    "_errors": (
        "BadReply",
        "ClientClosed",
        "JobCancelled",
        "JobError",
        "JobFailed",
        "JobTimedOut",
        "LedgerError",
        "PollError",
        "Rejected",
        "Throttled",
        "TransportError",
        "UnknownStatus",
        "WaitTimeout",
    ),
    "_schedule": ("Exponential", "Fixed", "Progress", "Schedule"),
    "waiting._convenience": ("as_completed", "wait_all"),
    "waiting._hub": ("Hub",),
    "waiting.learning._history": ("History",),
    "waiting.learning._learned": ("Learned",),
    "waiting._run": ("Outcome",),
    "_snapshot": ("Snapshot",),
    "_state": ("State", "Vocabulary"),
    "waiting._timeout": ("Timeout",),
    "waiting._wait": ("Fetch", "wait_until_terminal", "watch"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # a test holds it in step with the two lists above
    "BadReply",
    "ClientClosed",
    "Endpoint",
    "Exponential",
    "Fetch",
    "Fixed",
    "Group",
    "History",
    "Hub",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobTimedOut",
    "Learned",
    "LedgerError",
    "Outcome",
    "PollError",
    "Progress",
    "Rejected",
    "Schedule",
    "Snapshot",
    "State",
    "Throttled",
    "Timeout",
    "TransportError",
    "UnknownStatus",
    "Vocabulary",
    "WaitTimeout",
    "__version__",
    "as_completed",
    "wait_all",
    "wait_until_terminal",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
