"""The same from a terminal: proxies, certificates, plain http, large answers, integer ids, bad answers, accounts."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from field_kit import KEY
from forward_proxy import ForwardProxy, forward_proxy
from raw_server import Act, RawServer, Script, json_reply, raw_server
from server_kit import TLS, beside, server_side, serving, without_proxies

from asyncpoll.cli import main

DONE = {"task_id": "1", "status": "succeeded", "content": "text"}
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keys, and nothing about proxies."""
    without_proxies(monkeypatch)
    monkeypatch.setenv("BIGMODEL_API_KEY", KEY)
    monkeypatch.setenv("MOLIZHISHU_TOKEN", KEY)


def network(
    *answers: bytes, tls: bool = False, credential: str | None = None
) -> Callable[[], AbstractAsyncContextManager[tuple[RawServer, ForwardProxy]]]:
    """Return what runs a server with these answers on each connection, and a proxy that calls it "simulator"."""
    script: Script = [step for answer in answers for step in (Act.READ, answer)]

    @asynccontextmanager
    async def run() -> AsyncGenerator[tuple[RawServer, ForwardProxy]]:
        hosts: dict[str, str] = {}
        async with (
            raw_server(script, ssl=server_side() if tls else None) as server,
            forward_proxy(credential, hosts=hosts) as proxy,
        ):
            hosts["simulator"] = server.url.partition("://")[2]
            yield server, proxy

    return run


def wait(*arguments: str, endpoint: str = "bigmodel.file_parser", ref: str = "task_id=1") -> int:
    """Wait for a job, polling often."""
    return main(["wait", endpoint, ref, "--interval", "0.01", "--timeout", "20", *arguments])


@pytest.mark.parametrize("credential", [None, f"user:{KEY}"])
def test_a_wait_goes_through_a_proxy_with_a_private_ca(credential: str | None, capsys: Output) -> None:
    """The proxy gets one CONNECT, and nothing on the way tells its password."""
    with beside(network(json_reply(DONE), tls=True, credential=credential)) as (server, proxy):
        way = proxy.url if credential is None else proxy.url_with_credential
        status = wait("--proxy", way, "--ca-file", str(TLS / "private-ca.pem"), "--base-url", server.url)
        assert (status, len(proxy.asked)) == (0, 1)
    out, err = capsys.readouterr()
    assert json.loads(out)["state"] == "success"
    assert KEY not in out + err


def test_a_proxy_that_refuses_is_named(capsys: Output) -> None:
    """The exit status is that of a refusal, and the message has the cure."""
    with beside(network(json_reply(DONE), credential="user:right")) as (server, proxy):
        assert wait("--proxy", proxy.url, "--base-url", server.url) == 6
    assert "pass its user and password" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["wait", "run"])
