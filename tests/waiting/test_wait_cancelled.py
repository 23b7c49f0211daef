"""Waits that are cancelled, from outside and at every await point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from await_points import MOMENTS, Moment, cancelled_everywhere
from wait_kit import DONE, EVERY_SECOND, PENDING, PROCESSING, failed, play

from asyncpoll._errors import Throttled, WaitTimeout
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll.testing import Script, run_virtual
from asyncpoll.waiting._wait import wait_until_terminal, watch


def test_an_outer_timeout_works() -> None:
    """An `asyncio.timeout` around a wait ends it with a plain TimeoutError and leaves the task uncancelled."""

    async def main() -> int:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(2.5):
                await wait_until_terminal(play(PENDING), timeout=60)
        assert not isinstance(caught.value, WaitTimeout)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert run_virtual(main()) == 0


def test_a_wait_timeout_inside_an_outer_timeout_stays_itself() -> None:
    """The inner deadline, when it comes first, is distinguished from the outer one."""

    async def main() -> None:
        async with asyncio.timeout(60.0):
            await wait_until_terminal(play(PENDING), timeout=2)

    error, _ = failed(main())
    assert error.waited == 1.8


def test_a_sibling_that_fails_ends_the_wait() -> None:
    """In a task group the failure of another task cancels the wait, and comes out alone."""
    script = play(PENDING, latency=0.25)

    async def fail() -> None:
        await asyncio.sleep(2.0)
        raise LookupError("sibling")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_until_terminal(script, timeout=60, schedule=EVERY_SECOND))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(main())
    assert [str(error) for error in caught.value.exceptions] == ["sibling"]
    assert script.polls == 2


@pytest.mark.parametrize("latency", [0.0, 3600.0])
def test_a_cancel_beats_the_deadline(latency: float) -> None:
    """When both come at the same instant, in whatever order, the cancel wins."""

    async def main() -> list[bool]:
        loop = asyncio.get_running_loop()
        early, late = (
            asyncio.create_task(wait_until_terminal(play(PENDING, latency=latency), timeout=3, schedule=Fixed(9.0)))
            for _ in range(2)
        )
        at = 3.0 if latency else 2.7
        loop.call_at(at, early.cancel)  # set before the deadline's own timer, called before it
        await asyncio.sleep(1.0)
        loop.call_at(at, late.cancel)
        await asyncio.wait({early, late})
        return [early.cancelled(), late.cancelled()]

    assert run_virtual(main()) == [True, True]


def test_a_cancelled_fetch_is_not_a_miss() -> None:
    """CancelledError from inside the fetch ends the wait; it is never taken for a failed poll."""
    script = play(asyncio.CancelledError(), DONE)
    with pytest.raises(asyncio.CancelledError):
        run_virtual(wait_until_terminal(script, timeout=60))
    assert script.polls == 1


STEPS: list[Snapshot[Any] | BaseException] = [
    PENDING,
    OSError("cut"),
    PROCESSING,
    Throttled("x", retry_after=2.0),
    DONE,
]


class Cancellable(Script[Any]):
    """A script whose job can be cancelled, in two steps."""

    async def cancel(self) -> None:
        """Take two steps."""
        await asyncio.sleep(0.5)
        await asyncio.sleep(0.5)


async def watched(*, changes_only: bool) -> Snapshot[Any] | None:
    """Watch a job to its end, as a careful consumer does."""
    last: Snapshot[Any] | None = None
    async with aclosing(watch(play(*STEPS, latency=0.25), changes_only=changes_only)) as snapshots:
        async for snapshot in snapshots:
            last = snapshot
            await asyncio.sleep(0.125)
    return last


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: wait_until_terminal(play(*STEPS, latency=0.25), timeout=60),
        lambda: wait_until_terminal(play(*STEPS, latency=0.25), timeout=None),
        lambda: wait_until_terminal(Cancellable(STEPS, latency=0.25), timeout=60, on_abandon="cancel"),
        lambda: watched(changes_only=False),
        lambda: watched(changes_only=True),
    ],
    ids=["wait", "wait without limit", "wait that cancels remotely", "watch", "watch changes"],
)
def test_a_cancel_at_any_await_point_ends_the_wait(make: Callable[[], Any], moment: Moment) -> None:
    """Cancelled at each await point in turn, a wait always ends cancelled, and leaves no task behind."""
    *cancelled, finished = cancelled_everywhere(make, moment=moment)
    assert len(cancelled) >= 10
    assert all(run.cancelled for run in cancelled)
    assert finished.result is DONE


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancel_at_any_await_point_of_a_wait_that_fails(moment: Moment) -> None:
    """A wait that would run out of time is cancelled just as well, up to the cut of its last poll."""

    async def run_out() -> str:
        with pytest.raises(WaitTimeout):
            await wait_until_terminal(play(PENDING, latency=0.75), timeout=4, schedule=EVERY_SECOND)
        return "out of time"

    *cancelled, finished = cancelled_everywhere(run_out, moment=moment)
    assert all(run.cancelled for run in cancelled)
    assert finished.result == "out of time"
