"""What type checkers see of `asyncpoll.web`; mypy and pyright read it, nothing runs it.

A line with `type: ignore` must fail: an ignore that is not needed is an error.
"""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

from aiohttp.web import Application
from fastapi import FastAPI, Request
from litestar import Litestar

from asyncpoll import Hub, Job, PollError, web
from asyncpoll.providers import BigModel, Molizhishu

connections = web.lifespan(hub=lambda: Hub(rate=20), bigmodel=BigModel.from_env, grace=1.0)
fastapi = FastAPI(lifespan=connections, exception_handlers={PollError: web.starlette_errors})
litestar = Litestar([], lifespan=[connections], exception_handlers={PollError: web.litestar_errors})
aiohttp = Application(middlewares=[web.aiohttp_errors])
aiohttp.cleanup_ctx.append(connections)
web.lifespan(hub=Hub())  # type: ignore[arg-type]  # a function that makes one
web.lifespan(bigmodel=BigModel("key"))  # type: ignore[arg-type]  # likewise


async def handle(request: Request, job: Job[str], client: Molizhishu) -> Any:
    """Wait, answer, show, and be told."""
    hub: Hub = web.state(request).hub
    assert_type(await web.until_disconnect(request, hub.result(job, timeout=25)), str)
    assert_type(await web.until_disconnect(request, asyncio.sleep(1, 2)), int)
    assert_type(web.preferred_wait(request, 10.0), float)
    await web.answer(request, hub, job, str.upper, longest=10.0)
    await web.answer(request, hub, job, len)
    await web.answer(request, hub, job, abs)  # type: ignore[misc]  # the result is text
    web.accepted(request, hub, job, location="/jobs/1")
    await web.sse(hub.watch(job), request, render=lambda snapshot: snapshot.state)
    verify = web.hmac_signature("secret", time_header=None)
    await web.webhook(hub, client.jobs_in_callback, verify=verify)(request)
    web.webhook(hub, lambda body: job, verify=lambda body: True)  # type: ignore[arg-type, misc]  # headers and body
    assert_type(web.response_for(PollError("no")).status, int)
    return web.Response(204).to(request)
