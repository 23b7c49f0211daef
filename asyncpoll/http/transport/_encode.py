"""What may go out: addresses, headers and bodies are checked before anything is sent.

HTTP libraries repair what they are given: they drop line breaks and lone surrogates, resolve dots, and send headers
that contradict the message. What they repair is then another request than the one that was meant.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from attrs import define, evolve, field, frozen

from asyncpoll.http._auth import Credential, OutgoingRequest
from asyncpoll.http.link import Origin
from asyncpoll.http.message import Query, Request, Upload
from asyncpoll.http.redact import Mask

_PATH = re.compile(r"/(?:[\w\-.~!$&'()*+,;=:@/]++|%[0-9A-Fa-f]{2})*+", re.ASCII)
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_NAME = re.compile(r"[\w!#$%&'*+\-.^`|~]+", re.ASCII)
_METHOD = re.compile(r"[A-Z]+")
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_VALUE = re.compile(r"[\t\x20-\x7e]*")

COMMON: Mapping[str, str] = MappingProxyType(
    {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",  # deflate adds nothing to it, brotli and zstd expand without bounds
        "User-Agent": "asyncpoll",
    }
)
"""The headers of every request."""
_WITH_JSON: Mapping[str, str] = MappingProxyType({**COMMON, "Content-Type": "application/json"})
_WITH_FORM: Mapping[str, str] = MappingProxyType({**COMMON, "Content-Type": "application/x-www-form-urlencoded"})
_WITH_BYTES: Mapping[str, str] = MappingProxyType({**COMMON, "Content-Type": "application/octet-stream"})

RESERVED = frozenset(
    {
        "accept-encoding",  # what can be decoded is not the caller's choice
        "authorization",  # credentials belong to the transport, which knows their origin
        "connection",
        "content-length",
        "cookie",
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
"""The headers that a request may not set: they frame the message, or carry a credential."""


@frozen
class Address:
    """The base address of an API.

    Attributes:
        origin: Scheme, host and port, as text.
        host: Host and port, as the `Host` header has them.
        prefix: The path, without a slash at its end.
    """

    origin: str
    host: str
    prefix: str

    @classmethod
    def of(cls, base_url: object, *, insecure: bool = False) -> Address:
        """Return the address that *base_url* is.

        Args:
            base_url: An https address with a path or without, but with no query.
            insecure: Whether http, in the clear, will do for other hosts than this one.

        Raises:
            TypeError: It is not text.
            ValueError: It is none; the message says what to do, and does not repeat it.
        """
        if not isinstance(base_url, str):
            raise TypeError(f"base_url must be text, not {type(base_url).__name__}")
        try:
            origin = Origin.of(base_url)
        except ValueError as problem:
            raise ValueError(f"base_url is refused: {problem}") from None
        if "?" in base_url or "#" in base_url:
            raise ValueError("base_url is refused: leave out the query and the fragment")
        if origin.scheme == "http" and not (insecure or _is_loopback(origin.host)):
            raise ValueError("base_url is refused: use https, or pass insecure=True to send all in the clear")
        prefix = urlsplit(base_url).path.rstrip("/")
        if prefix and not _is_path(prefix):
            raise ValueError("base_url is refused: its path must be percent-encoded and without dot segments")
        return cls(str(origin), str(origin).partition("//")[2], prefix)

    def target(self, path: str, query: Query) -> str:
        """Return what a request for *path* asks for, as its first line has it.

        Raises:
            ValueError: *path* does not begin with a slash, is not percent-encoded, or has dot segments; or *query*
                holds lone surrogates or is not made of text.
        """
        if not _is_path(path):
            raise ValueError("the path must begin with a slash and be percent-encoded, without dot segments or a query")
        target = self.prefix + path
        return f"{target}?{_encode_query(query)}" if query else target


def _encode_query(query: Query) -> str:
    try:
        return urlencode(query, doseq=True, quote_via=quote, safe="")
    except UnicodeEncodeError:
        raise ValueError("the query holds a lone surrogate, which cannot be sent") from None
    except (TypeError, ValueError):
        raise ValueError("the query must be a mapping from text to text or lists of text, or a list of pairs") from None


def _is_path(path: str) -> bool:
    return _PATH.fullmatch(path) is not None and not _DOTS.search(path)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@define
class Outgoing:
    """A request, ready to go out.

    Attributes:
        method: The HTTP method.
        target: What it asks for: the path and the query.
        headers: The headers, the credential among them, without those that frame the message.
        body: The body, or None.
        mask: Replaces the credential in the reply.
        fresh: Whether it needs a connection that nothing was ever read from.
    """

    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    mask: Mask
    fresh: bool

    def for_auth(self, origin: str, *, has_form: bool) -> OutgoingRequest:
        """Return the request as an `Auth` sees it, on its way to *origin*.

        Args:
            origin: Scheme, host and port of the API.
            has_form: Whether the body is a form with files, whose bytes are not known yet.
        """
        body = None if has_form else self.body or b""
        return OutgoingRequest(self.method, origin + self.target, dict(self.headers), body)

    def with_credential(self, credential: Credential) -> Outgoing:
        """Return the request with *credential*, whose headers come before those of the same names."""
        return evolve(self, headers=_replaced(self.headers, credential.headers), mask=credential.mask)

    def message(self, host: str) -> bytes:
        """Return the request as it goes over the wire to *host*."""
        head = f"{self.method} {self.target} HTTP/1.1\r\nHost: {host}\r\n{_lines(self.headers)}"
        if self.body is None and self.method in _BODILESS:
            return f"{head}\r\n".encode("ascii")
        body = self.body or b""
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body


def _lines(headers: Mapping[str, str]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def prepare(request: Request, address: Address, credential: Credential) -> Outgoing:
    """Return *request* as it goes out to *address*.

    The credential comes last: whatever the request says, it leads to the origin that the credential belongs to.

    Raises:
        ValueError: The request cannot be sent as it is.
    """
    if not _METHOD.fullmatch(request.method):
        raise ValueError("the method must be one word in upper case")
    target = address.target(request.path, request.query)
    body, headers = _body(request)
    if request.headers:
        check_headers(request.headers)
        if body is None and any(name.lower() == "content-type" for name in request.headers):
            raise ValueError("a request without a body, or with files, has no Content-Type of its own; leave it out")
        headers = _replaced(headers, request.headers)
        headers = _replaced(headers, credential.headers)
    else:
        headers = {**headers, **credential.headers}
    return Outgoing(request.method, target, headers, body, credential.mask, request.fresh)


def _body(request: Request) -> tuple[bytes | None, Mapping[str, str]]:
    """Return the body, which is None for a multipart form as for no body, and the headers that go with it."""
    if (request.json is not None) + (request.form is not None) + (request.body is not None) > 1:
        raise ValueError("a request has a JSON body, a form or bytes, not several of them")
    if request.json is not None:
        return encode_json(request.json), _WITH_JSON
    if request.form is not None and not is_multipart(request.form):
        return encode_form(request.form), _WITH_FORM
    if request.body is not None:
        if type(request.body) is not bytes:
            raise ValueError(f"the body must be bytes, not {type(request.body).__name__}")
        return request.body, _WITH_BYTES
    return None, COMMON


def is_multipart(form: Mapping[str, str | Upload]) -> bool:
    """Return whether *form* holds a file."""
    return any(isinstance(value, Upload) for value in form.values())


def encode_form(form: Mapping[str, Any]) -> bytes:
    """Return *form* URL-encoded, as browsers send a form without files.

    Raises:
        ValueError: A name or value is not text, or holds lone surrogates.
    """
    if not all(isinstance(part, str) for field in form.items() for part in field):
        raise ValueError("the fields of a form must be text or Upload")
    try:
        return urlencode(form).encode()
    except UnicodeEncodeError:
        raise ValueError("the form holds a lone surrogate, which cannot be sent") from None


def _replaced(headers: Mapping[str, str], others: Mapping[str, str]) -> Mapping[str, str]:
    spoken_for = {name.lower() for name in others}
    return {**{name: value for name, value in headers.items() if name.lower() not in spoken_for}, **others}


def check_headers(headers: Mapping[str, str]) -> None:
    """See that *headers* can be sent as they are.

    Raises:
        ValueError: A name is `RESERVED` or no token, or a value holds line breaks, control characters or characters
            beyond ASCII. The message names the header and never its value.
    """
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError("the name of a header must be a token of ASCII letters, digits and dashes")
        if name.lower() in RESERVED:
            raise ValueError(f"the header {name} is set by the transport; leave it out")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name} holds line breaks, control characters or characters beyond ASCII")


def encode_json(value: Any) -> bytes:
    """Return *value* as JSON in UTF-8.

    Raises:
        ValueError: It holds NaN, an infinity, a lone surrogate, itself, or what JSON has no form for.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError):
        problem = "the JSON body must consist of objects, arrays, text, finite numbers, booleans and null"
        raise ValueError(f"{problem}, without lone surrogates or circles") from None


