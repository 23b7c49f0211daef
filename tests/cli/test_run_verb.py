"""`asyncpoll run`: many jobs from a file, and a result for each."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_kit import KEY, process, simulator
from run_kit import FAST, SUBTASKS, environment, live, numbers, read_lines, subtask, surroundings, write_lines
from server_kit import PATIENCE

from asyncpoll.cli import main
from asyncpoll.cli._pacing import history_of
from asyncpoll.ledger import Reader
from asyncpoll.simulator import Constant, Simulator

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def world() -> Iterator[Simulator]:
    """A simulator that takes one key only, in which five subtasks succeed at once and one fails."""
    at_once = Constant(0)
    with simulator(bigmodel_key=KEY, molizhishu_token=KEY, pending=at_once, processing=at_once) as running:
        for number in range(1, 6):
            live(running, number)
        live(running, "bad", "failed")
        live(running, "slow", processing=600.0)
        yield running


@pytest.fixture(autouse=True)
def surrounded(world: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and addresses in the environment."""
    for name, value in environment(world).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that names the five subtasks that succeed, in the directory that is then the current one."""
    monkeypatch.chdir(tmp_path)
    return write_lines(tmp_path / "jobs.jsonl", *map(subtask, range(1, 6)))


def run(*arguments: object) -> int:
    """Run the verb, at a good pace."""
    return main(["run", *FAST, *map(str, arguments)])


@pytest.mark.parametrize("verb", ["run", "resume", "status", "export", "report", "submit", "tune"])
def test_the_help_fits_into_80_columns(verb: str, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help of every verb about durable runs fits into 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80


def test_every_job_has_a_result_line(jobs: Path, tmp_path: Path, capsys: Output) -> None:
    """Every job has a result line with the fields of `asyncpoll wait`, and the run exits with 0."""
    output = tmp_path / "out.jsonl"
    assert run(jobs, "-o", output) == 0
    assert numbers(output) == ["1", "2", "3", "4", "5"]
    line = read_lines(output)[0]
    assert list(line) == ["endpoint", "ref", "state", "status", "value", "reason", "code", "polls", "waited"]
    assert (line["state"], line["status"], line["reason"], line["polls"]) == ("success", "completed", None, 1)
    assert line["value"]["sub_task_id"] == line["ref"]["sub_task_id"]
    out, err = capsys.readouterr()
    assert out == ""
    assert f"5 of 5 ended: 5 success; the ledger is {output}.ledger" in err
    assert KEY not in err + (tmp_path / "out.jsonl.ledger").read_bytes().decode(errors="replace")


def test_one_failed_job_makes_the_run_exit_with_1(tmp_path: Path, capsys: Output) -> None:
    """One job that fails makes the run exit with 1; its line says why."""
    jobs = write_lines(tmp_path / "jobs", subtask(1), subtask("bad"))
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 1
    lines = {line["ref"]["sub_task_id"]: line for line in read_lines(tmp_path / "out.jsonl")}
    assert lines["bad"]["state"] == "failed"
    assert lines["bad"]["reason"]
    assert "2 of 2 ended: 1 success, 1 failed" in capsys.readouterr().err


def test_a_job_that_is_given_up_has_a_reason(tmp_path: Path, capsys: Output) -> None:
    """A job that is given up has the state last seen and the reason, and the summary names the kind of error."""
    jobs = write_lines(tmp_path / "jobs", subtask("slow"))
    assert run(jobs, "-o", tmp_path / "out.jsonl", "--timeout", "0.3") == 1
    [line] = read_lines(tmp_path / "out.jsonl")
    assert (line["state"], line["status"]) == ("processing", "assigned")
    assert "total limit" in line["reason"]
    assert "1 of 1 ended: 1 WaitTimeout" in capsys.readouterr().err


def test_bad_lines_are_named_by_their_numbers(tmp_path: Path, capsys: Output) -> None:
    """Bad lines are named by their numbers and do not stop the others; the run then exits with 1."""
    lines = ["", subtask(1), "nonsense", "[1]", {"endpoint": "a.b", "ref": {}}, {"endpoint": "molizhishu.subtasks"}]
    wrong = {"endpoint": "molizhishu.subtasks", "ref": {"task_id": "t"}}
    jobs = write_lines(tmp_path / "jobs", *lines, wrong, subtask(2))
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 1
    assert numbers(tmp_path / "out.jsonl") == ["1", "2"]
    err = capsys.readouterr().err
    assert "line 3: not JSON" in err
    assert "line 4: not a JSON object" in err
    assert "line 5: no endpoint 'a.b'; choose one of bigmodel.agents" in err
    assert 'line 6: a job is named by an "endpoint" (text) and a "ref" (object)' in err
    assert "line 7: a reference needs task_id, sub_task_id; it lacks sub_task_id" in err


def test_of_many_bad_lines_twenty_are_named(tmp_path: Path, capsys: Output) -> None:
    """Of many bad lines the first 20 are named, the others counted."""
    jobs = write_lines(tmp_path / "jobs", *["nonsense"] * 25, subtask(1))
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 1
    err = capsys.readouterr().err
    assert err.count("not JSON") == 20
    assert "25 bad lines in all, of which the first 20 are above" in err


@pytest.mark.parametrize("number", [1, 25])
def test_strict_sends_nothing_if_a_line_is_bad(number: int, tmp_path: Path, world: Simulator, capsys: Output) -> None:
    """With `--strict` one bad line is enough for nothing to be asked, and nothing to be made."""
    before = world.requests
    jobs = write_lines(tmp_path / "jobs", subtask(1), *["nonsense"] * number)
    assert run(jobs, "-o", tmp_path / "out.jsonl", "--strict") == 2
    assert f"{number} bad line{'' if number == 1 else 's'}; nothing was sent (--strict)" in capsys.readouterr().err
    assert world.requests == before
    assert [path.name for path in tmp_path.iterdir()] == ["jobs"]


def test_strict_changes_nothing_for_good_lines(jobs: Path, tmp_path: Path) -> None:
    """With `--strict` good lines are what they are without."""
    assert run(jobs, "-o", tmp_path / "out.jsonl", "--strict") == 0
    assert len(read_lines(tmp_path / "out.jsonl")) == 5


def test_a_job_that_is_named_twice_is_polled_once(tmp_path: Path, world: Simulator, capsys: Output) -> None:
    """A job that is named twice is polled once, has one result, and is counted."""
    before = world.requests
    jobs = write_lines(tmp_path / "jobs", subtask(1), subtask(2), subtask(1), subtask(1))
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 0
    assert numbers(tmp_path / "out.jsonl") == ["1", "2"]
    assert world.requests - before == 2
    assert "2 lines skipped: already in the ledger\n" in capsys.readouterr().err


def test_a_csv_names_jobs_and_takes_results(tmp_path: Path) -> None:
    """A CSV with a header names jobs too; a result file that ends in .csv is one."""
    jobs = tmp_path / "jobs.txt"
    jobs.write_bytes(
        b"\xef\xbb\xbftask_id,endpoint,sub_task_id\r\nt1,molizhishu.subtasks,1\r\nt2,molizhishu.subtasks,2\r\n"
    )
    assert run(jobs, "-o", tmp_path / "out.csv") == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(json.loads(row["ref"])["sub_task_id"] for row in rows) == ["1", "2"]
    assert {row["state"] for row in rows} == {"success"}


@pytest.mark.parametrize("strict", [(), ("--strict",)])
def test_a_dash_is_standard_input(strict: tuple[str, ...], tmp_path: Path, world: Simulator) -> None:
    """`-` reads the lines from standard input, also when they must be looked at first."""
    given = "".join(f"{json.dumps(subtask(number))}\n" for number in (1, 2, 3))
    arguments = ("run", "-", *FAST, *strict, "-o", str(tmp_path / "out.jsonl"))
    with process(*arguments, stdin=subprocess.PIPE, **surroundings(world)) as child:
        out, err = child.communicate(given, timeout=PATIENCE)
    assert (child.returncode, out) == (0, ""), err
    assert numbers(tmp_path / "out.jsonl") == ["1", "2", "3"]


def test_a_line_of_an_ended_job_is_taken_over(tmp_path: Path, world: Simulator) -> None:
    """A line that says how its job ended, as result lines do, is taken over, and nobody is asked."""
    before = world.requests
    ended = {**subtask(9), "state": "failed", "status": "error", "value": None, "reason": "no", "code": "7"}
    ended |= {"kind": "expired"}
    good = {**subtask(8), "state": "success", "value": {"a": 1}, "kind": "partial"}
    odd = {**subtask(7), "state": "success", "value": 1, "kind": "Not A Kind"}
    jobs = write_lines(tmp_path / "jobs", ended, good, odd, {**subtask(1), "state": "unknown"})
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 1
    lines = {line["ref"]["sub_task_id"]: line for line in read_lines(tmp_path / "out.jsonl")}
    assert [lines["9"][name] for name in ("state", "status", "reason", "code")] == ["failed", "error", "no", "7"]
    assert (lines["8"]["status"], lines["8"]["value"]) == ("success", {"a": 1})
    assert lines["1"]["state"] == "success"
    assert [lines[id_].get("kind") for id_ in "9871"] == ["expired", "partial", None, None]
    assert all("meta" not in line for line in lines.values())
    assert world.requests - before == 1


def test_without_output_outcomes_are_in_the_ledger(jobs: Path, tmp_path: Path) -> None:
    """Without `--output` the outcomes are in the ledger alone."""
    assert run(jobs, "--ledger", tmp_path / "run.db") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs.jsonl", "run.db"]
    with Reader(tmp_path / "run.db") as reader:
        assert reader.counts.by_state == {("molizhishu.subtasks", "success"): 5}


def test_the_same_command_goes_on(jobs: Path, tmp_path: Path, world: Simulator) -> None:
    """The same command a second time goes on with its ledger: what has ended is not polled again."""
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 0
    before = world.requests
    write_lines(jobs, *map(subtask, (1, 2, 3, 4, 5, "bad")))
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 1
    assert world.requests - before == 1
    assert numbers(tmp_path / "out.jsonl") == ["1", "2", "3", "4", "5", "bad"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "pass --output FILE for the results, --ledger FILE to remember the run, or both"),
        (["-o", "nowhere/out"], "there is no directory"),
        (["-o", "jobs.jsonl", "--ledger", "new"], "jobs.jsonl would be replaced by the results"),
        (["-o", "new", "--ledger", "new"], "new would be replaced by the results"),
        (["-o", ".", "--ledger", "new"], "is not a plain file"),
        (["-o", "-", "--ledger", "new"], "asyncpoll export to print results"),
        (["-o", "/dev/null", "--ledger", "new"], "/dev/null is not a plain file"),
        (["-o", "full", "--ledger", "new"], "full has something in it that is not of this run"),
        (["-o", "other", "--ledger", "old.db"], "to go on with it: asyncpoll resume old.db"),
        (["--ledger", "old.db"], "the results of old.db go to"),
    ],
)
def test_two_runs_are_not_mixed(arguments: list[str], complaint: str, jobs: Path, capsys: Output) -> None:
    """What would overwrite something, or mix two runs, is refused with 2 before anything is made."""
    here = jobs.parent
    (here / "full").write_text("something")
    (here / "empty").touch()
    assert run(jobs, "-o", "empty", "--ledger", "old.db") == 0
    before = sorted(here.iterdir())
    capsys.readouterr()
    assert run(jobs, *arguments) == 2
    assert complaint in capsys.readouterr().err
    assert sorted(here.iterdir()) == before


def test_a_missing_input_makes_nothing(tmp_path: Path, capsys: Output) -> None:
    """An input that is not there is one line and 2, and nothing is made."""
    assert run(tmp_path / "jobs", "-o", tmp_path / "out") == 2
    assert "No such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_file_is_not_a_ledger(jobs: Path, tmp_path: Path, capsys: Output) -> None:
    """A ledger that is none is refused with 6 and left as it is."""
    (tmp_path / "run.db").write_text("my diary")
    assert run(jobs, "--ledger", tmp_path / "run.db") == 6
    assert "is not an asyncpoll ledger" in capsys.readouterr().err
    assert (tmp_path / "run.db").read_text() == "my diary"


def test_a_missing_key_ends_the_run_with_2(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, world: Simulator
) -> None:
    """A key that is not there ends the run with 2, as soon as a job needs it; it can then be resumed."""
    monkeypatch.delenv("BIGMODEL_API_KEY")
    agent = {"endpoint": "bigmodel.agents", "ref": {"async_id": "a", "agent_id": "b"}}
    jobs = write_lines(tmp_path / "jobs", subtask("slow"), agent)
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 2
    err = capsys.readouterr().err
    assert "the environment variable BIGMODEL_API_KEY is not set; set it to your key" in err
    assert "go on with: asyncpoll resume" in err
    assert "Ctrl-C" not in err


def test_a_refused_key_ends_the_run_with_6(
    tmp_path: Path, jobs: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is refused ends the run with 6; no job has an outcome, and with the right key it can go on."""
    with monkeypatch.context() as patch:
        patch.setenv("MOLIZHISHU_TOKEN", "canary-of-another-feather")
        assert run(jobs, "-o", tmp_path / "out.jsonl") == 6
    err = capsys.readouterr().err
    assert "credential is refused" in err
    assert "0 of 5 ended" in err
    assert "canary" not in err
    assert main(["resume", str(tmp_path / "out.jsonl.ledger"), *FAST]) == 0
    assert len(read_lines(tmp_path / "out.jsonl")) == 5


