"""Requests, replies, and the one-method `Transport` between them; and the headers of both."""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self

from attrs import field, frozen

from asyncpoll._checks import text
from asyncpoll._errors import BadReply
from asyncpoll._json import decode_lines

NOTHING: Mapping[str, str] = MappingProxyType({})

Query = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]
"""Query parameters: a key that is repeated has a list of values, or its pairs stand in a list."""

FRAMING = frozenset(
    {
        "accept-encoding",  # the caller cannot choose what can be decoded
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""The headers that frame a message or are for a proxy: the transport alone sets them."""

_NAME = re.compile(r"[\w!#$%&'*+\-.^`|~]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,40})?", re.ASCII)
_LONGEST = 1000  # characters of a `Retry-After` that are read
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:+-]{1,40})""", re.ASCII | re.IGNORECASE)
_CODECS = {"utf-8": "utf-8-sig"} | dict.fromkeys(  # Python calls these text encodings, too, and some are slow
    ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"), "utf-8-sig"
)


@frozen
class Upload:
    """A file to send as one part of a multipart form.

    Attributes:
        name: The file name that the server is told.
        content: The bytes of the file, or the path to read them from while they are sent.
        content_type: Its media type.
    """

    name: str
    content: bytes | Path = field(repr=False)
    content_type: str = "application/octet-stream"


@frozen
class Request:
    """One HTTP request to a transport's base address, without credentials: the transport adds them.

    `Request.to` makes one to an address that the server gave, such as a `Location`.

    Attributes:
        method: The HTTP method, in upper case.
        path: The path below the transport's base address, percent-encoded, with a leading slash.
        query: Query parameters, not yet encoded, as a mapping or as pairs. A value that is a list repeats its key.
        json: The JSON body, or None.
        form: The fields of a form, text or `Upload`, or None. Without an `Upload` it is sent URL-encoded, with one as
            multipart.
        body: The body as bytes, or None. At most one of `json`, `form` and `body` is given.
        headers: Extra headers. Those that frame a message or carry credentials are refused. `Content-Type` takes the
            place of the usual one of a body, but for a multipart form.
        repeatable: Whether sending it twice does no harm. Never guessed from the method: a POST may be a read.
        fresh: Ask for a connection that nothing was ever read from.
        address: The address that the server gave, in place of `path`, or None.
        decode: Whether the body of a success is decoded as JSON. Without it, `Reply.json` is None: pass False for
            JSON Lines, text and files, and let `classify_status(..., needs_json=False)` accept it.
        attempt: The seconds that the server may take to answer, if that is more than the transport allows: for a long
            poll. None for the setting of the transport.
    """

    method: str
    path: str
    query: Query = NOTHING
    json: Any = None
    form: Mapping[str, str | Upload] | None = None
    headers: Mapping[str, str] = NOTHING
    repeatable: bool = False
    fresh: bool = False
    body: bytes | None = field(default=None, repr=False, kw_only=True)
    address: str | None = field(default=None, repr=False, kw_only=True)
    decode: bool = field(default=True, kw_only=True)
    attempt: float | None = field(default=None, kw_only=True)

    @classmethod
    def to(cls, method: str, address: str, **rest: Any) -> Self:
        """Return a request to an address that the server gave.

        The transport sends it to its own origin and below its base address only. Any other address is `Rejected` with
        the kind "foreign_address" before anything is sent, and ends the wait.

        Args:
            method: The HTTP method, in upper case.
            address: A URL, a path from the root of the server ("/v1/jobs/7?full=1"), or a path relative to the base
                address ("jobs/7"). A fragment is left out.
            **rest: The other attributes; parameters in `query` are added to those of the address.

        Raises:
            TypeError: *address* is not text.
        """
        text("address", address)
        return cls(method, "", address=address, **rest)


def _fold(headers: Mapping[str, str]) -> Mapping[str, str]:
    # The headers of aiohttp ignore letter case already; only a plain dict needs folding.
    return {name.lower(): value for name, value in headers.items()} if isinstance(headers, dict) else headers


@frozen
class Reply:
    """One HTTP response, read to its end.

    Attributes:
        status: The HTTP status.
        json: The decoded body, or None if there is none (see `problem`).
        headers: The response headers; look them up by their lower-case names.
        body: The bytes of the body, decompressed.
        problem: Why the body is not JSON, or None when it is.
        origin: Scheme, host and port of the server, for errors.
        renew: An async function that renews the credential of the request and returns whether to send it once more,
            or None if that is not possible or was done already. A copy by pickle is without it.
    """

    status: int
    json: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default=NOTHING, repr=False, converter=_fold)
    body: bytes = field(default=b"", repr=False)
    problem: str | None = None
    origin: str | None = None
    renew: Callable[[], Awaitable[bool]] | None = field(default=None, repr=False, eq=False, kw_only=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return Reply, (self.status, self.json, dict(self.headers), self.body, self.problem, self.origin)

    @property
    def text(self) -> str:
        """The body as text, in the charset of `Content-Type` or in UTF-8; what cannot be decoded becomes U+FFFD."""
        named = _CHARSET.search(self.headers.get("content-type", ""))
        try:
            charset = codecs.lookup(named[1] if named else "utf-8").name
            return self.body.decode(_CODECS.get(charset, charset), "replace")
        except LookupError:  # not a charset
            return self.body.decode("utf-8-sig", "replace")

    @property
    def jsonl(self) -> list[Any]:
        """The values of a body of JSON Lines, without the blank lines.

        Raises:
            BadReply: A line is not JSON; the message has its number.
        """
        values, problem = decode_lines(self.body)
        if problem is not None:
            raise BadReply(problem, reply=self)
        return values

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asks to stay away for, from `Retry-After` in either of its forms, or None."""
        return retry_after(self.headers)


@frozen
class Stream:
    """A response whose body is still to be read.

    Attributes:
        status: The HTTP status.
        headers: The response headers; look them up by their lower-case names.
        chunks: The body, piece by piece, not decompressed.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    chunks: AsyncIterator[bytes] = field(repr=False)


class Transport(Protocol):
    """Anything that can exchange a request for a reply."""

    async def send(self, request: Request, /) -> Reply:
        """Exchange *request* for a reply of any HTTP status.

        Raises:
            TransportError: No usable reply was received.
            ClientClosed: The transport is closed or belongs to another event loop.
        """
        ...


def check_address(transport: Transport, request: Request) -> None:
    """Raise the error with which *transport* would refuse *request* before it sends anything.

    A submit may check the address of its job so. A transport without a network accepts any address.

    Raises:
        Rejected: The address is not below the base address of the transport; the kind is "foreign_address".
        ValueError: The request cannot be sent as it is.
    """
    around: Any = transport
    while around is not None:
        if (check := getattr(around, "check", None)) is not None:
            check(request)
            return
        around = getattr(around, "inner", None)


def header_problem(name: object, value: object, reserved: Collection[str]) -> str | None:
    """Return why a header cannot be sent, or None; *reserved* names are in lower case. The value is not repeated."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "the name of a header must be a token of ASCII letters, digits and dashes"
    if name.lower() in reserved:
        return f"the header {name} is set by the transport; leave it out"
    if not isinstance(value, str):
        return f"the header {name} must be text, not {type(value).__name__}"
    if not _VALUE.fullmatch(value):
        return f"the header {name} holds line breaks, control characters or characters beyond ASCII"
    return None


def values_of(headers: Mapping[str, str], name: str) -> list[str]:
    """Return every value of a header that may be repeated; a plain mapping holds at most one."""
    every = getattr(headers, "getall", None)
    if every is not None:
        return list(every(name, ()))
    return [headers[name]] if name in headers else []


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to stay away for, or None if the server does not name them or they are unreadable.

    They are given as a number or as an HTTP date (RFC 9110, section 10.2.3). Seconds may have decimals, which the
    standard does not know but servers send. Of several values, in headers of their own or joined by commas, the
    largest counts. A date is measured against the reply's own `Date`, so a wrong clock on either side does not matter;
    the local clock is used only without one. A date in the past is 0.
    """
    if "retry-after" not in headers:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    pieces = (piece.strip() for value in values_of(headers, "retry-after") for piece in value[:_LONGEST].split(","))
    readable = (_wait(piece, now) for piece in pieces)  # a date is readable without its day of the week, too
    return max((wait for wait in readable if wait is not None), default=None)


def _wait(value: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(value):
        return float(value)
    date = _date(value)
    return None if date is None else max(0.0, (date - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
