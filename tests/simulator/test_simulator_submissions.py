"""The simulator accepts the submissions that the manual of Molizhishu describes, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from schemas import check, error_schema
from simulator_kit import BATCH, Client, simulated

from asyncpoll.simulator import Constant

DOCUMENT = "subtask_result"


async def submitted(calls: Client, **changes: Any) -> Any:
    """Submit a batch and return its data."""
    return (await calls.submit(**changes)).json["data"]


async def test_a_batch_can_be_submitted() -> None:
    """A batch has a pending subtask for each prompt and each platform, and a path to poll."""
    async with simulated(unknown_ids="reject", pending=Constant(1000.0)) as (_, calls):
        seen = await calls.submit(
            callbackUrl="https://example.com/hook", monitorKeywords="某品牌", regionCode=["410000"]
        )
        data = seen.json["data"]
        status = await calls.send("GET", data["pollUrl"])
    assert (seen.json["code"], seen.json["message"]) == (200, "批量任务已提交")
    assert (len(data["taskId"]), data["totalTask"], data["status"]) == (32, 4, "pending")
    assert (data["callbackUrl"], data["consumerTaskId"]) == ("https://example.com/hook", None)
    asked = [(each["prompt"], each["platform"], each["status"]) for each in data["subTaskList"]]
    assert asked == [(prompt, name, "pending") for prompt in BATCH["prompts"] for name in ("doubao", "kimi")]
    assert {each["monitorKeywords"] for each in data["subTaskList"]} == {"某品牌"}
    assert status.json["data"]["subTaskList"] == data["subTaskList"]


async def test_a_platform_counts_once() -> None:
    """The first configuration of a name counts, whatever its letter case."""
    platforms = [{"platform": name, "mode": mode} for name, mode in (("Kimi", "search"), ("kimi", "standard"))]
    async with simulated() as (_, calls):
        data = await submitted(calls, prompts=["一"], platforms=platforms)
    assert [(each["platform"], each["mode"]) for each in data["subTaskList"]] == [("Kimi", "search")]


async def test_a_consumer_id_makes_a_submission_idempotent() -> None:
    """The same id returns the first task; another id, or none, makes a new task."""
    async with simulated(pending=Constant(1000.0)) as (_, calls):
        first = await calls.submit(consumerTaskId="order20260001")
        again = await calls.submit(consumerTaskId="order20260001", prompts=["别的问题"], callbackUrl="x")
        other = await calls.submit(consumerTaskId="order20260002")
        unnamed = [await submitted(calls, consumerTaskId="") for _ in range(2)]
    assert (first.json["message"], again.json["message"]) == ("批量任务已提交", "任务已存在")
    assert again.json["data"] == first.json["data"]
    assert first.json["data"]["consumerTaskId"] == "order20260001"
    assert len({first.json["data"]["taskId"], other.json["data"]["taskId"], *(each["taskId"] for each in unnamed)}) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"prompts": None},
        {"prompts": []},
        {"prompts": [" "]},
        {"prompts": [1]},
        {"prompts": ["一"] * 51},
        {"platforms": []},
        {"platforms": ["kimi"]},
        {"platforms": [{"platform": "kimi", "mode": "deep"}]},
        {"platforms": [{"platform": " ", "mode": "search"}]},
        {"platforms": [{"platform": 1, "mode": "search"}]},
        {"platforms": [{"platform": "kimi", "mode": "search", "screenshot": [3]}]},
        {"platforms": [{"platform": f"p{number}", "mode": "search"} for number in range(51)]},
        {"regionCode": []},
        {"regionCode": ["410000", "420000"]},
        {"regionCode": "410000"},
        {"consumerTaskId": "short"},
        {"consumerTaskId": "with-dashes-and-all"},
        {"consumerTaskId": ["order20260001"]},
        {"consumerTaskId": "a" * 65},
        {"callbackUrl": 1},
        {"monitorKeywords": ["某品牌"]},
        {"monitorKeywordAliases": ["别名"] * 51},
        {"competitors": "某品牌"},
    ],
)
async def test_a_bad_submission_is_refused(changes: dict[str, Any]) -> None:
    """A submission that the manual forbids has code 300001, and does not start a task."""
    async with simulated() as (sim, calls):
        seen = await calls.submit(**changes)
        assert seen.status == 200
        check(seen.json, error_schema(DOCUMENT))
        assert seen.json["code"] == 300001
        assert sim.counts == {"molizhishu.tasks.start": 1}


async def test_a_submission_must_be_an_object() -> None:
    """A body that is not a JSON object has code 300001 too."""
    async with simulated() as (_, calls):
        seen = await calls.send("POST", "/api/business/monitor/task/batch/shared", data=b"[]")
    assert seen.json["code"] == 300001
