"""What goes from one process to another: the settings of a run, shards of references, and what is sent of their waits.

Outcomes and progress are JSON text, masked where it is made. None of it holds a credential.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from attrs import evolve, field, frozen

from asyncpoll._endpoint import Job
from asyncpoll._errors import ClientClosed
from asyncpoll._schedule import Schedule
from asyncpoll._timeout import Timeout
from asyncpoll.clients import Clients
from asyncpoll.http import TransportSettings
from asyncpoll.ledger import Entry, OutcomeInput
from asyncpoll.ledger._run import is_exhaustion
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._emission import Counters
from asyncpoll.waiting._run import Outcome

COUNTED = ("polls", "missed", "throttled", "unknown", "in_flight")
"""The counters of a hub that the client of the run adds up."""

_MOST_OUTCOMES, _MOST_TEXT = 100, 1 << 20  # outcomes, or characters of them, that are sent at once


@frozen(kw_only=True)
class Settings:
    """How a run is done on every worker.

    Attributes:
        run: The id of the run, and the topic of its events.
        version: The version of asyncpoll of the client.
        transport: The settings of transports.
        timeout: For each wait, over all processes.
        concurrency: The most polls in flight in one process.
        schedule: When to poll next.
        options: Those of `Hub.as_completed`.
        links: Whether signed links in results are kept as they are.
    """

    run: str
    version: str
    transport: TransportSettings
    timeout: float | Timeout | None
    concurrency: int
    schedule: Schedule
    options: Mapping[str, Any] = field(factory=dict)
    links: bool = False


@frozen
class Shard:
    """A page of jobs that one worker waits for.

    Attributes:
        name: Its name, which is the key of its task.
        clients: Where the endpoints of its jobs are, as JSON.
        references: The jobs as the ledger has them, without data of the caller's own.
    """

    name: str
    clients: str
    references: Sequence[Entry]


@frozen
class ShardEnd:
    """The end of a shard on a worker, which may have come before that of its waits. What was seen has been sent before.

    Attributes:
        history: How long jobs have taken in that process, as JSON.
        error: Why they could not be waited for, in words that name the worker, or None.
    """

    history: str = ""
    error: Exception | None = None


class Outbox:
    """What a worker has to tell the client of a run, sent in batches through the events of the scheduler.

    Args:
        topic: The topic of the events.
        worker: The worker of Dask, which sends them.
        counters: The counters of the hub; they are sent, too.
    """

    def __init__(self, topic: str, worker: Any, counters: Counters) -> None:
        self._topic = topic
        self._worker = worker
        self._counters = counters
        self._outcomes: list[tuple[str, int, str]] = []
        self._checkpoints: dict[int, str] = {}
        self._length = 0
        self._sent: dict[str, Any] = {}

    def outcome(self, shard: str, number: int, text: str) -> None:
        """Send the outcome of the job with this number soon."""
        self._outcomes.append((shard, number, text))
        self._checkpoints.pop(number, None)
        self._length += len(text)
        if len(self._outcomes) >= _MOST_OUTCOMES or self._length >= _MOST_TEXT:
            self.flush()

    def checkpoint(self, number: int, checkpoint: WaitCheckpoint) -> None:
        """Send the progress of the wait for a job soon."""
        self._checkpoints[number] = checkpoint.to_json()

    def flush(self) -> None:
        """Send what there is now."""
        counts = {name: getattr(self._counters, name) for name in (*COUNTED, "last_miss")}
        if self._outcomes or self._checkpoints or counts != self._sent:
            batch = {"outcomes": self._outcomes, "checkpoints": list(self._checkpoints.items()), "counts": counts}
            self._worker.log_event(self._topic, {"worker": self._worker.id, **batch})
        self._outcomes, self._checkpoints, self._length, self._sent = [], {}, 0, counts


class ShardWaits:
    """The waits for the jobs of a shard; to its run in the hub it is the journal.

    Args:
        shard: The name of the shard.
        elapsed: Seconds since it first began, on a worker that died since; else 0.
        outbox: Sends what happens.
    """

    def __init__(self, shard: str, elapsed: float, outbox: Outbox) -> None:
        self._shard = shard
        self._elapsed = elapsed
        self._outbox = outbox
        self._references: dict[int, Entry] = {}  # by the identity of their jobs

    def add(self, reference: Entry, job: Job[Any]) -> Job[Any]:
        """Return the job of a reference, with what else is known of it."""
        at = reference.submitted_at
        if at is not None:
            job = job.with_submitted_at(min(at, datetime.now(UTC).timestamp()))  # the clock here may be behind
        if reference.pacing is not None:
            job = job.with_pacing(reference.pacing)
        self._references[id(job)] = reference
        return job

    def past(self, job: Any, /) -> WaitCheckpoint | None:
        """Return the progress that earlier processes made with *job*."""
        past = self._references[id(job)].checkpoint
        if not self._elapsed:
            return past
        past = past or WaitCheckpoint()
        return evolve(past, waited=past.waited + self._elapsed, in_state=past.in_state + self._elapsed)

    def changed(self, job: Any, checkpoint: WaitCheckpoint, /) -> None:
        """Send the progress of the wait for *job*."""
        self._outbox.checkpoint(self._references[id(job)].number, checkpoint)

    def ended(self, outcome: Outcome[Any], *, links: bool) -> None:
        """Send an outcome.

        Raises:
            BaseException: The error of the outcome, if it says something about this process and nothing about the job.
        """
        error = outcome.error
        if error is not None and (isinstance(error, ClientClosed) or is_exhaustion(error)):
            raise error
        number = self._references[id(outcome.job)].number
        text = OutcomeInput.of(number, outcome, links=links).to_json(links=links)
        self._outbox.outcome(self._shard, number, text)


def sent_settings(clients: Clients) -> TransportSettings:
    """Return the settings of transports that workers are to have, too.

    Raises:
        ValueError: Some cannot, or must not, be sent.
    """
    given = {name: value for name, value in clients.settings.items() if value is not None}
    if given.keys() & {"proxy", "ssl", "session"}:
        raise ValueError(
            "a proxy, certificates or a session are not sent to workers; set HTTPS_PROXY or SSL_CERT_FILE in the "
            "environment of the workers instead"
        )
    return cast("TransportSettings", given)
