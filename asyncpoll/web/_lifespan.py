"""One hub and its clients for as long as an app runs."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import FrameType, SimpleNamespace
from typing import Any

from asyncpoll._checks import delay, function
from asyncpoll.waiting._hub import Hub
from asyncpoll.web._frameworks import aiohttp_key, framework_of

_STOP = (signal.SIGINT, signal.SIGTERM)


def lifespan(
    *, hub: Callable[[], Hub] = Hub, grace: float = 0.0, **clients: Callable[[], AbstractAsyncContextManager[Any]]
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return a function that opens a hub and clients for an app, drains the hub when the app stops, and closes them.

        connections = web.lifespan(hub=lambda: Hub(rate=20), bigmodel=BigModel.from_env)

        app = FastAPI(lifespan=connections)  # or Starlette(...)
        app = Litestar([...], lifespan=[connections])
        app.cleanup_ctx.append(connections)  # of an aiohttp.web.Application

    Handlers find them by their names in `state(request)`; in Starlette and Litestar that is `request.app.state`.

    Open waits end with `Draining` when aiohttp.web shuts down, and in other apps when SIGINT or SIGTERM comes, which
    then goes on to the handler of the server. Where a server is stopped in another way, call `hub.drain()` before.

    Args:
        hub: A function that returns the hub.
        grace: Seconds in which open waits may still end by themselves.
        **clients: Functions that return clients, or other async context managers, by the names that they are to have.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: *grace* is negative or not finite.
    """
    delay("lifespan(): grace", grace)
    for name, make in {"hub": hub, **clients}.items():
        function(f"lifespan(): {name}", make)

    @asynccontextmanager
    async def opened(app: Any) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            made = {name: await stack.enter_async_context(make()) for name, make in clients.items()}
            made["hub"] = own = await stack.enter_async_context(hub())

            async def drain(_: Any = None) -> None:
                await own.drain(grace)

            if hasattr(app, "cleanup_ctx"):  # aiohttp.web
                app[aiohttp_key()] = SimpleNamespace(**made)
                app.on_shutdown.append(drain)
            else:
                for name, thing in made.items():
                    setattr(app.state, name, thing)
                await stack.enter_async_context(_called_at_stop(drain))
            yield

    return opened


def state(request: Any) -> Any:
    """Return the object whose attributes are what `lifespan` has opened, such as `state(request).hub`.

    Raises:
        TypeError: *request* is not a request.
        KeyError: The app of aiohttp.web has no `lifespan`.
    """
    return framework_of(request, "state").state(request)


@asynccontextmanager
async def _called_at_stop(drain: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None, None]:
    """Call *drain* when a signal asks the server to stop, before the server's own handler, and at the end."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    in_main_thread = threading.current_thread() is threading.main_thread()  # no other may set handlers
    found = {number: signal.getsignal(number) for number in _STOP if in_main_thread}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}  # others end the process

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(lambda: tasks.add(loop.create_task(drain())))
        handlers[signal.Signals(number)](number, frame)

    for number in handlers:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is on_signal:
                signal.signal(number, handler)
        await asyncio.gather(drain(), *tasks)
