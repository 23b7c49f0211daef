"""A driver that cancels a coroutine at each of its await points, one run after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Literal, TypeVar

from attrs import frozen

from asyncpoll.testing import run_virtual

T = TypeVar("T")
Moment = Literal["while it waits", "as it wakes"]
MOMENTS: tuple[Moment, ...] = ("while it waits", "as it wakes")
_MOST_POINTS = 500


@frozen
class Run:
    """How one run ended: `point` is where it was cancelled, or None when it came to its end before."""

    point: int | None
    cancelled: bool
    result: Any


def cancelled_everywhere(
    make: Callable[[], Awaitable[T]],
    *,
    moment: Moment,
    run: Callable[[Coroutine[Any, Any, Run]], Run] = run_virtual,
    check: Callable[[], Awaitable[None]] | None = None,
    settling: int = 0,
) -> list[Run]:
    """Cancel what *make* makes at its first await point, then a new one at its second, until one comes to its end.

    Args:
        make: Makes the awaitable anew for every run.
        moment: Whether the cancellation comes while the future waited for is open, or just as it is done.
        run: Runs a coroutine on an event loop of its own.
        check: Awaited after every run, on the same loop.
        settling: Turns of the event loop that tasks cancelled with it have to end; sockets need some.

    Raises:
        AssertionError: A run left a task behind, or failed otherwise than by its cancellation.
    """
    runs: list[Run] = []
    for point in range(1, _MOST_POINTS):
        runs.append(run(_cancelled_at(point, moment, make, check, settling)))
        if runs[-1].point is None:
            return runs
    raise AssertionError(f"more than {_MOST_POINTS} await points")


async def _cancelled_at(
    point: int,
    moment: Moment,
    make: Callable[[], Awaitable[Any]],
    check: Callable[[], Awaitable[None]] | None,
    settling: int,
) -> Run:
    reached: list[int] = []
    others = asyncio.all_tasks()
    task = asyncio.create_task(_drive(make, point, moment, reached))
    await asyncio.wait({task})
    for _ in range(settling):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - others
    assert not left, f"cancelled at await point {point}, it left {left}"
    if check is not None:
        await check()
    return Run(reached[0] if reached else None, task.cancelled(), None if task.cancelled() else task.result())


async def _drive(make: Callable[[], Awaitable[Any]], point: int, moment: Moment, reached: list[int]) -> Any:
    return await _stepped(make(), point, moment, reached)


@coroutine
def _stepped(work: Awaitable[Any], point: int, moment: Moment, reached: list[int]) -> Generator[Any, Any, Any]:
    steps: Any = work.__await__()
    resume, message = steps.send, None
    for number in range(1, 1_000_000):
        try:
            waited_for = resume(message)
        except StopIteration as end:
            return end.value
        if number == point:
            reached.append(point)
            _cancel(moment, waited_for)
        try:
            resume, message = steps.send, (yield waited_for)
        except BaseException as error:  # noqa: BLE001  whatever the loop throws in is for the coroutine
            resume, message = steps.throw, error
    raise AssertionError("it never ends")


def _cancel(moment: Moment, waited_for: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    if moment == "as it wakes" and isinstance(waited_for, asyncio.Future):
        waited_for.add_done_callback(lambda _: task.cancel())  # called before the one with which the task wakes
    else:
        asyncio.get_running_loop().call_soon(task.cancel)
