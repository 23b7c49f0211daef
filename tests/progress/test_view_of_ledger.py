"""A durable run is shown with the jobs that ended in earlier processes."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from telemetry_kit import FAILED, PENDING, SUCCESS, job_of

from asyncpoll import Fixed, Hub, Job
from asyncpoll.ledger import Ledger
from asyncpoll.progress import Position, progress


def jobs_of(*refs: str) -> list[Job[Any]]:
    """Return jobs, of which the first one fails."""
    return [job_of(PENDING, FAILED if ref == refs[0] else SUCCESS, ref=ref) for ref in refs]


async def run(path: Path, jobs: Iterable[Job[Any]]) -> list[Position]:
    """Run the jobs that have no outcome yet; return the position at the beginning, and after each outcome."""
    async with (
        Ledger(path) as ledger,
        Hub(schedule=Fixed(0.01)) as hub,
        hub.run(jobs, ledger=ledger, timeout=30.0) as items,
        progress(items, file=io.StringIO()) as look,
    ):
        return [look(), *[look() async for _ in items]]


@pytest.mark.parametrize("sized", [True, False])
async def test_earlier_outcomes_are_counted(tmp_path: Path, sized: bool) -> None:  # noqa: FBT001  the two cases
    """The next process goes on with the figures of the one before."""
    ledger = tmp_path / "run.ledger"
    await run(ledger, jobs_of("1", "2"))
    jobs = jobs_of("1", "2", "3", "4")
    first, *_, last = await run(ledger, jobs if sized else iter(jobs))
    assert first.total == (4 if sized else None)
    assert (first.done, first.outcomes) == (2, {"failed": 1, "success": 1})
    assert (last.total, last.done, last.outcomes) == (4, 4, {"failed": 1, "success": 3})
    assert last.polls == 4
