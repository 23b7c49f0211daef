"""Define an event loop with a virtual clock: hours of waiting take milliseconds, and every time is exact."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_DECIMALS = 9  # of a second; times are rounded, so that 0.1 + 0.2 is 0.3
_RESOLUTION = 1e-7  # seconds; added to the time of half a year, the 1e-9 of a real clock would be lost in rounding


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that does not wait for its files. Instead of sleeping, it advances the clock."""

    def __init__(self, standstill: float) -> None:
        super().__init__()
        self.standstill = standstill
        self.now = 0.0
        self.threads = 0  # running calls in threads; they take real time, so the clock stops while there are any

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self.threads:
            ready = super().select(self.standstill)
            if not ready and timeout is None:
                raise RuntimeError(
                    "every task waits for an event that no timer will bring; set the event, or give the wait a timeout"
                )
            return ready
        self.now = round(self.now + timeout, _DECIMALS)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at time 0 and advances to the next timer as soon as no task can run.

    Sockets do not stop the clock, so do not use real sockets with it.

    Args:
        standstill: The real seconds after which the loop raises `RuntimeError` if no task can run and no timer is set.
    """

    def __init__(self, *, standstill: float = 10.0) -> None:
        self._selector_that_jumps = _JumpingSelector(standstill)
        super().__init__(self._selector_that_jumps)
        self._clock_resolution = _RESOLUTION  # asyncio's name; a timer is due when less than this is left

    def time(self) -> float:
        """Return the virtual time, in seconds since the loop was created."""
        return self._selector_that_jumps.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # typeshed has a variadic type here
        """Run *func* in a thread, and stop the clock until it returns."""
        self._selector_that_jumps.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._back_from_thread)
        return future

    async def shutdown_default_executor(self, _timeout: float | None = None) -> None:
        """Wait until all threads have ended, without a timeout: in virtual time it would pass at once."""
        await super().shutdown_default_executor()

    def _back_from_thread(self, _future: asyncio.Future[Any]) -> None:
        self._selector_that_jumps.threads -= 1


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on a `VirtualLoop`, as `asyncio.run` does on a real event loop, and return its result.

    Raises:
        RuntimeError: Every task waits for an event that no timer will bring.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