def test_tampered_results_end_the_run_with_6(jobs: Path, tmp_path: Path, capsys: Output) -> None:
    """When the results file is tampered with, the run ends with 6 and nothing is lost."""
    output = tmp_path / "out.jsonl"
    assert run(jobs, "-o", output) == 0
    kept = output.read_text()
    output.write_text("short")
    assert run(jobs, "-o", output) == 6
    assert "shorter than what was written to it" in capsys.readouterr().err
    output.write_text(kept)
    assert run(jobs, "-o", output) == 0


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no such place here")
def test_results_are_tried_before_anything_is_sent(
    jobs: Path, tmp_path: Path, world: Simulator, capsys: Output
) -> None:
    """A place where no file can be made is refused with 6 before anything is asked for."""
    output, before = Path("/proc/out.jsonl"), world.requests
    assert run(jobs, "-o", output, "--ledger", tmp_path / "run.db") == 6
    assert f"asyncpoll: {output} cannot be used: " in capsys.readouterr().err
    assert world.requests == before


def test_a_line_now_and_then_shows_progress(jobs: Path, world: Simulator, tmp_path: Path, capsys: Output) -> None:
    """While it runs, a line now and then says how far it has come."""
    live(world, "short", processing=1.6)
    write_lines(jobs, subtask(1), subtask("short"))
    assert run(jobs, "-o", tmp_path / "out.jsonl") == 0
    assert "asyncpoll: 1 of 2 ended: 1 success; " in capsys.readouterr().err
    assert len(read_lines(tmp_path / "out.jsonl")) == 2


