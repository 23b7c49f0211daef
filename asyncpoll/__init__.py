"""Wait for remote jobs: politely, cheaply, until they are done.

The names below are the whole front door. Each is fetched from its module on first use, so that `import asyncpoll`
costs nothing to those who import it long before they wait for anything.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from asyncpoll._version import __version__

if TYPE_CHECKING:
    from asyncpoll.endpoint import Endpoint, Group, Job
    from asyncpoll.errors import (
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
    from asyncpoll.schedule import Exponential, Fixed, Progress, Schedule
    from asyncpoll.waiting.bulk import as_completed, wait_all
    from asyncpoll.waiting.hub import Hub
    from asyncpoll.waiting.learning.history import History
    from asyncpoll.waiting.learning.learned import Learned
    from asyncpoll.waiting.run import Outcome
    from asyncpoll.waiting.snapshot import Snapshot
    from asyncpoll.waiting.state import State, Vocabulary
    from asyncpoll.waiting.timeout import Timeout
    from asyncpoll.waiting.wait import Fetch, wait_until_terminal, watch

_HOMES = {
    "endpoint": ("Endpoint", "Group", "Job"),
    "errors": (
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
    "schedule": ("Exponential", "Fixed", "Progress", "Schedule"),
    "waiting.bulk": ("as_completed", "wait_all"),
    "waiting.hub": ("Hub",),
    "waiting.learning.history": ("History",),
    "waiting.learning.learned": ("Learned",),
    "waiting.run": ("Outcome",),
    "waiting.snapshot": ("Snapshot",),
    "waiting.state": ("State", "Vocabulary"),
    "waiting.timeout": ("Timeout",),
    "waiting.wait": ("Fetch", "wait_until_terminal", "watch"),
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
