"""What BigModel's jobs have to show for themselves, drawn from the seed and the id.

"documented" keeps to the one shape of the vendor's OpenAPI documents; "observed" adds what its other pages, its SDKs
and recorded answers show.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any

from asyncpoll.simulator.routes import Shapes

_HOST = "https://cdn.example.com"
_PARAGRAPHS = (
    "本季度营业收入同比增长百分之十二。",
    "The figures in table 2 are rounded to whole units.",
    "附录列出了全部样本的采集地点与时间。",
    "| 项目 | 数量 |\n|---|---|\n| 苹果 | 3 |\n| 梨 | 5 |",
)
_FAILURES = (
    ("1234", "网络错误,请稍后重试"),
    ("1301", "系统检测到输入或生成内容可能包含不安全或敏感内容"),
    ("1113", "您的账户已欠费,请充值后重试。"),
)

_ITEMS: Mapping[str, Callable[[str], dict[str, str]]] = MappingProxyType(
    {
        "file_url": lambda name: {
            "type": "file_url",
            "file_url": f"{_HOST}/{name}.pdf",
            "tag_cn": "译文",
            "tag_en": "translation",
        },
        "video_url": lambda name: {"type": "video_url", "video_url": f"{_HOST}/{name}.mp4"},
        "image_url": lambda name: {"type": "image_url", "image_url": f"{_HOST}/{name}.png"},
        "text": lambda name: {"type": "text", "text": f"已完成:{name}"},
    }
)
_CONTENTS: tuple[Callable[[dict[str, str]], Any], ...] = (
    lambda item: [item],
    lambda item: item,
    lambda item: item[item["type"]],
)
_CHOICES: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    lambda message: {"messages": [message]},
    lambda message: {"message": [message], "index": 0, "finish_reason": "stop"},
    lambda message: {"message": message, "index": 0, "finish_reason": "stop"},
    lambda message: {"messages": message},
)
_USAGES: tuple[Callable[[int], dict[str, Any]], ...] = (
    lambda tokens: {"usage": {"total_tokens": tokens}},
    lambda tokens: {"usage": {"prompt_tokens": 20, "completion_tokens": tokens - 20, "total_tokens": tokens}},
    lambda tokens: {"usage": {"total_tokens": tokens, "total_calls": 1}},
    lambda _tokens: {},
)


def agent_output(random: Random, name: str, shapes: Shapes) -> dict[str, Any]:
    """Return `choices` and `usage` of an agent's success.

    Args:
        random: Chooses among the observed shapes, and the figures.
        name: What to call the files.
        shapes: Which shapes there are to choose from.
    """
    tokens = random.randrange(100, 2000)
    if shapes == "documented":
        message = {"role": "assistant", "content": [_ITEMS["file_url"](name)]}
        return {"choices": [_CHOICES[0](message)], **_USAGES[0](tokens)}
    content = random.choice(_CONTENTS)(random.choice(tuple(_ITEMS.values()))(name))
    choice = random.choice(_CHOICES)({"role": "assistant", "content": content})
    return {"choices": [choice], **random.choice(_USAGES)(tokens)}


def correction_output(images: list[Any]) -> dict[str, Any]:
    """Return `choices` of the agent that corrects homework: one object, with a result for each question."""
    results = [
        {"uuid": uuid, "is_finish": 1, "correct_source": "model"}
        for image in images
        if isinstance(image, dict) and isinstance(image.get("uuids"), list)
        for uuid in image["uuids"]
    ]
    content = {"type": "object", "object": {"results": results}}
    return {"choices": [{"messages": [{"role": "assistant", "content": content}]}]}


def agent_error(random: Random) -> dict[str, str]:
    """Return the `error` of an agent's failure, which comes with HTTP 200."""
    code, message = random.choice(_FAILURES)
    return {"code": code, "message": message}


def parsed_text(random: Random) -> str:
    """Return what the parser read in a document, as Markdown."""
    return "\n\n".join(("# 文件解析结果", *random.sample(_PARAGRAPHS, random.randint(1, len(_PARAGRAPHS)))))


def parser_result(random: Random, text: str, url: str, *, wanted: str, shapes: Shapes) -> dict[str, Any]:
    """Return `content` and `parsing_result_url` of a parser's success.

    The field that was not asked for is null; observed answers fill or omit it, too.

    Args:
        random: Chooses among the observed shapes.
        text: The text of the document.
        url: The address of the archive.
        wanted: The format asked for, "text" or "download_link".
        shapes: Which shapes there are to choose from.
    """
    both = {"content": text, "parsing_result_url": url}
    asked, other = sorted(both, key=lambda field: (field == "content") != (wanted == "text"))
    ways: tuple[dict[str, Any], ...] = ({**both, other: None}, both, {asked: both[asked]})
    return ways[0] if shapes == "documented" else random.choice(ways)


def archive(text: str) -> bytes:
    """Return a zip archive of the parsed text and one picture, the same bytes for the same text."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bundle:
        # An entry that is described by hand has a fixed date; one described by name alone has today's.
        bundle.writestr(zipfile.ZipInfo("result.md"), text)
        bundle.writestr(zipfile.ZipInfo("images/page-1.svg"), '<svg xmlns="http://www.w3.org/2000/svg"/>')
    return target.getvalue()
