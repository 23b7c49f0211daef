"""What the tests of real conditions share: an API of one's own, servers, and answers in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from asyncpoll import Endpoint, Hub, Snapshot, State, Vocabulary
from asyncpoll.http import Reply, Request, segment

KEY = "canary-0123456789"
STATUSES = Vocabulary("acme.renders", {"queued": State.PENDING, "active": State.PROCESSING, "done": State.SUCCESS})


def read(reply: Reply) -> Snapshot[str]:
    """Read a reply as the README does, and the progress, whatever it is."""
    word = reply.json["status"]
    return Snapshot(
        STATUSES.read(word),
        word,
        reply.json.get("url"),
        progress=reply.json.get("progress"),
        retry_after=reply.retry_after,
        raw=reply.json,
    )


def ask(render_id: str) -> Request:
    """Ask about a render."""
    return Request("GET", f"/renders/{segment('render_id', render_id)}", repeatable=True)


RENDERS: Endpoint[str, str] = Endpoint("acme.renders", ask=ask, read=read)


async def wait(job: Any, *, together: bool, **options: Any) -> Any:
    """Wait for a job or a fetch alone, or together with others in a hub."""
    if not together:
        return await job.wait(**options)
    async with Hub() as hub:
        return await hub.wait(job, **options)


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncGenerator[str]:
    """Run a server on a free port of 127.0.0.1, and give its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
