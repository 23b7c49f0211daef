"""The options that say how the command line reaches an API, and what it does with keys."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_kit import process
from forward_proxy import ForwardProxy, forward_proxy
from raw_server import Act, RawServer, Script, json_reply, raw_server
from server_kit import PATIENCE, TLS, beside, server_side, without_proxies

from asyncpoll.cli import main

KEY = "canary-0123456789"
OTHER = "canary-9876543210"
DONE = {"task_id": "1", "status": "succeeded", "content": "text " * 100}
Output = pytest.CaptureFixture[str]


def network(*, tls: bool = False) -> AbstractContextManager[tuple[RawServer, ForwardProxy]]:
    """Run a server that says that each job is done, and a proxy."""
    script: Script = [Act.READ, json_reply(DONE)] * 4

    @asynccontextmanager
    async def run() -> AsyncGenerator[tuple[RawServer, ForwardProxy]]:
        async with raw_server(script, ssl=server_side() if tls else None) as server, forward_proxy() as proxy:
            yield server, proxy

    return beside(run)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and nothing about proxies or certificates."""
    without_proxies(monkeypatch)
    monkeypatch.setenv("BIGMODEL_API_KEY", KEY)


def wait(server: RawServer, *arguments: str) -> int:
    """Wait for a job at the server."""
    address = ["--base-url", server.url]
    return main(["wait", "bigmodel.file_parser", "task_id=1", *arguments, *address])


def _jobs(path: Path, *refs: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps({"endpoint": "bigmodel.file_parser", "ref": ref}) + "\n" for ref in refs))
    return str(path)


