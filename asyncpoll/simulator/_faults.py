"""Define faults: what goes wrong with a response, and which requests meet it.

An effect is a frozen value that is a function from `Response` to `Response`:

    when       Latency
    instead    ErrorStatus  Envelope  Redirect  HtmlPage  EmptyBody
    altered    Malformed  Rewrite  Omit  WrongId  Oversized  GzipBomb
    delivered  Reset  Cut  Drip  LateResponse  (of several, the last one counts)

In every case the request has been served: a submit whose response is lost has nevertheless started a job. A `Fault`
is an effect with the requests that meet it, and the `FaultInjector` counts these requests.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, Literal

from attrs import evolve, field, frozen, validators

from asyncpoll.simulator._http import End, Response, Step, html_response, json_response
from asyncpoll.simulator._lives import NOT_NEGATIVE, SHARE, random_for

Effect = Callable[[Response], Response]

_ID_FIELDS = frozenset({"async_id", "task_id", "taskId", "subTaskId"})
_SIZE = validators.ge(1)
_COUNT = validators.optional(_SIZE)
_READ_TIME = 0.02  # seconds: enough for the peer to read everything before the end
_POINTS = ("before", "headers", "body")


def _instead(response: Response, other: Response) -> Response:
    """Return the content of *other*, sent as *response* would have been."""
    return evolve(response, status=other.status, body=other.body, headers=other.headers)


@frozen
class Latency:
    """Nothing is sent for *seconds*; the response is whole."""

    seconds: float = field(validator=NOT_NEGATIVE)

    def __call__(self, response: Response) -> Response:
        """Return the response with a delay."""
        return evolve(response, delay=response.delay + self.seconds)


@frozen
class ErrorStatus:
    """An error in place of the response.

    Attributes:
        status: The HTTP status, such as 429 or 503.
        code: BigModel's business code, for an error object as the body; None for a gateway's page.
        message: The text of the error.
        retry_after: Seconds for the `Retry-After` header, possibly with decimals, or None for no such header.
        dated: Whether that header has an HTTP date instead of seconds.
    """

    status: int = field(validator=validators.and_(validators.ge(200), validators.le(599)))
    code: str | None = field(default=None, kw_only=True)
    message: str = field(default="Service unavailable", kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True, validator=validators.optional(validators.ge(0)))
    dated: bool = field(default=False, kw_only=True)

    def __call__(self, response: Response) -> Response:
        """Return the error."""
        if self.code is None:
            error = html_response(self.message, self.status)
        else:
            error = json_response({"error": {"code": self.code, "message": self.message}}, self.status)
        return _instead(response, evolve(error, headers={**error.headers, **self._hint()}))

    def _hint(self) -> dict[str, str]:
        if self.retry_after is None:
            return {}
        if not self.dated:
            return {"Retry-After": str(self.retry_after)}
        return {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=self.retry_after), usegmt=True)}


@frozen
class Envelope:
    """Molizhishu's refusal in place of the response: HTTP 200, `success` false, a *code* and a *message*, no data.

    Attributes:
        code: The code.
        message: The message.
        field: The name that the message has on the wire: "message", or "msg", which public clients of the API read too.
    """

    code: int
    message: str = "系统繁忙"
    field: str = "message"

    def __call__(self, response: Response) -> Response:
        """Return the refusal."""
        return _instead(response, json_response({"success": False, "code": self.code, self.field: self.message}))


@frozen
class Redirect:
    """A redirect to *location* in place of the response."""

    location: str
    status: int = 302

    def __call__(self, response: Response) -> Response:
        """Return the redirect."""
        return _instead(response, Response(self.status, headers={"Location": self.location}))


@frozen
class HtmlPage:
    """A page with status 200 in place of the response: a captive portal, or a gateway that does not speak JSON."""

    title: str = "Welcome"

    def __call__(self, response: Response) -> Response:
        """Return the page."""
        return _instead(response, html_response(self.title, 200))


@frozen
class EmptyBody:
    """The status and the headers without a body."""

    def __call__(self, response: Response) -> Response:
        """Return the response without its body."""
        return evolve(response, body=b"")


@frozen
class Malformed:
    """A body without its second half, correctly framed."""

    def __call__(self, response: Response) -> Response:
        """Return half of the response."""
        return evolve(response, body=response.body[: len(response.body) // 2])


def _map_objects(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Return *value* with *change* applied to every object in it, the inner ones first."""
    if isinstance(value, dict):
        return change({key: _map_objects(item, change) for key, item in value.items()})
    return [_map_objects(item, change) for item in value] if isinstance(value, list) else value


