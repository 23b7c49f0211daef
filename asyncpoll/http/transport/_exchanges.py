"""The exchanges of a transport: a bounded number at once, each within its time limit, none after the end."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from types import TracebackType
from typing import Self

from asyncpoll._affinity import LoopAffinity
from asyncpoll._errors import ClientClosed


class Exchanges:
    """The exchanges of one transport, in the event loop and the process that it was first used in.

    Attributes:
        closed: Whether no further exchange may begin.
        slots: Bounds how many exchanges there are at once; further ones wait their turn.
        scopes: Each exchange, and the time at which it expires.
    """

    def __init__(self, slots: int) -> None:
        self.closed = False
        self.slots = asyncio.Semaphore(slots)
        self.scopes: dict[Exchange, float] = {}
        self._all_released = asyncio.Event()
        self._affinity: LoopAffinity | None = None
        self._timer: asyncio.TimerHandle | None = None

    def bind(self) -> None:
        """Bind the exchanges to the running event loop at the first use, and check it at every other."""
        if self._affinity is None:
            self._affinity = LoopAffinity("the client")
        self._affinity.check()

    def home(self) -> asyncio.AbstractEventLoop | None:
        """Return the event loop that the exchanges are bound to, or None if there is none or in another process."""
        return None if self._affinity is None else self._affinity.loop

    def admit(self) -> Exchange:
        """Return an async context manager that waits for a slot, holds it, and ends with `TimeoutError` in time."""
        if self.closed:
            raise ClientClosed("the client is closed; open another one")
        return Exchange(self)

    def set_deadline(self, exchange: Exchange, until: float) -> None:
        """Set the time *until* at which *exchange* expires, unless `close` has made it expire already."""
        if self.closed:
            return
        self.scopes[exchange] = until
        if until < (math.inf if self._timer is None else self._timer.when()):
            self._arm(until)

    def _arm(self, until: float) -> None:
        # One timer for all: of the many exchanges that end in time, none has to set and cancel one.
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(until, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for exchange, until in self.scopes.items():
            if until <= now:
                exchange.cut()
        following = min((until for until in self.scopes.values() if until > now), default=math.inf)
        if following < math.inf:
            self._arm(following)

    def release(self, exchange: Exchange) -> None:
        """Remove *exchange*, which has ended."""
        del self.scopes[exchange]
        if self.closed and not self.scopes:
            self._all_released.set()

    async def close(self, grace: float) -> None:
        """End all exchanges now, and wait until they have ended, for at most *grace* seconds."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for exchange in self.scopes:
            exchange.cut()
        if self.scopes:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._all_released.wait()


class Exchange:
    """One exchange: it waits for a slot, holds it, and can be cut. It is a cheaper `asyncio.timeout`."""

    __slots__ = ("_cancelling", "_exchanges", "_is_cut", "_task")

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._is_cut = False
        self._cancelling = 0
        self._task: asyncio.Task[object] | None = None

    def cut(self) -> None:
        """Have the exchange end with `TimeoutError`."""
        if not self._is_cut and self._task is not None:
            self._is_cut = True
            self._task.cancel()

    async def __aenter__(self) -> Self:
        self._task = task = asyncio.current_task()
        self._cancelling = 0 if task is None else task.cancelling()
        self._exchanges.scopes[self] = math.inf
        try:
            await self._exchanges.slots.acquire()
        except BaseException as error:
            self._exchanges.release(self)
            self._raise_timeout(error)
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._exchanges.slots.release()
        self._exchanges.release(self)
        self._raise_timeout(error)

    def _raise_timeout(self, error: BaseException | None) -> None:
        # A cancel from outside, before or after the cut, stays a cancel.
        if self._is_cut and self._task is not None:
            is_ours_alone = self._task.uncancel() <= self._cancelling
            if is_ours_alone and isinstance(error, asyncio.CancelledError):
                raise TimeoutError from error
