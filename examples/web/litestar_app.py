"""Parse files in Litestar. Usage: uvicorn litestar_app:app, with the key in BIGMODEL_API_KEY."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Request, get, post

from asyncpoll import Hub, PollError, web
from asyncpoll.providers import BigModel

connections = web.lifespan(hub=lambda: Hub(rate=20), bigmodel=BigModel.from_env)


@get("/", media_type=MediaType.HTML)
async def page() -> bytes:
    """Return the page."""
    return Path(__file__).with_name("page.html").read_bytes()


@post("/jobs")
async def start(request: Request[Any, Any, Any]) -> Any:
    """Upload a file to be parsed."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    job = await parser.start(await request.body(), tool_type="lite", name=request.query_params["name"])
    return web.accepted(request, hub, job, location=f"/jobs/{job.ref.task_id}")


@get("/jobs/{task_id:str}")
async def result(request: Request[Any, Any, Any]) -> Any:
    """Wait for the text for as long as the client likes."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    return await web.answer(request, hub, parser.job(**request.path_params), lambda parsed: parsed.content)


@get("/jobs/{task_id:str}/events")
async def events(request: Request[Any, Any, Any]) -> Any:
    """Show how the job stands, to any number of viewers."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    return await web.sse(hub.watch(parser.job(**request.path_params), changes_only=True), request)


routes = [page, start, result, events]
app = Litestar(routes, lifespan=[connections], exception_handlers={PollError: web.litestar_errors})
