"""Tasks: how they are asked about, submitted and stopped."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from memory_kit import answering_once

from asyncpoll._endpoint import Job
from asyncpoll._errors import BadReply, JobCancelled, JobFailed, Rejected, TransportError
from asyncpoll._state import State
from asyncpoll.http import Request
from asyncpoll.providers.molizhishu import Competitor, Molizhishu, Platform, SubtaskStatus, TaskRef, TaskStatus
from asyncpoll.testing import MemoryTransport

TASK = "5a85cdd0ed9249cfb69daaeca2b91a09"
STATUS = {
    "taskId": TASK,
    "consumerTaskId": "consumerTask202606300001",
    "status": "completed",
    "message": "任务进度: 2/2 已完成, 0 失败",
    "totalItems": 2,
    "completedItems": 2,
    "failedItems": 0,
    "createdAt": 1781080844000,
    "completedAt": 1781082052,
    "subTaskList": [
        {
            "subTaskId": "1037392",
            "prompt": "哪个牌子好",
            "platform": "doubao",
            "mode": "reasoning_search",
            "status": "completed",
            "monitorKeywords": "华为",
            "monitorKeywordAliases": ["HUAWEI"],
            "competitors": [{"name": "小米", "aliases": ["Xiaomi"]}],
        },
        {"subTaskId": 1037393, "status": "completed"},
    ],
}


def _envelope(data: Any) -> dict[str, Any]:
    return {"success": True, "code": 200, "message": "操作成功", "data": data}


def _refusal(code: int, message: str) -> dict[str, Any]:
    return {"success": False, "code": code, "message": message}


def _client(*payloads: Any) -> tuple[Molizhishu, MemoryTransport]:
    transport = answering_once(*payloads)
    return Molizhishu("token", transport=transport), transport


def _job(*payloads: Any, task_id: str = TASK) -> Job[TaskStatus]:
    client, _ = _client(*payloads)
    return client.tasks.job(task_id=task_id)


async def test_the_documented_request_is_sent() -> None:
    """A poll is a GET with the id in its path."""
    client, transport = _client(_envelope({"status": "pending"}))
    await client.tasks.job(task_id="a?b").fetch()
    assert list(transport.sent) == [Request("GET", "/task/status/a%3Fb", repeatable=True)]


async def test_the_documented_answer_gives_every_field() -> None:
    """The counts, the times and the subtasks of the manual's example come out, with the raw payload beside them."""
    payload = _envelope(STATUS)
    snapshot = await _job(payload).fetch()
    assert (snapshot.state, snapshot.status, snapshot.progress) == (State.SUCCESS, "completed", 1.0)
    assert snapshot.raw == payload
    assert snapshot.unwrap() == TaskStatus(
        task_id=TASK,
        consumer_task_id="consumerTask202606300001",
        status="completed",
        message="任务进度: 2/2 已完成, 0 失败",
        total_items=2,
        completed_items=2,
        failed_items=0,
        created_at=datetime(2026, 6, 10, 8, 40, 44, tzinfo=UTC),
        completed_at=datetime(2026, 6, 10, 9, 0, 52, tzinfo=UTC),
        sub_task_list=(
            SubtaskStatus(
                sub_task_id="1037392",
                prompt="哪个牌子好",
                platform="doubao",
                mode="reasoning_search",
                status="completed",
                monitor_keywords="华为",
                monitor_keyword_aliases=("HUAWEI",),
                competitors=(Competitor("小米", ("Xiaomi",)),),
            ),
            SubtaskStatus(sub_task_id="1037393", status="completed"),
        ),
    )


async def test_a_partly_completed_task_is_a_success_that_says_so() -> None:
    """There are answers, so there is a result; the word is kept and the failures are counted."""
    data = {**STATUS, "status": "partial_completed", "completedItems": 1, "failedItems": 1, "completedAt": None}
    snapshot = await _job(_envelope(data)).fetch()
    assert (snapshot.state, snapshot.status, snapshot.progress) == (State.SUCCESS, "partial_completed", 1.0)
    assert (snapshot.unwrap().failed_items, snapshot.unwrap().completed_at, snapshot.ended_at) == (1, None, None)


