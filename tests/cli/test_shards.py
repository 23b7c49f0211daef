"""`asyncpoll run --shard 3/8`: machines share the lines of one file, and `asyncpoll export` merges their ledgers."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_kit import SILENCE, simulator
from run_kit import FAST, SUBTASKS, environment, live, make_ledger, numbers, read_lines, subtask, write_lines

from asyncpoll.cli import main
from asyncpoll.cli._ingest import LineIngest, shard_of
from asyncpoll.cli._lines import BadLine, Line, read_jobs
from asyncpoll.clients import Clients
from asyncpoll.ledger import Reader
from asyncpoll.providers import Molizhishu
from asyncpoll.simulator import Simulator

Output = pytest.CaptureFixture[str]
BAD = ("{", '{"endpoint": "nowhere", "ref": {}}', '{"endpoint": "bigmodel.agents"}', "[1]", '"\\ud800"')


@pytest.fixture(autouse=True)
def _in_a_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let each test have its own current directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator in which nine subtasks succeed at once, and a file of them in the current directory."""
    with simulator() as running:
        for number in range(1, 10):
            live(running, number)
        for name, value in environment(running).items():
            monkeypatch.setenv(name, value)
        write_lines(Path("jobs"), *map(subtask, range(1, 10)), "{", subtask(1), "odd", subtask(9), "[]", "[]")
        yield running


def run(shard: str | None, output: str, *arguments: str) -> int:
    """Run a share of the file."""
    share = () if shard is None else ("--shard", shard)
    return main(["run", "jobs", "-o", output, *share, *FAST, *arguments])


def ledger_of(path: Path, shard: str, *endings: str | None) -> Path:
    """Make a ledger of a run that has a share of its input."""
    return make_ledger(path, *endings, options={"shard": shard})


async def test_each_line_is_in_one_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """For any count: the shards together are the input exactly, with duplicates and bad lines."""
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "any")
    chance = random.Random(7)
    lines: list[Any] = [subtask(chance.randrange(60)) for _ in range(150)]
    for bad in BAD * 2:
        lines.insert(chance.randrange(len(lines)), bad)
    path = write_lines(Path("jobs"), *lines)

    async def jobs_of(shard: str | None) -> tuple[list[str], int]:
        async def each() -> AsyncGenerator[Line | BadLine, None]:
            with path.open("rb") as file:
                for line in read_jobs(file):
                    yield line

        async with Clients() as clients:
            ingest = LineIngest(clients, shard)
            return [job.key async for job in ingest.each(each())], ingest.bad.number

    whole, refused = await jobs_of(None)
    assert (len(whole), refused) == (150, 2 * len(BAD))
    for count in (1, 2, 3, 8, 40):
        shares = [await jobs_of(f"{number}/{count}") for number in range(1, count + 1)]
        keys = [Counter(share) for share, _ in shares]
        assert sum(keys, Counter()) == Counter(whole)
        assert sum(len(one) for one in keys) == len(set(whole))
        assert sum(number for _, number in shares) == refused
        if count == 2:
            assert min(len(one) for one in keys) > 0.5 * len(set(whole)) / count


def test_a_share_is_the_same_everywhere() -> None:
    """The hash is fixed: a ledger of today and a machine of tomorrow agree. Bad lines go round."""
    client = Molizhishu("any", transport=SILENCE)
    jobs = [client.subtasks.job(task_id=f"t{number}", sub_task_id=str(number)) for number in range(1, 9)]
    assert [shard_of(job, 8) for job in jobs] == [2, 2, 5, 3, 2, 3, 1, 5]
    assert [shard_of(BadLine(number, ""), 3) for number in range(1, 7)] == [1, 2, 3, 1, 2, 3]