def _altered(response: Response, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    payload = response.payload
    return response if payload is None else evolve(response, body=json_response(_map_objects(payload, change)).body)


@frozen
class Rewrite:
    """Every field *name*, at any depth, has this *value* instead, such as an unknown status word."""

    name: str
    value: Any

    def __call__(self, response: Response) -> Response:
        """Return the response rewritten."""
        return _altered(response, lambda found: {**found, self.name: self.value} if self.name in found else found)


@frozen
class Omit:
    """The response lacks the field *name*, at any depth."""

    name: str

    def __call__(self, response: Response) -> Response:
        """Return the response without the field."""
        return _altered(response, lambda found: {key: value for key, value in found.items() if key != self.name})


@frozen
class WrongId:
    """The id fields of the response name another job."""

    ident: str = "somebody-else"

    def __call__(self, response: Response) -> Response:
        """Return the response under another id."""
        return _altered(response, lambda found: {**found, **dict.fromkeys(_ID_FIELDS & found.keys(), self.ident)})


@frozen
class Oversized:
    """The body is padded to at least *size* bytes, and is still valid JSON."""

    size: int = field(default=8 << 20, validator=_SIZE)

    def __call__(self, response: Response) -> Response:
        """Return the response after its padding."""
        # Blanks before the first bracket keep the JSON valid, so that only a limit can stop the reader.
        return evolve(response, body=response.body.rjust(self.size))


@lru_cache(maxsize=4)
def _bomb(body: bytes, size: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    blanks, rest = divmod(max(0, size - len(body)), 1 << 16)
    squeezed = [deflate.compress(b" " * (1 << 16)) for _ in range(blanks)]
    return b"".join((*squeezed, deflate.compress(b" " * rest + body), deflate.flush()))


@frozen
class GzipBomb:
    """A small gzip body that unpacks to *size* bytes of valid JSON."""

    size: int = field(default=64 << 20, validator=_SIZE)

    def __call__(self, response: Response) -> Response:
        """Return the response, compressed after its padding."""
        headers = {**response.headers, "Content-Encoding": "gzip"}
        return evolve(response, body=_bomb(response.body, self.size), headers=headers)


class _OddDelivery(ABC):
    """An effect that leaves the response as it is and changes how it is sent."""

    def __call__(self, response: Response) -> Response:
        """Return the response, to be sent in steps."""
        return evolve(response, delivery=self._steps)

    @abstractmethod
    def _steps(self, response: Response) -> tuple[Step, ...]:
        """Return the steps that send the response."""


@frozen
class Reset(_OddDelivery):
    """The connection is reset before the response, inside its headers, or inside its body."""

    at: Literal["before", "headers", "body"] = field(default="before", validator=validators.in_(_POINTS))

    def _steps(self, response: Response) -> tuple[Step, ...]:
        head, body = response.head(), response.body
        sent = {"before": b"", "headers": head[: len(head) // 2], "body": head + body[: len(body) // 2]}
        return sent[self.at], _READ_TIME, End.RESET


@frozen
class Cut(_OddDelivery):
    """The headers announce *missing* bytes more than are sent before the connection is closed."""

    missing: int = field(default=1, validator=_SIZE)

    def _steps(self, response: Response) -> tuple[Step, ...]:
        return response.head(len(response.body) + self.missing) + response.body, End.CLOSE


@frozen
class Drip(_OddDelivery):
    """The body comes in pieces of *size* bytes, *gap* seconds after one another."""

    gap: float = field(default=0.05, validator=NOT_NEGATIVE)
    size: int = field(default=16, validator=_SIZE)

    def _steps(self, response: Response) -> tuple[Step, ...]:
        pieces = (response.body[start : start + self.size] for start in range(0, len(response.body), self.size))
        return response.head(), *(step for piece in pieces for step in (self.gap, piece))


@frozen
class LateResponse(_OddDelivery):
    """The response is sent a second time, unsolicited, after *delay* seconds; the connection stays open.

    A client that reads this as the response to its next request confuses two jobs.
    """

    delay: float = field(default=_READ_TIME, validator=NOT_NEGATIVE)

    def _steps(self, response: Response) -> tuple[Step, ...]:
        whole = response.head() + response.body
        return whole, self.delay, whole


@frozen(eq=False)
class Fault:
    """An effect, and the requests that meet it. Two faults are never equal: each has its own count.

    Attributes:
        effect: The function from the response to the response that is sent instead.
        where: The name of a route, such as "bigmodel.agents" (its polls) or "bigmodel.agents.start", or any part of
            the path. The default is everywhere.
        nth: Only the nth matching request, counted from 1.
        probability: The share of the matching requests that meet it, 0 to 1, drawn from the seed and their number.
        times: At most this many requests, then never again.
    """

    effect: Effect
    where: str = ""
    nth: int | None = field(default=None, kw_only=True, validator=_COUNT)
    probability: float = field(default=1.0, kw_only=True, validator=SHARE)
    times: int | None = field(default=None, kw_only=True, validator=_COUNT)


class FaultInjector:
    """Applies faults to responses, and counts how often each has matched and was applied."""

    def __init__(self, seed: int, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        self._seed = seed
        self._matched: Counter[Fault] = Counter()
        self._applied: Counter[Fault] = Counter()

    def inject(self, response: Response, *, route: str, path: str, number: int) -> Response:
        """Return the response after every fault that is due, in order.

        Args:
            response: The response of the API.
            route: The name of the route.
            path: The path of the request, as it was sent.
            number: The number of the request, from which chance is drawn.
        """
        for fault in tuple(self.faults):
            if (fault.where == route or fault.where in path) and self._is_due(fault, number):
                response = fault.effect(response)
        return response

    def _is_due(self, fault: Fault, number: int) -> bool:
        self._matched[fault] += 1
        due = (
            fault.nth in {None, self._matched[fault]}
            and (fault.times is None or self._applied[fault] < fault.times)
            and random_for(self._seed, "fault", repr(fault), str(number)).random() < fault.probability
        )
        self._applied[fault] += due
        return due
