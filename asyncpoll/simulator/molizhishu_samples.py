"""What Molizhishu's subtasks have to show for themselves: drawn from the seed and the ids.

"documented" keeps to the table of the vendor's page on subtask results, where every field is there and may be null;
"observed" varies the fields as its later pages and recorded answers do: missing, null, empty, relative, of another
type, and with newer fields beside them; an answer may be there before its subtask is completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any

from asyncpoll.simulator.batches import Subtask
from asyncpoll.simulator.routes import Shapes

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
_EARLY = 0.5  # the share of subtasks whose answer is there while a screenshot or the sources are still missing
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
    """Return every field that a completed subtask has filled, in the documented shape."""
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
    """Return the fields as observed: each that has variants keeps its value or takes one of these."""
    chosen = {name: random.choice((fields[name], *variants)) for name, variants in _VARIANTS.items()}
    fields = {**fields, **chosen, **random.choice((_NEWER, {}))}
    for source in fields["referenceList"] or ():
        source["icon"] = random.choice((source["icon"], f"icons/{source['index']}.ico", None))
    return {name: value for name, value in fields.items() if value is not _MISSING}


def subtask_result(random: Random, subtask: Subtask, word: str, ended: int | None, shapes: Shapes) -> dict[str, Any]:
    """Return the whole result of a subtask.

    Args:
        random: Chooses among the observed shapes, and the content.
        subtask: What was asked.
        word: Its status word.
        ended: When it ended, in milliseconds from 1970, or None while it has not.
        shapes: Which shapes there are to choose from.
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
