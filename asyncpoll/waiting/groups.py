"""Which jobs are asked about together, and when."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from asyncpoll.waiting.agenda import NEVER
from asyncpoll.waiting.poller import Poller
from asyncpoll.waiting.topics import Together, Topic, Wait


class Groups:
    """The groups of a hub. A job may leave its group to be asked about on its own, and come back."""

    def __init__(self, poller: Poller[Topic]) -> None:
        self._poller = poller
        self._open: dict[Hashable, Together] = {}
        self._of: dict[Wait, Together] = {}

    def of(self, lead: Wait) -> Together | None:
        """Return the group that this job is asked about in at present."""
        return self._of.get(lead)

    def put(self, key: Hashable, lead: Wait, due: float) -> None:
        """Have a job asked about together with others that have this *key*, at *due* if it is the first to come."""
        group = self._of.get(lead) or self._with_room(key, lead)
        group.members[lead] = None
        self._of[lead] = group
        # A job that comes back after it was asked about on its own follows the rhythm of the others.
        if group.due == NEVER or not lead.polls or lead.deadline < group.due:
            self._poller.put(group, min(due, group.due))

    def part(self, leads: Iterable[Wait], now: float) -> None:
        """Have each of *leads* asked about on its own, once, as soon as may be."""
        for lead in tuple(leads):
            self.forget(lead)
            self._poller.put(lead, now)

    def forget(self, lead: Wait) -> None:
        """Take a job out of its group."""
        group = self._of.pop(lead, None)
        if group is not None:
            del group.members[lead]

    def _with_room(self, key: Hashable, lead: Wait) -> Together:
        group = self._open.get(key)
        if group is None or len(group.members) >= lead.subject.endpoint.group.size:
            group = self._open[key] = Together(lead.lane)
        return group
