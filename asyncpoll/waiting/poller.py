"""The engine of a hub: one agenda, one timer, and a bounded number of workers that poll what is due.

It decides only when a poll may start. What a poll does, and what follows from it, is the topic's own business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

from asyncpoll.waiting.agenda import NEVER, Agenda
from asyncpoll.waiting.lane import Gate, Lane

TICK = 1e-6
"""Seconds by which a loop's timers may fire early; what is due within it is due."""

_MOST_AT_ONCE = 1000  # topics that become due between two looks at the event loop


class Topic(Protocol):
    """What can be polled.

    Attributes:
        due: When it is to be polled next, written by the agenda.
        queued: Whether it is due and has not started, written by the poller.
    """

    due: float
    queued: bool

    @property
    def lane(self) -> Hashable:
        """What it shares a lane with: its transport."""
        ...

    @property
    def expires_at(self) -> float:
        """When it must be told that it waited in vain, should it still be queued; `math.inf` for never."""
        ...


T = TypeVar("T", bound=Topic)


class Poller(Generic[T]):
    """Polls topics when they are due, as far as lanes, rates and the number in flight allow.

    Args:
        poll: Polls one topic; returns the error it failed with in passing, if any. It puts the topic on again itself.
        expire: Called with a topic whose deadline came while it was queued.
        concurrency: The most polls in flight.
        rate: The most polls a second.
        new_lane: Makes the lane for a transport that has none yet.
    """

    def __init__(
        self,
        *,
        poll: Callable[[T], Awaitable[Exception | None]],
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
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def put(self, topic: T, due: float) -> None:
        """Have *topic* polled at *due*, or as soon after it as may be."""
        topic.queued = False
        self._agenda.put(topic, due)
        self._arm(due)

    def park(self, topic: T) -> None:
        """Do not poll *topic* any more, but tell it when its deadline has come."""
        topic.queued = True
        self._agenda.put(topic, topic.expires_at)
        self._arm(topic.due)

    def drop(self, topic: T) -> None:
        """Do not poll *topic* any more."""
        topic.queued = False
        topic.due = NEVER

    def lane(self, key: Hashable) -> Lane[T]:
        """Return the lane for *key*."""
        if key not in self._lanes:
            self._lanes[key] = self._new_lane()
        return self._lanes[key]

    async def aclose(self) -> None:
        """Cut the polls in flight, and end every worker."""
        if self._timer is not None:
            self._timer.cancel()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _arm(self, due: float) -> None:
        """See to it that somebody looks at the agenda at *due*."""
        if due <= self._loop.time() + TICK:
            self._look()
            return
        if due == NEVER:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._look()

    def _look(self) -> None:
        if self._idle:
            self._idle.pop().set_result(None)
        elif len(self._workers) < self._concurrency:
            worker = self._loop.create_task(self._work())
            self._workers.add(worker)
        # else every worker is busy, and each looks at the agenda before it rests

    async def _work(self) -> None:
        while True:
            now = self._loop.time() + TICK
            self._queue_what_is_due(now)
            found = self._take(now)
            if found is None:
                await self._rest(now)
                continue
            topic, lane = found
            self._arm(self._next_start(now))  # there may be more that can start
            error: Exception | None = None
            try:
                error = await self._poll(topic)
            finally:
                lane.finish(error, self._loop.time())

    async def _rest(self, now: float) -> None:
        self._arm(self._next_start(now))
        wake = self._loop.create_future()
        self._idle.append(wake)
        await wake

    def _queue_what_is_due(self, now: float) -> None:
        for _ in range(_MOST_AT_ONCE):
            if self._agenda.next_due() > now:
                return
            topic = self._agenda.pop()
            if topic.queued:
                self._expire(topic)
                continue
            topic.queued = True
            self.lane(topic.lane).ready.append(topic)
            self._agenda.put(topic, topic.expires_at)

    def _take(self, now: float) -> tuple[T, Lane[T]] | None:
        """Take a topic that may start, and its lane; lanes take turns."""
        for key, lane in self._lanes.items():
            while lane.ready and not lane.ready[0].queued:
                lane.ready.popleft()
            if lane.ready and max(lane.opens_at(now), self._gate.opens_at(now)) <= now:
                topic = lane.ready.popleft()
                self.drop(topic)
                self._gate.start(now)
                lane.start(now)
                self._lanes[key] = self._lanes.pop(key)
                return topic, lane
        return None

    def _next_start(self, now: float) -> float:
        """Return when there may be something to do: a topic becomes due, or one that is due may start."""
        starts = [lane.opens_at(now) for lane in self._lanes.values() if lane.ready]
        if not starts:
            return self._agenda.next_due()
        return min(self._agenda.next_due(), max(min(starts), self._gate.opens_at(now)))
