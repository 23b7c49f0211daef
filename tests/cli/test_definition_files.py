"""Definitions on the command line: files, the catalogue, the keys that are sent, and what a ledger keeps of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acme_kit import ACME, serving
from run_kit import FAST, read_lines, write_lines

from asyncpoll.cli import main
from asyncpoll.definitions import Definition, find
from asyncpoll.ledger import Reader

Output = pytest.CaptureFixture[str]
QUIET = ("--interval", "0.05", "-q")
TWO = """\
name = "acme"
base = "https://api.acme.com/v1"
status = "status"
success = "done"
failed = "error"

[endpoints.renders]
ask = "GET /renders/{id}"

[endpoints.stills]
ask = "GET /stills/{album}/{number}"
ref = { number = "1" }
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The API, which takes one key only; its jobs succeed at once."""
    with serving(Definition.parse(ACME), key="right", outcomes={"success": 1.0}) as running:
        yield running


@pytest.fixture(autouse=True)
def place(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current directory has the file; the environment has the address and the key."""
    monkeypatch.chdir(tmp_path)
    Path("acme.toml").write_text(ACME)
    monkeypatch.setenv("ACME_BASE_URL", server.base_url)
    monkeypatch.setenv("ACME_API_KEY", "right")


def line_of(capsys: Output) -> dict[str, Any]:
    """Return the result that a wait has printed."""
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def problem(capsys: Output) -> str:
    """Return the one line on standard error."""
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


@pytest.mark.parametrize("spec", ["acme.toml", "./acme.toml", "acme.toml#acme.renders"])
def test_a_file_is_an_endpoint(spec: str, capsys: Output) -> None:
    """With or without a slash, and with its endpoint named or not."""
    assert main(["wait", spec, "id=1", *QUIET]) == 0
    result = line_of(capsys)
    assert (result["endpoint"], result["ref"], result["state"]) == ("acme.renders", {"id": "1"}, "success")


def test_one_of_several_endpoints_is_named(server: Any, capsys: Output) -> None:
    """Otherwise the error lists them."""
    Path("two.toml").write_text(TWO)
    assert main(["wait", "two.toml#renders", "id=1", *QUIET]) == 0
    assert line_of(capsys)["endpoint"] == "acme.renders"
    assert main(["wait", "two.toml", "id=1"]) == 2
    assert "two.toml has several endpoints; add # and one of renders, stills" in problem(capsys)
    assert main(["wait", "two.toml#films", "id=1"]) == 2
    assert "two.toml has no endpoint 'films'; choose from acme.renders, acme.stills" in problem(capsys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "acme.toml cannot be used: No such file or directory"),
        ("name = 7", "acme.toml:1: name: "),
        ("name = [", "acme.toml:1: this is not TOML"),
        (ACME.replace("status =", "statu ="), "acme.toml:6: statu: there is no such key; write status"),
    ],
)
def test_a_file_of_no_use_is_one_line(content: str | None, said: str, capsys: Output) -> None:
    """It has the file, the line and the key."""
    Path("acme.toml").unlink()
    if content is not None:
        Path("acme.toml").write_text(content)
    assert main(["wait", "./acme.toml", "id=1"]) == 2
    assert said in problem(capsys)


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (["ids=1"], "acme.renders has no field 'ids'; did you mean id?"),
        (["id=1", "color=red"], "a reference has no 'color'; its fields are id"),
        (["id="], "id"),
    ],
)
def test_a_reference_must_fit(ref: list[str], said: str, capsys: Output) -> None:
    """As those of the endpoints that are built in."""
    assert main(["wait", "acme.toml", *ref]) == 2
    assert said in problem(capsys)


# keys


