"""The scheduler's side of a run: a plugin that shares out the rate, and ends the polling when the client is gone."""

from __future__ import annotations

from time import monotonic
from typing import Any

from attrs import define, field
from distributed import SchedulerPlugin

from asyncpoll.dask._shares import Shares

_GRACE = 10.0  # seconds for which a plugin without a client is kept


@define
class _Begun:
    """A shard that a worker has begun.

    Attributes:
        at: When one first did.
        known: The numbers of the jobs whose outcomes have been sent.
    """

    at: float
    known: list[int] = field(factory=list)


class RunPlugin(SchedulerPlugin):
    """One run on the scheduler. It is there as long as its client is; without it, workers stop polling for the run.

    Args:
        run: The id of the run, and the topic of its events.
        client: The id of its client.
        rate: The polls a second of all workers together, `math.inf` for any number.
        history: How long jobs have taken, as JSON.
    """

    def __init__(self, run: str, client: str, rate: float, history: str) -> None:
        self.name = run
        self._client = client
        self._shares = Shares(rate)
        self._history = history
        self._is_paused = self._is_over = False
        self._shards: dict[str, _Begun] = {}

    async def start(self, scheduler: Any) -> None:
        """Let workers ask for shares, and tell that they begin a shard; None as an answer says that the run is over."""
        self._scheduler = scheduler

        def asyncpoll_share(run: str, holder: str, demand: float) -> float | None:
            plugin = scheduler.plugins.get(run)
            return None if plugin is None else plugin.share(holder, demand)

        def asyncpoll_begin(run: str, shard: str) -> dict[str, Any] | None:
            plugin = scheduler.plugins.get(run)
            return None if plugin is None else plugin.begin(shard)

        for handler in (asyncpoll_share, asyncpoll_begin):
            scheduler.handlers[handler.__name__] = handler

    def share(self, holder: str, demand: float) -> float | None:
        """Return the share of a worker process, see `Shares.ask`; or None."""
        if self._is_over:
            return None
        return 0.0 if self._is_paused else self._shares.ask(holder, demand, monotonic())

    def begin(self, shard: str) -> dict[str, Any] | None:
        """Return which outcomes of a shard have been sent, the seconds since it first began, and the history; or None.

        A worker that had begun the shard before died since.
        """
        if self._is_over:
            return None
        first, now = shard not in self._shards, monotonic()
        begun = self._shards.setdefault(shard, _Begun(now))
        return {"known": begun.known, "elapsed": 0.0 if first else now - begun.at, "history": self._history}

    # events

    def log_event(self, topic: str, msg: Any) -> None:
        """Note which outcomes go to the client, and what it says."""
        if topic != self.name:
            return
        self._scheduler._broker.truncate(topic)  # noqa: SLF001  it would keep the last 1,000, for no reader
        for shard, number, _ in msg.get("outcomes", ()):
            if shard in self._shards:
                self._shards[shard].known.append(number)
        self._is_paused = msg.get("paused", self._is_paused)
        self._is_over = msg.get("over", self._is_over)
        self._history = msg.get("history", self._history)

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:  # noqa: ARG002  Dask's names
        """Forget a shard that has ended."""
        if finish == "forgotten":
            self._shards.pop(key, None)

    def remove_client(self, scheduler: Any, client: str) -> None:
        """End the run when its client is gone; what workers still send is not received."""
        if client == self._client:
            self._is_over = True
            scheduler.loop.call_later(_GRACE, scheduler.plugins.pop, self.name, None)
