"""The hub: any number of waits, one scheduler. All in virtual time."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from asyncpoll import (
    ClientClosed,
    Endpoint,
    Exponential,
    Fixed,
    Group,
    Hub,
    Job,
    JobFailed,
    Outcome,
    Rejected,
    Snapshot,
    State,
    Throttled,
    Timeout,
    TransportError,
    WaitTimeout,
    as_completed,
    wait_all,
)
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, Script, run_virtual
from asyncpoll.waiting import events
from asyncpoll.waiting.decision import Policy
from asyncpoll.waiting.hub import _End
from asyncpoll.waiting.lane import Lane
from asyncpoll.waiting.topics import Wait

SECOND = Fixed(1.0)
PENDING, PROCESSING, SUCCESS, FAILED = State.PENDING, State.PROCESSING, State.SUCCESS, State.FAILED


def play(*steps: Any, latency: float = 0.0) -> Script[Any]:
    """Return a fetch that gives one step after the other, and the last one for ever."""
    return Script(list(steps), latency=latency)


def in_hub(work: Callable[[Hub], Awaitable[Any]], **options: Any) -> Any:
    """Run *work* with a hub that polls every second unless told otherwise, and see that nothing is left behind."""
    options.setdefault("schedule", SECOND)

    async def main() -> Any:
        async with Hub(**options) as hub:
            result = await work(hub)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return run_virtual(main())


def read(reply: Reply) -> Snapshot[str]:
    """Read an answer of the made-up API: a state, and a value once there is one."""
    return Snapshot(State(reply.json["state"]), reply.json["state"], reply.json.get("value"))


def ask(ref: Any) -> Request:
    """Ask the made-up API about one job."""
    return Request("GET", f"/jobs/{ref}", repeatable=True)


JOBS: Endpoint[Any, str] = Endpoint("made.up", ask=ask, read=read)


def jobs_of(
    answer: Callable[[Request], Any], refs: Sequence[Any], endpoint: Endpoint[Any, str] = JOBS, *, latency: float = 0.0
) -> list[Job[str]]:
    """Return jobs of one transport that answers with JSON, or raises what it is given."""

    def reply(request: Request) -> Reply:
        said = answer(request)
        if isinstance(said, Exception):
            raise said
        return Reply(200, said)

    transport = MemoryTransport(reply, latency=latency)
    return [endpoint.job(transport, ref) for ref in refs]


# one wait


def test_a_wait_ends_with_the_terminal_snapshot() -> None:
    """The first poll is made at once, the others on the hub's schedule."""
    script = play(PENDING, PROCESSING, SUCCESS)
    snapshot = in_hub(lambda hub: hub.wait(script, timeout=60))
    assert (snapshot.state, script.polled_at) == (SUCCESS, [0.0, 1.0, 2.0])


def test_a_result_is_unwrapped() -> None:
    """`result` gives the value, or raises what became of the job."""
    assert in_hub(lambda hub: hub.result(play(Snapshot(SUCCESS, value=7)), timeout=60)) == 7
    with pytest.raises(JobFailed):
        in_hub(lambda hub: hub.result(play(FAILED), timeout=60))


def test_a_wait_ends_at_its_deadline() -> None:
    """The last poll is made just before the deadline, and one in flight is cut."""
    script, hanging = play(PENDING), play(PENDING, latency=99.0)
    for fetch, at in ((script, 9.5), (hanging, 10.0)):
        with pytest.raises(WaitTimeout) as caught:
            in_hub(partial(Hub.wait, job=fetch, timeout=10))
        assert caught.value.waited == pytest.approx(at)
    assert script.polled_at[-1] == 9.5


def test_three_clocks() -> None:
    """Time in the queue does not spend the budget for processing."""
    script = play(*[PENDING] * 30, *[PROCESSING] * 9)
    with pytest.raises(WaitTimeout) as caught:
        in_hub(lambda hub: hub.wait(script, timeout=Timeout(processing=5.0)))
    assert caught.value.limit == "processing"
    assert caught.value.waited > 30


def test_the_interval_is_planned_anew_when_processing_begins() -> None:
    """After a long time in the queue a short job is not polled at the queue's pace."""
    script = play(PENDING, PENDING, PENDING, PROCESSING, PROCESSING, SUCCESS)
    schedule = Exponential(1.0, 60.0, jitter=None)
    in_hub(lambda hub: hub.wait(script, timeout=None), schedule=schedule)
    assert script.polled_at == [0.0, 1.0, 3.0, 7.0, 8.0, 10.0]


