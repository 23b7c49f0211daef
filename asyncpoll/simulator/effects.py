"""What a fault does to an answer: frozen values that are functions from `Answer` to `Answer`.

    when       Latency
    instead    ErrorStatus  Envelope  Redirect  HtmlPage  EmptyBody
    altered    Malformed  Rewrite  Omit  WrongId  Oversized  GzipBomb

How an answer is put on the wire is the business of `deliveries`. In every case the request has been served: a submit
whose answer is lost has nevertheless started a job.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from attrs import evolve, field, frozen, validators

from asyncpoll.simulator.answers import Answer, html_answer, json_answer
from asyncpoll.simulator.lives import NOT_NEGATIVE

Effect = Callable[[Answer], Answer]

_ID_FIELDS = frozenset({"async_id", "task_id", "taskId", "subTaskId"})
_SIZE = validators.ge(1)


def _instead(answer: Answer, said: Answer) -> Answer:
    """Return what is *said*, when and how *answer* would have been."""
    return evolve(answer, status=said.status, body=said.body, headers=said.headers)


@frozen
class Latency:
    """Nothing is sent for so many *seconds*; the answer is whole."""

    seconds: float = field(validator=NOT_NEGATIVE)

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer, later."""
        return evolve(answer, delay=answer.delay + self.seconds)


@frozen
class ErrorStatus:
    """An error in place of the answer.

    Attributes:
        status: The HTTP status, such as 429 or 503.
        code: BigModel's business code, for an error object as the body; None for a gateway's page.
        message: The text of the error.
        retry_after: Seconds for the `Retry-After` header, maybe with decimals, or None for no such header.
        dated: Whether that header gives the moment as an HTTP date instead.
    """

    status: int = field(validator=validators.and_(validators.ge(200), validators.le(599)))
    code: str | None = field(default=None, kw_only=True)
    message: str = field(default="Service unavailable", kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True, validator=validators.optional(validators.ge(0)))
    dated: bool = field(default=False, kw_only=True)

    def __call__(self, answer: Answer) -> Answer:
        """Return the error."""
        said = (
            html_answer(self.message, self.status)
            if self.code is None
            else json_answer({"error": {"code": self.code, "message": self.message}}, self.status)
        )
        return _instead(answer, evolve(said, headers={**said.headers, **self._hint()}))

    def _hint(self) -> dict[str, str]:
        if self.retry_after is None:
            return {}
        if not self.dated:
            return {"Retry-After": str(self.retry_after)}
        return {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=self.retry_after), usegmt=True)}


@frozen
class Envelope:
    """Molizhishu's refusal in place of the answer: HTTP 200, `success` false, a *code* and a *message*, no data.

    Attributes:
        code: The code.
        message: The message.
        field: The name that the message has on the wire: "message", or "msg", which public clients of the API read too.
    """

    code: int
    message: str = "系统繁忙"
    field: str = "message"

    def __call__(self, answer: Answer) -> Answer:
        """Return the refusal."""
        return _instead(answer, json_answer({"success": False, "code": self.code, self.field: self.message}))


@frozen
class Redirect:
    """A redirect to *location* in place of the answer."""

    location: str
    status: int = 302

    def __call__(self, answer: Answer) -> Answer:
        """Return the redirect."""
        return _instead(answer, Answer(self.status, headers={"Location": self.location}))


@frozen
class HtmlPage:
    """A page in place of the answer, with status 200: a captive portal, or a gateway that has never heard of JSON."""

    title: str = "Welcome"

    def __call__(self, answer: Answer) -> Answer:
        """Return the page."""
        return _instead(answer, html_answer(self.title, 200))


@frozen
class EmptyBody:
    """Status and headers as they were, but no body."""

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer without its body."""
        return evolve(answer, body=b"")


@frozen
class Malformed:
    """The second half of the body is missing, and the framing agrees with that."""

    def __call__(self, answer: Answer) -> Answer:
        """Return half of the answer."""
        return evolve(answer, body=answer.body[: len(answer.body) // 2])


def _mapped(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Return *value* with *change* made to every object in it, the inner ones first."""
    if isinstance(value, dict):
        return change({key: _mapped(item, change) for key, item in value.items()})
    return [_mapped(item, change) for item in value] if isinstance(value, list) else value


def _altered(answer: Answer, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Answer:
    payload = answer.payload
    return answer if payload is None else evolve(answer, body=json_answer(_mapped(payload, change)).body)


@frozen
class Rewrite:
    """Wherever the answer has the field *name*, at any depth, it has this *value* instead, such as a drifted status."""

    name: str
    value: Any

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer rewritten."""
        return _altered(answer, lambda found: {**found, self.name: self.value} if self.name in found else found)


@frozen
class Omit:
    """The answer lacks the field *name*, at any depth."""

    name: str

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer without the field."""
        return _altered(answer, lambda found: {key: value for key, value in found.items() if key != self.name})


@frozen
class WrongId:
    """The answer is about another job, and says so in its id fields."""

    ident: str = "somebody-else"

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer under another id."""
        return _altered(answer, lambda found: {**found, **dict.fromkeys(_ID_FIELDS & found.keys(), self.ident)})


@frozen
class Oversized:
    """The body is padded to at least *size* bytes, and is still valid JSON."""

    size: int = field(default=8 << 20, validator=_SIZE)

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer behind its padding."""
        # Blanks before the first bracket keep the JSON valid, so that nothing but a limit can stop the reader.
        return evolve(answer, body=answer.body.rjust(self.size))


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

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer, packed behind its padding."""
        headers = {**answer.headers, "Content-Encoding": "gzip"}
        return evolve(answer, body=_bomb(answer.body, self.size), headers=headers)
