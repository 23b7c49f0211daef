"""Subtasks: how they are asked about alone and together, and everything that an answer may hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from memory_kit import answering_once
from schemas import check, example, request_example, request_schema

from asyncpoll._endpoint import Job
from asyncpoll._errors import BadReply, JobTimedOut, Rejected
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http import Reply, Request
from asyncpoll.providers.molizhishu import (
    CategoryRanking,
    KeywordEvaluation,
    Molizhishu,
    Ranking,
    ReasoningProcess,
    Source,
    Subtask,
    SubtaskRef,
    TaskStatus,
)
from asyncpoll.providers.molizhishu._subtasks import ENDPOINT
from asyncpoll.testing import MemoryTransport

DOCUMENT = "subtask_result"


def _envelope(data: Any) -> dict[str, Any]:
    return {"success": True, "code": 200, "message": "操作成功", "data": data}


def _client(*payloads: Any) -> tuple[Molizhishu, MemoryTransport]:
    transport = answering_once(*payloads)
    return Molizhishu("token", transport=transport), transport


def _job(*data: Any, sub_task_id: str = "s") -> Job[Subtask]:
    client, _ = _client(*map(_envelope, data))
    return client.subtasks.job(task_id="t", sub_task_id=sub_task_id)


async def _completed(**fields: Any) -> Subtask:
    return (await _job({"status": "completed", **fields}).fetch()).unwrap()


async def test_the_documented_request_is_sent() -> None:
    """A poll is a GET with both ids in its path."""
    wanted = request_example(DOCUMENT)
    check(wanted, request_schema(DOCUMENT))
    client, transport = _client(_envelope({"status": "pending"}), _envelope({"status": "pending"}))
    await client.subtasks.job(task_id=wanted["taskId"], sub_task_id=wanted["subTaskId"]).fetch()
    await client.subtasks.job(task_id="a b", sub_task_id="#1").fetch()
    assert list(transport.sent) == [
        Request("GET", f"/task/result/{wanted['taskId']}/{wanted['subTaskId']}", repeatable=True),
        Request("GET", "/task/result/a%20b/%231", repeatable=True),
    ]


async def test_the_documented_answer_gives_every_field() -> None:
    """The document's own example comes out field by field, with the raw payload beside it."""
    payload = example(DOCUMENT)
    data = payload["data"]
    client, _ = _client(payload)
    snapshot = await client.subtasks.job(task_id="t", sub_task_id=data["subTaskId"]).fetch()
    assert (snapshot.state, snapshot.status, snapshot.raw) == (State.SUCCESS, "completed", payload)
    assert snapshot.ended_at == datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC)
    assert snapshot.unwrap() == Subtask(
        sub_task_id="4124831",
        platform="doubao",
        mode="reasoning_search",
        prompt=data["prompt"],
        status="completed",
        time=datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC),
        page_screenshot=data["pageScreenshot"],
        answer_content=data["answerContent"],
        reference_list=(Source(**data["referenceList"][0]),),
        citation_list=(Source(**data["citationList"][0]),),
        reasoning_process=ReasoningProcess("", data["reasoningProcess"]["content"]),
        recommended_questions=tuple(data["recommendedQuestions"]),
        media_content=(),
        error_message=None,
        proxy_ip="117.151.96.210",
    )


async def test_the_newer_fields_are_read_too() -> None:
    """What the manual has gained since comes out typed where it is plain, and as sent where it is not."""
    video, goods = {"videoPlatform": "douyin", "position": 1}, {"title": "手机", "price": 4999}
    ranking = {"name": "华为", "rank": 2}
    result = await _completed(
        time=1769758043,
        shareUrl="https://example.com/s/1",
        referenceList=[{"index": 1, "title": "t", "summary": "s", "publishTime": "2026-06-10", "icon": "icons/a.ico"}],
        searchKeywords=["手机"],
        videoList=[video],
        goods=[goods],
        amount=1,
        mentionPosition=2,
        mentionContext="首选",
        sentiment="positive",
        competitorRankings=[{"name": "小米", "rank": None}],
        allRankings=[ranking],
        categoryRanking={"categoryName": "手机", "rank": 2, "allRankings": [ranking]},
        keywordEvaluations=[{"keyword": "影像", "nature": "positive", "context": "首选"}],
        somethingStillNewer={"x": 1},
    )
    assert result == Subtask(
        status="completed",
        time=datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC),
        share_url="https://example.com/s/1",
        reference_list=(Source(1, "t", summary="s", publish_time="2026-06-10", icon="icons/a.ico"),),
        search_keywords=("手机",),
        video_list=(video,),
        goods=(goods,),
        amount=1.0,
        mention_position=2,
        mention_context="首选",
        sentiment="positive",
        competitor_rankings=(Ranking("小米", None),),
        all_rankings=(Ranking("华为", 2),),
        category_ranking=CategoryRanking("手机", 2, (Ranking("华为", 2),)),
        keyword_evaluations=(KeywordEvaluation("影像", "positive", "首选"),),
    )


