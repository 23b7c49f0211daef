"""Files of jobs as people have them: bare ids, tables from spreadsheets, further columns, and wrong headers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import KEY, simulator
from run_kit import FAST, environment, live, read_lines

from asyncpoll.cli import main
from asyncpoll.ledger import Reader
from asyncpoll.simulator import Constant, Simulator

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def world() -> Iterator[Simulator]:
    """A simulator in which everything succeeds at once."""
    at_once = Constant(0)
    always = {"bigmodel.file_parser": {"succeeded": 1.0}}
    with simulator(molizhishu_token=KEY, pending=at_once, processing=at_once, outcomes=always) as running:
        live(running, 1)
        live(running, 2)
        yield running


@pytest.fixture(autouse=True)
def surrounded(world: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys and addresses in the environment; the current directory is empty."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(world).items():
        monkeypatch.setenv(name, value)


def run(content: bytes, *arguments: str, output: str = "out.jsonl") -> int:
    """Run the jobs of a file with this content."""
    Path("jobs").write_bytes(content)
    return main(["run", "jobs", "-o", output, *FAST, *arguments])


def ids(output: str = "out.jsonl") -> list[str]:
    """Return the task ids in the results."""
    return sorted(line["ref"]["task_id"] for line in read_lines(Path(output)))


@pytest.mark.parametrize(
    "content",
    [
        b"one\ntwo\n",
        b"\xef\xbb\xbfone\r\n\r\n  two \r\n",
        b"task_id\none\ntwo\n",
        b"id\none\ntwo\n",
        b"name,task_id\nfirst,one\n,two\n",
        b'{"ref": {"task_id": "one"}}\n{"endpoint": "bigmodel.file_parser", "ref": {"task_id": "two"}}\n',
    ],
)
def test_endpoint_for_a_file_of_ids(content: bytes) -> None:
    """With --endpoint a file has an id in each line, or a column of ids, with or without a header."""
    assert run(content, "--endpoint", "bigmodel.file_parser") == 0
    assert ids() == ["one", "two"]


def test_endpoint_counts_when_the_run_goes_on() -> None:
    """It is kept in the ledger."""
    assert run(b"one\n", "--endpoint", "bigmodel.file_parser") == 0
    assert run(b"one\ntwo\n", "--endpoint", "bigmodel.file_parser") == 0
    assert main(["resume", "out.jsonl.ledger", *FAST]) == 0
    assert ids() == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "arguments", "complaint"),
    [
        (b"endpoint;task_id\nx;1\n", (), "line 1: the columns are separated by semicolons; separate them with commas"),
        (b"endpoint\ttask_id\nx\t1\n", (), "line 1: the columns are separated by tabs; separate them with commas"),
        (b"name;task_id\nx;1\n", ("--endpoint", "molizhishu.tasks"), "are separated by semicolons"),
        (b"task_id,name\n1,x\n", (), "line 1: the header has no column 'endpoint'; add it, or pass --endpoint NAME"),
        (
            b"\xef\xbb\xbftask_id\r\n1\r\n",
            (),
            "line 1: the header has no column 'endpoint'; add it, or pass --endpoint",
        ),
        (b"Endpoint,task_id\nx,1\n", (), "the header has no column 'endpoint'; is it 'Endpoint'? rename it"),
        (b"taskid,name\n1,x\n", ("--endpoint", "molizhishu.tasks"), "no column 'task_id'; is it 'taskid'? rename it"),
        (b"endpoint,task_id,task_id\n", (), "the header names a column twice"),
        (b"\xff\xfee\0n\0d\0", (), "the file is UTF-16; save it as UTF-8"),
        (
            b"1\n",
            ("--endpoint", "molizhishu.subtasks"),
            "is not named by one id; give a CSV with a header, with columns",
        ),
        (b"1\n", ("--endpoint", "molizhishu.task"), "no endpoint 'molizhishu.task'; choose one of"),
    ],
)
def test_a_file_of_no_use_is_named_as_what_it_is(
    content: bytes, arguments: tuple[str, ...], complaint: str, capsys: Output
) -> None:
    """The file as a whole is refused with 2, in one line, and nothing is made."""
    assert run(content, *arguments) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["jobs"]


def test_a_table_from_a_spreadsheet() -> None:
    """A byte order mark, CRLF, a quoted line break, empty rows and columns, and spaces around an id do no harm."""
    table = (
        b"\xef\xbb\xbfendpoint,task_id,sub_task_id,note,\r\n"
        b'molizhishu.subtasks, t1 ,1,"two\r\nlines",\r\n'
        b",,,,\r\n"
        b"molizhishu.subtasks,t2,2,,\r\n"
    )
    assert run(table) == 0
    assert ids() == ["t1", "t2"]


def test_a_misspelled_column_is_named(capsys: Output) -> None:
    """The field that was meant is suggested, for each row."""
    assert run(b"endpoint,taskid,name\nmolizhishu.tasks,1,x\n") == 1
    err = capsys.readouterr().err
    assert "line 2: molizhishu.tasks has no field 'taskid'; did you mean task_id?" in err


def test_an_empty_file_is_an_empty_run(capsys: Output) -> None:
    """It has no bad line, and nothing fails."""
    assert run(b"\n\n") == 0
    assert "0 of 0 ended: none" in capsys.readouterr().err


def test_an_id_that_is_not_text_is_a_bad_line(capsys: Output) -> None:
    """The others are waited for."""
    assert run(b"\xe9\none\n", "--endpoint", "bigmodel.file_parser") == 1
    assert "line 1: not UTF-8" in capsys.readouterr().err
    assert ids() == ["one"]


def test_a_file_of_ids_without_an_endpoint_has_a_cure(capsys: Output) -> None:
    """The message about its first line names the option."""
    assert run(b"one\ntwo\n") == 1
    assert "line 1: not JSON; for a file of ids pass --endpoint NAME" in capsys.readouterr().err


META = {"customer": "Ada", "note": "two\nlines"}
REF = {"task_id": "t1", "sub_task_id": "1"}
JOB = {"endpoint": "molizhishu.subtasks", "ref": REF}


@pytest.mark.parametrize(
    "content",
    [
        'endpoint,customer,task_id,sub_task_id,note\nmolizhishu.subtasks,Ada,t1,1,"two\nlines"\n',
        json.dumps({**JOB, **META}),
        json.dumps({**JOB, "meta": META}),
    ],
)
def test_further_columns_come_back_in_the_results(content: str) -> None:
    """So do further keys of a line of JSON; they are not sent, and are not a part of the reference."""
    assert run(content.encode()) == 0
    [line] = read_lines(Path("out.jsonl"))
    assert line["meta"] == META
    assert line["ref"] == REF


@pytest.mark.parametrize("at", ["1700000000", "2023-11-14T22:13:20Z", ""])
def test_a_line_may_tell_when_its_job_was_submitted(at: str) -> None:
    """As a column or a key, which is not one of the caller's own; the ledger keeps it."""
    kept = None if at == "" else 1_700_000_000.0
    contents = [
        f"endpoint,task_id,sub_task_id,submitted_at\nmolizhishu.subtasks,t1,1,{at}\n",
        json.dumps({**JOB, "submitted_at": at}),
        json.dumps({**JOB, "submitted_at": kept}),
    ]
    for number, content in enumerate(contents):
        assert run(content.encode(), output=f"{number}.jsonl") == 0
        [line] = read_lines(Path(f"{number}.jsonl"))
        assert "meta" not in line
        with Reader(Path(f"{number}.jsonl.ledger")) as reader:
            assert [entry.submitted_at for entry in reader.entries()] == [kept]