def test_an_error_that_is_no_miss_ends_the_wait() -> None:
    """A refusal is raised as it is, and what is no snapshot is a TypeError."""
    with pytest.raises(Rejected):
        in_hub(lambda hub: hub.wait(play(Rejected("no")), timeout=60))

    async def nothing() -> Any:
        return None

    with pytest.raises(TypeError, match="Snapshot"):
        in_hub(lambda hub: hub.wait(nothing, timeout=60))


def test_a_first_delay() -> None:
    """A wait may begin with a pause."""
    script = play(SUCCESS)
    in_hub(lambda hub: hub.wait(script, timeout=60, first_delay=5.0))
    assert script.polled_at == [5.0]


# many waits for one job


def test_one_job_awaited_by_many_is_polled_once() -> None:
    """Equal jobs share their polls, whichever objects they are."""
    words = iter(["pending", "pending", "success"])
    jobs = jobs_of(lambda _: {"state": next(words), "value": "x"}, ["a"] * 50)
    snapshots = in_hub(lambda hub: asyncio.gather(*(hub.wait(job, timeout=60) for job in jobs)))
    assert {snapshot.value for snapshot in snapshots} == {"x"}
    assert jobs[0].transport.requests == 3  # type: ignore[attr-defined]  # a MemoryTransport


def test_each_waiter_keeps_its_own_deadline() -> None:
    """One waiter running out of time leaves the others alone; the poll that its deadline cuts is made again."""
    script = play(*[PENDING] * 20, SUCCESS, latency=0.9)

    async def work(hub: Hub) -> Any:
        waits = (hub.wait(script, timeout=limit) for limit in (10.0, None, 20.0))
        return await asyncio.gather(*waits, return_exceptions=True)

    short, endless, longer = in_hub(work)
    assert isinstance(short, WaitTimeout)
    assert isinstance(longer, WaitTimeout)
    assert short.waited == pytest.approx(10, abs=1)
    assert longer.waited == pytest.approx(20, abs=1)
    assert endless.state is SUCCESS


def test_the_last_to_leave_ends_the_polling() -> None:
    """Waiters may leave, the first one too; when nobody waits nobody is asked."""
    script = play(PENDING)

    async def work(hub: Hub) -> int:
        tasks = [asyncio.create_task(hub.wait(script, timeout=None)) for _ in range(3)]
        await asyncio.sleep(2.5)
        tasks[0].cancel()
        await asyncio.sleep(2)
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.wait(tasks)
        polls = script.polls
        await asyncio.sleep(60)
        assert hub.counters.pending == 0
        return polls

    assert in_hub(work) == script.polls == 5


def test_a_late_waiter_hears_soon() -> None:
    """Whoever joins a wait that pauses for long need not wait for the end of the pause."""
    script = play(PENDING, SUCCESS)

    async def work(hub: Hub) -> None:
        first = asyncio.create_task(hub.wait(script, timeout=None, schedule=Fixed(600.0)))
        await asyncio.sleep(10)
        await hub.wait(script, timeout=None)
        await first

    in_hub(work)
    assert script.polled_at == [0.0, 11.0]


def test_nudge_polls_now() -> None:
    """A webhook need not wait for the schedule; a key that nobody awaits is said to be so."""
    words = iter(["pending", "success"])
    (job,) = jobs_of(lambda _: {"state": next(words)}, ["a"])

    async def work(hub: Hub) -> float:
        wait = asyncio.create_task(hub.wait(job, timeout=None))
        await asyncio.sleep(7)
        assert (hub.nudge(job.key), hub.nudge("nobody")) == (True, False)
        await wait
        assert not hub.nudge(job.key)
        again = asyncio.create_task(hub.wait(play(SUCCESS, latency=1), timeout=None))
        await asyncio.sleep(0.5)
        assert hub.nudge("") is True  # in flight this very moment: nothing to be done
        await again
        return asyncio.get_running_loop().time()

    assert in_hub(work, schedule=Fixed(600.0)) == 8.0


# many jobs


