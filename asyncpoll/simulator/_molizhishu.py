"""Speak Molizhishu's wire format: batches of prompts, and the answers of the platforms to these.

Sources: the Molizhishu API manual (submit-task, query-task-status, get-task-result, get-subtask-result, stop-task,
error-handling). Every refusal comes with HTTP 200; its `success` and `code` tell the kind.

The content of results is drawn from the seed and the ids. "documented" results have the fields of the vendor's page on
subtask results, each of which is there and may be null; "observed" ones vary as in later pages and recorded answers:
fields are missing, null, empty, relative or of another type, newer fields are there too, and an answer may come before
its subtask is completed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any

from aiohttp import web
from attrs import field, frozen

from asyncpoll.simulator._batches import MODES, Batch, Batches, Progress, Submission, Subtask
from asyncpoll.simulator._http import Clock, Response, Route, Shapes, accepts, bearer, json_object, json_response
from asyncpoll.simulator._jobs import Job
from asyncpoll.simulator._lives import random_for

_PREFIX = "/api/business/monitor"
_ENDED = 3  # the last phase of a life
_FINISHED = frozenset({"completed", "partial_completed", "failed"})
_MOST = 50
_SCREENSHOTS = (0, 1, 2)
_BRAND = ("monitorKeywords", "monitorKeywordAliases", "competitors")
_SITES = (("中关村在线", "zol.example.com"), ("什么值得买", "smzdm.example.com"), ("知识问答", "wenda.example.com"))
_QUESTIONS = ("预算五千元怎么选?", "这两个品牌的售后有什么区别?", "今年有哪些新品?")
_ERRORS: Mapping[str, str] = MappingProxyType(
    {"failed": "未找到答案数据", "timeout": "执行超时", "error": "API 计费异常", "stopped": "任务已停止"}
)
_NOTHING: Mapping[str, Any] = MappingProxyType(
    {
        "time": None,
        "pageScreenshot": None,
        "answerContent": None,
        "referenceList": None,
        "citationList": None,
        "reasoningProcess": None,
        "recommendedQuestions": None,
        "mediaContent": None,
        "errorMessage": None,
        "proxyIp": None,
    }
)
_MISSING = object()
_EARLY = 0.5  # the share of subtasks whose answer comes before the screenshot and the sources
_VARIANTS: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "pageScreenshot": ("", None, _MISSING),
        "referenceList": (None, []),
        "citationList": (None, _MISSING),
        "reasoningProcess": (None, "用户想要一份对比,先列出候选品牌。"),
        "recommendedQuestions": (None, _MISSING),
        "mediaContent": (None, _MISSING),
        "proxyIp": (None,),
    }
)
_NEWER: Mapping[str, Any] = MappingProxyType(
    {
        "shareUrl": "https://chat.example.com/s/1",
        "searchKeywords": ["品牌 对比", "销量 排行"],
        "videoList": [],
        "goods": [],
        "amount": 0.18,
        "mentionPosition": None,
        "sentiment": "neutral",
        "allRankings": [{"name": "某品牌", "rank": 1}],
        "keywordEvaluations": [],
    }
)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value)


def _prompts(value: Any) -> bool:
    return _texts(value) and 1 <= len(value) <= _MOST


def _platform(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("platform"), str)
        and bool(value["platform"].strip())
        and value.get("mode") in MODES
        and value.get("screenshot", 0) in _SCREENSHOTS
    )


def _platforms(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= _MOST and all(map(_platform, value))


def _region(value: Any) -> bool:
    return value is None or (_texts(value) and len(value) == 1)


def _consumer_id(value: Any) -> bool:
    return not value or (isinstance(value, str) and re.fullmatch("[0-9A-Za-z]{8,64}", value) is not None)


def _optional_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _few(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) <= _MOST)


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "prompts": (_prompts, "prompts 需要 1 到 50 个提示词"),
        "platforms": (_platforms, "platforms 需要 1 到 50 个平台配置"),
        "regionCode": (_region, "regionCode 只能指定 1 个"),
        "consumerTaskId": (_consumer_id, "consumerTaskId 需要 8 到 64 个字母或数字"),
        "callbackUrl": (_optional_text, "callbackUrl 需要是字符串"),
        "monitorKeywords": (_optional_text, "monitorKeywords 需要是字符串"),
        "monitorKeywordAliases": (_few, "monitorKeywordAliases 最多 50 个"),
        "competitors": (_few, "competitors 最多 50 个"),
    }
)


def parse_submission(body: dict[str, Any] | None) -> Submission | str:
    """Return the submission in the body of a request, or a message that says what is wrong with it."""
    if body is None:
        return "请求体需要是 JSON 对象"
    for name, (is_valid, message) in _RULES.items():
        if not is_valid(body.get(name)):
            return message
    platforms: dict[str, dict[str, Any]] = {}
    for each in body["platforms"]:  # the first one of a name counts; letter case does not
        platforms.setdefault(each["platform"].lower(), each)
    return Submission(
        tuple((prompt, each["platform"], each["mode"]) for prompt in body["prompts"] for each in platforms.values()),
        consumer_task_id=body.get("consumerTaskId") or None,
        callback_url=body.get("callbackUrl"),
        brand={name: body[name] for name in _BRAND if name in body},
    )


def _source(random: Random, index: int) -> dict[str, Any]:
    site, host = random.choice(_SITES)
    return {
        "index": index,
        "title": f"{site}的评测第 {index} 篇",
        "url": f"https://{host}/a/{random.randrange(10**6)}",
        "site": site,
        "icon": f"https://{host}/favicon.ico",
    }


def _answer(random: Random, subtask: Subtask) -> dict[str, Any]:
    """Return the fields that a completed subtask has filled, in the documented shape."""
    sources = [_source(random, index) for index in range(1, random.randint(2, 5))]
    return {
        "pageScreenshot": f"https://img.example.com/screenshots/{subtask.platform}/{random.randrange(10**9)}.png",
        "answerContent": f"### {subtask.prompt}\n\n综合 {len(sources)} 个来源,建议先看预算,再看售后。",
        "referenceList": sources,
        "citationList": sources[:1],
        "reasoningProcess": {"summary": "", "content": "先列出候选,再逐项比较。"},
        "recommendedQuestions": list(_QUESTIONS),
        "mediaContent": [],
        "proxyIp": f"192.0.2.{random.randrange(1, 255)}",
    }


def _varied(random: Random, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as observed: a field with variants keeps its value or has one of these."""
    chosen = {name: random.choice((fields[name], *variants)) for name, variants in _VARIANTS.items()}
    fields = {**fields, **chosen, **random.choice((_NEWER, {}))}
    for source in fields["referenceList"] or ():
        source["icon"] = random.choice((source["icon"], f"icons/{source['index']}.ico", None))
    return {name: value for name, value in fields.items() if value is not _MISSING}


