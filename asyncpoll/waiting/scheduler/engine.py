"""What a poll in a hub does, and what follows from it for all who wait: coalescing, asking together, giving up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from typing import Any, cast

from asyncpoll import events
from asyncpoll._errors import ClientClosed, Rejected, WaitTimeout
from asyncpoll._schedule import Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll.waiting._counters import Counters
from asyncpoll.waiting._misses import condemns
from asyncpoll.waiting._past import Past
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting.learning.lesson import learn_from, learn_of_end
from asyncpoll.waiting.learning.market import Market
from asyncpoll.waiting.scheduler.agenda import NEVER
from asyncpoll.waiting.scheduler.groups import Groups
from asyncpoll.waiting.scheduler.home import Home
from asyncpoll.waiting.scheduler.in_flight import InFlight
from asyncpoll.waiting.scheduler.lane import Lane
from asyncpoll.waiting.scheduler.leads import Leads
from asyncpoll.waiting.scheduler.lean import Lean
from asyncpoll.waiting.scheduler.poller import Poller
from asyncpoll.waiting.scheduler.topics import Sink, Together, Topic, Wait, run_out
from asyncpoll.waiting.scheduler.witness import Witness


class Engine:
    """Every wait of a hub, and the poller that polls for them.

    Args:
        counters: What is counted in.
        concurrency: The most polls in flight.
        rate: The most polls a second; `math.inf` for any number.
        new_lane: Makes the lane for a transport that has none yet.
        observe: Called with every event, or None.
        market: Gives calls a price where they are scarce, or None.

    Attributes:
        home: Where it may be used.
    """

    def __init__(
        self,
        counters: Counters,
        *,
        concurrency: int,
        rate: float,
        new_lane: Callable[[], Lane[Topic]],
        observe: events.Observer | None,
        market: Market | None,
    ) -> None:
        self._counters = counters
        self._market = market
        self._witness = Witness(observe)
        self._poller: Poller[Topic] = Poller(
            poll=self._poll, expire=self._expire, concurrency=concurrency, rate=rate, new_lane=new_lane
        )
        self._in_flight = InFlight(self._expire_in_flight, counters)
        self._groups = Groups(self._poller)
        self._leads = Leads()
        self._lean = Lean()
        self._nudged: set[Wait] = set()  # while in flight
        self.home = Home()

    def now(self) -> float:
        """Return the time, for those at home.

        Raises:
            ClientClosed: The hub is closed, or belongs to another event loop or process.
        """
        self.home.check()
        return self._poller.now()

    def enter(
        self, job: Any, policy: Policy, sink: Sink, *, now: float, first: float, past: Past | None = None
    ) -> Wait:
        """Begin a wait at *now*, and poll *first* seconds later; a job that is awaited already is shared.

        Raises:
            TypeError: It is neither a job nor an async function, or cannot be hashed.
            ValueError: This very object is being awaited for the same sink.
        """
        if not callable(job):
            raise TypeError(f"a job or an async function is needed, not {type(job).__name__}")
        wait = Wait(policy, now, job, sink, past)
        _ = wait.key  # a job that cannot be named must not be polled first and fail at its end
        lead = self._leads.enter(wait)
        if lead is not wait:
            soon = policy.schedule.delay(Progress(1, 0.0))
            self._join(lead, wait, wait.first_poll(now, max(first, soon)))
        else:
            try:
                self._put(wait, wait.first_poll(now, first))
            except BaseException:  # its endpoint cannot say what it is to be asked about together with
                self._leads.remove(wait)
                raise
        self._counters.begin(job)
        return wait

    def leave(self, wait: Wait) -> None:
        """End a wait without an outcome. When it was the last one for its job, the job is not polled any more."""
        if wait.sink is not None:
            self._counters.pending -= 1
            self._take_out(wait, asyncio.CancelledError())

    def waits_of(self, sink: Sink) -> list[Wait]:
        """Return every wait of this sink that is not over."""
        return [wait for lead in self._leads for wait in lead.waits if wait.sink is sink]

    def nudge(self, key: str) -> bool:
        """Poll the jobs with this key now; return whether there are any that are awaited."""
        leads = self._leads.with_key(key)
        for lead in leads:
            self._nudge(lead)
        return bool(leads)

    async def aclose(self) -> None:
        """End every wait that is left, and cut every poll."""
        self.home.close()
        for lead in self._leads:
            for wait in lead.waits:
                self._end(wait, ClientClosed("the hub was closed while the job was awaited; wait inside its block"))
        await self._poller.aclose()

    async def _poll(self, topic: Topic) -> BaseException | None:
        """Poll *topic*, and put it on again unless nobody waits any more; return the error that came for an answer."""
        leads = topic.leads
        if not topic.awaited:  # they left between its turn and its start
            self._poller.release(topic)
            return asyncio.CancelledError()
        self._poller.drop(topic)  # who came in between is in time
        seen = await self._in_flight.ask(topic)
        confirmed = self._poller.release(topic)
        late = topic.landed() if isinstance(topic, Together) else {}
        if condemns(seen) and topic.lane.transport is not None:
            self._refused(topic, seen, confirmed=confirmed)
        elif isinstance(topic, Together):
            self._tell_together(topic, leads, seen)
        else:
            self._tell_all(topic, seen, None)
        self._catch_up(leads, late)
        if self._market is not None:
            self._market.look(self._poller.now(), self._poller.late, self._counters.pending, self._counters.polls)
        return seen if isinstance(seen, Exception) else None

    def _catch_up(self, leads: tuple[Wait, ...], late: Mapping[Wait, float]) -> None:
        """Make up for what came while a poll was in flight: nudges, and jobs that joined the group."""
        for lead, due in late.items():
            if lead.awaited:
                self._put(lead, min(due, lead.expires_at))
        for lead in self._nudged.intersection((*leads, *late)):
            self._nudged.remove(lead)
            self._nudge(lead)

    def _refused(self, topic: Topic, error: Rejected, *, confirmed: bool) -> None:
        """Take in a refusal that concerns every job of a client: have it confirmed first, then end all their waits."""
        if not confirmed:
            self._poller.hold(topic)
            return
        for lead in self._leads:
            if lead.lane == topic.lane:
                for wait in lead.waits:
                    self._counters.pending -= 1
                    self._take_out(wait, error).condemned(error)

    # what a poll means

    def _tell_together(self, group: Together, leads: tuple[Wait, ...], seen: Any) -> None:
        """Tell what one call said about many jobs; whom it said nothing about is asked about on his own."""
        delay: float | None = None
        answers = seen
        if group.fell_back(seen):
            answers = {}
        elif isinstance(seen, Exception):
            answers = {lead.subject: seen for lead in leads}
        for lead in leads:
            answer = answers.get(lead.subject)
            if answer is None:
                self._groups.part((lead,), self._poller.now())
            else:
                delay = self._tell_all(lead, answer, delay)

    def _tell_all(self, lead: Wait, seen: Any, delay: float | None) -> float | None:
        """Tell every wait for a job what was seen, and when to poll next; return the delay they now have in common."""
        now = self._poller.now()
        kept = self._lean.of(seen)
        due = NEVER
        for number, wait in enumerate(lead.waits):
            if number == 0:  # one of those that share a poll is enough to learn from
                learn_from(wait, seen, now)
            wanted = self._tell_one(wait, seen, kept, now, delay)
            if delay is None and wanted < NEVER:
                delay = wanted - now
            due = min(due, wanted)
        if lead.awaited:
            self._put(lead, min(due, lead.expires_at))
        return delay

    def _tell_one(self, wait: Wait, seen: Any, kept: Any, now: float, delay: float | None) -> float:
        """Tell one wait what was seen; return when it wants the next poll, which is never when it is over."""
        try:
            before = wait.last
            if not self._witness.take_in(wait, seen, kept, now):
                if before is not None and before.state is not cast("Snapshot[Any]", wait.last).state:
                    cast("Sink", wait.sink).changed(wait, now)
                return wait.next_poll(now, delay)
        except Exception as error:  # noqa: BLE001  it ends this wait and touches no other
            self._end(wait, error)
        else:
            self._end(wait, None)
        return NEVER

    # when to poll next

    def _nudge(self, lead: Wait) -> None:
        topic = self._topic(lead)
        if topic in self._in_flight:  # whose answer may be older than the reason for the nudge
            self._nudged.add(lead)
        else:
            self._poller.hasten(topic, self._poller.now())

    def _topic(self, lead: Wait) -> Topic:
        """Return what is polled to learn about a job: itself, or its group."""
        return self._groups.of(lead) or lead

    def _put(self, lead: Wait, due: float) -> None:
        """Have a job polled at *due*, or told that it was in vain, should that be when it expires."""
        key: Hashable = getattr(lead.subject, "group_key", None)
        if key is None:
            self._poller.put(lead, due)
        else:
            self._groups.put(key, lead, due)
            group = self._topic(lead)
            if group in self._in_flight:
                self._in_flight.renew(group)

    def _join(self, lead: Wait, wait: Wait, due: float) -> None:
        """Let one more wait share the polls of a job, the next of which is made at *due* at the latest."""
        lead.others = lead.others or {}
        if wait.claim == lead.claim or wait.claim in lead.others:
            raise ValueError("the same job object is in this run already; make another one to wait for it twice")
        lead.others[wait.claim] = wait
        topic = self._topic(lead)
        if topic in self._in_flight:
            self._in_flight.renew(topic)
        else:
            self._poller.hasten(topic, due)

    # the end of a wait

    def _expire(self, topic: Topic) -> None:
        """End the waits that ran out before *topic* was polled; it keeps its turn for those that did not."""
        now = self._poller.now()
        for wait in run_out(topic, now):
            self._end(wait, wait.timed_out(now))
        if topic.awaited:
            self._poller.put(topic, now)

    def _expire_in_flight(self, topic: Topic, deadline: float) -> None:
        """End the waits whose deadline has come with a poll in flight; the last one cuts it."""
        now = max(deadline, self._poller.now())
        for wait in run_out(topic, now):
            self._end(wait, wait.cut(now))
        if topic.awaited:
            self._in_flight.renew(topic)

    def _end(self, wait: Wait, error: Exception | None) -> None:
        """End a wait with its one outcome."""
        if isinstance(error, WaitTimeout):
            learn_of_end(wait, self._poller.now())
        self._counters.end(wait.last if error is None else None)
        self._take_out(wait, error).ended(wait, error, self._poller.now() - wait.began)

    def _take_out(self, wait: Wait, error: BaseException | None) -> Sink:
        """Take a wait that is over out of its job, and the job, unless others wait for it; return whom to tell."""
        sink, claim = wait.sink, wait.claim
        wait.sink = None
        lead = self._leads.lead_of(wait)
        if lead.others is not None:
            lead.others.pop(claim, None)
        if not lead.awaited:
            self._forget(lead)
        self._witness.end(wait, error, self._poller.now())
        return cast("Sink", sink)

    def _forget(self, lead: Wait) -> None:
        self._leads.remove(lead)
        if not self._leads and lead.learning is not None:
            lead.learning.settle()
        self._nudged.discard(lead)
        group = self._groups.forget(lead)
        for topic in (lead,) if group is None else (lead, group):
            self._poller.drop(topic)
            self._poller.release(topic)
            self._in_flight.cut(topic)
