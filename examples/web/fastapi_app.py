"""Parse files in FastAPI. Usage: uvicorn fastapi_app:app, with the key in BIGMODEL_API_KEY."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse

from asyncpoll import Hub, PollError, web
from asyncpoll.providers import BigModel

connections = web.lifespan(hub=lambda: Hub(rate=20), bigmodel=BigModel.from_env)
app = FastAPI(lifespan=connections, exception_handlers={PollError: web.starlette_errors})


@app.get("/")
async def page() -> FileResponse:
    """Return the page."""
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/jobs")
async def start(request: Request, name: str) -> Any:
    """Upload a file to be parsed."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    job = await parser.start(await request.body(), tool_type="lite", name=name)
    return web.accepted(request, hub, job, location=f"/jobs/{job.ref.task_id}")


@app.get("/jobs/{task_id}")
async def result(request: Request, task_id: str) -> Any:
    """Wait for the text for as long as the client likes."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    return await web.answer(request, hub, parser.job(task_id=task_id), lambda parsed: parsed.content)


@app.get("/jobs/{task_id}/events")
async def events(request: Request, task_id: str) -> Any:
    """Show how the job stands, to any number of viewers."""
    hub, parser = web.state(request).hub, web.state(request).bigmodel.file_parser
    return await web.sse(hub.watch(parser.job(task_id=task_id), changes_only=True), request)