NULLABLE = [
    "time",
    "pageScreenshot",
    "answerContent",
    "referenceList",
    "citationList",
    "reasoningProcess",
    "recommendedQuestions",
    "mediaContent",
    "errorMessage",
    "proxyIp",
    "videoList",
    "amount",
    "categoryRanking",
]


@pytest.mark.parametrize("name", NULLABLE)
async def test_a_field_may_be_missing_null_or_empty(name: str) -> None:
    """However the API says that there is nothing, nothing is there; no field stops the result."""
    missing, null, empty = await _completed(), await _completed(**{name: None}), await _completed(**{name: ""})
    field = "".join(f"_{mark.lower()}" if mark.isupper() else mark for mark in name)
    assert missing == null
    assert not getattr(null, field)
    assert not getattr(empty, field)


async def test_a_completed_subtask_without_an_answer_is_told_apart() -> None:
    """It has been seen; the state is a success, the answer is empty or None."""
    assert (await _completed(answerContent="")).answer_content == ""
    assert (await _completed()).answer_content is None


async def test_reasoning_may_come_as_plain_text() -> None:
    """It has been seen; the text is the content."""
    assert (await _completed(reasoningProcess="先比较")).reasoning_process == ReasoningProcess("", "先比较")


async def test_links_are_not_shown() -> None:
    """Links to screenshots and conversations may be signed, so no repr has them."""
    result = await _completed(pageScreenshot="https://x/?sig=s3cret", shareUrl="https://x/s3cret")
    assert "s3cret" not in repr(result)


@pytest.mark.parametrize(
    ("word", "state"),
    [("failed", State.FAILED), ("error", State.FAILED), ("timeout", State.TIMEOUT), ("stopped", State.CANCELLED)],
)
@pytest.mark.parametrize(("message", "reason"), [("未找到答案数据", "未找到答案数据"), ("", None), (None, None)])
async def test_a_subtask_that_ended_badly_says_why(
    word: str, state: State, message: str | None, reason: str | None
) -> None:
    """The reason is its `errorMessage`."""
    snapshot = await _job({"subTaskId": "s", "status": word, "errorMessage": message}).fetch()
    assert (snapshot.state, snapshot.status, snapshot.reason, snapshot.value) == (state, word, reason, None)


async def test_the_servers_timeout_is_the_jobs_own() -> None:
    """It is not the caller's deadline."""
    with pytest.raises(JobTimedOut):
        (await _job({"status": "timeout"}).fetch()).unwrap()


@pytest.mark.parametrize("word", ["pending", "assigned", "processing", "Processing ", "", "archived"])
async def test_a_subtask_that_goes_on_has_no_result(word: str) -> None:
    """A word that is not listed keeps the wait going, too; without an answer there is no value."""
    answer: Any
    for answer in (None, "", " \n", []):
        snapshot = await _job({"subTaskId": "s", "status": word, "answerContent": answer}).fetch()
        assert not snapshot.state.is_terminal
        assert (snapshot.value, snapshot.partial) == (None, False)


@pytest.mark.parametrize("word", ["pending", "assigned", "processing", "archived"])
async def test_an_answer_before_the_end_is_a_partial_value(word: str) -> None:
    """While a screenshot or sources are missing, the answer can be had, and the wait goes on."""
    early = {"subTaskId": "s", "status": word, "answerContent": "42", "time": 1769758043000, "amount": "x"}
    done = {**early, "status": "completed", "amount": 1}
    seen = [snapshot async for snapshot in _job(early, done).watch(schedule=Fixed(0.001))]
    assert [(one.state.is_terminal, one.partial, one.value and one.value.answer_content) for one in seen] == [
        (False, True, "42"),
        (True, False, "42"),
    ]
    assert (seen[0].ended_at, seen[0].misfits) == (None, ("$.data.amount",))
    with pytest.raises(ValueError, match="wait until it is terminal"):
        seen[0].unwrap()


