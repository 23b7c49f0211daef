"""`asyncpoll wait`: one job, one line of JSON, one exit status."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_kit import KEY, process, simulator
from server_kit import PATIENCE

from asyncpoll.cli import main
from asyncpoll.simulator import Fault, Life, Rewrite, Simulator

Output = pytest.CaptureFixture[str]

AGENT = ("bigmodel.agents", "agent_id=vidu_template_agent")
SUBTASK = ("molizhishu.subtasks", "task_id=t", "sub_task_id=1")


@pytest.fixture(scope="module")
def world() -> Iterator[Simulator]:
    """A simulator that takes one key only."""
    with simulator(bigmodel_key=KEY, molizhishu_token=KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(world: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and addresses as a user would set them."""
    monkeypatch.setenv("BIGMODEL_API_KEY", KEY)
    monkeypatch.setenv("BIGMODEL_BASE_URL", f"{world.url}/api")
    monkeypatch.setenv("MOLIZHISHU_TOKEN", KEY)
    monkeypatch.setenv("MOLIZHISHU_BASE_URL", f"{world.url}/api/business/monitor")


def wait(*arguments: str) -> int:
    """Run the verb; it gives up in time where a test does not say when."""
    return main(["wait", *([] if "--timeout" in arguments else ["--timeout", "20"]), *arguments])


def result(capsys: Output) -> tuple[dict[str, Any], str]:
    """Return the one line on standard output, and all of standard error; the key is in neither."""
    out, err = capsys.readouterr()
    assert KEY not in out + err
    assert out.count("\n") == 1
    return json.loads(out), err


@pytest.fixture(scope="module", autouse=True)
def scripts(world: Simulator) -> None:
    """Two jobs that several tests ask about."""
    world.script("bigmodel.agents", "good", Life(outcome="success"))
    world.script("molizhishu.subtasks", ("slow", "1"), Life(processing=600.0, outcome="completed"))


def test_a_success_prints_its_result(capsys: Output) -> None:
    """A job that succeeds exits with 0 and prints its result, whose fields are those of the library."""
    assert wait(*AGENT, "async_id=good") == 0
    line, err = result(capsys)
    assert list(line) == ["endpoint", "ref", "state", "status", "value", "reason", "code", "polls", "waited"]
    assert line["endpoint"] == "bigmodel.agents"
    assert line["ref"] == {"async_id": "good", "agent_id": "vidu_template_agent"}
    assert (line["state"], line["status"], line["reason"], line["polls"]) == ("success", "success", None, 1)
    assert line["value"]["async_id"] == "good"
    assert err.endswith(" s  success\n")


@pytest.mark.parametrize(
    ("outcome", "state", "status"),
    [("failed", "failed", 1), ("error", "failed", 1), ("timeout", "timeout", 3), ("stopped", "cancelled", 5)],
)
def test_a_bad_end_has_a_status_of_its_own(
    outcome: str, state: str, status: int, world: Simulator, capsys: Output
) -> None:
    """A job that ends badly says so by its status, and the line keeps the API's own word."""
    world.script("molizhishu.subtasks", ("t", "1"), Life(outcome=outcome))
    assert wait(*SUBTASK) == status
    line, _ = result(capsys)
    assert (line["state"], line["status"], line["value"]) == (state, outcome, None)


def test_the_reason_of_a_failure_is_told(world: Simulator, capsys: Output) -> None:
    """Why a job failed is in the line and among the notes, with the server's code."""
    world.script("bigmodel.agents", "bad", Life(outcome="failed"))
    assert wait(*AGENT, "async_id=bad") == 1
    line, err = result(capsys)
    assert f"failed [{line['code']}]: {line['reason']}" in err


def test_the_own_deadline_exits_with_4(capsys: Output) -> None:
    """Our own deadline exits with 4; the line has the state last seen, and the reason."""
    assert wait("molizhishu.subtasks", "task_id=slow", "sub_task_id=1", "--timeout", "0.6") == 4
    line, err = result(capsys)
    assert (line["state"], line["status"]) == ("processing", "assigned")
    assert "total limit" in line["reason"]
    assert "processing (assigned)" in err
    assert line["reason"] in err


