"""`Simulator`: the three APIs behind one address, with truth, counters and faults at hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, Self, cast, get_args

from aiohttp import web

from asyncpoll.simulator.answers import Answer, html_answer
from asyncpoll.simulator.batches import Batches
from asyncpoll.simulator.bigmodel import BigModel
from asyncpoll.simulator.faults import Fault, Injector
from asyncpoll.simulator.jobs import AGENTS, FILE_PARSER, SUBTASKS, Id, Jobs, Kind, Truth
from asyncpoll.simulator.lives import Duration, Exponential, Life, Lives, LogNormal
from asyncpoll.simulator.molizhishu import Molizhishu
from asyncpoll.simulator.routes import Clock, Route, Shapes

_KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in (AGENTS, FILE_PARSER, SUBTASKS)})
_TASKS = "molizhishu.tasks"
POLLS = (*_KINDS, _TASKS)
_LARGEST_UPLOAD = 128 << 20  # bytes; the parser's own limit is 100 MB
_BACKLOG = 1024  # connections; a bulk client opens them all at once
_GRACE = 0.1  # seconds for connections to notice that they are closed
_QUEUE = Exponential(0.3)
_WORK = LogNormal(1.0, 0.5)
_USUAL: Mapping[str, Mapping[str, float]] = MappingProxyType({})


def _check(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"no {what} {value!r} here; choose one of: {', '.join(known)}")


def _named(endpoint: str, ident: str | Id) -> tuple[str, Id]:
    """Return the endpoint and the id as a tuple, or raise ValueError where they do not go together."""
    _check("endpoint", endpoint, POLLS)
    parts = (ident,) if isinstance(ident, str) else ident
    if len(parts) != 1 + (endpoint == SUBTASKS.name):
        raise ValueError(f"an id of {SUBTASKS.name} is (task id, subtask id), that of another endpoint is one text")
    return endpoint, parts


def origin(host: str, port: int) -> str:
    """Return the URL of a server's root."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _anyone(_request: web.Request) -> None:
    """Let everybody pass."""


async def _nowhere(_request: web.Request) -> Answer:
    return html_answer("404 Not Found", 404)