SIDE_FIELDS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"referenceList": [{"index": "1", "title": "t"}]}, ("$.data.referenceList[0].index",)),
    ({"referenceList": [7, {"index": 1}]}, ("$.data.referenceList[0]",)),
    ({"referenceList": {"index": 1}}, ("$.data.referenceList",)),
    ({"platform": {}}, ("$.data.platform",)),
    ({"reasoningProcess": 7}, ("$.data.reasoningProcess",)),
    ({"amount": "0.18"}, ("$.data.amount",)),
    ({"time": "soon"}, ("$.data.time",)),
    ({"allRankings": [{"rank": "first"}]}, ("$.data.allRankings[0].rank",)),
    ({"subTaskId": {"id": 1}}, ("$.data.subTaskId",)),
    (
        {"mentionPosition": 1.5, "sentiment": 2, "searchKeywords": [None]},
        ("$.data.searchKeywords[0]", "$.data.mentionPosition"),
    ),
]


@pytest.mark.parametrize(("odd", "misfits"), SIDE_FIELDS)
async def test_a_side_field_costs_no_answer(odd: dict[str, Any], misfits: tuple[str, ...]) -> None:
    """A completed subtask is a success at the first poll; what does not fit is left out and named."""
    snapshot = await _job({"status": "completed", "answerContent": "42", **odd}).wait(timeout=1)
    assert (snapshot.state, snapshot.unwrap().answer_content) == (State.SUCCESS, "42")
    assert snapshot.misfits == misfits
    assert snapshot.raw["data"] == {"status": "completed", "answerContent": "42", **odd}


async def test_a_reference_keeps_what_fits() -> None:
    """Only the odd field of a reference is left at its default."""
    result = await _completed(referenceList=[{"index": "1", "title": "t"}, {"index": 2, "title": "u"}])
    assert result.reference_list == (Source(None, "t"), Source(2, "u"))


@pytest.mark.parametrize("data", [None, {}, {"status": None}, {"status": 1}, {"status": ["completed"]}])
async def test_an_answer_that_makes_no_sense_is_malformed(data: Any) -> None:
    """Data that does not fit is a miss, and the message has the path below the envelope."""
    with pytest.raises(BadReply, match=r"malformed at \$\.data\."):
        await _job(data).fetch()


async def test_an_answer_about_another_subtask_is_never_taken() -> None:
    """The id that the answer echoes must be the one asked about; a number is as good as a text."""
    assert (await _job({"subTaskId": 7, "status": "pending"}, sub_task_id="7").fetch()).state is State.PENDING
    with pytest.raises(BadReply) as strange:
        await _job(*[{"subTaskId": 8, "status": "completed"}] * 2, sub_task_id="7").fetch()
    assert strange.value.kind == "identity"


async def test_a_bad_token_is_no_miss() -> None:
    """It comes with HTTP 200 and code 500, and yet ends the wait."""
    client, _ = _client({"success": False, "code": 500, "message": "Token失效"})
    with pytest.raises(Rejected) as refused:
        await client.subtasks.job(task_id="t", sub_task_id="s").result(timeout=1)
    assert refused.value.kind == "credential"


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a\t", "\ud800", "x" * 513, None, 5.5])
async def test_a_bad_id_is_refused_before_any_request(bad: Any) -> None:
    """Both ids are checked."""
    client, transport = _client()
    with pytest.raises(ValueError, match=r"^task_id must"):
        client.subtasks.job(task_id=bad, sub_task_id="s")
    with pytest.raises(ValueError, match=r"^sub_task_id must"):
        client.subtasks.job(task_id="t", sub_task_id=bad)
    assert transport.requests == 0


LISTED = {
    "taskId": "t",
    "status": "processing",
    "subTaskList": [
        {"subTaskId": 1, "status": "pending"},
        {"subTaskId": 2, "status": "assigned"},
        {"subTaskId": 3, "status": "completed"},
        {"subTaskId": 4, "status": "failed"},
        {"subTaskId": 5, "status": "timeout"},
        {"subTaskId": 6, "status": "stopped"},
        {"subTaskId": 7, "status": "archived"},
        {"subTaskId": 8, "status": None},
    ],
}


