"""What predicts how long the jobs of each built-in endpoint take: submits that differ in it are learned apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from asyncpoll import Job
from asyncpoll.http import Reply, Request
from asyncpoll.providers import ENDPOINTS, BigModel, Molizhishu
from asyncpoll.providers.molizhishu import Platform
from asyncpoll.testing import MemoryTransport
from asyncpoll.waiting.learning._history import LONGEST_KEY

AGENT: dict[str, Any] = {"agent_id": "g", "messages": []}
VIDEO: dict[str, Any] = {**AGENT, "custom_variables": {"template": "a", "strategy": "s"}}
FILE: dict[str, Any] = {"file": ("a.pdf", b"x" * 100), "tool_type": "prime"}
TASK: dict[str, Any] = {"prompts": ["a"], "platforms": ["doubao"]}
SUBMITS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "bigmodel.agents": (
        AGENT,
        AGENT | {"agent_id": "h"},
        VIDEO,
        AGENT | {"custom_variables": {"template": "b", "strategy": "s"}},
        AGENT | {"custom_variables": {"template": "a", "strategy": "t"}},
    ),
    "bigmodel.file_parser": (
        FILE,
        FILE | {"tool_type": "expert"},
        FILE | {"file_type": "DOC"},
        FILE | {"format": "download_link"},
        FILE | {"file": ("a.pdf", b"x" * 5000)},
    ),
    "molizhishu.tasks": (
        TASK,
        TASK | {"prompts": ["a"] * 20},
        TASK | {"platforms": ["deepseek"]},
        TASK | {"platforms": ["deepseek", "doubao"]},
        TASK | {"platforms": [Platform("doubao", "search")]},
        TASK | {"platforms": [Platform("doubao", screenshot=1)]},
    ),
}
"""From an endpoint to submits of which each differs from all others in something that predicts."""

ALIKE: Mapping[str, Mapping[str, Any]] = {
    "bigmodel.agents": AGENT | {"messages": [{"role": "user", "content": "something else"}], "request_id": "r"},
    "bigmodel.file_parser": FILE | {"file": ("other.pdf", b"y" * 120)},
    "molizhishu.tasks": TASK | {"prompts": ["b"], "monitor_keywords": "k", "consumer_task_id": "a" * 8},
}
"""From an endpoint to a submit that differs from the first of the others in nothing that predicts."""


def answer(request: Request) -> Reply:
    """Return the answer to a submit."""
    ids = {"async_id": "1", "task_id": "1", "status": "pending", "success": True}
    return Reply(200, {**ids, "data": {"taskId": "1"}} if request.method == "POST" else {"data": {}})


def client(endpoint: str) -> Any:
    """Return the client of an endpoint."""
    kind = BigModel if endpoint.startswith("bigmodel.") else Molizhishu
    return kind("key", transport=MemoryTransport(answer))


async def started(endpoint: str, arguments: Mapping[str, Any]) -> Job[Any]:
    """Start a job."""
    jobs = getattr(client(endpoint), endpoint.partition(".")[2])
    job: Job[Any] = await jobs.start(**arguments)
    return job


@pytest.mark.parametrize("endpoint", SUBMITS)
async def test_submits_that_differ_have_keys_that_differ(endpoint: str) -> None:
    """Those that are alike have the same; all of them are short, and the job made from its text has it, too."""
    jobs = [await started(endpoint, arguments) for arguments in SUBMITS[endpoint]]
    keys = [job.pacing_key for job in jobs]
    assert len(set(keys)) == len(keys)
    assert (await started(endpoint, ALIKE[endpoint])).pacing_key == keys[0]
    for job, key in zip(jobs, keys, strict=True):
        assert len(key) < LONGEST_KEY
        assert key.startswith(f"{endpoint}:")
        assert client(endpoint).job_from_json(job.to_json()).pacing_key == key


def test_every_endpoint_that_submits_says_what_predicts() -> None:
    """And each fact that is listed is one that a submit of above, or the list of subtasks, has."""
    assert {name for name, one in ENDPOINTS.items() if one.predicts} == {*SUBMITS, "molizhishu.subtasks"}


async def test_the_size_of_a_file_on_disk_predicts(tmp_path: Path) -> None:
    """As that of bytes does."""
    path = tmp_path / "a.pdf"
    path.write_bytes(b"x" * 100_000)
    job = await started("bigmodel.file_parser", FILE | {"file": path})
    assert job.pacing_key == "bigmodel.file_parser:tool_type=prime,file_type=PDF,file=64K+,format=text"


async def test_a_task_says_how_much_it_asks_and_of_whom() -> None:
    """The number of prompts as a class, and platforms and modes as words."""
    platforms = [Platform("doubao", "search"), {"platform": "deepseek", "mode": "reasoning", "screenshot": 2}]
    job = await started("molizhishu.tasks", TASK | {"prompts": ["a"] * 30, "platforms": platforms})
    assert job.pacing == "prompts=16+,platform=deepseek+doubao,mode=reasoning+search,screenshot=0+2"


@pytest.mark.parametrize(
    ("endpoint", "ref", "key"),
    [
        ("bigmodel.agents", {"agent_id": "g", "async_id": "a"}, "bigmodel.agents:agent_id=g"),
        ("bigmodel.file_parser", {"task_id": "t"}, "bigmodel.file_parser:format=text"),
        ("molizhishu.tasks", {"task_id": "t"}, "molizhishu.tasks"),
        ("molizhishu.task_results", {"task_id": "t"}, "molizhishu.task_results"),
        ("molizhishu.subtasks", {"task_id": "t", "sub_task_id": "s"}, "molizhishu.subtasks"),
    ],
)
def test_a_bare_id_says_what_its_reference_says(endpoint: str, ref: dict[str, str], key: str) -> None:
    """No more than that is known, and often nothing."""
    assert client(endpoint).job(endpoint, **ref).pacing_key == key


async def test_subtasks_of_a_list_say_platform_and_mode() -> None:
    """Those of which the list says nothing are like others."""
    listed = [
        {"subTaskId": 1, "platform": "doubao", "mode": "search", "prompt": "q"},
        {"subTaskId": 2, "platform": "doubao", "mode": "search", "prompt": "r"},
        {"subTaskId": 3, "platform": "deepseek", "mode": "search"},
        {"subTaskId": 4},
    ]
    status = {"taskId": "1", "status": "processing", "subTaskList": listed}
    molizhishu = Molizhishu("token", transport=MemoryTransport(lambda _: Reply(200, {"code": 200, "data": status})))
    jobs = await molizhishu.subtasks.list(task_id="1")
    assert [job.pacing for job in jobs] == [
        *("platform=doubao,mode=search", "platform=doubao,mode=search", "platform=deepseek,mode=search", None)
    ]