def test_outcomes_come_in_the_order_of_completion() -> None:
    """Every job has exactly one outcome, with what it took."""
    scripts = [play(*[PENDING] * number, SUCCESS) for number in (3, 0, 2)]

    async def work(hub: Hub) -> list[Outcome[Any]]:
        async with hub.as_completed(scripts, timeout=60) as outcomes:
            return [outcome async for outcome in outcomes]

    outcomes = in_hub(work)
    assert [scripts.index(outcome.job) for outcome in outcomes] == [1, 2, 0]
    assert [(outcome.polls, outcome.waited, outcome.succeeded) for outcome in outcomes] == [
        (1, 0.0, True),
        (3, 2.0, True),
        (4, 3.0, True),
    ]


def test_one_failure_touches_no_other() -> None:
    """Failures, errors and timeouts are outcomes among the others."""
    scripts = [play(FAILED), play(Rejected("no")), play(PENDING), play(Snapshot(SUCCESS, value=1))]
    failed, refused, late, done = run_virtual(wait_all(scripts, timeout=5, schedule=SECOND))
    with pytest.raises(JobFailed):
        failed.unwrap()
    with pytest.raises(Rejected):
        refused.unwrap()
    assert isinstance(late.error, WaitTimeout)
    assert (late.succeeded, done.unwrap()) == (False, 1)


async def some(scripts: Sequence[Any], *, then: Exception | None = None) -> AsyncIterator[Any]:
    """Give jobs one by one, then raise."""
    for script in scripts:
        await asyncio.sleep(0)
        yield script
    if then is not None:
        raise then


def test_jobs_are_taken_in_as_room_allows() -> None:
    """With `max_pending` no more is held than that, whatever the iterable holds."""
    taken = given = most = 0

    async def jobs() -> AsyncIterator[Any]:
        nonlocal taken, most
        for _ in range(9):
            taken += 1
            most = max(most, taken - given)
            yield play(PENDING, SUCCESS)

    async def main() -> None:
        nonlocal given
        async with as_completed(jobs(), timeout=60, max_pending=2) as outcomes:
            async for _ in outcomes:
                given += 1

    run_virtual(main())
    assert (given, most) == (9, 3)  # two are held, and a third is at the door


def test_an_iterable_that_raises_half_way() -> None:
    """What was taken in is finished, then the error is delivered."""
    ended: list[Any] = []

    async def keeping() -> None:
        jobs = some([play(PENDING, SUCCESS)], then=KeyError("half-way"))
        async with as_completed(jobs, timeout=60) as outcomes:
            async for outcome in outcomes:
                ended.append(outcome)  # noqa: PERF401  what came before the error is the point

    with pytest.raises(KeyError, match="half-way"):
        run_virtual(keeping())
    assert len(ended) == 1


@pytest.mark.parametrize(("until", "number"), [("first_success", 2), ("first_failure", 1), ("all", 3)])
def test_until(until: Any, number: int) -> None:
    """A run may stop at its first success or failure; what is stopped has neither snapshot nor error."""
    scripts = [play(PENDING, PENDING, SUCCESS), play(FAILED), play(PENDING, SUCCESS)]
    outcomes = run_virtual(wait_all(scripts, timeout=60, schedule=SECOND, until=until))
    ended = [outcome for outcome in outcomes if outcome.snapshot is not None]
    assert len(ended) == number
    if number < 3:
        with pytest.raises(ValueError, match="stopped"):
            outcomes[0].unwrap()


def test_leaving_early_stops_the_waits() -> None:
    """Leaving the block ends what is left, and nobody is asked any more."""
    scripts = [play(PENDING) for _ in range(5)]

    async def work(hub: Hub) -> None:
        async with hub.as_completed([*scripts, play(SUCCESS)], timeout=None) as outcomes:
            async for _ in outcomes:
                break
        assert hub.counters.pending == 0
        polls = [script.polls for script in scripts]
        await asyncio.sleep(60)
        assert [script.polls for script in scripts] == polls

    in_hub(work)


def test_jobs_that_come_together_do_not_stay_together() -> None:
    """As many as may be in flight are polled at once, the others over one interval."""
    scripts = [play(SUCCESS) for _ in range(1000)]
    chance = random.Random(1).random
    in_hub(lambda hub: hub.wait_all(scripts, timeout=None), concurrency=10, chance=chance, schedule=Fixed(100.0))
    first = sorted(script.polled_at[0] for script in scripts)
    assert first[9] == 0.0
    assert first[10] > 0.0
    assert max(sum(slot <= at < slot + 10 for at in first) for slot in range(0, 100, 10)) < 150


