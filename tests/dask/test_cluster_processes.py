"""A cluster of processes, and the option `--dask` of the command line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from cli_kit import process, simulator
from dask_kit import KEY, cluster, refs, run_of, states_in, truth_of, until, world
from run_kit import FAST, SUBTASKS, environment, live, numbers, subtask, write_lines
from run_kit import until as until_come
from server_kit import PATIENCE

from asyncpoll.cli import main
from asyncpoll.dask import connected
from asyncpoll.dask._connect import IgnoreInterrupts
from asyncpoll.ledger import Ledger
from asyncpoll.simulator import Simulator, Uniform


def dumped(place: Path) -> bytes:
    """Return the state of a cluster as it was dumped."""
    return b"".join(file.read_bytes() for file in place.iterdir())


@pytest.mark.no_cover  # what a killed process was writing cannot be read
async def test_a_worker_that_is_killed_loses_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its jobs are asked about by another process; the key of the workers is in nothing that the scheduler knows."""
    async with world(monkeypatch, processing=Uniform(0.0, 2.0)) as simulator, connected("local:2") as client:
        monkeypatch.delenv("BIGMODEL_API_KEY")
        async with Ledger(path) as ledger, run_of(refs(400), client, ledger) as run:
            await until(lambda: ledger.counts.outcomes > 20)
            os.kill(next(iter((await client.run(os.getpid)).values())), signal.SIGKILL)
            records = [record async for record in run]
            await client.dump_cluster_state(str(tmp_path / "state"), format="yaml")
        assert len(records) == ledger.counts.entries == 400
        assert ledger.counts.anomalies == 0
        assert states_in(path) == truth_of(simulator, states_in(path))
    state = dumped(tmp_path)
    assert b"asyncpoll-shard" in state
    assert KEY.encode() not in state


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:1", "local:0", "nowhere"])
async def test_a_place_without_a_cluster_is_refused(where: str) -> None:
    """One line says what is wrong."""
    with pytest.raises((OSError, ValueError), match=f"{where}.*scheduler|scheduler.*{where}"):
        async with connected(where, patience=0.2):
            pass


async def test_a_cluster_that_is_there_is_used() -> None:
    """Its address is enough; it does not end with the block."""
    async with cluster() as client, connected(str(client.scheduler_info()["address"])) as other:
        assert await other.submit(sum, (1, 2)) == 3


async def test_interrupts_are_ignored_in_main_threads_only() -> None:
    """Another thread cannot; it belongs to a process that has its own way with them."""
    before = signal.getsignal(signal.SIGINT)
    await asyncio.to_thread(IgnoreInterrupts().setup, None)
    assert signal.getsignal(signal.SIGINT) is before


# the command line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """An empty current directory, and a server whose address and key are in the environment."""
    monkeypatch.chdir(tmp_path)
    with simulator() as server:
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        yield server


def test_a_file_of_jobs_is_polled_on_a_cluster(place: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """The results, the ledger and the exit status are as without a cluster; a bad line is one."""
    for number in range(5):
        live(place, number)
    write_lines(Path("jobs"), *map(subtask, range(5)), "{")
    assert main(["run", "jobs", "--dask", "local:1", "-o", "out", *FAST]) == 1
    assert numbers(Path("out")) == ["0", "1", "2", "3", "4"]
    assert "5 of 5 ended: 5 success" in capsys.readouterr().err
    assert main(["status", "out.ledger"]) == 0


def test_an_interrupted_run_on_a_cluster_is_resumed(place: Simulator) -> None:
    """The first Ctrl-C saves what is known, though it reaches the workers, too; `resume` asks about the rest only."""
    live(place, 1)
    live(place, 2, processing=600.0)
    write_lines(Path("jobs"), subtask(1), subtask(2))
    with process("run", "jobs", "--dask", "local:1", "-o", "out", *FAST, start_new_session=True) as child:
        until_come(lambda: place.counts[SUBTASKS] > 5 and numbers(Path("out")) == ["1"])
        os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert "go on with: asyncpoll resume out.ledger" in err
    assert "Traceback" not in err
    live(place, 2)
    assert main(["resume", "out.ledger", "--dask", "local:1", "--plain"]) == 0
    assert numbers(Path("out")) == ["1", "2"]


def test_without_dask_its_extra_is_named(
    place: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line; nothing is made."""
    for name in [name for name in sys.modules if name.startswith("asyncpoll.dask")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    write_lines(Path("jobs"), subtask(1))
    assert main(["run", "jobs", "--dask", "local:1", "-o", "out"]) == 2
    assert capsys.readouterr().err == "asyncpoll: --dask needs distributed: pip install 'asyncpoll[dask]'\n"
    assert [*map(str, Path().iterdir())] == ["jobs"]
