"""BigModel's wire dialect: agents, file parser, and the archives the parser offers for download.

Sources: the vendor's OpenAPI documents of the agents' async-result and the file parser's result, its pages on the file
parser, on homework correction and on error codes, and recorded answers where these differ.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from aiohttp import web
from attrs import field, frozen

from asyncpoll.simulator.answers import Answer, json_answer
from asyncpoll.simulator.bigmodel_samples import (
    agent_error,
    agent_output,
    archive,
    correction_output,
    parsed_text,
    parser_result,
)
from asyncpoll.simulator.jobs import Jobs
from asyncpoll.simulator.lives import chance, fingerprint
from asyncpoll.simulator.routes import Clock, Route, Shapes, bearer, json_object, opens

_CORRECTION = "intelligent_education_correction_polling"
_TOOLS = frozenset({"lite", "expert", "prime"})
_FORMATS = frozenset({"text", "download_link"})
_MESSAGES = {"processing": "任务处理中", "succeeded": "结果获取成功", "failed": "文件解析失败"}
_EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>"
_MISSING = b"<Error><Code>NoSuchKey</Code></Error>"
_SDK_BASE = "/api/paas/v4"  # the vendor's SDK asks for everything below it, also for the agents
_TWO_CREDENTIALS = b"<Error><Code>InvalidArgument</Code><Message>Only one credential allowed.</Message></Error>"
_XML = {"Content-Type": "application/xml"}


def error(status: int, code: str, message: str) -> Answer:
    """Return an error as BigModel words it."""
    return json_answer({"error": {"code": code, "message": message}}, status)


@frozen
class BigModel:
    """The endpoints, each a coroutine from a request to an answer."""

    seed: int
    clock: Clock
    agents: Jobs
    parser: Jobs
    shapes: Shapes
    key: str | None = field(repr=False)
    link_lifetime: float

    def routes(self) -> tuple[Route, ...]:
        """Return where everything is."""
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

    def _guard(self, request: web.Request) -> Answer | None:
        token = bearer(request)
        if opens(token, self.key):
            return None
        return error(401, "1000", "身份验证失败") if token else error(401, "1001", "Header中未收到Authorization参数")

    async def _start_agent(self, request: web.Request) -> Answer:
        body = await json_object(request)
        if body is None or not isinstance(body.get("agent_id"), str) or not isinstance(body.get("messages"), list):
            return error(400, "1210", "API 调用参数有误:需要 agent_id 和 messages")
        ident = self.agents.submit(self.clock.now())
        return json_answer({"status": "pending", "async_id": ident, "agent_id": body["agent_id"]})

    async def _agent(self, request: web.Request) -> Answer:
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
            return json_answer({"status": "failed", "error": {"code": "400", "message": "任务不存在"}})
        known = {"agent_id": body["agent_id"], "async_id": ident, "status": job.word(now)}
        return json_answer({**known, **self._agent_facts(ident, known["status"])})

    def _correction(self, body: dict[str, Any]) -> Answer:
        """Answer the agent that is asked with variables; with its choices comes neither a status nor an id."""
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
            return json_answer({"agent_id": _CORRECTION, **correction_output(variables["images"])})
        return json_answer({"agent_id": _CORRECTION, "status": word, **self._agent_facts(trace, word)})

    def _agent_facts(self, ident: str, word: str) -> dict[str, Any]:
        random = chance(self.seed, "agent", ident)
        if word == "success":
            return agent_output(random, fingerprint(self.seed, "file", ident).hex(), self.shapes)
        return {"error": agent_error(random)} if word == "failed" else {}

    async def _start_parser(self, request: web.Request) -> Answer:
        form = await request.post()
        if not isinstance(form.get("file"), web.FileField):
            return json_answer({"success": False, "message": "file 不能为空", "task_id": None})
        if form.get("tool_type") not in _TOOLS:
            return json_answer({"success": False, "message": "不支持的 tool_type", "task_id": None})
        ident = self.parser.submit(self.clock.now(), prefix="task_")
        return json_answer({"success": True, "message": "任务创建成功", "task_id": ident})

    async def _parsed(self, request: web.Request) -> Answer:
        ident, wanted, now = request.match_info["task"], request.match_info["format"], self.clock.now()
        if wanted not in _FORMATS:
            return error(400, "1210", "API 调用参数有误:format_type 只能是 text 或 download_link")
        job = self.parser.find((ident,), now)
        if job is None:
            return error(404, "1222", "任务不存在")
        word = job.word(now)
        known = {"status": word, "message": _MESSAGES[word], "task_id": ident}
        if word != "succeeded":
            return json_answer({**known, "content": None, "parsing_result_url": None})
        return json_answer({**known, **self._parsed_facts(request, ident, wanted)})

    def _parsed_facts(self, request: web.Request, ident: str, wanted: str) -> dict[str, Any]:
        url = f"{request.url.origin()}/download/{quote(ident, safe='')}.zip"
        return parser_result(
            chance(self.seed, "parser", ident, wanted), self._text(ident), url, wanted=wanted, shapes=self.shapes
        )

    def _text(self, ident: str) -> str:
        return parsed_text(chance(self.seed, "text", ident))

    def _no_credentials(self, request: web.Request) -> Answer | None:
        # The link is signed; an object store that is shown a second credential refuses both.
        return Answer(400, _TWO_CREDENTIALS, _XML) if "Authorization" in request.headers else None

    async def _archive(self, request: web.Request) -> Answer:
        ident, now = request.match_info["task"], self.clock.now()
        job = self.parser.find((ident,), now)
        if job is None or job.word(now) != "succeeded":
            return Answer(404, _MISSING, _XML)
        if now >= job.truth.finished_at + self.link_lifetime:
            return Answer(403, _EXPIRED, _XML)
        return Answer(200, archive(self._text(ident)), {"Content-Type": "application/zip"})
