"""Define `simulate`: an HTTP server made of a definition alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from attrs import evolve

from asyncpoll.definitions._definition import Definition, checked
from asyncpoll.definitions._document import AuthSpec
from asyncpoll.definitions._fabricate import ReplyBuilder, case_for, cases, complain
from asyncpoll.definitions._model import EndpointSpec
from asyncpoll.definitions._world import USUAL, JobTruth, Served, World
from asyncpoll.simulator import Duration, Exponential, Fault, Life, LogNormal
from asyncpoll.simulator._http import Call, Response, Route, accepts, read_whole
from asyncpoll.simulator._http_server import HttpServer
from asyncpoll.simulator._jobs import check_weights
from asyncpoll.simulator._lives import LifeGenerator

_QUEUE = Exponential(0.3)
_WORK = LogNormal(1.0, 0.5)
_AS_IT_IS = {"bearer", "header", "query"}  # schemes that send the key as it is


class DefinitionServer(HttpServer):
    """A server that speaks a definition; `simulate` makes it, and `async with` runs it.

    Attributes:
        requests: The number of requests received, to any path.
        counts: The number of requests by name: "acme.renders" for the polls, and with ".start", ".cancel", ".then" or
            ".group" behind it for others.
    """

    def __init__(self, world: World, key: str | None, **settings: Any) -> None:
        super().__init__(world.lives.seed, **settings)
        self._world = world
        self._key = key

    @property
    def base_url(self) -> str:
        """The address to use in place of the definition's `base`."""
        return self.url + self._world.base_path

    def script(self, endpoint: str, life: Life, **reference: Any) -> None:
        """Set the life of one job, whether or not it is there already.

        Args:
            endpoint: The name of the endpoint.
            life: The life. Its outcome is a word of the API, a rule such as "when[0]", or a state such as "failed".
            **reference: The reference of the job.

        Raises:
            ValueError: There is no such endpoint or outcome.
        """
        self._world.script(self._spec(endpoint), reference, life)

    def truth(self, endpoint: str, **reference: Any) -> JobTruth:
        """Return how and when a job ends, and with which value.

        Raises:
            ValueError: There is no such endpoint, or not yet such a job.
        """
        return self._world.truth(self._spec(endpoint), reference)

    def routes(self) -> Iterable[Route]:
        """Return one route for all paths below the base address."""
        return [Route("nowhere", "*", self._world.base_path + "/{rest:.*}", _anyone, read_whole(self._respond))]

    def _spec(self, endpoint: str) -> EndpointSpec:
        known = self._world.definition.endpoints
        if endpoint not in known:
            raise ValueError(f"endpoint {endpoint!r} does not exist; choose one of: {', '.join(known)}")
        return known[endpoint]

    def _respond(self, call: Call) -> Response:
        self._world.home = self.base_url
        call = evolve(call, path=call.path.removeprefix(self._world.base_path))
        auth = self._world.definition.auth
        key = self._key if auth.scheme in _AS_IT_IS else None
        try:
            if auth.scheme == "none" or accepts(_credential(auth, call), key):
                answer = self._world.answer(call, asyncio.get_running_loop().time())
            else:
                first = next(iter(self._world.definition.endpoints.values()))
                answer = Served(complain(first, "credential").reply(), "refused")
        except ValueError as problem:
            message = f"the definition has no such answer: {problem}; see what lint says"
            answer = Served(ReplyBuilder(500, {"error": {"message": message}}).reply(), "impossible")
        reply = answer.reply
        return Response(reply.status, reply.body, reply.headers, delay=answer.hold, route=answer.route)


def _anyone(_request: object) -> None:
    """Accept every caller; who is refused is said in the words of the definition."""


def _credential(auth: AuthSpec, call: Call) -> str:
    """Return the credential of a request, empty if there is none where the definition has it."""
    if auth.scheme == "query":
        return call.query.get(auth.options["query"], "")
    prefix: str = {"bearer": "Bearer ", "basic": "Basic "}.get(auth.scheme, "") or auth.options.get("prefix", "")
    value = call.headers.get(auth.options.get("header", "Authorization").lower(), "")
    return value.removeprefix(prefix) if value.startswith(prefix) else ""


def simulate(
    definition: Definition,
    *,
    seed: int = 0,
    host: str = "127.0.0.1",
    port: int = 0,
    pending: Duration = _QUEUE,
    processing: Duration = _WORK,
    outcomes: Mapping[str, float] = USUAL,
    key: str | None = None,
    unknown_ids: Literal["draw", "reject"] = "draw",
    faults: Iterable[Fault] = (),
    log: Callable[[str], object] | None = None,
) -> DefinitionServer:
    """Return a server that speaks a definition, made from the definition alone; run it with `async with`.

    Args:
        definition: The definition.
        seed: The seed of the life of every job, and of the chance of every fault.
        host: The address to bind. With any address but loopback, other machines can connect.
        port: The port to bind; 0 takes a free one.
        pending: The distribution of the seconds in the queue; by default 0.3 on average.
        processing: The distribution of the seconds of work; by default half of them are below 1.
        outcomes: The weights of how jobs end, by a word of the API or a state such as "failed"; by default nine in ten
            succeed, and the others fail.
        key: The only key that is accepted, where it is sent as it is; None accepts any, but there must be one.
        unknown_ids: "draw" gives an id that was never submitted a life, born when it is first polled; "reject"
            refuses it, in the words of the definition.
        faults: The faults; the list `faults` of the server can be changed at any time.
        log: A function that is called with a line about every request: its time, method, path, status and name.

    Raises:
        ValueError: *unknown_ids* is another word, no endpoint has such an outcome, or a weight is unusable.
    """
    if unknown_ids not in {"draw", "reject"}:
        raise ValueError(f"unknown_ids {unknown_ids!r} does not exist; choose one of: draw, reject")
    spec = checked("simulate", definition).spec
    for outcome in outcomes if outcomes is not USUAL else ():
        if not any(case_for(cases(one), outcome) for one in spec.endpoints.values()):
            known = dict.fromkeys(name for one in spec.endpoints.values() for name in cases(one))
            raise ValueError(f"{spec.name} has no outcome {outcome!r}; choose one of: {', '.join(known)}")
    check_weights(spec.name, outcomes)
    lives = LifeGenerator(seed, pending, processing)
    world = World(spec, lives, outcomes, accept_unknown=unknown_ids == "draw")
    return DefinitionServer(world, key, host=host, port=port, faults=faults, log=log)
