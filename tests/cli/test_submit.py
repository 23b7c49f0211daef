"""`asyncpoll submit`: every item is submitted at most once, unless that was asked for."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_kit import KEY, process, simulator
from run_kit import environment, read_lines, surroundings, until, write_lines
from server_kit import PATIENCE

from asyncpoll._endpoint import Job
from asyncpoll._errors import Throttled
from asyncpoll.cli import main
from asyncpoll.cli._submit import Item, Sender
from asyncpoll.clients._targets import Targets
from asyncpoll.ledger._submissions import Submissions
from asyncpoll.ledger._submit import Submitter
from asyncpoll.simulator import Constant, Effect, ErrorStatus, Fault, Latency, Reset, Rewrite, Simulator

Output = pytest.CaptureFixture[str]

AGENTS = "bigmodel.agents.start"
TASKS = "molizhishu.tasks.start"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator in which every job is done at once; keys and addresses are in the environment."""
    at_once = Constant(0)
    with simulator(bigmodel_key=KEY, molizhishu_token=KEY, pending=at_once, processing=at_once) as running:
        for name, value in environment(running).items():
            monkeypatch.setenv(name, value)
        yield running


def agent(text: str = "hello") -> dict[str, Any]:
    """Return what a line says of a run of an agent."""
    messages = [{"role": "user", "content": text}]
    return {"endpoint": "bigmodel.agents", "submit": {"agent_id": "vidu_template_agent", "messages": messages}}


def task(**more: Any) -> dict[str, Any]:
    """Return what a line says of a task."""
    return {"endpoint": "molizhishu.tasks", "submit": {"prompts": ["why"], "platforms": ["doubao"], **more}}


def submit(items: Path, *arguments: str) -> int:
    """Run the verb; the jobs go to a file beside the items."""
    return main(["submit", str(items), "-o", str(items.with_name("jobs.jsonl")), *arguments])


