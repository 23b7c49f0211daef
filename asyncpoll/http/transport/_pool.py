"""The direct path, and everything else that needs private names of aiohttp.

Two habits of HTTP libraries make a poller report wrong results: they send a request twice on their own account, and
they take the words of a server on an idle connection for the answer to the next request. `Pool` does neither, and
spares most of the work that aiohttp's sessions do for a request. It is checked at import whether the private names are
there; `LACKING` lists those that are not, and then all requests take the session path.
"""

from __future__ import annotations

import asyncio
import math
import operator
import select
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from ssl import SSLContext
from types import FunctionType
from typing import Any, cast

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.connector import Connection
from aiohttp.http import HttpResponseParser, RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from yarl import URL

from asyncpoll.http._urls import Address
from asyncpoll.http.transport._encode import Outgoing
from asyncpoll.http.transport._response import Answer

KEEP_ALIVE = 45.0
"""Seconds that an idle connection is kept: longer than the longest interval between polls by default, which is 30 s,
and shorter than the 60 to 75 s after which common servers and load balancers hang up."""
GOODBYE = 0.25
_BUFFER = 256 << 10  # bytes of a body that wait to be read, before the server is made to wait
_RECEIVED = 32 << 10  # bytes that are received in one go
_SWITCHING = 101
_FINAL = 200
_BODILESS = frozenset({204, 304})

_Head = tuple[RawResponseMessage, StreamReader]


def lacking(connector: type, protocol: type, parser: type) -> list[str]:
    """Return the private names of aiohttp which the direct path needs and these classes do not have."""
    made = getattr(vars(connector).get("__init__"), "__code__", None)
    names = [] if made is not None and "_factory" in made.co_names else ["_factory"]
    names += [name for name in ("pause_reading", "resume_reading") if not hasattr(protocol, name)]
    return names + [name for name in ("feed_data", "feed_eof") if not hasattr(parser, name)]


LACKING = lacking(aiohttp.BaseConnector, BaseProtocol, HttpResponseParser)
"""The private names which the direct path needs and this aiohttp lacks."""


def instrumentation() -> tuple[object, ...]:
    """Return the functions of `aiohttp.ClientSession` that tools replace, as they are now."""
    methods = vars(aiohttp.ClientSession)
    return aiohttp.ClientSession, methods.get("__init__"), methods.get("_request"), methods.get("request")


def is_same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Return whether two results of `instrumentation` are the same objects; wrappers claim to equal the wrapped."""
    return all(map(operator.is_, one, other))


_plain: tuple[object, ...] = (None,) * 4


def is_instrumented() -> bool:
    """Return whether a tool has patched or wrapped `aiohttp.ClientSession`, and is to see every request."""
    global _plain  # noqa: PLW0603  what was found to be as aiohttp made it need not be looked at again
    now = instrumentation()
    if is_same(now, _plain):
        return False
    session, *methods = now
    if getattr(session, "__module__", None) == "aiohttp.client" and all(map(_is_original, methods)):
        _plain = now
        return False
    return True


def _is_original(method: object) -> bool:
    # A function of another module is a patch; an object that is not a function, as of wrapt, is a wrapper.
    return type(method) is FunctionType and method.__globals__.get("__name__") == "aiohttp.client"


def belongs_to(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether *session* was made in *loop*, as far as it can be told."""
    return getattr(session, "_loop", loop) is loop


def middlewares_of(session: aiohttp.ClientSession) -> Sequence[aiohttp.ClientMiddlewareType]:
    """Return the middlewares that *session* was made with; those of a request take their place."""
    return getattr(session, "_middlewares", ())


def is_spoiled(transport: asyncio.BaseTransport | None) -> bool:
    """Return whether the server has said something that the event loop has not read yet."""
    return transport is not None and _is_readable(transport.get_extra_info("socket").fileno())


def _by_poll(descriptor: int) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


