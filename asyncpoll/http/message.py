"""What goes out and what comes back: `Request`, `Reply`, and the one-method `Transport` between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from attrs import field, frozen

from asyncpoll.http.retry_after import retry_after

NOTHING: Mapping[str, str] = MappingProxyType({})

Query = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]]
"""Query parameters: a key that is repeated has a list of values, or its pairs stand in a list."""


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
    """One HTTP request, without an address of its own and without credentials: the transport adds both.

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


def _fold(headers: Mapping[str, str]) -> Mapping[str, str]:
    # What aiohttp hands over ignores letter case already; only a plain dict needs folding.
    return {name.lower(): value for name, value in headers.items()} if isinstance(headers, dict) else headers


@frozen
class Reply:
    """One HTTP response, read to its end.

    Attributes:
        status: The HTTP status.
        json: The decoded body, or None where there was none (see `problem`).
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