@pytest.mark.parametrize("limit", [1, 3])
def test_concurrency(limit: int) -> None:
    """No more polls are in flight than that, in the hub and in a lane."""
    for options in ({"concurrency": limit}, {"lane_concurrency": limit}):
        flying = most = 0

        async def fetch() -> Snapshot[None]:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(1)
            flying -= 1
            return Snapshot(SUCCESS)

        fetches = [lambda fetch=fetch, number=number: fetch() for number in range(10)]  # ten different functions
        in_hub(partial(Hub.wait_all, jobs=fetches, timeout=None), **options)
        assert most == limit


@pytest.mark.parametrize("options", [{"rate": 5.0}, {"lane_rate": 5.0}])
def test_rate(options: dict[str, float]) -> None:
    """Polls start one at a time at the rate, first come first served."""
    scripts = [play(SUCCESS) for _ in range(51)]
    in_hub(lambda hub: hub.wait_all(scripts, timeout=None), **options)
    starts = [script.polled_at[0] for script in scripts]
    assert starts == sorted(starts)
    assert starts[-1] == pytest.approx(10.0, rel=0.02)
    assert min(after - before for before, after in pairwise(starts)) > 0.199


def test_a_wait_in_the_queue_ends_at_its_own_deadline() -> None:
    """A poll that may not start yet does not keep a wait beyond its deadline."""
    scripts = [play(SUCCESS) for _ in range(20)]
    outcomes = in_hub(lambda hub: hub.wait_all(scripts, timeout=5.0), rate=1.0)
    late = [outcome for outcome in outcomes if isinstance(outcome.error, WaitTimeout)]
    assert 13 <= len(late) <= 15
    assert {outcome.polls for outcome in late} == {0}
    assert all(outcome.waited == pytest.approx(5.0, abs=0.01) for outcome in late)


# servers in trouble


def test_a_retry_after_parks_its_lane_alone() -> None:
    """Nothing is asked there sooner; other lanes go on."""
    asked: list[float] = []

    def throttling(_request: Request) -> Any:
        asked.append(asyncio.get_running_loop().time())
        return Throttled("slow", status=429, retry_after=30.0) if len(asked) == 1 else {"state": "success"}

    async def work(hub: Hub) -> None:
        calm = jobs_of(lambda _: {"state": "success"}, range(3))
        outcomes = await hub.wait_all([*jobs_of(throttling, range(4)), *calm], timeout=600)
        assert [outcome.waited for outcome in outcomes[4:]] == [0.0] * 3
        assert (hub.counters.throttled, hub.counters.missed) == (1, 1)

    in_hub(work, lane_concurrency=1)
    assert asked[0] == 0.0
    assert min(asked[1:]) >= 30.0


def test_a_throttle_beyond_the_deadline_parks_the_wait() -> None:
    """In a hub it ends at its deadline, unpolled, with the throttling as the cause."""
    script = play(Throttled("slow", retry_after=60.0))
    with pytest.raises(WaitTimeout) as caught:
        in_hub(lambda hub: hub.wait(script, timeout=10))
    assert script.polls == 1
    assert caught.value.waited == pytest.approx(10.0)
    assert isinstance(caught.value.__cause__, Throttled)


def test_an_outage_is_probed_and_ends_without_a_burst() -> None:
    """While the server is down one poll at a time is made; afterwards what is overdue is spread over an interval."""
    asked: list[float] = []

    def answer(_request: Request) -> Any:
        now = asyncio.get_running_loop().time()
        asked.append(now)
        return TransportError("refused", kind="connect") if now < 60 else {"state": "success"}

    jobs = jobs_of(answer, range(200))
    outcomes = in_hub(lambda hub: hub.wait_all(jobs, timeout=None), schedule=Fixed(10.0), concurrency=20)
    assert all(outcome.succeeded for outcome in outcomes)
    during = [at for at in asked if 15 <= at < 60]
    assert len(during) <= 10
    after = [at for at in asked if at >= 60]
    assert max(sum(slot <= at < slot + 1 for at in after) for slot in range(60, 90)) <= 45