_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNSENDABLE_IN_TEXT = re.compile(r"[\ud800-\udfff]")


@frozen
class Part:
    """One part of a form.

    Attributes:
        name: The name of the field.
        content: Text, or what the file holds, or the open file.
        filename: The name of the file, or None for text.
        content_type: The media type of the file, or None for text.
    """

    name: str
    content: str | bytes | BinaryIO
    filename: str | None = None
    content_type: str | None = None

    @property
    def size(self) -> int:
        """Bytes of a file, 0 for text."""
        match self.content:
            case str():
                return 0
            case bytes():
                return len(self.content)
            case file:
                return os.fstat(file.fileno()).st_size


@contextmanager
def opened(form: Mapping[str, str | Upload]) -> Generator[list[Part], None, None]:
    """Give the parts of *form*, whose files stay open inside.

    Raises:
        ValueError: A name or a text cannot be sent, or a file cannot be read.
    """
    with ExitStack() as files:
        yield [_part(name, content, files) for name, content in form.items()]


def _part(name: str, content: str | Upload, files: ExitStack) -> Part:
    if isinstance(content, str):
        if _UNSENDABLE.search(name) or _UNSENDABLE_IN_TEXT.search(content):
            raise ValueError("a field of the form holds control characters in its name, or lone surrogates")
        return Part(name, content)
    if _UNSENDABLE.search(name + content.name + content.content_type):
        raise ValueError("a file of the form holds control characters or lone surrogates in its names or type")
    data = content.content
    return Part(
        name, files.enter_context(_open(data)) if isinstance(data, Path) else data, content.name, content.content_type
    )


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ValueError(f"the file {path.name!r} cannot be read: {error.strerror}") from None
