"""Define `MemoryTransport`, a transport without a network."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from asyncpoll.http._message import Reply, Request

_NEWEST = 1000


class MemoryTransport:
    """A `Transport` that calls a function instead of a server.

    Args:
        answer: A function from a request to its reply. An error that it raises is raised by `send`.
        latency: The seconds that every request takes.

    Attributes:
        requests: The number of requests that were sent.
        sent: The newest 1,000 requests, in the order in which they were sent.
    """

    def __init__(self, answer: Callable[[Request], Reply], *, latency: float = 0.0) -> None:
        self._answer = answer
        self._latency = latency
        self.requests = 0
        self.sent: deque[Request] = deque(maxlen=_NEWEST)

    async def send(self, request: Request, /) -> Reply:
        """Return the reply of the function to *request*."""
        self.requests += 1
        self.sent.append(request)
        if self._latency:
            await asyncio.sleep(self._latency)
        return self._answer(request)

    async def aclose(self) -> None:
        """Do nothing, because there is nothing to close."""