def test_throttling_slows_a_lane_down_and_lets_it_recover() -> None:
    """After a throttling answer the rate is lower for a while, then as before."""
    asked: list[float] = []

    def answer(_request: Request) -> Any:
        asked.append(asyncio.get_running_loop().time())
        return Throttled("slow", status=429) if len(asked) == 50 else {"state": "success"}

    jobs = jobs_of(answer, range(600))
    in_hub(lambda hub: hub.wait_all(jobs, timeout=None), lane_rate=20.0)
    at = asked[49]
    slow = sum(at + 0.1 < when <= at + 1.1 for when in asked)
    assert 12 <= slow <= 15
    assert sum(at + 14 < when <= at + 15 for when in asked) >= 19


@pytest.mark.parametrize("kind", ["credential", "unpaid"])
def test_a_refused_credential_is_confirmed_once_and_ends_the_run(kind: str) -> None:
    """It never becomes as many failures as there are jobs."""

    def refuse(_request: Request) -> Any:
        return Rejected("no", kind=kind, status=401)

    jobs = jobs_of(refuse, range(1000), latency=0.5)  # so that several are refused at the same time

    async def work(hub: Hub) -> None:
        await hub.wait_all(jobs, timeout=None)

    with pytest.raises(Rejected):
        in_hub(work, concurrency=5)
    assert jobs[0].transport.requests <= 10  # type: ignore[attr-defined]  # a MemoryTransport


def test_a_refusal_that_passes_is_forgiven() -> None:
    """When the one more poll succeeds, the run goes on as if nothing had been."""
    said = iter([Rejected("no", kind="credential", status=401)])
    jobs = jobs_of(lambda _: next(said, {"state": "success"}), range(50))
    outcomes = in_hub(lambda hub: hub.wait_all(jobs, timeout=None))
    assert all(outcome.succeeded for outcome in outcomes)


def test_single_waits_of_a_refused_credential_get_the_error() -> None:
    """Each caller that waits for a job of that client is told."""
    jobs = jobs_of(lambda _: Rejected("no", kind="credential", status=401), range(3))
    waits = in_hub(lambda hub: asyncio.gather(*(hub.wait(job, timeout=None) for job in jobs), return_exceptions=True))
    assert [type(wait) for wait in waits] == [Rejected] * 3


# asking together


class Batch:
    """A made-up API that tells the state of a whole batch in one call, but no results."""

    def __init__(self, life: Callable[[int], float]) -> None:
        self.life = life
        self.together = 0
        self.alone = 0
        self.trouble: Iterator[Any] = iter(())
        self.hidden: set[int] = set()
        group: Group[Any, str] = Group(lambda _ref: "batch", self.ask, self.read, 400)
        self.endpoint: Endpoint[Any, str] = Endpoint("made.batch", ask=ask, read=read, group=group)

    def ask(self, refs: Sequence[Any]) -> Request:
        """Ask about all of them."""
        return Request("GET", "/batch", repeatable=True)

    def read(self, reply: Reply, refs: Sequence[Any]) -> dict[Any, Snapshot[str]]:
        """Tell the states of those that run; finished ones are asked about on their own."""
        now = asyncio.get_running_loop().time()
        running = [ref for ref in refs if now < self.life(ref) and ref not in self.hidden]
        return {ref: Snapshot(PROCESSING) for ref in running}

    def answer(self, request: Request) -> Any:
        """Answer one call or the other."""
        if request.path == "/batch":
            self.together += 1
            return next(self.trouble, {})
        self.alone += 1
        done = asyncio.get_running_loop().time() >= self.life(int(request.path.rpartition("/")[2]))
        return {"state": "success" if done else "processing"}


def test_a_thousand_jobs_cost_a_call_an_interval_and_one_each() -> None:
    """Where one call tells the state of many, many are not asked one by one."""
    batch = Batch(lambda ref: 5.0 + ref % 20)
    jobs = jobs_of(batch.answer, range(1000), batch.endpoint)
    outcomes = in_hub(lambda hub: hub.wait_all(jobs, timeout=None), concurrency=1000)
    assert all(outcome.succeeded for outcome in outcomes)
    assert batch.alone == 1000
    assert batch.together <= 3 * 30


@pytest.mark.parametrize("trouble", [[Rejected("no")], [TransportError("x"), TransportError("x")]])
def test_a_group_call_that_fails_falls_back_to_single_calls(trouble: list[Exception]) -> None:
    """At once when asking again will not help, else after the second failure in a row."""
    batch = Batch(lambda _ref: 0.5)
    batch.trouble = iter(trouble)
    jobs = jobs_of(batch.answer, range(5), batch.endpoint)
    in_hub(lambda hub: hub.wait_all(jobs, timeout=None))
    assert (batch.together, batch.alone >= 5) == (len(trouble) if len(trouble) > 1 else 2, True)


