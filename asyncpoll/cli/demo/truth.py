"""Whether what was found out is the truth, which only the simulator knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from attrs import frozen

from asyncpoll._endpoint import Job
from asyncpoll._state import State
from asyncpoll.cli.demo.tally import End, Tally
from asyncpoll.simulator import Truth

TruthOf = Callable[[str, tuple[str, ...]], Truth]
"""From the name of an endpoint and the id of a job to the truth about it."""

IDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bigmodel.agents": ("async_id",),
        "bigmodel.file_parser": ("task_id",),
        "molizhishu.subtasks": ("task_id", "sub_task_id"),
        "molizhishu.tasks": ("task_id",),
    }
)
"""What of a reference is the id of the job; the last part of it stands in the result, too."""

MEANS: Mapping[str, State] = MappingProxyType(
    {
        "success": State.SUCCESS,
        "succeeded": State.SUCCESS,
        "completed": State.SUCCESS,
        "partial_completed": State.SUCCESS,
        "failed": State.FAILED,
        "error": State.FAILED,
        "timeout": State.TIMEOUT,
        "stopped": State.CANCELLED,
    }
)
"""What the simulator's outcomes ought to be taken for. Written down once more here, so that it can disagree."""


@frozen
class Finding:
    """One job: what was found out about it, and what is true.

    Attributes:
        end: How the wait for it ended.
        truth: How the job ended.
    """

    end: End
    truth: Truth

    @property
    def job(self) -> Job[Any]:
        """The job."""
        job: Job[Any] = self.end.outcome.job
        return job

    @property
    def delay(self) -> float:
        """Seconds from the end of the job until we knew of it."""
        return self.end.at - self.truth.finished_at

    def mismatch(self) -> str | None:
        """Return what is wrong with the finding, or None when it is the truth."""
        expected, error = MEANS[self.truth.outcome], self.end.outcome.error
        if error is not None:
            return f"{self.job.key}: {expected} in truth, but the wait ended with: {error}"
        if self.end.state is not expected:
            return f"{self.job.key}: {expected} in truth, but seen as {self.end.state}"
        if expected is State.SUCCESS and not self._has_its_result():
            return f"{self.job.key}: succeeded, but the result is not its own"
        return None

    def _has_its_result(self) -> bool:
        seen, own_id = self.end.outcome.snapshot, ident(self.job)[-1]
        return seen is not None and getattr(seen.value, IDS[self.job.endpoint.name][-1], None) == own_id


def ident(job: Job[Any]) -> tuple[str, ...]:
    """Return the id by which the simulator knows a job."""
    return tuple(getattr(job.ref, name) for name in IDS[job.endpoint.name])


def findings(tally: Tally, truth_of: TruthOf) -> Iterator[Finding]:
    """Yield a finding for every wait that is over, in the order in which they ended."""
    for end in tally.ends:
        job = end.outcome.job
        yield Finding(end, truth_of(job.endpoint.name, ident(job)))
