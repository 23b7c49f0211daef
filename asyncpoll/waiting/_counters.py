"""The counters of a hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from attrs import define, field

from asyncpoll._errors import Throttled
from asyncpoll.waiting._misses import kind_of


@define
class EndpointCounters:
    """What happened to the jobs of one endpoint, as plain numbers.

    Attributes:
        pending: Waits that have begun and not ended.
        ended: Polls that saw a job ended, a call about many jobs counting once, as in what follows.
        changed: Polls that saw a job in another state than before.
        same: Polls that brought nothing new: the wasted ones.
        missed: Polls that failed and saw nothing, throttled ones included.
        throttled: Polls in which the server asked for fewer requests.
        seconds: The time that all calls took together.
        misses: How many of the missed polls failed in which way, by the kind of a `TransportError`.
        outcomes: How many waits ended in which way, as `asyncpoll.events.Ended.outcome` says.
    """

    pending: int = 0
    ended: int = 0
    changed: int = 0
    same: int = 0
    missed: int = 0
    throttled: int = 0
    seconds: float = 0.0
    misses: Counter[str] = field(factory=Counter)
    outcomes: Counter[str] = field(factory=Counter)

    @property
    def results(self) -> dict[str, int]:
        """How many polls have brought what: "ended", "changed", "same", "missed", or "throttled" alone."""
        seen = {"ended": self.ended, "changed": self.changed, "same": self.same}
        return seen | {"missed": self.missed - self.throttled, "throttled": self.throttled}


@define
class Counters:
    """Plain integers that a progress view may sample.

    Attributes:
        polls: Polls that have finished, a call about many jobs counting once.
        missed: Polls that failed and saw nothing.
        throttled: Those of them in which the server asked for fewer requests.
        unknown: Polls that saw a status word that no vocabulary lists.
        in_flight: Polls that have started and not finished.
        pending: Waits that have begun and not ended.
        ended: Waits that have ended, each with one outcome.
        succeeded: Those of them whose job succeeded.
        last_miss: The message of the newest poll that failed, or None.
        by_endpoint: Counters by the name of the endpoint; bare coroutine functions are under "".
    """

    polls: int = 0
    missed: int = 0
    throttled: int = 0
    unknown: int = 0
    in_flight: int = 0
    pending: int = 0
    ended: int = 0
    succeeded: int = 0
    last_miss: str | None = None
    by_endpoint: dict[str, EndpointCounters] = field(factory=dict)
    _transports: dict[int, tuple[Any, int]] = field(factory=dict, repr=False)
    _targets: Callable[[], tuple[list[Any], list[Any]]] = field(default=lambda: ([], []), repr=False, eq=False)

    @property
    def requests(self) -> int:
        """Requests really sent since the hub first saw them, by all transports that count theirs."""
        return sum(transport.requests - before for transport, before in self._transports.values())

    @property
    def outcomes(self) -> Counter[str]:
        """How many waits ended in which way, as `asyncpoll.events.Ended.outcome` says."""
        return sum((endpoint.outcomes for endpoint in self.by_endpoint.copy().values()), Counter())

    @property
    def overdue(self) -> int:
        """Polls that are due and have not started, because of a limit."""
        return len(self._targets()[0])

    def overdue_by_endpoint(self) -> dict[str, int]:
        """Return how many polls are due and have not started, by the name of the endpoint."""
        return dict(Counter(map(_endpoint_name, self._targets()[0])))

    def in_flight_by_endpoint(self) -> dict[str, int]:
        """Return how many polls have started and not finished, by the name of the endpoint."""
        return dict(Counter(map(_endpoint_name, self._targets()[1])))

    def count_miss(self, endpoint: EndpointCounters, error: BaseException) -> None:
        """Count a poll that failed."""
        is_throttled = isinstance(error, Throttled)
        self.missed += 1
        self.throttled += is_throttled
        self.last_miss = str(error) or type(error).__name__
        endpoint.missed += 1
        endpoint.throttled += is_throttled
        endpoint.misses[kind_of(error)] += 1

    def count_end(self, endpoint: EndpointCounters, outcome: str) -> None:
        """Count a wait that has ended with an outcome."""
        self.ended += 1
        self.succeeded += outcome == "success"
        endpoint.outcomes[outcome] += 1

    def begin(self, job: Any) -> None:
        """Count the requests of the transport of *job*, for which a wait begins, from now on."""
        transport: Any = getattr(job, "transport", None)
        if id(transport) not in self._transports and isinstance(getattr(transport, "requests", None), int):
            self._transports[id(transport)] = (transport, transport.requests)


def _endpoint_name(target: Any) -> str:
    name: str = getattr(getattr(target.subject, "endpoint", None), "name", "")
    return name
