"""What a transport has under way: at most so many exchanges at once, each within its time, none beyond the end."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import suppress
from types import TracebackType

from asyncpoll._errors import ClientClosed


class Flights:
    """The exchanges of one transport, in the event loop and the process that it was first used in.

    Args:
        slots: How many exchanges there are at once; further ones wait their turn.

    Attributes:
        closed: Whether no further exchange may begin.
        slots: The slots.
        scopes: The scope of each exchange, and when it is to expire.
    """

    def __init__(self, slots: int) -> None:
        self.closed = False
        self.slots = asyncio.Semaphore(slots)
        self.scopes: dict[asyncio.Timeout, float] = {}
        self._landed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def bind(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop, once it is seen to be the same as ever.

        Raises:
            ClientClosed: The transport belongs to another event loop, or to the process that this one was forked from.
        """
        process = os.getpid()  # first of all: in a forked process asyncio knows of no running loop
        if self._process is None:
            self._process, self._loop = process, asyncio.get_running_loop()
        if self._process != process:
            raise ClientClosed("the client belongs to the process that this one was forked from; make one here")
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            raise ClientClosed("the client belongs to another event loop; make one for each loop")
        return loop

    def board(self, scope: asyncio.Timeout) -> _Flight:
        """Return an async context manager that waits for a slot and keeps it; *scope* is how `close` ends it."""
        if self.closed:
            raise ClientClosed("the client is closed")
        return _Flight(self, scope)

    def allow(self, scope: asyncio.Timeout, until: float) -> None:
        """Let *scope* expire at the time *until*, if `close` has not made it expire already."""
        if self.closed:
            return
        self.scopes[scope] = until
        if self._timer is None or until < self._timer.when():
            self._arm(until)

    def _arm(self, until: float) -> None:
        # One timer for all: of the many exchanges that end in time, none has to set and cancel one.
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(until, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for scope, until in self.scopes.items():
            if until <= now:
                _end(scope)
        following = min((until for until in self.scopes.values() if until > now), default=math.inf)
        if following < math.inf:
            self._arm(following)

    def land(self, scope: asyncio.Timeout) -> None:
        """Forget *scope*, which has ended."""
        del self.scopes[scope]
        if self.closed and not self.scopes:
            self._landed.set()

    async def close(self, grace: float) -> None:
        """Let the scopes of all exchanges expire now, and wait for their end, for at most *grace* seconds."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for scope in self.scopes:
            _end(scope)
        if self.scopes:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._landed.wait()


def _end(scope: asyncio.Timeout) -> None:
    if not scope.expired():
        scope.reschedule(0.0)


class _Flight:
    __slots__ = ("_flights", "_scope")

    def __init__(self, flights: Flights, scope: asyncio.Timeout) -> None:
        self._flights = flights
        self._scope = scope

    async def __aenter__(self) -> None:
        self._flights.scopes[self._scope] = math.inf
        try:
            await self._flights.slots.acquire()
        except BaseException:
            self._flights.land(self._scope)
            raise

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._flights.slots.release()
        self._flights.land(self._scope)
