"""The session path: exchanges through aiohttp's public API, so that everything that instruments aiohttp sees them.

It serves a lent session, a proxy, a `ClientSession` that a tool has patched, and forms with files. aiohttp has two
habits that make a poller report wrong results: it sends a request twice when a kept connection breaks, and it takes
the words of a server on an idle connection for the answer to the next request. The middleware `send_once` prevents the
first. `CheckedConnector` prevents the second in a session of our own; in a lent one, whose connector is not ours, a
middleware does, and prevents the first as well if the session has no middlewares of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from ssl import SSLContext
from typing import Any, Self, TypeVar
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection, SocketFactoryType
from attrs import define, field, frozen
from yarl import URL

from asyncpoll._errors import ClientClosed, PollError
from asyncpoll.http._message import Stream
from asyncpoll.http._settings import ExchangeLimits, Proxy
from asyncpoll.http._urls import Origin
from asyncpoll.http.transport._encode import Outgoing
from asyncpoll.http.transport._errors import (
    PROXY_AUTHENTICATION_REQUIRED,
    NotRepeatedError,
    failure_of,
    mapping_errors,
    refused_by_proxy,
)
from asyncpoll.http.transport._pool import (
    GOODBYE,
    KEEP_ALIVE,
    belongs_to,
    instrumentation,
    is_same,
    is_spoiled,
    middlewares_of,
)
from asyncpoll.http.transport._response import Answer

T = TypeVar("T")

Handler = aiohttp.ClientHandlerType
Middleware = aiohttp.ClientMiddlewareType


class _UnusableError(Exception):
    """A kept connection cannot be used for the next request."""


@define(eq=False)
class _Attempt:
    """One request of the session path: whether it needs a fresh connection, and how often one was ready for it."""

    fresh: bool
    sent: int = 0


_attempt: ContextVar[_Attempt] = ContextVar("_attempt")


@define(eq=False)
class _UsedConnections:
    """Remembers which connections had a request before."""

    _protocols: WeakSet[Any] = field(factory=WeakSet, init=False)

    def admit(self, connection: Connection, attempt: _Attempt) -> bool:
        """Return whether *attempt* may use *connection*, which is remembered then."""
        protocol = connection.protocol
        if protocol is None or protocol.should_close:
            return False
        if protocol not in self._protocols:
            self._protocols.add(protocol)
        elif attempt.fresh or is_spoiled(protocol.transport):
            return False
        attempt.sent += 1
        return True


class CheckedConnector(aiohttp.TCPConnector):
    """A connector that closes a kept connection which has unread data or is about to close, and opens another."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._used = _UsedConnections()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Return a connection that the server has said nothing on since its last answer."""
        while True:
            connection = await super().connect(req, traces, timeout)
            if self._used.admit(connection, _attempt.get()):
                return connection
            connection.close()


_REPEATED = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
"""The errors after which aiohttp sends a request again over another connection."""


def _not_repeated(error: Exception) -> Exception:
    """Return the error to raise in place of *error*, so that aiohttp does not send the request again."""
    # A request without a connection was not sent, and aiohttp does not try again.
    return error if isinstance(error, aiohttp.ClientConnectorError) else NotRepeatedError()


