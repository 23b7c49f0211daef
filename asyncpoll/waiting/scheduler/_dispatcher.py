"""The start of polls: one queue of timers, one timer of the event loop, a bounded number of polls in flight.

The dispatcher only decides when; how a poll is made and what follows from it is the scheduler's business.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Protocol
from weakref import WeakValueDictionary

from attrs import frozen

from asyncpoll.waiting._decision import NEVER, OVERSLEPT
from asyncpoll.waiting._policy import pace_of
from asyncpoll.waiting.scheduler._lane import AdaptiveRateLimiter, Lane
from asyncpoll.waiting.scheduler._targets import Target, Wait, WaitSink
from asyncpoll.waiting.scheduler._timer_queue import TimerQueue

_MOST_AT_ONCE = 1000  # targets that become due between two turns of the event loop
_MOST_LANES = 1000  # lanes that are kept although some of them may be at rest
_LATE = 0.05  # seconds that a timer may fire late without the polls falling behind their rate
PAUSE = 2.0
"""Seconds after which a target that is due while it is paused is looked at again."""

_NEWCOMERS = 50  # of so many slots one is kept for a client that has not asked for any yet


@frozen
class HubLimits:
    """The limits of a hub.

    Attributes:
        concurrency: The most polls in flight.
        rate: The most polls a second; `math.inf` for any number, 0 while all polls are paused.
        lane_concurrency: The most polls in flight towards one client; None for a fair share.
        lane_rate: The most polls a second towards one client.
    """

    concurrency: int
    rate: float
    lane_concurrency: int | None
    lane_rate: float


class Polls(Protocol):
    """The owner of a dispatcher: it makes the polls."""

    def poll(self, target: Target) -> Coroutine[Any, Any, None]:
        """Poll *target*, and call `Dispatcher.finish` once."""
        ...

    def expire(self, target: Target, now: float) -> None:
        """End the waits of *target* whose deadline has come."""
        ...

    def fail(self, target: Target, error: BaseException) -> None:
        """Give up a poll of *target*: it was cancelled before its first step, or raised an error that it should not."""
        ...


class Dispatcher:
    """Starts the polls of targets when they are due, as far as lanes, rates and the number in flight allow.

    A target is *idle* until it is due, then *ready* until its lane lets it start, then *in flight* until `finish`.

    Args:
        polls: Makes the polls.
        limits: The limits of the hub.
        context: The context variables in which timers run.

    Attributes:
        has_rate: Whether there is a limit of polls a second, and they are not paused.
        is_eager: Whether the target that is due next is polled early when there are calls to spare.
    """

    def __init__(self, polls: Polls, limits: HubLimits, context: Context) -> None:
        self._polls = polls
        self._limits = limits
        self._context = context
        self._limiter = AdaptiveRateLimiter(limits.rate)
        self._queue: TimerQueue[Target] = TimerQueue()
        self._lanes: dict[int, Lane[Target]] = {}  # by the identity of the transport, which the lane keeps alive
        self._waiting: dict[int, Lane[Target]] = {}  # those in which a target is ready, the next one to start first
        self._answered: WeakValueDictionary[int, Any] = WeakValueDictionary()  # transports of lanes that were forgotten
        self._in_flight: dict[Target, Lane[Target]] = {}
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._fired_at = -math.inf
        self._paused: set[WaitSink] = set()
        self._expiring: Target | None = None  # an idle target whose timer has fired, while its waits are ended
        self.is_eager = False
        self.has_rate = 0 < limits.rate < math.inf

    def now(self) -> float:
        """Return the time: the event loop's, or that of the last timer, should it have fired a bit early.

        A due time or a deadline must be compared with this. By the loop's own clock it might not have come yet, and
        might never come: a timer for the rest may be too short to move the clock.
        """
        now = self._loop.time()
        return max(self._fired_at, now)

    def overdue(self) -> float:
        """Return by about how many seconds polls are late: the time that it takes to start all that are ready."""
        return sum(len(lane.ready) for lane in self._waiting.values()) / self._limiter.rate

    def ready_and_in_flight(self) -> tuple[list[Target], list[Target]]:
        """Return the targets that are due and have not started, and those that are being polled.

        It may be called from another thread, such as that of a metrics exporter.
        """
        ready = [lane.ready.copy() for lane in self._waiting.copy().values()]
        return [target for targets in ready for target in targets], list(self._in_flight.copy())

    @property
    def rate(self) -> float:
        """The most polls a second: `math.inf` for any number, 0 while polls are paused."""
        return self._limits.rate

    def set_limits(self, limits: HubLimits) -> None:
        """Change the limits; lanes that exist keep their own."""
        now = self.now()
        if limits.rate != self.rate:
            self._limiter.change(limits.rate, now)
            self.is_eager = self.is_eager and limits.rate < math.inf
        self._limits = limits
        self.has_rate = 0 < limits.rate < math.inf
        self._set_timer(now)

    # targets

    def schedule(self, target: Target, due: float) -> None:
        """Poll *target*, which is idle, at *due* or as soon after it as limits allow."""
        if target.due == NEVER:
            lane, pace = self._lane_of(target), pace_of(target.subject)
            lane.targets += 1
            if pace is not None and pace.per_second is not None:
                lane.limit(target, pace.per_second)
        self._set(target, min(due, target.expires_at))

    def hasten(self, target: Target, due: float) -> None:
        """Poll *target* at *due* at the latest. Call it also when its waits have changed, for its first deadline."""
        if self._is_busy(target):
            self._set(target, target.expires_at)
        else:
            self.schedule(target, min(due, target.due))

    def postpone(self, target: Target, due: float) -> None:
        """Poll *target* at *due*, unless its turn has come already; its first deadline may have changed, too."""
        if self._is_busy(target):
            self._set(target, target.expires_at)
        elif target.due > self.now():
            self._set(target, min(due, target.expires_at))

    def remove(self, target: Target) -> None:
        """Do not poll *target* any more; cut its poll, if that is in flight."""
        lane = self._lane_of(target)
        if lane.suspect is target:
            self._release(lane)
        if target in self._in_flight:
            task = self._tasks.get(target)
            if task is not None and task is not asyncio.current_task():  # else it is past its fetch
                task.cancel()
        elif target in lane.ready:
            del lane.ready[target]
            if not lane.ready:
                del self._waiting[id(lane.transport)]
            self._drop_target(lane)
        elif target.due != NEVER or target is self._expiring:
            self._drop_target(lane)
        self._queue.remove(target)
        if self._waiting:  # there may be a slot for another lane now
            self._set_timer(self.now())

    def pause(self, sink: WaitSink) -> None:
        """Start no polls of targets that only this sink, and others that are paused, wait for. Deadlines hold."""
        self._paused.add(sink)
        now = self.now()
        for key, lane in list(self._waiting.items()):
            for target in [target for target in lane.ready if self._is_paused(target)]:
                del lane.ready[target]
                self._put_off(target, now)
            if not lane.ready:
                del self._waiting[key]

    def resume(self, sink: WaitSink) -> None:
        """Poll the targets of this sink again, each within `PAUSE` seconds."""
        self._paused.discard(sink)

    def is_in_flight(self, target: Target) -> bool:
        """Return whether *target* is being polled."""
        return target in self._in_flight

    def is_suspect(self, target: Target) -> bool:
        """Return whether *target* is polled to confirm that the credential of its client is refused."""
        return self._lane_of(target).suspect is target

    def is_first_contact(self, target: Target) -> bool:
        """Return whether the client of *target* has not had an answer of its API yet."""
        lane = self._lane_of(target)
        return not lane.has_answered and self._answered.get(id(lane.transport)) is not lane.transport

    def count_further(self, target: Target) -> None:
        """Count the further calls of the poll of *target* as polls, so that the rates hold on average."""
        memory = target.memory
        if memory is None or not memory.calls:
            return
        now, limiters = self.now(), self._in_flight[target].limiters_of(target)
        if 0 < self._limits.rate < math.inf:
            limiters.append(self._limiter)
        for limiter in limiters:
            for _ in memory.calls:
                limiter.start(now)

    def finish(
        self, target: Target, result: object, due: float, interval: float = 0.0, *, confirm: bool = False
    ) -> None:
        """Record that the poll of *target* is over.

        Args:
            target: The target.
            result: The result of the poll, for the lane: a snapshot, or the error that came instead.
            due: When to poll it next, no later than its first deadline; `NEVER` if it is not to be polled.
            interval: The seconds between its polls that its waits want; 0 if that is not known.
            confirm: Whether to poll it again before anything else in its lane, to confirm a refusal.
        """
        now = self.now()
        lane = self._in_flight.pop(target)
        lane.finish(result, now, interval)
        if confirm:
            lane.suspect = lane.suspect or target
        elif lane.suspect is target:
            self._release(lane)
        if due != NEVER:
            self._set(target, due)
        else:
            self._queue.remove(target)
            self._drop_target(lane)
        if self._waiting:
            self._set_timer(now)

    async def aclose(self) -> None:
        """Cut the polls in flight, and start no others."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = -math.inf  # no later timer is ever set
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _set(self, target: Target, due: float) -> None:
        self._queue.put(target, due)
        if self.is_eager:
            self._set_timer(self._next_look())
        elif due < self._timer_at:
            self._set_timer(due)

    def _release(self, lane: Lane[Target]) -> None:
        lane.suspect = None
        self._set_timer(self.now())

    # lanes

    def _lane_of(self, target: Target) -> Lane[Target]:
        transport = getattr(target.subject, "transport", None)  # spelled out: it is needed several times for each poll
        lane = self._lanes.get(id(transport))
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                now = self.now()
                self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.is_at_rest(now)}
            most = self._limits.lane_concurrency
            lane = Lane(transport, concurrency=math.inf if most is None else most, rate=self._limits.lane_rate)
            self._lanes[id(transport)] = lane
        return lane

    def _drop_target(self, lane: Lane[Target]) -> None:
        """Record that a target of this lane is not to be polled any more; forget a lane that has nothing to tell."""
        lane.targets -= 1
        if lane.is_at_rest(self.now()):
            if lane.has_answered:
                with suppress(TypeError):  # not every transport of a user's own can be referred to weakly
                    self._answered[id(lane.transport)] = lane.transport
            self._lanes.pop(id(lane.transport), None)

    def _is_busy(self, target: Target) -> bool:
        """Return whether *target* is ready or in flight: its timer stands at its first deadline."""
        return target in self._in_flight or target in self._lane_of(target).ready

    def _has_slot(self, lane: Lane[Target]) -> bool:
        """Return whether the lane may have one more of the hub's slots: within its fair share, or if others need none.

        A server that hangs must not take all slots while the jobs of others wait, or before they come.
        """
        concurrency = self._limits.concurrency
        spare = concurrency // _NEWCOMERS
        if self._limits.lane_concurrency is not None:  # the caller has shared them out
            return True
        if lane.in_flight * len(self._lanes) < concurrency - spare:  # the least that a share can be
            return True
        lanes = [other for other in self._lanes.values() if other.targets]
        share = max(1, (concurrency - spare) // len(lanes))
        if lane.in_flight < share:
            return True
        reserved = sum(max(0, min(other.targets, share) - other.in_flight) for other in lanes if other is not lane)
        return concurrency - len(self._in_flight) > reserved + spare

    # time

    def _set_timer(self, due: float) -> None:
        """Call `_on_timer` at *due*, or before."""
        if due >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due = max(due, self.now())
        self._timer = self._loop.call_at(due, self._on_timer, due, context=self._context)

    def _on_timer(self, due: float) -> None:
        self._timer, self._timer_at = None, -math.inf  # whatever happens here, one timer is set at the end
        self._fired_at = max(self._fired_at, due)
        now = self.now()
        try:
            for target in self._queue.pop_due(now, _MOST_AT_ONCE):
                self._on_due(target, now)
            if now - due > OVERSLEPT:
                for lane in self._waiting.values():
                    lane.spread_overdue(now)
            if self.is_eager:
                self._hasten_next(now)
            self._start_ready(max(due, now - _LATE), now)
        finally:
            self._timer_at = NEVER
            self._set_timer(self._next_look())

    def _on_due(self, target: Target, now: float) -> None:
        """Make an idle target ready; end the waits that have expired, whatever their target does."""
        lane = self._lane_of(target)
        is_idle = target not in self._in_flight and target not in lane.ready
        expires_at = target.expires_at
        if expires_at <= now:
            self._expiring = target if is_idle else None
            self._polls.expire(target, now)
            self._expiring = None
            if not target.is_awaited:
                return
            if target.due != NEVER:  # the waits that are left want it later
                return
            expires_at = target.expires_at
        if self._paused and is_idle and self._is_paused(target):
            self._put_off(target, now)
            return
        if is_idle:
            lane.ready[target] = None
            self._waiting[id(lane.transport)] = lane
        self._queue.put(target, expires_at)

    def _is_paused(self, target: Target) -> bool:
        return all(wait.sink in self._paused for primary in target.primaries for wait in primary.waits)

    def _put_off(self, target: Target, now: float) -> None:
        self._queue.put(target, min(target.expires_at, now + PAUSE))

    def _start_ready(self, at: float, now: float) -> None:
        limits = self._limits
        while (
            limits.rate > 0
            and self._waiting
            and len(self._in_flight) < limits.concurrency
            and self._limiter.opens_at <= now
        ):
            target = self._start_next(at, now)
            if target is None:
                return
            if limits.rate < math.inf:
                self._limiter.start(at)
            task = self._loop.create_task(self._polls.poll(target), context=target.begin_poll())
            self._tasks[target] = task
            task.add_done_callback(partial(self._on_done, target))

    def _start_next(self, at: float, now: float) -> Target | None:
        """Return the next target whose lane lets it start, in flight; lanes take turns."""
        for key, lane in self._waiting.items():
            if not self._has_slot(lane):
                continue
            target = lane.start_next(at, now)
            if target is not None:
                del self._waiting[key]
                if lane.ready:
                    self._waiting[key] = lane
                self._in_flight[target] = lane
                return target
        return None

    def _on_done(self, target: Target, task: asyncio.Task[None]) -> None:
        """Forget the task of a poll; its owner handles one that was cancelled before its first step, or that raised."""
        if self._tasks.get(target) is task:
            del self._tasks[target]
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._polls.fail(target, error)

    def _hasten_next(self, now: float) -> None:
        """Make the target ready that is due next, if it may be polled early and there is a call to spare."""
        wait, earliest = self._next_early()
        if wait is not None and earliest <= now:
            self._on_due(wait, now)

    def _next_early(self) -> tuple[Wait | None, float]:
        """Return the target that is due next, if it may be polled early, and when at the earliest."""
        wait = None if self._waiting else self._queue.head()
        if not isinstance(wait, Wait) or wait.others or self._is_busy(wait) or (self._paused and self._is_paused(wait)):
            return None, NEVER
        return wait, max(wait.earliest_poll(wait.due), self._limiter.opens_at)

    def _next_look(self) -> float:
        """Return when there may be something to do: a timer is due, or a target that is ready may start."""
        next_due = self._queue.next_due()
        if self.is_eager:
            next_due = min(next_due, self._next_early()[1])
        limits = self._limits
        if not self._waiting or len(self._in_flight) >= limits.concurrency or limits.rate == 0:
            return next_due
        opens_at = min(lane.opens_at if self._has_slot(lane) else NEVER for lane in self._waiting.values())
        return min(next_due, max(opens_at, self._limiter.opens_at))