def test_shards_are_run_and_merged(world: Simulator, capsys: Output) -> None:
    """Each job is asked about by one of the runs, each bad line is reported by one; export makes one file of all."""
    codes = [run(f"{number}/3", f"{number}.jsonl") for number in (1, 2, 3)]
    said = capsys.readouterr().err
    assert set(codes) <= {0, 1}
    assert 1 in codes
    assert [said.count(f"line {number}: ") for number in (10, 12, 14, 15)] == [1, 1, 1, 1]
    assert world.counts[SUBTASKS] == 9
    assert main(["export", *(f"{number}.jsonl.ledger" for number in (1, 2, 3)), "-o", "all.jsonl"]) == 0
    assert numbers(Path("all.jsonl")) == [str(number) for number in range(1, 10)]
    assert capsys.readouterr().err == ""
    whole = [line for number in (1, 2, 3) for line in read_lines(Path(f"{number}.jsonl"))]
    assert read_lines(Path("all.jsonl")) == whole


def test_one_shard_of_one_is_everything(world: Simulator) -> None:
    """So a script may always pass the option, and the ledger is that of a whole run."""
    assert run("1/1", "out.jsonl") == 1  # the bad lines
    assert run(None, "out.jsonl") == 1
    assert numbers(Path("out.jsonl")) == [str(number) for number in range(1, 10)]


@pytest.mark.parametrize(
    "shard", ["x", "0/8", "9/8", "3", "3/", "/8", "-1/8", "1/0", "1.5/8", "1/8/2", "٣/8", "1/9999999"]
)
def test_what_is_not_a_shard_is_refused(shard: str, capsys: Output) -> None:
    """With one line that shows what is meant."""
    assert main(["run", "jobs", "-o", "out", f"--shard={shard}"]) == 2
    words = f"asyncpoll run: argument --shard: {shard!r} is not N/COUNT such as 3/8, with N from 1 to COUNT; see "
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("2/3", "3/3", "holds shard 2/3, not shard 3/3"),
        ("2/3", "2/4", "holds shard 2/3, not shard 2/4"),
        ("2/3", None, "holds shard 2/3, not all jobs of its input"),
        (None, "2/3", "holds all jobs of its input, not shard 2/3"),
    ],
)
def test_another_shard_is_refused(
    world: Simulator, first: str | None, second: str | None, words: str, capsys: Output
) -> None:
    """One line, with both cures; nothing is sent, and the same shard goes on."""
    run(first, "out.jsonl")
    before = world.requests
    capsys.readouterr()
    assert run(second, "out.jsonl") == 2
    said = capsys.readouterr().err
    path = Path("out.jsonl.ledger")
    assert said == f"asyncpoll: {path} {words}; choose another --ledger, or go on with: asyncpoll resume {path}\n"
    assert run("02/003" if first else None, "out.jsonl") in {0, 1}
    assert world.requests == before


def test_resume_knows_its_shard(world: Simulator, capsys: Output) -> None:
    """The numbers are in the ledger; the rest of the input is read, and of that its share."""
    run("2/3", "2.jsonl")
    expected = numbers(Path("2.jsonl"))
    with Reader(Path("2.jsonl.ledger")) as reader:
        options = {**reader.options, "complete": False, "output": None}
    assert options["shard"] == "2/3"
    make_ledger(Path("begun.db"), options=options)
    capsys.readouterr()
    main(["resume", "begun.db", "--plain"])
    main(["export", "begun.db", "-o", "again.jsonl"])
    assert numbers(Path("again.jsonl")) == expected
    assert 0 < len(expected) < 9
    assert world.requests == 2 * len(expected)


def test_strict_checks_the_whole_file(world: Simulator, capsys: Output) -> None:
    """Nothing of any shard is sent while there is a bad line anywhere."""
    assert [run(f"{number}/3", "out.jsonl", "--strict") for number in (1, 2, 3)] == [2, 2, 2]
    assert "4 bad lines; nothing was sent (--strict)" in capsys.readouterr().err
    assert world.requests == 0


