"""Jobs that ran at the same time, and therefore end in an order that says something about them: the shortest first."""

from __future__ import annotations

import math

from asyncpoll.waiting.learning._plan import Chance

SAMPLE = 64
"""Of the jobs of one batch so many are remembered, chosen by chance: as many as a history keeps."""


class Batch:
    """A fair sample of jobs that ran together.

    Args:
        opened_at: When the first of them ended. A job that begins later is none of them.
    """

    def __init__(self, opened_at: float = -math.inf) -> None:
        self.opened_at = opened_at
        self._count = 0
        self._sample: list[tuple[float, float]] = []

    def add(self, lo: float, hi: float, chance: Chance) -> None:
        """Take in a job that lasted for a time in (*lo*, *hi*]."""
        self._count += 1
        if self._count <= SAMPLE:
            self._sample.append((lo, hi))
        elif (place := int(chance() * self._count)) < SAMPLE:
            self._sample[place] = (lo, hi)

    def shuffled(self, chance: Chance) -> list[tuple[float, float]]:
        """Return the sample in an order that says nothing."""
        return sorted(self._sample, key=lambda _: chance())
