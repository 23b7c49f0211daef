"""Which response stands for a job that has not ended yet, or for an error, and handlers that answer with it."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from attrs import field, frozen

from asyncpoll import _errors as errors
from asyncpoll._checks import delay, plain_function
from asyncpoll._json import as_json_data
from asyncpoll._schedule import Learning, Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll.http._secrets import printable
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._wait import Fetch
from asyncpoll.web._frameworks import framework_of, until_disconnect

T = TypeVar("T")

_log = logging.getLogger(__name__)
_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_PROBLEM = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
_PREFERENCE = re.compile(r'(?:^|[,;])\s*(?:wait\s*=\s*"?([0-9]{1,6})"?|respond-async)\s*(?=$|[,;])', re.IGNORECASE)
_YOUNG = 1.0  # seconds; the most of the age of an answer for a client that does not want to wait
_LONGEST_PAUSE = 60.0  # seconds between two requests of a client, whatever was learned
_LONGEST_REASON = 1000
_SOON, _LATER = 1.0, 5.0  # seconds until a client may ask again, where nothing better is known
_NO_ANSWER = "the service that does the job did not answer as it should"

_KNOWN: Mapping[type[BaseException], tuple[int, str, float | None]] = {
    errors.Draining: (503, "the service is restarting", _SOON),
    errors.WaitTimeout: (504, "the job has not ended yet", _SOON),
    errors.JobCancelled: (409, "the job was cancelled", None),
    errors.JobTimedOut: (502, "the job ran out of time", None),
    errors.JobError: (502, "the job failed", None),
    errors.Throttled: (503, "the service that does the job asks for fewer requests", _LATER),
    errors.Rejected: (502, "the service that does the job refused the request", None),
    errors.TransportError: (502, _NO_ANSWER, None),
    errors.ClientClosed: (503, "the service is not ready", _LATER),
    errors.LedgerError: (503, "the service cannot store its work", _LATER),
    errors.PollError: (502, _NO_ANSWER, None),
    TimeoutError: (504, "there was no answer in time", _SOON),
    BaseException: (500, "an unexpected error", None),
}
_REFUSALS: Mapping[str, tuple[int, str]] = {
    "not_found": (404, "there is no such job"),
    "gone": (410, "the job is not kept any more"),
    "content_policy": (422, "the content is refused by policy"),
}


@frozen
class Response:
    """A response, whatever the framework.

    Attributes:
        status: The HTTP status.
        headers: The headers, `Content-Type` among them.
        body: JSON data, or None for an empty body.
    """

    status: int
    headers: Mapping[str, str] = field(factory=dict)
    body: Mapping[str, Any] | None = None

    def to(self, request: Any) -> Any:
        """Return the response as one of the framework of *request*."""
        content = b"" if self.body is None else json.dumps(self.body, default=as_json_data).encode()
        return framework_of(request, "Response.to").response(self.status, self.headers, content)


def response_for(error: BaseException) -> Response:
    """Return the response that tells a client of an error, as a problem by RFC 9457.

    The status is 503 for `Draining`, `Throttled`, `ClientClosed` and `LedgerError`; 504 for `WaitTimeout` and other
    timeouts, which `answer` turns into 202; 409 for `JobCancelled`; 404, 410 or 422 for a `Rejected` of the kind
    "not_found", "gone" or "content_policy". It is 502 for a job that failed, since the request was in order, and for
    all other errors of asyncpoll, for example a refused credential; 500 for anything else. There is a `Retry-After`
    where asking again may help.

    The body has `title` and `status`, and what was seen of the job: `state`, `progress`, `kind`, and in the words of
    the service `reason` and `code`, without keys in links. Messages of errors, addresses and ids are not in it.
    """
    status, title, pause = next(_KNOWN[kind] for kind in type(error).__mro__ if kind in _KNOWN)
    seen: Snapshot[Any] | None = getattr(error, "last", None) or getattr(error, "snapshot", None)
    if isinstance(error, errors.TransportError):
        status, title = _REFUSALS.get(error.kind, (status, title))
        pause = error.retry_after or pause or (_LATER if error.passing else None)
    elif isinstance(error, errors.WaitTimeout) and seen is not None:
        pause = seen.retry_after or pause
    return Response(status, _PROBLEM | _retry_after(pause), {"title": title, "status": status, **shown(seen)})


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}


def shown(snapshot: Snapshot[Any] | None) -> dict[str, Any]:
    """Return what a client may see of a snapshot; its value is not in it."""
    if snapshot is None:
        return {}
    words = {"kind": snapshot.kind, "reason": snapshot.reason, "code": snapshot.code}
    said = {name: printable(text, _LONGEST_REASON) for name, text in words.items() if text}
    return {"state": snapshot.state.value, "progress": snapshot.progress, **said}


def _answer_error(request: Any, error: BaseException) -> Any:
    """Return the response to *request* for an error, and log the error: its message is not for the client."""
    response = response_for(error)
    level = logging.DEBUG if isinstance(error, TimeoutError | errors.JobError) else logging.WARNING
    _log.log(level, "answered with %d: %s", response.status, errors.explained(error))
    return response.to(request)


async def starlette_errors(request: Any, error: Exception) -> Any:
    """Answer with `response_for(error)`: `FastAPI(exception_handlers={PollError: web.starlette_errors})`."""
    return _answer_error(request, error)


def litestar_errors(request: Any, error: Exception) -> Any:
    """Answer with `response_for(error)`: `Litestar(exception_handlers={PollError: web.litestar_errors})`."""
    return _answer_error(request, error)


async def aiohttp_errors(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
    """Answer with `response_for(error)`: `aiohttp.web.Application(middlewares=[web.aiohttp_errors])`."""
    try:
        return await handler(request)
    except errors.PollError as error:
        return _answer_error(request, error)


aiohttp_errors.__middleware_version__ = 1  # type: ignore[attr-defined]  # as `@aiohttp.web.middleware` does


def preferred_wait(request: Any, longest: float = 25.0) -> float:
    """Return how many seconds the client of *request* wants to wait, by its header `Prefer: wait=10` (RFC 7240).

    Args:
        request: The request that is being handled.
        longest: The most, and what a client gets that does not say. Many proxies cut a silent request after 30 seconds.

    Returns:
        Seconds from 0 to *longest*; 0 for a client that says `respond-async` only.
    """
    delay("preferred_wait(): longest", longest)
    framework_of(request, "preferred_wait")
    said = [wait[1] for wait in _PREFERENCE.finditer(request.headers.get("Prefer", ""))]
    waits = [float(seconds) for seconds in said if seconds]
    return min(longest, *waits[:1]) if waits else 0.0 if said else longest


async def answer(
    request: Any,
    hub: Hub,
    job: Fetch[T],
    render: Callable[[T], Any],
    *,
    longest: float = 25.0,
    location: str | None = None,
) -> Any:
    """Wait for a job as `preferred_wait` says, and return the whole response.

    It is 200 with `{"state": "success", "result": render(value)}`, or what `accepted` returns if the job takes longer,
    or the response for an error. If the client leaves, its wait ends, as `until_disconnect` says.

    Args:
        request: The request that is being handled.
        hub: The hub of the app.
        job: The job, or another async function that returns a snapshot.
        render: A function from the result to JSON data, in which instances of attrs classes become objects.
        longest: The most seconds to wait.
        location: Where to ask again; by default where the client has asked now.
    """
    plain_function("answer(): render", render)
    seconds = preferred_wait(request, longest)
    try:
        looking = hub.wait(job, timeout=seconds) if seconds else hub.fetch(job, max_age=_YOUNG)
        seen = await until_disconnect(request, looking)
        if seen.state.is_terminal:
            return Response(200, _JSON, {"state": seen.state.value, "result": render(seen.unwrap())}).to(request)
    except errors.PollError as error:
        if isinstance(error, errors.Draining) or not isinstance(error, errors.WaitTimeout):
            return _answer_error(request, error)
        return accepted(request, hub, job, location=location, last=error.last, waited=error.waited)
    return accepted(request, hub, job, location=location, last=seen)


def accepted(
    request: Any,
    hub: Hub,
    job: Fetch[Any],
    *,
    location: str | None = None,
    last: Snapshot[Any] | None = None,
    waited: float = 0.0,
) -> Any:
    """Return a response with the status 202: the job runs, and where and when to ask for it.

    Its `Retry-After` is when the hub would poll next, by what it has learned of such jobs and what the server suggests.

    Args:
        request: The request that is being handled.
        hub: The hub of the app.
        job: The job, or another async function that returns a snapshot.
        location: Where to ask for it; by default where the client has asked now.
        last: What was last seen of the job.
        waited: For how many seconds it was waited for.
    """
    known: dict[str, Any] = (
        {} if last is None else {"state": last.state.value, "in_state": waited, "done": last.progress}
    )
    progress = Progress(1, waited, **known)
    key: dict[str, Any] = {"key": getattr(job, "pacing_key", "")} if isinstance(hub.schedule, Learning) else {}
    pause = max(hub.schedule.delay(progress, **key), (last and last.retry_after) or 0.0)
    headers = _JSON | {"Location": location or framework_of(request, "accepted").path(request)}
    headers |= _retry_after(min(pause, _LONGEST_PAUSE))
    return Response(202, headers, shown(last) or {"state": "pending"}).to(request)