def test_jobs_of_two_providers_are_in_one_run(tmp_path: Path, world: Simulator) -> None:
    """Jobs of several providers are waited for in one run, each with its own key."""

    def line(number: int) -> dict[str, Any]:
        return {"endpoint": "bigmodel.agents", "ref": {"async_id": f"a{number}", "agent_id": "b"}}

    jobs = write_lines(tmp_path / "jobs", subtask(1), line(1), line(2), subtask(2))
    assert run(jobs, "-o", tmp_path / "out.jsonl") in {0, 1}
    endpoints = [line["endpoint"] for line in read_lines(tmp_path / "out.jsonl")]
    assert sorted(endpoints) == ["bigmodel.agents"] * 2 + ["molizhishu.subtasks"] * 2


def test_what_is_learned_is_kept_and_told(tmp_path: Path, world: Simulator, capsys: Output) -> None:
    """Without an interval of its own a run learns: what, is in its ledger, and what that saved, in a line."""
    names = [f"learned-{number}" for number in range(6)]
    for name in names:
        live(world, name, processing=0.5)
    jobs = write_lines(tmp_path / "jobs.jsonl", *map(subtask, names))
    output = tmp_path / "results.jsonl"
    assert main(["run", str(jobs), "-o", str(output), "--plain"]) == 0
    assert "s from its end until it was known; exponential backoff would have taken" in capsys.readouterr().err
    with Reader(tmp_path / "results.jsonl.ledger") as reader:
        records = history_of(reader.options).track(SUBTASKS, "processing").records
    assert len(records) == 6
    assert all(record.lo == record.hi for record in records)  # this API tells when a subtask was done