def test_a_stranger_gets_no_key(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A definition with an address of its own does not choose the key; the cure is named."""
    monkeypatch.delenv("ACME_BASE_URL")
    Path("acme.toml").write_text(ACME.replace("api.acme.com", "acme.evil.example"))
    assert main(["wait", "acme.toml", "id=1"]) == 2
    said = problem(capsys)
    assert "the key in ACME_API_KEY is not sent to https://acme.evil.example unasked" in said
    assert said.endswith("if it should be, pass --key-env ACME_API_KEY\n")
    assert "right" not in said


def test_the_environment_variable_of_a_file_is_not_read(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that is not of the catalogue; it is read if the caller names it."""
    monkeypatch.setenv("ACME_API_KEY", "")
    monkeypatch.setenv("OTHER_KEY", "right")
    Path("acme.toml").write_text('env = "OTHER_KEY"\n' + ACME)
    assert main(["wait", "acme.toml", "id=1"]) == 2
    assert "the environment variable ACME_API_KEY is not set" in problem(capsys)
    assert main(["wait", "acme.toml", "id=1", "--key-env", "OTHER_KEY", *QUIET]) == 0


def test_a_variable_that_is_named_must_be_set(capsys: Output) -> None:
    """Its name is in the message, as the other way to give a key."""
    assert main(["wait", "acme.toml", "id=1", "--key-env", "NO_KEY"]) == 2
    assert problem(capsys) == (
        "asyncpoll: the environment variable NO_KEY is not set; set it to your key, or pass --key-file FILE\n"
    )


def test_one_key_is_named_in_one_way(capsys: Output) -> None:
    """A variable or a file."""
    assert main(["wait", "acme.toml", "id=1", "--key-env", "A", "--key-file", "b"]) == 2
    assert "not allowed with argument" in problem(capsys)


def test_a_key_file_is_sent_to_the_address_of_the_file(capsys: Output) -> None:
    """The caller has named it."""
    Path("key").write_text("right")
    Path("key").chmod(0o600)
    assert main(["wait", "acme.toml", "id=1", "--key-file", "key", *QUIET]) == 0


def test_an_open_api_needs_no_key(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """If its definition says so."""
    monkeypatch.delenv("ACME_API_KEY")
    Path("acme.toml").write_text('auth = "none"\n' + ACME)
    assert main(["wait", "acme.toml", "id=1", *QUIET]) == 6  # this server does need one


def test_a_definition_without_address(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller names it."""
    Path("acme.toml").write_text(ACME.replace('base = "https://api.acme.com/v1"\n', ""))
    assert main(["wait", "acme.toml", "id=1", *QUIET]) == 0
    monkeypatch.delenv("ACME_BASE_URL")
    capsys.readouterr()
    assert main(["wait", "acme.toml", "id=1", "--key-env", "ACME_API_KEY"]) == 2
    assert "there is no base address; write base = ..., or pass --base-url URL\n" in problem(capsys)


def test_each_account_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a built-in client; the name is in the key of the job."""
    monkeypatch.setenv("ACME_API_KEY_TEAM_A", "right")
    monkeypatch.setenv("ACME_API_KEY", "wrong")
    write_lines(Path("jobs"), {"ref": {"id": "1", "client": "team-a"}})
    assert main(["run", "jobs", "-o", "out", "--endpoint", "acme.toml", *FAST]) == 0
    assert read_lines(Path("out"))[0]["ref"] == {"id": "1", "client": "team-a"}


# the catalogue


def test_a_name_of_the_catalogue_is_an_endpoint(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no file, and its own variable holds the key."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", "any")
    with serving(find("replicate.predictions"), outcomes={"success": 1.0}) as replicate:
        words = ["wait", "replicate.predictions", "id=1", "--base-url", replicate.base_url]
        assert main([*words, *QUIET]) == 0
        Path("ids").write_text("1\n")
        where = ["--endpoint", "replicate.predictions", "--base-url", replicate.base_url]
        assert main(["run", "ids", "-o", "out", *where, *FAST]) == 0
        assert main(["resume", "out.ledger", "--retry", "failed", *FAST]) == 0
    assert line_of(capsys)["endpoint"] == "replicate.predictions"
    assert main(["wait", "replicate.prediction", "id=1"]) == 2
    assert "did you mean replicate.predictions?" in problem(capsys)


# runs


def test_a_run_of_ids(capsys: Output) -> None:
    """The ledger keeps the definition, so that the file is not needed again."""
    Path("ids").write_text("1\n2\n")
    assert main(["run", "ids", "-o", "out", "--endpoint", "acme.toml", *FAST]) == 0
    Path("acme.toml").unlink()
    with Reader("out.ledger") as reader:
        assert reader.definitions == {"acme.renders": ACME}
    assert main(["resume", "out.ledger", *FAST]) == 0
    assert main(["status", "out.ledger"]) == 0
    assert "acme.renders" in capsys.readouterr().out
    assert main(["export", "out.ledger", "--format", "csv"]) == 0


def test_unfinished_jobs_are_resumed_without_the_file(server: Any) -> None:
    """With the definition of the ledger, also the lines that had not been read."""
    Path("ids").write_text("1\n2\n")
    nowhere = ["--base-url", "http://127.0.0.1:9", "--timeout", "0.2"]
    assert main(["run", "ids", "-o", "out", "--endpoint", "acme.toml", *nowhere, *FAST]) == 1
    Path("acme.toml").unlink()
    again = ["--retry", "unfinished", "--base-url", server.base_url, "--timeout", "20"]
    assert main(["resume", "out.ledger", *again, *FAST]) == 0


def test_a_run_cannot_change_its_mind(capsys: Output) -> None:
    """A changed file is refused with both cures; the name alone goes on with what the ledger keeps."""
    Path("ids").write_text("1\n")
    assert main(["run", "ids", "-o", "out", "--endpoint", "acme.toml", *FAST]) == 0
    Path("acme.toml").write_text(ACME.replace('"done"', '"ready"'))
    Path("more").write_text("2\n")
    capsys.readouterr()
    assert main(["run", "more", "-o", "out", "--append", "--endpoint", "acme.toml", *FAST]) == 2
    said = problem(capsys)
    assert "was begun with another definition of acme.renders; go on with that one, as asyncpoll resume does" in said
    assert "or use another ledger for the new one" in said
    assert main(["resume", "out.ledger", "--endpoint", "acme.toml", *FAST]) == 2
    assert main(["run", "more", "-o", "out", "--append", "--endpoint", "acme.renders", *FAST]) == 0
    assert main(["run", "ids", "-o", "new", "--endpoint", "acme.toml", "--timeout", "0.3", *FAST]) == 1


def test_a_line_may_name_a_file(capsys: Output) -> None:
    """Or the name of an endpoint of a file that the command line names."""
    jobs = [{"endpoint": "./acme.toml", "ref": {"id": "1"}}, {"endpoint": "./gone.toml", "ref": {"id": "2"}}]
    write_lines(Path("jobs"), *jobs, {"ref": {"id": "3"}})
    assert main(["run", "jobs", "-o", "out", *FAST]) == 1
    said = capsys.readouterr().err
    assert "line 2: gone.toml cannot be used" in said
    assert 'line 3: a job is named by an "endpoint" (text) and a "ref" (object)' in said
    write_lines(Path("jobs"), {"endpoint": "acme.renders", "ref": {"id": "1"}})
    assert main(["run", "jobs", "-o", "two", "--endpoint", "acme.toml", *FAST]) == 0


def test_two_endpoints_of_one_file_share_a_client(server: Any) -> None:
    """So an address and a key may be given for both."""
    Path("two.toml").write_text(TWO)
    lines = [
        {"endpoint": f"./two.toml#{name}", "ref": ref}
        for name, ref in (("renders", {"id": "1"}), ("stills", {"album": "2"}))
    ]
    write_lines(Path("jobs"), *lines)
    assert main(["run", "jobs", "-o", "out", "--base-url", server.base_url, "--timeout", "0.3", *FAST]) == 1
    by_endpoint = {line["endpoint"]: line["state"] for line in read_lines(Path("out"))}
    assert by_endpoint == {"acme.renders": "success", "acme.stills": "unknown"}  # which the server does not know


def test_two_definitions_need_two_addresses(capsys: Output) -> None:
    """In their variables."""
    Path("other.toml").write_text(ACME.replace("acme.renders", "other.films"))
    write_lines(Path("jobs"), *({"endpoint": f"./{name}.toml", "ref": {"id": "1"}} for name in ("acme", "other")))
    assert main(["run", "jobs", "-o", "out", "--base-url", "https://a.example", "--timeout", "0.3", *FAST]) == 2
    assert "and the jobs need two; set ACME_BASE_URL and OTHER_BASE_URL" in capsys.readouterr().err


def test_jobs_of_a_definition_are_submitted(server: Any, capsys: Output) -> None:
    """Each at most once, and the file of jobs is run."""
    write_lines(Path("items"), {"submit": {"scene": "sea"}})
    words = ["submit", "items", "-o", "jobs", "--endpoint", "acme.toml", "--plain"]
    assert main(words) == main(words) == 0
    assert "0 submitted, 1 submitted before" in capsys.readouterr().err
    assert main(["run", "jobs", "-o", "out", "--endpoint", "acme.toml", *FAST]) == 0
    (line,) = read_lines(Path("out"))
    assert server.truth("acme.renders", **line["ref"]).state == line["state"] == "success"
