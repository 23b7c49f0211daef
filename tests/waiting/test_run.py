"""A run over many jobs: what enters, what comes out, and when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from await_points import MOMENTS, Moment, cancelled_everywhere
from hub_kit import (
    EVERY_SECOND,
    FAILED,
    PENDING,
    PROCESSING,
    SUCCESS,
    Cancellable,
    all_of,
    arriving,
    in_hub,
    jobs_of,
    now,
    play,
    transport_of,
)

from asyncpoll._errors import ClientClosed, JobFailed, Rejected, WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll.testing import Script, run_virtual
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._job_calls import CANCEL_PATIENCE, UNWINDING
from asyncpoll.waiting._run import Outcome

# what comes out


def test_outcomes_come_in_the_order_of_completion() -> None:
    """Every job has exactly one outcome, with what it took."""
    scripts = [play(*[PENDING] * number, SUCCESS) for number in (3, 0, 2)]
    outcomes = in_hub(lambda hub: all_of(hub, scripts))
    assert [scripts.index(outcome.job) for outcome in outcomes] == [1, 2, 0]
    assert [(outcome.polls, outcome.waited, outcome.succeeded) for outcome in outcomes] == [
        (1, 0.0, True),
        (3, 2.0, True),
        (4, 3.0, True),
    ]


def test_one_failure_touches_no_other() -> None:
    """Failures, errors and timeouts are outcomes among the others."""
    scripts = [play(FAILED), play(Rejected("no")), play(PENDING), play(Snapshot(SUCCESS, value=1))]
    failed, refused, late, done = in_hub(lambda hub: hub.wait_all(scripts, timeout=5))
    with pytest.raises(JobFailed):
        failed.unwrap()
    with pytest.raises(Rejected):
        refused.unwrap()
    assert isinstance(late.error, WaitTimeout)
    assert (late.succeeded, failed.succeeded, done.succeeded, done.unwrap()) == (False, False, True, 1)


def test_wait_all_returns_outcomes_in_the_order_given() -> None:
    """Whatever kind of iterable the jobs come in."""
    scripts = [play(*[PENDING] * number, SUCCESS) for number in (3, 0, 2)]
    kinds: list[Any] = [scripts, tuple(scripts), iter(scripts), arriving(scripts)]
    for given in kinds:
        outcomes = in_hub(partial(Hub.wait_all, jobs=given, timeout=60))
        assert [outcome.job for outcome in outcomes] == scripts


def test_equal_jobs_each_have_an_outcome() -> None:
    """They share their polls, yet each object that was given comes out."""
    transport = transport_of(lambda _: {"state": "success"})
    jobs = jobs_of(transport, ["a"] * 5)
    outcomes = in_hub(lambda hub: all_of(hub, jobs))
    assert {id(outcome.job) for outcome in outcomes} == {id(job) for job in jobs}
    assert transport.requests == 1


def test_a_run_without_jobs_is_over_at_once() -> None:
    """An empty iterable is not a special case."""
    kinds: list[Any] = [[], iter(()), arriving([])]
    for jobs in kinds:
        assert in_hub(partial(all_of, jobs=jobs)) == []


def test_several_may_share_the_outcomes() -> None:
    """Two tasks that iterate over one run have each outcome once between them."""
    scripts = [play(*[PENDING] * number, SUCCESS) for number in range(10)]
    had: list[Any] = []

    async def take(outcomes: AsyncIterator[Outcome[Any]]) -> None:
        async for outcome in outcomes:
            had.append(outcome.job)
            await asyncio.sleep(0.5)

    async def work(hub: Hub) -> None:
        async with hub.as_completed(scripts, timeout=None) as outcomes:
            await asyncio.gather(take(outcomes), take(outcomes))

    in_hub(work)
    assert sorted(map(id, had)) == sorted(map(id, scripts))


def test_a_run_shares_its_hub_with_other_waits() -> None:
    """A run yields the outcomes of its own jobs, and no others."""
    script, other = play(PENDING, PENDING, SUCCESS), play(PENDING, SUCCESS)

    async def work(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(script, timeout=None))
        outcomes = await all_of(hub, [script, other])
        assert [outcome.job for outcome in outcomes] == [other, script]
        assert (await wait).state is SUCCESS

    in_hub(work)
    assert script.polls == 3


# when it stops


@pytest.mark.parametrize(("until", "ended"), [("first_success", 2), ("first_failure", 1), ("all", 3)])
def test_a_run_may_stop_at_its_first_success_or_failure(until: Any, ended: int) -> None:
    """The outcome that decides is the last one; what is then stopped has neither snapshot nor error."""
    scripts = [play(PENDING, PENDING, SUCCESS), play(FAILED), play(PENDING, SUCCESS)]
    outcomes = in_hub(lambda hub: hub.wait_all(scripts, timeout=60, until=until))
    assert sum(outcome.snapshot is not None for outcome in outcomes) == ended
    for outcome in outcomes:
        if outcome.snapshot is None:
            assert (outcome.error, outcome.polls, outcome.succeeded) == (None, 0, False)
            with pytest.raises(ValueError, match="stopped"):
                outcome.unwrap()


def test_an_error_is_a_failure() -> None:
    """`first_failure` stops at a timeout or a refusal, too."""
    scripts = [play(PENDING, PENDING, SUCCESS), play(Rejected("no"))]
    outcomes = in_hub(lambda hub: all_of(hub, scripts, until="first_failure"))
    assert [outcome.job for outcome in outcomes] == [scripts[1]]


@pytest.mark.parametrize("latency", [0.0, 60.0])
def test_leaving_early_stops_the_waits(latency: float) -> None:
    """Nobody is asked any more, and a poll in flight keeps no place from others."""
    scripts = [play(PENDING, latency=latency) for _ in range(5)]

    async def work(hub: Hub) -> None:
        async with hub.as_completed([*scripts, play(SUCCESS)], timeout=None) as outcomes:
            async for _ in outcomes:
                break
        await asyncio.sleep(0)
        assert (hub.counters.pending, hub.counters.in_flight, hub.counters.ended) == (0, 0, 1)
        polls = [script.polls for script in scripts]
        await asyncio.sleep(120)
        assert [script.polls for script in scripts] == polls

    in_hub(work)


def test_leaving_with_an_error_raises_it() -> None:
    """An error that is raised inside the block leaves it unchanged."""

    async def work(hub: Hub) -> None:
        async with hub.as_completed([play(PENDING)], timeout=None):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        in_hub(work)


def test_a_run_in_a_hub_that_closes_comes_to_its_end() -> None:
    """Its waits end with that, and what had not entered yet does not enter any more."""

    async def jobs() -> AsyncIterator[Any]:
        yield play(PENDING)
        await asyncio.sleep(5)
        yield play(SUCCESS)

    async def consume(hub: Hub, ended: list[Any]) -> None:
        async with hub.as_completed(jobs(), timeout=None) as outcomes:
            async for outcome in outcomes:
                ended.append(outcome.error)  # noqa: PERF401  what came before the error is the point

    async def main() -> None:
        ended: list[Any] = []
        async with Hub() as hub:
            consumer = asyncio.create_task(consume(hub, ended))
            await asyncio.sleep(1)
        with pytest.raises(ClientClosed):
            await consumer
        assert [type(error) for error in ended] == [ClientClosed]

    run_virtual(main())


# what happens to the remote jobs


def test_a_run_cancels_what_it_gives_up() -> None:
    """At their deadline and when the block is left early; never what has ended."""
    late, left, done = Cancellable(play(PENDING)), Cancellable(play(PENDING)), Cancellable(play(SUCCESS))

    async def work(hub: Hub) -> None:
        outcomes = await all_of(hub, [late, done], timeout=5, on_abandon="cancel")
        assert isinstance(outcomes[1].error, WaitTimeout)
        async with hub.as_completed([left], timeout=None, on_abandon="cancel"):
            await asyncio.sleep(1)

    in_hub(work)
    assert (late.cancelled_at, left.cancelled_at, done.cancelled_at) == ([4.5], [5.5], [])


def test_remote_cancels_are_made_a_few_at_a_time() -> None:
    """As many as polls may be in flight."""
    jobs = [Cancellable(play(PENDING), patience=0.5) for _ in range(6)]

    async def work(hub: Hub) -> None:
        async with hub.as_completed(jobs, timeout=None, on_abandon="cancel"):
            await asyncio.sleep(1)

    in_hub(work, concurrency=2)
    assert [job.cancelled_at for job in jobs] == [[1.5], [1.5], [2.0], [2.0], [2.5], [2.5]]


def test_all_remote_cancels_together_take_no_longer_than_one_may(caplog: pytest.LogCaptureFixture) -> None:
    """A server that hangs must not hold up the end; how many were not cancelled, or not in time, is logged."""
    jobs = [Cancellable(play(PENDING), patience=60.0) for _ in range(6)]

    async def work(hub: Hub) -> None:
        async with hub.as_completed(jobs, timeout=None, on_abandon="cancel"):
            await asyncio.sleep(1)
        assert now() == 1 + CANCEL_PATIENCE + UNWINDING

    in_hub(work, concurrency=2)
    assert sum(job.cancels for job in jobs) == 4
    assert "4 jobs were not cancelled remotely" in caplog.text


def test_remote_cancels_keep_no_caller_who_is_cancelled() -> None:
    """A cancellation that comes meanwhile ends them."""
    job = Cancellable(play(PENDING), patience=60.0)

    async def leave(hub: Hub) -> None:
        async with hub.as_completed([job], timeout=None, on_abandon="cancel"):
            await asyncio.sleep(1)

    async def work(hub: Hub) -> None:
        task = asyncio.create_task(leave(hub))
        await asyncio.sleep(3)
        task.cancel()
        await asyncio.wait({task})
        assert (task.cancelled(), now()) == (True, 3.0)

    in_hub(work)
    assert (job.cancels, job.cancelled_at) == (1, [])


def test_a_run_that_cancels_refuses_a_job_that_cannot_be() -> None:
    """It is named as soon as it enters."""
    with pytest.raises(ValueError, match="on_abandon"):
        in_hub(lambda hub: all_of(hub, [play(PENDING)], on_abandon="cancel"))


# a run that is remembered beyond this process


class Notebook:
    """Remembers a run: what is known from before, and what changes."""

    def __init__(self, known: dict[Any, WaitCheckpoint]) -> None:
        self.known = known
        self.changes: list[tuple[Any, WaitCheckpoint]] = []

    def past(self, job: Any, /) -> WaitCheckpoint | None:
        """Return what is known."""
        return self.known.get(job)

    def changed(self, job: Any, checkpoint: WaitCheckpoint, /) -> None:
        """Note the change."""
        self.changes.append((job, checkpoint))


async def remembered(hub: Hub, jobs: Sequence[Any], journal: Notebook) -> list[Outcome[Any]]:
    """Return the outcomes of a run that is remembered, in the order in which they came."""
    run = hub.as_completed(jobs, timeout=60)
    run.remember_in(journal)
    async with run as outcomes:
        return [outcome async for outcome in outcomes]


def test_a_run_goes_on_where_another_process_stopped() -> None:
    """A wait with a checkpoint has only the rest of its time; its outcome counts all of it."""
    old, new = scripts = [play(PENDING), play(PENDING)]
    journal = Notebook({old: WaitCheckpoint(waited=57.0, polls=9, state=PENDING, in_state=57.0)})
    outcomes = in_hub(lambda hub: remembered(hub, scripts, journal))
    assert [(outcome.job, outcome.waited, outcome.polls) for outcome in outcomes] == [(old, 59.5, 13), (new, 59.5, 61)]
    assert (len(old.polled_at), len(new.polled_at)) == (4, 61)
    assert journal.changes == []


def test_changes_of_state_and_what_is_left_are_remembered() -> None:
    """A job that ends is not among them: it has an outcome."""
    moving, left, done = scripts = [play(PENDING, PROCESSING), play(PENDING), play(PENDING, SUCCESS)]
    journal = Notebook({})

    async def work(hub: Hub) -> None:
        run = hub.as_completed(scripts, timeout=60)
        run.remember_in(journal)
        async with run as outcomes:
            outcome = await anext(outcomes)
            assert (outcome.job, outcome.running, outcome.waited) == (done, 0.0, 1.0)
            await asyncio.sleep(1.5)

    in_hub(work)
    assert journal.changes == [
        (moving, WaitCheckpoint(waited=1.0, polls=2, state=PROCESSING, in_state=0.5)),
        (moving, WaitCheckpoint(waited=2.5, polls=3, state=PROCESSING, in_state=2.0)),
        (left, WaitCheckpoint(waited=2.5, polls=3, state=PENDING, in_state=2.5)),
    ]


# bad input


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"until": "never"}, "until"),
        ({"max_pending": 0}, "max_pending"),
        ({"on_abandon": "kill"}, "on_abandon"),
        ({"timeout": 0}, "timeout"),
        ({"stable_for": 0}, "stable_for"),
    ],
)
def test_options_must_make_sense(options: dict[str, Any], what: str) -> None:
    """An option out of range is refused before any request."""
    script = play(SUCCESS)
    with pytest.raises(ValueError, match=what):
        in_hub(lambda hub: all_of(hub, [script], **options))
    assert script.polls == 0


def test_the_same_object_twice_in_a_list_is_refused() -> None:
    """Its outcomes could not be distinguished; nothing is requested."""
    script = play(SUCCESS)
    with pytest.raises(ValueError, match="twice"):
        in_hub(lambda hub: all_of(hub, [script, script]))
    assert script.polls == 0


def test_an_object_given_again_while_it_is_awaited_is_refused() -> None:
    """Be it the first to wait for its job or not; once its outcome is there it may be given again."""
    script = play(PENDING, SUCCESS)

    async def shared(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(script, timeout=None))
        await asyncio.sleep(0)
        try:
            await all_of(hub, iter([script, script]))
        finally:
            await wait

    works: list[Callable[[Hub], Awaitable[Any]]] = [lambda hub: all_of(hub, arriving([script, script])), shared]
    for work in works:
        with pytest.raises(ValueError, match="already"):
            in_hub(work)
    assert len(in_hub(lambda hub: all_of(hub, arriving([script, script]), max_pending=1))) == 2


def test_a_run_is_entered_once_and_iterated_inside() -> None:
    """Misuse of the block is named."""

    async def work(hub: Hub) -> None:
        nothing: list[Script[Any]] = []
        run = hub.as_completed(nothing, timeout=None)
        with pytest.raises(RuntimeError, match="inside its block"):
            await anext(run)
        async with run:
            with pytest.raises(StopAsyncIteration):
                await anext(run)
        with pytest.raises(RuntimeError, match="once"):
            await run.__aenter__()

    in_hub(work)


def test_a_run_of_a_closed_hub_takes_nothing_in() -> None:
    """Although it was made while the hub was open."""

    async def main() -> None:
        async with Hub() as hub:
            run = hub.as_completed([play(SUCCESS)], timeout=None)
        with pytest.raises(ClientClosed):
            async with run:
                await anext(run)

    run_virtual(main())


# cancellation


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("latency", [0.0, 0.25])
def test_a_cancel_at_any_await_point_leaves_nothing(latency: float, moment: Moment) -> None:
    """Cancelled at each await point in turn a run ends cancelled, and leaves no task, no wait and no poll."""

    async def consume() -> int:
        scripts = [play(PENDING, SUCCESS, latency=latency), play(PENDING, latency=latency), play(SUCCESS)]
        number = 0
        async with Hub(schedule=EVERY_SECOND) as hub:
            try:
                async with hub.as_completed(arriving(scripts), timeout=3, max_pending=2) as outcomes:
                    async for _ in outcomes:
                        number += 1
            finally:
                assert hub.counters.pending == 0
        return number

    *cancelled, finished = cancelled_everywhere(consume, moment=moment, settling=3)
    assert len(cancelled) >= 3
    assert all(run.cancelled for run in cancelled)
    assert finished.result == 3


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancel_at_any_await_point_also_with_remote_cancels(moment: Moment) -> None:
    """Each job is cancelled remotely at most once, and the cancellation is never masked."""
    jobs: list[Cancellable] = []

    async def consume() -> None:
        jobs.append(Cancellable(play(PENDING), patience=0.5))
        async with (
            Hub(schedule=EVERY_SECOND) as hub,
            hub.as_completed([jobs[-1]], timeout=5, on_abandon="cancel") as outcomes,
        ):
            async for _ in outcomes:
                pass

    *cancelled, _ = cancelled_everywhere(consume, moment=moment, settling=5)
    assert all(run.cancelled for run in cancelled)
    assert all(job.cancels <= 1 for job in jobs)
