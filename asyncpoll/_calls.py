"""The calls of an API besides asking about one job: `Group`, about many at once, and `Start`, the submit."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from attrs import evolve, field, frozen, validators

from asyncpoll._checks import by_field, function, refusal, text, whole
from asyncpoll._snapshot import Snapshot
from asyncpoll.http._message import Reply, Request

Ref = TypeVar("Ref")
T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9_.-]+")


def _optional_function(name: str, value: object) -> None:
    if not (value is None or callable(value)):
        raise refusal(TypeError, name, "a function or None", value)


FUNCTION, OPTIONAL_FUNCTION = by_field(function), by_field(_optional_function)
OPTIONAL_TEXT = validators.optional(by_field(text))
"""Validators of fields."""


def _endpoint_name(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise refusal(TypeError, name, "text such as 'vendor.things'", value)
    if not _NAME.fullmatch(value):
        wanted = "made of lower-case letters, digits, '.', '-' and '_', such as 'vendor.things'"
        raise refusal(ValueError, name, wanted, value)


NAME = by_field(_endpoint_name)


def optional_instance(kind: type) -> Any:
    """Return a validator of fields that hold an instance of *kind*, or None."""

    def check(name: str, value: object) -> None:
        if not (value is None or isinstance(value, kind)):
            raise refusal(TypeError, name, f"a {kind.__name__} or None", value)

    return by_field(check)


@frozen
class Group(Generic[Ref, T]):
    """A request about many jobs, for an API that has such a call.

    Attributes:
        key: A function from a reference to a key. Jobs with the same key can be asked about together.
        ask: A function from references with the same key to the request about their jobs.
        read: A function from the reply and the references to a snapshot per reference. A job that it leaves out is
            asked about with a request of its own. An error that it raises, other than a `PollError`, is logged once
            per endpoint.
        size: The largest number of jobs in one request.
    """

    key: Callable[[Ref], Hashable] = field(validator=FUNCTION)
    ask: Callable[[Sequence[Ref]], Request] = field(validator=FUNCTION)
    read: Callable[[Reply, Sequence[Ref]], Mapping[Ref, Snapshot[T]]] = field(validator=FUNCTION)
    size: int = field(validator=by_field(whole(1)))


@frozen
class Poll:
    """What `Endpoint.again` is told about the poll that it makes the request for.

    Attributes:
        seconds_left: The seconds until the wait must end if nothing changes, or None if it has no limit. In a hub it is
            the largest of the waits for the job.
        last: The last good reply of this wait, or None before the first one.
    """

    seconds_left: float | None = None
    last: Reply | None = None


@frozen
class Start(Generic[Ref, T]):
    """The request that submits a job, and the way to read its answer.

    Attributes:
        ask: A function, plain or async, from the arguments of `Endpoint.start` to the request. What it raises is
            raised by `Endpoint.start`: a `ValueError` for a bad argument. Nothing has been sent then.
        read: A function from the reply and the arguments, as a mapping, to the reference of the job.
        snapshot: A function from the reply to a snapshot of the job, or None if the reply does not say how it is. With
            a terminal snapshot no request is sent about the job, unless it is a success and the endpoint has `then`.
        key: The name of the argument that is the idempotency key, or None if the API has no such key. With a key, the
            request may be repeated after a fault of the network. Without the argument, the key is random.
        predicts: A function from the arguments, as a mapping, to what predicts how long the job takes, such as its
            model and a class of its size; or None. It is called before anything is sent. See `Job.with_pacing`.
    """

    ask: Callable[..., Request | Awaitable[Request]] = field(validator=FUNCTION)
    read: Callable[[Reply, Mapping[str, Any]], Ref] = field(validator=FUNCTION)
    snapshot: Callable[[Reply], Snapshot[T] | None] | None = field(default=None, validator=OPTIONAL_FUNCTION)
    key: str | None = field(default=None, validator=OPTIONAL_TEXT)
    predicts: Callable[[Mapping[str, Any]], Hashable] | None = field(default=None, validator=OPTIONAL_FUNCTION)

    async def request(self, endpoint: str, arguments: Mapping[str, Any]) -> Request:
        """Return the request that submits a job of the endpoint with this name."""
        asked = self.ask(**arguments)
        request: Any = await asked if isawaitable(asked) else asked
        if not isinstance(request, Request):
            raise refusal(TypeError, f"{endpoint}: the result of Start.ask", "a Request", request)
        return evolve(request, repeatable=True) if self.key else request
