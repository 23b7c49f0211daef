"""Define `Simulator`: a server of the three APIs at one address, with truth, counters and faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

from asyncpoll.simulator._batches import Batches
from asyncpoll.simulator._bigmodel import BigModel
from asyncpoll.simulator._faults import Fault
from asyncpoll.simulator._http import Clock, Route, Shapes
from asyncpoll.simulator._http_server import HttpServer
from asyncpoll.simulator._jobs import AGENTS, FILE_PARSER, SUBTASKS, Id, JobKind, Jobs, Truth
from asyncpoll.simulator._lives import Duration, Exponential, Life, LifeGenerator, LogNormal
from asyncpoll.simulator._molizhishu import Molizhishu

_KINDS: Mapping[str, JobKind] = MappingProxyType({kind.name: kind for kind in (AGENTS, FILE_PARSER, SUBTASKS)})
_TASKS = "molizhishu.tasks"
POLLS = (*_KINDS, _TASKS)
_QUEUE = Exponential(0.3)
_WORK = LogNormal(1.0, 0.5)
_USUAL: Mapping[str, Mapping[str, float]] = MappingProxyType({})


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} {value!r} does not exist; choose one of: {', '.join(known)}")


def _parts_of(endpoint: str, ident: str | Id) -> Id:
    """Return the parts of an id, or raise ValueError where the endpoint does not have such ids."""
    _check("endpoint", endpoint, POLLS)
    parts = (ident,) if isinstance(ident, str) else ident
    if len(parts) != 1 + (endpoint == SUBTASKS.name):
        raise ValueError(f"an id of {SUBTASKS.name} is (task id, subtask id), an id of another endpoint is one text")
    return parts


class Simulator(HttpServer):
    """A server of BigModel's and Molizhishu's APIs, reproducible from its seed.

    Use it as an async context manager; `url` is then its address. BigModel is at `url + "/api"`, Molizhishu at
    `url + "/api/business/monitor"`. The same requests get the same responses in every run with the same seed, except
    for the calendar and the port.

    Args:
        seed: The seed of the life of every job, and of the chance of every fault.
        host: The address to bind. With any address but loopback, other machines can connect.
        port: The port to bind; 0 takes a free one.
        pending: The distribution of the seconds in the queue; by default 0.3 on average.
        processing: The distribution of the seconds of work; by default half of them are below 1.
        outcomes: Weights of the terminal words, by endpoint. Those of molizhishu.tasks follow from the subtasks.
        shapes: "documented" results have the one shape of the vendors' documents; "observed" ones vary as in practice.
        unknown_ids: "draw" gives an id that was never submitted a life, born when it is first polled; "reject"
            refuses it, each API in its own way.
        bigmodel_key: The only bearer token that BigModel accepts; None accepts any.
        molizhishu_token: The only bearer token that Molizhishu accepts; None accepts any.
        link_lifetime: Seconds from the end of a parser job in which its archive can be downloaded.
        faults: The faults; the list `faults` can be changed at any time.
        log: A function that is called with a line about every request: its time, method, path, status, the name of its
            route, and the id of the job, percent-encoded, with a slash between its parts. No key is in it.

    Attributes:
        requests: The number of requests received, to any path.
        counts: The number of requests by name of the route, such as "bigmodel.agents.start".

    Raises:
        ValueError: An argument is not one of the values above.
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
        log: Callable[[str], object] | None = None,
    ) -> None:
        _check("shapes", shapes, get_args(Shapes))
        _check("unknown_ids", unknown_ids, ("draw", "reject"))
        for endpoint in outcomes:
            _check("endpoint", endpoint, tuple(_KINDS))
        accept_unknown, lives = unknown_ids == "draw", LifeGenerator(seed, pending, processing)
        super().__init__(seed, host=host, port=port, faults=faults, log=log)
        self._seed, self._link_lifetime = seed, link_lifetime
        self._shapes: Shapes = shapes
        self._keys = bigmodel_key, molizhishu_token
        self._jobs = {
            name: Jobs(kind, lives, outcomes.get(name), accept_unknown=accept_unknown) for name, kind in _KINDS.items()
        }
        self._batches = Batches(seed, self._jobs[SUBTASKS.name], accept_unknown=accept_unknown)

    @property
    def polls(self) -> int:
        """The number of polls: requests for the state of a job."""
        return sum(self.counts[name] for name in POLLS)

    def script(self, endpoint: str, ident: str | Id, life: Life) -> None:
        """Set the life of one job, whether or not it has been polled.

        Args:
            endpoint: The name of the endpoint.
            ident: The id; for molizhishu.subtasks the pair (task id, subtask id). For molizhishu.tasks every subtask
                has the life, with outcomes that give the task the wanted outcome.
            life: The life. It begins when the job is submitted or first polled.

        Raises:
            ValueError: The endpoint does not exist, or does not have such an outcome or such ids.
        """
        parts = _parts_of(endpoint, ident)
        if endpoint == _TASKS:
            self._batches.script(parts[0], life)
        elif endpoint == SUBTASKS.name:
            self._batches.script_subtask(parts[0], parts[1], life)
        else:
            self._jobs[endpoint].script(parts, life)

    def truth(self, endpoint: str, ident: str | Id) -> Truth:
        """Return the outcome of a job and its times, to compare with the findings of a poller.

        Args:
            endpoint: The name of the endpoint.
            ident: The id; for molizhishu.subtasks the pair (task id, subtask id).

        Raises:
            ValueError: The endpoint does not exist or has no such ids, or the id was neither submitted nor polled.
        """
        parts = _parts_of(endpoint, ident)
        return self._batches.truth(parts[0]) if endpoint == _TASKS else self._jobs[endpoint].truth(parts)

    def routes(self) -> Iterable[Route]:
        """Return the entries of both vendors' APIs."""
        clock, (key, token) = Clock(), self._keys
        agents, parser = self._jobs[AGENTS.name], self._jobs[FILE_PARSER.name]
        bigmodel = BigModel(self._seed, clock, agents, parser, self._shapes, key, self._link_lifetime)
        molizhishu = Molizhishu(self._seed, clock, self._batches, self._shapes, token)
        return (*bigmodel.routes(), *molizhishu.routes())
