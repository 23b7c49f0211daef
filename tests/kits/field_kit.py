"""What the tests of real conditions share: an API of one's own, servers, and answers in memory."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from asyncpoll import Endpoint, Hub, Snapshot, State, Vocabulary
from asyncpoll.http import Reply, Request, segment
from asyncpoll.testing import MemoryTransport

T = TypeVar("T")

TLS = Path(__file__).parents[1] / "tls"
PATIENCE = 30.0  # seconds until a test that hangs fails
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


def answering(*answers: Any) -> MemoryTransport:
    """Return a transport that gives one answer after the other, and the last one for ever."""
    rest = list(answers)

    def answer(_request: Request) -> Reply:
        now = rest.pop(0) if len(rest) > 1 else rest[0]
        return now if isinstance(now, Reply) else Reply(200, now)

    return MemoryTransport(answer)


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


@contextmanager
def beside(make: Callable[[], AbstractAsyncContextManager[T]]) -> Generator[T, None, None]:
    """Run servers beside the event loop that the command line opens for itself."""
    loop = asyncio.new_event_loop()
    running: list[T] = []
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with make() as made:
            running.append(made)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield running[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(PATIENCE)
        loop.close()


def server_side() -> ssl.SSLContext:
    """Return the context of a server whose certificate is from a private authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server-of-private-ca.pem")
    return context


def trusting() -> ssl.SSLContext:
    """Return the context of a client that trusts the private authority."""
    return ssl.create_default_context(cafile=TLS / "private-ca.pem")
