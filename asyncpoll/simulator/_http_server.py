"""Define `HttpServer`: routes at one address, with counters, faults and a log."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, cast
from urllib.parse import quote

from aiohttp import web

from asyncpoll.simulator._faults import Fault, FaultInjector
from asyncpoll.simulator._http import Response, Route, html_response

_LARGEST_UPLOAD = 128 << 20  # bytes; the parser's own limit is 100 MB
_BACKLOG = 1024  # connections that a bulk client opens at once
_ID = ("task", "subtask")  # the parts of a path that are the id of a job
_GRACE = 0.1  # seconds for connections to notice that they are closed


def origin(host: str, port: int) -> str:
    """Return the URL of a server's root."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _no_guard(_request: web.Request) -> None:
    """Accept every caller."""


async def _not_found(_request: web.Request) -> Response:
    return html_response("404 Not Found", 404)


async def _finish(closing: Coroutine[Any, Any, None]) -> None:
    """Await a clean-up to its end, also when this task is cancelled."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class HttpServer(ABC):
    """A server of routes, as an async context manager.

    Args:
        seed: The seed of the chance of every fault.
        host: The address to bind.
        port: The port to bind; 0 takes a free one.
        faults: The faults; the list `faults` can be changed at any time.
        log: A function that is called with a line about every request, or None.

    Attributes:
        requests: The number of requests received, to any path.
        counts: The number of requests by name of the route, such as "bigmodel.agents.start".
    """

    def __init__(
        self, seed: int, *, host: str, port: int, faults: Iterable[Fault], log: Callable[[str], object] | None = None
    ) -> None:
        self.requests = 0
        self.counts: Counter[str] = Counter()
        self._address = host, port
        self._injector = FaultInjector(seed, faults)
        self._log = log
        self._runner: web.AppRunner | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    @abstractmethod
    def routes(self) -> Iterable[Route]:
        """Return the entries of the API; called once, in the event loop that serves them."""

    @property
    def url(self) -> str:
        """The address, such as "http://127.0.0.1:54321".

        Raises:
            RuntimeError: The simulator is not running.
        """
        if self._runner is None:
            raise RuntimeError("the simulator has an address only while it runs; use it in `async with`")
        return origin(*self._runner.addresses[0][:2])

    @property
    def faults(self) -> list[Fault]:
        """The faults that apply from now on; the list can be changed at any time."""
        return self._injector.faults

    async def __aenter__(self) -> Self:
        if self._runner is not None:
            raise RuntimeError("the simulator is running already; open another one")
        runner = web.AppRunner(self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE)
        try:
            await runner.setup()
            await web.TCPSite(runner, *self._address, backlog=_BACKLOG).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        return self

    async def __aexit__(self, *_exc: object) -> None:
        runner, self._runner = self._runner, None
        for task in self._serving:
            task.cancel()
        if runner is not None:
            await _finish(runner.cleanup())

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_UPLOAD)
        for route in (*self.routes(), Route("nowhere", "*", "/{path:.*}", _no_guard, _not_found)):
            app.router.add_route(route.method, route.path, partial(self._serve, route))
        return app

    async def _serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        number = self.requests
        # The task outlives the handler: it also sends the response, possibly in slow steps.
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        response = route.guard(request) or await route.handler(request)
        name = response.route or route.name
        self.counts[name] += 1
        path = request.rel_url.raw_path
        response = self._injector.inject(response, route=name, path=path, number=number)
        await asyncio.sleep(response.delay)
        if self._log is not None:  # without the query, in which there may be a credential
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            job = response.job or "/".join(request.match_info[part] for part in _ID if part in request.match_info)
            line = f"{at} {request.method} {path} {response.status} {name} {quote(job)}"
            self._log(line.rstrip())
        return response.for_aiohttp()
