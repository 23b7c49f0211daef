"""The check that something is used in one event loop of one process, and while it is open."""

from __future__ import annotations

import asyncio
import os

from asyncpoll._errors import ClientClosed


class LoopAffinity:
    """Remembers the running event loop and the process, until it is closed.

    Args:
        name: The thing that is bound to them, for messages, such as "the hub".
        cure: The way to use it, for the message of one that is closed.
    """

    def __init__(self, name: str, cure: str = "open another one") -> None:
        self._home = _running_loop(), os.getpid()
        self._name = name
        self._cure = cure
        self._is_closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop, or None in another process."""
        loop, process = self._home
        return loop if process == os.getpid() else None

    def close(self) -> bool:
        """Refuse any further use; return whether it was open."""
        was_open, self._is_closed = not self._is_closed, True
        return was_open

    def check(self) -> None:
        """Check that the thing is open, and used in its own event loop and process.

        Raises:
            ClientClosed: It is closed, or this is another event loop, none at all, or another process.
        """
        if self._is_closed:
            raise ClientClosed(f"{self._name} is closed; {self._cure}")
        if self._home != (_running_loop(), os.getpid()):
            elsewhere = "another event loop, or to the process that this one was forked from"
            raise ClientClosed(f"{self._name} belongs to {elsewhere}; open one in each")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