def _by_select(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


_is_readable = _by_poll if hasattr(select, "poll") else _by_select  # Windows has no poll; select has limits elsewhere


class PooledConnection(BaseProtocol, asyncio.BufferedProtocol):
    """One connection: a request at a time, and a future for the head of its answer.

    Between two requests the server has nothing to say; when it speaks all the same, the line is given up. Data is
    received into a buffer that stays: asyncio would allocate and cut down 256 KiB for every few hundred bytes.

    Attributes:
        connection: The object that aiohttp's connector knows the line by.
        closed: Done when the connection is lost.
        since: The time since which the line is idle.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.connection: Connection | None = None
        self.closed: asyncio.Future[None] = loop.create_future()
        self.since = 0.0
        self._asked: asyncio.Future[_Head] | None = None
        self._content: StreamReader | None = None
        self._is_head = False
        self._is_reusable = True
        self._received = bytearray(_RECEIVED)

    def ask(self, method: str, message: bytes) -> asyncio.Future[_Head]:
        """Send *message*, and return the future of the head of its answer and its body."""
        # A parser for each request: stray bytes that an old one has kept are never a part of the next answer.
        self._parser = HttpResponseParser(
            self,
            self._loop,
            _BUFFER,
            payload_exception=aiohttp.ClientPayloadError,
            response_with_body=method != "HEAD",
            read_until_eof=True,
            auto_decompress=False,
        )
        self._is_head = method == "HEAD"
        self._asked = asked = self._loop.create_future()
        cast("asyncio.Transport", self.transport).write(message)
        return asked

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  asyncio's signature
        """Return the buffer to receive into."""
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        """Parse the bytes that were received into the buffer."""
        self.data_received(bytes(memoryview(self._received)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Parse *data*; if it is empty, go on with the bytes that have come."""
        parser = cast("HttpResponseParser | None", self._parser)
        if parser is None or (self._asked is None and (self._content is None or self._content.is_eof())):
            if data:  # unasked
                self.abort()
            return
        try:
            messages, upgraded, _tail = parser.feed_data(data)
        except HttpProcessingError as error:
            self._fail(error, aiohttp.ClientPayloadError())
            self.abort()
            return
        self._is_reusable = self._is_reusable and not upgraded
        for message, content in messages:
            self._answer(message, content)

    def _answer(self, message: RawResponseMessage, content: StreamReader) -> None:
        if self._asked is None:  # a second answer to one request
            self._is_reusable = False
        elif message.code >= _FINAL or message.code == _SWITCHING:
            self._is_reusable = self._is_reusable and not message.should_close
            self._content = EMPTY_PAYLOAD if self._is_head or message.code in _BODILESS else content
            asked, self._asked = self._asked, None
            if not asked.done():
                asked.set_result((message, self._content))

    def _fail(self, before: Exception, within: Exception) -> None:
        """End the exchange with an error: *before* the head of an answer has come, or *within* its body."""
        asked, self._asked = self._asked, None
        if asked is not None:
            if not asked.done():
                asked.set_exception(before)
        elif self._content is not None and not self._content.is_eof():
            self._content.set_exception(within)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the exchange; a body that goes on to the end of the connection is complete."""
        super().connection_lost(exc)
        self.closed.set_result(None)
        parser = cast("HttpResponseParser | None", self._parser)
        if parser is not None and self._asked is None and self._content is not None and exc is None:
            with suppress(HttpProcessingError):
                parser.feed_eof()
        lost = aiohttp.ClientOSError(*exc.args) if isinstance(exc, OSError) else aiohttp.ServerDisconnectedError()
        self._fail(lost, aiohttp.ClientPayloadError())
        if self.connection is not None:
            self.connection.close()

    def is_ready(self) -> bool:
        """Return whether the line is open and nothing was said on it that the event loop has not read yet."""
        transport = self.transport
        return transport is not None and not transport.is_closing() and not is_spoiled(transport)

    def rest(self) -> bool:
        """Expect nothing until the next request; return whether there can be one."""
        content, self._content = self._content, None
        is_complete = self._asked is None and content is not None and content.is_eof() and content.exception() is None
        self._asked = None
        return is_complete and self._is_reusable and self.transport is not None

    def close(self) -> None:
        """Close the connection, politely with TLS."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close the connection at once, without an answer."""
        self._asked = None
        if self.transport is not None:
            self.transport.abort()


class Pool:
    """Connections to one address, of which the idle ones wait in a list.

    Args:
        address: The address.
        connect: Seconds for a connection: DNS, TCP and TLS.
        context: The certificates to trust, or None for those of the system.

    Attributes:
        requests: How many requests were sent.
    """

    def __init__(self, address: Address, connect: float, context: SSLContext | None) -> None:
        self.requests = 0
        self._loop = asyncio.get_running_loop()
        self._host = address.host
        self._idle: list[PooledConnection] = []
        self._sweeping: asyncio.TimerHandle | None = None
        self._timeout = aiohttp.ClientTimeout(connect=connect, ceil_threshold=math.inf)
        # The slots bound the connections; a limit here would make exchanges wait while their time runs.
        self._connector = aiohttp.TCPConnector(limit=0, ssl=True if context is None else context)
        self._connector._factory = cast("Any", partial(PooledConnection, loop=self._loop))  # noqa: SLF001  what this file is for
        self._destination = aiohttp.ClientRequest("GET", URL(address.origin), loop=self._loop)

    async def ask(self, outgoing: Outgoing) -> Answer:
        """Send *outgoing*, once, and return the answer as soon as its head is there."""
        if outgoing.fresh:
            self.drop_idle()
        line = self._take() or await self._open()
        self.requests += 1
        try:
            head, content = await line.ask(outgoing.method, outgoing.message(self._host))
        except BaseException:
            line.abort()
            raise
        return Answer(head.code, head.headers, content, partial(self._release, line))

    def _take(self) -> PooledConnection | None:
        while self._idle:
            line = self._idle.pop()
            if line.is_ready():
                return line
            line.abort()
        return None

    async def _open(self) -> PooledConnection:
        connection = await self._connector.connect(self._destination, [], self._timeout)
        line = cast("PooledConnection", connection.protocol)
        line.connection = connection
        return line

    def _release(self, line: PooledConnection) -> None:
        if not line.rest():
            line.abort()
            return
        line.since = self._loop.time()
        self._idle.append(line)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(KEEP_ALIVE, self._sweep)

    def _sweep(self) -> None:
        """Close the lines that have been idle for too long; the longest stands first."""
        oldest = self._loop.time() - KEEP_ALIVE
        while self._idle and self._idle[0].since <= oldest:
            self._idle.pop(0).close()
        self._sweeping = self._loop.call_at(self._idle[0].since + KEEP_ALIVE, self._sweep) if self._idle else None

    async def end(self) -> None:
        """Close every connection, within 0.25 seconds."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self._connector.close()

    def drop_idle(self) -> None:
        """Close the connections that wait to be used again."""
        for line in self._idle:
            line.close()
        self._idle.clear()
