"""What the command line says to mistakes: the cure in its own terms, the name of the file, and never a key."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import KEY, process, simulator
from run_kit import FAST, environment, live, subtask, surroundings, until, write_lines
from server_kit import PATIENCE

from asyncpoll._errors import BadReply, Rejected, TransportError
from asyncpoll._masking import mask_keys, mask_words
from asyncpoll.cli import main
from asyncpoll.cli._output import duration, message_of
from asyncpoll.simulator import Constant, ErrorStatus, Fault, Simulator

Output = pytest.CaptureFixture[str]
SECRETS = ["sk-0123456789abcdef", "sk-secret", "0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp", "canary-7f3e9c51"]
AGENT = {"endpoint": "bigmodel.agents", "ref": {"async_id": "a", "agent_id": "b"}}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Simulator]:
    """A simulator with a job that succeeds at once; the current directory is empty."""
    monkeypatch.chdir(tmp_path)
    with simulator(pending=Constant(0), processing=Constant(0)) as running:
        live(running, 1)
        live(running, "slow", processing=600.0)
        for name, value in environment(running).items():
            monkeypatch.setenv(name, value)
        yield running


def said(capsys: Output) -> str:
    """Return standard error, which is one line."""
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


# keys


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["SECRET"],
        ["wait", "SECRET", "x=1"],
        ["wait", "molizhishu.tasks", "SECRET"],
        ["wait", "molizhishu.tasks", "SECRET:=1x"],
        ["wait", "molizhishu.tasks", "task_id=1", "SECRET=1"],
        ["wait", "molizhishu.tasks", "task_id=1", "--timeout", "SECRET"],
        ["wait", "molizhishu.tasks", "task_id=1", "--timeout=SECRET"],
        ["wait", "molizhishu.tasks", "task_id=1", "--max-body", "SECRET"],
        ["wait", "molizhishu.tasks", "task_id=1", "--key", "SECRET"],
        ["wait", "molizhishu.tasks", "task_id=1", "--base-url", "SECRET"],
        ["wait", "molizhishu.tasks", "task_id=1", "--key-env", "SECRET"],
        ["show", "SECRET"],
        ["endpoints", "SECRET"],
        ["wait", "molizhishu.tasks", "task_id=1", "--proxy", "SECRET"],
        ["run", "jobs", "--format", "SECRET"],
        ["run", "jobs", "--concurrency", "SECRET"],
        ["run", "jobs", "-o", "out", "--endpoint", "SECRET"],
        ["resume", "ledger", "--retry", "SECRET"],
        ["simulate", "--port", "SECRET"],
        ["demo", "--seed", "SECRET"],
        ["status", "ledger", "SECRET"],
    ],
)
def test_an_argument_that_may_be_a_key_is_not_repeated(
    arguments: list[str], secret: str, world: Simulator, capsys: Output
) -> None:
    """Whatever is wrong with it, and wherever it stands."""
    write_lines(Path("jobs"), subtask(1))
    assert main([word.replace("SECRET", secret) for word in arguments]) == 2
    assert secret not in said(capsys)


@pytest.mark.parametrize("secret", SECRETS[:3])
@pytest.mark.parametrize("arguments", [["status", "SECRET"], ["run", "SECRET", "-o", "out"]])
def test_a_file_name_with_the_form_of_a_key_is_not_repeated(
    arguments: list[str], secret: str, world: Simulator, capsys: Output
) -> None:
    """Of other files the name is needed."""
    assert main([word.replace("SECRET", secret) for word in arguments]) == 2
    assert secret not in said(capsys)


def test_a_line_does_not_repeat_a_key(world: Simulator, capsys: Output) -> None:
    """Neither as the name of an endpoint nor as that of a field."""
    stray = {"endpoint": "molizhishu.tasks", "ref": {"task_id": "1", SECRETS[0]: "x"}}
    write_lines(Path("jobs"), {"endpoint": SECRETS[0], "ref": {}}, stray)
    assert main(["run", "jobs", "-o", "out", *FAST]) == 1
    assert SECRETS[0] not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "results-2026-11-26.jsonl.ledger cannot be used",
        "task-list of molizhishu.task_results",
        "disk-full, risk-averse",
    ],
)
def test_ordinary_words_are_kept(text: str) -> None:
    """A name of a file is not taken for a key."""
    assert mask_keys(text) == text


def test_words_of_letters_and_digits_may_be_keys() -> None:
    """Where a single argument is at fault, long words are masked."""
    assert mask_words("'canary-7f3e9c51' is not a number above 0") == "'***' is not a number above 0"
    assert mask_words("'65536' is not a port from 0 to 65535") == "'65536' is not a port from 0 to 65535"


# references


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["molizhishu.tasks", "taskid=1"], "molizhishu.tasks has no field 'taskid'; did you mean task_id?"),
        (["molizhishu.subtasks", "task_id=1", "subtask-id=2"], "did you mean sub_task_id?"),
        (["bigmodel.agents", "async_id=1", "agentid=2"], "did you mean agent_id?"),
        (["bigmodel.file_parser", "task_id=1", "Format=text"], "did you mean format?"),
        (["molizhishu.task", "task_id=1"], "did you mean molizhishu.tasks?"),
    ],
)
def test_a_misspelled_name_has_a_suggestion(
    arguments: list[str], complaint: str, world: Simulator, capsys: Output
) -> None:
    """The name that was meant is named."""
    assert main(["wait", *arguments]) == 2
    assert complaint in said(capsys)


# switches, files, addresses


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "base_url is refused: use https, or pass insecure=True to send",
            "the base address is refused: use https, or pass --insecure to send",
        ),
        ("larger than max_body=100 bytes; raise max_body, or", "larger than 100 bytes; raise --max-body, or"),
        (
            "pass its user and password as proxy=http://u:p@host:1",
            "pass its user and password as --proxy http://u:p@host:1",
        ),
        ("leads outside, pass proxy= or trust_env=True", "leads outside, pass --proxy, or set HTTPS_PROXY"),
        (
            "it has no scheme (trust_env=True: HTTP_PROXY)",
            "it has no scheme (from the environment variable HTTP_PROXY)",
        ),
        ("pass ssl= with a context that trusts its authority", "pass --ca-file with the certificate of its authority"),
        ("to open it all the same, pass accept_loss=True", "to open it all the same, pass --accept-loss"),
        ('as format="download_link" does', "as format=download_link does"),
    ],
)
def test_messages_name_switches(text: str, shown: str) -> None:
    """The keywords of Python are of no use on the command line."""
    assert message_of(BadReply(text)) == shown


def test_every_keyword_in_a_message_of_the_library_is_a_switch() -> None:
    """No message of the transport names a keyword of Python once it is shown."""
    for text in ("insecure=True", "proxy=", "ssl=", "max_body", "trust_env=True", "base_url"):
        assert text not in message_of(TransportError(f"pass {text}"))


@pytest.mark.parametrize("verb", ["status", "export", "tune", "resume", "report"])
def test_a_missing_ledger_has_one_status(verb: str, world: Simulator, capsys: Output) -> None:
    """It is 2, with the name of the file, and none is made."""
    assert main([verb, "run.db", *(["-o", "page.html"] if verb == "report" else [])]) == 2
    assert "there is no ledger run.db" in said(capsys)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "missing", "-o", "out"],
        ["submit", "missing", "-o", "out"],
        ["wait", "molizhishu.tasks", "task_id=1", "--key-file", "missing"],
        ["wait", "molizhishu.tasks", "task_id=1", "--ca-file", "missing"],
    ],
)
def test_a_missing_file_is_named(arguments: list[str], world: Simulator, capsys: Output) -> None:
    """With the words of the system, without its number."""
    assert main(arguments) == 2
    assert said(capsys) == "asyncpoll: missing cannot be used: No such file or directory\n"


def test_a_current_directory_that_is_gone_is_named(
    world: Simulator, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system does not say which file it is that is missing."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        assert main(["run", "jobs", "-o", "out"]) == 2
    finally:
        monkeypatch.chdir(tmp_path)
    assert said(capsys) == "asyncpoll: the current directory cannot be used: No such file or directory\n"


def test_a_directory_is_not_a_file_of_jobs(world: Simulator, capsys: Output) -> None:
    """It is named."""
    assert main(["run", ".", "-o", "out"]) == 2
    assert said(capsys) == "asyncpoll: . is a directory; name a file in it\n"


@pytest.mark.parametrize("verb", ["run", "submit"])
@pytest.mark.parametrize("given", ["file", "pipe"])
def test_without_a_key_nothing_is_made(verb: str, given: str, world: Simulator, tmp_path: Path) -> None:
    """Neither a ledger nor results: the key of the first line is looked for first."""
    line = AGENT if verb == "run" else {"endpoint": "bigmodel.agents", "submit": {"agent_id": "a", "messages": []}}
    write_lines(tmp_path / "lines", "nonsense", line)
    outside = {name: value for name, value in surroundings(world)["env"].items() if name != "BIGMODEL_API_KEY"}
    words = (verb, "-" if given == "pipe" else "lines", "-o", "out.jsonl")
    with process(*words, stdin=subprocess.PIPE, env=outside, cwd=tmp_path) as child:
        _, err = child.communicate((tmp_path / "lines").read_text(), timeout=PATIENCE)
    assert child.returncode == 2
    assert err == (
        "asyncpoll: the environment variable BIGMODEL_API_KEY is not set; set it to your key, or pass --key-file FILE\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["lines"]


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_standard_input_that_is_closed(verb: str, world: Simulator, tmp_path: Path) -> None:
    """It is one line, not a traceback."""
    command = [sys.executable, "-m", "asyncpoll", verb, "-", "-o", "out"]
    closing = "import os, sys; os.close(0); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", closing, *command], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert done.stderr == "asyncpoll: standard input is closed; name a file, or give one with < FILE\n"


@pytest.mark.parametrize("by", ["option", "environment"])
def test_an_address_without_a_scheme(
    by: str, world: Simulator, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says where it comes from, and does not ask for https where http will do."""
    option = ["--base-url", "localhost:8080"] if by == "option" else []
    if by == "environment":
        monkeypatch.setenv("MOLIZHISHU_BASE_URL", "localhost:8080")
    assert main(["wait", "molizhishu.tasks", "task_id=1", *option]) == 2
    source = "--base-url" if by == "option" else "the environment variable MOLIZHISHU_BASE_URL"
    assert said(capsys) == (
        f"asyncpoll: {source} has no scheme; write it as https://HOST, or as http://localhost:PORT\n"
    )


