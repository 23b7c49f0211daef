"""The batches of a hub: which jobs are asked about in one call, and when."""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import Context

from asyncpoll.waiting._decision import NEVER
from asyncpoll.waiting.scheduler._dispatcher import Dispatcher
from asyncpoll.waiting.scheduler._targets import Batch, Target, Wait


class Batcher:
    """Keeps the jobs of a hub that have a group key in batches. A job may be split off its batch for one poll.

    Args:
        dispatcher: Polls the batches.
        context: The hub's own, in which calls for many jobs are made.

    Attributes:
        batches: The batch of each job, by its first wait.
    """

    def __init__(self, dispatcher: Dispatcher, context: Context) -> None:
        self._dispatcher = dispatcher
        self._context = context
        self._with_room: dict[Hashable, Batch] = {}
        self.batches: dict[Wait, Batch] = {}

    def target_of(self, primary: Wait) -> Target:
        """Return the target that is polled to learn about a job: its batch, or the wait itself."""
        batch = self.batches.get(primary)
        return primary if batch is None or primary not in batch.members else batch

    def enter(self, primary: Wait, due: float) -> None:
        """Have a job polled at *due*, or, in a batch with others of the same group key, at *due* at the latest."""
        key: Hashable = getattr(primary.subject, "group_key", None)
        if key is None:
            self._dispatcher.schedule(primary, due)
            return
        batch = self._with_room.get(key)
        if batch is None or batch.size >= primary.subject.endpoint.group.size:
            batch = self._with_room[key] = Batch(key, primary.subject, self._context)
        self.batches[primary] = batch
        self._join(batch, primary, due)

    def hasten(self, primary: Wait, due: float) -> None:
        """Poll a job at *due* at the latest; during a call that is not about it, after that call."""
        target = self.target_of(primary)
        joined = target.joined_in_flight if isinstance(target, Batch) else None
        if joined and primary in joined:
            joined[primary] = min(due, joined[primary])
        self._dispatcher.hasten(target, due)

    def rejoin(self, primary: Wait, due: float) -> None:
        """Put a job that was split off back into its batch, to be polled when the others are."""
        batch = self.batches[primary]
        batch.split_off.discard(primary)
        if batch.due != NEVER and batch.joined_in_flight is None and primary.expires_at >= batch.due:
            batch.members[primary] = None
        else:
            self._join(batch, primary, due)

    def split_off(self, primary: Wait, now: float) -> None:
        """Have a job asked about by itself once, as soon as possible."""
        batch = self.batches[primary]
        del batch.members[primary]
        batch.split_off.add(primary)
        self._dispatcher.schedule(primary, now)

    def forget(self, primary: Wait) -> Batch | None:
        """Remove a job; return its batch if this was the last member, so that a call in flight is not needed."""
        batch = self.batches.pop(primary, None)
        if batch is None:
            return None
        batch.members.pop(primary, None)
        batch.split_off.discard(primary)
        if not batch.size and self._with_room.get(batch.key) is batch:
            del self._with_room[batch.key]
        return None if batch.members else batch

    def _join(self, batch: Batch, primary: Wait, due: float) -> None:
        batch.members[primary] = None
        if batch.joined_in_flight is not None:
            batch.joined_in_flight[primary] = due
        self._dispatcher.hasten(batch, due)