@pytest.mark.parametrize("at", ["yesterday", "2023-11-14T22:13:20", 1.7e12, [1], True, -5])
def test_a_time_that_is_none_makes_a_bad_line(at: object, capsys: Output) -> None:
    """One line says what is expected."""
    assert run(json.dumps({**JOB, "submitted_at": at}).encode()) == 1
    assert "line 1: submitted_at must be Unix time in seconds or ISO 8601 with a zone" in capsys.readouterr().err


@pytest.mark.parametrize("pacing", ["mode=search", ""])
def test_a_line_may_tell_what_predicts_its_duration(pacing: str) -> None:
    """As a column or a key, which is not one of the caller's own; the ledger keeps it."""
    contents = [
        f"endpoint,task_id,sub_task_id,pacing\nmolizhishu.subtasks,t1,1,{pacing}\n",
        json.dumps({**JOB, "pacing": pacing}),
        json.dumps({**JOB, "pacing": pacing or None}),
    ]
    for number, content in enumerate(contents):
        assert run(content.encode(), output=f"{number}.jsonl") == 0
        [line] = read_lines(Path(f"{number}.jsonl"))
        assert "meta" not in line
        with Reader(Path(f"{number}.jsonl.ledger")) as reader:
            assert [entry.pacing for entry in reader.entries()] == [pacing or None]


def test_what_predicts_is_text(capsys: Output) -> None:
    """One line says so."""
    assert run(json.dumps({**JOB, "pacing": 7}).encode()) == 1
    assert "line 1: pacing must be text, not int" in capsys.readouterr().err


def test_further_keys_have_a_bound(capsys: Output) -> None:
    """A line with more of them than a ledger keeps is a bad one."""
    assert run(json.dumps({**JOB, "note": "x" * 70_000}).encode()) == 1
    assert "line 1: the further columns or keys take more than 64 KiB" in capsys.readouterr().err


def test_the_columns_of_a_table_are_columns_of_the_results() -> None:
    """A CSV of results has the further columns by their names."""
    table = b"endpoint,customer,task_id,sub_task_id\nmolizhishu.subtasks,Ada,t1,1\nmolizhishu.subtasks,Bob,t2,2\n"
    assert run(table, output="out.csv") == 0
    with Path("out.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["customer"])
    assert [row["customer"] for row in rows] == ["Ada", "Bob"]
    assert [json.loads(row["ref"])["task_id"] for row in rows] == ["t1", "t2"]


def test_fields_of_an_open_reference_have_a_prefix() -> None:
    """Where an endpoint takes any fields, a column is the caller's own unless it begins with "ref."."""
    head = b"endpoint,agent_id,async_id,ref.conversation_id,customer\n"
    assert run(head + b"bigmodel.agents,a,b,c,Ada\nbigmodel.agents,a,d,,Bob\n") in {0, 1}
    refs = {line["ref"]["async_id"]: line["ref"] for line in read_lines(Path("out.jsonl"))}
    assert refs["b"] == {"async_id": "b", "agent_id": "a", "conversation_id": "c"}
    assert refs["d"] == {"async_id": "d", "agent_id": "a"}
