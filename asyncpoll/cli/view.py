"""How progress is shown while many waits go on. A view pulls: it looks now and then, and costs the waits nothing."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from asyncpoll._state import State

ENDINGS = (State.SUCCESS, State.FAILED, State.TIMEOUT, State.CANCELLED)


@frozen
class View:
    """A way to show how far the waits have come.

    Attributes:
        draw: Shows it once.
        period: Seconds from one time to the next.
    """

    draw: Callable[[], object]
    period: float
