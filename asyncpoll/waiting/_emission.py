"""The events of a wait, made only where it is observed, and the counters of a hub."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextvars import Context
from itertools import count
from typing import Any

from attrs import define, field

from asyncpoll import events
from asyncpoll._checks import plain_function
from asyncpoll._errors import Throttled
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.events import EVENTS, Event, Observer
from asyncpoll.waiting._decision import Decision, Verdict, WaitCheckpoint
from asyncpoll.waiting._job_calls import PollMemory
from asyncpoll.waiting._misses import kind_of

_EVERY = frozenset({events.Polled, events.Called})
_log = logging.getLogger(__name__)
_numbers = count(1)


def observers_of(caller: str, observe: Any) -> tuple[Observer, ...]:
    """Return the observers that *observe* names: a plain function, several, or None.

    Raises:
        TypeError: It is something else.
    """
    several = observe if isinstance(observe, list | tuple) else (observe,)
    observers = () if observe is None else tuple(several)
    for observer in observers:
        plain_function(f"{caller}(): observe", observer)
    return observers


def often_wanted(observers: Sequence[Observer]) -> frozenset[type]:
    """Return which of the events that each poll makes any of the observers wants."""
    return frozenset(kind for kind in _EVERY if any(kind in _wants(observe) for observe in observers))


def _wants(observe: Observer) -> Collection[type]:
    wants: Collection[type] = getattr(observe, "wants", EVENTS)
    return wants


def endpoint_of(subject: object) -> str | None:
    """Return the name of the endpoint of a job; None for a bare coroutine function."""
    name: str | None = getattr(getattr(subject, "endpoint", None), "name", None)
    return name


class WaitEvents:
    """Makes the events of one wait, all with the number of the wait and the name of its endpoint, and tells them.

    Args:
        decision: The course of the wait.
        observers: The observers.
        often: Which of the events that each poll makes are wanted, as `often_wanted` says.
        context: The context of the caller.

    Attributes:
        context: A copy of it, in which observers are told, and of which fetches get copies.
    """

    __slots__ = ("_decision", "_facts", "_known_key", "_observers", "_often", "context")

    def __init__(
        self, decision: Decision, observers: Sequence[Observer], often: frozenset[type], context: Context
    ) -> None:
        self.context = context.copy()
        self._observers = observers
        self._often = often
        self._known_key: str | None = None
        self._decision = decision
        self._facts: dict[str, Any] = {"wait": next(_numbers), "endpoint": endpoint_of(decision.subject)}

    def tell_beginning(self, resumed: WaitCheckpoint | None = None) -> None:
        """Tell that the wait begins."""
        self._tell(self._began(resumed))

    def tell_calls(self, jobs: int, seconds: float, error: BaseException | None, memory: PollMemory | None) -> None:
        """Tell of the calls of a poll about so many jobs, of so many seconds: one, and those in *memory*."""
        if events.Called in self._often:
            self._tell(self._called(jobs, seconds, error, () if memory is None else memory.calls))

    def tell_poll(self, result: object, verdict: Verdict, now: float) -> None:
        """Tell what a poll brought, but not the end of the wait to which it may have led."""
        state = result.state if isinstance(result, Snapshot) else None
        is_same = verdict.before is not None and verdict.before.state is state
        if events.Polled in self._often or not is_same or state is State.UNKNOWN:
            self._tell(self._polled(result, verdict, now))

    def tell_end(self, error: BaseException | None, now: float) -> None:
        """Tell that the wait is over: with *error*, or with a terminal snapshot."""
        self._tell(self._ended(error, now))

    @property
    def _key(self) -> str | None:
        """The key of the job, which takes long to make."""
        if self._known_key is None:
            self._known_key = self._decision.key
        return self._known_key

    def _tell(self, happened: Iterator[Event]) -> None:
        self.context.run(_tell, self._observers, happened)

    def _began(self, resumed: WaitCheckpoint | None) -> Iterator[Event]:
        decision = self._decision
        origin = getattr(decision.subject, "origin", None)
        yield events.Began(self._key, resumed, origin=origin, **self._facts)

    def _called(
        self, jobs: int, seconds: float, error: BaseException | None, before: Collection[float]
    ) -> Iterator[Event]:
        for each in before:
            yield events.Called(self._key, jobs, each, **self._facts)
        seconds -= sum(before)
        yield events.Called(self._key, jobs, seconds, error, **self._facts)

    def _polled(self, result: object, verdict: Verdict, now: float) -> Iterator[Event]:
        decision, before, facts = self._decision, verdict.before, self._facts
        key = self._key
        if isinstance(result, Snapshot):
            if events.Polled in self._often:
                yield events.Polled(key, result, decision.polls, now - decision.began, **facts)
            if before is None or before.state is not result.state:
                yield events.StateChanged(key, None if before is None else before.state, result.state, **facts)
            if result.state is State.UNKNOWN:
                yield events.UnknownWord(key, result.status, **facts)
        elif isinstance(result, Exception) and result is not verdict.error:
            yield events.Missed(key, result, decision.polls, now - decision.began, **facts)
            if isinstance(result, Throttled):
                yield events.Throttled(key, result.retry_after, **facts)

    def _ended(self, error: BaseException | None, now: float) -> Iterator[Event]:
        decision = self._decision
        running = None if decision.running_at is None else decision.running_at - decision.began
        waited = now - decision.began
        yield events.Ended(self._key, decision.last, error, decision.polls, waited, running=running, **self._facts)


class Announcer:
    """Tells the observers of a hub what happens to its waits.

    Attributes:
        wants_calls: Whether any of them wants to be told of calls.

    Args:
        observers: The observers.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self._often = often_wanted(observers)
        self.wants_calls = events.Called in self._often
        self._events: dict[Decision, WaitEvents] = {}

    def begin(self, wait: Decision, context: Context, resumed: WaitCheckpoint | None) -> Context:
        """Tell that a wait begins; return the context in which it is observed."""
        source = self._events[wait] = WaitEvents(wait, self._observers, self._often, context)
        source.tell_beginning(resumed)
        return source.context

    def calls(self, target: Any, seconds: float, result: object) -> None:
        """Tell of the calls of a poll of *target*, as those of the first of its waits that is observed."""
        error = result if isinstance(result, BaseException) else None
        for wait in (wait for primary in target.primaries for wait in primary.waits):
            source = self._events.get(wait)
            if source is not None and getattr(wait.subject, "submitted", None) is None:  # else there was no request
                source.tell_calls(len(target.asked), seconds, error, target.memory)
                return

    def poll(self, wait: Decision, result: object, verdict: Verdict, now: float) -> None:
        """Tell what a poll brought."""
        source = self._events.get(wait)
        if source is not None:
            source.tell_poll(result, verdict, now)

    def end(self, wait: Decision, error: BaseException | None, now: float) -> None:
        """Tell that a wait is over."""
        self._events.pop(wait).tell_end(error, now)


def _tell(observers: Sequence[Observer], happened: Iterator[Event]) -> None:
    """Call each observer with each event. A failure is logged: an observer must never break the wait it observes."""
    while True:
        try:
            event = next(happened, None)
        except BaseException:  # noqa: BLE001  such as that of an endpoint, which makes the key of a job
            _log.exception("an event could not be made")
            return
        if event is None:
            return
        for observe in observers:
            try:
                if type(event) in _wants(observe):
                    observe(event)
            except BaseException:  # noqa: BLE001  an exit or a cancellation that it raises is a failure of its own, too
                _log.exception("the observer %r failed", observe)


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
