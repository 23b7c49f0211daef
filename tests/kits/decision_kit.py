"""A decision and its poll results that the tests of decisions share."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from asyncpoll import Fixed, Progress, Snapshot, State, Timeout, TransportError
from asyncpoll.waiting._decision import NEVER, Decision
from asyncpoll.waiting._policy import Policy

PENDING: Snapshot[Any] = Snapshot(State.PENDING, "queued")
PROCESSING: Snapshot[Any] = Snapshot(State.PROCESSING, "running", progress=0.25)
DONE = Snapshot(State.SUCCESS, "done", value=42)
ODD: Snapshot[Any] = Snapshot(State.UNKNOWN, "odd")
BEGAN = 100.0
BOTH = Timeout(pending=60.0, processing=10.0)


@define
class Recorder:
    """A schedule that notes its arguments, and always returns the same delay."""

    answer: float = 1.0
    seen: list[Progress] = field(factory=list)

    def delay(self, progress: Progress, /) -> float:
        """Note *progress*."""
        self.seen.append(progress)
        return self.answer


class Keyed:
    """Something that is awaited, with a key."""

    key = "v:1"


def decision(total: float | None = None, **policy: Any) -> Decision:
    """Return the decision of a wait that began at 100 s and polls every 2 s by default."""
    policy.setdefault("timeout", Timeout(total))
    policy.setdefault("schedule", Fixed(2.0))
    return Decision(Policy(**policy), BEGAN, subject=Keyed())


def due(wait: Decision, result: Snapshot[Any] | BaseException, now: float = BEGAN, **how: Any) -> float:
    """Apply a result that does not end the wait; return when it wants the next poll."""
    verdict = wait.apply(result, now, **how)
    assert (verdict.over, verdict.error) == (False, None)
    return verdict.due


def end(wait: Decision, result: Snapshot[Any] | BaseException, now: float = BEGAN) -> Any:
    """Apply a result that ends the wait with an error; return that."""
    verdict = wait.apply(result, now)
    assert (verdict.over, verdict.due) == (True, NEVER)
    assert verdict.error is not None
    return verdict.error


def away(retry_after: float) -> TransportError:
    """Return a failure of a server that says when to come again."""
    return TransportError("later", kind="server", status=503, retry_after=retry_after)


def running(retry_after: float) -> Snapshot[Any]:
    """Return what a poll sees of a job that runs and gives a hint."""
    return Snapshot(State.PROCESSING, retry_after=retry_after)
