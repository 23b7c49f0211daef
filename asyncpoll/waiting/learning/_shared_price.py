"""One price for all who share a limited rate of calls.

When many waits want more calls than there are, the least total delay is had if each makes its own best plan at one
common price of a call, the one at which they want just as many as there are. That price is not computed: it rises while
polls are late, and falls while the rate is left unused. All times are seconds.
"""

from __future__ import annotations

import math

from attrs import field, frozen

from asyncpoll._schedule import DURATION

_LATE = 0.5  # lateness that is more than chance
_IDLE = 0.1  # idleness that is
_PROMPT = 5.0  # lateness that doubles the price until the level has followed
_SLUGGISH = 2.0  # a level that follows any faster swings to and fro
_LEAST, _MOST = 1e-3, 86_400.0


@frozen
class SharedPrice:
    """What a call is worth in seconds of delay: a level that follows slowly, and a prompt answer to lateness.

    Attributes:
        level: The price when no poll is late.
    """

    level: float = field(default=1.0, validator=DURATION)

    def call_cost(self, late: float) -> float:
        """Return the price, when the poll that is due next is *late*; below 0 is not late."""
        return self.level * (1 + max(0.0, late) / _PROMPT)

    def after(self, seconds: float, *, late: float, rate: float, waits: int) -> SharedPrice:
        """Return the price some seconds on.

        Args:
            seconds: How long it has been like this.
            late: By how much the poll that is due next is late; below 0 when the rate is left unused: for how long.
            rate: The calls a second that there are.
            waits: How many share them: the more, the longer it takes until they all have a plan at the new price.
        """
        direction = (late > _LATE) - (late < -_IDLE)
        gain = direction * rate / (_SLUGGISH * max(waits, rate))
        return SharedPrice(min(max(_LEAST, self.level * math.exp(gain * seconds)), _MOST))
