"""Whatever a fetch, a schedule, an observer or an endpoint raises or returns: one wait ends, every other goes on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any

import pytest
from hub_kit import EVERY_SECOND, PENDING, SUCCESS, Batch, in_hub, now, play, transport_of

from asyncpoll import (
    Endpoint,
    Fixed,
    Group,
    Hub,
    PollError,
    Progress,
    Snapshot,
    State,
    WaitTimeout,
    wait_until_terminal,
)
from asyncpoll.http import Reply, Request
from asyncpoll.testing import run_virtual


class Boom(BaseException):
    """An error that is not an `Exception`."""


def raising(error: BaseException) -> Callable[[], Any]:
    """Return a fetch that raises."""

    async def fetch() -> Snapshot[str]:
        raise error

    return fetch


def returning(value: Any) -> Callable[[], Any]:
    """Return a fetch that returns something."""

    async def fetch() -> Any:
        return value

    return fetch


def raising_at_once(error: BaseException) -> Callable[[], Any]:
    """Return a plain function that raises before there is anything to await."""

    def fetch() -> Any:
        raise error

    return fetch


FETCHES: dict[str, tuple[Any, type[BaseException]]] = {
    "BaseException": (raising(Boom()), Boom),
    "KeyboardInterrupt": (raising(KeyboardInterrupt()), KeyboardInterrupt),
    "SystemExit": (raising(SystemExit(3)), SystemExit),
    "GeneratorExit": (raising(GeneratorExit()), RuntimeError),
    "BaseExceptionGroup": (raising(BaseExceptionGroup("several", [Boom()])), BaseExceptionGroup),
    "ExceptionGroup": (raising(ExceptionGroup("several", [ValueError()])), ExceptionGroup),
    "StopIteration": (raising_at_once(StopIteration()), RuntimeError),
    "StopAsyncIteration": (raising(StopAsyncIteration()), RuntimeError),
    "MemoryError": (raising(MemoryError()), MemoryError),
    "RecursionError": (raising(RecursionError()), RecursionError),
    "None": (returning(None), TypeError),
    "text": (returning("success"), TypeError),
    "a state": (returning(State.SUCCESS), TypeError),
    "an error, returned": (returning(ValueError("x")), TypeError),
    "a plain function": (lambda: Snapshot(SUCCESS), TypeError),
}


class Faulty:
    """A schedule that returns a second at first, and then fails."""

    def __init__(self, fails: Callable[[], float], good: int = 1) -> None:
        self._delays = chain(repeat(lambda: 1.0, good), repeat(fails))

    def delay(self, _progress: Progress, /) -> float:
        """Return a second, or fail."""
        return next(self._delays)()


def throw(error: BaseException) -> Callable[[], float]:
    """Return a function that raises."""

    def fails() -> float:
        raise error

    return fails


SCHEDULES: dict[str, tuple[Callable[[], float], type[BaseException]]] = {
    "IndexError": (throw(IndexError("table")), IndexError),
    "StopIteration": (throw(StopIteration()), RuntimeError),
    "BaseException": (throw(Boom()), Boom),
    "CancelledError": (throw(asyncio.CancelledError()), PollError),
    "NaN": (lambda: float("nan"), ValueError),
    "negative": (lambda: -1.0, ValueError),
    "infinite": (lambda: float("inf"), ValueError),
    "text": (lambda: "1", TypeError),  # type: ignore[dict-item, return-value]  # that is what must fail
}


def others_go_on(hub: Hub) -> asyncio.Task[Any]:
    """Begin to wait for a healthy job, and for one that never ends."""

    async def healthy() -> None:
        stuck = asyncio.create_task(hub.wait(play(PENDING), timeout=7.0))
        assert (await hub.wait(play(PENDING, PENDING, PENDING, SUCCESS), timeout=60.0)).state is SUCCESS
        with pytest.raises(WaitTimeout):
            await stuck

    return asyncio.create_task(healthy())


@pytest.fixture(params=FETCHES)
def fetch(request: pytest.FixtureRequest) -> tuple[Any, type[BaseException]]:
    """Return a fetch, and the error that must end its wait."""
    return FETCHES[request.param]


@pytest.fixture(params=SCHEDULES)
def failing(request: pytest.FixtureRequest) -> tuple[Callable[[], float], type[BaseException]]:
    """Return the fault of a schedule, and the error that must end its wait."""
    return SCHEDULES[request.param]


def test_a_fetch_of_any_kind_ends_its_wait_in_a_hub(fetch: tuple[Any, type[BaseException]]) -> None:
    """The error ends that wait at its first poll; every other wait goes on."""

    async def main(hub: Hub) -> None:
        others = others_go_on(hub)
        await asyncio.sleep(0.5)
        with pytest.raises(fetch[1]):
            await hub.wait(fetch[0], timeout=30.0)
        assert now() == 0.5
        await others

    in_hub(main)


def test_a_fetch_of_any_kind_has_one_outcome_in_a_run(fetch: tuple[Any, type[BaseException]]) -> None:
    """The error is the outcome of its job; the other outcomes come as ever."""

    async def main(hub: Hub) -> None:
        outcomes = await hub.wait_all([play(PENDING, SUCCESS), fetch[0], play(PENDING)], timeout=5.0)
        assert [type(outcome.error) for outcome in outcomes] == [type(None), fetch[1], WaitTimeout]

    in_hub(main)


@pytest.mark.parametrize("name", sorted(FETCHES.keys() - {"KeyboardInterrupt", "SystemExit", "GeneratorExit"}))
def test_a_fetch_of_any_kind_ends_a_single_wait(name: str) -> None:
    """Alone it is the same error; an exit goes on to the event loop, as from any other code."""
    fetch, error = FETCHES[name]
    with pytest.raises(error):
        run_virtual(wait_until_terminal(fetch, timeout=30.0))


def test_a_schedule_that_fails_ends_its_wait_in_a_hub(failing: tuple[Callable[[], float], type[BaseException]]) -> None:
    """The error ends that wait; every other wait goes on."""

    async def main(hub: Hub) -> None:
        others = others_go_on(hub)
        with pytest.raises(failing[1]):
            await hub.wait(play(PENDING), timeout=30.0, schedule=Faulty(failing[0]))
        assert now() == 1.0
        await others

    in_hub(main)


def test_a_schedule_that_fails_ends_a_single_wait(failing: tuple[Callable[[], float], type[BaseException]]) -> None:
    """Alone it is the same error."""
    script = play(PENDING)
    with pytest.raises(failing[1]):
        run_virtual(wait_until_terminal(script, timeout=30.0, schedule=Faulty(failing[0])))
    assert script.polled_at == [0.0, 1.0]


@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_schedule_that_fails_ends_a_run(good: int) -> None:
    """Every job of the run has an outcome, whenever the schedule fails."""

    async def main(hub: Hub) -> None:
        jobs = [play(PENDING) for _ in range(200)]
        outcomes = await hub.wait_all(jobs, timeout=30.0, schedule=Faulty(throw(IndexError()), good))
        assert {type(outcome.error) for outcome in outcomes} == {IndexError}

    in_hub(main)


def test_a_schedule_that_fails_where_a_wait_joins_others() -> None:
    """The wait that joins ends with the error; the others keep their polls."""

    async def main(hub: Hub) -> None:
        script = play(PENDING, PENDING, SUCCESS)
        first = asyncio.create_task(hub.wait(script, timeout=30.0))
        await asyncio.sleep(0.5)
        with pytest.raises(RuntimeError):
            await hub.wait(script, timeout=30.0, schedule=Faulty(throw(StopIteration()), good=0))
        assert (await first).state is SUCCESS
        assert script.polled_at == [0.0, 1.0, 2.0]

    in_hub(main)


def test_a_hub_never_asks_a_schedule_for_itself() -> None:
    """The schedule of a hub is asked about waits, and about no made-up progress of a lane."""
    asked: list[Progress] = []

    class Recording:
        def delay(self, progress: Progress, /) -> float:
            asked.append(progress)
            return 1.0

    async def main(hub: Hub) -> None:
        await hub.wait(play(ConnectionError(), PENDING, SUCCESS), timeout=30.0)

    in_hub(main, schedule=Recording())
    assert [progress.polls for progress in asked] == [1, 2]


@pytest.mark.parametrize("error", [ValueError(), Boom(), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
def test_an_observer_that_fails_breaks_no_wait(error: BaseException) -> None:
    """Its error is logged, alone as in a hub."""

    def observe(_event: object) -> None:
        raise error

    async def main(hub: Hub) -> None:
        assert (await hub.wait(play(PENDING, SUCCESS), timeout=30.0)).state is SUCCESS
        single = wait_until_terminal(play(PENDING, SUCCESS), timeout=30.0, schedule=EVERY_SECOND, observe=observe)
        assert (await single).state is SUCCESS

    in_hub(main, observe=observe)


GROUP_READS: dict[str, Callable[[Reply, Sequence[Any]], Any]] = {
    "None": lambda _reply, _refs: None,
    "an unknown job": lambda _reply, _refs: {"stranger": Snapshot(PENDING)},
    "None for each": lambda _reply, refs: dict.fromkeys(refs),
    "text": lambda _reply, refs: "".join(map(str, refs)),
    "an error": lambda _reply, _refs: throw(KeyError("states"))(),
    "a base exception": lambda _reply, _refs: throw(Boom())(),
}


def batch_read_by(life: Callable[[int], float], read: Callable[[Reply, Sequence[Any]], Any]) -> Batch:
    """Return an API whose call about many jobs is read in some way."""
    batch = Batch(life)
    group: Group[Any, str] = Group(lambda _: "all", lambda _: Request("GET", "/batch/+all"), read, 100)
    batch.endpoint = Endpoint("made.batch", ask=batch.endpoint.ask, read=batch.endpoint.read, group=group)
    return batch


@pytest.mark.parametrize("name", GROUP_READS)
def test_a_group_that_answers_nonsense_is_asked_one_by_one(name: str) -> None:
    """Jobs that a call about many says nothing sensible about are asked about by themselves."""
    batch = batch_read_by(lambda number: 3.0 + number, GROUP_READS[name])

    async def main(hub: Hub) -> None:
        outcomes = await hub.wait_all(batch.jobs(0, 1, 2), timeout=30.0)
        assert [outcome.succeeded for outcome in outcomes] == [True, True, True]

    in_hub(main)


def test_a_group_answer_of_a_wrong_type_ends_that_wait() -> None:
    """A result that is not a snapshot ends the wait for its job; the others of the group go on."""
    states = {"0": "processing", "1": State.PROCESSING, "2": Snapshot(State.PROCESSING)}
    batch = batch_read_by(lambda _number: 99.0, lambda _reply, _refs: states)

    async def main(hub: Hub) -> None:
        outcomes = await hub.wait_all(batch.jobs(0, 1, 2), timeout=5.0)
        assert [type(outcome.error) for outcome in outcomes] == [TypeError, TypeError, WaitTimeout]

    in_hub(main)


def test_an_endpoint_that_fails_later_ends_its_wait() -> None:
    """A pacing key, a name or a group key that raises after the first poll is an error like another."""
    calls = iter([1, 1])

    def predicts(_ref: Any) -> int:
        return next(calls)

    endpoint: Endpoint[Any, str] = Endpoint(
        "made.up",
        ask=lambda ref: Request("GET", f"/{ref}"),
        read=lambda _: Snapshot(State.PROCESSING),
        predicts=predicts,
    )
    transport = transport_of(lambda _: {})

    async def main() -> None:
        async with Hub() as hub:
            others = others_go_on(hub)
            with pytest.raises(RuntimeError, match="StopIteration"):
                await hub.wait(endpoint.job(transport, 1), timeout=60.0)
            await others

    run_virtual(main())


def test_polls_that_are_cancelled_from_outside_end_their_waits() -> None:
    """Code that cancels every task it can find strands no wait."""

    async def main(hub: Hub) -> None:
        hanging = play(SUCCESS, latency=100.0)
        waits = [asyncio.create_task(hub.wait(job, timeout=300.0)) for job in (hanging, play(SUCCESS, latency=50.0))]
        await asyncio.sleep(1.0)
        for task in asyncio.all_tasks() - {*waits, asyncio.current_task()}:
            task.cancel()
        for wait in waits:
            with pytest.raises(PollError, match="cancelled"):
                await wait
        assert now() == 1.0
        assert (await hub.wait(play(PENDING, SUCCESS), timeout=30.0)).state is SUCCESS

    in_hub(main)


def test_deadlines_hold_while_everything_fails() -> None:
    """A poll that hangs is cut at the deadline, also of one that ignores its cancellation at first."""

    async def stubborn() -> Snapshot[str]:
        try:
            await asyncio.sleep(100.0)
        except asyncio.CancelledError:
            await asyncio.sleep(3.0)
        raise Boom

    async def main(hub: Hub) -> None:
        with pytest.raises(WaitTimeout):
            await hub.wait(stubborn, timeout=5.0, schedule=Fixed(1.0))
        assert now() == 5.0

    in_hub(main)


class Unnameable:
    """A fetch whose key can be made once."""

    def __init__(self) -> None:
        self._keys = iter(["once"])

    @property
    def key(self) -> str:
        """Return the key, or fail."""
        return next(self._keys)

    async def __call__(self) -> Snapshot[str]:
        """Hang."""
        await asyncio.sleep(100.0)
        return Snapshot(PENDING)


@pytest.mark.parametrize("observe", [None, lambda _event: None])
def test_a_key_that_fails_later_strands_no_wait(observe: Any) -> None:
    """The deadline holds, whatever its error is; an event that cannot be made is logged."""

    async def main(hub: Hub) -> None:
        with pytest.raises((WaitTimeout, StopIteration, RuntimeError)):
            await hub.wait(Unnameable(), timeout=5.0)
        assert now() == 5.0

    in_hub(main, observe=observe)


class BrokenJournal:
    """A journal that cannot remember anything."""

    def past(self, _job: Any, /) -> None:
        """Know nothing."""

    def changed(self, _job: Any, _checkpoint: Any, /) -> None:
        """Fail."""
        raise OSError("the disk is full")


def test_a_journal_that_fails_ends_the_wait_it_cannot_remember() -> None:
    """The outcome is its error; a job that does not change its state goes on."""

    async def main(hub: Hub) -> None:
        run = hub.as_completed([play(PENDING, State.PROCESSING), play(PENDING, PENDING, SUCCESS)], timeout=30.0)
        run.remember_in(BrokenJournal())
        async with run as outcomes:
            assert [type(outcome.error) async for outcome in outcomes] == [OSError, type(None)]

    in_hub(main)


class Unsettled:
    """A schedule that learns, but cannot settle."""

    def delay(self, _progress: Progress, /, *, key: str = "") -> float:
        """Return a second."""
        return 1.0 + len(key)

    def observe(self, _lo: float, _hi: float, **_facts: Any) -> None:
        """Learn nothing."""

    def settle(self) -> None:
        """Fail."""
        raise Boom


def test_a_schedule_that_cannot_settle_strands_no_wait() -> None:
    """Its failure is logged, in a hub that has nothing left to wait for."""

    async def main(hub: Hub) -> None:
        assert (await hub.wait(play(PENDING, SUCCESS), timeout=30.0)).state is SUCCESS

    in_hub(main, schedule=Unsettled())


@pytest.mark.parametrize("joining", [False, True])
def test_a_poll_cancelled_before_it_began_is_made_again(joining: bool) -> None:  # noqa: FBT001  both
    """It is not the job's fault; so it is with a call about many jobs, which others may join at that moment."""
    batch = Batch(lambda number: 3.0 + number)

    async def main(hub: Hub) -> None:
        waits = [asyncio.create_task(hub.wait(job, timeout=30.0)) for job in batch.jobs(0, 1)]
        cancelled = False
        while not cancelled:
            await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {*waits, asyncio.current_task()}:
                coroutine: Any = task.get_coro()
                if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                    cancelled = task.cancel()
        if joining:
            waits.append(asyncio.create_task(hub.wait(batch.jobs(2)[0], timeout=30.0)))
        assert {end.state for end in await asyncio.gather(*waits)} == {SUCCESS}

    in_hub(main)


def test_a_fetch_that_closes_its_coroutine_ends_its_wait() -> None:
    """A call about many jobs that raises `GeneratorExit` ends the waits for them; every other goes on."""

    def read(_reply: Reply, _refs: Sequence[Any]) -> Any:
        raise GeneratorExit

    batch = batch_read_by(lambda _number: 99.0, read)

    async def main(hub: Hub) -> None:
        others = others_go_on(hub)
        outcomes = await hub.wait_all(batch.jobs(0, 1, 2), timeout=30.0)
        assert {type(outcome.error) for outcome in outcomes} == {RuntimeError}
        await others

    in_hub(main)