def subtask_result(random: Random, subtask: Subtask, word: str, ended: int | None, shapes: Shapes) -> dict[str, Any]:
    """Return the whole result of a subtask.

    Args:
        random: Chooses among the observed shapes, and the content.
        subtask: The subtask.
        word: Its status word.
        ended: The Unix time of its end in milliseconds, or None before that.
        shapes: The shapes to choose from.
    """
    known = {
        "subTaskId": subtask.ident,
        "platform": subtask.platform,
        "mode": subtask.mode,
        "prompt": subtask.prompt,
        "status": word,
    }
    fields: dict[str, Any] = {**known, **_NOTHING, "time": ended, "errorMessage": _ERRORS.get(word)}
    if word == "processing" and shapes == "observed" and random.random() < _EARLY:
        early = _answer(random, subtask)
        return {**fields, **early, "pageScreenshot": None, "citationList": None}
    if word != "completed":
        return fields
    fields |= _answer(random, subtask)
    return fields if shapes == "documented" else _varied(random, fields)


def envelope(data: Any, message: str = "操作成功", *, job: str | None = None) -> Response:
    """Return *data* in the envelope of a success."""
    return json_response({"success": True, "code": 200, "message": message, "data": data}, job=job)


def refusal(code: int, message: str) -> Response:
    """Return a refusal, which has no data."""
    return json_response({"success": False, "code": code, "message": message})


def _head(batch: Batch, progress: Progress) -> dict[str, Any]:
    return {
        "taskId": batch.ident,
        "consumerTaskId": batch.submission and batch.submission.consumer_task_id,
        "status": progress.status,
        "totalItems": progress.total,
        "completedItems": progress.completed,
        "failedItems": progress.failed,
    }


