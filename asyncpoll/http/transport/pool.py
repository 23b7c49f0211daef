"""Connections under control.

Two habits of HTTP libraries make a poller report wrong results: they send a request twice on their own account, and
they take what a server said while a connection was idle for the answer to the next request. `Pool` does neither, and
spares most of what aiohttp's sessions do for a request.
"""

from __future__ import annotations

import asyncio
import select
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from asyncpoll.http.transport.outgoing import Address, Outgoing
from asyncpoll.http.transport.reading import Answer

_SWITCHING = 101
_FINAL = 200


class Line(ResponseHandler):
    """A connection that is given up when the server speaks on it unasked.

    Attributes:
        asked: Whether an answer is due.
        used: Whether there was one before.
    """

    asked = False
    used = False

    def data_received(self, data: bytes) -> None:
        """Take in what the server says."""
        if self.asked or not data:  # without data it is called to go on with what has come
            super().data_received(data)
        else:
            self.abort()

    def rest(self) -> None:
        """Expect nothing until the next request."""
        self.asked = False
        self.used = True

    def has_unread(self) -> bool:
        """Return whether the server has said something that the event loop has not come round to yet."""
        return self.transport is not None and _is_readable(self.transport.get_extra_info("socket").fileno())


def _by_poll(descriptor: int) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


def _by_select(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


_is_readable = _by_poll if hasattr(select, "poll") else _by_select  # Windows has no poll; select has limits elsewhere


class Pool(aiohttp.TCPConnector):
    """Connections to one address.

    Args:
        address: The address.
        timeout: The limit for connecting.
        settings: As `aiohttp.TCPConnector` takes them.

    Attributes:
        requests: How many requests were sent.
    """

    def __init__(self, address: Address, timeout: aiohttp.ClientTimeout, **settings: Any) -> None:
        super().__init__(**settings)
        self.requests = 0
        self._factory = cast("partial[ResponseHandler]", partial(Line, loop=self._loop))
        self._host = address.host
        self._timeout = timeout
        self._destination = aiohttp.ClientRequest("GET", URL(address.origin), loop=self._loop)

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Return a connection that is about to be asked something."""
        while True:
            connection = await super().connect(req, traces, timeout)
            line = cast("Line", connection.protocol)
            if not (line.used and line.has_unread()):
                break
            connection.close()
        line.asked = True
        connection.add_callback(line.rest)
        self.requests += 1
        return connection

    async def ask(self, outgoing: Outgoing) -> Answer:
        """Send *outgoing*, once, and return what comes back as soon as its head is there."""
        connection = await self.connect(self._destination, [], self._timeout)
        try:
            line = cast("Line", connection.protocol)
            line.set_response_params(read_until_eof=True, auto_decompress=False, skip_payload=outgoing.method == "HEAD")
            cast("asyncio.Transport", line.transport).write(outgoing.message(self._host))
            while True:
                head, content = await line.read()
                if head.code >= _FINAL or head.code == _SWITCHING:
                    break
        except BaseException:
            connection.close()
            raise
        content.on_eof(connection.release)
        return Answer(head.code, head.headers, content, connection.close)

    def drop_idle(self) -> None:
        """Close the connections that wait to be used again."""
        for lines in self._conns.values():
            for line, _since in lines:
                line.close()
        self._conns.clear()
