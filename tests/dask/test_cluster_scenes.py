"""Runs of 20,000 jobs on four worker processes, of which any may die: every outcome is compared with the server's."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from cluster_world import KEY, Scene, children, ip, kill, namespace

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

JOBS, RATE = 20_000, 1200.0
CUT = 10.0  # seconds


def told(place: Path, name: str, seen: dict[str, float], began: float) -> None:
    """Write the figures of a scene where they can be read afterwards."""
    line = f"{name}: {seen['polls']:,} polls, busiest second {seen['most']:,}, {time.monotonic() - began:.0f} s"
    print(line)  # noqa: T201  shown with -s


def ended(run: subprocess.Popen[str], status: int = 1) -> str:
    """Wait for the end of a run in which some jobs failed; return what it has said."""
    _, err = run.communicate()
    assert run.returncode == status, err
    return err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What the server has seen of a run to which nothing happens."""
    began = time.monotonic()
    with Scene(tmp_path_factory.mktemp("scene"), JOBS, RATE) as scene:
        scene.cluster()
        ended(scene.run())
        seen = scene.seen()
    told(scene.place, "nothing", seen, began)
    return seen


def test_nothing_happens(undisturbed: dict[str, float]) -> None:
    """Two polls a job are enough, and the rate holds as well as the load of the machine lets it."""
    assert undisturbed["polls"] <= 2.1 * JOBS
    assert undisturbed["most"] <= 1.3 * RATE


def test_the_rate_holds_with_processors_to_spare(tmp_path: Path) -> None:
    """No second has more than 1.05 times the rate."""
    began = time.monotonic()
    with Scene(tmp_path, 6000, 200.0) as scene:
        scene.cluster()
        ended(scene.run())
        seen = scene.seen()
    told(tmp_path, "to spare", seen, began)
    assert seen["most"] <= 1.05 * scene.rate


def test_a_worker_is_killed(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    """Its nanny starts another one; only jobs that were not done are asked about again."""
    began = time.monotonic()
    with Scene(tmp_path, JOBS, RATE) as scene:
        scene.cluster()
        run = scene.run()
        scene.come(0.4)
        kill(scene.worker())
        ended(run)
        seen = scene.seen()
    told(tmp_path, "worker killed", seen, began)
    assert seen["polls"] <= 1.10 * undisturbed["polls"]


def test_a_nanny_is_killed(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    """Its worker ends, too, and the other three do the rest."""
    began = time.monotonic()
    with Scene(tmp_path, JOBS, RATE) as scene:
        scene.cluster()
        run = scene.run()
        scene.come(0.4)
        kill(scene.nannies[0].pid)
        ended(run)
        seen = scene.seen()
    told(tmp_path, "nanny killed", seen, began)
    assert seen["polls"] <= 1.10 * undisturbed["polls"]


def test_the_client_is_killed(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    """The workers are quiet soon; the run is resumed."""
    began = time.monotonic()
    with Scene(tmp_path, JOBS, RATE) as scene:
        scene.cluster()
        run = scene.run()
        scene.come(0.4)
        kill(run.pid)
        run.communicate()
        time.sleep(CUT)
        ended(scene.run("resume", "out.ledger", "--plain"))
        seen = scene.seen()
    told(tmp_path, "client killed", seen, began)
    assert seen["polls"] <= 1.25 * undisturbed["polls"]


def test_without_a_client_workers_are_quiet(tmp_path: Path) -> None:
    """Two seconds after it has vanished no poll comes any more."""
    with Scene(tmp_path, 2000, 200.0) as scene:
        scene.cluster()
        run = scene.run()
        scene.come(0.2)
        kill(run.pid)
        killed = time.monotonic()
        run.communicate()
        time.sleep(CUT)
        last = scene.report()["last"]
    print(f"client killed: the last poll came {last - killed:.1f} s later")  # noqa: T201  shown with -s
    assert last - killed < 2


def test_the_scheduler_is_killed(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    """The run ends with one line that says so; it is resumed on another cluster."""
    began = time.monotonic()
    with Scene(tmp_path, JOBS, RATE) as scene:
        scene.cluster()
        run = scene.run()
        scene.come(0.4)
        kill(scene.scheduler.pid)
        assert "the connection to the scheduler" in ended(run, 6)
        scene.cluster()
        ended(scene.run("resume", "out.ledger", "--plain"))
        seen = scene.seen()
    told(tmp_path, "scheduler killed", seen, began)
    assert seen["polls"] <= 1.25 * undisturbed["polls"]


def test_a_worker_is_stopped(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    """For ten seconds; its share goes to the others, and it starts no burst when it goes on."""
    began = time.monotonic()
    with Scene(tmp_path, JOBS, RATE) as scene:
        scene.cluster()
        run = scene.run()
        scene.come(0.4)
        worker = scene.worker()
        kill(worker, by=signal.SIGSTOP)
        time.sleep(CUT)
        kill(worker, by=signal.SIGCONT)
        ended(run)
        seen = scene.seen()
    told(tmp_path, "worker stopped", seen, began)
    assert seen["polls"] <= 1.10 * undisturbed["polls"]
    assert seen["most"] <= 1.3 * RATE


def test_the_network_is_cut(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    """For ten seconds, between one worker and everything else."""
    began, name = time.monotonic(), "apcut"
    try:
        with namespace(name, "10.213.7.1", "10.213.7.2") as inside:
            cut(tmp_path, inside, name, began)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"there are no network namespaces for this test: {error}")


def cut(place: Path, inside: tuple[str, ...], name: str, began: float) -> None:
    """Do the scene in a namespace that is there."""
    with Scene(place, JOBS, RATE, "10.213.7.1") as scene:
        scene.cluster(inside=inside)
        run = scene.run()
        scene.come(0.4)
        ip("link", "set", name, "down")
        time.sleep(CUT)
        ip("link", "set", name, "up")
        ended(run)
        seen = scene.seen()
    told(place, "network cut", seen, began)
    assert seen["most"] <= 1.3 * RATE


def test_no_key_reaches_the_scheduler(tmp_path: Path) -> None:
    """What the workers have in their environment is found neither in its memory nor in any log."""
    with Scene(tmp_path, 500, 300.0) as scene:
        scene.cluster(2)
        run = scene.run()
        scene.come(0.5)
        assert holds(scene.worker(), KEY)  # so that the search is known to find it
        assert not any(holds(pid, KEY) for pid in (scene.scheduler.pid, *children(scene.scheduler.pid), run.pid))
        ended(run)
        scene.seen()
    assert KEY not in (tmp_path / "log").read_text()
    assert KEY.encode() not in (tmp_path / "out.ledger").read_bytes()


def holds(pid: int, text: str) -> bool:
    """Return whether the memory of a process has a text in it."""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            if not line.split()[1].startswith("r") or "[v" in line:
                continue
            memory.seek(first)
            try:
                if text.encode() in memory.read(last - first):
                    return True
            except OSError:
                continue
    return False
