"""Speak BigModel's wire format: agents, the file parser, and the archives that the parser offers for download.

Sources: the vendor's OpenAPI documents of the agents' async-result and the file parser's result, its pages on the file
parser, on homework correction and on error codes, and recorded answers where these differ.

The content of results is drawn from the seed and the id. "documented" results have the one shape of the OpenAPI
documents; "observed" ones also have the shapes of the vendor's other pages, its SDKs and recorded answers.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from aiohttp import web
from attrs import field, frozen

from asyncpoll.simulator._http import Clock, Response, Route, Shapes, accepts, bearer, json_object, json_response
from asyncpoll.simulator._jobs import Jobs
from asyncpoll.simulator._lives import fingerprint, random_for

_CORRECTION = "intelligent_education_correction_polling"
_TOOLS = frozenset({"lite", "expert", "prime"})
_FORMATS = frozenset({"text", "download_link"})
_MESSAGES = {"processing": "任务处理中", "succeeded": "结果获取成功", "failed": "文件解析失败"}
_EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>"
_MISSING = b"<Error><Code>NoSuchKey</Code></Error>"
_SDK_BASE = "/api/paas/v4"  # the vendor's SDK calls everything below it, also the agents
_TWO_CREDENTIALS = b"<Error><Code>InvalidArgument</Code><Message>Only one credential allowed.</Message></Error>"
_XML = {"Content-Type": "application/xml"}
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
        name: The name of the files.
        shapes: The shapes to choose from.
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
    """Return the text of a parsed document, as Markdown."""
    return "\n\n".join(("# 文件解析结果", *random.sample(_PARAGRAPHS, random.randint(1, len(_PARAGRAPHS)))))


def parser_result(random: Random, text: str, url: str, *, wanted: str, shapes: Shapes) -> dict[str, Any]:
    """Return `content` and `parsing_result_url` of a parser's success.

    The field that was not asked for is null; observed answers sometimes fill or omit it.

    Args:
        random: Chooses among the observed shapes.
        text: The text of the document.
        url: The address of the archive.
        wanted: The requested format, "text" or "download_link".
        shapes: The shapes to choose from.
    """
    both = {"content": text, "parsing_result_url": url}
    asked, other = sorted(both, key=lambda field: (field == "content") != (wanted == "text"))
    ways: tuple[dict[str, Any], ...] = ({**both, other: None}, both, {asked: both[asked]})
    return ways[0] if shapes == "documented" else random.choice(ways)


def archive(text: str) -> bytes:
    """Return a zip archive of the parsed text and a picture, the same bytes for the same text."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bundle:
        # An entry made from a ZipInfo has a fixed date; one made from a name has the date of today.
        bundle.writestr(zipfile.ZipInfo("result.md"), text)
        bundle.writestr(zipfile.ZipInfo("images/page-1.svg"), '<svg xmlns="http://www.w3.org/2000/svg"/>')
    return target.getvalue()


def error(status: int, code: str, message: str) -> Response:
    """Return an error object of BigModel."""
    return json_response({"error": {"code": code, "message": message}}, status)


