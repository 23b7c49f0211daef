"""Whether a server is down, and when to find out whether it is back."""

from __future__ import annotations

import math

OUTAGE = 20
"""The trouble in a row that makes an outage."""

GOOD_PROBES = 3
"""The answers in a row that end one."""


class Breaker:
    """Counts signs of trouble; after too many in a row it has one poll at a time probe until the server answers again.

    It never stops probing: a server that is not asked cannot be seen to be back.

    Args:
        pause: Seconds between a probe that failed and the next.

    Attributes:
        probing: Whether the server seems to be down.
        opens_at: When the next probe may start, on the event loop's clock.
    """

    def __init__(self, pause: float) -> None:
        self.probing = False
        self.opens_at = -math.inf
        self._pause = pause
        self._trouble = 0
        self._good_probes = 0

    @property
    def is_at_rest(self) -> bool:
        """Whether there are no signs of trouble."""
        return not self.probing and not self._trouble

    def fault(self, trouble: int, now: float) -> None:
        """Take in a failure that says so much that the server is down, above 0."""
        self._trouble += trouble
        if self.probing or self._trouble >= OUTAGE:
            self.probing = True
            self._good_probes = 0
            self.opens_at = now + self._pause

    def answer(self) -> bool:
        """Take in that the server answered; return whether this ends an outage."""
        self._trouble = 0
        self._good_probes += self.probing
        if self._good_probes < GOOD_PROBES:
            return False
        self.probing = False
        self._good_probes = 0
        return True
