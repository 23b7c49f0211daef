"""The remote job when its wait is given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asyncpoll import Fixed, Rejected, Snapshot, State, WaitTimeout, wait_until_terminal, watch
from asyncpoll.testing import Script, run_virtual
from asyncpoll.waiting._job_calls import CANCEL_PATIENCE, UNWINDING, cancel_remotely, remote_cancel_of
from asyncpoll.waiting._policy import Policy


class Remote(Script[int]):
    """A scripted job that can be cancelled, and notes when that was tried."""

    can_cancel = True

    def __init__(
        self, steps: list[State | BaseException], cancelling: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(steps)
        self.cancelled_at: list[float] = []
        self.cancelling = cancelling

    async def cancel(self) -> None:
        """Note the time, then do what was asked for."""
        self.cancelled_at.append(asyncio.get_running_loop().time())
        if self.cancelling is not None:
            await self.cancelling()


def give_up(job: Remote, timeout: float = 3.0) -> tuple[BaseException, float]:
    """Wait for *job* until the deadline; return the error, and when it came."""

    async def main() -> tuple[BaseException, float]:
        with pytest.raises(WaitTimeout) as caught:
            await wait_until_terminal(job, timeout=timeout, schedule=Fixed(1.0), on_abandon="cancel")
        return caught.value, asyncio.get_running_loop().time()

    return run_virtual(main())


# who can be cancelled


def test_a_job_is_left_alone_unless_asked_otherwise() -> None:
    """Leaving is the default, and needs nothing of the fetch."""
    assert remote_cancel_of(Remote([State.PENDING]), "leave") is None
    assert remote_cancel_of(object(), "leave") is None


def test_a_job_is_cancelled_by_its_own_method() -> None:
    """The wait calls the method `cancel` of the job."""
    job = Remote([State.PENDING])
    assert remote_cancel_of(job, "cancel") == job.cancel


def test_what_cannot_be_cancelled_is_refused() -> None:
    """A bare coroutine function, or a job whose API cannot cancel, is refused before anything is requested."""
    job = Remote([State.PENDING])
    job.can_cancel = False
    bare: Script[int] = Script([State.PENDING])
    for fetch in (job, bare):
        with pytest.raises(ValueError, match="wait with on_abandon='leave'"):
            remote_cancel_of(fetch, "cancel")


def test_another_word_is_refused() -> None:
    """There are two words; the policy refuses another one by name."""
    with pytest.raises(ValueError, match="on_abandon must be 'leave' or 'cancel', not 'stop'"):
        Policy(on_abandon="stop")  # type: ignore[arg-type]  # that is what must fail


# when


def test_a_deadline_cancels_the_job_once() -> None:
    """When the deadline passes, the remote job is cancelled, once."""
    job = Remote([State.PENDING])
    give_up(job)
    assert job.cancelled_at == [2.7]


def test_a_local_cancel_cancels_the_job_once() -> None:
    """When the waiting task is cancelled, the remote job is cancelled, once, and CancelledError leaves the wait."""
    job = Remote([State.PENDING])

    async def main() -> None:
        task = asyncio.create_task(wait_until_terminal(job, timeout=60, schedule=Fixed(1.0), on_abandon="cancel"))
        await asyncio.sleep(4.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())
    assert job.cancelled_at == [4.5]


def test_leaving_a_watch_cancels_the_job() -> None:
    """Closing the generator gives the wait up too."""
    job = Remote([State.PENDING])

    async def main() -> None:
        snapshots = watch(job, on_abandon="cancel")
        await anext(snapshots)
        await snapshots.aclose()

    run_virtual(main())
    assert job.cancelled_at == [0.0]


@pytest.mark.parametrize("state", [state for state in State if state.is_terminal])
def test_a_job_that_ended_is_not_cancelled(state: State) -> None:
    """After a terminal answer there is nothing to cancel, not even when the generator is closed on it."""
    job = Remote([state])

    async def main() -> Snapshot[int]:
        snapshots = watch(job, on_abandon="cancel")
        await anext(snapshots)
        await snapshots.aclose()
        return await wait_until_terminal(job, timeout=5, on_abandon="cancel")

    assert run_virtual(main()).state is state
    assert job.cancelled_at == []


def test_an_error_is_not_giving_up() -> None:
    """When a poll fails for good, the remote job is left alone: it was not given up."""
    job = Remote([Rejected("the key is wrong")])
    with pytest.raises(Rejected):
        run_virtual(wait_until_terminal(job, timeout=5, on_abandon="cancel"))
    assert job.cancelled_at == []


# how


def test_an_attempt_that_hangs_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """The attempt takes 5 s at most; then the wait ends for its own reason and the log says what happened."""
    with caplog.at_level(logging.WARNING):
        error, at = give_up(Remote([State.PENDING], lambda: asyncio.sleep(3600.0)))
    assert isinstance(error, WaitTimeout)
    assert at == 2.7 + CANCEL_PATIENCE == 7.7
    assert "took more than 5 s" in caplog.text


def test_an_attempt_that_will_not_be_cut_is_bounded_too(caplog: pytest.LogCaptureFixture) -> None:
    """An attempt that resists its cancellation holds the wait up for half a second more, no longer."""

    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(60.0)
            except asyncio.CancelledError:
                continue

    with caplog.at_level(logging.WARNING):
        _, at = give_up(Remote([State.PENDING], stubborn))
    assert at == pytest.approx(2.7 + CANCEL_PATIENCE + UNWINDING)
    assert "took more than 5 s" in caplog.text


def test_an_attempt_may_end_in_order_when_cut() -> None:
    """An attempt that is cut gets the time to close what it opened."""
    closed: list[str] = []

    async def orderly() -> None:
        try:
            await asyncio.sleep(60.0)
        finally:
            await asyncio.sleep(0.25)
            closed.append("connection")

    _, at = give_up(Remote([State.PENDING], orderly))
    assert (at, closed) == (7.95, ["connection"])


@pytest.mark.parametrize("error", [Rejected("not yours"), ConnectionResetError("cut"), RuntimeError("a bug")])
def test_a_failed_attempt_masks_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the attempt is logged; the wait ends for its own reason."""

    async def fail() -> None:
        raise error

    with caplog.at_level(logging.WARNING):
        give_up(Remote([State.PENDING], fail))
    assert f"the remote cancel failed: {error}" in caplog.text


def test_a_cancel_that_is_not_a_coroutine_function_masks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A `cancel` that returns nothing to await is a failed attempt like any other."""

    async def main() -> None:
        answer: Any = None
        await cancel_remotely(lambda: answer)

    with caplog.at_level(logging.WARNING):
        run_virtual(main())
    assert "the remote cancel failed: object NoneType can't be used in 'await' expression" in caplog.text


def test_a_second_cancel_ends_the_attempt_at_once() -> None:
    """Who cancels a wait that is busy cancelling remotely gets out at once, and the attempt ends with it."""
    job = Remote([State.PENDING], lambda: asyncio.sleep(3600.0))

    async def main() -> float:
        task = asyncio.create_task(wait_until_terminal(job, timeout=60, on_abandon="cancel"))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 1.5
