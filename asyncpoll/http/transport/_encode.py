"""From a `Request` to the bytes of a message, which are checked before anything is sent.

HTTP libraries repair what they are given: they drop line breaks and lone surrogates, resolve dots, and send headers
that contradict the message. The repaired request is then another one than was meant.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO
from urllib.parse import urlencode

import aiohttp
from attrs import define, evolve, field
from multidict import CIMultiDict

from asyncpoll.http._auth import Credential, OutgoingRequest
from asyncpoll.http._message import FRAMING, Request, Upload, header_problem
from asyncpoll.http._secrets import Mask
from asyncpoll.http._urls import Address, with_parameter

_METHOD = re.compile(r"[A-Z]+")
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})

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

RESERVED = FRAMING | {"authorization", "cookie"}
"""The headers that a request may not set: they frame the message, or carry a credential."""


@define
class Outgoing:
    """A request, ready to go out.

    Attributes:
        method: The HTTP method.
        target: The path and the query.
        headers: The headers, the credential among them, without those that frame the message.
        body: The body, or None.
        mask: Replaces the credential in the reply.
        fresh: Whether it needs a connection that nothing was ever read from.
        lines: The headers as lines, if they are at hand.
        decode: Whether the body of a success is decoded as JSON.
    """

    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    mask: Mask
    fresh: bool
    lines: str = field(default="", repr=False)
    decode: bool = True

    def for_auth(self, origin: str, *, has_files: bool) -> OutgoingRequest:
        """Return the request as an `Auth` sees it; the bytes of a form with files are not known yet."""
        body = None if has_files else self.body or b""
        return OutgoingRequest(self.method, origin + self.target, dict(self.headers), body)

    def with_credential(self, credential: Credential) -> Outgoing:
        """Return the request with *credential*, which takes the place of headers or parameters of the same names."""
        headers = _replaced(self.headers, credential.headers)
        target = with_parameter(self.target, credential.parameter) if credential.parameter else self.target
        return evolve(self, target=target, headers=headers, mask=credential.mask, lines="")

    def message(self, host: str) -> bytes:
        """Return the request as it goes over the wire to *host*."""
        lines = self.lines or _lines(self.headers)
        head = f"{self.method} {self.target} HTTP/1.1\r\nHost: {host}\r\n{lines}"
        if self.body is None and self.method in _BODILESS:
            return f"{head}\r\n".encode("ascii")
        body = self.body or b""
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body


def _lines(headers: Mapping[str, str]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


@define(eq=False)
class Encoder:
    """Turns the requests to one address into bytes.

    Most of them are polls without a body or headers of their own, which have the same headers: these are kept.
    """

    address: Address
    _credential: Credential | None = field(default=None, init=False, repr=False)
    _headers: Mapping[str, str] = field(default=COMMON, init=False, repr=False)
    _lines: str = field(default="", init=False, repr=False)

    def prepare(self, request: Request, credential: Credential) -> Outgoing:
        """Return *request* as it goes out, with *credential*.

        Raises:
            ValueError: It cannot be sent as it is.
            Rejected: Its address is not below the base address; the kind is "foreign_address".
        """
        if not _METHOD.fullmatch(request.method):
            raise ValueError("the method must be one word in upper case")
        if request.address is None:
            target = self.address.target(request.path, request.query)
        else:
            target = self.address.resolve(request.address, request.query)
        if credential.parameter:
            target = with_parameter(target, credential.parameter)
        body, headers = _body(request)
        if request.headers:
            check_headers(request.headers)
            if body is None and any(name.lower() == "content-type" for name in request.headers):
                raise ValueError("a request without a body, or with files, has no own Content-Type; leave it out")
            headers = _replaced(_replaced(headers, request.headers), credential.headers)
        elif headers is COMMON:
            if credential is not self._credential:
                self._credential = credential
                self._headers = CIMultiDict({**COMMON, **credential.headers})
                self._lines = _lines(self._headers)
            return Outgoing(request.method, target, self._headers, body, credential.mask, request.fresh, self._lines)
        else:
            headers = {**headers, **credential.headers}
        return Outgoing(request.method, target, headers, body, credential.mask, request.fresh)


def _body(request: Request) -> tuple[bytes | None, Mapping[str, str]]:
    """Return the body, which is None for a multipart form as for no body, and the headers that go with it."""
    if (request.json is not None) + (request.form is not None) + (request.body is not None) > 1:
        raise ValueError("a request has a JSON body, a form or bytes, not several of them")
    if request.json is not None:
        return encode_json(request.json), _WITH_JSON
    if request.form is not None and not any(isinstance(value, Upload) for value in request.form.values()):
        return encode_form(request.form), _WITH_FORM
    if request.body is not None:
        if type(request.body) is not bytes:
            raise ValueError(f"the body must be bytes, not {type(request.body).__name__}")
        return request.body, _WITH_BYTES
    return None, COMMON


def encode_form(form: Mapping[str, Any]) -> bytes:
    """Return *form* URL-encoded, as browsers send a form without files, or raise a `ValueError`."""
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
    """Raise a `ValueError` for a header that cannot be sent; it names the header and never its value."""
    for name, value in headers.items():
        if problem := header_problem(name, value, RESERVED):
            raise ValueError(problem)


def encode_json(value: Any) -> bytes:
    """Return *value* as JSON in UTF-8, or raise a `ValueError` if JSON has no form for it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError):
        problem = "the JSON body must consist of objects, arrays, text, finite numbers, booleans and null"
        raise ValueError(f"{problem}, without lone surrogates or circles") from None


_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNSENDABLE_IN_TEXT = re.compile(r"[\ud800-\udfff]")


@contextmanager
def opened(form: Mapping[str, Any]) -> Generator[tuple[aiohttp.FormData, int], None, None]:
    """Yield *form* as multipart, and the bytes of its files, which stay open inside.

    Raises:
        ValueError: A name, a text or a file cannot be sent, or a file cannot be read.
    """
    data = aiohttp.FormData(quote_fields=False, default_to_multipart=True)  # names in UTF-8, as browsers send them
    size = 0
    with ExitStack() as files:
        for name, content in form.items():
            if isinstance(content, str):
                if _UNSENDABLE.search(name) or _UNSENDABLE_IN_TEXT.search(content):
                    raise ValueError("a field of the form holds control characters in its name, or lone surrogates")
                data.add_field(name, content)
                continue
            if not isinstance(content, Upload):
                raise ValueError("the fields of a form must be text or Upload")  # noqa: TRY004  as for any other request
            if _UNSENDABLE.search(name + content.name + content.content_type):
                raise ValueError("a file of the form holds control characters or lone surrogates in its names or type")
            file: Any = content.content
            if isinstance(file, bytes):
                size += len(file)
            else:
                file = files.enter_context(_open(file))
                size += os.fstat(file.fileno()).st_size
            data.add_field(name, file, filename=content.name, content_type=content.content_type)
        yield data, size


def _open(path: Any) -> BinaryIO:
    if not isinstance(path, Path):
        wanted = "the content of a file of the form must be bytes or a Path"
        raise ValueError(f"{wanted}, not {type(path).__name__}")  # noqa: TRY004  as for any other request
    try:
        return path.open("rb")
    except OSError as error:
        raise ValueError(f"the file {path.name!r} cannot be read: {error.strerror}") from None
