"""Ctrl-C and SIGTERM: the first one asks a run to end in good order, the second one ends it at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_stoppable(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine *main*, which uses `stoppable`, and return its result.

    Raises:
        KeyboardInterrupt: A second signal has ended it.
    """
    try:
        return asyncio.run(main)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def halt(asked: asyncio.Future[None], error: Exception) -> None:
    """Ask for the end, as a signal does, because of *error*, which is raised where the future is awaited."""
    if not asked.done():
        asked.set_exception(error)


@contextmanager
def stoppable() -> Generator[asyncio.Future[None], None, None]:
    """Catch the signals; yield a future that is done after the first one.

    The second one cancels the task that opened this block. After it the signals have their default effects again.
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
