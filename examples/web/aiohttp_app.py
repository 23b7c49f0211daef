"""Parse files in aiohttp.web. Usage: python aiohttp_app.py PORT, with the key in BIGMODEL_API_KEY."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from aiohttp.web import Application, FileResponse, Request, get, post, run_app

from asyncpoll import Hub, web
from asyncpoll.providers import BigModel


async def page(_request: Request) -> FileResponse:
    """Return the page."""
    return FileResponse(Path(__file__).with_name("page.html"))


async def start(request: Request) -> Any:
    """Upload a file to be parsed."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    job = await parser.start(await request.read(), tool_type="lite", name=request.query["name"])
    return web.accepted(request, hub, job, location=f"/jobs/{job.ref.task_id}")


async def result(request: Request) -> Any:
    """Wait for the text for as long as the client likes."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    return await web.answer(request, hub, parser.job(**request.match_info), lambda parsed: parsed.content)


async def events(request: Request) -> Any:
    """Show how the job stands, to any number of viewers."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    return await web.sse(hub.watch(parser.job(**request.match_info), changes_only=True), request)


app = Application(middlewares=[web.aiohttp_errors], client_max_size=50 << 20)
app.cleanup_ctx.append(web.lifespan(hub=lambda: Hub(rate=20), bigmodel=BigModel.from_env))
app.add_routes([get("/", page), post("/jobs", start)])
app.add_routes([get("/jobs/{task_id}", result), get("/jobs/{task_id}/events", events)])
if __name__ == "__main__":
    run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
