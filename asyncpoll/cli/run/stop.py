"""Ctrl-C and SIGTERM: the first asks a run to end in good order, the next one ends it now."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_stoppable(main: Coroutine[Any, Any, T]) -> T:
    """Run *main*, in which `stoppable` is used, and return what it returns.

    Raises:
        KeyboardInterrupt: A second signal has ended it.
    """
    try:
        return asyncio.run(main)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def halt(asked: asyncio.Future[None], error: Exception) -> None:
    """Ask for the end, as a signal does, because of *error*; whoever awaits the future has it raised."""
    if not asked.done():
        asked.set_exception(error)


@contextmanager
def stoppable() -> Generator[asyncio.Future[None], None, None]:
    """Catch the signals; give a future that is done once there has been one.

    The second one cancels the task that opened this. From then on they do what they do by default.
    """
    loop = asyncio.get_running_loop()
    task = cast("asyncio.Task[object]", asyncio.current_task())
    asked: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not asked.done():
            asked.set_result(None)
        else:
            release()
            task.cancel()

    def release() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    with suppress(NotImplementedError):  # Windows: Ctrl-C ends it at once, which loses nothing that was recorded
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
    try:
        yield asked
    finally:
        asked.cancel()
        with suppress(NotImplementedError):
            release()
