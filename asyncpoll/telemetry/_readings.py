"""The names of what is told of waits, and the numbers that are read when metrics are collected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from asyncpoll._errors import JobCancelled, JobFailed, JobTimedOut
from asyncpoll.events import Ended
from asyncpoll.waiting._emission import Counters

ENDPOINT, KEY, STATE = "asyncpoll.endpoint", "asyncpoll.job.key", "asyncpoll.state"
OUTCOME, POLLS, ERROR_TYPE = "asyncpoll.outcome", "asyncpoll.polls", "error.type"
WAITED, DELAY = "asyncpoll.wait.duration", "asyncpoll.detection.delay"

BOUNDS: Mapping[str, tuple[float, ...]] = {
    WAITED: (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10_000.0),
    DELAY: (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
}
"""The boundaries of the buckets of the histograms, in seconds."""

_JOB_ERRORS = {"failed": JobFailed.__name__, "timeout": JobTimedOut.__name__, "cancelled": JobCancelled.__name__}

Labels = tuple[str, str]
"""The name of an endpoint, "" for bare coroutine functions, and one more label, "" where there is none."""


def error_type(error: BaseException | None, outcome: str = "") -> str | None:
    """Return the name of the error that a call or a wait ended with, or that `unwrap` raises; None for a success."""
    return _JOB_ERRORS.get(outcome) if error is None else type(error).__name__


def detection_delay(event: Ended) -> float | None:
    """Return the seconds for which the job had probably ended when that was seen; None unless it was seen.

    It ended between the poll that last saw it unfinished and the one that saw it ended: midway, on average.
    """
    return None if event.error is not None or event.running is None else (event.waited - event.running) / 2


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}


class Metric(NamedTuple):
    """Numbers that `read` returns, by endpoint and one more `label`; a counter `grows`, others go up and down."""

    name: str
    unit: str
    label: str
    read: Callable[[], Mapping[Labels, float]]
    grows: bool
    about: str


class Readings:
    """What the counters of some hubs say, added up. It may be read from any thread."""

    def __init__(self) -> None:
        self._counters: list[Counters] = []

    def add(self, counters: Counters) -> None:
        """Read these counters, too."""
        if not any(one is counters for one in self._counters):
            self._counters.append(counters)

    def metrics(self) -> tuple[Metric, ...]:
        """Return the metrics that can be read."""
        total, now, polls, waits = partial(partial, self._total), partial(partial, self._now), "{poll}", "{wait}"
        in_flight, overdue = Counters.in_flight_by_endpoint, Counters.overdue_by_endpoint
        return (
            Metric(POLLS, polls, "asyncpoll.result", total("results"), True, "Polls that have finished."),
            Metric("asyncpoll.misses", polls, "asyncpoll.kind", total("misses"), True, "Polls that saw nothing."),
            Metric("asyncpoll.outcomes", waits, OUTCOME, total("outcomes"), True, "Waits that have ended."),
            Metric("asyncpoll.poll.time", "s", "", total("seconds"), True, "Seconds that all calls took."),
            Metric("asyncpoll.active_waits", waits, "", total("pending"), False, "Waits that go on."),
            Metric("asyncpoll.active_polls", polls, "", now(in_flight), False, "Polls in flight."),
            Metric("asyncpoll.overdue_polls", polls, "", now(overdue), False, "Polls that a limit holds up."),
        )

    def _total(self, name: str) -> dict[Labels, float]:
        total: dict[Labels, float] = {}
        for counters in self._counters:
            for endpoint, one in counters.by_endpoint.copy().items():
                value = getattr(one, name)
                for label, number in (value.copy() if isinstance(value, dict) else {"": value}).items():
                    total[endpoint, label] = total.get((endpoint, label), 0) + number
        return total

    def _now(self, read: Callable[[Counters], dict[str, int]]) -> dict[Labels, float]:
        total: dict[Labels, float] = dict.fromkeys(self._total("pending"), 0)  # an endpoint without any is told as 0
        for counters in self._counters:
            for endpoint, number in read(counters).items():
                total[endpoint, ""] = total.get((endpoint, ""), 0) + number
        return total
