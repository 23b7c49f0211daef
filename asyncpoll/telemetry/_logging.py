"""Log what happens to waits, with `logging`."""

from __future__ import annotations

import logging
from typing import Any

from asyncpoll.events import Ended, Event, Missed, StateChanged
from asyncpoll.telemetry import _readings as names
from asyncpoll.telemetry._readings import detection_delay, error_type, known

_log = logging.getLogger("asyncpoll.wait")


class Logging:
    """An observer that logs one line for each change of state and each end of a wait; the logger is `asyncpoll.wait`.

    Without it, nothing of this is logged. Misses are logged, too, with their reason, at the level DEBUG. A line is
    written in the context of its wait: with `OpenTelemetry` in the same `observe=`, it belongs to the span of the wait.

    Each record has those of these attributes that apply: `asyncpoll.endpoint`, `asyncpoll.job.key`, `asyncpoll.wait`
    (the number of the wait), `asyncpoll.state`, `asyncpoll.state.before`, `asyncpoll.outcome`, `asyncpoll.polls`,
    `asyncpoll.wait.duration` and `asyncpoll.detection.delay` (in seconds), and `error.type`.

    Args:
        level: The level of changes of state and of ends.
        outcomes: Whether ends and misses are logged, too, or only changes of state.
    """

    wants = frozenset({StateChanged, Missed, Ended})

    def __init__(self, *, level: int = logging.INFO, outcomes: bool = True) -> None:
        self._level = level
        self._outcomes = outcomes

    def __call__(self, event: Event) -> None:
        """Log an event, if it is one to log."""
        if isinstance(event, StateChanged):
            before = None if event.before is None else event.before.value
            facts: dict[str, Any] = {names.STATE: event.after.value, f"{names.STATE}.before": before}
            self._write(self._level, event, facts, "%s -> %s", before or "start", event.after.value)
        elif self._outcomes and isinstance(event, Missed):
            kind = error_type(event.error)
            facts = {names.POLLS: event.polls, names.WAITED: event.waited, names.ERROR_TYPE: kind}
            self._write(logging.DEBUG, event, facts, "poll %d was missed: %s: %s", event.polls, kind, event.error)
        elif self._outcomes and isinstance(event, Ended):
            outcome, kind, delay = event.outcome, error_type(event.error, event.outcome), detection_delay(event)
            facts = {names.OUTCOME: outcome, names.POLLS: event.polls, names.WAITED: event.waited}
            facts |= {names.DELAY: delay, names.ERROR_TYPE: kind}
            reason = "" if event.error is None else f": {kind}: {event.error}"
            message = "%s after %.1f s and %d polls%s"
            self._write(self._level, event, facts, message, outcome, event.waited, event.polls, reason)

    def _write(self, level: int, event: Event, facts: dict[str, Any], message: str, *arguments: object) -> None:
        if _log.isEnabledFor(level):
            wait = {names.ENDPOINT: event.endpoint, names.KEY: event.key, "asyncpoll.wait": event.wait}
            name = event.key or f"wait {event.wait}"
            _log.log(level, f"%s: {message}", name, *arguments, extra=known({**wait, **facts}))
