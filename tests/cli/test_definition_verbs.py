"""The verbs for definitions: show, lint, draft, simulate, rehearse and endpoints."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import signal
import socket
import sys
from pathlib import Path

import pytest
from acme_kit import ACME, forget_modules, write_acme
from cli_kit import process
from server_kit import PATIENCE

from asyncpoll.cli import main
from asyncpoll.definitions import Definition, catalog
from asyncpoll.providers import ENDPOINTS

Output = pytest.CaptureFixture[str]

MUCH = """\
name = "acme"
base = "https://api.acme.com/v1"

[endpoints.films]
description = "films"
ask = { call = "GET /films/{id}", query = { size = "{size}" } }
ref = { size = "small" }
open = true
start = { call = "POST /films", open = true, ref = { id = "id" } }
then = "GET /films/{id}/file"
cancel = "DELETE /films/{id}"
status = "status"
pending = ["queued", 0]
success = ["done", true]
failed = "error"
cancelled = "deleted"
partial = "cut"
absent = "unknown"
missing = "processing"
when = [{ if = { url = { present = true } }, state = "success", kind = "partial" }]
http = { 410 = "timeout" }
group = { ask = "GET /films", each = "films", id = { id = "id" } }

[endpoints.stills]
ask = "GET /stills/{id}"
status = "status"
success = "done"
failed = "error"
"""
WAITERS = {
    "version": 2,
    "waiters": {
        "FilmReady": {
            "delay": 15,
            "maxAttempts": 40,
            "operation": "DescribeFilm",
            "acceptors": [
                {"matcher": "path", "argument": "Film.Status", "expected": "READY", "state": "success"},
                {"matcher": "path", "argument": "Film.Status", "expected": "FAILED", "state": "failure"},
            ],
        }
    },
}
OPENAPI = {
    "openapi": "3.0.3",
    "info": {"title": "Acme", "version": "1"},
    "servers": [{"url": "https://api.acme.com/v1"}],
    "paths": {
        "/films/{id}": {
            "get": {
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "properties": {
                                        "id": {"type": "string"},
                                        "status": {
                                            "type": "string",
                                            "enum": ["queued", "running", "succeeded", "failed"],
                                        },
                                    },
                                }
                            }
                        }
                    }
                }
            }
        }
    },
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current directory has two definitions; the environment has neither key nor address."""
    monkeypatch.chdir(tmp_path)
    Path("acme.toml").write_text(ACME)
    Path("much.toml").write_text(MUCH)
    for variable in ("ACME_API_KEY", "ACME_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)


def printed(capsys: Output, *words: str, status: int = 0) -> list[str]:
    """Return the lines that a command prints to standard output."""
    assert main(words) == status
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_show_has_every_request_and_word(capsys: Output) -> None:
    """Of every endpoint; nothing is sent."""
    lines = printed(capsys, "show", "much.toml")
    for line in (
        "acme.films: films",
        "start POST /films",
        "ask GET /films/{id}",
        "about many GET /films",
        "then GET /films/{id}/file",
        "cancel DELETE /films/{id}",
        "a job is named by id=... size=... ('small' if not given) any other",
        "pending queued, 0",
        "success done, true, cut",
        "partial cut",
        "absent unknown",
        'success (partial) if {"url": {"present": true}}',
        "timeout HTTP 410",
        "processing if there is no word",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("change", "words", "last"),
    [
        ("", [], "requests go to https://api.acme.com, with the key in ACME_API_KEY, which is not set"),
        ("", ["--key-env", "PATH"], "requests go to https://api.acme.com, with the key in PATH, which is set"),
        (
            "",
            ["--base-url", "https://b.example/x"],
            "requests go to https://b.example, with the key in ACME_API_KEY, which is not set",
        ),
        ("api.acme.com", [], "not sent to https://evil.example unasked"),
        ("none", [], "requests go to https://api.evil.example, without a key"),
        ("base", [], "there is no address; pass --base-url URL"),
    ],
)
def test_show_says_which_key_goes_where(change: str, words: list[str], last: str, capsys: Output) -> None:
    """And whether it would be sent, and is set; never the key."""
    text = {
        "": ACME,
        "api.acme.com": ACME.replace("api.acme.com", "evil.example"),
        "none": f'auth = "none"\n{ACME}'.replace("acme.com", "evil.example"),
        "base": ACME.replace("base =", "description ="),
    }[change]
    Path("acme.toml").write_text(text)
    assert last in printed(capsys, "show", "acme.toml", *words)[-1]


def test_a_definition_of_the_catalogue_is_shown(capsys: Output) -> None:
    """By its name; a name that is not there has a suggestion."""
    assert "ask GET /batches/{id}" in printed(capsys, "show", "openai.batches")
    assert "failed if" in " ".join(printed(capsys, "show", "google.operations"))
    assert main(["show", "bigmodel.agents"]) == 2
    assert (
        "bigmodel.agents is built in, in Python rather than by a definition; see asyncpoll endpoints bigmodel.agents"
        in (capsys.readouterr().err)
    )
    for name, cure in (
        ("openai.batch", "did you mean openai.batches?"),
        ("acme_apis:acme", "acme_apis:acme cannot be imported: "),
        ("asyncpoll.providers:BigModel", "asyncpoll.providers:BigModel is not a Definition; name one, or see"),
        ("acme:acme:acme", "no definition 'acme:acme:acme'; name a file such as ./acme.toml, or an endpoint that"),
    ):
        assert main(["show", name]) == 2
        assert cure in capsys.readouterr().err


def test_lint_names_file_and_line(capsys: Output) -> None:
    """Of each finding in each file; without an error it ends well, unless it is to be strict."""
    lines = printed(capsys, "lint", "acme.toml", "much.toml")
    assert any(line.startswith("acme.toml:3: warning: ask: ") for line in lines)
    assert any(line.startswith("much.toml:") for line in lines)
    strict = printed(capsys, "lint", "--strict", "acme.toml", status=1)
    assert strict == [line for line in lines if line.startswith("acme.toml")]
    (facts,) = printed(capsys, "lint", "--json", "acme.toml")
    assert [f"{one['source']}:{one['line']}: {one['level']}" for one in json.loads(facts)] == [
        ":".join(line.split(":")[:3]) for line in strict
    ]


def test_definitions_in_code_are_shown_and_checked(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the current directory, too; behind a # is one of several endpoints."""
    write_acme(Path())
    monkeypatch.setattr(sys, "path", [*sys.path])
    forget_modules()
    assert "ask GET /renders/{id}" in printed(capsys, "show", "acme_apis:defined")
    assert printed(capsys, "show", "acme_apis:several#stills")[0] == "acme.stills"
    assert any(": warning: ask: " in line for line in printed(capsys, "lint", "acme_apis:defined"))
    forget_modules()


def test_lint_finds_errors(capsys: Output) -> None:
    """They exit with 1, as does a file that cannot be used at all; the files after it are read, too."""
    Path("bad.toml").write_text(ACME + '[[example]]\nreply = { status = "done" }\nstate = "failed"\n')
    Path("odd.toml").write_text("name = 7\n")
    lines = printed(capsys, "lint", "odd.toml", "bad.toml", status=1)
    assert lines[0].startswith("odd.toml:1: error: name: ")
    assert any(line.startswith("bad.toml:") and " error: " in line for line in lines)
    Path("void.toml").write_text("")
    Path("list.json").write_text("[1]")
    Path("typo.toml").write_text(ACME.replace("failed =", "failled ="))
    lines = printed(capsys, "lint", "void.toml", "list.json", "typo.toml", status=1)
    assert lines == [
        "void.toml: error: name is missing; write name = ...",
        "list.json: error: this is not a JSON object; write { and the keys of a definition, or name it .toml",
        "typo.toml:10: error: failled: there is no such key; write failed",
    ]
    Path("mute.toml").write_text(ACME.replace('failed = "error"\n', ""))
    assert "mute.toml: warning: failed: no answer means" in printed(capsys, "lint", "mute.toml")[0]
    assert main(["lint", "gone.toml"]) == 2
    assert "gone.toml cannot be used" in capsys.readouterr().err


def test_a_document_is_drafted(capsys: Output) -> None:
    """What is printed is a definition."""
    Path("api.json").write_text(json.dumps(OPENAPI))
    assert main(["draft", "api.json", "--path", "/films/{id}", "--method", "get"]) == 0
    definition = Definition.parse(capsys.readouterr().out)
    assert definition.base == "https://api.acme.com/v1"


def test_a_waiter_is_drafted(capsys: Output) -> None:
    """Its request is in the service's document beside it, as botocore has it, or in one that is named."""
    Path("waiters-2.json").write_text(json.dumps(WAITERS))
    service = {"metadata": {"endpointPrefix": "movies", "protocol": "json", "jsonVersion": "1.1", "targetPrefix": "M"}}
    drafts = []
    for name, words in (("none", []), ("service-2.json.gz", []), ("other.json", ["--service", "other.json"])):
        content = json.dumps(
            {**service, "operations": {"DescribeFilm": {"http": {"method": "POST", "requestUri": "/"}}}}
        )
        Path(name).write_bytes(gzip.compress(content.encode()) if name.endswith("gz") else content.encode())
        assert main(["draft", "waiters-2.json#FilmReady", *words]) == 0
        drafts.append(Definition.parse(capsys.readouterr().out))
    assert [draft.name for draft in drafts[1:]] == ["aws.movies.film_ready"] * 2
    assert drafts[0].name != drafts[1].name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["api.json"], "say what to draft of api.json: --path '/tasks/{id}'"),
        (["api.json#FilmReady", "--path", "/x"], "say what to draft of api.json"),
        (["api.json", "--path", "/x"], "/x"),
        (["gone.json", "--path", "/x"], "gone.json cannot be used"),
        (["waiters.json#Nothing"], "Nothing"),
        (["broken.json", "--path", "/x"], "broken.json: the document is not JSON (Expecting"),
        (["cut.gz", "--path", "/x"], "cut.gz is not text in UTF-8; save it as UTF-8, or name another file"),
        (["latin", "--path", "/x"], "latin is not text in UTF-8; save it as UTF-8, or name another file"),
    ],
)
def test_what_cannot_be_drafted_is_one_line(words: list[str], said: str, capsys: Output) -> None:
    """As every other mistake."""
    Path("api.json").write_text(json.dumps(OPENAPI))
    Path("waiters.json").write_text(json.dumps(WAITERS))
    Path("broken.json").write_text('{"openapi": ')
    Path("cut.gz").write_bytes(gzip.compress(b"{}")[:-8])
    Path("latin").write_bytes(b"\xe9")
    assert main(["draft", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_a_definition_is_simulated() -> None:
    """The server announces what to set and what to try, and logs each request."""
    with process("simulate", "acme.toml", "--port", "0", "--durations", "instant", "--log", "log") as child:
        assert child.stdout is not None
        exports = dict(word.split("=", 1) for word in shlex.split(child.stdout.readline())[1:])
        try:
            words = ["wait", "acme.toml", "id=1", "--interval", "0.05"]
            with process(*words, env={**os.environ, **exports}) as wait:
                assert wait.wait(PATIENCE) in {0, 1}
        finally:
            child.send_signal(signal.SIGINT)
        _, notes = child.communicate(timeout=PATIENCE)
    assert exports.keys() == {"ACME_BASE_URL", "ACME_API_KEY"}
    assert "try: asyncpoll wait acme.toml id=1" in notes
    assert "GET /v1/renders/1 200 acme.renders" in Path("log").read_text()


def test_one_of_several_endpoints_is_tried() -> None:
    """All of them are served."""
    with process("simulate", "much.toml", "--port", "0") as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, notes = child.communicate(timeout=PATIENCE)
    assert "try: asyncpoll wait much.toml#films id=1\n" in notes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--log", "gone/log"], "gone/log"),
        (["gone.toml"], "gone.toml cannot be used"),
        (["acme.toml", "--host", "0.0.0.0"], "other machines could reach 0.0.0.0"),  # noqa: S104  it is refused
    ],
)
def test_what_cannot_be_simulated_is_one_line(words: list[str], said: str, capsys: Output) -> None:
    """And nothing is served."""
    assert main(["simulate", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_port_in_use_is_one_line(capsys: Output) -> None:
    """With what to do; so it is for the built-in simulator."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for file in (["acme.toml"], []):
            assert main(["simulate", *file, "--port", port]) == 2
            said = capsys.readouterr().err
            assert said.startswith("asyncpoll: the server cannot listen: ")
            assert said.endswith("; pass another --host or --port\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_log_on_a_full_disk_stops_nothing() -> None:
    """The line is lost, which is said, and the request is answered."""
    with process("simulate", "acme.toml", "--port", "0", "--durations", "instant", "--log", "/dev/full") as child:
        assert child.stdout is not None
        exports = dict(word.split("=", 1) for word in shlex.split(child.stdout.readline())[1:])
        try:
            with process("wait", "acme.toml", "id=1", env={**os.environ, **exports}) as wait:
                assert wait.wait(PATIENCE) in {0, 1}
        finally:
            child.send_signal(signal.SIGINT)
        _, notes = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0
    assert "a line of /dev/full is lost: No space left on device" in notes
    assert "Traceback" not in notes


def test_a_terminal_without_the_letters() -> None:
    """What its encoding lacks is escaped, as on standard error."""
    Path("acme.toml").write_text(ACME.replace('"queued"', '"wartend ✓ 完"'), encoding="utf-8")
    with process("show", "acme.toml", env={**os.environ, "PYTHONIOENCODING": "ascii"}) as child:
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, err) == (0, "")
    assert r"wartend \u2713 \u5b8c" in out


def test_a_run_is_rehearsed(capsys: Output) -> None:
    """From the durations of jobs, in the first column of a file; a header and empty lines are passed over."""
    Path("jobs.csv").write_text("seconds,name\n30,a\n\n60,b\n300,c\n")
    lines = printed(capsys, "rehearse", "acme.toml", "--durations", "jobs.csv", "--interval", "10")
    assert lines[0] == "3 jobs 3 succeeded, 0 did not"
    assert [line.split(" ")[0] for line in lines] == ["3", "requests", "most", "end", "the"]


def test_a_rehearsal_with_an_outage(capsys: Output) -> None:
    """What is not answered and what is given up is counted; JSON has all figures."""
    Path("jobs").write_text("30\n1000\n")
    words = ["--durations", "jobs", "--interval", "10", "--outage", "15,30", "--timeout", "100", "--arrivals", "0"]
    lines = printed(capsys, "rehearse", "acme.toml", *words)
    assert lines[0] == "2 jobs 1 succeeded, 0 did not; 1 WaitTimeout"
    assert "not answered" in lines[1]
    facts = json.loads("".join(printed(capsys, "rehearse", "acme.toml", *words, "--json")))
    assert (facts["jobs"], facts["succeeded"], facts["errors"]) == (2, 1, {"WaitTimeout": 1})


@pytest.mark.parametrize(
    ("durations", "words", "said"),
    [
        ("", [], "jobs has no durations; write the seconds of a job in every line"),
        ("1\nx\n", [], "jobs:2: not a number of seconds; write one in every line"),
        ("x\n-1\n", [], "jobs:2: not a number of seconds; write one in every line, 0 or more"),
        ("\ufeffx\n", [], "jobs has no durations"),
        ("1\n\udcff\n", [], "jobs is not text in UTF-8; save it as UTF-8, or name another file"),
        ("1\n", ["--outage", "1"], "'1' is not START,SECONDS such as 60,30"),
        ("1\n", ["--outage", "1,x"], "'x' is not a number above 0"),
    ],
)
def test_what_cannot_be_rehearsed_is_one_line(durations: str, words: list[str], said: str, capsys: Output) -> None:
    """With the file and the line."""
    Path("jobs").write_bytes(durations.encode(errors="surrogateescape"))
    assert main(["rehearse", "acme.toml", "--durations", "jobs", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_rehearsal_is_of_one_endpoint(capsys: Output) -> None:
    """The message names the others as the command line does, in a file and in the catalogue."""
    Path("jobs").write_text("1\n")
    for file, cure in (
        ("much.toml", "much.toml has several endpoints; add # and one of films, stills"),
        ("bigquery", "bigquery has several endpoints; name one of bigquery.jobs, bigquery.queries"),
    ):
        assert main(["rehearse", file, "--durations", "jobs"]) == 2
        assert cure in capsys.readouterr().err
    assert main(["wait", "bigquery", "job_id=1"]) == 2
    assert "bigquery has several endpoints; name one of bigquery.jobs, bigquery.queries" in capsys.readouterr().err


def test_endpoints_lists_a_file(capsys: Output) -> None:
    """As it lists those that are built in."""
    lines = printed(capsys, "endpoints", "./much.toml#films", "bigmodel.agents")
    assert "acme.films id=... size=... any other" in lines
    assert "acme.films pending queued, 0" in lines
    assert "ACME_API_KEY not set" in lines
    assert "bigmodel.agents pending pending" in lines


def test_endpoints_lists_the_catalogue(capsys: Output) -> None:
    """With the documents that each was written from, and when."""
    lines = printed(capsys, "endpoints", "--all")
    facts = json.loads("".join(printed(capsys, "endpoints", "--all", "--json")))
    assert facts.keys() == {*ENDPOINTS, *catalog()}
    openai = catalog()["openai.batches"]
    assert facts["openai.batches"] == {"written": openai.written, "documents": list(openai.documents)}
    assert any(line.startswith(f"openai.batches {openai.written} {openai.documents[0]}") for line in lines)
    assert "bigmodel.agents built in" in lines
