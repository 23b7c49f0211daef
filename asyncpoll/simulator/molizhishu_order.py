"""What Molizhishu accepts as a submission (Molizhishu API manual, submit-task)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from asyncpoll.simulator.batches import MODES, Order

_MOST = 50
_SCREENSHOTS = (0, 1, 2)
_BRAND = ("monitorKeywords", "monitorKeywordAliases", "competitors")


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


RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
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


def order_of(body: dict[str, Any] | None) -> Order | str:
    """Return the order that the body of a submission places, or what is wrong with it."""
    if body is None:
        return "请求体需要是 JSON 对象"
    for name, (obeys, complaint) in RULES.items():
        if not obeys(body.get(name)):
            return complaint
    platforms: dict[str, dict[str, Any]] = {}
    for each in body["platforms"]:  # the first of a name wins, in whatever letter case
        platforms.setdefault(each["platform"].lower(), each)
    return Order(
        tuple((prompt, each["platform"], each["mode"]) for prompt in body["prompts"] for each in platforms.values()),
        consumer_task_id=body.get("consumerTaskId") or None,
        callback_url=body.get("callbackUrl"),
        brand={name: body[name] for name in _BRAND if name in body},
    )