@frozen
class BigModel:
    """The endpoints, each a coroutine from a request to a response."""

    seed: int
    clock: Clock
    agents: Jobs
    parser: Jobs
    shapes: Shapes
    key: str | None = field(repr=False)
    link_lifetime: float

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of all endpoints."""
        parser = f"{_SDK_BASE}/files/parser"
        agents = [
            route
            for base in ("/api", _SDK_BASE)
            for route in (
                Route("bigmodel.agents.start", "POST", f"{base}/v1/agents", self._guard, self._start_agent),
                Route("bigmodel.agents", "POST", f"{base}/v1/agents/async-result", self._guard, self._agent),
            )
        ]
        return (
            *agents,
            Route("bigmodel.file_parser.start", "POST", f"{parser}/create", self._guard, self._start_parser),
            Route("bigmodel.file_parser", "GET", f"{parser}/result/{{task}}/{{format}}", self._guard, self._parsed),
            Route("bigmodel.file_parser.download", "GET", "/download/{task}.zip", self._no_credentials, self._archive),
        )

    def _guard(self, request: web.Request) -> Response | None:
        token = bearer(request)
        if accepts(token, self.key):
            return None
        return error(401, "1000", "身份验证失败") if token else error(401, "1001", "Header中未收到Authorization参数")

    async def _start_agent(self, request: web.Request) -> Response:
        body = await json_object(request)
        if body is None or not isinstance(body.get("agent_id"), str) or not isinstance(body.get("messages"), list):
            return error(400, "1210", "API 调用参数有误:需要 agent_id 和 messages")
        ident = self.agents.submit(self.clock.now())
        return json_response({"status": "pending", "async_id": ident, "agent_id": body["agent_id"]}, job=ident)

    async def _agent(self, request: web.Request) -> Response:
        body = await json_object(request)
        if body is None or not isinstance(body.get("agent_id"), str):
            return error(400, "1210", "API 调用参数有误:需要 agent_id 和 async_id")
        if body["agent_id"] == _CORRECTION and "async_id" not in body:
            return self._correction(body)
        if not isinstance(body.get("async_id"), str):
            return error(400, "1210", "API 调用参数有误:需要 agent_id 和 async_id")
        ident, now = body["async_id"], self.clock.now()
        job = self.agents.find((ident,), now)
        if job is None:
            return json_response({"status": "failed", "error": {"code": "400", "message": "任务不存在"}}, job=ident)
        known = {"agent_id": body["agent_id"], "async_id": ident, "status": job.word(now)}
        return json_response({**known, **self._agent_facts(ident, known["status"])}, job=ident)

    def _correction(self, body: dict[str, Any]) -> Response:
        """Answer a poll with variables; a success has neither a status nor an id."""
        variables = body.get("custom_variables")
        trace = variables.get("trace_id") if isinstance(variables, dict) else None
        if (
            not isinstance(trace, str)
            or not isinstance(variables, dict)
            or not isinstance(variables.get("images"), list)
        ):
            return error(400, "1210", "API 调用参数有误:需要 trace_id 和 images")
        now = self.clock.now()
        job = self.agents.find((trace,), now)
        word = "failed" if job is None else job.word(now)
        if word == "success":
            return json_response({"agent_id": _CORRECTION, **correction_output(variables["images"])}, job=trace)
        return json_response({"agent_id": _CORRECTION, "status": word, **self._agent_facts(trace, word)}, job=trace)

    def _agent_facts(self, ident: str, word: str) -> dict[str, Any]:
        random = random_for(self.seed, "agent", ident)
        if word == "success":
            return agent_output(random, fingerprint(self.seed, "file", ident).hex(), self.shapes)
        return {"error": agent_error(random)} if word == "failed" else {}

    async def _start_parser(self, request: web.Request) -> Response:
        form = await request.post()
        if not isinstance(form.get("file"), web.FileField):
            return json_response({"success": False, "message": "file 不能为空", "task_id": None})
        if form.get("tool_type") not in _TOOLS:
            return json_response({"success": False, "message": "不支持的 tool_type", "task_id": None})
        ident = self.parser.submit(self.clock.now(), prefix="task_")
        return json_response({"success": True, "message": "任务创建成功", "task_id": ident}, job=ident)

    async def _parsed(self, request: web.Request) -> Response:
        ident, wanted, now = request.match_info["task"], request.match_info["format"], self.clock.now()
        if wanted not in _FORMATS:
            return error(400, "1210", "API 调用参数有误:format_type 只能是 text 或 download_link")
        job = self.parser.find((ident,), now)
        if job is None:
            return error(404, "1222", "任务不存在")
        word = job.word(now)
        known = {"status": word, "message": _MESSAGES[word], "task_id": ident}
        if word != "succeeded":
            return json_response({**known, "content": None, "parsing_result_url": None})
        return json_response({**known, **self._parsed_facts(request, ident, wanted)})

    def _parsed_facts(self, request: web.Request, ident: str, wanted: str) -> dict[str, Any]:
        url = f"{request.url.origin()}/download/{quote(ident, safe='')}.zip"
        return parser_result(
            random_for(self.seed, "parser", ident, wanted), self._text(ident), url, wanted=wanted, shapes=self.shapes
        )

    def _text(self, ident: str) -> str:
        return parsed_text(random_for(self.seed, "text", ident))

    def _no_credentials(self, request: web.Request) -> Response | None:
        # The link is signed; an object store refuses a request with a second credential.
        return Response(400, _TWO_CREDENTIALS, _XML) if "Authorization" in request.headers else None

    async def _archive(self, request: web.Request) -> Response:
        ident, now = request.match_info["task"], self.clock.now()
        job = self.parser.find((ident,), now)
        if job is None or job.word(now) != "succeeded":
            return Response(404, _MISSING, _XML)
        if now >= job.truth.finished_at + self.link_lifetime:
            return Response(403, _EXPIRED, _XML)
        return Response(200, archive(self._text(ident)), {"Content-Type": "application/zip"})
