"""What the demo plays: a simulated world with troubles of its own, and the jobs that are awaited in it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen, validators

from asyncpoll._endpoint import Job
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
    Uniform,
    WrongId,
)

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
"""What goes wrong with the polls, once everything has been submitted."""

JOBS_A_ROUND = 10
_OUTCOMES = ("timeout", "stopped", "failed", "completed", "error")  # of the scripted jobs, one after the other
_AGENT = "vidu_template_agent"
_MESSAGES = ({"role": "user", "content": [{"type": "text", "text": "A short film about a fox."}]},)
_DOCUMENT = ("fox.txt", b"The quick brown fox jumps over the lazy dog.\n")


@frozen
class Scene:
    """How much is played, and how fast.

    Attributes:
        jobs: How many jobs there are at least; they come in rounds of ten.
        seed: Chooses among the worlds.
        pace: What every duration is multiplied by.
    """

    jobs: int = field(default=60, validator=validators.ge(1))
    seed: int = 0
    pace: float = field(default=1.0, validator=validators.gt(0.0))

    def simulator(self) -> Simulator:
        """Return the world, not yet running and not yet in trouble."""
        return Simulator(
            self.seed,
            pending=Uniform(0.2 * self.pace, 1.5 * self.pace),
            processing=Uniform(0.5 * self.pace, 6.0 * self.pace),
            outcomes=_WEIGHTS,
            shapes="observed",
        )

    async def cast(self, world: Simulator, bigmodel: BigModel, molizhishu: Molizhishu) -> AsyncIterator[Job[Any]]:
        """Yield the jobs: some are submitted here, of others only the id is known, as if somebody else had."""
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
