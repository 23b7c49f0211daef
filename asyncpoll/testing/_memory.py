"""A transport without a network."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from asyncpoll.http.message import Reply, Request

_NEWEST = 1000


class MemoryTransport:
    """A `Transport` made of one plain function from `Request` to `Reply`; what the function raises, `send` raises.

    Args:
        answer: The function.
        latency: Seconds that every exchange takes.

    Attributes:
        requests: How many requests were sent.
        sent: The newest 1,000 of them, oldest first.
    """

    def __init__(self, answer: Callable[[Request], Reply], *, latency: float = 0.0) -> None:
        self._answer = answer
        self._latency = latency
        self.requests = 0
        self.sent: deque[Request] = deque(maxlen=_NEWEST)

    async def send(self, request: Request, /) -> Reply:
        """Return what the function makes of *request*."""
        self.requests += 1
        self.sent.append(request)
        if self._latency:
            await asyncio.sleep(self._latency)
        return self._answer(request)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""
