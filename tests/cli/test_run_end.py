"""How a durable run ends before its jobs do, and that nothing is lost then: real processes, real signals."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cli_kit import process, simulator
from run_kit import FAST, SUBTASKS, environment, live, numbers, read_lines, subtask, surroundings, until, write_lines
from server_kit import PATIENCE

from asyncpoll.cli import main
from asyncpoll.ledger import Reader
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
def test_one_signal_ends_a_run_in_good_order(number: signal.Signals, world: Simulator, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end the run with 130 and in good order: what came is in the results, the rest can go on."""
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: output.exists() and read_lines(output))
        child.send_signal(number)
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out) == (130, "")
    assert "in flight and saving; Ctrl-C again stops at once" in err
    assert err.endswith(f"asyncpoll: go on with: asyncpoll resume {output}.ledger\n")
    assert numbers(output) == ["1"]
    live(world, "slow")
    assert resume(output) == 0
    assert numbers(output) == ["1", "slow"]


def test_polls_in_flight_come_to_their_ends(world: Simulator, tmp_path: Path) -> None:
    """The polls in flight at a Ctrl-C come to their ends, and what they saw is recorded."""
    world.faults.append(Fault(Latency(1.0), "t1"))
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: world.counts[SUBTASKS] > 2)  # the slow one has been asked about again
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert numbers(output) == ["1"]


def test_a_second_signal_does_not_wait(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """A second Ctrl-C does not wait for the polls in flight; the ledger is sound all the same."""
    world.faults.append(Fault(Latency(15.0), "t1"))
    jobs, output = write_lines(tmp_path / "jobs", subtask(1)), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: world.counts[SUBTASKS])
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        assert "finishing 1 poll in flight" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert err.endswith("asyncpoll: interrupted\n")
    assert main(["status", f"{output}.ledger"]) == 0
    assert "0 of 1 job finished; not running" in capsys.readouterr().out


def test_a_killed_process_loses_and_doubles_nothing(
    world: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_an_unfinished_input_is_read_again(world: Simulator, tmp_path: Path) -> None:
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


def test_a_silent_pipe_does_not_hold_up_ctrl_c(world: Simulator, tmp_path: Path, capsys: Output) -> None:
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


@contextmanager
def full_disk(child: subprocess.Popen[str]) -> Generator[None, None, None]:
    """Let no file of a process grow."""
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        if child.poll() is None:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_full_disk_does_not_hold_up_the_end(world: Simulator, tmp_path: Path) -> None:
    """A run that is asked to end does not wait for room on the disk; it says what is wrong, and can go on."""
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: output.exists() and read_lines(output))
        with full_disk(child):
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 6
    assert "Ctrl-C again stops at once" in err
    assert f"asyncpoll: {output}.ledger cannot be used: " in err
    live(world, "slow")
    assert resume(output) == 0
    assert numbers(output) == ["1", "slow"]


def test_a_full_disk_pauses_the_run(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """The progress says so with the cause; when there is room again the run goes on, and status tells of the pause."""
    world.faults.append(Fault(Latency(0.2), "tslow"))
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: output.exists() and read_lines(output))
        assert child.stderr is not None
        with full_disk(child):
            live(world, "slow")
            while "paused: " not in (line := child.stderr.readline()):
                assert line
            assert "cannot be used" in line
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, err
    assert numbers(output) == ["1", "slow"]
    assert main(["status", f"{output}.ledger"]) == 0
    assert "last session: paused for " in capsys.readouterr().out


def test_a_ledger_without_its_log_is_refused(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """After a kill the log holds the newest outcomes: without it every verb but status wants --accept-loss."""
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: output.exists() and read_lines(output))
        child.kill()
        child.wait(PATIENCE)
    Path(f"{output}.ledger-wal").unlink()
    for verb in (["resume"], ["export"], ["tune"]):
        assert main([*verb, f"{output}.ledger"]) == 6
        assert "--accept-loss" in capsys.readouterr().err
    assert main(["status", f"{output}.ledger"]) == 0
    assert "NOT complete: " in capsys.readouterr().out
    assert main(["status", f"{output}.ledger", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"]


def test_a_run_goes_on_with_what_is_left_of_a_ledger(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """With --accept-loss, which says what is missing; jobs whose outcomes are lost are waited for again."""
    jobs, output = write_lines(tmp_path / "jobs", subtask(1), subtask("slow")), tmp_path / "out.jsonl"
    with running(world, jobs, output) as child:
        until(lambda: output.exists() and read_lines(output))
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=PATIENCE)
    before = world.requests
    with process("resume", f"{output}.ledger", *FAST, **surroundings(world)) as child:
        until(lambda: world.requests > before)
        child.kill()
        child.wait(PATIENCE)
    Path(f"{output}.ledger-wal").unlink()
    live(world, "slow")
    assert resume(output) == 6
    assert "--accept-loss" in capsys.readouterr().err
    assert resume(output, "--accept-loss") == 0
    assert "asyncpoll: warning: " in capsys.readouterr().err
    assert numbers(output) == ["1", "slow"]


def test_a_server_that_is_away_costs_no_job(tmp_path: Path) -> None:
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
