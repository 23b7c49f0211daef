"""`asyncpoll demo`: many jobs over three APIs and real HTTP, awaited at once and checked against the simulator.

A `Scene` starts a simulator and submits jobs to it. Then troubles begin, and all jobs are awaited in one run, while a
`Tally` counts its events. At the end a `Report` (in `_checks`) compares every outcome with that of the simulator.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from attrs import field, frozen, validators

from asyncpoll._endpoint import Job
from asyncpoll._schedule import Exponential
from asyncpoll.cli import Exit
from asyncpoll.cli._demo._checks import Report, Tally, findings
from asyncpoll.cli._output import say
from asyncpoll.cli._progress import View, follow, view_of
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.simulator import (
    Cut,
    Envelope,
    ErrorStatus,
    Fault,
    HtmlPage,
    Life,
    Malformed,
    Reset,
    Rewrite,
    Simulator,
    Truth,
    Uniform,
    WrongId,
)
from asyncpoll.waiting._convenience import as_completed

_WEIGHTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "bigmodel.agents": {"success": 4, "failed": 1},
        "bigmodel.file_parser": {"succeeded": 4, "failed": 1},
        "molizhishu.subtasks": {"completed": 6, "failed": 1, "timeout": 1, "error": 1, "stopped": 1},
    }
)

TROUBLES = (
    Fault(ErrorStatus(429, code="1302", message="rate limit reached", retry_after=1), "bigmodel.agents", nth=20),
    Fault(ErrorStatus(503), "bigmodel.agents", probability=0.05),
    Fault(Rewrite("status", "archived"), "bigmodel.agents", nth=5),
    Fault(WrongId(), "bigmodel.file_parser", nth=7),
    Fault(Malformed(), "bigmodel.file_parser", probability=0.05),
    Fault(Cut(), "bigmodel.file_parser", probability=0.05),
    Fault(Reset(), "molizhishu.subtasks", probability=0.05),
    Fault(Envelope(500), "molizhishu.subtasks", probability=0.05),
    Fault(HtmlPage(), "molizhishu.tasks", nth=4),
)
"""The faults of the polls, once everything has been submitted."""

JOBS_A_ROUND = 10
_OUTCOMES = ("timeout", "stopped", "failed", "completed", "error")  # of the scripted jobs, one after the other
_AGENT = "vidu_template_agent"
_MESSAGES = ({"role": "user", "content": [{"type": "text", "text": "A short film about a fox."}]},)
_DOCUMENT = ("fox.txt", b"The quick brown fox jumps over the lazy dog.\n")
_KEY = "any"
_PATIENCE = 60.0  # seconds for each job; only a defect makes one take that long

Oracle = Callable[[Simulator, str, tuple[str, ...]], Truth]
"""From the simulator, the name of an endpoint and the id of a job to the true outcome of the job."""


@frozen
class Scene:
    """How many jobs are played, and how fast.

    Attributes:
        jobs: How many jobs there are at least; they come in rounds of ten.
        seed: The seed of everything random.
        pace: The factor for every duration.
    """

    jobs: int = field(default=60, validator=validators.ge(1))
    seed: int = 0
    pace: float = field(default=1.0, validator=validators.gt(0.0))

    def simulator(self) -> Simulator:
        """Return the simulator, not running yet and without faults."""
        return Simulator(
            self.seed,
            pending=Uniform(0.2 * self.pace, 1.5 * self.pace),
            processing=Uniform(0.5 * self.pace, 6.0 * self.pace),
            outcomes=_WEIGHTS,
            shapes="observed",
        )

    async def cast(self, world: Simulator, bigmodel: BigModel, molizhishu: Molizhishu) -> AsyncIterator[Job[Any]]:
        """Yield the jobs: some are submitted here, of others only the id is known, as if another program had."""
        for number in range(math.ceil(self.jobs / JOBS_A_ROUND)):
            yield bigmodel.agents.job(async_id=f"run-{number}", agent_id=_AGENT)
            yield await bigmodel.agents.start(agent_id=_AGENT, messages=_MESSAGES)
            yield await bigmodel.agents.start(agent_id=_AGENT, messages=_MESSAGES)
            yield bigmodel.file_parser.job(task_id=f"file-{number}")
            yield await bigmodel.file_parser.start(_DOCUMENT, tool_type="lite")
            yield await bigmodel.file_parser.start(_DOCUMENT, tool_type="lite", format="download_link")
            task = await molizhishu.tasks.start(
                prompts=[f"Which fox is quick? ({number})"], platforms=["kimi", "doubao"]
            )
            yield task
            for subtask in await molizhishu.subtasks.list(task_id=task.ref.task_id):
                yield subtask
            yield self._scripted(number, world, molizhishu)

    def _scripted(self, number: int, world: Simulator, molizhishu: Molizhishu) -> Job[Any]:
        """Return a job whose outcome is chosen, so that even a short demo shows every kind."""
        batch, subtask, outcome = f"batch-{number}", "1", _OUTCOMES[number % len(_OUTCOMES)]
        life = Life(pending=1.0 * self.pace, processing=2.0 * self.pace, outcome=outcome)
        world.script("molizhishu.subtasks", (batch, subtask), life)
        return molizhishu.subtasks.job(task_id=batch, sub_task_id=subtask)


def run(args: argparse.Namespace, oracle: Oracle = Simulator.truth) -> int:
    """Play the demo, and print whether every outcome is the true one, which the oracle knows."""
    logging.getLogger("asyncpoll").addHandler(logging.NullHandler())  # the report has what would be warned about
    return asyncio.run(_show(Scene(args.jobs, args.seed, args.pace), oracle, plain=args.plain))


async def _show(scene: Scene, oracle: Oracle, *, plain: bool) -> Exit:
    report = await _play(scene, oracle, plain=plain)
    for line in report.lines():
        say(line)
    return Exit.FAILED if report.problems() else Exit.SUCCESS


async def _play(scene: Scene, oracle: Oracle, *, plain: bool) -> Report:
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
        with view_of(tally.look, plain=plain, prefix="") as view:
            await _watch(view, asyncio.create_task(_wait(jobs, tally, scene.pace)))
        found = tuple(findings(tally, partial(oracle, world)))
        return Report(tally, found, bigmodel.requests + molizhishu.requests, world.requests, clock() - began)


async def _watch(view: View, run: asyncio.Task[None]) -> None:
    """Draw until the task is done. If this is cancelled, the task is ended first."""
    try:
        view.draw()
        await follow(view, run)
        view.draw()
        await run
    finally:
        run.cancel()  # does nothing to one that is done
        await asyncio.wait({run})


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
