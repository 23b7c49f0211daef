"""The engine of a hub: one agenda, one timer, and a bounded number of polls in flight.

It decides only when a poll may start. What a poll does, and what follows from it, is its owner's business.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

from asyncpoll.waiting.scheduler.agenda import NEVER, Agenda
from asyncpoll.waiting.scheduler.gate import Gate
from asyncpoll.waiting.scheduler.lane import Lane

_MOST_AT_ONCE = 1000  # topics that become due between two turns of the event loop
_MOST_LANES = 1000  # lanes that are kept although some of them may be at rest
_LATE = 0.05  # seconds that a timer may fire late without the polls falling behind their rate


class Topic(Protocol):
    """What can be polled.

    Attributes:
        due: When it is to be polled next, or is to be told that it was in vain; written by the poller.
        queued: Whether it is due and has not started; written by the poller.
    """

    due: float
    queued: bool

    @property
    def lane(self) -> Hashable:
        """What it shares a lane with: its transport."""
        ...

    @property
    def expires_at(self) -> float:
        """When it must be told that it waited in vain, should it not be in flight; `math.inf` for never."""
        ...


T = TypeVar("T", bound=Topic)


class Poller(Generic[T]):
    """Polls topics when they are due, as far as lanes, rates and the number in flight allow.

    Args:
        poll: Polls one topic, and puts it on again if need be. It raises nothing, and returns what it says about the
            server: None for an answer, or the error that came instead.
        expire: Called with a topic that was not polled before it expired. It is off then, unless it is put on again.
        concurrency: The most polls in flight.
        rate: The most polls a second.
        new_lane: Makes the lane for a transport that has none yet.
    """

    def __init__(
        self,
        *,
        poll: Callable[[T], Awaitable[BaseException | None]],
        expire: Callable[[T], None],
        concurrency: int,
        rate: float,
        new_lane: Callable[[], Lane[T]],
    ) -> None:
        self._poll = poll
        self._expire = expire
        self._concurrency = concurrency
        self._gate = Gate(rate)
        self._new_lane = new_lane
        self._agenda: Agenda[T] = Agenda()
        self._lanes: dict[Hashable, Lane[T]] = {}
        self._turns: dict[Hashable, Lane[T]] = {}  # the lanes in which something is ready, the next one first
        self._polls: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = NEVER
        self._rang_at = -math.inf

    def now(self) -> float:
        """Return the time: the event loop's, or what the last timer was set for, should it have fired a bit early.

        What is compared with a due time or a deadline must be compared with this. By the loop's own clock it might not
        have come yet, and might never come: a timer for the rest may be too short to move the clock.
        """
        return max(self._loop.time(), self._rang_at)

    def late(self) -> float:
        """Return by about how many seconds the polls that are due are late: what it takes to make them all."""
        return sum(len(lane.ready) for lane in self._turns.values()) / self._gate.rate

    def put(self, topic: T, due: float) -> None:
        """Have *topic* polled at *due*, or as soon after it as may be; what stands in the queue keeps its place.

        When it is due no sooner than it expires, it is not polled but told so.
        """
        if topic.queued and due > self.now():
            self._leave_queue(topic)
        self._put(topic, topic.expires_at if topic.queued else due)

    def hasten(self, topic: T, due: float) -> None:
        """Have *topic* polled at *due* at the latest, and told in time when it expires sooner than it did."""
        self.put(topic, self.now() if topic.queued else min(due, topic.due))

    def drop(self, topic: T) -> None:
        """Do not poll *topic* any more."""
        if topic.queued:
            self._leave_queue(topic)
        self._agenda.remove(topic)

    def hold(self, topic: T) -> None:
        """Poll *topic* again, and nothing else in its lane until `release`: what it saw concerns the whole lane."""
        lane = self._lane(topic.lane)
        lane.suspect = lane.suspect or topic
        self.put(topic, self.now())

    def release(self, topic: T) -> bool:
        """Let its lane go on, if it is held for *topic*; return whether it was."""
        lane = self._lanes.get(topic.lane)
        if lane is None or lane.suspect is not topic:
            return False
        lane.suspect = None
        self._set_timer(self.now())
        return True

    async def aclose(self) -> None:
        """Cut the polls in flight; nothing is polled any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = -math.inf  # no later timer is ever set
        for poll in self._polls:
            poll.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)

    def _lane(self, key: Hashable) -> Lane[T]:
        if key not in self._lanes:
            if len(self._lanes) >= _MOST_LANES:
                now = self.now()
                self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.is_at_rest(now)}
            self._lanes[key] = self._new_lane()
        return self._lanes[key]

    def _put(self, topic: T, due: float) -> None:
        self._agenda.put(topic, due)
        self._set_timer(due)

    def _leave_queue(self, topic: T) -> None:
        key = topic.lane
        lane = self._lanes[key]
        lane.ready.leave(topic)
        if not lane.ready:
            del self._turns[key]

    def _set_timer(self, due: float) -> None:
        """See to it that somebody looks at *due*, or before."""
        if due >= self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = max(due, self.now())
        self._timer = self._loop.call_at(self._timer_due, self._on_time, self._timer_due)

    def _on_time(self, due: float) -> None:
        self._timer, self._timer_due = None, NEVER
        self._rang_at = max(self._rang_at, due)
        now = self.now()
        self._queue_what_is_due(now)
        self._start_what_may(max(due, now - _LATE), now)
        self._set_timer(self._next_look())

    def _queue_what_is_due(self, now: float) -> None:
        for _ in range(_MOST_AT_ONCE):
            topic = self._agenda.pop(now)
            if topic is None:
                return
            if topic.expires_at <= now:
                self.drop(topic)
                self._expire(topic)
                continue
            if not topic.queued:
                lane = self._turns[topic.lane] = self._lane(topic.lane)
                lane.ready.append(topic)
            self._put(topic, topic.expires_at)

    def _start_what_may(self, at: float, now: float) -> None:
        while len(self._polls) < self._concurrency and (found := self._take(at, now)) is not None:
            poll = self._loop.create_task(self._run(*found))
            self._polls.add(poll)
            poll.add_done_callback(self._ended)

    def _take(self, at: float, now: float) -> tuple[T, Lane[T]] | None:
        """Take a topic that may start out of its lane; lanes take turns."""
        for key, lane in self._turns.items():
            if max(lane.opens_at, self._gate.opens_at) <= now:
                topic = lane.take()
                self._agenda.remove(topic)
                self._gate.start(at)
                lane.start(at)
                del self._turns[key]
                if lane.ready:
                    self._turns[key] = lane
                return topic, lane
        return None

    async def _run(self, topic: T, lane: Lane[T]) -> None:
        error: BaseException | None = asyncio.CancelledError()  # unless the poll comes to its end
        try:
            error = await self._poll(topic)
        finally:
            lane.finish(error, self.now())

    def _ended(self, poll: asyncio.Task[None]) -> None:
        self._polls.discard(poll)
        if self._turns:
            self._set_timer(self.now())

    def _next_look(self) -> float:
        """Return when there may be something to do: a topic becomes due, or one that is due may start."""
        if not self._turns or len(self._polls) >= self._concurrency:
            return self._agenda.next_due()
        start = max(min(lane.opens_at for lane in self._turns.values()), self._gate.opens_at)
        return min(self._agenda.next_due(), start)