@pytest.mark.parametrize(
    ("counts", "progress"),
    [
        ({"totalItems": 4, "completedItems": 1, "failedItems": 1}, 0.5),
        ({"totalItems": 4, "completedItems": 0, "failedItems": 0}, 0.0),
        ({"totalItems": 0, "completedItems": 0, "failedItems": 0}, None),
        ({"totalItems": None, "completedItems": 0, "failedItems": 0}, None),
        ({"totalItems": 4}, None),
        ({}, None),
        ({"totalItems": "4", "completedItems": "1", "failedItems": "1"}, 0.5),
        ({"totalItems": 4, "completedItems": 1.5, "failedItems": 0}, 0.375),
        ({"totalItems": 4, "completedItems": 9, "failedItems": 0}, 1.0),
        ({"totalItems": 4, "completedItems": "25%", "failedItems": 0}, None),
        ({"totalItems": 4, "completedItems": "one", "failedItems": 0}, None),
        ({"totalItems": 4, "completedItems": [1], "failedItems": [1]}, None),
        ({"totalItems": -4, "completedItems": 1, "failedItems": 0}, None),
        ({"totalItems": 4, "completedItems": True, "failedItems": 0}, None),
        ({"totalItems": {}, "completedItems": 1, "failedItems": 0}, None),
        ({"totalItems": 1, "completedItems": 10**400, "failedItems": 0}, None),
    ],
)
async def test_progress_is_the_share_that_has_ended(counts: dict[str, Any], progress: float | None) -> None:
    """Completed and failed subtasks both count; without counts there is no progress."""
    snapshot = await _job(_envelope({"status": "processing", **counts})).fetch()
    assert (snapshot.state, snapshot.progress, snapshot.value) == (State.PROCESSING, progress, None)


@pytest.mark.parametrize(("word", "error"), [("failed", JobFailed), ("stopped", JobCancelled)])
@pytest.mark.parametrize(("message", "reason"), [("任务已停止", "任务已停止"), (None, None), ("", None)])
async def test_a_task_that_ended_badly_says_why(word: str, error: Any, message: str | None, reason: str | None) -> None:
    """The reason is the task's message."""
    snapshot = await _job(_envelope({"status": word, "message": message})).fetch()
    assert snapshot.reason == reason
    with pytest.raises(error):
        snapshot.unwrap()


@pytest.mark.parametrize(
    "payload",
    [
        {"success": True, "code": 200},
        _envelope(None),
        _envelope([]),
        _envelope("completed"),
        _envelope({}),
        _envelope({"status": None}),
        _envelope({"status": 1}),
    ],
)
async def test_an_answer_that_makes_no_sense_is_malformed(payload: dict[str, Any]) -> None:
    """A success without data, or without a status word, is a miss."""
    with pytest.raises(BadReply, match=r"malformed at \$\.data"):
        await _job(payload).fetch()


@pytest.mark.parametrize(
    ("odd", "misfits"),
    [
        ({"completedItems": "2"}, ("$.data.completedItems",)),
        ({"completedItems": 2.0, "totalItems": "all"}, ("$.data.totalItems", "$.data.completedItems")),
        ({"completedAt": "yesterday"}, ("$.data.completedAt",)),
        ({"subTaskList": "none"}, ("$.data.subTaskList",)),
        ({"subTaskList": [{"status": "completed"}]}, ("$.data.subTaskList[0].subTaskId",)),
        ({"subTaskList": [{"subTaskId": "1", "prompt": []}]}, ("$.data.subTaskList[0].prompt",)),
        ({"taskId": ["a"]}, ("$.data.taskId",)),
    ],
)
async def test_a_side_field_costs_no_result(odd: dict[str, Any], misfits: tuple[str, ...]) -> None:
    """A finished task is a success; what does not fit is left out of the result and named."""
    snapshot = await _job(_envelope({**STATUS, **odd})).wait(timeout=1)
    assert (snapshot.state, snapshot.misfits) == (State.SUCCESS, misfits)
    assert snapshot.unwrap().consumer_task_id == STATUS["consumerTaskId"]


