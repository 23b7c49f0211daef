"""`asyncpoll simulate`: the simulated APIs as a process, which another process can ask."""

from __future__ import annotations

import json
import os
import signal
import socket
from datetime import datetime
from pathlib import Path

import pytest
from cli_kit import process, simulating
from server_kit import PATIENCE

from asyncpoll.cli import main

Output = pytest.CaptureFixture[str]


def test_another_process_can_wait() -> None:
    """What `simulate` prints is what `wait` needs: two processes over real HTTP."""
    with (
        simulating("--durations", "instant", "--seed", "7") as (_, environment),
        process(
            "wait", "molizhishu.tasks", "task_id=x", "--timeout", "20", env={**os.environ, **environment}
        ) as waiting,
    ):
        out, _ = waiting.communicate(timeout=PATIENCE)
    line = json.loads(out)
    assert line["state"] in {"success", "failed", "cancelled"}
    assert waiting.returncode == {"success": 0, "failed": 1, "cancelled": 5}[line["state"]]
    assert line["ref"] == {"task_id": "x"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it with 0 and without a traceback."""
    with simulating() as (child, environment):
        child.send_signal(number)
        _, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, err) == (0, "the simulator is running; Ctrl-C ends it\n")
    assert set(environment) == {"BIGMODEL_BASE_URL", "BIGMODEL_API_KEY", "MOLIZHISHU_BASE_URL", "MOLIZHISHU_TOKEN"}


def test_a_port_in_use_is_refused(capsys: Output) -> None:
    """A port that is taken is one line and status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["simulate", "--port", str(taken.getsockname()[1])]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "in use" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104  it must be refused
def test_other_machines_are_kept_out(host: str, capsys: Output) -> None:
    """A host that other machines could reach is refused unless that is wanted."""
    assert main(["simulate", "--host", host]) == 2
    assert "--expose" in capsys.readouterr().err


@pytest.mark.parametrize(("host", "more"), [("localhost", ()), ("127.0.0.1", ()), ("0.0.0.0", ("--expose",))])  # noqa: S104  it is wanted
def test_a_loopback_host_is_allowed(host: str, more: tuple[str, ...], capsys: Output) -> None:
    """Loopback needs no permission, anything else the one that `--expose` gives."""
    with socket.create_server((host, 0)) as taken:  # so that it ends at once, but not for the host
        assert main(["simulate", "--host", host, "--port", str(taken.getsockname()[1]), *more]) == 2
    assert "in use" in capsys.readouterr().err


def test_each_request_is_in_the_log(tmp_path: Path) -> None:
    """At once, so that it is there when the simulator is killed; the key is not in it."""
    log = tmp_path / "requests.log"
    with simulating("--durations", "instant", "--log", str(log)) as (_, environment):
        secret = {"MOLIZHISHU_TOKEN": "canary"}
        with process("wait", "molizhishu.tasks", "task_id=x y", env={**os.environ, **environment, **secret}) as waiting:
            waiting.communicate(timeout=PATIENCE)
        first = log.read_text().splitlines()[0]
    time, rest = first.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo is not None
    assert rest == "GET /api/business/monitor/task/status/x%20y 200 molizhishu.tasks x%20y"
    assert "canary" not in log.read_text()
