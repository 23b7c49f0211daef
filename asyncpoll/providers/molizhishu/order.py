"""What a task is to ask and whom, checked before it is sent. Source: the Molizhishu API manual, submit-task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args
from uuid import uuid4

from attrs import asdict, field, frozen, validators

from asyncpoll.codec import camel
from asyncpoll.providers.molizhishu.task_status import Competitor

T = TypeVar("T")
Mode = Literal["standard", "reasoning", "search", "reasoning_search"]
MOST = 50
"""The most prompts, platforms, aliases and competitors that one task may have."""

_CONSUMER_TASK_ID = re.compile(r"[A-Za-z0-9]{8,64}", re.ASCII)


@frozen
class Platform:
    """An AI platform to ask, and how.

    Attributes:
        platform: Its name, such as "doubao" or "deepseek".
        mode: What it is to do: only the two search modes give sources.
        screenshot: 0 for none, 1 for one, 2 for one if the watched brand is mentioned.
    """

    platform: str = field(validator=validators.min_len(1))
    mode: Mode = field(default="standard", validator=validators.in_(get_args(Mode)))
    screenshot: int = field(default=0, validator=validators.in_((0, 1, 2)))


def order(
    *,
    prompts: Sequence[str],
    platforms: Sequence[Platform | Mapping[str, Any] | str],
    region_code: str | None,
    callback_url: str | None,
    monitor_keywords: str | None,
    monitor_keyword_aliases: Sequence[str],
    competitors: Sequence[Competitor | Mapping[str, Any]],
    consumer_task_id: str | None,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the body of a submit; `Tasks.start` describes the arguments.

    Raises:
        ValueError: There is too little or too much of something, or a text is none or empty.
    """
    if competitors and not monitor_keywords:
        raise ValueError("competitors need monitor_keywords, the brand that they compete with")
    fields: dict[str, Any] = {
        "prompts": [_text("a prompt", one) for one in _counted("prompts", prompts, least=1)],
        "platforms": [_platform(one) for one in _counted("platforms", platforms, least=1)],
        "regionCode": None if region_code is None else [_text("region_code", region_code)],
        "callbackUrl": callback_url,
        "monitorKeywords": monitor_keywords,
        "monitorKeywordAliases": list(_counted("monitor_keyword_aliases", monitor_keyword_aliases)),
        "competitors": [_competitor(one) for one in _counted("competitors", competitors)],
        "consumerTaskId": _consumer_task_id(consumer_task_id),
    }
    further = {camel(name): value for name, value in extra.items()}
    if twice := sorted(fields.keys() & further.keys()):
        raise ValueError(f"the field {twice[0]} has an argument of its own; pass that")
    return {name: value for name, value in fields.items() if value} | further


def _counted(name: str, items: Sequence[Any], *, least: int = 0) -> Sequence[Any]:
    if not isinstance(items, list | tuple):
        raise ValueError(f"{name} must be a list, not {type(items).__name__}")  # noqa: TRY004  as all bad arguments
    if not least <= len(items) <= MOST:
        raise ValueError(f"{name} must have {least} to {MOST} items, not {len(items)}")
    return items


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise ValueError(f"{name} must be a text with something in it")


def _platform(given: Platform | Mapping[str, Any] | str) -> dict[str, Any]:
    return asdict(_made(Platform, {"platform": given} if isinstance(given, str) else given))


def _competitor(given: Competitor | Mapping[str, Any]) -> dict[str, Any]:
    competitor = _made(Competitor, given)
    return {"name": competitor.name, "aliases": list(_counted("aliases", competitor.aliases))}


def _made(cls: type[T], given: T | Mapping[str, Any]) -> T:
    if isinstance(given, cls):
        return given
    try:
        return cls(**given)  # type: ignore[arg-type]  # narrowing leaves the T in the union
    except TypeError:
        raise ValueError(f"a {cls.__name__} is needed, or a mapping of its fields") from None


def _consumer_task_id(given: Any) -> str:
    if given is None:
        return uuid4().hex
    if isinstance(given, str) and _CONSUMER_TASK_ID.fullmatch(given):
        return given
    raise ValueError("consumer_task_id must be 8 to 64 ASCII letters and digits")
