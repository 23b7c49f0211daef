"""What the tests of durable runs from the command line share: lines that name jobs, and lives for these."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cli_kit import KEY
from server_kit import PATIENCE

from asyncpoll._state import State
from asyncpoll.ledger import Ledger, OutcomeInput
from asyncpoll.simulator import Life, Simulator

SUBTASKS = "molizhishu.subtasks"
FAST = ("--interval", "0.05", "--plain")


def environment(world: Simulator) -> dict[str, str]:
    """Return keys and addresses as a user would set them."""
    return {
        "BIGMODEL_API_KEY": KEY,
        "BIGMODEL_BASE_URL": f"{world.url}/api",
        "MOLIZHISHU_TOKEN": KEY,
        "MOLIZHISHU_BASE_URL": f"{world.url}/api/business/monitor",
    }


def surroundings(world: Simulator) -> dict[str, Any]:
    """Return the same for a child process."""
    return {"env": {**os.environ, **environment(world)}}


def subtask(number: object) -> dict[str, Any]:
    """Return what a line says that names a job; each is alone in its task, so that it is asked about on its own."""
    return {"endpoint": SUBTASKS, "ref": {"task_id": f"t{number}", "sub_task_id": str(number)}}


def write_lines(path: Path, *lines: Any) -> Path:
    """Write a file of JSON lines; text is written as it is."""
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return what the complete lines of a file say."""
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def numbers(path: Path) -> list[str]:
    """Return which subtasks a file of results has, in order of their numbers."""
    return sorted((line["ref"]["sub_task_id"] for line in read_lines(path)), key=lambda number: (len(number), number))


def live(world: Simulator, number: object, outcome: str = "completed", **life: float) -> None:
    """Give a subtask its life."""
    world.script(SUBTASKS, (f"t{number}", str(number)), Life(outcome=outcome, **life))


def until(come: Callable[[], object], *, every: float = 0.01) -> None:
    """Wait until something has come, and look every so many seconds."""
    give_up_at = time.monotonic() + PATIENCE
    while not come():
        assert time.monotonic() < give_up_at, "it never came"
        time.sleep(every)


def make_ledger(path: Path, *endings: str | None, options: Mapping[str, Any] = MappingProxyType({})) -> Path:
    """Make a ledger of subtasks, from number 1: ended in a state, with the name of an error, or for None not yet."""

    async def make() -> None:
        async with Ledger(path) as ledger:
            await ledger.keep(options)
            lines = [subtask(number) for number, _ in enumerate(endings, 1)]
            await ledger.enter([(f"{SUBTASKS}:{key_of(line['ref'])}", SUBTASKS, line["ref"]) for line in lines])
            await asyncio.gather(
                *(ledger.record(ending(number, word)) for number, word in enumerate(endings, 1) if word is not None)
            )

    asyncio.run(make())
    return path


def ending(number: int, word: str) -> OutcomeInput:
    """Return an ending of a job, in a state or with the name of an error."""
    value = {"text": "=é\u202e\n", "link": "https://a.example/?sig=canary"}
    if word in list(State):
        return OutcomeInput(number=number, state=word, value=value, waited=1.5)
    return OutcomeInput(number=number, state="unknown", error=word, waited=1.5)


def key_of(ref: Any) -> str:
    """Return a reference as it is in a key."""
    return json.dumps(ref, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
