"""What can be said about waits in a hub, for those who pass it on."""

from __future__ import annotations

from asyncpoll.waiting._remote_cancel import OnAbandon
from asyncpoll.waiting._run import Journal, Until
from asyncpoll.waiting._wait import PollOptions


class JobOptions(PollOptions, total=False):
    """The options that a wait for one job in a hub takes."""

    on_abandon: OnAbandon


class RunOptions(JobOptions, total=False):
    """The options that a run over many jobs takes; `Hub.as_completed` explains them."""

    until: Until
    max_pending: int | None
    journal: Journal | None
