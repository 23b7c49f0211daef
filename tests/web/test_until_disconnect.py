"""A client that leaves ends its own wait and no other, in every framework and over real connections."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web as aiohttp_web
from starlette.websockets import WebSocket
from web_kit import FRAMEWORKS, LONG, POLLS, leave, running, site, until

from asyncpoll import Hub, Snapshot, web
from asyncpoll.simulator import Life
from asyncpoll.testing import Script

in_each = pytest.mark.parametrize("framework", FRAMEWORKS)


@in_each
@pytest.mark.parametrize("path", ["/wait/job", "/answer/job", "/events/job"])
async def test_the_last_client_to_leave_ends_the_wait(framework: str, path: str) -> None:
    """The others wait on, sharing the polls of the job."""
    async with site(framework) as here:
        here.sim.script(POLLS, "job", LONG)
        visits = [here.visit(path) for _ in range(3)]
        await until(lambda: here.hub.counters.pending == 3)
        await leave(visits[0])
        await until(lambda: here.hub.counters.pending == 2)
        await leave(*visits[1:])
        await until(lambda: here.hub.counters.pending == 0)


@in_each
async def test_a_body_that_was_not_read_is_kept(framework: str) -> None:
    """A handler may wait first, and read the body afterwards."""
    async with site(framework) as here:
        here.sim.script(POLLS, "job", Life(processing=0.2, outcome="succeeded"))
        status, body = await here.post("/wait/job", b"x" * 200_000)
        assert (status, b'"length": 200000' in body) == (200, True)


@in_each
async def test_a_body_that_was_read_bit_by_bit_will_do(framework: str) -> None:
    """Then there is nothing to keep, and a client that leaves is seen all the same."""

    async def handle(request: Any) -> Any:
        async for _ in request.content.iter_any() if hasattr(request, "content") else request.stream():
            pass
        await web.until_disconnect(request, web.state(request).hub.result(Script([Snapshot("pending")]), timeout=25))

    async with site(framework, {"/read": handle}) as here:
        visit = asyncio.create_task(here.post("/read/it", b"x" * 200_000))
        await until(lambda: here.hub.counters.pending == 1)
        await leave(visit)
        await until(lambda: here.hub.counters.pending == 0)


async def test_a_body_that_may_not_be_read_is_no_hindrance() -> None:
    """A client that leaves is seen behind the rest of it."""

    async def handle(request: Any) -> Any:
        await web.until_disconnect(request, web.state(request).hub.result(Script([Snapshot("pending")]), timeout=25))

    async with site("litestar", {"/large": handle}) as here:
        visit = asyncio.create_task(here.post("/large/it", b"x" * 500_000))
        await until(lambda: here.hub.counters.pending == 1)
        await leave(visit)
        await until(lambda: here.hub.counters.pending == 0)


@in_each
async def test_what_is_awaited_may_fail(framework: str) -> None:
    """Its error reaches the handler of errors of the app."""
    async with site(framework) as here:
        here.sim.script(POLLS, "job", Life(outcome="failed"))
        status, headers, problem = await here.get("/wait/job")
        assert (status, headers["Content-Type"]) == (502, "application/problem+json")
        assert problem["state"] == "failed"


async def test_a_handler_that_is_cancelled_ends_its_wait() -> None:
    """As aiohttp.web cancels it when it is told to."""
    hub = Hub()

    async def handle(request: aiohttp_web.Request) -> aiohttp_web.Response:
        await web.until_disconnect(request, web.state(request).hub.result(Script([Snapshot("pending")]), timeout=25))
        return aiohttp_web.Response()

    app = aiohttp_web.Application(handler_args={"handler_cancellation": True})
    app.router.add_get("/{id}", handle)
    app.cleanup_ctx.append(web.lifespan(hub=lambda: hub))
    async with running(app) as (url, _), aiohttp.ClientSession() as session:
        visit = asyncio.create_task(session.get(f"{url}/x").__aenter__())
        await until(lambda: hub.counters.pending == 1)
        await leave(visit)
        await until(lambda: hub.counters.pending == 0)


async def _nothing(*_: Any) -> Any:
    """Stand for a connection that is not used."""


@pytest.mark.parametrize(
    "request_", [None, "request", WebSocket({"type": "websocket"}, receive=_nothing, send=_nothing)], ids=type
)
async def test_without_a_request_it_says_what_to_do(request_: Any) -> None:
    """Nothing is awaited, and no coroutine is left behind."""
    async with Hub() as hub:
        with pytest.raises(TypeError, match=r"until_disconnect\(\) needs the request of .*await without it"):
            await web.until_disconnect(request_, hub.result(Script([Snapshot("success", value=1)]), timeout=5))
        with pytest.raises(TypeError, match="needs the request"):
            await web.until_disconnect(request_, asyncio.get_running_loop().create_future())
        assert hub.counters.pending == 0


@pytest.mark.parametrize("function", [web.state, web.preferred_wait, web.Response(204).to])
def test_the_other_functions_say_so_too(function: Any) -> None:
    """Each names itself."""
    with pytest.raises(TypeError, match=rf"{function.__name__}\(\) needs the request"):
        function(None)
