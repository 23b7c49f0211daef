"""Which jobs are asked about together, and when."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from asyncpoll.waiting.scheduler.agenda import NEVER
from asyncpoll.waiting.scheduler.poller import Poller
from asyncpoll.waiting.scheduler.topics import Together, Topic, Wait


class Groups:
    """The groups of a hub. A job may be asked about on its own, apart from its group, and come back."""

    def __init__(self, poller: Poller[Topic]) -> None:
        self._poller = poller
        self._open: dict[Hashable, Together] = {}
        self._of: dict[Wait, Together] = {}

    def of(self, lead: Wait) -> Together | None:
        """Return the group that this job is asked about in at present."""
        group = self._of.get(lead)
        return group if group is not None and lead in group.members else None

    def put(self, key: Hashable, lead: Wait, due: float) -> None:
        """Have a job asked about together with others that have this *key*, at *due* if it is the first to come."""
        group = self._of.get(lead)
        if group is None:
            group = self._of[lead] = self._with_room(key, lead)
        group.apart.discard(lead)
        group.members[lead] = None
        if group.late is not None:
            group.late[lead] = due
            return
        # A job that comes back after it was asked about on its own follows the rhythm of the others.
        unplanned = not group.queued and (group.due == NEVER or not lead.polls)
        if unplanned or lead.expires_at < group.due:
            self._poller.hasten(group, due)

    def part(self, leads: Iterable[Wait], now: float) -> None:
        """Have each of *leads* that is not over asked about on its own, once, as soon as may be."""
        for lead in tuple(leads):
            group = self.of(lead)
            if group is not None:
                del group.members[lead]
                group.apart.add(lead)
                self._poller.put(lead, now)
                if not group.members:
                    self._poller.drop(group)

    def forget(self, lead: Wait) -> Together | None:
        """Take a job out of its group; return the group if this was its last one, which ends it."""
        group = self._of.pop(lead, None)
        if group is None:
            return None
        group.members.pop(lead, None)
        group.apart.discard(lead)
        if not group.members:
            self._poller.drop(group)
        if group.size:
            return None
        if self._open.get(group.key) is group:
            del self._open[group.key]
        return group

    def _with_room(self, key: Hashable, lead: Wait) -> Together:
        group = self._open.get(key)
        if group is None or group.size >= lead.subject.endpoint.group.size:
            group = self._open[key] = Together(key, lead.lane)
        return group