def test_a_host_inside_a_cluster_is_reached(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    """Plain http to another host needs --insecure; the address may come from the environment."""
    (tmp_path / "jobs.jsonl").write_text('{"endpoint": "bigmodel.file_parser", "ref": {"task_id": 1}}\n')
    monkeypatch.setenv("BIGMODEL_BASE_URL", "http://simulator:8765/api")
    run = ["run", str(tmp_path / "jobs.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--plain"]
    with beside(network(json_reply(DONE))) as (server, proxy):
        way = ["--proxy", proxy.url]
        assert (wait(*way) if verb == "wait" else main([*run, *way])) in {1, 2}
        assert "insecure" in capsys.readouterr().err
        assert (wait(*way, "--insecure") if verb == "wait" else main([*run, *way, "--insecure"])) == 0
        assert b"Host: simulator:8765" in server.requests[0]


def test_a_large_answer_is_read_and_a_limit_is_named(capsys: Output) -> None:
    """9 MiB of text come in one line of JSON; with a smaller --max-body the message names the setting."""
    with beside(network(json_reply({**DONE, "content": "x" * (9 << 20)}))) as (server, _):
        assert wait("--base-url", server.url) == 0
        assert len(json.loads(capsys.readouterr().out)["value"]["content"]) == 9 << 20
        assert main(["wait", "bigmodel.file_parser", "task_id=1", "--base-url", server.url, "--max-body", "1M",
                     "--timeout", "0.5"]) == 4  # fmt: skip
        assert "--max-body" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("endpoint", "ref", "told"),
    [
        ("bigmodel.file_parser", {"task_id": 123}, {"task_id": 123, "status": "succeeded"}),
        ("bigmodel.agents", {"async_id": 123, "agent_id": 5}, {"async_id": 123, "status": "success"}),
        ("molizhishu.tasks", {"task_id": 123}, {"success": True, "data": {"taskId": 123, "status": "completed"}}),
        ("molizhishu.subtasks", {"task_id": 1, "sub_task_id": 2},
         {"success": True, "data": {"subTaskId": 2, "status": "completed"}}),
        ("molizhishu.task_results", {"task_id": 123}, {"success": True, "data": {"taskId": 123, "status": "failed"}}),
        ("bigmodel.agents", {"agent_id": "g", "custom_variables": {"trace_id": "t"}}, {"choices": [{"index": 0}]}),
    ],
)  # fmt: skip
def test_a_line_may_have_integer_ids(
    endpoint: str, ref: Any, told: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is awaited, and its line is written with text; a second run finds it in the ledger."""
    (tmp_path / "jobs.jsonl").write_text(json.dumps({"endpoint": endpoint, "ref": ref}) + "\n")
    with beside(network(*[json_reply(told)] * 2)) as (server, _):
        monkeypatch.setenv("BIGMODEL_BASE_URL", server.url)
        monkeypatch.setenv("MOLIZHISHU_BASE_URL", server.url)
        status = main(["run", str(tmp_path / "jobs.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--plain"])
        (line,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
        assert status == (1 if endpoint == "molizhishu.task_results" else 0)
        texts = {name: str(value) for name, value in ref.items() if isinstance(value, int)}
        assert {name: line["ref"][name] for name in texts} == texts
        main(["resume", str(tmp_path / "out.jsonl.ledger"), "--plain"])
        assert len(server.requests) == 1


def test_odd_answers_are_waited_out(capsys: Output) -> None:
    """A page, an empty body and an object for a word are told as misses, not as the end."""
    answers = [
        (200, '{"detail": "busy"}'),
        (200, "<html>busy</html>"),
        (200, ""),
        (502, "<html>bad gateway</html>"),
        (200, '{"task_id": "1", "status": {"name": "succeeded"}}'),
        (200, json.dumps(DONE)),
    ]

    async def answer(_request: web.Request) -> web.Response:
        status, text = answers.pop(0)
        return web.Response(status=status, text=text)

    with beside(lambda: serving(answer)) as url:
        assert wait("--base-url", url) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["value"]["content"] == "text"
    assert err.count("no answer:") == 4  # the 502 was tried again within its poll


def test_a_hint_with_decimals_is_understood(capsys: Output) -> None:
    """An answer that asks to come back in half a second costs no more than that."""
    busy = json_reply({}, "Retry-After: 0.05", status=429)
    with beside(network(busy, json_reply(DONE))) as (server, _):
        assert wait("--base-url", server.url) == 0
    assert "no answer:" in capsys.readouterr().err


def test_a_bad_token_ends_a_run_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    """The reason in `msg` is told, and no key is."""
    lines = [{"endpoint": "molizhishu.subtasks", "ref": {"task_id": 1, "sub_task_id": one}} for one in (2, 3)]
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    told = json_reply({"success": False, "code": 500, "msg": "Token失效"})
    with beside(network(*[told] * 4)) as (server, _):
        monkeypatch.setenv("MOLIZHISHU_BASE_URL", server.url)
        assert main(["run", str(tmp_path / "jobs.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--plain"]) != 0
    out, err = capsys.readouterr()
    assert "Token失效" in out + err
    assert KEY not in out + err


def test_a_paid_answer_survives_odd_side_fields(capsys: Output) -> None:
    """The line has the answer; what does not fit has its default."""
    data = {"subTaskId": "2", "status": "completed", "answerContent": "42", "time": "now", "referenceList": [1]}
    with beside(network(json_reply({"success": True, "code": 200, "data": data}))) as (server, _):
        assert main(["wait", "molizhishu.subtasks", "task_id=1", "sub_task_id=2", "--base-url", server.url]) == 0
    value = json.loads(capsys.readouterr().out)["value"]
    assert (value["answer_content"], value["time"], value["reference_list"]) == ("42", None, [])


def test_submits_pass_further_fields_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines for submit may have fields that an API has got since, for every endpoint that starts jobs."""
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        told = {"success": True, "code": 200, "status": "pending", "async_id": "a", "task_id": "p"}
        return web.json_response({**told, "data": {"taskId": "t"}})

    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    submits = {
        "molizhishu.tasks": {"prompts": ["?"], "platforms": ["kimi"], "callback_headers": {"X-Token": "7"}},
        "bigmodel.agents": {"agent_id": "g", "messages": [], "custom_variables": {"X-Token": "7"}},
        "bigmodel.file_parser": {"file": str(tmp_path / "a.pdf"), "tool_type": "lite", "callback_token": "X-Token"},
    }
    lines = [json.dumps({"endpoint": name, "submit": submit}) for name, submit in submits.items()]
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    with beside(lambda: serving(answer)) as url:
        monkeypatch.setenv("BIGMODEL_BASE_URL", url)
        monkeypatch.setenv("MOLIZHISHU_BASE_URL", url)
        assert main(["submit", str(tmp_path / "items.jsonl"), "-o", str(tmp_path / "jobs.jsonl")]) == 0
    assert len(bodies) == 3
    assert all(b"X-Token" in body for body in bodies)
