"""The events of one wait, made only where it is observed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextvars import Context
from itertools import count
from typing import Any

from asyncpoll import events
from asyncpoll._checks import plain_function
from asyncpoll._errors import Throttled
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.events import Event, Observer
from asyncpoll.waiting._decision import Decision, Verdict, WaitCheckpoint

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


def endpoint_of(subject: object) -> str | None:
    """Return the name of the endpoint of a job; None for a bare coroutine function."""
    name: str | None = getattr(getattr(subject, "endpoint", None), "name", None)
    return name


class WaitEvents:
    """Makes the events of one wait, all with the number of the wait and the name of its endpoint.

    Args:
        decision: The course of the wait.
    """

    __slots__ = ("_decision", "_facts")

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        self._facts: dict[str, Any] = {"wait": next(_numbers), "endpoint": endpoint_of(decision.subject)}

    def began(self, resumed: WaitCheckpoint | None = None) -> Iterator[Event]:
        """Yield the event of a wait that begins."""
        yield events.Began(self._decision.key, resumed, **self._facts)

    def called(self, jobs: int, seconds: float, error: BaseException | None) -> Iterator[Event]:
        """Yield the event of a call about so many jobs, which took so many seconds."""
        yield events.Called(self._decision.key, jobs, seconds, error, **self._facts)

    def polled(self, result: object, verdict: Verdict, now: float) -> Iterator[Event]:
        """Yield the events of one poll, without the end of the wait to which it may have led."""
        decision, before, facts = self._decision, verdict.before, self._facts
        key = decision.key
        if isinstance(result, Snapshot):
            yield events.Polled(key, result, decision.polls, now - decision.began, **facts)
            if before is None or before.state is not result.state:
                yield events.StateChanged(key, None if before is None else before.state, result.state, **facts)
            if result.state is State.UNKNOWN:
                yield events.UnknownWord(key, result.status, **facts)
        elif isinstance(result, Exception) and result is not verdict.error:
            yield events.Missed(key, result, decision.polls, now - decision.began, **facts)
            if isinstance(result, Throttled):
                yield events.Throttled(key, result.retry_after, **facts)

    def ended(self, error: BaseException | None, now: float) -> Iterator[Event]:
        """Yield the event of a wait that is over: with *error*, or with a terminal snapshot."""
        decision = self._decision
        running = None if decision.running_at is None else decision.running_at - decision.began
        waited = now - decision.began
        yield events.Ended(decision.key, decision.last, error, decision.polls, waited, running=running, **self._facts)


class Announcer:
    """Tells the observers of a hub what happens to its waits, each time in the context of the wait's caller.

    Args:
        observers: The observers.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self._events: dict[Decision, WaitEvents] = {}

    def begin(self, wait: Decision, context: Context, resumed: WaitCheckpoint | None) -> None:
        """Tell that a wait begins."""
        source = self._events[wait] = WaitEvents(wait)
        self._tell(context, source.began(resumed))

    def call(self, waits: Iterable[Any], jobs: int, seconds: float, result: object) -> None:
        """Tell of a call about so many jobs, as one of the first of *waits* that is observed."""
        error = result if isinstance(result, BaseException) else None
        for wait in waits:
            if wait in self._events and getattr(wait.subject, "submitted", None) is None:  # else there was no request
                self._tell(wait.sink.context, self._events[wait].called(jobs, seconds, error))
                return

    def poll(self, wait: Decision, context: Context, result: object, verdict: Verdict, now: float) -> None:
        """Tell what a poll brought."""
        if wait in self._events:
            self._tell(context, self._events[wait].polled(result, verdict, now))

    def end(self, wait: Decision, context: Context, error: BaseException | None, now: float) -> None:
        """Tell that a wait is over."""
        self._tell(context, self._events.pop(wait).ended(error, now))

    def _tell(self, context: Context, happened: Iterator[Event]) -> None:
        context.copy().run(tell, self._observers, happened)


def tell(observers: Sequence[Observer], happened: Iterator[Event]) -> None:
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
                observe(event)
            except BaseException:  # noqa: BLE001  an exit or a cancellation that it raises is a failure of its own, too
                _log.exception("the observer %r failed", observe)
