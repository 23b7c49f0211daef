"""What servers for tests share: a port, a certificate of a private authority, and a loop beside that of the test."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TLS = Path(__file__).parents[1] / "tls"
PATIENCE = 30.0  # seconds until a test that hangs fails


def server_side() -> ssl.SSLContext:
    """Return the context of a server whose certificate is from a private authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server-of-private-ca.pem")
    return context


def trusting() -> ssl.SSLContext:
    """Return the context of a client that trusts the private authority."""
    return ssl.create_default_context(cafile=TLS / "private-ca.pem")


def without_proxies(patch: pytest.MonkeyPatch) -> None:
    """Take what the environment says about proxies out of it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def serving(what: web.Application | Handler) -> AsyncGenerator[str]:
    """Serve an app, or what answers every request, on a free port of 127.0.0.1, and give the address."""
    app = what if isinstance(what, web.Application) else web.Application()
    if not isinstance(what, web.Application):
        app.router.add_route("*", "/{path:.*}", what)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listening(
    accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None],
    serving: set[asyncio.Task[None]],
    context: ssl.SSLContext | None = None,
) -> AsyncGenerator[str]:
    """Accept connections on a free port of 127.0.0.1, and give the address; in the end break off what is under way.

    Args:
        accept: Serves a new connection, in a task.
        serving: The tasks that do.
        context: What the server speaks TLS with, if it does.
    """
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    scheme = "http" if context is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        tasks = list(serving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def beside(make: Callable[[], AbstractAsyncContextManager[T]]) -> Generator[T]:
    """Run a server beside the event loop that the command line opens for itself."""
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
