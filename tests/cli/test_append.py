"""Two files of jobs and one output: a run is not mixed with another by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import simulator
from run_kit import FAST, environment, live, make_ledger, numbers, subtask, write_lines

from asyncpoll.cli import main
from asyncpoll.cli._run_options import Options
from asyncpoll.simulator import Simulator

Output = pytest.CaptureFixture[str]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Simulator]:
    """A simulator in which four subtasks succeed at once, and two files of jobs in the current directory."""
    monkeypatch.chdir(tmp_path)
    with simulator() as running:
        for number in range(1, 5):
            live(running, number)
        for name, value in environment(running).items():
            monkeypatch.setenv(name, value)
        write_lines(Path("a"), *map(subtask, (1, 2)))
        write_lines(Path("b"), *map(subtask, (3, 4)))
        yield running


def run(jobs: str, *arguments: str) -> int:
    """Run a file of jobs; the results go to the same file in any case."""
    return main(["run", jobs, "-o", "out.jsonl", *FAST, *arguments])


def test_another_file_of_jobs_is_refused_with_both_cures(world: Simulator, capsys: Output) -> None:
    """Going on with the first, or adding the second; nothing is sent."""
    assert run("a") == 0
    before = world.requests
    capsys.readouterr()
    assert run("b") == 2
    err = capsys.readouterr().err
    assert "out.jsonl.ledger holds the run of " in err
    assert "go on with asyncpoll resume, or pass --append" in err
    assert err.count("\n") == 1
    assert (world.requests, numbers(Path("out.jsonl"))) == (before, ["1", "2"])


def test_append_adds_the_jobs(world: Simulator) -> None:
    """Each job has one result, and the run goes on with both."""
    assert run("a") == 0
    assert run("b", "--append") == 0
    assert numbers(Path("out.jsonl")) == ["1", "2", "3", "4"]
    assert main(["resume", "out.jsonl.ledger", *FAST]) == 0


def test_the_same_file_goes_on(world: Simulator) -> None:
    """Also when lines were added to it, and when it was renamed."""
    assert run("a") == 0
    write_lines(Path("a"), *map(subtask, (1, 2, 3)))
    assert run("./a") == 0
    Path("a").rename("c")
    assert run("c") == 0
    assert numbers(Path("out.jsonl")) == ["1", "2", "3"]


def test_append_waits_until_the_first_file_has_been_read(world: Simulator, capsys: Output) -> None:
    """Else its rest would be forgotten."""
    options = Options(input=str(Path("a").absolute()), output=str(Path("out.jsonl").absolute()))
    make_ledger(Path("out.jsonl.ledger"), None, options=options.plain())
    assert run("b", "--append") == 2
    assert (
        "has not been read to its end; first go on with: asyncpoll resume out.jsonl.ledger" in capsys.readouterr().err
    )
    assert main(["resume", "out.jsonl.ledger", *FAST]) == 0
    assert run("b", "--append") == 0
    assert numbers(Path("out.jsonl")) == ["1", "2", "3", "4"]


def test_append_to_a_new_run_is_a_run(world: Simulator) -> None:
    """So a script may always pass it."""
    assert run("a", "--append") == 0
    assert numbers(Path("out.jsonl")) == ["1", "2"]
