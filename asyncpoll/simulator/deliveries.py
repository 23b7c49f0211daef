"""Faults of the connection: the answer is right, but it does not arrive in one piece, or not alone.

Frozen values that are functions from `Answer` to `Answer`, like those in `effects`; of several, the last one counts.
"""

from __future__ import annotations

from typing import Literal

from attrs import evolve, field, frozen, validators

from asyncpoll.simulator.answers import Answer, End, Step
from asyncpoll.simulator.lives import NOT_NEGATIVE

_UNNOTICED = 0.02  # seconds: enough for the peer to have read what came before the end
_POINTS = ("before", "headers", "body")


@frozen
class Reset:
    """The connection is reset before the answer, inside its headers, or inside its body."""

    at: Literal["before", "headers", "body"] = field(default="before", validator=validators.in_(_POINTS))

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer, to be cut short by a reset."""
        return evolve(answer, manner=self._steps)

    def _steps(self, answer: Answer) -> tuple[Step, ...]:
        head, body = answer.head(), answer.body
        sent = {"before": b"", "headers": head[: len(head) // 2], "body": head + body[: len(body) // 2]}
        return sent[self.at], _UNNOTICED, End.RESET


@frozen
class Cut:
    """The headers announce *missing* bytes more than are sent before the connection is closed."""

    missing: int = field(default=1, validator=validators.ge(1))

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer, to be announced as longer than it is."""
        return evolve(answer, manner=self._steps)

    def _steps(self, answer: Answer) -> tuple[Step, ...]:
        return answer.head(len(answer.body) + self.missing) + answer.body, End.CLOSE


@frozen
class Drip:
    """The body comes in pieces of *size* bytes, *gap* seconds after one another."""

    gap: float = field(default=0.05, validator=NOT_NEGATIVE)
    size: int = field(default=16, validator=validators.ge(1))

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer, to be sent drop by drop."""
        return evolve(answer, manner=self._steps)

    def _steps(self, answer: Answer) -> tuple[Step, ...]:
        pieces = (answer.body[start : start + self.size] for start in range(0, len(answer.body), self.size))
        return answer.head(), *(step for piece in pieces for step in (self.gap, piece))


@frozen
class LateResponse:
    """The answer is sent again, unsolicited, *delay* seconds after itself; the connection stays open.

    A client that reads this as the answer to its next request takes one job for another.
    """

    delay: float = field(default=_UNNOTICED, validator=NOT_NEGATIVE)

    def __call__(self, answer: Answer) -> Answer:
        """Return the answer, to be sent twice."""
        return evolve(answer, manner=self._steps)

    def _steps(self, answer: Answer) -> tuple[Step, ...]:
        whole = answer.head() + answer.body
        return whole, self.delay, whole