async def _to_the_end(closing: Coroutine[Any, Any, None]) -> None:
    """Await a clean-up, which a cancellation only makes pressing, not superfluous."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class Simulator:
    """A server of BigModel's and Molizhishu's APIs, reproducible from its seed.

    Used as an async context manager; `url` is then its address. BigModel is at `url + "/api"`, Molizhishu at
    `url + "/api/business/monitor"`. The same requests get the same answers in every run with the same seed, but for
    the calendar and the port.

    Args:
        seed: Chooses the world: the life of every job, and the chance of every fault.
        host: The address to bind. Anything but loopback lets others in.
        port: The port to bind; 0 takes a free one.
        pending: What the seconds in the queue are drawn from; by default 0.3 on average.
        processing: What the seconds of work are drawn from; by default half of them are below 1.
        outcomes: Weights of the terminal words, by endpoint. Those of molizhishu.tasks follow from the subtasks.
        shapes: "documented" answers have the one shape of the vendors' documents; "observed" ones vary as in the wild.
        unknown_ids: "draw" gives an id that was never submitted a life, born when it is first asked for; "reject"
            answers that there is no such job, each API in its own way.
        bigmodel_key: The only bearer token BigModel accepts; None accepts any.
        molizhishu_token: The only bearer token Molizhishu accepts; None accepts any.
        link_lifetime: Seconds from the end of a parser job in which its archive can be downloaded.
        faults: What goes wrong; `faults` can be changed at any time.

    Attributes:
        requests: The number of requests received, to any path.
        counts: The number of requests by name of the route, such as "bigmodel.agents.start".

    Raises:
        ValueError: An argument is none of the values above.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        pending: Duration = _QUEUE,
        processing: Duration = _WORK,
        outcomes: Mapping[str, Mapping[str, float]] = _USUAL,
        shapes: Shapes = "documented",
        unknown_ids: Literal["draw", "reject"] = "draw",
        bigmodel_key: str | None = None,
        molizhishu_token: str | None = None,
        link_lifetime: float = 86_400.0,
        faults: Iterable[Fault] = (),
    ) -> None:
        _check("shapes", shapes, get_args(Shapes))
        _check("unknown_ids", unknown_ids, ("draw", "reject"))
        for endpoint in outcomes:
            _check("endpoint", endpoint, tuple(_KINDS))
        strangers, lives = unknown_ids == "draw", Lives(seed, pending, processing)
        self.requests = 0
        self.counts: Counter[str] = Counter()
        self._seed, self._link_lifetime = seed, link_lifetime
        self._shapes: Shapes = shapes
        self._keys = bigmodel_key, molizhishu_token
        self._address = host, port
        self._jobs = {name: Jobs(kind, lives, outcomes.get(name), strangers=strangers) for name, kind in _KINDS.items()}
        self._batches = Batches(seed, self._jobs[SUBTASKS.name], strangers=strangers)
        self._injector = Injector(seed, faults)
        self._runner: web.AppRunner | None = None
        self._serving: set[asyncio.Task[Any]] = set()

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
    def polls(self) -> int:
        """The number of requests for the state of a job."""
        return sum(self.counts[name] for name in POLLS)

    @property
    def faults(self) -> list[Fault]:
        """The faults that strike from now on; append to it and remove from it as you like."""
        return self._injector.faults

    def script(self, endpoint: str, ident: str | Id, life: Life) -> None:
        """Choose the life of one job, whether or not it has been seen.

        Args:
            endpoint: The name of the endpoint.
            ident: The id; for molizhishu.subtasks the pair (task id, subtask id). For molizhishu.tasks every subtask
                gets the life, with outcomes that add up to the one wanted.
            life: The life. It begins when the job is submitted or first asked for.

        Raises:
            ValueError: There is no such endpoint, it has no such outcome, or the id is not of its form.
        """
        name, parts = _named(endpoint, ident)
        if name == _TASKS:
            self._batches.script(parts[0], life)
        elif name == SUBTASKS.name:
            self._batches.script_subtask(parts[0], parts[1], life)
        else:
            self._jobs[name].script(parts, life)

    def truth(self, endpoint: str, ident: str | Id) -> Truth:
        """Return how and when a job ends, to compare with what a poller found out.

        Args:
            endpoint: The name of the endpoint.
            ident: The id; for molizhishu.subtasks the pair (task id, subtask id).

        Raises:
            ValueError: There is no such endpoint, the id is not of its form, or nobody has asked for it yet.
        """
        name, parts = _named(endpoint, ident)
        return self._batches.truth(parts[0]) if name == _TASKS else self._jobs[name].truth(parts)

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
            await _to_the_end(runner.cleanup())

    def _app(self) -> web.Application:
        clock, (key, token) = Clock(), self._keys
        agents, parser = self._jobs[AGENTS.name], self._jobs[FILE_PARSER.name]
        bigmodel = BigModel(self._seed, clock, agents, parser, self._shapes, key, self._link_lifetime)
        molizhishu = Molizhishu(self._seed, clock, self._batches, self._shapes, token)
        app = web.Application(client_max_size=_LARGEST_UPLOAD)
        for route in (*bigmodel.routes(), *molizhishu.routes(), Route("nowhere", "*", "/{path:.*}", _anyone, _nowhere)):
            app.router.add_route(route.method, route.path, partial(self._serve, route))
        return app

    async def _serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.counts[route.name] += 1
        number = self.requests
        # The task outlives the handler: it also sends the answer, in steps that may take their time.
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        answer = route.guard(request) or await route.handler(request)
        path = request.rel_url.raw_path
        answer = self._injector.inflict(answer, route=route.name, path=path, number=number)
        await asyncio.sleep(answer.delay)
        return answer.response()