@pytest.mark.parametrize(
    ("odd", "partial"),
    [
        ({}, False),
        ({"status": "partial_completed"}, True),
        ({"status": " Partial_Completed"}, True),
        ({"failedItems": 1}, True),
        ({"failedItems": "1"}, False),
    ],
)
async def test_a_success_without_all_answers_is_partial(odd: dict[str, Any], *, partial: bool) -> None:
    """The word and the count of failures tell that answers are missing."""
    snapshot = await _job(_envelope({**STATUS, **odd})).fetch()
    assert (snapshot.state, snapshot.partial) == (State.SUCCESS, partial)


async def test_an_answer_about_another_task_is_never_taken() -> None:
    """The id that the answer echoes must be the one asked about."""
    with pytest.raises(BadReply) as strange:
        await _job(*[_envelope(STATUS)] * 2, task_id="another").fetch()
    assert strange.value.kind == "identity"


@pytest.mark.parametrize("bad", ["", "..", "%2E", "a/b", "a\n", "\ud800", "x" * 513, None, 5.5])
async def test_a_bad_id_is_refused_before_any_request(bad: Any) -> None:
    """What would lead to another path is never sent."""
    client, transport = _client()
    with pytest.raises(ValueError, match="task_id must"):
        client.tasks.job(task_id=bad)
    assert transport.requests == 0


async def test_a_task_can_be_stopped() -> None:
    """Cancelling is a PUT; the answer's data is only a text."""
    client, transport = _client(_envelope("任务已停止，影响子任务 2 个"))  # noqa: RUF001  the vendor's own comma
    job = client.tasks.job(task_id="a b")
    assert job.can_cancel
    await job.cancel()
    assert list(transport.sent) == [Request("PUT", "/task/a%20b/stop", repeatable=True)]


async def test_stopping_a_task_that_has_ended_is_fine() -> None:
    """The server calls it an error; for us there is nothing left to do. Other refusals are raised."""
    await _job(_refusal(500, "任务已结束，不能停止")).cancel()  # noqa: RUF001  the vendor's own comma
    with pytest.raises(Rejected) as refused:
        await _job(_refusal(403, "无权操作该任务")).cancel()
    assert refused.value.kind == "forbidden"


async def test_a_task_is_submitted_under_a_key_of_its_own() -> None:
    """Without a key a random one is made, new for each, so that the request may be repeated without harm."""
    created = _envelope({"taskId": TASK, "status": "pending", "totalTask": 1})
    client, transport = _client(created, created)
    jobs = [await client.tasks.start(prompts=["哪个牌子好"], platforms=["doubao"]) for _ in range(2)]
    assert [job.ref for job in jobs] == [TaskRef(TASK)] * 2
    keys = [request.json.pop("consumerTaskId") for request in transport.sent]
    assert all(re.fullmatch(r"[0-9a-f]{32}", key) for key in keys)
    assert keys[0] != keys[1]
    body = {"prompts": ["哪个牌子好"], "platforms": [{"platform": "doubao", "mode": "standard", "screenshot": 0}]}
    assert list(transport.sent) == [Request("POST", "/task/batch/shared", json=body, repeatable=True)] * 2


