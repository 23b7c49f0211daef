"""What the tests of the command line share: a simulator in a thread, the command line as a process, some jobs."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from server_kit import beside

from asyncpoll._endpoint import Job
from asyncpoll.http import Reply
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.simulator import Simulator
from asyncpoll.testing import MemoryTransport

KEY = "canary-7f3e9c51"
SILENCE = MemoryTransport(lambda request: Reply(500))


@contextmanager
def simulator(**options: Any) -> Generator[Simulator, None, None]:
    """Run a simulator beside the event loop that the command line opens for itself."""
    with beside(lambda: Simulator(**options)) as world:
        yield world


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start `python -m asyncpoll` with these arguments, its output piped to the test."""
    command = [sys.executable, "-m", "asyncpoll", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@contextmanager
def simulating(*arguments: str) -> Generator[tuple[subprocess.Popen[str], dict[str, str]], None, None]:
    """Run `asyncpoll simulate` as a process; give it, and the environment that it tells its users to set."""
    with process("simulate", "--port", "0", *arguments) as child:
        assert child.stdout is not None
        exports = shlex.split(child.stdout.readline() + child.stdout.readline())
        try:
            yield child, dict(word.split("=", 1) for word in exports if word != "export")
        finally:
            child.kill()  # does nothing to one that has ended


def subtask(number: int = 1) -> Job[Any]:
    """Return a job that nobody asks about."""
    return Molizhishu("any", transport=SILENCE).subtasks.job(task_id="t", sub_task_id=str(number))


def agent() -> Job[Any]:
    """Return a job of another endpoint."""
    return BigModel("any", transport=SILENCE).agents.job(async_id="a", agent_id="b")
