"""Noticing that jobs have become faster or slower than they are believed to be.

Each job that ends gives a p-value, and p-values are multiplied up to evidence as in sequential testing with e-values
(Shin, Ramdas, Rinaldo: E-detectors, 2023): while the belief is right, evidence is seldom large, however long one looks.
"""

from __future__ import annotations

import math

from attrs import define, field

ALARM = 50.0
"""The evidence that is enough."""

KEPT = 4
"""At least so many jobs are kept when the older ones are given up: some to go on with, few enough to be outnumbered."""

_LEAST_P = 1e-3  # a single job is no proof


@define
class Suspicion:
    """That jobs have changed in one direction.

    Attributes:
        evidence: How much speaks for it, at least 1.
        streak: The jobs in a row which it rests on.
    """

    evidence: float = 1.0
    streak: int = 0

    def weigh(self, p: float) -> bool:
        """Take in how likely a job as extreme as the last one was; return whether that is enough for an alarm."""
        evidence = self.evidence / (2 * math.sqrt(max(p, _LEAST_P)))
        self.evidence, self.streak = (evidence, self.streak + 1) if evidence > 1 else (1.0, 0)
        return self.evidence > ALARM


@define
class Drift:
    """Two suspicions about the jobs of one track: that they became faster, and that they became slower."""

    faster: Suspicion = field(factory=Suspicion)
    slower: Suspicion = field(factory=Suspicion)

    def weigh(self, *, ended_by: float, ran_longer: float) -> int | None:
        """Take in one job; return how many of the last jobs, with this one, show the change, or None for no change.

        Args:
            ended_by: How likely a job was to end by the age at which this one was seen ended.
            ran_longer: How likely a job was to run longer than the age at which this one was last seen running.
        """
        for suspicion, p in ((self.faster, ended_by), (self.slower, ran_longer)):
            if suspicion.weigh(p):
                shown = suspicion.streak
                self.faster, self.slower = Suspicion(), Suspicion()
                return max(KEPT, shown)
        return None
