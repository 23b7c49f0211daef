"""What a poll in a hub does, and what follows from it for all who wait: coalescing, asking together, giving up."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any

from attrs import evolve

from asyncpoll.errors import ClientClosed, Rejected, Throttled, TransportError
from asyncpoll.waiting import events
from asyncpoll.waiting.agenda import NEVER
from asyncpoll.waiting.counters import Counters
from asyncpoll.waiting.decision import Policy
from asyncpoll.waiting.groups import Groups
from asyncpoll.waiting.lane import Lane
from asyncpoll.waiting.poller import TICK, Poller
from asyncpoll.waiting.snapshot import Snapshot
from asyncpoll.waiting.topics import Sink, Together, Topic, Wait

CONDEMNING = frozenset({"credential", "certificate", "tls", "unpaid", "login"})
"""Refusals that concern every job of a client; one is confirmed by one more poll, then all its waits end."""

_CUT = object()  # what a poll saw that the deadline cut
_MOST_LEAN = 4096


class Engine:
    """Every wait of a hub, by job, and the poller that polls for them."""

    def __init__(
        self,
        *,
        concurrency: int,
        rate: float,
        new_lane: Callable[[], Lane[Topic]],
        soon: float,
        observe: events.Observer | None,
    ) -> None:
        self.counters = Counters()
        self._now = asyncio.get_running_loop().time
        self._poller: Poller[Topic] = Poller(
            poll=self.poll, expire=self.expire, concurrency=concurrency, rate=rate, new_lane=new_lane
        )
        self._soon = soon
        self._observe = observe
        self._leads: dict[Any, Wait] = {}
        self._groups = Groups(self._poller)
        self._lean: dict[Snapshot[Any], Snapshot[Any]] = {}
        self._by_key: dict[str, Any] | None = None

    def enter(self, job: Any, policy: Policy, sink: Sink, *, first: float) -> Wait:
        """Begin a wait whose first poll is due *first* seconds from now; a job that is awaited already is shared.

        Raises:
            TypeError: It is neither a job nor an async function.
            ValueError: This very object is being awaited by the same run.
        """
        if not callable(job):
            raise TypeError(f"a job or an async function is needed, not {type(job).__name__}")
        now = self._now()
        wait = Wait(policy, now, job, sink)
        due = wait.first_poll(first)
        lead = self._leads.get(job)
        if lead is None:
            self._leads[job] = wait
            if self._by_key is not None:
                self._by_key[wait.key or ""] = job
            self._put(wait, due)
        else:
            self._join(lead, wait, now + self._soon)
        self.counters.begin(job)
        return wait

    def leave(self, wait: Wait) -> None:
        """End a wait without an outcome. When it was the last one for its job, the job is not polled any more."""
        if wait.sink is None:
            return
        wait.sink = None
        self.counters.pending -= 1
        lead = self._leads.get(wait.subject)
        if lead is not None and not lead.waits:
            self._forget(lead)

    def waits(self) -> list[Wait]:
        """Return every wait that is not over."""
        return [wait for lead in self._leads.values() for wait in lead.waits]

    def nudge(self, key: str) -> bool:
        """Poll the job with this key now; return whether it is awaited."""
        if self._by_key is None:  # made by the first nudge: without one, a million keys need not be written
            self._by_key = {lead.key or "": job for job, lead in self._leads.items()}
        lead = self._leads.get(self._by_key.get(key))
        if lead is None:
            return False
        group = self._groups.of(lead)
        if group is not None:
            self._poller.put(group, self._now())
        elif lead.due != NEVER or lead.queued:  # else it is being polled this very moment
            self._poller.put(lead, self._now())
        return True

    async def poll(self, topic: Topic) -> Exception | None:
        """Poll *topic* and put it on again, unless nobody waits any more; return the error of a poll that failed."""
        self.counters.in_flight += 1
        try:
            return await (self._poll_one(topic) if isinstance(topic, Wait) else self._poll_together(topic))
        finally:
            self.counters.in_flight -= 1

    def expire(self, topic: Topic) -> None:
        """End the waits that ran out while *topic* stood in the queue."""
        now = self._now()
        for lead in (topic,) if isinstance(topic, Wait) else tuple(topic.members):
            for wait in lead.waits:
                if wait.deadline <= now + TICK:
                    self._end(wait, wait.timed_out(now))
            self._settle(lead, [now] if lead.waits else [])

    async def aclose(self) -> None:
        """Cut every poll, and end every wait that is left."""
        await self._poller.aclose()
        for wait in self.waits():
            self._end(wait, ClientClosed("the hub was closed while the job was awaited; wait inside its block"))

    async def _poll_one(self, lead: Wait) -> Exception | None:
        seen = await self._look(lead, lead.subject)
        self.counters.count(seen)
        self._absorb(lead, seen, None)
        return seen if isinstance(seen, Exception) else None

    async def _poll_together(self, group: Together) -> Exception | None:
        if not group.members:
            return None
        jobs = {member.subject: member for member in group.members}
        seen = await self._look(group, lambda: next(iter(jobs)).fetch_together(list(jobs)))
        self.counters.count(seen)
        failed = isinstance(seen, Exception)
        group.failures = group.failures + 1 if failed else 0
        alone = failed and not isinstance(seen, Throttled) and (group.failures > 1 or not _passing(seen))
        if alone:
            self._groups.part(group.members, self._now())
            return None
        delay: float | None = None
        for job, member in jobs.items():
            answer = seen if failed or seen is _CUT else seen.get(job)
            if answer is None:
                self._groups.part((member,), self._now())
            else:
                delay = self._absorb(member, answer, delay)
        return seen if failed else None

    async def _look(self, topic: Topic, fetch: Callable[[], Awaitable[Any]]) -> Any:
        """Return what a poll sees or the error it fails with; a refusal that concerns all jobs is confirmed once."""
        seen = await self._ask(topic, fetch)
        if not (isinstance(seen, Rejected) and seen.kind in CONDEMNING):
            return seen
        lane = self._poller.lane(topic.lane)
        if lane.held:  # another poll is confirming it; this one is made again, if it comes to that
            return _CUT
        lane.held = True
        try:
            seen = await self._ask(topic, fetch)
        finally:
            lane.held = False
        if isinstance(seen, Rejected) and seen.kind in CONDEMNING:
            self._condemn(topic.lane, seen)
        return seen

    async def _ask(self, topic: Topic, fetch: Callable[[], Awaitable[Any]]) -> Any:
        deadline = topic.expires_at
        cut = asyncio.timeout_at(None if deadline == math.inf else deadline)
        try:
            async with cut:
                return await fetch()
        except Exception as error:  # noqa: BLE001  each wait decides what it means
            return _CUT if cut.expired() else error

    def _absorb(self, lead: Wait, seen: Any, delay: float | None) -> float | None:
        """Tell every wait for a job what was seen, and when to poll next; return the delay they now have in common."""
        now = self._now()
        unfinished = isinstance(seen, Snapshot) and not seen.state.is_terminal
        lean = self._without_payload(seen) if unfinished else seen
        dues: list[float] = []
        for wait in lead.waits:
            due = self._feed(wait, lean, seen, now, delay)
            if due is not None:
                dues.append(due)
                delay = due - now if delay is None else delay
        self._settle(lead, dues)
        return delay

    def _feed(self, wait: Wait, lean: Any, seen: Any, now: float, delay: float | None) -> float | None:
        """Tell one wait what was seen; return when it wants the next poll, or None when it is over."""
        if seen is _CUT:
            if wait.deadline > now + TICK:
                return now  # the deadline of another wait cut the poll
            self._end(wait, wait.cut(now))
            return None
        try:
            if not self._over(wait, lean, seen, now):
                return wait.next_poll(now, delay)
        except Exception as error:  # noqa: BLE001  it ends this wait and touches no other
            self._end(wait, error)
        else:
            self._end(wait, None)
        return None

    def _over(self, wait: Wait, lean: Any, seen: Any, now: float) -> bool:
        if isinstance(seen, Exception):
            wait.missed(seen, now)
            self._tell(events.after_miss(wait, seen, now))
            return False
        before, over = wait.last, wait.saw(lean, now)
        self._tell(events.after_poll(wait, before, seen, now))
        return over

    def _settle(self, lead: Wait, dues: list[float]) -> None:
        """Put a job on again that somebody still waits for."""
        if not dues:
            self._forget(lead)
            return
        if lead.sink is None:  # the first wait is over; the next one takes its place
            self._groups.forget(lead)
            lead, *others = lead.waits
            lead.others = others or None
            self._leads.pop(lead.subject, None)
            self._leads[lead.subject] = lead
        self._put(lead, min(dues))

    def _put(self, lead: Wait, due: float) -> None:
        key: Hashable = getattr(lead.subject, "group_key", None)
        if key is not None:
            self._groups.put(key, lead, due)
        elif due == NEVER:  # parked by the server until after the deadline: there it ends, unpolled
            self._poller.park(lead)
        else:
            self._poller.put(lead, due)

    def _join(self, lead: Wait, wait: Wait, soon: float) -> None:
        if any(other.subject is wait.subject and other.sink is wait.sink for other in lead.waits):
            raise ValueError("the same job object is in this run already; make another one to wait for it twice")
        lead.others = [*(lead.others or ()), wait]
        if soon < lead.due < NEVER and not lead.queued:
            self._poller.put(lead, soon)

    def _forget(self, lead: Wait) -> None:
        self._poller.drop(lead)
        self._groups.forget(lead)
        if self._leads.get(lead.subject) is lead:
            del self._leads[lead.subject]

    def _condemn(self, lane: Hashable, error: Rejected) -> None:
        """End every wait that uses a credential which the server refuses."""
        for lead in [lead for lead in self._leads.values() if lead.lane == lane]:
            for wait in lead.waits:
                sink = wait.sink
                self.leave(wait)
                sink.condemned(error)

    def _end(self, wait: Wait, error: Exception | None) -> None:
        sink, wait.sink = wait.sink, None
        self.counters.end(wait.last if error is None else None)
        self._tell(events.at_end(wait, error, self._now()))
        sink.ended(wait, error, self._now() - wait.began)

    def _without_payload(self, snapshot: Snapshot[Any]) -> Snapshot[Any]:
        """Return what a million waits can keep of a look at an unfinished job: one value for all that look alike."""
        if len(self._lean) >= _MOST_LEAN:
            self._lean.clear()
        lean = self._lean.get(snapshot)
        if lean is None:
            lean = self._lean[snapshot] = evolve(snapshot, raw=None)
        return lean

    def _tell(self, happened: Iterable[events.Event]) -> None:
        if self._observe is not None:
            for event in happened:
                events.tell(self._observe, event)


def _passing(error: object) -> bool:
    return isinstance(error, OSError) or (isinstance(error, TransportError) and error.passing)
