"""Which jobs are awaited: each by its lead, the first wait for it, which is polled for all the others, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asyncpoll.waiting.scheduler.topics import Wait


class Leads:
    """The first wait for each job, by job and by key.

    The index by key is made when it is first asked for: most hubs never are, and a million keys are long to write.
    """

    def __init__(self) -> None:
        self._by_job: dict[Any, Wait] = {}
        self._by_key: dict[str, dict[Wait, None]] | None = None

    def __len__(self) -> int:
        return len(self._by_job)

    def __iter__(self) -> Iterator[Wait]:
        return iter(tuple(self._by_job.values()))

    def enter(self, wait: Wait) -> Wait:
        """Take in a wait; return the first one for its job, which it may be itself."""
        lead = self._by_job.setdefault(wait.subject, wait)
        if lead is wait and self._by_key is not None:
            self._index(lead, self._by_key)
        return lead

    def lead_of(self, wait: Wait) -> Wait:
        """Return the first wait for the job of *wait*, which is not over."""
        return self._by_job[wait.subject]

    def with_key(self, key: str) -> tuple[Wait, ...]:
        """Return the first wait for each job with this key; clients that differ may have jobs that share one."""
        if self._by_key is None:
            self._by_key = {}
            for lead in self:
                self._index(lead, self._by_key)
        return tuple(self._by_key.get(key, ()))

    def remove(self, lead: Wait) -> None:
        """Take in that nobody waits for a job any more."""
        del self._by_job[lead.subject]
        if self._by_key is not None and lead.key is not None:
            same = self._by_key[lead.key]
            del same[lead]
            if not same:
                del self._by_key[lead.key]

    @staticmethod
    def _index(lead: Wait, by_key: dict[str, dict[Wait, None]]) -> None:
        if lead.key is not None:
            by_key.setdefault(lead.key, {})[lead] = None
