"""One hub and its clients for the life of an app, which ends the waits that are open when it ends."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvicorn
from web_kit import FRAMEWORKS, LONG, POLLS, app_of, running, site, until

from asyncpoll import ClientClosed, Hub, Snapshot, web
from asyncpoll.http import Reply, Request
from asyncpoll.providers import BigModel
from asyncpoll.testing import MemoryTransport, Script

in_each = pytest.mark.parametrize("framework", FRAMEWORKS)


def refuse(_request: Request) -> Reply:
    """Answer no request."""
    raise AssertionError


@in_each
async def test_handlers_find_what_was_opened(framework: str) -> None:
    """By its name; when the app has ended, it is closed."""
    found: list[Any] = []

    async def handle(request: Any) -> Any:
        found.append(web.state(request))
        return web.Response(200, {}, {"polls": found[0].hub.counters.polls}).to(request)

    async with site(framework, {"/x": handle}) as here:
        assert (await here.get("/x/y"))[2] == {"polls": 0}
        state = found[0]
        assert state.hub is here.hub
        assert isinstance(state.bigmodel, BigModel)
    with pytest.raises(ClientClosed):
        await state.hub.result(Script([Snapshot("success", value=1)]), timeout=5)
    with pytest.raises(ClientClosed):
        await state.bigmodel.file_parser.job(task_id="x").fetch()


@in_each
async def test_a_drained_hub_answers_at_once(framework: str) -> None:
    """Open waits and new ones alike: 503, and when to come back."""
    async with site(framework) as here:
        here.sim.script(POLLS, "job", LONG)
        visits = [here.visit(f"/{path}/job") for path in ("wait", "answer", "wait")]
        await until(lambda: here.hub.counters.pending == 3)
        await here.hub.drain()
        answers = [*await asyncio.gather(*visits), await here.get("/wait/job"), await here.get("/look/job")]
        assert [(status, headers["Retry-After"]) for status, headers, _ in answers] == [(503, "1")] * 5


@pytest.mark.parametrize("framework", ["starlette", "litestar"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_signal_drains_the_hub(framework: str, number: signal.Signals) -> None:
    """Before the server waits for its requests; afterwards the handlers of the server are in place again."""
    heard: list[int] = []
    before = signal.signal(number, lambda caught, _: heard.append(caught))
    try:
        async with site(framework) as here:
            here.sim.script(POLLS, "job", LONG)
            visit = here.visit("/wait/job")
            await until(lambda: here.hub.counters.pending == 1)
            signal.raise_signal(number)
            assert (await visit)[0] == 503
            assert here.server is not None
            await until(lambda: here.server is not None and here.server.should_exit)
        assert heard == [number]  # uvicorn raises it again at its end
    finally:
        signal.signal(number, before)


async def test_waits_may_be_given_time() -> None:
    """Those that end within the grace are answered as usual."""
    job = Script([Snapshot("pending"), Snapshot("success", value=1)])
    hub = Hub()

    async def handle(request: Any) -> Any:
        return await web.answer(request, web.state(request).hub, job, lambda value: value)

    app = app_of("aiohttp", {"/x": handle}, web.lifespan(hub=lambda: hub, grace=30.0))
    async with aiohttp.ClientSession() as session:
        async with running(app) as (url, _):
            visit = asyncio.create_task(session.get(f"{url}/x/y").__aenter__())
            await until(lambda: hub.counters.pending == 1)
        assert (await visit).status == 200
        (await visit).release()


async def test_a_server_in_a_thread_gets_no_signals() -> None:
    """It opens and closes all the same."""
    opened: list[str] = []

    @asynccontextmanager
    async def client() -> AsyncGenerator[None]:
        opened.append("open")
        yield
        opened.append("closed")

    app = app_of("starlette", {}, web.lifespan(thing=client))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    await until(lambda: server.started)
    server.should_exit = True
    await asyncio.to_thread(thread.join)
    assert opened == ["open", "closed"]


async def test_a_signal_without_a_handler_stays_as_it_is() -> None:
    """Else it would not end the process any more."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        lifespan = web.lifespan()
        async with lifespan(app_of("starlette", {}, lifespan)):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_handler_that_was_set_meanwhile_is_kept() -> None:
    """The lifespan puts back its own only."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        lifespan = web.lifespan()
        async with lifespan(app_of("starlette", {}, lifespan)):
            signal.signal(signal.SIGTERM, mine := lambda *_: None)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_client_that_cannot_be_opened_stops_the_app() -> None:
    """What was opened before it is closed."""
    client = BigModel("key-1234", transport=MemoryTransport(refuse))

    def broken() -> AbstractAsyncContextManager[Any]:
        raise ValueError("the environment variable is not set")

    lifespan = web.lifespan(good=lambda: client, bad=broken)
    with pytest.raises(ValueError, match="is not set"):
        await lifespan(app_of("starlette", {}, lifespan)).__aenter__()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"hub": None}, TypeError),
        ({"bigmodel": "key"}, TypeError),
        ({"grace": -1}, ValueError),
        ({"grace": "1"}, TypeError),
    ],
    ids=repr,
)
def test_arguments_that_cannot_be_are_refused(options: Any, error: type[Exception]) -> None:
    """By name, before the app starts."""
    with pytest.raises(error, match=rf"lifespan\(\): {next(iter(options))}"):
        web.lifespan(**options)
