"""Where a hub may be used: in one event loop of one process, while it is open."""

from __future__ import annotations

import asyncio
import os

from asyncpoll._errors import ClientClosed


class Home:
    """The running event loop and this process, until it is closed."""

    def __init__(self) -> None:
        self._place = _running_loop(), os.getpid()
        self._closed = False

    def close(self) -> None:
        """Let nothing in any more."""
        self._closed = True

    def check(self) -> None:
        """Do nothing, at home and while it is open.

        Raises:
            ClientClosed: It is closed, or this is another event loop, none at all, or another process.
        """
        if self._closed:
            raise ClientClosed("the hub is closed; use it inside its block: async with Hub() as hub")
        if self._place != (_running_loop(), os.getpid()):
            raise ClientClosed("the hub belongs to another event loop or process; open one in each")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