def test_a_server_that_is_down_is_waited_for(capsys: Output) -> None:
    """A server that is down may come back: the wait goes on to its deadline, and then names the trouble."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert wait(*AGENT, "async_id=a", "--base-url", address, "--timeout", "0.6") == 4
    line, err = result(capsys)
    assert (line["state"], line["status"]) == ("unknown", "")
    assert "the last poll failed: " in line["reason"]
    assert " s  no answer: " in err


def test_every_change_of_state_is_a_note(world: Simulator, capsys: Output) -> None:
    """Every change of state is one note; `--interval` sets the pace."""
    world.script("molizhishu.subtasks", ("p", "1"), Life(pending=0.8, processing=0.8, outcome="completed"))
    assert wait("molizhishu.subtasks", "task_id=p", "sub_task_id=1", "--interval", "0.05") == 0
    line, err = result(capsys)
    assert [note.split("  ")[-1] for note in err.splitlines()] == [
        "pending",
        "processing (assigned)",
        "success (completed)",
    ]
    assert line["polls"] >= 3


def test_the_share_that_is_done_is_told(world: Simulator, capsys: Output) -> None:
    """Where the API tells how much is done, the notes do, too."""
    world.script("molizhishu.tasks", "whole", Life(outcome="completed"))
    assert wait("molizhishu.tasks", "task_id=whole") == 0
    assert result(capsys)[1].endswith(" s  success (completed), 100%\n")


def test_quiet_leaves_standard_error_empty(capsys: Output) -> None:
    """`-q` leaves standard error empty."""
    assert wait(*AGENT, "async_id=good", "-q") == 0
    assert result(capsys)[1] == ""


def test_the_key_can_come_from_a_file(capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key can come from a file, which goes before the environment; white space around it does not count."""
    monkeypatch.setenv("BIGMODEL_API_KEY", "some-other-key")
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert wait(*AGENT, "async_id=good", "--key-file", str(file)) == 0
    assert result(capsys)[0]["state"] == "success"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b" \n", "is empty; it must hold the key"), (b"\xff\xfe" + KEY.encode(), "the key holds"), (None, "No such file")],
)
def test_a_bad_key_file_is_refused(content: bytes | None, complaint: str, capsys: Output, tmp_path: Path) -> None:
    """A key file that holds no key is refused before any request, and what it holds is not shown."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    assert wait(*AGENT, "async_id=good", "--key-file", str(file)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert KEY not in err


@pytest.mark.parametrize(
    ("endpoint", "variable"),
    [(AGENT, "BIGMODEL_API_KEY"), (SUBTASK, "MOLIZHISHU_TOKEN")],
    ids=["bigmodel", "molizhishu"],
)
def test_without_a_key_both_ways_are_named(
    endpoint: tuple[str, ...], variable: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key, the message names both ways to give one."""
    monkeypatch.delenv(variable)
    assert wait(*endpoint) == 2
    err = capsys.readouterr().err
    assert variable in err
    assert "--key-file" in err


def test_a_refused_key_exits_with_6(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is refused exits with 6, with one line that does not repeat it."""
    monkeypatch.setenv("BIGMODEL_API_KEY", "canary-of-another-feather")
    assert wait(*AGENT, "async_id=good") == 6
    out, err = capsys.readouterr()
    assert out == ""
    assert "credential is refused" in err
    assert "canary" not in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["bigmodel.dance", "a=b"], "no endpoint 'bigmodel.dance'; choose one of bigmodel.agents, "),
        (["molizhishu.tasks", "id=b"], "a reference needs task_id"),
        (["molizhishu.tasks", "task_id=a", "more=b"], "a reference has no 'more'"),
        (["molizhishu.tasks", "task_id=a", "task_id=b"], "one KEY is given twice"),
        (["molizhishu.tasks", "task_id="], "task_id must not be empty"),
        (["molizhishu.tasks", "task_id:=1.5"], "must be text"),
        (["bigmodel.file_parser", "task_id=a", "format=pdf"], "the format must be one of"),
        (["molizhishu.tasks", "task_id=a", "--base-url", "http://example.org"], "http"),
    ],
)
def test_a_bad_reference_is_one_line(arguments: list[str], complaint: str, world: Simulator, capsys: Output) -> None:
    """What cannot name a job is refused before any request, in one line."""
    before = world.requests
    assert wait(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1
    assert world.requests == before


def test_extra_fields_are_json(capsys: Output) -> None:
    """What an agent needs besides its id is sent as the JSON it is, and is part of the reference."""
    assert wait(*AGENT, "async_id=good", 'custom_variables:={"page": 1}', "self=x") == 0
    assert result(capsys)[0]["ref"]["custom_variables"] == {"page": 1}


def test_a_server_cannot_command_the_terminal(world: Simulator, capsys: Output) -> None:
    """Nothing that a server says makes the terminal do anything."""
    world.script("bigmodel.agents", "evil", Life(outcome="failed"))
    evil = Fault(Rewrite("message", "\x1b[2J\x9b2J\u202eboo\r\n"), "bigmodel.agents")
    world.faults.append(evil)
    try:
        assert wait(*AGENT, "async_id=evil") == 1
    finally:
        world.faults.remove(evil)
    line, err = result(capsys)
    assert "boo" in line["reason"]
    assert all(text.isprintable() for text in err.splitlines())


def test_ctrl_c_ends_the_wait_with_130() -> None:
    """Ctrl-C ends the wait with 130, one line and no traceback; nothing is on standard output."""
    with process("wait", "molizhishu.subtasks", "task_id=slow", "sub_task_id=1", "--timeout", "none") as child:
        assert child.stderr is not None
        assert "processing" in child.stderr.readline()  # it runs and waits
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out, err) == (130, "", "asyncpoll: interrupted\n")