async def test_the_subtasks_of_a_task_are_jobs() -> None:
    """They come from a result, from a snapshot in any state, or from asking once."""
    client, transport = _client(_envelope(LISTED), _envelope(LISTED))
    snapshot = await client.tasks.job(task_id="t").fetch()
    jobs = client.subtasks.of(snapshot)
    assert [job.ref for job in jobs] == [SubtaskRef("t", str(number)) for number in range(1, 9)]
    assert [job.key for job in await client.subtasks.list(task_id="t")] == [job.key for job in jobs]
    assert client.subtasks.of(TaskStatus(task_id="t")) == ()
    assert transport.requests == 2


async def test_a_snapshot_without_subtasks_gives_none_or_is_malformed() -> None:
    """An empty list has no jobs; a snapshot of something else has no list."""
    client, _ = _client()
    assert client.subtasks.of(Snapshot(State.PENDING, raw=_envelope({"taskId": "t", "subTaskList": None}))) == ()
    with pytest.raises(BadReply, match=r"\$\.data"):
        client.subtasks.of(Snapshot(State.PENDING))


@pytest.mark.parametrize("bad", ["", "..", "a/b", None])
async def test_a_listed_subtask_without_a_usable_id_is_malformed(bad: Any) -> None:
    """It is the server's mistake, and the message says where."""
    client, _ = _client(_envelope({"status": "pending", "subTaskList": [{"subTaskId": bad, "status": "pending"}]}))
    with pytest.raises(BadReply, match=r"\$\.data\.subTaskList\[0\]"):
        await client.subtasks.list(task_id="t")


async def test_a_side_field_of_a_listed_subtask_does_no_harm() -> None:
    """A subtask that can be asked about is listed, whatever else is said about it."""
    client, _ = _client(
        _envelope({"status": "pending", "subTaskList": [{"subTaskId": 1, "prompt": {}}], "totalItems": "x"})
    )
    assert [job.ref for job in await client.subtasks.list(task_id="t")] == [SubtaskRef("t", "1")]


async def test_a_list_of_subtasks_of_another_type_is_malformed() -> None:
    """It would hide subtasks that are paid for."""
    client, _ = _client(_envelope({"status": "pending", "subTaskList": {"1": "pending"}}))
    with pytest.raises(BadReply, match=r"\$\.data\.subTaskList"):
        await client.subtasks.list(task_id="t")


async def test_the_subtasks_are_those_of_the_task_asked_about() -> None:
    """Also when the answer does not repeat its id."""
    client, _ = _client(_envelope({"status": "pending", "subTaskList": [{"subTaskId": 1}]}))
    assert [job.ref for job in await client.subtasks.list(task_id="t")] == [SubtaskRef("t", "1")]


def _refs(count: int) -> list[SubtaskRef]:
    return [SubtaskRef("t", str(number)) for number in range(1, count + 1)]


def test_subtasks_of_one_task_are_asked_about_together() -> None:
    """One request tells the states of a whole task."""
    group = ENDPOINT.group
    assert group
    assert group.key(SubtaskRef("t", "1")) == group.key(SubtaskRef("t", "2")) != group.key(SubtaskRef("u", "1"))
    assert group.ask(_refs(2)) == Request("GET", "/task/status/t", repeatable=True)
    assert group.size == 50 * 50


def test_together_only_what_is_told_in_full_is_answered() -> None:
    """What has a result or a reason to tell is left to be asked about alone, as is what is not on the list."""
    assert ENDPOINT.group
    seen = ENDPOINT.group.read(Reply(200, _envelope(LISTED), {"retry-after": "5"}), _refs(9))
    assert {ref.sub_task_id: (one.state, one.status) for ref, one in seen.items()} == {
        "1": (State.PENDING, "pending"),
        "2": (State.PROCESSING, "assigned"),
        "6": (State.CANCELLED, "stopped"),
        "7": (State.UNKNOWN, "archived"),
    }
    assert {one.retry_after for one in seen.values()} == {5}


@pytest.mark.parametrize(
    "data",
    [
        {"taskId": "another", "subTaskList": []},
        {"subTaskList": [{"subTaskId": 1, "status": "pending"}, {"subTaskId": "1", "status": "failed"}]},
    ],
)
def test_together_an_answer_about_something_else_is_refused(data: dict[str, Any]) -> None:
    """Another task, or one subtask twice, is no answer about these subtasks."""
    assert ENDPOINT.group
    with pytest.raises(BadReply) as strange:
        ENDPOINT.group.read(Reply(200, _envelope(data)), _refs(1))
    assert strange.value.kind == "identity"
