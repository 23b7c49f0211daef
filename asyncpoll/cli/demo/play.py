"""The demo from curtain to curtain."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from typing import Any

from asyncpoll._endpoint import Job
from asyncpoll._schedule import Exponential
from asyncpoll.cli.demo.report import Report
from asyncpoll.cli.demo.scene import TROUBLES, Scene
from asyncpoll.cli.demo.tally import Tally
from asyncpoll.cli.demo.truth import findings
from asyncpoll.cli.demo.view import follow, plain_view
from asyncpoll.cli.view import View
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.simulator import Simulator, Truth
from asyncpoll.waiting._convenience import as_completed

_KEY = "any"
_PATIENCE = 60.0  # seconds for each job; only a defect makes one take that long

Oracle = Callable[[Simulator, str, tuple[str, ...]], Truth]
"""From the simulator, the name of an endpoint and the id of a job to the truth about it."""


async def play(scene: Scene, *, plain: bool, oracle: Oracle = Simulator.truth) -> Report:
    """Play a scene and report on it.

    Args:
        scene: What is played.
        plain: Show progress as plain lines in any case.
        oracle: Whom to ask for the truth about a job.
    """
    clock = asyncio.get_running_loop().time
    async with (
        scene.simulator() as world,
        BigModel(_KEY, base_url=f"{world.url}/api") as bigmodel,
        Molizhishu(_KEY, base_url=f"{world.url}/api/business/monitor") as molizhishu,
    ):
        began = clock()
        jobs = [job async for job in scene.cast(world, bigmodel, molizhishu)]
        world.faults.extend(TROUBLES)
        tally = Tally.of(jobs)
        with view_of(tally, plain=plain) as view:
            await follow(view, asyncio.create_task(_wait(jobs, tally, scene.pace)))
        found = tuple(findings(tally, partial(oracle, world)))
        return Report(tally, found, bigmodel.requests + molizhishu.requests, world.requests, clock() - began)


def view_of(tally: Tally, *, plain: bool) -> AbstractContextManager[View]:
    """Return the view that suits standard error: rich's, where it is installed and somebody is looking."""
    if plain or not sys.stderr.isatty() or find_spec("rich") is None:
        return plain_view(tally)
    from asyncpoll.cli.demo.live import live_view  # noqa: PLC0415  rich is an extra

    return live_view(tally)


async def _wait(jobs: Sequence[Job[Any]], tally: Tally, pace: float) -> None:
    """Wait for all jobs, and stop one of them on the way."""
    schedule = Exponential(0.2 * pace, 2.0 * pace)
    async with (
        asyncio.TaskGroup() as group,
        as_completed(jobs, timeout=_PATIENCE, schedule=schedule, observe=tally) as outcomes,
    ):
        group.create_task(_stop(next(job for job in jobs if job.can_cancel), 1.2 * pace))
        async for outcome in outcomes:
            tally.end(outcome)


async def _stop(job: Job[Any], delay: float) -> None:
    await asyncio.sleep(delay)
    await job.cancel()