@pytest.mark.parametrize("by", ["option", "environment"])
def test_wait_goes_through_a_proxy(by: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    """It is given, or found in the environment."""
    with network() as (server, proxy):
        if by == "environment":
            monkeypatch.setenv("http_proxy", proxy.url)
        assert wait(server, *(["--proxy", proxy.url] if by == "option" else [])) == 0
        assert len(proxy.asked) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "success"


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that it names is reached directly."""
    with network() as (server, proxy):
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert wait(server) == 0
        assert proxy.asked == []


def test_a_private_authority_is_trusted(tmp_path: Path, capsys: Output) -> None:
    """With --ca-file; without it the certificate is refused."""
    with network(tls=True) as (server, _):
        assert wait(server) == 6
        assert "certificate" in capsys.readouterr().err
        assert wait(server, "--ca-file", str(TLS / "private-ca.pem")) == 0
        for text in ("", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            (tmp_path / "ca").write_text(text)
            assert wait(server, "--ca-file", str(tmp_path / "ca")) == 2
            assert "does not hold certificates; --ca-file takes a file in PEM format" in capsys.readouterr().err
        assert wait(server, "--ca-file", str(tmp_path / "missing")) == 2


def test_the_certificates_of_the_environment_are_trusted() -> None:
    """SSL_CERT_FILE is read by the TLS library when the process starts."""
    with network(tls=True) as (server, _):
        command = ["wait", "bigmodel.file_parser", "task_id=1", "--base-url", server.url]
        ran = process(*command, env={**os.environ, "SSL_CERT_FILE": str(TLS / "private-ca.pem")})
        out, err = ran.communicate(timeout=PATIENCE)
    assert (ran.returncode, json.loads(out)["state"]) == (0, "success"), err


@pytest.mark.parametrize(("size", "status"), [("100", 6), ("10k", 0), ("1M", 0), ("1G", 0)])
def test_the_largest_reply_can_be_set(size: str, status: int, capsys: Output) -> None:
    """In bytes, or with a unit."""
    with network() as (server, _):
        assert wait(server, "--max-body", size, "--timeout", "1") in {status, 4 if status else 0}
    assert ("--max-body" in capsys.readouterr().err) == bool(status)


@pytest.mark.parametrize("size", ["", "0", "-1", "1.5M", "M", "1T", "many"])
def test_a_size_that_is_none_is_a_usage_error(size: str, capsys: Output) -> None:
    """The message has an example."""
    assert main(["wait", "bigmodel.file_parser", "task_id=1", f"--max-body={size}"]) == 2
    assert "is not a number of bytes such as 1000000, 200M or 1G" in capsys.readouterr().err


def test_plain_http_has_to_be_allowed(capsys: Output) -> None:
    """The host need not exist for the difference to show."""
    arguments = [
        "wait",
        "bigmodel.file_parser",
        "task_id=1",
        "--base-url",
        "http://simulator.invalid",
        "--timeout",
        "0.5",
    ]
    assert main(arguments) == 2
    assert "insecure" in capsys.readouterr().err
    assert main([*arguments, "--insecure"]) in {4, 6}


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_bulk_verbs_take_the_options(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does resume, and no proxy is kept in the ledger."""
    with network(tls=True) as (server, proxy):
        monkeypatch.setenv("BIGMODEL_BASE_URL", server.url)
        way = ("--proxy", proxy.url, "--ca-file", str(TLS / "private-ca.pem"))
        if verb == "run":
            jobs = _jobs(tmp_path / "jobs.jsonl", {"task_id": 1})
        else:
            item = {"endpoint": "bigmodel.agents", "submit": {"agent_id": "a", "messages": []}}
            jobs = str(tmp_path / "items.jsonl")
            Path(jobs).write_text(json.dumps(item))
        output = tmp_path / "out.jsonl"
        main([verb, jobs, "-o", str(output), *way])
        assert len(proxy.asked) == 1
        if verb == "run":
            assert json.loads(output.read_text())["ref"] == {"task_id": "1", "format": "text"}
            assert main(["resume", f"{output}.ledger", *way]) == 0
            assert proxy.url.encode() not in Path(f"{output}.ledger").read_bytes()


def test_two_accounts_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    """The field client of a reference says which key is used, also when the run is resumed."""
    with network() as (server, _):
        monkeypatch.setenv("BIGMODEL_BASE_URL", server.url)
        monkeypatch.setenv("BIGMODEL_API_KEY_TEAM_B", OTHER)
        jobs = _jobs(tmp_path / "jobs.jsonl", {"task_id": 1}, {"task_id": 1, "client": "team-b"}, {"client": "Team B"})
        output = tmp_path / "out.jsonl"
        assert main(["run", jobs, "-o", str(output), "--plain"]) == 1
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        assert sorted(line["ref"].get("client", "") for line in lines) == ["", "team-b"]
        keys = {request.split(b"Bearer ")[1].split(b"\r\n")[0].decode() for request in server.requests}
        assert keys == {KEY, OTHER}
        assert "line 3: name must be 1 to 40" in capsys.readouterr().err
        assert wait(server, "client=team-b") == 0
        assert OTHER.encode() in server.requests[-1]
        assert wait(server, "client=team-c") == 2
        assert "BIGMODEL_API_KEY_TEAM_C" in capsys.readouterr().err


def test_an_item_can_name_its_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same item for another account is another item."""
    with network() as (server, _):
        monkeypatch.setenv("BIGMODEL_BASE_URL", server.url)
        monkeypatch.setenv("BIGMODEL_API_KEY_TEAM_B", OTHER)
        submit = {"agent_id": "a", "messages": []}
        lines = [{"endpoint": "bigmodel.agents", "submit": one} for one in (submit, {**submit, "client": "team-b"})]
        (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
        main(["submit", str(tmp_path / "items.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--concurrency", "1"])
        assert [OTHER.encode() in request for request in server.requests] == [False, True]
        assert all(b'"client"' not in request for request in server.requests)


@pytest.mark.parametrize("verb", ["wait", "run", "resume", "submit"])
@pytest.mark.parametrize("option", [("--key", KEY), (f"--key={KEY}",), ("--api-key", KEY), ("--token",)])
def test_a_key_as_an_argument_is_refused(verb: str, option: tuple[str, ...], capsys: Output) -> None:
    """It is not repeated; the message says where it belongs."""
    assert main([verb, "bigmodel.file_parser", "task_id=1", *option]) == 2
    err = capsys.readouterr().err
    assert KEY not in err
    assert "a key on the command line can be seen by other users" in err


@pytest.mark.skipif(os.name != "posix", reason="other systems have other permissions")
@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_key_file_that_others_can_read(mode: int, warnings: int, tmp_path: Path, capsys: Output) -> None:
    """One warning says so, with the cure, and the wait goes on."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(mode)
    with network() as (server, _):
        assert wait(server, "--key-file", str(file)) == 0
    err = capsys.readouterr().err
    assert err.count(f"warning: other users can read {file}; run: chmod 600 {file}") == warnings
    assert KEY not in err
