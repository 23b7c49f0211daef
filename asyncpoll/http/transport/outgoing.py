"""What may go out: addresses, headers and bodies are checked before anything is sent.

HTTP libraries repair what they are given: they drop line breaks and lone surrogates, resolve dots, and send headers
that contradict the message. What they repair is then another request than the one that was meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import define, field, frozen

from asyncpoll.http.auth import Credential
from asyncpoll.http.link import Origin
from asyncpoll.http.message import Request
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

RESERVED = frozenset(
    {
        "accept-encoding",  # what can be decoded is not the caller's choice
        "authorization",  # credentials belong to the transport, which knows their origin
        "connection",
        "content-length",
        "content-type",
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
    def of(cls, base_url: str, *, insecure: bool = False) -> Address:
        """Return the address that *base_url* is.

        Args:
            base_url: An https address with a path or without, but with no query.
            insecure: Whether http, in the clear, will do for other hosts than this one.

        Raises:
            ValueError: It is none; the message says what to do, and does not repeat it.
        """
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

    def target(self, path: str, query: Mapping[str, str]) -> str:
        """Return what a request for *path* asks for, as its first line has it.

        Raises:
            ValueError: *path* does not begin with a slash, is not percent-encoded, or has dot segments; or *query*
                holds lone surrogates.
        """
        if not _is_path(path):
            raise ValueError("the path must begin with a slash and be percent-encoded, without dot segments or a query")
        target = self.prefix + path
        return f"{target}?{_encode_query(query)}" if query else target


def _encode_query(query: Mapping[str, str]) -> str:
    try:
        return urlencode(query, quote_via=quote, safe="")
    except UnicodeEncodeError:
        raise ValueError("the query holds a lone surrogate, which cannot be sent") from None


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

    def message(self, host: str) -> bytes:
        """Return the request as it goes over the wire to *host*."""
        lines = [f"{self.method} {self.target} HTTP/1.1\r\nHost: {host}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in self.headers.items()]
        if self.body is not None or self.method not in _BODILESS:
            lines.append(f"Content-Length: {len(self.body or b'')}\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("ascii") + (self.body or b"")


def prepare(request: Request, address: Address, credential: Credential) -> Outgoing:
    """Return *request* as it goes out to *address*.

    The credential comes last: whatever the request says, it leads to the origin that the credential belongs to.

    Raises:
        ValueError: The request cannot be sent as it is.
    """
    if not _METHOD.fullmatch(request.method):
        raise ValueError("the method must be one word in upper case")
    target = address.target(request.path, request.query)
    if request.json is not None and request.form is not None:
        raise ValueError("a request has a JSON body or a form, not both")
    body = None if request.json is None else encode_json(request.json)
    headers = COMMON if body is None else _WITH_JSON
    if request.headers:
        check_headers(request.headers)
        headers = _replaced(headers, request.headers)
    return Outgoing(request.method, target, {**headers, **credential.headers}, body, credential.mask, request.fresh)


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
