"""The targets of polls: a job, for every wait that shares it, or a batch of jobs that one call asks about."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextvars import Context
from itertools import islice
from typing import Any, NamedTuple, Protocol

from attrs import evolve

from asyncpoll._errors import Throttled
from asyncpoll._snapshot import Snapshot
from asyncpoll.waiting._decision import NEVER, Decision, Verdict, WaitCheckpoint
from asyncpoll.waiting._job_calls import PollMemory, Result, begin_fetch
from asyncpoll.waiting._misses import is_miss
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting.learning._learned import Learned

_MOST_INTERNED = 4096  # different snapshots
_SAMPLE = 200  # waits from which the time left is estimated


class WaitSink(Protocol):
    """The recipient of what happens to a wait: one caller, or a run over many jobs.

    Attributes:
        context: The caller's context variables; fetches made for its waits run in copies of it.
        watching: Whether it is shown what every poll sees.
        counted: Whether its waits are counted and told to observers.
    """

    context: Context
    watching: bool
    counted: bool

    def saw(self, wait: Wait, snapshot: Snapshot[Any]) -> None:
        """Accept what a poll saw; the wait goes on. Called only if it is `watching`."""
        ...

    def changed(self, wait: Wait, now: float) -> None:
        """Accept that *wait*, which goes on, has seen its job in another state than before."""
        ...

    def ended(self, wait: Wait, error: BaseException | None, waited: float, cancel: asyncio.Task[None] | None) -> None:
        """Accept the end of *wait* after *waited* seconds: its last snapshot is terminal, or *error* ended it.

        *cancel* is the task that cancels the remote job, where that was asked for.
        """
        ...

    def refused(self, error: Exception) -> None:
        """Accept the end of a wait whose client is refused: its job stays unfinished, and so do all of this client."""
        ...


class Wait(Decision):
    """One wait in a hub; the first one for its job is also the target that is polled for all of them.

    Attributes:
        due: The time of its timer: of the next poll or, once it is ready or in flight, of the first deadline.
        others: The further waits for the same job, by their claims; None while there were none.
        sink: The recipient of its end; None once it is over.
    """

    __slots__ = ("due", "others", "sink")

    subject: Any

    def __init__(
        self, policy: Policy, now: float, job: Any, sink: WaitSink, checkpoint: WaitCheckpoint | None = None
    ) -> None:
        super().__init__(policy, now, subject=job, checkpoint=checkpoint)
        self.due = NEVER
        self.others: dict[tuple[int, int], Wait] | None = None
        self.sink: WaitSink | None = sink

    @property
    def claim(self) -> tuple[int, int]:
        """A key that no two waits may share: this very object, awaited for this sink."""
        return id(self.subject), id(self.sink)

    @property
    def waits(self) -> tuple[Wait, ...]:
        """Every wait for this job that is not over, the oldest first."""
        first = () if self.sink is None else (self,)
        return first if self.others is None else (*first, *self.others.values())

    @property
    def is_awaited(self) -> bool:
        """Whether any wait for this job is not over."""
        return self.sink is not None or bool(self.others)

    @property
    def primaries(self) -> tuple[Wait, ...]:
        """The first wait of each job that a poll asks about: this one."""
        return (self,)

    asked = primaries

    @property
    def expires_at(self) -> float:
        """The first deadline of its waits; long past when none is left."""
        if self.others is None and self._rare.clocks is None:  # so it is for most, at each poll
            return -math.inf if self.sink is None else self.began + self.policy.total
        return min((wait.deadline for wait in self.waits), default=-math.inf)

    @property
    def context(self) -> Context:
        """The context to poll in for this wait, which is not over: its own where it is observed, or its caller's."""
        own = self._rare.context
        return self.sink.context if own is None else own  # type: ignore[union-attr]  # a wait that is not over has a sink

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds until the last deadline of all waits for this job; None if one has none."""
        latest = max((wait.deadline for wait in self.waits), default=now)
        return None if latest == math.inf else max(0.0, latest - now)

    def worth(self, learned: Learned, now: float) -> tuple[float, float] | None:
        """Return what a poll now is worth and what its call costs, in seconds, by this schedule; None if unknown."""
        if self.policy.learning is not learned:
            return None
        since, last = self.state_since, self.last
        lo = 0.0 if self.running_at is None else max(0.0, self.running_at - since)
        state = None if last is None else last.state.value
        return learned.worth(lo, max(lo, now - since), state=state, key=self.pacing_key)

    def shrink(self, interner: SnapshotInterner) -> None:
        """Keep no payload of what was last seen; the wait goes on."""
        self.last = seen = interner.intern(self.last)  # type: ignore[arg-type]  # something was
        memory = self.memory
        if memory is not None and memory.seen is not None and not memory.seen.state.is_terminal:
            memory.seen = seen

    def observe_in(self, context: Context) -> None:
        """Make polls in copies of this context, in which observers are told of the wait."""
        self._own_rare().context = context

    def begin_poll(self) -> Context:
        """Return the context to make a poll in: a copy of that of the oldest wait that is not over."""
        oldest = self if self.sink is not None else self.waits[0]
        return oldest.context.copy()


class WaitRegistry:
    """The first wait for each job, by job and by key.

    The index by key is made when it is first needed: most hubs never need it, and a million keys take long to write.
    """

    def __init__(self) -> None:
        self._by_job: dict[Any, Wait] = {}
        self._by_key: dict[str, dict[Wait, None]] | None = None

    def __len__(self) -> int:
        return len(self._by_job)

    def __iter__(self) -> Iterator[Wait]:
        return iter(tuple(self._by_job.values()))

    def enter(self, wait: Wait) -> Wait:
        """Register a wait; return the first one for its job, which it may be itself."""
        primary = self._by_job.setdefault(wait.subject, wait)
        if primary is wait and self._by_key is not None:
            self._index(wait, self._by_key)
        return primary

    def primary_of(self, wait: Wait) -> Wait:
        """Return the first wait for the job of *wait*, which is registered."""
        return self._by_job[wait.subject]

    def waits_of(self, sink: WaitSink) -> list[Wait]:
        """Return every wait of this sink that is not over."""
        return [wait for wait in waits_for(self) if wait.sink is sink]

    def sample(self, most: int) -> list[Wait]:
        """Return the first waits of some of the jobs: of those that came first, and of those that came last."""
        half = most // 2
        newest = list(islice(reversed(self._by_job.values()), half))
        return [*islice(self._by_job.values(), min(most - half, len(self._by_job) - len(newest))), *newest]

    def last_of(self, job: Any) -> tuple[Snapshot[Any], float] | None:
        """Return what was last seen of a job that is awaited, and when; None if nothing was."""
        primary = self._by_job.get(job)
        return None if primary is None else _last_seen(primary)

    def last_with_key(self, key: str) -> list[tuple[Snapshot[Any], float] | None]:
        """Return what `last_of` says of each job with this key."""
        return [_last_seen(primary) for primary in self.with_key(key)]

    def with_key(self, key: str) -> tuple[Wait, ...]:
        """Return the first wait for each job with this key; jobs of different clients may share one."""
        if self._by_key is None:
            self._by_key = {}
            for primary in self:
                self._index(primary, self._by_key)
        return tuple(self._by_key.get(key, ()))

    def remove(self, primary: Wait) -> None:
        """Remove a job for which no wait is left."""
        del self._by_job[primary.subject]
        if self._by_key is not None and primary.key is not None:
            same = self._by_key[primary.key]
            del same[primary]
            if not same:
                del self._by_key[primary.key]

    @staticmethod
    def _index(primary: Wait, by_key: dict[str, dict[Wait, None]]) -> None:
        if primary.key is not None:
            by_key.setdefault(primary.key, {})[primary] = None


def time_left(registry: WaitRegistry, now: float) -> float | None:
    """Return in how many seconds the jobs that are awaited should have ended; None if that is not known."""
    longest = 0.0
    for wait in registry.sample(_SAMPLE):
        learned, state = wait.policy.learning, None if wait.last is None else wait.last.state.value
        since = now - wait.state_since
        left = learned.time_left(since, state=state, key=wait.pacing_key) if isinstance(learned, Learned) else None
        if left is None:
            return None
        longest = max(longest, min(left, wait.deadline - now))
    return longest


def _last_seen(primary: Wait) -> tuple[Snapshot[Any], float] | None:
    seen = [
        (wait.last, wait.running_at) for wait in primary.waits if wait.last is not None and wait.running_at is not None
    ]
    return max(seen, key=lambda one: one[1], default=None)


class Batch:
    """Jobs that one call asks about. All of them are polled at the same times.

    Attributes:
        key: The key that its jobs share.
        subject: One of its jobs, for what they have in common.
        due: The time of its timer, as of a `Wait`.
        members: The first wait of each job, in the order in which they came.
        split_off: Jobs that are being asked about one by one, and will rejoin.
        asked: The members at the time of the call; empty between calls.
        joined_in_flight: Jobs that came during the call, and when they want to be polled; None between calls.
    """

    __slots__ = (
        "_context", "_failures", "asked", "due", "joined_in_flight", "key", "members", "split_off", "subject",
    )  # fmt: skip

    def __init__(self, key: Hashable, subject: Any, context: Context) -> None:
        self.key = key
        self.subject = subject
        self.due = NEVER
        self.members: dict[Wait, None] = {}
        self.split_off: set[Wait] = set()
        self.asked: tuple[Wait, ...] = ()
        self.joined_in_flight: dict[Wait, float] | None = None
        self._context = context
        self._failures = 0

    @property
    def size(self) -> int:
        """How many jobs it has, those split off included."""
        return len(self.members) + len(self.split_off)

    @property
    def is_awaited(self) -> bool:
        """Whether there are jobs to ask about."""
        return bool(self.members)

    @property
    def primaries(self) -> tuple[Wait, ...]:
        """The first wait of each job that a poll asks about."""
        return tuple(self.members)

    @property
    def expires_at(self) -> float:
        """The first deadline of all waits; long past when none is left."""
        return min((member.expires_at for member in self.members), default=-math.inf)

    @property
    def memory(self) -> PollMemory | None:
        """What the call keeps; None for a call about many jobs."""
        return self.asked[0].memory if len(self.asked) == 1 else None

    def begin_poll(self) -> Context:
        """Settle which jobs the call is about, and return the context to make it in: a copy of the hub's own.

        A call about one job is made in the context of its wait.
        """
        self.asked, self.joined_in_flight = tuple(self.members), {}
        return self.asked[0].begin_poll() if len(self.asked) == 1 else self._context.copy()

    async def fetch(self) -> dict[Any, Any]:
        """Ask about the jobs that are settled; return what was seen of each, as far as the answer tells."""
        jobs = [member.subject for member in self.asked]
        if len(jobs) == 1:  # its own call may bring the result, too
            return {jobs[0]: await begin_fetch(jobs[0], self.asked[0])}
        seen: dict[Any, Any] = await jobs[0].fetch_together(jobs)
        return seen

    def finish(self, result: Any) -> tuple[tuple[Wait, ...], Mapping[Any, Any], Mapping[Wait, float]]:
        """Record that the call has been made.

        Returns:
            The members at its time, the answer about each job, and the jobs that came meanwhile with their due times.
            A job without an answer is to be asked about by itself: after a call that failed for other reasons than
            a miss, and after two misses in a row, those are all.
        """
        asked, joined, self.asked, self.joined_in_flight = self.asked, self.joined_in_flight or {}, (), None
        if not isinstance(result, BaseException):
            self._failures = 0
            return asked, result, joined
        if len(asked) > 1 and not isinstance(result, Throttled):  # else single calls are not the cure
            self._failures += 1
            if self._failures > 1 or not is_miss(result, elapsed=0.0, not_found_grace=0.0):
                return asked, {}, joined
        return asked, {member.subject: result for member in asked}, joined


Target = Wait | Batch


def waits_for(primaries: Iterable[Wait]) -> list[Wait]:
    """Return every wait for some jobs that is not over."""
    return [wait for primary in primaries for wait in primary.waits]


def transport_of(target: Target) -> object:
    """Return the transport of the jobs of *target*; None for a bare coroutine function."""
    return getattr(target.subject, "transport", None)


class Step(NamedTuple):
    """The result of one poll, applied to one wait.

    Attributes:
        wait: The wait.
        sink: Its recipient.
        result: The snapshot, or the error that came instead.
        verdict: What follows.
        cancel: The task that cancels the remote job, if the wait was abandoned and that was asked for.
    """

    wait: Wait
    sink: WaitSink
    result: Result
    verdict: Verdict
    cancel: asyncio.Task[None] | None


class Effects(NamedTuple):
    """The consequences of one poll.

    Attributes:
        now: When the poll was over.
        steps: For each wait that it was made for.
        due: When to poll the target next; `NEVER` if it is not to be.
        interval: The seconds between its polls that its waits want; 0 if that is not known.
        confirm: Whether a refusal is to be confirmed by one more poll of the target.
        refusal: The refusal of a client, once it is confirmed.
        refused: The waits that end because of it, and their recipients.
    """

    now: float
    steps: list[Step]
    due: float = NEVER
    interval: float = 0.0
    confirm: bool = False
    refusal: Exception | None = None
    refused: Sequence[tuple[Wait, WaitSink]] = ()


class SnapshotInterner:
    """Keeps one snapshot without the payload for all that are otherwise equal, so that a million waits share a few."""

    def __init__(self) -> None:
        self._known: dict[Snapshot[Any], Snapshot[Any]] = {}

    def intern(self, snapshot: Snapshot[Any]) -> Snapshot[Any]:
        """Return the snapshot to keep of a job whose wait goes on."""
        if snapshot.value is not None:  # a partial result, which need not even be hashable
            return evolve(snapshot, raw=None)
        if len(self._known) >= _MOST_INTERNED:
            self._known.clear()
        kept = self._known.get(snapshot)
        if kept is None:
            kept = evolve(snapshot, raw=None)
            self._known[kept] = kept
        return kept