def test_a_throttled_group_call_is_just_a_miss() -> None:
    """Nobody is asked one by one because the server has too much to do."""
    batch = Batch(lambda _ref: 0.5)
    batch.trouble = iter([Throttled("slow")] * 3)
    jobs = jobs_of(batch.answer, range(5), batch.endpoint)
    in_hub(lambda hub: hub.wait_all(jobs, timeout=None))
    assert (batch.together, batch.alone) == (4, 5)


def test_a_job_that_the_group_call_leaves_out_is_asked_on_its_own() -> None:
    """It comes back to its group, and shares its rhythm, as long as it is not done."""
    batch = Batch(lambda _ref: 4.5)
    batch.hidden = {3}
    jobs = jobs_of(batch.answer, range(5), batch.endpoint)
    in_hub(lambda hub: hub.wait_all(jobs, timeout=None))
    assert (batch.together, batch.alone) == (6, 5 + 5)


def test_a_grouped_wait_can_be_nudged_left_and_cut() -> None:
    """What goes for a single job goes for one of a group."""
    batch = Batch(lambda _ref: 1e6)
    one, two = jobs_of(batch.answer, range(2), batch.endpoint)

    async def work(hub: Hub) -> None:
        waits = [asyncio.create_task(hub.wait(job, timeout=limit)) for job, limit in ((one, 30.0), (two, None))]
        await asyncio.sleep(5)
        assert batch.together == 1
        assert hub.nudge(two.key)
        await asyncio.sleep(5)
        assert batch.together == 2
        await asyncio.wait(waits, timeout=100)
        assert isinstance(waits[0].exception(), WaitTimeout)
        waits[1].cancel()
        await asyncio.wait(waits)
        calls = batch.together
        await asyncio.sleep(3600)
        assert batch.together == calls

    in_hub(work, schedule=Fixed(600.0))


# what happens to the remote job


class Cancellable:
    """A fetch whose remote job can be cancelled."""

    def __init__(self, script: Script[Any]) -> None:
        self.script = script
        self.cancelled = 0

    async def __call__(self) -> Snapshot[Any]:
        """Poll."""
        return await self.script()

    async def cancel(self) -> None:
        """Cancel the job."""
        self.cancelled += 1


def test_a_job_is_left_alone_or_cancelled() -> None:
    """On a deadline or a cancel the remote job is cancelled once, if that was asked for."""
    left, timed_out, stopped = (Cancellable(play(PENDING)) for _ in range(3))

    async def work(hub: Hub) -> None:
        for job, policy in ((left, "leave"), (timed_out, "cancel")):
            with pytest.raises(WaitTimeout):
                await hub.wait(job, timeout=5, on_abandon=policy)  # type: ignore[arg-type]  # a literal
        task = asyncio.create_task(hub.wait(stopped, timeout=None, on_abandon="cancel"))
        await asyncio.sleep(2)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    in_hub(work)
    assert (left.cancelled, timed_out.cancelled, stopped.cancelled) == (0, 1, 1)


def test_a_run_cancels_what_it_abandons() -> None:
    """At their deadline and when the block is left early."""
    late, left = (Cancellable(play(PENDING)) for _ in range(2))

    async def work(hub: Hub) -> None:
        async with hub.as_completed([late], timeout=5, on_abandon="cancel") as outcomes:
            async for outcome in outcomes:
                assert isinstance(outcome.error, WaitTimeout)
        async with hub.as_completed([left], timeout=None, on_abandon="cancel"):
            await asyncio.sleep(1)

    in_hub(work)
    assert (late.cancelled, left.cancelled) == (1, 1)