# the same options for every verb


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_bulk_verbs_take_key_file_and_base_url(
    verb: str, world: Simulator, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As wait does; a key file that others can read is warned about once, and resume goes on with both."""
    for name in environment(world):
        monkeypatch.delenv(name)
    Path("key").write_text(KEY)
    Path("key").chmod(0o644)
    way = ["--key-file", "key", "--base-url", f"{world.url}/api/business/monitor", "--plain"]
    item = {"endpoint": "molizhishu.tasks", "submit": {"prompts": ["why"], "platforms": ["doubao"]}}
    write_lines(Path("lines"), subtask(1) if verb == "run" else item)
    assert main([verb, "lines", "-o", "out.jsonl", *way]) == 0
    assert capsys.readouterr().err.count("warning: other users can read key") == 1
    if verb == "run":
        write_lines(Path("lines"), subtask(1), subtask("slow"))
        live(world, "slow")
        assert main(["resume", "out.jsonl.ledger"]) == 0


def test_one_key_is_not_sent_to_two_accounts(world: Simulator, capsys: Output) -> None:
    """A key file, and an address, are those of one account and one provider."""
    Path("key").write_text(KEY)
    Path("key").chmod(0o600)
    write_lines(Path("jobs"), subtask("slow"), AGENT)
    assert main(["run", "jobs", "-o", "a", "--key-file", "key", *FAST]) == 2
    assert (
        "--key-file holds one key, and the jobs need two; set MOLIZHISHU_TOKEN and BIGMODEL" in capsys.readouterr().err
    )
    assert main(["run", "jobs", "-o", "b", "--base-url", world.url, *FAST]) == 2
    assert "--base-url is the address of one provider, and the jobs need two" in capsys.readouterr().err


def test_the_price_of_a_poll_can_be_set(world: Simulator, capsys: Output) -> None:
    """The price of what is learned can be set for run and resume, and compared by tune."""
    write_lines(Path("jobs"), subtask(1))
    assert main(["run", "jobs", "-o", "out", "--price", "0.2", "--plain"]) == 0
    assert main(["resume", "out.ledger", "--price", "0.3", "--plain"]) == 0
    capsys.readouterr()
    assert main(["tune", "--price", "0.25", "out.ledger"]) == 2
    assert main(["run", "jobs", "-o", "other", "--price", "0"]) == 2
    assert "'0' is not a number above 0" in capsys.readouterr().err


# misses


def test_status_tells_why_polls_are_missed(world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """While every poll fails, progress and status say how many, and why the last one did."""
    world.faults.append(Fault(ErrorStatus(503)))
    write_lines(Path("jobs"), subtask("slow"))
    with process("run", "jobs", "-o", "out.jsonl", *FAST, **surroundings(world), cwd=tmp_path) as child:
        assert child.stderr is not None
        line = child.stderr.readline()
        status = ["status", "out.jsonl.ledger"]
        until(lambda: main(status) == 0 and "polls missed" in capsys.readouterr().out, every=0.2)
        child.terminate()
        _, err = child.communicate(timeout=PATIENCE)
    for text in (line, err):
        assert "polls missed, the last one: the server is in trouble (HTTP 503" in text
    assert main([*status, "--json"]) == 0
    assert "HTTP 503" in json.loads(capsys.readouterr().out)["misses"]


def test_each_miss_is_logged(world: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """At the level DEBUG, by a logger below `asyncpoll`."""
    caplog.set_level(logging.DEBUG, "asyncpoll")
    world.faults.append(Fault(ErrorStatus(503), times=4))
    assert main(["wait", "molizhishu.subtasks", "task_id=t1", "sub_task_id=1", "--interval", "0.05", "-q"]) == 0
    misses = [record for record in caplog.records if "was missed" in record.getMessage()]
    assert len(misses) == 2
    assert all("HTTP 503" in record.getMessage() for record in misses)


# a wrong address


@pytest.mark.parametrize("endpoint", ["molizhishu.tasks", "bigmodel.file_parser", "molizhishu.subtasks"])
def test_a_wrong_address_stops_the_run(endpoint: str, world: Simulator, capsys: Output) -> None:
    """It ends once, as a refused credential does, and no job has an outcome."""
    ref = {"task_id": "t", **({"sub_task_id": "s"} if "sub" in endpoint else {})}
    write_lines(Path("jobs"), *({"endpoint": endpoint, "ref": {**ref, "task_id": f"t{n}"}} for n in range(5)))
    assert main(["run", "jobs", "-o", "out.jsonl", "--base-url", f"{world.url}/elsewhere", *FAST]) == 6
    err = capsys.readouterr().err
    assert "0 of 5 ended" in err
    assert err.splitlines()[-1].startswith("asyncpoll: ")
    assert "/elsewhere" not in Path("out.jsonl").read_text()


def test_errors_of_jobs_are_told_as_they_are() -> None:
    """An error without a keyword in it is not changed."""
    assert message_of(Rejected("the server knows no such job")) == "the server knows no such job"
    assert message_of(FileNotFoundError(2, "No such file", "key.txt")) == "key.txt cannot be used: No such file"
    assert message_of(OSError("no such host")) == "no such host"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "250 ms"), (59, "59 s"), (90, "1 min 30 s"), (5400, "1 h 30 min"), (86_400, "1 d")],
)
def test_a_duration_is_in_the_units_that_suit_it(seconds: float, text: str) -> None:
    """A duration is in the units that suit it."""
    assert duration(seconds) == text