def test_items_of_all_endpoints_become_jobs(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """Items of all endpoints are submitted, and the jobs are lines that `run` takes."""
    (tmp_path / "a.txt").write_text("some text")
    file = {"file": str(tmp_path / "a.txt"), "tool_type": "lite", "file_type": "TXT"}
    items = write_lines(tmp_path / "items", agent(), {"endpoint": "bigmodel.file_parser", "submit": file}, task())
    assert submit(items) == 0
    err = capsys.readouterr().err
    assert err == "asyncpoll: 3 submitted, 0 submitted before, 0 refused, 0 unknown\n"
    assert [line["endpoint"] for line in read_lines(tmp_path / "jobs.jsonl")] == [
        "bigmodel.agents",
        "bigmodel.file_parser",
        "molizhishu.tasks",
    ]
    output = tmp_path / "out.jsonl"
    assert main(["run", str(tmp_path / "jobs.jsonl"), "-o", str(output), "--interval", "0.05"]) in {0, 1}
    assert len(read_lines(output)) == 3
    assert KEY not in (tmp_path / "jobs.jsonl.submitted").read_bytes().decode(errors="replace")


def test_further_keys_of_an_item_are_in_its_job(world: Simulator, tmp_path: Path) -> None:
    """So they come back in the results of the run; they are not sent, and the same item is still the same."""
    items = write_lines(tmp_path / "items", {**agent("a"), "customer": "Ada"}, agent("b"))
    assert submit(items) == 0
    lines = {json.dumps(line.get("meta")) for line in read_lines(tmp_path / "jobs.jsonl")}
    assert lines == {"null", '{"customer": "Ada"}'}
    write_lines(items, agent("a"), agent("b"))
    assert submit(items) == 0
    assert world.counts[AGENTS] == 2


def test_the_same_items_are_not_submitted_again(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """The same items are not submitted again, new ones are; a line that is there twice is two items."""
    items = write_lines(tmp_path / "items", agent("a"), agent("a"), agent("b"))
    assert submit(items) == 0
    first = read_lines(tmp_path / "jobs.jsonl")
    assert world.counts[AGENTS] == len(first) == 3
    write_lines(items, agent("c"), agent("b"), agent("a"), agent("a"))
    assert submit(items) == 0
    assert "1 submitted, 3 submitted before" in capsys.readouterr().err
    assert world.counts[AGENTS] == 4
    assert read_lines(tmp_path / "jobs.jsonl")[:3] == first


@pytest.mark.parametrize("effect", [Reset("body"), ErrorStatus(503), Rewrite("async_id", "")])
def test_an_item_with_a_lost_answer_is_left_alone(
    effect: Effect, world: Simulator, tmp_path: Path, capsys: Output
) -> None:
    """An item whose answer was lost is named, and is not submitted again before that is said."""
    world.faults.append(Fault(effect, AGENTS, nth=1))
    items = write_lines(tmp_path / "items", agent())
    assert submit(items) == 1
    assert "line 1: unknown: " in capsys.readouterr().err
    assert submit(items) == 1
    err = capsys.readouterr().err
    assert "line 1: unknown: " in err
    assert "the unknown items may or may not run; --retry-unknown submits them again" in err
    assert (world.counts[AGENTS], read_lines(tmp_path / "jobs.jsonl")) == (1, [])
    assert submit(items, "--retry-unknown") == 0
    assert (world.counts[AGENTS], len(read_lines(tmp_path / "jobs.jsonl"))) == (2, 1)


def test_an_idempotency_key_is_used_again(world: Simulator, tmp_path: Path) -> None:
    """Where the API takes an idempotency key, a lost answer is asked for again with the same one: one task."""
    world.faults.append(Fault(Reset("body"), TASKS, times=2))  # the transport, too, tries again
    items = write_lines(tmp_path / "items", task())
    assert submit(items) == 1
    assert submit(items) == 0
    assert world.counts[TASKS] == 3
    [job] = read_lines(tmp_path / "jobs.jsonl")
    with Submissions(tmp_path / "jobs.jsonl.submitted") as submissions:
        [item] = submissions.items()
    write_lines(items, task(consumer_task_id=item.token))
    assert submit(items) == 0
    lines = [line | {"submitted_at": job["submitted_at"]} for line in read_lines(tmp_path / "jobs.jsonl")]
    assert lines == [job, job]


def test_a_job_that_was_submitted_has_its_time(world: Simulator, tmp_path: Path) -> None:
    """Its line tells `asyncpoll run` how old it is."""
    assert world.url
    before = int(datetime.now(UTC).timestamp())
    assert submit(write_lines(tmp_path / "items", task())) == 0
    [line] = read_lines(tmp_path / "jobs.jsonl")
    assert before <= line["submitted_at"] <= datetime.now(UTC).timestamp()


def test_an_item_of_a_killed_process_is_unknown(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """An item that a killed process had sent is unknown to the next one."""
    world.faults.append(Fault(Latency(20.0), AGENTS))
    items = write_lines(tmp_path / "items", agent())
    with process("submit", str(items), "-o", str(tmp_path / "jobs.jsonl"), **surroundings(world)) as child:
        until(lambda: world.counts[AGENTS])
        child.kill()
        child.communicate(timeout=PATIENCE)
    world.faults.clear()
    assert submit(items) == 1
    assert "line 1: unknown: the process ended before the answer came" in capsys.readouterr().err
    assert world.counts[AGENTS] == 1


def test_one_signal_lets_submits_end(world: Simulator, tmp_path: Path) -> None:
    """A Ctrl-C lets the items that are under way come to their ends, also while the input says nothing."""
    world.faults.append(Fault(Latency(0.5), AGENTS))
    arguments = ("submit", "-", "-o", str(tmp_path / "jobs.jsonl"))
    with process(*arguments, stdin=subprocess.PIPE, **surroundings(world)) as child:
        assert child.stdin is not None
        child.stdin.write(f"{json.dumps(agent())}\n")
        child.stdin.flush()
        until(lambda: world.counts[AGENTS])
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130
        assert child.stderr is not None
        assert child.stderr.read().endswith("asyncpoll: 1 submitted, 0 submitted before, 0 refused, 0 unknown\n")
    assert len(read_lines(tmp_path / "jobs.jsonl")) == 1


def test_a_second_signal_waits_for_nothing(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """A second Ctrl-C waits for nothing; what was under way is unknown then."""
    world.faults.append(Fault(Latency(20.0), AGENTS))
    items = write_lines(tmp_path / "items", agent())
    with process("submit", str(items), "-o", str(tmp_path / "jobs.jsonl"), **surroundings(world)) as child:
        until(lambda: world.counts[AGENTS])
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        assert "waiting for submits under way" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130, err
    assert err.endswith("asyncpoll: interrupted\n")
    assert submit(items) == 1
    assert "line 1: unknown: " in capsys.readouterr().err


def test_an_item_that_never_left_is_refused(
    world: Simulator, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What certainly never left is refused, and is submitted the next time."""
    items = write_lines(tmp_path / "items", agent())
    with socket.socket() as closed, monkeypatch.context() as patch:
        closed.bind(("127.0.0.1", 0))
        patch.setenv("BIGMODEL_BASE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert submit(items) == 1
    assert "line 1: refused: " in capsys.readouterr().err
    assert submit(items) == 0
    assert world.counts[AGENTS] == 1


def test_a_throttled_item_is_sent_again(world: Simulator, tmp_path: Path) -> None:
    """An item that is throttled waits as long as it is told to, and is sent again."""
    slow_down = ErrorStatus(429, code="1302", message="slow down", retry_after=0)
    world.faults.append(Fault(slow_down, AGENTS, nth=1))
    assert submit(write_lines(tmp_path / "items", agent())) == 0
    assert world.counts[AGENTS] == 2


def test_a_long_throttling_refuses_the_item(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """Who is told to stay away for long does not wait: the item is refused, and submitted another time."""
    world.faults.append(Fault(ErrorStatus(429, code="1302", message="slow down", retry_after=3600), AGENTS, nth=1))
    items = write_lines(tmp_path / "items", agent())
    assert submit(items) == 1
    assert "line 1: refused: the server asks for fewer requests" in capsys.readouterr().err
    assert submit(items) == 0


async def test_a_throttled_item_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """An item that waits because it was throttled does not hold up the end: it is refused."""

    async def start() -> Job[Any]:
        asked.set_result(None)
        raise Throttled("slow down", retry_after=60.0)

    asked = asyncio.get_running_loop().create_future()
    with Submissions(tmp_path / "items.db") as submissions:
        sender = Sender(Submitter(submissions, stop=asked))
        await sender.send(Item(1, "k", Targets().find("bigmodel.agents"), start, {}))
        assert sender.counts == {"refused": 1}


def test_a_refused_key_ends_the_submit(
    world: Simulator, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is refused ends it with 6, before all others are tried; with the right one they are submitted."""
    items = write_lines(tmp_path / "items", *(agent(str(number)) for number in range(30)))
    with monkeypatch.context() as patch:
        patch.setenv("BIGMODEL_API_KEY", "canary-of-another-feather")
        assert submit(items, "--concurrency", "1") == 6
    assert world.counts[AGENTS] <= 2
    err = capsys.readouterr().err
    assert "credential is refused" in err
    assert "canary" not in err
    assert submit(items) == 0
    assert len(read_lines(tmp_path / "jobs.jsonl")) == 30


def test_a_missing_key_ends_the_submit(
    world: Simulator, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is not there ends it with 2."""
    monkeypatch.delenv("BIGMODEL_API_KEY")
    assert submit(write_lines(tmp_path / "items", agent())) == 2
    assert "BIGMODEL_API_KEY is not set" in capsys.readouterr().err


def test_a_missing_key_of_a_later_item_ends_it(
    world: Simulator, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items before it are submitted, and it ends with 2."""
    monkeypatch.delenv("BIGMODEL_API_KEY")
    assert submit(write_lines(tmp_path / "items", task(), agent())) == 2
    err = capsys.readouterr().err
    assert "1 submitted, 0 submitted before" in err
    assert "BIGMODEL_API_KEY is not set" in err


def test_a_wrong_address_ends_the_submit(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """It ends the submit as a refused credential does, before all others are tried."""
    items = write_lines(tmp_path / "items", *(agent(str(number)) for number in range(30)))
    assert submit(items, "--concurrency", "1", "--base-url", f"{world.url}/elsewhere") == 6
    assert "check the base address" in capsys.readouterr().err
    assert world.requests <= 2
    assert submit(items) == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nonsense", "line 1: not JSON"),
        (
            {"endpoint": "bigmodel.agents", "ref": {}},
            'line 1: an item has an "endpoint" (text) and a "submit" (object); --endpoint names that of all lines',
        ),
        ({"endpoint": "a.b", "submit": {}}, "line 1: no endpoint 'a.b'"),
        ({"endpoint": "molizhishu.subtasks", "submit": {}}, "line 1: jobs of molizhishu.subtasks are not started on"),
        ({"endpoint": "bigmodel.agents", "submit": {"agent_id": "a"}}, "missing a required argument: 'messages'"),
        ({"endpoint": "molizhishu.tasks", "submit": {"what": 1}}, "line 1: start of molizhishu.tasks: "),
        (task(prompts=[]), "line 1: refused: prompts must have 1 to 50 items, not 0"),
        (task(consumer_task_id=7), "line 1: refused: consumer_task_id must be 8 to 64"),
        (
            {"endpoint": "bigmodel.file_parser", "submit": {"file": "/nowhere/a.pdf", "tool_type": "lite"}},
            "line 1: refused: /nowhere/a.pdf cannot be used: No such file",
        ),
        ({"endpoint": "bigmodel.file_parser", "submit": {"file": ["a"], "tool_type": "lite"}}, "line 1: refused: "),
    ],
)
def test_a_bad_item_is_named_and_sends_nothing(
    line: Any, complaint: str, world: Simulator, tmp_path: Path, capsys: Output
) -> None:
    """What cannot be submitted is named and sends nothing; the next line is submitted."""
    items = write_lines(tmp_path / "items", line, agent())
    assert submit(items) == 1
    assert complaint in capsys.readouterr().err
    assert world.requests == world.counts[AGENTS] == 1


def test_of_many_refusals_twenty_are_named(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """Of many refusals the first 20 are named, the others counted."""
    assert submit(write_lines(tmp_path / "items", *[task(prompts=[])] * 25)) == 1
    err = capsys.readouterr().err
    assert err.count(": refused: ") == 20
    assert "25 refused" in err


@pytest.mark.parametrize("links", [(), ("--links",)])
def test_a_job_that_ends_at_once_has_its_result(links: tuple[str, ...], world: Simulator, tmp_path: Path) -> None:
    """A job that is done at once has its result in its line, and `run` takes it over; signed links are masked."""
    world.faults.append(Fault(Rewrite("status", "success"), AGENTS))
    world.faults.append(Fault(Rewrite("agent_id", "https://a.example/?sig=canary"), AGENTS))
    items = write_lines(tmp_path / "items", agent())
    assert submit(items, *links) == 0
    [line] = read_lines(tmp_path / "jobs.jsonl")
    assert line["state"] == "success"
    assert ("canary" in json.dumps(line)) is bool(links)
    before = world.requests
    assert main(["run", str(tmp_path / "jobs.jsonl"), "-o", str(tmp_path / "out.jsonl")]) == 0
    assert world.requests == before


def test_items_are_sent_at_the_rate(world: Simulator, tmp_path: Path) -> None:
    """Items are sent no faster than is allowed."""
    items = write_lines(tmp_path / "items", agent("a"), agent("b"))
    assert submit(items, "--rate", "100", "--concurrency", "1") == 0
    assert world.counts[AGENTS] == 2


def test_a_file_of_another_list_is_not_replaced(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """A file that was not made by this list is not replaced, and nothing is submitted."""
    (tmp_path / "jobs.jsonl").write_text("something")
    assert submit(write_lines(tmp_path / "items", agent())) == 2
    assert "exists already and is not made from" in capsys.readouterr().err
    assert (tmp_path / "jobs.jsonl").read_text() == "something"
    assert world.requests == 0


def test_nothing_is_sent_that_is_not_written_down(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """When nothing can be written down any more, nothing more is sent, and it ends with 6."""
    items = write_lines(tmp_path / "items", agent("a"))
    assert submit(items) == 0
    with closing(sqlite3.connect(tmp_path / "jobs.jsonl.submitted")) as file:  # from now on it takes no further item
        file.execute("CREATE TRIGGER full BEFORE INSERT ON item BEGIN SELECT RAISE(FAIL, 'no space left'); END")
    write_lines(items, agent("b"), agent("c"))
    assert submit(items) == 6
    assert "no space left" in capsys.readouterr().err
    assert world.counts[AGENTS] == 1