def test_status_and_report_show_the_shard(capsys: Output) -> None:
    """To people and to programs; without one, nothing is said."""
    ledger_of(Path("a.db"), "3/8", "success", None)
    assert main(["status", "a.db"]) == 0
    assert capsys.readouterr().out.startswith("1 of 2 jobs of shard 3/8 finished; not running\n")
    assert main(["status", "a.db", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shard"] == "3/8"
    assert main(["report", "a.db", "-o", "-"]) == 0
    assert "<dt>Shard</dt><dd>3/8<small>of the input</small></dd>" in capsys.readouterr().out
    make_ledger(Path("b.db"), "success")
    assert main(["status", "b.db", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shard"] is None
    assert main(["report", "b.db", "-o", "-"]) == 0
    assert "Shard" not in capsys.readouterr().out


# merging


def exported(capsys: Output, *ledgers: str) -> tuple[list[tuple[str, str, str | None]], str]:
    """Return the outcomes that are printed, and what else is said."""
    assert main(["export", *ledgers]) == 0
    out, err = capsys.readouterr()
    return [
        (line["ref"]["sub_task_id"], line["state"], line["value"] and "value")
        for line in map(json.loads, out.splitlines())
    ], err


def test_of_a_job_in_several_ledgers_a_success_counts(capsys: Output) -> None:
    """In any order; else what was recorded later. It is said how many there are."""
    make_ledger(Path("a"), "success", "failed", None, "failed", "WaitTimeout")
    make_ledger(Path("b"), "failed", "success", "failed", "cancelled", None, "success")
    make_ledger(Path("c"), "failed")
    said = "asyncpoll: 3 jobs in several ledgers; a success counts, else the later outcome\n"
    first = [("1", "success", "value"), ("5", "unknown", None)]
    others = [
        ("2", "success", "value"),
        ("3", "failed", "value"),
        ("4", "cancelled", "value"),
        ("6", "success", "value"),
    ]
    assert exported(capsys, "a", "b", "c") == ([*first, *others], said)
    assert exported(capsys, "c", "b", "a") == ([*others, *first], said)


def test_copies_of_a_ledger_are_one(capsys: Output) -> None:
    """Each job once."""
    make_ledger(Path("a"), "success", "failed", None)
    shutil.copy("a", "b")
    lines, said = exported(capsys, "a", "b")
    assert [number for number, *_ in lines] == ["1", "2"]
    assert said.startswith("asyncpoll: 2 jobs in several ledgers; ")


def test_a_timeout_is_not_a_success(capsys: Output) -> None:
    """Whatever was seen last; so the later end of the wait counts."""
    make_ledger(Path("a"), "WaitTimeout")
    make_ledger(Path("b"), "Rejected")
    assert main(["export", "b", "a", "--format", "csv"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert row["state"] == "unknown"


@pytest.mark.parametrize(
    ("shards", "missing"),
    [
        (["1/3", "3/3"], "2/3"),
        (["1/2", "2/2"], ""),
        (["1/2", "x"], "2/2"),
        (["x", "None"], ""),
        (["10/10", "3/10"], "1/10, 2/10, 4/10, 5/10, 6/10 and others"),
    ],
)
def test_missing_shards_are_named(shards: list[str], missing: str, capsys: Output) -> None:
    """A few of them: results that lack a machine look complete otherwise."""
    for number, shard in enumerate(shards):
        ledger_of(Path(str(number)), shard)
    _, said = exported(capsys, *map(str, range(len(shards))))
    assert said == (f"asyncpoll: not among these ledgers: shard {missing}\n" if missing else "")


def test_no_ledger_is_replaced_by_its_export(capsys: Output) -> None:
    """Not the second one either."""
    for name in ("a", "b"):
        make_ledger(Path(name), "success")
    before = Path("b").read_bytes()
    assert main(["export", "a", "b", "-o", "b"]) == 2
    assert "b is the ledger itself" in capsys.readouterr().err
    assert Path("b").read_bytes() == before


def test_a_missing_ledger_is_one_line(capsys: Output) -> None:
    """And no file is made."""
    make_ledger(Path("a"), "success")
    assert main(["export", "a", "gone", "-o", "out"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not Path("out").exists()
