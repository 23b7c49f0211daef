"""How a durable run ends before its jobs do, and that nothing is lost then: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from cli_kit import PATIENCE, process, simulator
from ledger_kit import Faults
from run_kit import FAST, SUBTASKS, environment, live, numbers, read_lines, subtask, surroundings, until, write_lines

from asyncpoll.cli import main
from asyncpoll.cli.run import driving
from asyncpoll.ledger import Ledger, LedgerSettings, Reader
from asyncpoll.simulator import Fault, Latency, Simulator

Output = pytest.CaptureFixture[str]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator in which one subtask succeeds at once and another never ends."""
    with simulator() as running:
        live(running, 1)
        live(running, "slow", processing=600.0)
        for name, value in environment(running).items():
            monkeypatch.setenv(name, value)
        yield running


@contextmanager
def running(
    world: Simulator, jobs: Path | str, output: Path, **options: int
) -> Generator[subprocess.Popen[str], None, None]:
    """Run the verb in a process of its own, which is gone at the end."""
    arguments = ("run", str(jobs), "-o", str(output), *FAST)
    with process(*arguments, **surroundings(world), **options) as child:
        try:
            yield child
        finally:
            child.kill()  # does nothing to one that has ended


def resume(output: Path, *arguments: str) -> int:
    """Go on with the run that has this output."""
    return main(["resume", f"{output}.ledger", *FAST, *arguments])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal(number: signal.Signals, world: Simulator, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end the run with 130 and in good order: what came is in the results, the rest can go on."""
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: output.exists() and read_lines(output))
        child.send_signal(number)
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out) == (130, "")
    assert "polls in flight and saving; Ctrl-C again stops at once" in err
    assert err.endswith(f"asyncpoll: go on with: asyncpoll resume {output}.ledger\n")
    assert numbers(output) == ["1"]
    live(world, "slow")
    assert resume(output) == 0
    assert numbers(output) == ["1", "slow"]


def test_polls_in_flight(world: Simulator, tmp_path: Path) -> None:
    """The polls in flight at a Ctrl-C come to their ends, and what they saw is recorded."""
    world.faults.append(Fault(Latency(1.0), "t1"))
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: world.counts[SUBTASKS] > 2)  # the slow one has been asked about again
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert numbers(output) == ["1"]


def test_two_signals(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """A second Ctrl-C does not wait for the polls in flight; the ledger is sound all the same."""
    world.faults.append(Fault(Latency(15.0), "t1"))
    jobs, output = write_lines(tmp_path / "jobs", subtask(1)), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: world.counts[SUBTASKS])
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        assert "finishing 1 polls in flight" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert err.endswith("asyncpoll: interrupted\n")
    assert main(["status", f"{output}.ledger"]) == 0
    assert "0 of 1 jobs have ended; no process is at it" in capsys.readouterr().out


def test_killed(world: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed loses nothing that was recorded, and doubles nothing in the results."""
    for number in range(2, 60):
        live(world, number, processing=number * 0.03)
    jobs, output = write_lines(tmp_path / "jobs", *map(subtask, range(1, 60))), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: output.exists() and read_lines(output))
        child.kill()
        child.wait(PATIENCE)
    with Reader(f"{output}.ledger") as reader:
        recorded = {record.key for record in reader.records()}
    assert 0 < len(recorded) < 59
    with simulator() as other:
        monkeypatch.setenv("MOLIZHISHU_BASE_URL", environment(other)["MOLIZHISHU_BASE_URL"])
        for number in range(1, 60):
            live(other, number)
        assert resume(output) == 0
        assert other.counts[SUBTASKS] == 59 - len(recorded)  # nobody was asked about what was recorded
    assert numbers(output) == [str(number) for number in range(1, 60)]
    with Reader(f"{output}.ledger") as reader:
        assert list(reader.check()) == []


def test_killed_while_reading(world: Simulator, tmp_path: Path) -> None:
    """When the input had not been read to its end, it is read again."""
    lines = [subtask("slow"), *map(subtask, range(2, 6))]
    for number in range(2, 6):
        live(world, number)
    output = tmp_path / "out.jsonl"
    write_lines(tmp_path / "all", *lines)
    jobs = tmp_path / "jobs"
    with subprocess.Popen(["mkfifo", jobs]) as made:  # noqa: S607  whichever it is
        made.wait(PATIENCE)
    with running(world, jobs, output) as child, jobs.open("w") as pipe:
        pipe.write("".join(f"{json.dumps(line)}\n" for line in lines[:3]))
        pipe.flush()
        until(lambda: output.exists() and len(read_lines(output)) == 2)
        child.kill()
        child.wait(PATIENCE)
    jobs.unlink()
    (tmp_path / "all").rename(jobs)
    live(world, "slow")
    assert resume(output) == 0
    assert numbers(output) == ["2", "3", "4", "5", "slow"]


def test_idle_input(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """A pipe that says nothing does not hold up a Ctrl-C; that its end was not read is said when the run goes on."""
    output = tmp_path / "out.jsonl"
    with running(world, "-", output, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(f"{json.dumps(subtask('slow'))}\n")
        child.stdin.flush()
        until(lambda: world.counts[SUBTASKS])
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130
    live(world, "slow")
    assert resume(output) == 0
    assert "standard input had not been read to its end, and cannot be read again now" in capsys.readouterr().err
    assert numbers(output) == ["slow"]


def test_stopped_while_the_disk_is_full(
    world: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    """A run that is asked to end does not wait for room on the disk; it says what is wrong, and can go on."""
    faults = Faults(code=sqlite3.SQLITE_FULL)
    monkeypatch.setattr(driving, "Ledger", partial(Ledger, settings=LedgerSettings(connect=faults.connect)))
    for where in (
        f"{driving.__name__}._SAVING",
        "asyncpoll.ledger._run._GRACE",
        "asyncpoll.ledger._journal.COMMIT_GRACE",
    ):
        monkeypatch.setattr(where, 0.1)

    def stop() -> None:
        until(lambda: world.counts[SUBTASKS] > 1)
        faults.at, faults.lasting = faults.statements + 1, True
        os.kill(os.getpid(), signal.SIGINT)

    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with ThreadPoolExecutor() as beside:
        stopping = beside.submit(stop)
        assert main(["run", str(jobs), "-o", str(output), *FAST]) == 6
        stopping.result()
    err = capsys.readouterr().err
    assert "Ctrl-C again stops at once" in err
    assert err.endswith("cannot be used: there is no space left; free some\n")
    monkeypatch.undo()
    for name, value in environment(world).items():
        monkeypatch.setenv(name, value)
    live(world, "slow")
    assert resume(output) == 0
    assert numbers(output) == ["1", "slow"]


def test_server_that_dies(tmp_path: Path) -> None:
    """A server that is away for a while costs misses, not jobs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with ExitStack() as first:
        world = first.enter_context(simulator(port=port))
        live(world, 1)
        live(world, "slow", processing=600.0)
        with running(world, jobs, output) as child:
            until(lambda: output.exists() and read_lines(output))
            first.close()
            with simulator(port=port) as other:
                live(other, "slow")
                _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, err
    assert numbers(output) == ["1", "slow"]
