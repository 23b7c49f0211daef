"""The session path: exchanges through aiohttp's public API, so that everything that instruments aiohttp sees them.

It serves a lent session, a proxy, a `ClientSession` that a tool has patched, and forms with files. aiohttp has two
habits that make a poller report wrong results: it sends a request twice when a kept connection breaks, and it takes
what a server said while a connection was idle for the answer to the next request. In a session of our own,
`CheckedConnector` prevents the second. In a lent one, whose connector belongs to somebody else, a middleware does.
Another middleware prevents the first in both.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from ssl import SSLContext
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection
from attrs import define, field, frozen
from yarl import URL

from asyncpoll._errors import ClientClosed
from asyncpoll.http._settings import Proxy
from asyncpoll.http.transport._encode import Outgoing, Part
from asyncpoll.http.transport._errors import PROXY_AUTHENTICATION_REQUIRED, NotRepeatedError, refused_by_proxy
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

Handler = aiohttp.ClientHandlerType
Middleware = aiohttp.ClientMiddlewareType


class _UnusableError(Exception):
    """A kept connection cannot be used for the next request."""


@define(eq=False)
class _Attempt:
    """One request of the session path.

    Attributes:
        fresh: Whether it needs a connection that nothing was ever read from.
        sent: How often a connection was ready for it.
    """

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


async def send_once(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
    """Have *request* sent once: a middleware, which see in aiohttp's documentation."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:  # was not sent, and aiohttp does not try again
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise NotRepeatedError from error


def _checking(used: _UsedConnections) -> Middleware:
    """Return the middleware that checks the connections of a lent session."""

    async def check(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        attempt, send = _attempt.get(), request.send

        async def send_checked(connection: Connection) -> aiohttp.ClientResponse:
            if not used.admit(connection, attempt):
                raise _UnusableError
            return await send(connection)

        request.send = send_checked  # type: ignore[method-assign,assignment]
        try:
            while True:
                try:
                    return await handler(request)
                except _UnusableError:
                    continue
        finally:
            del request.send  # or request and function would hold each other until the garbage collector comes

    return check


@frozen
class SessionSettings:
    """What the session path is made with.

    Attributes:
        lent: The session to use, or None for one of our own.
        proxy: The proxy to go through, or None.
        ssl: The certificates to trust, or None for those of the system.
        connect: Seconds for the connection.
    """

    lent: aiohttp.ClientSession | None
    proxy: Proxy | None
    ssl: SSLContext | None
    connect: float


class SessionPath:
    """Sends requests to one origin through an `aiohttp.ClientSession`.

    Args:
        origin: Scheme, host and port of the API.
        settings: The session, the proxy, and the certificates.

    Attributes:
        requests: How many requests were sent.
    """

    def __init__(self, origin: str, settings: SessionSettings) -> None:
        self.requests = 0
        self._origin = origin
        self._settings = settings
        self._own: list[tuple[tuple[object, ...], aiohttp.ClientSession]] = []
        self._timeout = aiohttp.ClientTimeout(connect=settings.connect, ceil_threshold=math.inf)
        self._lent = {} if settings.lent is None else self._terms(settings.lent)

    async def ask(self, outgoing: Outgoing, parts: Sequence[Part] | None = None) -> Answer:
        """Send *outgoing*, once, and return the answer as soon as its headers are there.

        Args:
            outgoing: The request.
            parts: The parts of a multipart form, in place of the body.

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
                data=outgoing.body if parts is None else _form_data(parts),
                allow_redirects=False,
                **self._lent,
                **self._way(outgoing),
            )
            attempt.sent = attempt.sent or 1  # a tool that stands in for aiohttp opened no connection
        finally:
            _attempt.reset(token)
            self.requests += attempt.sent
        if response.status == PROXY_AUTHENTICATION_REQUIRED and self._settings.proxy is not None:
            response.close()
            raise refused_by_proxy(response.status, self._origin, self._settings.proxy)
        return Answer(response.status, response.headers, response.content, response.close)

    def _session(self) -> aiohttp.ClientSession:
        lent = self._settings.lent
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
        # The slots bound the connections; a limit in here would have exchanges wait while their time runs.
        connector = CheckedConnector(limit=0, keepalive_timeout=KEEP_ALIVE)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=self._timeout,
            middlewares=(send_once,),
        )

    def _terms(self, lent: aiohttp.ClientSession) -> dict[str, Any]:
        """Return the arguments that a request has with a lent session, whose own settings are for other requests."""
        return {
            "auto_decompress": False,
            "raise_for_status": False,
            "timeout": self._timeout,
            "middlewares": (send_once, *middlewares_of(lent), _checking(_UsedConnections())),
        }

    def _way(self, outgoing: Outgoing) -> dict[str, Any]:
        """Return the arguments that say how to get to the server."""
        way = way_through(self._settings.proxy, self._origin, outgoing.headers)
        if self._settings.ssl is not None:
            way["ssl"] = self._settings.ssl
        return way

    async def close(self) -> None:
        """Close the sessions that are our own, within 0.25 seconds each."""
        for _, session in self._own:
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


def _form_data(parts: Sequence[Part]) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)  # names in UTF-8, as browsers send them
    for part in parts:
        form.add_field(part.name, part.content, filename=part.filename, content_type=part.content_type)
    return form
