"""Endpoints in Python on the command line: by module and attribute, as an entry point, or as a client of one's own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from acme_kit import ACME, forget_modules, serving, write_acme
from run_kit import FAST, read_lines, write_lines

from asyncpoll.cli import main
from asyncpoll.definitions import Definition
from asyncpoll.ledger import Ledger, Reader

Output = pytest.CaptureFixture[str]
RENDERS = "acme_apis:renders"
POLL_FAST = ("--interval", "0.05", "-q")


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The API, which takes one key only; its jobs succeed at once."""
    with serving(Definition.parse(ACME), key="own-key", outcomes={"success": 1.0}) as running:
        yield running


@pytest.fixture(autouse=True)
def place(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The current directory has the module; return the options that say where the API is, and its key."""
    write_acme(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("OWN_KEY", "own-key")
    monkeypatch.setenv("ACME_URL", server.base_url)
    forget_modules()
    yield ["--base-url", server.base_url, "--key-env", "OWN_KEY"]
    forget_modules()


def line_of(capsys: Output) -> dict[str, Any]:
    """Return the result that a wait has printed."""
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def problem(capsys: Output) -> str:
    """Return the one line on standard error."""
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_an_endpoint_in_a_module_is_waited_for(place: list[str], capsys: Output) -> None:
    """A reference that is text is given as `id`; the current directory is looked in, too."""
    assert main(["wait", RENDERS, "id=r1", *place, *POLL_FAST]) == 0
    result = line_of(capsys)
    assert (result["endpoint"], result["ref"], result["state"]) == ("acme.renders", "r1", "success")


def test_a_reference_with_fields_is_restored(place: list[str], capsys: Output) -> None:
    """By `restore` of the endpoint; one that does not fit is named."""
    assert main(["wait", "acme_apis:numbered", "number=7", *place, *POLL_FAST]) == 0
    assert line_of(capsys)["ref"] == {"number": "7"}
    assert main(["wait", "acme_apis:numbered", "id=7", *place]) == 2
    assert "acme.numbered: KeyError: 'number'" in problem(capsys)


def test_an_endpoint_alone_has_no_address(capsys: Output) -> None:
    """It has to be said, and the key if there is one."""
    assert main(["wait", RENDERS, "id=1"]) == 2
    assert "such as that of acme, has no address; pass --base-url URL, and if it needs a key --key-env" in problem(
        capsys
    )


def test_an_endpoint_alone_may_go_without_a_key(place: list[str], capsys: Output) -> None:
    """This API then refuses it."""
    assert main(["wait", RENDERS, "id=1", *place[:2]]) == 6
    assert "401" in capsys.readouterr().err


def test_a_client_of_ones_own_has_address_and_key(capsys: Output) -> None:
    """A class or a function makes it; the arguments of its `job` are the fields of a reference."""
    assert main(["wait", "acme_apis:Acme", "number=3", "kind=x", *POLL_FAST]) == 0
    assert line_of(capsys)["ref"] == "3"
    assert main(["wait", "acme_apis:Acme", "nummer=3"]) == 2
    assert "did you mean number?" in problem(capsys)


def test_options_do_not_reach_a_client_of_ones_own(place: list[str], capsys: Output) -> None:
    """So it is not pretended that they do."""
    assert main(["wait", "acme_apis:Acme", "number=3", *place]) == 2
    assert "acme_apis:Acme makes its own client, which no option changes; leave out --base-url" in problem(capsys)


def test_a_client_with_several_endpoints(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    """The attribute that has the jobs is named behind a `#`."""
    monkeypatch.setenv("BIGMODEL_API_KEY", "any")
    monkeypatch.setenv("BIGMODEL_BASE_URL", "https://127.0.0.1:9")
    words = ["wait", "asyncpoll.providers:BigModel#file_parser", "task_id=1", "-q", "--timeout", "0.2"]
    assert main(words) == 4
    assert line_of(capsys)["endpoint"] == "bigmodel.file_parser"
    assert main(["wait", "asyncpoll.providers:BigModel", "task_id=1"]) == 2
    assert "if an attribute of the client has the last two, add #NAME" in problem(capsys)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("acme_apis:renderz", "acme_apis:renderz cannot be imported: AttributeError"),
        ("no_such_module:renders", "no_such_module:renders cannot be imported: ModuleNotFoundError"),
        ("acme_apis:nothing", "acme_apis:nothing is not an Endpoint, a Definition, or what makes a client"),
        ("acme_apis:read", "acme_apis:read is not an Endpoint, a Definition, or what makes a client"),
        ("broken:renders", "broken:renders cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_code_of_no_use_is_one_line(spec: str, said: str, capsys: Output) -> None:
    """Whatever it raises."""
    Path("broken.py").write_text("1 / 0\n")
    assert main(["wait", spec, "id=1"]) == 2
    assert said in problem(capsys)


def test_a_bulk_run_of_code_can_be_resumed(place: list[str]) -> None:
    """From a file of ids; the ledger remembers where the code is."""
    Path("ids").write_text("a\nb\n")
    assert main(["run", "ids", "-o", "out", "--endpoint", RENDERS, *place, *FAST]) == 0
    assert sorted(line["ref"] for line in read_lines(Path("out"))) == ["a", "b"]
    forget_modules()
    assert main(["resume", "out.ledger", "-o", "again", "--plain"]) == 0
    assert len(read_lines(Path("again"))) == 2


def test_unfinished_jobs_of_code_are_resumed(place: list[str]) -> None:
    """Text and fields, also in a run of several endpoints."""
    lines: list[dict[str, Any]] = [
        {"endpoint": "acme.renders", "ref": "a"},
        {"endpoint": "acme.numbered", "ref": {"number": "b"}},
    ]
    write_lines(Path("jobs"), *lines)
    named = ["--endpoint", RENDERS, "--endpoint", "acme_apis:numbered"]
    nowhere = ["--base-url", "http://127.0.0.1:9", "--key-env", "OWN_KEY", "--timeout", "0.2"]
    assert main(["run", "jobs", "-o", "out", *named, *nowhere, *FAST]) == 1
    assert main(["resume", "out.ledger", "--retry", "unfinished", *place, "--timeout", "20", *FAST]) == 0
    assert [line["ref"] for line in read_lines(Path("out"))[2:]] == [line["ref"] for line in lines]


def test_unfinished_jobs_of_a_client_are_resumed(monkeypatch: pytest.MonkeyPatch, server: Any) -> None:
    """A client of one's own names them by its only field, though the ledger has the reference alone."""
    write_lines(Path("jobs"), {"endpoint": "acme.renders", "ref": {"number": "a"}})
    monkeypatch.setenv("ACME_URL", "http://127.0.0.1:9")
    assert main(["run", "jobs", "-o", "out", "--endpoint", "acme_apis:Acme", "--timeout", "0.2", *FAST]) == 1
    monkeypatch.setenv("ACME_URL", server.base_url)
    assert main(["resume", "out.ledger", "--retry", "unfinished", "--timeout", "20", *FAST]) == 0
    assert [(line["ref"], line["state"]) for line in read_lines(Path("out"))[1:]] == [("a", "success")]


def test_a_table_of_jobs_of_code(place: list[str]) -> None:
    """Fields that nothing names are in columns that begin with "ref."."""
    Path("jobs.csv").write_text("endpoint,ref.number,row\nacme.numbered,5,x\n")
    assert main(["run", "jobs.csv", "-o", "out", "--endpoint", "acme_apis:numbered", *place, *FAST]) == 0
    (line,) = read_lines(Path("out"))
    assert (line["ref"], line["meta"]) == ({"number": "5"}, {"row": "x"})


def test_ids_cannot_name_jobs_with_fields(place: list[str], capsys: Output) -> None:
    """The header that is needed is named."""
    Path("ids").write_text("1\n")
    assert main(["run", "ids", "-o", "out", "--endpoint", "acme_apis:numbered", *place]) == 2
    assert "is not named by one id; give a CSV with a header, with columns ref.NAME" in capsys.readouterr().err


def test_a_ledger_of_a_program_is_resumed(place: list[str], capsys: Output) -> None:
    """The command line must be told where its endpoint is, and says so."""

    async def begin() -> None:
        async with Ledger("program.db") as ledger:
            await ledger.enter([('acme.renders:"x"', "acme.renders", "x")])
            await ledger.keep({})

    asyncio.run(begin())
    assert main(["resume", "program.db", *place, *FAST]) == 2
    assert "no endpoint 'acme.renders'; choose one of" in capsys.readouterr().err
    assert main(["resume", "program.db", "--endpoint", RENDERS, *place, *FAST]) == 0
    with Reader("program.db") as reader:
        assert [record.state for record in reader.records()] == ["success"]


def test_a_line_does_not_name_code(place: list[str], capsys: Output) -> None:
    """A file of jobs may come from elsewhere: code is named on the command line, too."""
    write_lines(Path("jobs"), {"endpoint": RENDERS, "ref": "a"})
    assert main(["run", "jobs", "-o", "out", *place, *FAST]) == 1
    assert "line 1: 'acme_apis:renders' is code; name it first: --endpoint acme_apis:renders" in capsys.readouterr().err
    assert "acme_apis" not in sys.modules
    assert main(["run", "jobs", "-o", "two", "--endpoint", RENDERS, *place, *FAST]) == 0


def test_a_reference_must_fit_the_endpoint(place: list[str], capsys: Output) -> None:
    """Nothing is not a reference, and a client of Python code has no name."""
    for number, ref in enumerate((None, {"id": "a", "client": "team"}, {"id": 5})):
        write_lines(Path("jobs"), {"endpoint": "acme.renders", "ref": ref})
        assert main(["run", "jobs", "-o", f"{number}", "--endpoint", RENDERS, *place, *FAST]) in {1, 2}
    said = capsys.readouterr().err
    assert 'line 1: a job is named by an "endpoint"' in said
    assert "endpoints in Python have one client; leave 'client' out" in said
    assert "line 1: a reference that is not text can be made again only by" in said


def test_code_of_two_vendors_needs_two_runs(place: list[str], capsys: Output) -> None:
    """Since an address, and a key, are those of one vendor."""
    names = ("acme.renders", "./other.toml")
    Path("other.toml").write_text(ACME.replace("acme.renders", "other.films"))
    write_lines(Path("jobs"), *({"endpoint": name, "ref": {"id": "1"}} for name in names))
    assert main(["run", "jobs", "-o", "out", "--endpoint", RENDERS, *place, *FAST]) == 2
    assert "is the address of one provider, and the jobs need two; wait for them in two runs" in capsys.readouterr().err


def test_jobs_of_code_are_submitted(place: list[str], server: Any) -> None:
    """If its endpoint can start them; the lines of the jobs go into a run."""
    write_lines(Path("items"), {"submit": {"scene": "sea"}})
    assert main(["submit", "items", "-o", "jobs", "--endpoint", RENDERS, *place, "--plain"]) == 0
    (line,) = read_lines(Path("jobs"))
    assert line["endpoint"] == "acme.renders"
    assert server.truth("acme.renders", id=line["ref"]).state == "success"
    assert main(["run", "jobs", "-o", "out", "--endpoint", RENDERS, *place, *FAST]) == 0


def test_an_endpoint_without_start_is_not_submitted(place: list[str], capsys: Output) -> None:
    """It is said of the line, as of arguments that do not fit."""
    write_lines(Path("items"), {"submit": {}}, {"endpoint": "acme.renders", "submit": {"color": "red"}})
    named = ["--endpoint", "acme_apis:numbered", "--endpoint", RENDERS]
    assert main(["submit", "items", "-o", "jobs", *named, *place, "--plain"]) == 1
    said = capsys.readouterr().err
    assert "line 1: jobs of acme.numbered are not started on their own" in said
    assert "line 2: refused: " in said


def test_an_entry_point_is_an_endpoint(place: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is that of the endpoint, so lines and ledgers find it."""
    metadata = Path("acme_apis-1.0.dist-info")
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-apis\nVersion: 1.0\n")
    entries = """
        [asyncpoll.endpoints]
        acme.renders = acme_apis:renders
        acme.films = acme_apis:several
        acme.gone = acme_apis:gone
        acme.other = acme_apis:renders
    """
    (metadata / "entry_points.txt").write_text(dedent(entries))
    monkeypatch.syspath_prepend(".")
    assert main(["wait", "acme.renders", "id=1", *place, *POLL_FAST]) == 0
    assert line_of(capsys)["ref"] == "1"
    assert main(["wait", "acme.films", "id=1", *place, *POLL_FAST]) == 0
    assert line_of(capsys)["endpoint"] == "acme.films"
    assert main(["wait", "acme.other", "id=1", *place]) == 2
    assert "the entry point acme.other is the endpoint acme.renders; both must have the same name" in problem(capsys)
    assert main(["wait", "acme.gone", "id=1", *place]) == 2
    assert "the entry point acme.gone cannot be imported: AttributeError" in problem(capsys)


def test_a_definition_in_a_module(place: list[str], capsys: Output) -> None:
    """It is as good as its file, with one endpoint or several."""
    assert main(["wait", "acme_apis:defined", "id=1", *place, *POLL_FAST]) == 0
    assert line_of(capsys)["ref"] == {"id": "1"}
    assert main(["wait", "acme_apis:several#films", "id=1", *place, *POLL_FAST]) == 0
    assert line_of(capsys)["endpoint"] == "acme.films"
