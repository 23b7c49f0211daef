"""Ids and further fields: integers from databases, fields that an API has got since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from field_kit import wait
from memory_kit import answering
from raw_server import json_reply, polls, raw_server

from asyncpoll import Hub, State
from asyncpoll.http import Reply, Request
from asyncpoll.ledger import Ledger
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.testing import MemoryTransport, run_virtual

REFS: list[tuple[Any, str, dict[str, Any], str]] = [
    (BigModel, "bigmodel.agents", {"async_id": 4124831, "agent_id": 5}, "/v1/agents/async-result"),
    (BigModel, "bigmodel.file_parser", {"task_id": 4124831}, "/paas/v4/files/parser/result/4124831/text"),
    (Molizhishu, "molizhishu.tasks", {"task_id": 4124831}, "/task/status/4124831"),
    (Molizhishu, "molizhishu.task_results", {"task_id": 4124831}, "/task/result/4124831"),
    (Molizhishu, "molizhishu.subtasks", {"task_id": 1, "sub_task_id": 4124831}, "/task/result/1/4124831"),
]
WORDS = {"status": "success", "task_id": 4124831, "async_id": 4124831, "choices": []}
PARSED = {"status": "succeeded", "task_id": 4124831, "content": "text"}
TASK = {"success": True, "code": 200, "data": {"taskId": 4124831, "subTaskId": 4124831, "status": "completed"}}


def _answer(request: Request) -> Reply:
    if request.path.startswith("/paas"):
        return Reply(200, PARSED)
    return Reply(200, WORDS if request.path.startswith("/v1") else TASK)


@pytest.mark.parametrize(("cls", "name", "ref", "path"), REFS)
@pytest.mark.parametrize("together", [True, False])
def test_integer_ids_are_taken_and_echoed(cls: Any, name: str, ref: Any, path: str, *, together: bool) -> None:
    """A job made with integers is polled, told apart, written down and made again as with text."""
    transport = MemoryTransport(_answer)
    client = cls("key", transport=transport)
    job = client.job(name, **ref)
    assert run_virtual(wait(job, together=together, timeout=20)).state is State.SUCCESS
    assert [request.path for request in transport.sent] == [path]
    text = client.job(name, **{field: str(value) for field, value in ref.items()})
    assert (job.key, hash(job), job == text) == (text.key, hash(text), True)
    assert client.job_from_json(job.to_json()) == job


@pytest.mark.parametrize("cls_name_ref", REFS, ids=lambda one: str(one[1]))
@pytest.mark.parametrize("wrong", [True, 1.5, None, "", " 7", "a/b", "..", ["7"]])
def test_what_is_not_an_id_is_refused(cls_name_ref: Any, wrong: Any) -> None:
    """A boolean, a fraction and text that would change the address are refused before any request."""
    cls, name, ref, _ = cls_name_ref
    field = next(iter(ref))
    if name == "bigmodel.agents" and wrong in (None, "a/b", ".."):
        field, wrong = "agent_id", 1.5  # its ids are sent in bodies, where a slash does no harm
    transport = MemoryTransport(_answer)
    with pytest.raises(ValueError, match=f"{field}"):
        cls("key", transport=transport).job(name, **{**ref, field: wrong})
    assert transport.requests == 0


async def test_a_run_takes_integer_ids_from_a_ledger(tmp_path: Path) -> None:
    """The keys in a ledger are those of text ids, so that an entry is found again."""
    client = Molizhishu("key", transport=MemoryTransport(_answer))
    jobs = [client.tasks.job(task_id=one) for one in (4124831, "4124831")]
    async with Ledger(tmp_path / "run.db") as ledger, Hub() as hub, hub.run(jobs, ledger=ledger, timeout=20) as run:
        found = [record.key async for record, _ in run]
    assert found == ['molizhishu.tasks:{"task_id":"4124831"}']


async def test_a_subtask_of_a_list_has_an_integer_id() -> None:
    """Integer ids in answers and from callers meet in a hub, where one call tells of all."""

    def answer(request: Request) -> Reply:
        listed = [{"subTaskId": number, "status": "processing"} for number in (1, 2)]
        if request.path.startswith("/task/status/"):
            done = len(transport.sent) > 2
            listed = [{**one, "status": "stopped"} for one in listed] if done else listed
            return Reply(200, {"success": True, "data": {"taskId": 7, "status": "processing", "subTaskList": listed}})
        return Reply(200, {"success": True, "data": {"subTaskId": 1, "status": "processing"}})

    transport = MemoryTransport(answer)
    client = Molizhishu("key", transport=transport)
    jobs = [client.subtasks.job(task_id=7, sub_task_id=number) for number in (1, 2)]
    async with Hub() as hub:
        outcomes = await hub.wait_all(jobs, timeout=20)
    assert [one.snapshot and one.snapshot.state for one in outcomes] == [State.CANCELLED] * 2


# fields that an API has got since


async def test_a_submit_passes_further_fields_on() -> None:
    """Headers for the callback reach the server under the name that the API has; so do fields of other starts."""
    started = json_reply({"success": True, "code": 200, "data": {"taskId": "t"}})
    run = json_reply({"status": "pending", "async_id": "a"})
    async with raw_server(polls(started), polls(run)) as server:
        async with Molizhishu("key", base_url=server.url) as client:
            await client.tasks.start(
                prompts=["?"], platforms=["kimi"], callback_headers={"X-Token": "1"}, priority=0, newField=None
            )
        async with BigModel("key", base_url=server.url) as other:
            await other.agents.start(agent_id="g", messages=[], custom_variables={"a": 1}, user_id="u")
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]
    assert {name: bodies[0][name] for name in ("callbackHeaders", "priority", "newField")} == {
        "callbackHeaders": {"X-Token": "1"},
        "priority": 0,
        "newField": None,
    }
    assert bodies[1] == {"agent_id": "g", "messages": [], "custom_variables": {"a": 1}, "user_id": "u"}


async def test_an_upload_passes_further_fields_on() -> None:
    """The form of a file has them beside its own."""
    started = json_reply({"success": True, "task_id": "t"})
    async with raw_server(polls(started)) as server, BigModel("key", base_url=server.url) as client:
        await client.file_parser.start(("a.pdf", b"%PDF"), tool_type="lite", callback_url="https://a.example", pages=3)
    assert b'name="callback_url"\r\n\r\nhttps://a.example\r\n' in server.requests[0]
    assert b'name="pages"\r\n\r\n3\r\n' in server.requests[0]


async def test_further_fields_must_be_sendable() -> None:
    """What has an argument of its own, or cannot be sent, is refused before any request."""
    transport = answering({})
    parser, tasks = BigModel("key", transport=transport).file_parser, Molizhishu("key", transport=transport).tasks
    with pytest.raises(ValueError, match="callbackUrl has an argument of its own"):
        await tasks.start(prompts=["?"], platforms=["kimi"], callbackUrl="https://a.example")
    with pytest.raises(ValueError, match="pages must be text, a number or a boolean, not list"):
        await parser.start(("a.pdf", b"%PDF"), tool_type="lite", pages=[1])
    assert transport.requests == 0
