"""Wait for remote jobs: politely, cheaply, until they are done.

All public names of this package are listed below. Each is imported from its module when it is first used, so that
`import asyncpoll` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpoll._calls import Group as Group
    from asyncpoll._calls import Poll as Poll
    from asyncpoll._calls import Start as Start
    from asyncpoll._endpoint import Endpoint as Endpoint
    from asyncpoll._endpoint import Job as Job
    from asyncpoll._errors import BadReply as BadReply
    from asyncpoll._errors import ClientClosed as ClientClosed
    from asyncpoll._errors import Draining as Draining
    from asyncpoll._errors import JobCancelled as JobCancelled
    from asyncpoll._errors import JobError as JobError
    from asyncpoll._errors import JobFailed as JobFailed
    from asyncpoll._errors import JobTimedOut as JobTimedOut
    from asyncpoll._errors import LedgerError as LedgerError
    from asyncpoll._errors import PollError as PollError
    from asyncpoll._errors import Rejected as Rejected
    from asyncpoll._errors import Throttled as Throttled
    from asyncpoll._errors import TransportError as TransportError
    from asyncpoll._errors import UnknownStatus as UnknownStatus
    from asyncpoll._errors import WaitTimeout as WaitTimeout
    from asyncpoll._marks import time_in_id as time_in_id
    from asyncpoll._schedule import Exponential as Exponential
    from asyncpoll._schedule import Fixed as Fixed
    from asyncpoll._schedule import Progress as Progress
    from asyncpoll._schedule import Schedule as Schedule
    from asyncpoll._snapshot import Snapshot as Snapshot
    from asyncpoll._state import State as State
    from asyncpoll._state import Vocabulary as Vocabulary
    from asyncpoll._timeout import Timeout as Timeout
    from asyncpoll._version import __version__ as __version__
    from asyncpoll.waiting._convenience import as_completed as as_completed
    from asyncpoll.waiting._convenience import wait_all as wait_all
    from asyncpoll.waiting._hub import Hub as Hub
    from asyncpoll.waiting._policy import Pace as Pace
    from asyncpoll.waiting._recipients import Seen as Seen
    from asyncpoll.waiting._run import Outcome as Outcome
    from asyncpoll.waiting._wait import Fetch as Fetch
    from asyncpoll.waiting._wait import wait_until_terminal as wait_until_terminal
    from asyncpoll.waiting._wait import watch as watch
    from asyncpoll.waiting.learning._history import History as History
    from asyncpoll.waiting.learning._learned import Explanation as Explanation
    from asyncpoll.waiting.learning._learned import Learned as Learned
else:
    _NAMES = {
        "_calls": "Group Poll Start",
        "_endpoint": "Endpoint Job",
        "_errors": (
            "BadReply ClientClosed Draining JobCancelled JobError JobFailed JobTimedOut LedgerError PollError Rejected "
            "Throttled TransportError UnknownStatus WaitTimeout"
        ),
        "_marks": "time_in_id",
        "_schedule": "Exponential Fixed Progress Schedule",
        "_snapshot": "Snapshot",
        "_state": "State Vocabulary",
        "_timeout": "Timeout",
        "_version": "__version__",
        "waiting._convenience": "as_completed wait_all",
        "waiting._hub": "Hub",
        "waiting._policy": "Pace",
        "waiting._recipients": "Seen",
        "waiting._run": "Outcome",
        "waiting._wait": "Fetch wait_until_terminal watch",
        "waiting.learning._history": "History",
        "waiting.learning._learned": "Explanation Learned",
    }
    _MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

    __all__ = list(_MODULE_OF)

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return __all__
