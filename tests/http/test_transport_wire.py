"""What goes over the wire: addresses, headers and bodies, where they leave the HTTP library."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any

import pytest
from aioresponses_shim import wire
from attrs import frozen
from schemas import check, example, request_example, request_schema
from yarl import URL

from asyncpoll import providers
from asyncpoll._errors import TransportError
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.providers._client import Client

KEY = "canary-0123456789"
BIGMODEL = "https://open.bigmodel.cn/api"
MOLIZHISHU = "https://business-api.molizhishu.com/api/business/monitor"
OK = {"success": True, "code": 200, "data": {"status": "pending", "taskId": "t"}}


@frozen
class Sent:
    """One request as it left."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any


@pytest.fixture
def caught() -> Generator[Any]:
    """Everything that would go out, and the answers to it."""
    with wire() as caught:
        yield caught


def _folded(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _sent(caught: Any) -> list[Sent]:
    return [
        Sent(method, str(url), _folded(call.kwargs["headers"]), call.kwargs["data"])
        for (method, url), calls in caught.requests.items()
        for call in calls
        if url.host != "127.0.0.1"  # where a transport tries itself out before it is used
    ]


def _is_signed(sent: Sent) -> bool:
    return sent.headers["authorization"] == f"Bearer {KEY}" and KEY not in sent.url and KEY not in str(sent.body)


async def test_an_agents_poll_is_a_post_of_json(caught: Any) -> None:
    """The body is the document's own example, with the key in the header and nowhere else."""
    wanted = request_example("agents_async_result")
    answer = {**example("agents_async_result"), "async_id": wanted["async_id"]}
    caught.post(f"{BIGMODEL}/v1/agents/async-result", payload=answer)
    async with BigModel(KEY) as client:
        await client.agents.job(**wanted).result(timeout=5)
    [sent] = _sent(caught)
    assert (sent.method, sent.url) == ("POST", f"{BIGMODEL}/v1/agents/async-result")
    assert sent.headers["content-type"] == "application/json"
    assert _is_signed(sent)
    check(json.loads(sent.body), request_schema("agents_async_result"))
    assert json.loads(sent.body) == wanted


async def test_an_agent_is_started_with_the_words_of_the_caller(caught: Any) -> None:
    """Text of any script arrives as it was."""
    caught.post(f"{BIGMODEL}/v1/agents", payload={"status": "pending", "async_id": "a"})
    messages = [{"role": "user", "content": "你好 🙂"}]
    async with BigModel(KEY) as client:
        await client.agents.start(agent_id="g", messages=messages)
    [sent] = _sent(caught)
    assert json.loads(sent.body) == {"agent_id": "g", "messages": messages}
    assert _is_signed(sent)


@pytest.mark.parametrize(
    ("endpoint", "ref", "url"),
    [
        (
            "bigmodel.file_parser",
            {"task_id": "task_1", "format": "download_link"},
            f"{BIGMODEL}/paas/v4/files/parser/result/task_1/download_link",
        ),
        (
            "bigmodel.file_parser",
            {"task_id": "a?b#c d%2e"},
            f"{BIGMODEL}/paas/v4/files/parser/result/a%3Fb%23c%20d%252e/text",
        ),
        ("molizhishu.tasks", {"task_id": "任务"}, f"{MOLIZHISHU}/task/status/%E4%BB%BB%E5%8A%A1"),
        ("molizhishu.subtasks", {"task_id": "t", "sub_task_id": "e\u0301+"}, f"{MOLIZHISHU}/task/result/t/e%CC%81%2B"),
    ],
)
async def test_ids_stay_one_segment_of_the_path(caught: Any, endpoint: str, ref: dict[str, str], url: str) -> None:
    """Nothing between the caller and the wire decodes, normalises or drops anything of an id."""
    caught.get(URL(url, encoded=True), payload={**OK, "status": "processing", "data": {"status": "pending"}})
    cls: type[Client] = getattr(providers, providers.ENDPOINTS[endpoint].client)
    async with cls(KEY, base_url=cls.default_url) as client:
        await client.job(endpoint, **ref).fetch()
    [sent] = _sent(caught)
    assert (sent.method, sent.url, sent.body) == ("GET", url, None)
    assert _is_signed(sent)


async def test_a_task_is_ordered_and_stopped(caught: Any) -> None:
    """The order is JSON in the API's spelling; the stop is a PUT without a body."""
    caught.post(f"{MOLIZHISHU}/task/batch/shared", payload=OK)
    caught.put(f"{MOLIZHISHU}/task/t/stop", payload={"success": True, "code": 200, "data": "ok"})
    async with Molizhishu(KEY) as client:
        job = await client.tasks.start(prompts=["问"], platforms=["doubao"], consumer_task_id="order0001")
        await job.cancel()
    order, stop = _sent(caught)
    assert json.loads(order.body) == {
        "prompts": ["问"],
        "platforms": [{"platform": "doubao", "mode": "standard", "screenshot": 0}],
        "consumerTaskId": "order0001",
    }
    assert (stop.method, stop.url, stop.body) == ("PUT", f"{MOLIZHISHU}/task/t/stop", None)
    assert _is_signed(order)
    assert _is_signed(stop)


async def test_another_base_address_is_put_before_every_path(caught: Any) -> None:
    """A slash at its end makes no difference."""
    caught.get("https://api.z.ai/api/paas/v4/files/parser/result/t/text", payload={"status": "processing"})
    async with BigModel(KEY, base_url="https://api.z.ai/api/") as client:
        await client.file_parser.job(task_id="t").fetch()
    assert [sent.url for sent in _sent(caught)] == ["https://api.z.ai/api/paas/v4/files/parser/result/t/text"]


async def test_a_connection_that_fails_is_an_error_of_ours(caught: Any) -> None:
    """What aiohttp raises does not get out, and neither does the path or the key."""
    caught.get(f"{MOLIZHISHU}/task/status/t", exception=ConnectionResetError("s3cret"), repeat=True)
    async with Molizhishu(KEY) as client:
        with pytest.raises(TransportError) as failed:
            await client.tasks.job(task_id="t").fetch()
    assert failed.value.passing
    assert not any(secret in repr(failed.value) for secret in (KEY, "s3cret", "/task/status"))
    assert len(_sent(caught)) == 2