# bad input and bad times


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"rate": 0.0}, {"rate": float("inf")}, {"lane_concurrency": 0}, {"lane_rate": -1.0}]
)
def test_limits_must_make_sense(options: dict[str, Any]) -> None:
    """A limit that is not above 0 is refused."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Hub(**options)


def test_runs_are_checked() -> None:
    """An unknown `until`, a limit of nought, and the same object twice are refused before any request."""
    script = play(SUCCESS)
    for jobs, options, what in (
        ([script], {"until": "never"}, "until"),
        ([script], {"max_pending": 0}, "max_pending"),
        ([script, script], {}, "twice"),
    ):
        with pytest.raises(ValueError, match=what):
            in_hub(partial(Hub.wait_all, jobs=jobs, timeout=None, **options))
    with pytest.raises(ValueError, match="already"):
        run_virtual(_twice(play(PENDING)))
    assert script.polls == 0


async def _twice(script: Script[Any]) -> None:
    async with as_completed(some([script, script]), timeout=5) as outcomes:
        async for _ in outcomes:
            pass


def test_a_job_must_be_callable() -> None:
    """What is neither a job nor an async function is a TypeError, not a failure of the run's others."""
    with pytest.raises(TypeError, match="async function"):
        run_virtual(wait_all([object()], timeout=5))


def test_a_run_is_entered_once_and_iterated_inside() -> None:
    """Misuse of the block is named."""

    async def work(hub: Hub) -> None:
        run = hub.as_completed([], timeout=None)
        with pytest.raises(RuntimeError, match="inside its block"):
            await anext(run)
        async with run:
            with pytest.raises(StopAsyncIteration):
                await anext(run)
        with pytest.raises(RuntimeError, match="once"):
            await run.__aenter__()

    in_hub(work)


def test_a_hub_is_used_inside_its_block_in_its_loop() -> None:
    """Before, after, in another event loop and after a fork it is closed."""
    hub = Hub()

    async def use() -> None:
        with pytest.raises(ClientClosed):
            hub.nudge("x")

    async def live() -> None:
        await use()
        async with hub:
            await asyncio.to_thread(lambda: asyncio.run(use()))
            if (child := os.fork()) == 0:  # pragma: no cover  measured in the parent only
                code = 1
                try:
                    hub.nudge("x")
                except (ClientClosed, RuntimeError):
                    code = 0
                os._exit(code)
            assert await asyncio.to_thread(os.waitpid, child, 0) == (child, 0)
        await use()
        with pytest.raises(ClientClosed, match="once"):
            await hub.__aenter__()

    asyncio.run(live())


def test_closing_ends_every_wait() -> None:
    """Who still waits when the hub is closed is told so."""

    async def main() -> None:
        async with Hub() as hub:
            waits = [asyncio.create_task(hub.wait(play(PENDING, latency=1), timeout=None)) for _ in range(3)]
            await asyncio.sleep(0.5)
        await asyncio.wait(waits)
        assert all(isinstance(wait.exception(), ClientClosed) for wait in waits)

    run_virtual(main())


def test_a_cancel_at_any_await_point_leaves_nothing() -> None:
    """Cancelling at every await point, one by one, ends in the cancel or the result, and leaks no task."""

    async def work() -> object:
        async with as_completed([play(PENDING, SUCCESS), play(PENDING)], timeout=3, schedule=SECOND) as outcomes:
            return [outcome async for outcome in outcomes]

    assert cancelled_everywhere(work) > 3


def cancelled_everywhere(make: Callable[[], Awaitable[object]]) -> int:
    """Cancel *make* after every number of loop iterations until it completes; return how many it took."""
    for steps in range(1000):

        async def main(steps: int = steps) -> bool:
            task = asyncio.ensure_future(make())
            for _ in range(steps):
                await asyncio.sleep(0 if steps < 30 else 0.1)
            finished = not task.cancel()
            await asyncio.wait({task})
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return finished

        if run_virtual(main()):
            return steps
    raise AssertionError("it never completed")


# looking on


def test_events_and_counters() -> None:
    """An observer is told what happens; counters are plain integers."""
    told: list[events.Event] = []
    words = iter(["pending", "unknown", "success"])
    (job,) = jobs_of(lambda _: {"state": next(words)}, ["a"])

    async def work(hub: Hub) -> None:
        await hub.wait(job, timeout=60)
        with pytest.raises(WaitTimeout):
            await hub.wait(play(ConnectionError()), timeout=3)
        counters = hub.counters
        assert (counters.ended, counters.succeeded, counters.pending, counters.in_flight) == (2, 1, 0, 0)
        assert (counters.unknown, counters.requests, counters.missed > 0) == (1, 3, True)

    in_hub(work, observe=told.append)
    assert [type(event) for event in told[:3]] == [events.Polled, events.StateChanged, events.Polled]
    assert {events.UnknownWord, events.Missed, events.Ended} <= {type(event) for event in told}


