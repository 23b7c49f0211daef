"""Apps in each framework on real servers, with the same handlers, and clients that come and go."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import litestar
import uvicorn
from aiohttp import web as aiohttp_web
from attrs import frozen
from starlette.applications import Starlette
from starlette.routing import Route

from asyncpoll import Fixed, Hub, PollError, web
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.simulator import Life, Simulator

Handler = Callable[[Any], Awaitable[Any]]
Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]
FRAMEWORKS = ("starlette", "litestar", "aiohttp")
EXAMPLES = Path(__file__).parents[2] / "examples" / "web"
LONG = Life(pending=0.0, processing=60.0, outcome="succeeded")
POLLS = "bigmodel.file_parser"


@frozen
class Site:
    """A site that runs.

    Attributes:
        url: Its address.
        session: A client of it.
        hub: Its hub.
        sim: The server whose jobs it waits for.
        server: The server of an ASGI app.
    """

    url: str
    session: aiohttp.ClientSession
    hub: Hub
    sim: Simulator
    server: uvicorn.Server | None

    async def get(self, path: str, **headers: str) -> tuple[int, Mapping[str, str], Any]:
        """Return status, headers and decoded body."""
        async with self.session.get(self.url + path, headers=headers) as reply:
            return reply.status, reply.headers, await reply.json(content_type=None)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body."""
        async with self.session.post(self.url + path, data=body, headers=headers) as reply:
            return reply.status, await reply.read()

    async def watch(self, path: str, last_id: str | None = None) -> list[dict[str, str]]:
        """Return the events of a stream up to its end, their fields by name; a comment has the name ""."""
        async with self.session.get(self.url + path, headers={"Last-Event-ID": last_id} if last_id else {}) as reply:
            assert (reply.status, reply.content_type) == (200, "text/event-stream")
            blocks = (await reply.read()).decode().removesuffix("\n\n").split("\n\n")
        fields = [[line.partition(": ") for line in block.splitlines()] for block in blocks if block]
        return [{name: value for name, _, value in block} for block in fields]

    def visit(self, path: str) -> asyncio.Task[Any]:
        """Begin a request, which can be cancelled to leave."""
        return asyncio.create_task(self.get(path))


def job_of(request: Any) -> Any:
    """Return the job that the path of a request ends in, of the client that the path begins with, if there is one."""
    _, first, job = request.url.path.split("/")
    state = web.state(request)
    return getattr(state, first, state.bigmodel).file_parser.job(task_id=job)


async def body_of(request: Any) -> bytes:
    """Return the body of a request."""
    body: bytes = await (request.read() if hasattr(request, "read") else request.body())
    return body


async def wait(request: Any) -> Any:
    """Wait while the client is there, without having read the body."""
    parsed = await web.until_disconnect(request, web.state(request).hub.result(job_of(request), timeout=25))
    body = {"text": parsed.content, "length": len(await body_of(request))}
    return web.Response(200, {"Content-Type": "application/json"}, body).to(request)


async def answer(request: Any) -> Any:
    """Wait as long as the client prefers."""
    return await web.answer(request, web.state(request).hub, job_of(request), lambda parsed: parsed.content)


async def look(request: Any) -> Any:
    """Answer with a fresh snapshot."""
    seen = await web.until_disconnect(request, web.state(request).hub.fetch(job_of(request), max_age=1.0))
    return web.Response(200, {"Content-Type": "application/json"}, {"state": seen.state.value}).to(request)


async def events(request: Any) -> Any:
    """Show the job."""
    return await web.sse(web.state(request).hub.watch(job_of(request)), request, keep_alive=0.3)


ROUTES: Mapping[str, Handler] = {"/wait": wait, "/answer": answer, "/look": look, "/events": events}


