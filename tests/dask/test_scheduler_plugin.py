"""The plugin of a run on the scheduler: what it answers, what it notes, and when the run is over for the workers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("distributed")

from asyncpoll.dask._scheduler import RunPlugin


class Scheduler:
    """The part of a scheduler that the plugin uses."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.plugins: dict[str, RunPlugin] = {}
        self.truncated: list[str] = []
        self.later: list[Callable[[], object]] = []
        self.loop = self
        self._broker = self

    def truncate(self, topic: str) -> None:
        """Note that the events of a topic are forgotten."""
        self.truncated.append(topic)

    def call_later(self, _seconds: float, function: Callable[..., object], *args: Any) -> None:
        """Note what is to be called later."""
        self.later.append(lambda: function(*args))

    def share(self, run: str = "run") -> float | None:
        """Ask as an engine does."""
        share: float | None = self.handlers["asyncpoll_share"](run=run, holder="a", demand=10.0)
        return share

    def begin(self, shard: str) -> Any:
        """Begin a shard as an engine does."""
        return self.handlers["asyncpoll_begin"](run="run", shard=shard)


async def registered(rate: float = 100.0) -> tuple[Scheduler, RunPlugin]:
    """Return a scheduler with the plugin of a run."""
    scheduler, plugin = Scheduler(), RunPlugin("run", "client", rate, "{}")
    await plugin.start(scheduler)
    scheduler.plugins["run"] = plugin
    return scheduler, plugin


async def test_workers_get_shares_until_the_run_is_over() -> None:
    """A run that is unknown, or over, has no share; one that pauses has a share of 0."""
    scheduler, plugin = await registered()
    assert scheduler.share() == 100.0
    assert scheduler.share("another") is None
    plugin.log_event("run", {"paused": True})
    assert scheduler.share() == 0.0
    plugin.log_event("run", {"paused": False})
    assert scheduler.share() == 100.0
    plugin.log_event("run", {"over": True})
    assert (scheduler.share(), scheduler.begin("s")) == (None, None)


async def test_without_a_limit_the_share_is_unlimited() -> None:
    """Workers ask all the same, so that they notice the end."""
    scheduler, _ = await registered(math.inf)
    assert scheduler.share() == math.inf


async def test_a_shard_that_begins_again_knows_its_outcomes() -> None:
    """What has passed the scheduler is not asked about again; the time since counts; what was learned is passed on."""
    scheduler, plugin = await registered()
    assert scheduler.begin("s") == {"known": [], "elapsed": 0.0, "history": "{}"}
    plugin.log_event("run", {"outcomes": [("s", 3, "..."), ("unknown", 4, "...")], "history": "[]"})
    again = scheduler.begin("s")
    assert (again["known"], again["history"]) == ([3], "[]")
    assert again["elapsed"] > 0
    plugin.transition("s", "memory", "released")
    assert scheduler.begin("s")["known"] == [3]
    plugin.transition("s", "released", "forgotten")
    assert scheduler.begin("s")["known"] == []


async def test_the_scheduler_keeps_no_events_of_the_run() -> None:
    """They are let through and forgotten; those of others are left alone."""
    scheduler, plugin = await registered()
    plugin.log_event("run", {"outcomes": []})
    plugin.log_event("all", {"action": "add-worker"})
    assert scheduler.truncated == ["run"]


async def test_the_run_ends_with_its_client() -> None:
    """When its client is gone the run is over at once, and forgotten somewhat later; other clients do not matter."""
    scheduler, plugin = await registered()
    plugin.remove_client(scheduler, "another")
    assert scheduler.share() == 100.0
    plugin.remove_client(scheduler, "client")
    assert scheduler.share() is None
    [forget] = scheduler.later
    forget()
    assert scheduler.plugins == {}