async def test_an_order_is_sent_in_the_spelling_of_the_api() -> None:
    """Names become camelCase, the one region a list, values and mappings objects."""
    client, transport = _client(_envelope({"taskId": 7}))
    job = await client.tasks.start(
        prompts=("p", "q"),
        platforms=[Platform("doubao", "reasoning_search", 2), {"platform": "kimi", "mode": "search"}, "yuanbao"],
        region_code="410000",
        callback_url="https://example.com/hook",
        monitor_keywords="华为",
        monitor_keyword_aliases=["HUAWEI"],
        competitors=[Competitor("小米", ("Xiaomi",)), {"name": "苹果", "aliases": ["Apple"]}],
        consumer_task_id="consumerTask1",
    )
    assert job.ref == TaskRef("7")
    assert transport.sent[0].json == {
        "prompts": ["p", "q"],
        "platforms": [
            {"platform": "doubao", "mode": "reasoning_search", "screenshot": 2},
            {"platform": "kimi", "mode": "search", "screenshot": 0},
            {"platform": "yuanbao", "mode": "standard", "screenshot": 0},
        ],
        "regionCode": ["410000"],
        "callbackUrl": "https://example.com/hook",
        "monitorKeywords": "华为",
        "monitorKeywordAliases": ["HUAWEI"],
        "competitors": [{"name": "小米", "aliases": ["Xiaomi"]}, {"name": "苹果", "aliases": ["Apple"]}],
        "consumerTaskId": "consumerTask1",
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prompts": []}, "prompts must have 1 to 50 items, not 0"),
        ({"prompts": ["p"] * 51}, "prompts must have 1 to 50 items, not 51"),
        ({"prompts": "p"}, "prompts must be a list, not str"),
        ({"prompts": ["p", " "]}, "a prompt must be a text"),
        ({"prompts": [None]}, "a prompt must be a text"),
        ({"platforms": []}, "platforms must have 1 to 50 items, not 0"),
        ({"platforms": ["a"] * 51}, "platforms must have 1 to 50 items, not 51"),
        ({"platforms": "doubao"}, "platforms must be a list, not str"),
        ({"platforms": [""]}, "platform"),
        ({"platforms": [7]}, "a Platform is needed, or a mapping of its fields"),
        ({"platforms": [{"name": "doubao"}]}, "a Platform is needed, or a mapping of its fields"),
        ({"platforms": [{"platform": "doubao", "mode": "fast"}]}, "mode"),
        ({"platforms": [{"platform": "doubao", "screenshot": 3}]}, "screenshot"),
        ({"region_code": ""}, "region_code must be a text"),
        ({"region_code": ["410000"]}, "region_code must be a text"),
        ({"monitor_keyword_aliases": ["a"] * 51}, "monitor_keyword_aliases must have 0 to 50 items"),
        ({"monitor_keywords": "k", "competitors": [{}] * 51}, "competitors must have 0 to 50 items"),
        ({"monitor_keywords": "k", "competitors": ["小米"]}, "a Competitor is needed"),
        ({"competitors": [{"name": "小米"}]}, "competitors need monitor_keywords"),
        ({"consumer_task_id": ""}, "8 to 64 ASCII letters and digits"),
        ({"consumer_task_id": "a" * 7}, "8 to 64 ASCII letters and digits"),
        ({"consumer_task_id": "a" * 65}, "8 to 64 ASCII letters and digits"),
        ({"consumer_task_id": "with-dash-1"}, "8 to 64 ASCII letters and digits"),
        ({"consumer_task_id": 12345678}, "8 to 64 ASCII letters and digits"),
    ],
)
async def test_a_bad_order_is_refused_before_any_request(wrong: dict[str, Any], message: str) -> None:
    """Too little, too much and the wrong kind are named, and nothing is sent."""
    client, transport = _client()
    order: dict[str, Any] = {"prompts": ["p"], "platforms": ["doubao"], **wrong}
    with pytest.raises(ValueError, match=message):
        await client.tasks.start(**order)
    assert transport.requests == 0


async def test_a_submit_that_is_refused_raises_what_it_means() -> None:
    """No balance, no task."""
    client, _ = _client(_refusal(500001, "余额不足"))
    with pytest.raises(TransportError) as refused:
        await client.tasks.start(prompts=["p"], platforms=["doubao"])
    assert refused.value.kind == "unpaid"


async def test_a_submitted_task_without_an_id_is_a_bad_reply() -> None:
    """Nobody could ask about it, and it may be running: that must not go unnoticed."""
    client, _ = _client(_envelope({"status": "pending"}))
    with pytest.raises(BadReply, match=r"\$\.data\.taskId"):
        await client.tasks.start(prompts=["p"], platforms=["doubao"])