def app_of(framework: str, routes: Mapping[str, Handler], lifespan: Lifespan) -> Any:
    """Return an app with these handlers, each for the path and one more segment."""
    if framework == "starlette":
        paths = [
            Route(f"{path}/{{id}}", partial(_called, one), methods=["GET", "POST"]) for path, one in routes.items()
        ]
        return Starlette(routes=paths, lifespan=lifespan, exception_handlers={PollError: web.starlette_errors})
    if framework == "litestar":
        handlers = [_litestar_route(f"{path}/{{id:str}}", handler) for path, handler in routes.items()]
        return litestar.Litestar(
            handlers,
            lifespan=[lifespan],
            exception_handlers={PollError: web.litestar_errors},
            request_max_body_size=300_000,
            logging_config=None,
        )
    app = aiohttp_web.Application(middlewares=[web.aiohttp_errors])
    app.cleanup_ctx.append(lifespan)
    for path, handler in routes.items():
        app.router.add_route("*", f"{path}/{{id}}", partial(_called, handler))
    return app


async def _called(handler: Handler, request: Any) -> Any:
    return await handler(request)


def _litestar_route(path: str, handler: Handler) -> Any:
    async def handle(request: litestar.Request[Any, Any, Any]) -> Any:
        return await handler(request)

    handle.__annotations__ = {"request": litestar.Request, "return": Any}
    return litestar.route(path, http_method=["GET", "POST"], status_code=200)(handle)


class Server(uvicorn.Server):
    """A server that sees at once, not within a tenth of a second, that it is to exit."""

    async def main_loop(self) -> None:
        """Serve until it is."""
        while not await self.on_tick(0):  # noqa: ASYNC110  it has no event for it
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(app: Any) -> AsyncGenerator[tuple[str, uvicorn.Server | None]]:
    """Run an app on a free port of 127.0.0.1."""
    if isinstance(app, aiohttp_web.Application):
        runner = aiohttp_web.AppRunner(app, access_log=None, shutdown_timeout=5.0, lingering_time=1.0)
        await runner.setup()
        await aiohttp_web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", None
        finally:
            await runner.cleanup()
            await until(lambda: not [task for task in asyncio.all_tasks() if "RequestHandler" in repr(task)])
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5))
        serving = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started or serving.done())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", server
        finally:
            server.should_exit = True
            await serving


@frozen
class Program:
    """An example that runs.

    Attributes:
        process: Its process.
        session: A client of it.
        url: Its address.
    """

    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    url: str


@asynccontextmanager
async def program(app: str, sim: Simulator) -> AsyncGenerator[Program]:
    """Run an example on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    uvicorn = ["-m", "uvicorn", f"{app}:app", "--port", port, "--log-level", "warning"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *([f"{app}.py", port] if app == "aiohttp_app" else uvicorn),
        cwd=EXAMPLES,
        env={**os.environ, "BIGMODEL_API_KEY": "key-1234", "BIGMODEL_BASE_URL": f"{sim.url}/api"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with aiohttp.ClientSession(url := f"http://127.0.0.1:{port}") as session, asyncio.timeout(60):
            await _answering(session)
            yield Program(process, session, url)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _answering(session: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with session.get("/"):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def site(
    framework: str, routes: Mapping[str, Handler] = ROUTES, *, accounts: Sequence[str] = (), **options: Any
) -> AsyncGenerator[Site]:
    """Run a site with a hub of these *options*, clients for *accounts*, and a simulator behind it."""
    async with Simulator(seed=3) as sim:
        options = {"schedule": Fixed(0.1), **options}
        hub = Hub(**options)
        more: dict[str, Any] = dict.fromkeys(accounts, lambda: BigModel("key-1234", base_url=f"{sim.url}/api"))
        lifespan = web.lifespan(
            hub=lambda: hub,
            bigmodel=lambda: BigModel("key-1234", base_url=f"{sim.url}/api"),
            **more,
            molizhishu=lambda: Molizhishu("key-1234", base_url=f"{sim.url}/api/business/monitor"),
        )
        app, connector = app_of(framework, routes, lifespan), partial(aiohttp.TCPConnector, limit=0)
        async with running(app) as (url, server), aiohttp.ClientSession(connector=connector()) as session:
            yield Site(url, session, hub, sim, server)


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a condition holds, which must be soon; the limit is for machines that are busy."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  what is waited for is on the other side of a connection
            await asyncio.sleep(0.01)


async def leave(*visits: asyncio.Task[Any]) -> None:
    """Break off requests, as browsers do that are closed."""
    for visit in visits:
        visit.cancel()
    await asyncio.gather(*visits, return_exceptions=True)
