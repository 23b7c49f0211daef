"""The scheduler's side of a run: a plugin that shares out the rate, and ends the polling when the client is gone."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from attrs import define, field
from distributed import SchedulerPlugin

from asyncpoll.dask._shares import Shares


@define
class _Begun:
    """A shard that a worker has begun.

    Attributes:
        at: When one first did.
        known: The numbers of the jobs whose outcomes have been sent.
    """

    at: float = field(factory=monotonic)
    known: list[int] = field(factory=list)


class RunPlugin(SchedulerPlugin):  # type: ignore[misc]  # untyped
    """One run on the scheduler. It is there as long as its client is; without it, workers stop polling for the run.

    Args:
        run: The id of the run, and the topic of its events.
        client: The id of its client.
        rate: The polls a second of all workers together, `math.inf` for any number.
    """

    def __init__(self, run: str, client: str, rate: float) -> None:
        self.name = run
        self._client = client
        self._shares = Shares(rate)
        self._is_paused = False
        self._shards: dict[str, _Begun] = {}

    async def start(self, scheduler: Any) -> None:
        """Let workers ask for shares, and say which shards they begin; None as an answer says that the run is over."""
        self._scheduler = scheduler

        def asyncpoll_share(run: str, holder: str, demand: float) -> float | None:
            plugin = scheduler.plugins.get(run)
            return None if plugin is None else plugin.share(holder, demand)

        def asyncpoll_begin(run: str, shard: str) -> dict[str, Any] | None:
            plugin = scheduler.plugins.get(run)
            return None if plugin is None else plugin.begin(shard)

        handlers: tuple[Callable[..., Any], ...] = (asyncpoll_share, asyncpoll_begin)
        scheduler.handlers.update({handler.__name__: handler for handler in handlers})

    def share(self, holder: str, demand: float) -> float:
        """Return the share of a worker process; see `Shares.ask`."""
        return 0.0 if self._is_paused else self._shares.ask(holder, demand, monotonic())

    def begin(self, shard: str) -> dict[str, Any]:
        """Return which outcomes of a shard have been sent, and the seconds since it first began."""
        begun = self._shards.get(shard)
        if begun is None:
            self._shards[shard] = _Begun()
            return {"known": [], "elapsed": 0.0}
        return {"known": begun.known, "elapsed": monotonic() - begun.at}

    # events

    def log_event(self, topic: str, msg: Any) -> None:
        """Note which outcomes go to the client; obey it."""
        if topic != self.name:
            return
        self._scheduler._broker.truncate(topic)  # noqa: SLF001  else it keeps the last 1,000, and nobody reads them
        for shard, number, _ in msg.get("outcomes", ()):
            if shard in self._shards:
                self._shards[shard].known.append(number)
        self._is_paused = msg.get("paused", self._is_paused)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Forget a shard that has ended."""
        if finish == "forgotten":
            self._shards.pop(key, None)

    def remove_client(self, scheduler: Any, client: str) -> None:
        """End the run when its client is gone."""
        if client == self._client:
            scheduler.remove_plugin(self.name)