def test_unfinished_jobs_keep_no_payload() -> None:
    """What a wait remembers of an unfinished job is one value for all that look alike, without the raw payload."""
    scripts = [play(Snapshot(PENDING, "queued", raw={"large": number})) for number in range(5)]
    outcomes = run_virtual(wait_all(scripts, timeout=3, schedule=SECOND))
    lasts = {id(outcome.snapshot) for outcome in outcomes}
    assert len(lasts) == 1
    assert outcomes[0].snapshot is not None
    assert outcomes[0].snapshot.raw is None


def test_what_looks_alike_is_forgotten_in_time() -> None:
    """However many kinds of looks there are, not all of them are kept."""
    looks: list[Snapshot[Any]] = [Snapshot(PENDING, f"{number}") for number in range(5000)]
    script = play(*looks, SUCCESS)
    assert in_hub(lambda hub: hub.wait(script, timeout=None), schedule=Fixed(0.01)).state is SUCCESS


def test_more_jobs_than_are_queued_at_once() -> None:
    """However many are due at the same moment, each gets its turn."""
    scripts = [play(PENDING, SUCCESS) for _ in range(2500)]
    outcomes = in_hub(lambda hub: hub.wait_all(scripts, timeout=None), concurrency=3000)
    assert all(outcome.succeeded for outcome in outcomes)
    assert {script.polled_at[1] for script in scripts} == {1.0}


def test_of_those_who_queue_together_each_has_its_deadline() -> None:
    """When one waiter runs out of time in the queue, the others go on queueing."""
    script = play(SUCCESS)

    async def work(hub: Hub) -> Any:
        await hub.wait(play(SUCCESS), timeout=None)  # uses up the rate for the next ten seconds
        waits = (hub.wait(script, timeout=limit) for limit in (2.0, None))
        return await asyncio.gather(*waits, return_exceptions=True)

    short, endless = in_hub(work, rate=0.1)
    assert isinstance(short, WaitTimeout)
    assert endless.state is SUCCESS
    assert script.polled_at == [pytest.approx(10.0, abs=0.001)]


async def test_an_end_that_comes_with_a_cancel_is_not_told() -> None:
    """A caller that is being cancelled does not hear of the end as well."""
    end = _End()
    end.come.cancel()
    wait = Wait(Policy(), 0.0, play(SUCCESS), end)
    end.ended(wait, None, 0.0)
    end.condemned(Rejected("no"))
    assert end.come.cancelled()


def lane(**options: float) -> Lane[Any]:
    """Return a lane whose polls come every 10 s."""
    return Lane(**{"concurrency": 10.0, "rate": float("inf"), "interval": 10.0} | options)


@pytest.mark.parametrize(
    ("error", "down"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), False),
        (KeyError(), False),
        (TransportError("x", kind="dns"), True),
    ],
)
def test_five_refused_connections_make_an_outage(error: Exception, down: bool) -> None:  # noqa: FBT001  a table
    """Slower and stranger failures say less about whether the server is there."""
    server = lane()
    for second in range(5):
        server.start(float(second))
        server.finish(error, float(second))
    assert server.probing is down


def test_many_failures_of_a_server_that_is_there_make_an_outage_too() -> None:
    """Twenty in a row do; one success in between, and they do not."""
    for good, down in ((False, True), (True, False)):
        server = lane()
        for second in range(20):
            server.start(float(second))
            server.finish(None if good and second == 10 else TimeoutError(), float(second))
        assert server.probing is down


def test_a_lane_with_little_to_do_reopens_as_it_was() -> None:
    """When the backlog would not be a burst, nothing is slowed down."""
    server = lane(rate=0.05)
    for second in range(5):
        server.start(second * 20.0)
        server.finish(ConnectionRefusedError(), second * 20.0)
    for second in range(5, 9):
        server.start(second * 20.0)
        server.finish(None, second * 20.0)
    assert (server.probing, server.opens_at(160.0)) == (False, 180.0)


def test_a_burst_of_throttling_counts_once() -> None:
    """Within one second a lane is slowed down once, however many polls are refused."""
    server = lane(rate=100.0)
    for _ in range(3):
        server.start(0.0)
        server.finish(Throttled("slow"), 0.0)
    server.start(10.0)
    assert server.opens_at(10.0) == pytest.approx(10.0 + 1 / (0.7 * 1))
