"""How much of the package a run crosses: a reader who follows one line must not get lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import simulator
from run_kit import environment, live, subtask, write_lines
from server_kit import PATIENCE

from asyncpoll.simulator import Constant, Simulator

MOST_FILES = 78
_TRACED = """
import json, sys, threading
from pathlib import Path
import asyncpoll
package = str(Path(asyncpoll.__file__).parent)
seen = set()
def note(frame, event, arg):
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(package) and code.co_flags & 2:  # not a module or a class body
        name = code.co_filename[len(package) + 1:]
        importing, outer = False, frame.f_back
        while outer is not None and not importing:
            importing = outer.f_code.co_filename.startswith("<frozen importlib")
            outer = outer.f_back
        if not importing:
            seen.add(name)
from asyncpoll.cli import main
threading.setprofile(note)
sys.setprofile(note)
status = main(sys.argv[1:])
sys.setprofile(None)
print(json.dumps([status, sorted(seen)]))
"""


@pytest.fixture
def world() -> Iterator[Simulator]:
    """A simulator in which a subtask succeeds at once."""
    with simulator(pending=Constant(0), processing=Constant(0)) as running:
        live(running, 1)
        yield running


def test_a_run_of_one_line_crosses_few_files(world: Simulator, tmp_path: Path) -> None:
    """From the line to its result, functions of at most 78 files are called."""
    jobs = write_lines(tmp_path / "jobs.jsonl", subtask(1))
    done = subprocess.run(
        [sys.executable, "-c", _TRACED, "run", str(jobs), "-o", str(tmp_path / "out.jsonl"), "--plain"],
        env={**os.environ, **environment(world)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    status, files = json.loads(done.stdout)
    assert status == 0
    assert len(files) <= MOST_FILES, "\n".join(files)
