"""`asyncpoll resume`: the options of the run go on to count, and what cannot be had is said."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from cli_kit import simulator
from run_kit import FAST, SUBTASKS, environment, live, make_ledger, numbers, read_lines, subtask, write_lines

from asyncpoll.cli import main
from asyncpoll.cli._pacing import history_of
from asyncpoll.cli._run_options import Options
from asyncpoll.ledger import Ledger, Reader
from asyncpoll.ledger._lock import Lock
from asyncpoll.ledger._schema import START, digest
from asyncpoll.simulator import Simulator

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def world() -> Iterator[Simulator]:
    """A simulator in which three subtasks succeed at once."""
    with simulator() as running:
        for number in range(1, 4):
            live(running, number)
        yield running


@pytest.fixture(autouse=True)
def surrounded(world: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and addresses in the environment."""
    for name, value in environment(world).items():
        monkeypatch.setenv(name, value)


def resume(ledger: Path, *arguments: str) -> int:
    """Run the verb."""
    return main(["resume", str(ledger), "--plain", *arguments])


def test_a_ledger_that_is_not_there_is_refused(tmp_path: Path, capsys: Output) -> None:
    """A ledger that is not there is refused with 2, and none is made."""
    assert resume(tmp_path / "run.db") == 2
    assert "there is no ledger" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


OPTIONS = Options(complete=True, interval=0.05)


def test_results_go_where_they_went(tmp_path: Path, world: Simulator) -> None:
    """Results go where the run had them go; what has ended is not asked about again."""
    output, before = tmp_path / "out.jsonl", world.requests
    options = evolve(OPTIONS, output=str(output)).plain()
    path = make_ledger(tmp_path / "run.db", "failed", None, None, options=options)
    assert resume(path) == 1
    assert numbers(output) == ["1", "2", "3"]
    assert {line["ref"]["sub_task_id"]: line["state"] for line in read_lines(output)}["1"] == "failed"
    assert world.requests - before == 2


def test_a_finished_run_asks_nothing(tmp_path: Path, world: Simulator, capsys: Output) -> None:
    """A run that has come to its end says so again, and asks nobody."""
    before = world.requests
    assert resume(make_ledger(tmp_path / "run.db", "success", options=OPTIONS.plain())) == 0
    assert "1 of 1 ended: 1 success" in capsys.readouterr().err
    assert world.requests == before


def test_options_that_are_given_count_from_now_on(tmp_path: Path) -> None:
    """Options that are given count from now on."""
    path = make_ledger(tmp_path / "run.db", "success", options=evolve(OPTIONS, rate=3.0).plain())
    assert resume(path, "--concurrency", "7", "--timeout", "none") == 0
    with Reader(path) as reader:
        kept = Options.kept(reader.options)
    assert (kept.concurrency, kept.timeout, kept.rate) == (7, None, 3.0)


def test_the_rest_of_the_input_is_read(tmp_path: Path) -> None:
    """Input that had not been read to its end is read again, and then never more."""
    jobs = write_lines(tmp_path / "jobs", *map(subtask, (1, 2, 3)))
    options = evolve(OPTIONS, complete=False, input=str(jobs), output=str(tmp_path / "out.jsonl"))
    path = make_ledger(tmp_path / "run.db", None, options=options.plain())
    assert resume(path) == 0
    assert numbers(tmp_path / "out.jsonl") == ["1", "2", "3"]
    write_lines(jobs, "nonsense")
    assert resume(path) == 0


def test_an_input_that_is_gone_is_named(tmp_path: Path, capsys: Output) -> None:
    """Input that is not there any more is named, and the jobs that the ledger has are waited for."""
    options = evolve(OPTIONS, complete=False, input=str(tmp_path / "jobs"))
    assert resume(make_ledger(tmp_path / "run.db", None, options=options.plain())) == 0
    assert f"{tmp_path}/jobs had not been read to its end, and cannot be read again now" in capsys.readouterr().err


def test_a_run_of_the_library_can_go_on(tmp_path: Path) -> None:
    """A run that the library began can go on here, too, without a results file."""
    assert resume(make_ledger(tmp_path / "run.db", None), *FAST) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run.db"]


def test_the_ages_of_jobs_are_known_when_a_run_goes_on(tmp_path: Path) -> None:
    """Also after the clock was set back since their submit."""
    path = make_ledger(tmp_path / "run.db", None, None)
    with closing(sqlite3.connect(path)) as connection, connection:
        for row in ((1, 1_700_000_000.0, None), (2, 4e9, None)):
            connection.execute("INSERT INTO submit VALUES (?, ?, ?, ?)", (*row, digest(START, *row)))
    assert resume(path, *FAST) == 0


