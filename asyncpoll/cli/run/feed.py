"""Reading beside the event loop: a disk may be slow, and a pipe may say nothing for hours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_AHEAD = 1000
"""The most items that are read ahead of whoever takes them."""


class Feed(Generic[T]):
    """Runs a generator that may block in a thread of its own, and gives what it yields.

    The thread is a daemon: one that is stuck in a read holds up neither the end of the iteration nor that of the
    process.

    Args:
        items: The generator; the thread closes it.
    """

    def __init__(self, items: Generator[T, None, None]) -> None:
        self._items = items
        self._ready: list[T] = []
        self._turn = threading.Condition()
        self._wanted = True
        self._over = False
        self._error: Exception | None = None

    async def each(self) -> AsyncGenerator[T, None]:
        """Yield every item soon after it is there.

        Raises:
            Exception: What the generator raised, after all that it had yielded.
        """
        there, loop = asyncio.Event(), asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(lambda: loop.call_soon_threadsafe(there.set),), daemon=True).start()
        try:
            while not self._over or self._ready:
                await there.wait()
                there.clear()
                for item in self._take():
                    yield item
        finally:
            self._leave()
        if self._error is not None:
            raise self._error

    def _take(self) -> list[T]:
        with self._turn:
            taken, self._ready = self._ready, []
            self._turn.notify()
        return taken

    def _leave(self) -> None:
        with self._turn:
            self._wanted = False
            self._turn.notify()

    # in the thread

    def _run(self, wake: Callable[[], object]) -> None:
        try:
            with closing(self._items):
                while self._wanted and (item := next(self._items, None)) is not None:
                    self._put(item, wake)
        except Exception as error:  # noqa: BLE001  whoever iterates is to have it
            self._error = error
        with self._turn:
            self._over = True
            if self._wanted:  # else there may be no event loop any more
                wake()

    def _put(self, item: T, wake: Callable[[], object]) -> None:
        with self._turn:
            self._turn.wait_for(lambda: len(self._ready) < MOST_AHEAD or not self._wanted)
            self._ready.append(item)
            if len(self._ready) == 1 and self._wanted:
                wake()
