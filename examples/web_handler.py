"""Let the users of a web app wait for a job.

`POST /tasks` uploads a file to be parsed and returns a token. `GET /tasks?job=TOKEN` waits for the result for as long
as a browser will. If the job takes longer, the answer is 202, and the browser asks again. If the browser goes away,
the wait ends at once, and the job runs on.

Usage: python web_handler.py [PORT], with the key in BIGMODEL_API_KEY.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from aiohttp import web

from asyncpoll import Hub, JobError, PollError, WaitTimeout
from asyncpoll.providers import BigModel

CLIENT = web.AppKey("client", BigModel)
HUB = web.AppKey("hub", Hub)
PATIENCE = web.AppKey("patience", float)


async def start(request: web.Request) -> web.Response:
    """Start a job and answer with the token for it."""
    content = await request.read()
    name = request.query.get("name", "upload.pdf")
    job = await request.app[CLIENT].file_parser.start(content, tool_type="lite", name=name)
    return web.json_response({"job": job.to_json()}, status=202)


async def result(request: web.Request) -> web.Response:
    """Answer with the text if the job ends in time, otherwise with its state."""
    try:
        job = request.app[CLIENT].job_from_json(request.query["job"])
    except (KeyError, ValueError):
        raise web.HTTPBadRequest(text="job= must be a token that POST /tasks returned") from None
    try:
        parsed = await request.app[HUB].result(job, timeout=request.app[PATIENCE])
    except WaitTimeout as timeout:
        return web.json_response({"state": timeout.last.state if timeout.last else "unknown"}, status=202)
    except JobError as error:
        return web.json_response({"state": error.snapshot.state, "reason": error.snapshot.reason}, status=502)
    except PollError:  # a refused credential, a job that does not exist: nothing that the browser can mend
        return web.json_response({"state": "unknown"}, status=502)
    return web.json_response({"state": "success", "text": parsed.content})


async def connections(app: web.Application) -> AsyncIterator[None]:
    """Open one client and one hub for the life of the app. Requests for one job share its polls."""
    async with BigModel.from_env() as client, Hub(rate=20) as hub:
        app[CLIENT], app[HUB] = client, hub
        yield


def make_app(patience: float = 25.0) -> web.Application:
    """Return the app.

    Args:
        patience: The seconds that a request may take. Many proxies close a connection that is silent for 30 or 60.
    """
    app = web.Application(client_max_size=50 << 20, handler_args={"handler_cancellation": True})
    app[PATIENCE] = patience
    app.router.add_post("/tasks", start)
    app.router.add_get("/tasks", result)
    app.cleanup_ctx.append(connections)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