def test_what_predicts_is_known_when_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned is learned under the key of the run that began; a job without it has the plain key."""
    path = make_ledger(tmp_path / "run.db", None, None, options=Options(complete=True).plain())
    row = 1, None, "mode=search"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO submit VALUES (?, ?, ?, ?)", (*row, digest(START, *row)))
    with simulator() as fresh:
        for name, value in environment(fresh).items():
            monkeypatch.setenv(name, value)
        for number in (1, 2):
            live(fresh, number, processing=0.5)
        assert resume(path) == 0
    with Reader(path) as reader:
        tracks = history_of(reader.options).tracks
    assert {key for key, _ in tracks} == {f"{SUBTASKS}:mode=search", SUBTASKS}


def test_all_results_can_go_to_another_file(tmp_path: Path, capsys: Output) -> None:
    """All results can go to another file, for instance when the first one is lost; it is the one from then on."""
    lost, other = tmp_path / "lost.jsonl", tmp_path / "other.csv"
    path = make_ledger(tmp_path / "run.db", "success", None, options=evolve(OPTIONS, output=str(lost)).plain())
    assert resume(path) == 0
    lost.unlink()
    assert resume(path) == 6
    assert f"{lost} cannot be used: No such file" in capsys.readouterr().err
    assert resume(path, "-o", str(other)) == 0
    assert len(other.read_text().splitlines()) == 3
    assert resume(path, "-o", str(other)) == 0
    assert len(other.read_text().splitlines()) == 3
    with Reader(path) as reader:
        kept = Options.kept(reader.options)
    assert (kept.output, kept.format) == (str(other), "csv")


@pytest.mark.parametrize("name", ["run.db", "full", "nowhere/out"])
def test_another_file_must_be_new(name: str, tmp_path: Path) -> None:
    """Another file for the results must be new, and not the ledger."""
    (tmp_path / "full").write_text("something")
    path = make_ledger(tmp_path / "run.db", "success", options=OPTIONS.plain())
    assert resume(path, "-o", str(tmp_path / name)) == 2
    assert (tmp_path / "full").read_text() == "something"


def test_a_copy_without_its_log_is_not_a_finished_run(tmp_path: Path, capsys: Output) -> None:
    """A copy made during a run that holds nothing, for want of the log, does not pass for a run that is over."""

    async def copy() -> None:
        async with Ledger(tmp_path / "run.db") as ledger:
            await ledger.keep(OPTIONS.plain())
            shutil.copy(ledger.path, tmp_path / "copy.db")

    asyncio.run(copy())
    assert resume(tmp_path / "copy.db") == 6
    assert "--accept-loss" in capsys.readouterr().err
    assert resume(tmp_path / "copy.db", "--accept-loss") == 2
    assert "copy.db does not hold a run" in capsys.readouterr().err
    assert main(["status", str(tmp_path / "copy.db")]) == 0
    assert "NOT complete: " in capsys.readouterr().out


def test_a_ledger_in_use_is_refused(tmp_path: Path, capsys: Output) -> None:
    """While another process is at a ledger, it is refused with 6."""
    path = make_ledger(tmp_path / "run.db", None)
    lock = Lock(path)
    lock.take()
    try:
        assert resume(path) == 6
    finally:
        lock.release()
    assert "is in use by process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("retry", "asked"), [("failed", "2"), ("rejected", "3"), ("unfinished", "4"), ("rejected,unfinished,failed", "234")]
)
def test_jobs_that_ended_badly_can_be_retried(retry: str, asked: str, tmp_path: Path, capsys: Output) -> None:
    """Those that ended in one of the ways named are waited for again; a job that succeeded never is."""
    output = tmp_path / "out.jsonl"
    options = evolve(OPTIONS, output=str(output)).plain()
    path = make_ledger(tmp_path / "run.db", "success", "failed", "Rejected", "WaitTimeout", options=options)
    with simulator() as world, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(world).items():
            patch.setenv(name, value)
        for number in range(1, 5):
            live(world, number)
        assert resume(path, "--retry", retry) == (0 if len(asked) == 3 else 1)
        assert world.requests == len(asked)
    assert f"{len(asked)} job{'' if len(asked) == 1 else 's'} to wait for again" in capsys.readouterr().err
    again = {line["ref"]["sub_task_id"] for line in read_lines(output) if line.get("attempt") == 2}
    assert again == set(asked)


def test_an_unknown_ending_cannot_be_retried(tmp_path: Path, capsys: Output) -> None:
    """Those that there are, are named."""
    assert resume(tmp_path / "run.db", "--retry", "lost") == 2
    assert "'lost' is not one of rejected, unfinished, failed" in capsys.readouterr().err
