"""The events of a poll and of the end of a wait, made only for waits that are observed."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from asyncpoll._errors import Throttled as ThrottledError
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.events import Ended, Event, Missed, Observer, Polled, StateChanged, Throttled, UnknownWord
from asyncpoll.waiting._decision import Decision, Verdict

_log = logging.getLogger(__name__)


def events_of_poll(decision: Decision, result: object, verdict: Verdict, now: float) -> Iterator[Event]:
    """Yield the events of one poll, without the end of the wait to which it may have led."""
    key, before = decision.key, verdict.before
    if isinstance(result, Snapshot):
        yield Polled(key, result, decision.polls, now - decision.began)
        if before is None or before.state is not result.state:
            yield StateChanged(key, None if before is None else before.state, result.state)
        if result.state is State.UNKNOWN:
            yield UnknownWord(key, result.status)
    elif isinstance(result, Exception) and result is not verdict.error:
        yield Missed(key, result, decision.polls, now - decision.began)
        if isinstance(result, ThrottledError):
            yield Throttled(key, result.retry_after)


def event_of_end(decision: Decision, error: BaseException | None, now: float) -> Iterator[Event]:
    """Yield the event of a wait that is over: with *error*, or with a terminal snapshot."""
    yield Ended(decision.key, decision.last, error, decision.polls, now - decision.began)


def tell(observe: Observer, happened: Iterator[Event]) -> None:
    """Call the observer with each event. Its failure is logged: an observer must never break the wait it observes."""
    while True:
        try:
            event = next(happened, None)
            if event is None:
                return
            observe(event)
        except BaseException:  # noqa: BLE001  an exit or a cancellation that it raises is a failure of its own, too
            _log.exception("the observer %r failed", observe)