async def send_once(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
    """Have *request* sent once: a middleware, which see in aiohttp's documentation."""
    try:
        return await handler(request)
    except _REPEATED as error:
        raise _not_repeated(error) from error


def _checking(used: _UsedConnections, repeated: tuple[type[Exception], ...]) -> Middleware:
    """Return the middleware that checks the connections of a lent session, and prevents repetition after *repeated*."""

    async def check(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        attempt, send = _attempt.get(), request.send

        async def send_checked(connection: Connection) -> aiohttp.ClientResponse:
            if not used.admit(connection, attempt):
                raise _UnusableError
            return await send(connection)

        request.send = send_checked  # type: ignore[method-assign,assignment]  # the public hook of a middleware
        try:
            while True:
                try:
                    return await handler(request)
                except _UnusableError:
                    continue
        except repeated as error:
            raise _not_repeated(error) from error
        finally:
            del request.send  # or request and function would hold each other until the garbage collector comes

    return check


class SessionPath:
    """Sends requests to one origin through an `aiohttp.ClientSession`: a lent one, or one of our own.

    Attributes:
        requests: How many requests were sent.
    """

    def __init__(
        self,
        origin: str,
        *,
        lent: aiohttp.ClientSession | None,
        proxy: Proxy | None,
        ssl: SSLContext | None,
        connect: float,
    ) -> None:
        self.requests = 0
        self._origin = origin
        self._lent = lent
        self._proxy = proxy
        self._own: list[tuple[tuple[object, ...], aiohttp.ClientSession]] = []
        self._timeout = aiohttp.ClientTimeout(connect=connect, ceil_threshold=math.inf)
        self._terms = self._terms_of_all(ssl)

    async def ask(self, outgoing: Outgoing, form: aiohttp.FormData | None = None) -> Answer:
        """Send *outgoing*, with *form* in place of its body, once, and return the answer as soon as its head is there.

        Raises:
            ClientClosed: The lent session is closed or belongs to another event loop.
        """
        session = self._session()
        attempt = _Attempt(outgoing.fresh)
        token = _attempt.set(attempt)
        try:
            response = await session.request(
                outgoing.method,
                URL(self._origin + outgoing.target, encoded=True),
                data=outgoing.body if form is None else form,
                **self._terms,
                **way_through(self._proxy, self._origin, outgoing.headers),
            )
            attempt.sent = attempt.sent or 1  # a tool that stands in for aiohttp opened no connection
        finally:
            _attempt.reset(token)
            self.requests += attempt.sent
        if response.status == PROXY_AUTHENTICATION_REQUIRED and self._proxy is not None:
            response.close()
            raise refused_by_proxy(response.status, self._origin, self._proxy)
        return Answer(response.status, response.headers, response.content, response.close)

    def _session(self) -> aiohttp.ClientSession:
        lent = self._lent
        if lent is not None:
            if lent.closed:
                raise ClientClosed("the lent session is closed; lend one that is open")
            if not belongs_to(lent, asyncio.get_running_loop()):
                raise ClientClosed("the lent session belongs to another event loop; lend one of this loop")
            return lent
        # A tool that patches ClientSession must see the session being made: one from before it came is replaced.
        state = instrumentation()
        if not self._own or not is_same(self._own[-1][0], state):
            self._own.append((state, self._open()))
        return self._own[-1][1]

    def _open(self) -> aiohttp.ClientSession:
        # The slots bound the connections; a limit here would make exchanges wait while their time runs.
        connector = CheckedConnector(limit=0, keepalive_timeout=KEEP_ALIVE)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=self._timeout,
            middlewares=(send_once,),
        )

    def _terms_of_all(self, ssl: SSLContext | None) -> dict[str, Any]:
        """Return the arguments that all requests have in common."""
        terms: dict[str, Any] = {"allow_redirects": False}
        if ssl is not None:
            terms["ssl"] = ssl
        lent = self._lent
        if lent is not None:  # its own settings are for other requests
            theirs = middlewares_of(lent)
            check = _checking(_UsedConnections(), () if theirs else _REPEATED)
            terms |= {
                "auto_decompress": False,
                "raise_for_status": False,
                "timeout": self._timeout,
                "middlewares": (send_once, *theirs, check) if theirs else (check,),
            }
        return terms

    @property
    def is_open(self) -> bool:
        """Whether a session of our own is open."""
        return bool(self._own)

    async def close(self) -> None:
        """Close the sessions that are our own, within 0.25 seconds each."""
        while self._own:
            _, session = self._own.pop()
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await session.close()


def way_through(proxy: Proxy | None, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of aiohttp for a request to *url* with *headers*, through *proxy* if there is one."""
    way: dict[str, Any] = {"headers": headers}
    if proxy is not None:
        way["proxy"] = proxy.origin
        if proxy.authorization is not None:
            credential = {"Proxy-Authorization": proxy.authorization}
            if url.startswith("https:"):
                way["proxy_headers"] = credential  # for CONNECT alone; the server never sees it
            else:
                way["headers"] = {**headers, **credential}
    return way


# a response as a stream, from anywhere


@frozen
class _Chunks:
    """The pieces of *content*; *own* turns its errors into ours."""

    content: aiohttp.StreamReader
    own: Callable[[Exception], PollError]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await mapping_errors(self.content.readany(), self.own)
        if not piece:
            raise StopAsyncIteration
        return piece


@asynccontextmanager
async def open_stream(
    url: str,
    *,
    socket_factory: SocketFactoryType,
    limits: ExchangeLimits,
    ssl: SSLContext | None = None,
    proxy: Proxy | None = None,
) -> AsyncGenerator[Stream, None]:
    """GET *url* over a connection of its own: no credential, no cookie, no redirect, no compression.

    Args:
        url: The address, percent-encoded and checked.
        socket_factory: Makes the socket for each address in turn that the host, or the proxy, resolves to, or refuses.
        limits: `attempt`, `connect` and `read_gap`; these, *ssl* and *proxy* are as for `AiohttpTransport`.
        ssl: The certificates to trust.
        proxy: The proxy to go through.

    Raises:
        TransportError: As `AiohttpTransport.send`, also while the chunks are read.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            force_close=True, socket_factory=socket_factory, ssl=True if ssl is None else ssl
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(connect=limits.connect, sock_read=limits.read_gap, ceil_threshold=math.inf),
        headers={"Accept-Encoding": "identity", "User-Agent": "asyncpoll"},
        auto_decompress=False,
        middlewares=(send_once,),
    )
    async with session:
        own = partial(failure_of, origin=str(Origin.of(url)), proxy=proxy)
        getting = session.get(URL(url, encoded=True), allow_redirects=False, **way_through(proxy, url, {}))
        async with await mapping_errors(_within(limits.attempt, getting), own) as response:
            yield Stream(response.status, response.headers, _Chunks(response.content, own))


async def _within(seconds: float, work: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await work
