"""The scheduler of a hub: it makes the polls, applies their results, and delivers the effects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any

from asyncpoll import events
from asyncpoll._affinity import LoopAffinity
from asyncpoll._errors import ClientClosed, Draining, Rejected, WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.waiting._decision import NEVER, Verdict, WaitCheckpoint
from asyncpoll.waiting._emission import Announcer, Counters, EndpointCounters
from asyncpoll.waiting._job_calls import RemoteCancels, Result, as_outcome, as_result, awaitable_of, remote_cancel_of
from asyncpoll.waiting._misses import drop_tracebacks, is_condemning
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.scheduler._batcher import Batcher
from asyncpoll.waiting.scheduler._dispatcher import Dispatcher, HubLimits
from asyncpoll.waiting.scheduler._pacing import Pacer
from asyncpoll.waiting.scheduler._targets import (
    Batch,
    Effects,
    SnapshotInterner,
    Step,
    Target,
    Wait,
    WaitRegistry,
    WaitSink,
    transport_of,
    waits_for,
)

_FEW = 1000  # with more waits than this, they keep no payloads of unfinished jobs
_log = logging.getLogger(__name__)


class Scheduler:
    """All waits of a hub, and the polls that are made for them.

    Args:
        counters: See below.
        limits: Of concurrency and rate.
        observers: Called with every event.
        learned: The schedule of the hub, if it is one that learns.

    Attributes:
        counters: Counts what happens.
        dispatcher: Starts the polls.
        registry: The jobs that are awaited.
        cancels: The remote cancels of abandoned jobs.
    """

    def __init__(
        self, counters: Counters, limits: HubLimits, *, observers: Sequence[events.Observer], learned: Learned | None
    ) -> None:
        context = copy_context()
        self._affinity = LoopAffinity("the hub", "use it inside its block: async with Hub() as hub")
        self.counters = counters
        self._announcer = Announcer(observers) if observers else None
        self.dispatcher = Dispatcher(self, limits, context)
        counters._targets = self.dispatcher.ready_and_in_flight  # noqa: SLF001  a hub's counters outlive its scheduler
        self._batcher = Batcher(self.dispatcher, context)
        self.registry = WaitRegistry()
        pacer = partial(Pacer, dispatcher=self.dispatcher, batcher=self._batcher, registry=self.registry)
        self._pacer = None if learned is None else pacer(learned, counters=counters, context=context)
        self._interner = SnapshotInterner()
        self.cancels = RemoteCancels(limits.concurrency)
        self._to_cancel: set[Wait] = set()  # jobs that some wait has asked to cancel, and for which others still wait
        self._nudged: set[Wait] = set()  # while in flight
        self._wanted: dict[Wait, float] = {}  # when each wait that shares a job wants its next poll
        self._is_draining = False
        self._time = asyncio.get_running_loop().time
        self._emptied = asyncio.Event()

    def check(self) -> None:
        """Check that the hub is open and used from its own event loop and process.

        Raises:
            ClientClosed: It is not.
        """
        self._affinity.check()

    def now(self) -> float:
        """Return the time on the event loop's clock."""
        return self.dispatcher.now()

    def enter(
        self,
        job: Any,
        policy: Policy,
        sink: WaitSink,
        now: float,
        *,
        extra: float = 0.0,
        checkpoint: WaitCheckpoint | None = None,
    ) -> Wait:
        """Begin a wait; a job that is awaited already is shared.

        Args:
            job: The job, or a bare coroutine function.
            policy: How it is to be done.
            sink: The recipient of its end.
            now: The time; the same object for many waits takes less memory.
            extra: Seconds by which the first poll is later than the policy says.
            checkpoint: The progress that an earlier process made with it.

        Raises:
            ClientClosed: The hub is closed, or belongs to another event loop or process.
            Draining: The hub is drained.
            TypeError: The job cannot be hashed.
            ValueError: This very object is being awaited for the same sink.
        """
        self.check()
        wait = Wait(policy, now, job, sink, checkpoint)
        if self._is_draining:
            raise wait.timed_out(now, "drained", Draining)
        remote_cancel_of(job, policy.on_abandon)
        primary = self.registry.enter(wait)
        if primary is not wait:
            self._join(primary, wait)
        try:
            if primary is wait:
                self._batcher.enter(wait, wait.first_poll(now, extra))
            self.counters.begin(job)
        except BaseException:  # such as when its endpoint cannot say which jobs it shares a call with
            self._detach(wait, abandoned=False)
            raise
        if sink.counted:
            self.counters.pending += 1
            self._endpoint(job).pending += 1
            if self._announcer is not None:
                wait.observe_in(self._announcer.begin(wait, sink.context, checkpoint))
        if primary is not wait:
            self._hasten_for(primary, wait, now)
        return wait

    def leave(self, wait: Wait) -> asyncio.Task[None] | None:
        """End a wait that its caller abandons, without an outcome; return the task that cancels the remote job."""
        if wait.sink is None:
            return None
        sink, cancel = self._detach(wait, abandoned=True)
        self._leave(wait, sink, asyncio.CancelledError(), self.now())
        return cancel

    def poll_now(self, wait: Wait) -> None:
        """Poll the job of *wait* now, unless it is being polled already."""
        target = self._batcher.target_of(self.registry.primary_of(wait))
        if not self.dispatcher.is_in_flight(target):
            self.dispatcher.hasten(target, self.now())

    async def drain(self, grace: float) -> None:
        """Begin no wait any more, and end those that are open after *grace* seconds."""
        self._is_draining = True
        if self.registry:
            self._emptied.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._emptied.wait()
        now = self.now()
        for wait in waits_for(self.registry):
            sink, _ = self._detach(wait, abandoned=True)
            self._refuse(wait, sink, wait.timed_out(now, "drained", Draining), now)
        await self.cancels.settle()

    def nudge(self, key: str) -> bool:
        """Poll the jobs with this key now; return whether there are any."""
        primaries = self.registry.with_key(key)
        for primary in primaries:
            self._nudge(primary)
        return bool(primaries)

    async def aclose(self) -> None:
        """End every wait that is left, cut every poll, and wait for the remote cancels. It may be called again."""
        if self._affinity.close():
            for wait in waits_for(self.registry):
                closed = ClientClosed("the hub was closed while the job was awaited; wait inside its block")
                self._end(wait, closed, self.now(), abandoned=True)
        await self.dispatcher.aclose()
        await self.cancels.settle()

    # one poll, in four steps

    async def poll(self, target: Target) -> None:
        """Poll *target* once."""
        if self._pacer is not None and self.dispatcher.has_rate:
            self._pacer.before_poll(target)
        result = await self._fetch(target)
        if hasattr(target.subject, "poll_for"):  # a job; its poll may have consisted of several calls
            self.dispatcher.count_further(target)
        effects = self._apply(target, result)
        self.dispatcher.finish(target, result, effects.due, effects.interval, confirm=effects.confirm)
        if not isinstance(result, BaseException):
            self._count_news(target, effects.steps)
        self._deliver(effects)
        if self._pacer is not None and self._pacer.learned.news:
            self._pacer.plan_anew()

    async def _fetch(self, target: Target) -> Any:
        """Ask about *target*; return what was seen, or the error that came instead, whatever it is."""
        counters = self.counters
        called_at = self._time()
        counters.in_flight += 1
        try:
            if isinstance(target, Batch):
                result: Any = await target.fetch()
            else:
                subject = target.subject  # as in `begin_fetch`, which every poll would have to enter
                poll_for = getattr(type(subject), "poll_for", None)
                fetched = subject() if poll_for is None else poll_for(subject, target)
                result = await (fetched if poll_for or hasattr(fetched, "__await__") else awaitable_of(fetched))
                result = result if isinstance(result, Snapshot) else as_result(result)
        except GeneratorExit:
            raise  # a coroutine that is closed must not go on; `fail` ends its waits
        except BaseException as error:  # noqa: BLE001  an error of any kind ends at most the waits for this target
            result = as_outcome(error)
        finally:
            counters.in_flight -= 1
        counters.polls += 1
        if isinstance(result, BaseException) and target.is_awaited:  # else it was cut: its last wait is over
            counters.count_miss(self._endpoint(target.subject), result)
        elif isinstance(result, Snapshot):
            counters.unknown += result.state is State.UNKNOWN
        seconds = self._time() - called_at
        self._endpoint(target.subject).seconds += seconds
        if self._announcer is not None and self._announcer.wants_calls:
            self._announcer.calls(target, seconds, result)
        return result

    def _count_news(self, target: Target, steps: Sequence[Step]) -> None:
        """Count a poll that was answered by what it brought to the waits that it was made for."""
        endpoint, changed = self._endpoint(target.subject), False
        for _, _, result, verdict, _ in steps:
            if isinstance(result, Snapshot):
                if verdict.over and result.state.is_terminal:
                    endpoint.ended += 1
                    return
                changed = changed or verdict.before is None or verdict.before.state is not result.state
        endpoint.changed += changed
        endpoint.same += not changed

    def _endpoint(self, subject: object) -> EndpointCounters:
        """Return the counters of the endpoint of a job; those under "" for a bare coroutine function."""
        name: str = getattr(getattr(subject, "endpoint", None), "name", "")
        counters = self.counters.by_endpoint.get(name)
        if counters is None:
            counters = self.counters.by_endpoint[name] = EndpointCounters()
        return counters

    def _apply(self, target: Target, result: Any) -> Effects:
        """Apply a result to every wait that it was made for, and detach those that are over."""
        now = self.dispatcher.now()
        steps: list[Step] = []
        if isinstance(result, Rejected) and self._concerns_all(target, result):
            return self._apply_refusal(target, result, now)
        if isinstance(target, Batch):
            due = self._apply_to_batch(target, result, steps, now)
        else:
            due = self._apply_to_job(target, result, steps, now)
            if due != NEVER and target in self._batcher.batches:  # it was split off for this poll
                self._batcher.rejoin(target, due)
                due = NEVER
        return Effects(now, steps, due, steps[0].verdict.interval if steps else 0.0)

    def _apply_to_job(
        self, primary: Wait, result: Result, steps: list[Step], now: float, delays: dict[object, float] | None = None
    ) -> float:
        """Apply a result to the waits of one job; return when the first of them wants the next poll.

        Waits that share a schedule share one jittered delay, too: the earliest of many would come earlier than any one
        is meant to. In *delays* they do so over the jobs of a batch; else over the waits of a job that have come
        equally far.
        """
        if delays is None and primary.others is None and primary.sink is not None:  # the only wait for its job
            due = self._apply_to_wait(primary, result, steps, now).due
        else:
            due, shared = NEVER, {} if delays is None else delays
            for number, wait in enumerate(primary.waits):
                stage = (id(wait.policy.schedule), wait.polls if delays is None else 0)
                verdict = self._apply_to_wait(wait, result, steps, now, shared.get(stage), teaches=number == 0)
                if not verdict.over:
                    due = min(due, verdict.due)
                    shared.setdefault(stage, verdict.interval)
                    if primary.others is not None:
                        self._wanted[wait] = verdict.due
        if due != NEVER and isinstance(result, Exception):
            drop_tracebacks(result)  # as many waits keep their last miss as there are, through a whole outage
        return due

    def _apply_to_wait(
        self,
        wait: Wait,
        result: Result,
        steps: list[Step],
        now: float,
        delay: float | None = None,
        *,
        teaches: bool = True,
    ) -> Verdict:
        sink: Any = wait.sink
        verdict = wait.apply(result, now, delay=delay, teaches=teaches)
        cancel = None
        if verdict.over:
            _, cancel = self._detach(wait, abandoned=isinstance(verdict.error, WaitTimeout))
        elif self.counters.pending > _FEW and isinstance(result, Snapshot):
            wait.shrink(self._interner)
        steps.append(Step(wait, sink, result, verdict, cancel))
        return verdict

    def _apply_to_batch(self, batch: Batch, result: Any, steps: list[Step], now: float) -> float:
        """Apply the answers of one call about many jobs; a job without an answer is asked about by itself."""
        asked, answers, joined = batch.finish(result)
        due = min((wanted for primary, wanted in joined.items() if primary.is_awaited), default=NEVER)
        delays: dict[object, float] = {}
        for primary in asked:
            answer = answers.get(primary.subject)
            if not primary.is_awaited:
                continue  # its waits left during the call
            if answer is None:
                self._batcher.split_off(primary, now)
            else:
                shown = answer if answer is result else as_result(answer)
                due = min(due, self._apply_to_job(primary, shown, steps, now, delays))
        return due if due == NEVER else min(due, batch.expires_at)

    def _concerns_all(self, target: Target, error: Rejected) -> bool:
        """Return whether a refusal concerns every job of the client, if there is one."""
        first_contact = self.dispatcher.is_first_contact(target)
        return transport_of(target) is not None and is_condemning(error, first_contact=first_contact)

    def _apply_refusal(self, target: Target, error: Exception, now: float) -> Effects:
        """Have a refusal that concerns every job of a client confirmed first, then detach all their waits."""
        if isinstance(target, Batch):
            target.finish(error)
        if not self.dispatcher.is_suspect(target):
            return Effects(now, [], now, confirm=True)
        transport = transport_of(target)
        waits = waits_for(primary for primary in self.registry if transport_of(primary) is transport)
        refused = [(wait, self._detach(wait, abandoned=False)[0]) for wait in waits]
        return Effects(now, [], refusal=error, refused=refused)

    def _deliver(self, effects: Effects) -> None:
        """Tell observers and recipients what happened, and repeat the nudges that came meanwhile."""
        for step in effects.steps:
            self._deliver_step(step, effects.now)
        if effects.refusal is not None:
            for wait, sink in effects.refused:
                self._refuse(wait, sink, effects.refusal, effects.now)
        if self._nudged:  # they came while their jobs were in flight
            nudged, self._nudged = self._nudged, set()
            for primary in nudged:
                self._nudge(primary)

    def _deliver_step(self, step: Step, now: float) -> None:
        wait, sink, result, verdict, cancel = step
        if self._announcer is not None:
            self._announcer.poll(wait, result, verdict, now)
        if verdict.over:
            self._conclude(wait, sink, verdict.error, cancel, now)
            return
        if sink.watching and isinstance(result, Snapshot):
            sink.saw(wait, result)
        if isinstance(result, Snapshot) and verdict.before is not None and verdict.before.state is not result.state:
            try:
                sink.changed(wait, now)
            except BaseException as error:  # noqa: BLE001  a journal that fails ends the wait that it cannot remember
                self._end(wait, error, now)

    # deadlines and accidents

    def expire(self, target: Target, now: float) -> None:
        """End the waits of *target* whose deadline has come."""
        in_flight = self.dispatcher.is_in_flight(target)
        for wait in waits_for(target.primaries):
            if wait.deadline <= now:
                try:
                    error: BaseException = wait.cut(now) if in_flight else wait.timed_out(now)
                except BaseException as problem:  # noqa: BLE001  the key of a job is made by its endpoint
                    error = as_outcome(problem)
                self._end(wait, error, now, abandoned=True)

    def fail(self, target: Target, error: BaseException) -> None:
        """Give up a poll that came to no end, and end its waits; one that never began is made again."""
        primaries = target.primaries
        if isinstance(target, Batch):
            target.finish(error)
        if not isinstance(error, asyncio.CancelledError):
            for wait in waits_for(primaries):
                self._end(wait, as_outcome(error), self.now())
        self.dispatcher.finish(target, error, self.now() if target.is_awaited else NEVER)

    # joining and leaving

    def _join(self, primary: Wait, wait: Wait) -> None:
        others = primary.others = primary.others or {}
        if wait.claim == primary.claim or wait.claim in others:
            raise ValueError("the same job object is in this run already; make another one to wait for it twice")
        others[wait.claim] = wait
        if primary.sink is not None:
            self._wanted.setdefault(primary, primary.due)

    def _hasten_for(self, primary: Wait, wait: Wait, now: float) -> None:
        """Poll a job no later than *wait*, which has joined the others, wants it."""
        try:
            due = wait.joining_poll(now)
        except BaseException as error:  # noqa: BLE001  its schedule may raise anything; it must end this wait only
            self._end(wait, as_outcome(error), now)
        else:
            self._wanted[wait] = due
            self._batcher.hasten(primary, due)

    def _slow_down(self, primary: Wait) -> None:
        """Poll a job that is idle when the waits that are left want it, now that another has left."""
        wanted = [self._wanted[wait] for wait in primary.waits if wait in self._wanted]
        if wanted and self._batcher.target_of(primary) is primary:
            self.dispatcher.postpone(primary, min(wanted))

    def _nudge(self, primary: Wait) -> None:
        target = self._batcher.target_of(primary)
        if self.dispatcher.is_in_flight(target):  # its answer may be older than the reason for the nudge
            self._nudged.add(primary)
        else:
            self.dispatcher.hasten(target, self.now())

    def _end(self, wait: Wait, error: BaseException, now: float, *, abandoned: bool = False) -> None:
        sink, cancel = self._detach(wait, abandoned=abandoned)
        self._conclude(wait, sink, error, cancel, now)

    def _detach(self, wait: Wait, *, abandoned: bool) -> tuple[WaitSink, asyncio.Task[None] | None]:
        """Take a wait that is over out of its job, and forget the job unless others wait for it.

        Returns:
            The recipient of the end, and the task that cancels the remote job: if some wait has asked for that, and
            the last one is abandoned, too.
        """
        sink: Any = wait.sink
        claim = wait.claim
        primary = self.registry.primary_of(wait)
        wait.sink = None
        if primary.others is not None:
            primary.others.pop(claim, None)
            if self._wanted.pop(wait, None) is not None:
                self._slow_down(primary)
        if abandoned and wait.policy.on_abandon == "cancel":
            self._to_cancel.add(primary)
        if primary.is_awaited:
            return sink, None
        self._forget(primary)
        if not self.registry:
            self._emptied.set()
        if primary not in self._to_cancel:
            return sink, None
        self._to_cancel.discard(primary)
        cancel = remote_cancel_of(wait.subject, "cancel") if abandoned else None
        return sink, None if cancel is None else self.cancels.start(cancel, sink.context.copy())

    def _forget(self, primary: Wait) -> None:
        self.registry.remove(primary)
        learning = primary.policy.learning
        if learning is not None and not self.registry:
            try:
                learning.settle()
            except BaseException:  # noqa: BLE001  whatever it is, it is the schedule's own
                _log.exception("the schedule %r failed to learn", learning)
        self._nudged.discard(primary)
        batch = self._batcher.forget(primary)
        self.dispatcher.remove(primary)
        if batch is not None:
            self.dispatcher.remove(batch)

    def _conclude(
        self, wait: Wait, sink: WaitSink, error: BaseException | None, cancel: asyncio.Task[None] | None, now: float
    ) -> None:
        if sink.counted:
            self.counters.count_end(self._endpoint(wait.subject), events.outcome_of(wait.last, error))
        self._leave(wait, sink, error, now)
        sink.ended(wait, error, now - wait.began, cancel)

    def _refuse(self, wait: Wait, sink: WaitSink, error: Exception, now: float) -> None:
        """End a wait that is detached because of something that concerns all: it has no outcome."""
        self._leave(wait, sink, error, now)
        sink.refused(error)

    def _leave(self, wait: Wait, sink: WaitSink, error: BaseException | None, now: float) -> None:
        """Count and report that a wait is not pending any more."""
        if sink.counted:
            self.counters.pending -= 1
            self._endpoint(wait.subject).pending -= 1
            if self._announcer is not None:
                self._announcer.end(wait, error, now)
