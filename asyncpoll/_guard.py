"""`Guard`: it calls the functions of an endpoint. An error of theirs becomes a `BadReply`, and is logged once."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from attrs import field, frozen

from asyncpoll._errors import BadReply, PollError
from asyncpoll._snapshot import Snapshot
from asyncpoll.http._classify import MESSAGE_LIMIT
from asyncpoll.http._message import Reply, Request, Transport, check_address
from asyncpoll.http._secrets import printable

R = TypeVar("R")

ACCIDENTS = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)
"""The errors by which a function shows that a reply has another form than it expects."""

_INDEX = re.compile(r"\[[0-9]+\]")
_MOST_LOGGED = 100
_LONGEST_HINT = 100
_CURES = {
    "Group.read": "so jobs may be polled one by one; correct it",
    "Start.read": "so the job may be running, but is not known; correct it",
    "Start.snapshot": "so the job may be running, but is not known; correct it",
}
_log = logging.getLogger(__name__)


@frozen
class Guard:
    """Calls the functions of one endpoint.

    Attributes:
        endpoint: The name of the endpoint, for messages.
    """

    endpoint: str
    _logged: set[str] = field(init=False, factory=set, repr=False, eq=False)

    def check(self, classify: Callable[[Reply], None], reply: Reply, name: str = "classify") -> None:
        """Classify a reply. An unexpected error of *classify* becomes a `BadReply`."""
        try:
            if "retry-after" in reply.headers and reply.retry_after is None:
                unreadable = printable(str(reply.headers["retry-after"]), _LONGEST_HINT)
                self._log_once("Retry-After", "the Retry-After of the server is unreadable and ignored: %s", unreadable)
            classify(reply)
        except BadReply as error:
            _add_reply(error, reply)
            raise
        except PollError:
            raise
        except Exception as error:
            raise self.unreadable(name, error, reply) from error

    def read(self, read: Callable[[Reply], R], reply: Reply) -> R:
        """Return what *read* makes of a reply; what does not fit is logged. The driver of the wait checks its type."""
        try:
            seen = read(reply)
        except BadReply as error:
            _add_reply(error, reply)
            raise
        except PollError:
            raise
        except Exception as error:
            raise self.unreadable("read", error, reply) from error
        if isinstance(seen, Snapshot) and seen.misfits:
            self.log_misfits(seen)
        return seen

    def call(self, name: str, reply: Reply | None, kind: Any, function: Callable[..., R], *given: Any) -> R:
        """Return what *function* makes of a *reply*. An unexpected error of it becomes a `BadReply`.

        Args:
            name: The name of the function, for messages.
            reply: The reply.
            kind: The type of what it returns, or several; anything else is an error of the function, too.
            function: The function.
            *given: Its arguments.
        """
        try:
            made = function(*given)
            if not isinstance(made, kind):
                raise TypeError(f"it returned {type(made).__name__}")  # noqa: TRY301  as if it had
        except BadReply as error:
            _add_reply(error, reply)
            raise
        except PollError:
            raise
        except Exception as error:
            raise self.unreadable(name, error, reply) from error
        return made

    def unreadable(self, name: str, error: Exception, reply: Reply | None) -> BadReply:
        """Return the `BadReply` for an error of the function with this *name*, and log it."""
        problem = f"{type(error).__name__}: {printable(str(error), MESSAGE_LIMIT)}"
        self._log_once(name, f"{name} failed, {_CURES.get(name, 'so the poll is a miss')}: %s", problem)
        return BadReply(f"{self.endpoint}: {name} failed, the reply has another form: {problem}", reply=reply)

    def log_misfits(self, seen: object) -> None:
        """Log what does not fit the typed value of a snapshot."""
        for path in getattr(seen, "misfits", ()):  # of the items of an array, only the first misfit is logged
            message = "the reply does not fit the result at %s; it is left out there, see Snapshot.misfits"
            self._log_once(_INDEX.sub("[]", path), message, path)

    def _log_once(self, key: str, message: str, shown: str) -> None:
        if key not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(key)
            _log.warning(f"%s: {message}", self.endpoint, shown)


def _add_reply(error: BadReply, reply: Reply | None) -> None:
    if error.reply is None and reply is not None:
        error.reply = reply
        error.status = reply.status if error.status is None else error.status
        error.origin = error.origin or reply.origin


def check_first(ask: Callable[[Any], Request], transport: Transport, ref: Any) -> None:
    """Check the address at which a job is to be polled first, if its server gave one.

    Raises:
        Rejected: The address is not below the base address of the transport.
    """
    request = None
    with suppress(Exception):  # a poll will raise it, and the job can be cancelled
        request = ask(ref)
    if request is not None and request.address is not None:
        check_address(transport, request)