@frozen
class Molizhishu:
    """The endpoints, each a coroutine from a request to a response."""

    seed: int
    clock: Clock
    batches: Batches
    shapes: Shapes
    token: str | None = field(repr=False)

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of all endpoints."""
        return tuple(
            Route(f"molizhishu.{name}", method, _PREFIX + path, self._guard, handler)
            for name, method, path, handler in (
                ("tasks.start", "POST", "/task/batch/shared", self._start),
                ("tasks", "GET", "/task/status/{task}", self._status),
                ("tasks.result", "GET", "/task/result/{task}", self._result),
                ("subtasks", "GET", "/task/result/{task}/{subtask}", self._subtask),
                ("tasks.stop", "PUT", "/task/{task}/stop", self._stop),
            )
        )

    def _guard(self, request: web.Request) -> Response | None:
        return None if accepts(bearer(request), self.token) else refusal(500, "Token失效")

    async def _start(self, request: web.Request) -> Response:
        submission = parse_submission(await json_object(request))
        if isinstance(submission, str):
            return refusal(300001, f"请求参数错误:{submission}")
        now = self.clock.now()
        batch, new = self.batches.submit(submission, now)
        submission = batch.submission or submission  # the first one counts
        data = {
            "taskId": batch.ident,
            "consumerTaskId": submission.consumer_task_id,
            "totalTask": len(batch.subtasks),
            "status": self.batches.progress(batch, now).status,
            "pollUrl": f"{_PREFIX}/task/status/{batch.ident}",
            "callbackUrl": submission.callback_url,
            "subTaskList": self._list_of(batch, now),
        }
        return envelope(data, "批量任务已提交" if new else "任务已存在", job=batch.ident)

    async def _status(self, request: web.Request) -> Response:
        batch, now = self.batches.find(request.match_info["task"]), self.clock.now()
        if batch is None:
            return refusal(404, "任务不存在")
        progress = self.batches.progress(batch, now)
        truth = self.batches.truth(batch.ident)
        data = {
            **_head(batch, progress),
            "message": f"任务进度: {progress.completed}/{progress.total} 已完成, {progress.failed} 失败",
            "createdAt": self.clock.unix_ms(truth.submitted_at),
            "completedAt": self.clock.unix_ms(truth.finished_at) if progress.status in _FINISHED else None,
            "subTaskList": self._list_of(batch, now),
        }
        return envelope({**data, "message": "任务已停止"} if progress.status == "stopped" else data)

    async def _result(self, request: web.Request) -> Response:
        batch, now = self.batches.find(request.match_info["task"]), self.clock.now()
        if batch is None:
            return refusal(404, "任务不存在")
        results = [self._result_of(batch.ident, *entry, now) for entry in self.batches.jobs_of(batch, now)]
        return envelope({**_head(batch, self.batches.progress(batch, now)), "subTaskList": results})

    async def _subtask(self, request: web.Request) -> Response:
        ident, now = request.match_info["task"], self.clock.now()
        subtask = self.batches.find_subtask(ident, request.match_info["subtask"])
        if subtask is None:
            return refusal(404, "子任务不存在")
        return envelope(self._result_of(ident, subtask, self.batches.job(ident, subtask, now), now))

    async def _stop(self, request: web.Request) -> Response:
        batch = self.batches.find(request.match_info["task"])
        if batch is None:
            return refusal(404, "任务不存在")
        stopped = self.batches.stop(batch, self.clock.now())
        if stopped is None:
            return refusal(500, "任务已结束，不能停止")  # noqa: RUF001  the vendor's comma
        return envelope(f"任务已停止，影响子任务 {stopped} 个")  # noqa: RUF001  likewise

    def _list_of(self, batch: Batch, now: float) -> list[dict[str, Any]]:
        brand = batch.submission.brand if batch.submission else {}
        return [
            {
                "subTaskId": subtask.ident,
                "prompt": subtask.prompt,
                "platform": subtask.platform,
                "mode": subtask.mode,
                "status": job.word(now),
                **brand,
            }
            for subtask, job in self.batches.jobs_of(batch, now)
        ]

    def _result_of(self, ident: str, subtask: Subtask, job: Job, now: float) -> dict[str, Any]:
        ended = self.clock.unix_ms(job.truth.finished_at) if job.phase(now) == _ENDED else None
        random = random_for(self.seed, "subtask.result", ident, subtask.ident)
        return subtask_result(random, subtask, job.word(now), ended, self.shapes)
