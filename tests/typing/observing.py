"""What type checkers see of `asyncpoll.telemetry` and `asyncpoll.progress`; mypy and pyright read it, nothing runs it.

A line with `type: ignore` must fail: an ignore that is not needed is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from asyncpoll import Hub, Job
from asyncpoll.progress import Position, Watched, progress
from asyncpoll.telemetry import Logging, OpenTelemetry, PrometheusCollector, mark


async def observers(job: Job[str]) -> None:
    """Each is an observer, of a hub or of one wait."""
    traces, metrics = OpenTelemetry(), PrometheusCollector()
    async with Hub(observe=[traces, metrics, Logging(level=20)]) as hub:
        traces.watch(hub)
        metrics.watch(hub)
        assert_type(mark(job), Job[str])
        await job.result(timeout=1, observe=traces)
    Hub(observe=OpenTelemetry)  # type: ignore[arg-type]  # the class
    traces.watch(job)  # type: ignore[arg-type]  # not a hub


async def views(hub: Hub, job: Job[str]) -> None:
    """A hub and a run can be shown."""
    run = hub.as_completed([job], timeout=1)
    watched: Watched = run
    async with progress(hub), progress(watched), progress(run, view="plain") as look:
        assert_type(look, Callable[[], Position])
    progress(job)  # type: ignore[arg-type]  # neither
    progress(hub, view="curses")  # type: ignore[arg-type]  # no such view
