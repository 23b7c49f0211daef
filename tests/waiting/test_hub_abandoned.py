"""`on_abandon="cancel"` in a hub: the remote job is cancelled once, when the last wait for it is abandoned."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hub_kit import PENDING, SUCCESS, in_hub, now, play

from asyncpoll import ClientClosed, Fixed, Hub, State, WaitTimeout
from asyncpoll.testing import Script, run_virtual


class Remote(Script[Any]):
    """A job that notes when it was cancelled.

    Args:
        steps: As of a `Script`.
        takes: Seconds that a cancel takes.
    """

    def __init__(self, *steps: Any, takes: float = 0.0) -> None:
        super().__init__(steps)
        self.cancelled_at: list[float] = []
        self._takes = takes

    async def cancel(self) -> None:
        """Note it."""
        await asyncio.sleep(self._takes)
        self.cancelled_at.append(now())


async def abandoned(hub: Hub, job: Any, timeout: float | None, **options: Any) -> None:
    """Wait for a job that does not end."""
    options.setdefault("on_abandon", "cancel")
    with pytest.raises(WaitTimeout):
        await hub.wait(job, timeout=timeout, **options)


def test_a_job_for_which_others_wait_is_left_alone() -> None:
    """One wait runs out, the other goes on and sees the end: nothing is cancelled."""
    job = Remote(*[PENDING] * 9, SUCCESS)

    async def main(hub: Hub) -> None:
        other = asyncio.create_task(hub.wait(job, timeout=60.0))
        await abandoned(hub, job, 3.0)
        assert (await other).state is SUCCESS

    in_hub(main)
    assert job.cancelled_at == []


@pytest.mark.parametrize("timeouts", [(3.0, 6.0), (6.0, 3.0), (4.0, 4.0)])
def test_two_waits_that_run_out_cancel_once(timeouts: tuple[float, float]) -> None:
    """The last one to leave cancels, also when both leave at the same time."""
    job = Remote(PENDING)

    async def main(hub: Hub) -> None:
        await asyncio.gather(*(abandoned(hub, job, timeout) for timeout in timeouts))

    in_hub(main)
    assert len(job.cancelled_at) == 1
    assert max(timeouts) - 1 < job.cancelled_at[0] <= max(timeouts)


def test_the_wish_to_cancel_is_kept_until_the_last_one_leaves() -> None:
    """A wait that asked for it left first; when the last one, which did not ask, is abandoned, the job is cancelled."""
    job = Remote(PENDING)

    async def main(hub: Hub) -> None:
        await asyncio.gather(abandoned(hub, job, 3.0), abandoned(hub, job, 6.0, on_abandon="leave"))

    in_hub(main)
    assert len(job.cancelled_at) == 1
    assert job.cancelled_at[0] > 5.0


def test_a_caller_that_is_cancelled_waits_for_the_remote_cancel() -> None:
    """The remote cancel has been tried when the cancelled call ends."""
    job = Remote(PENDING, takes=2.0)

    async def main(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(job, timeout=None, on_abandon="cancel"))
        await asyncio.sleep(1.0)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        assert job.cancelled_at == [3.0]

    in_hub(main)


def test_closing_the_hub_cancels_too() -> None:
    """Every wait that asked for it has its job cancelled before the hub is closed; others are left alone."""
    jobs = [Remote(PENDING, takes=1.0) for _ in range(5)]
    left = Remote(PENDING)

    async def main() -> None:
        async with Hub(schedule=Fixed(1.0)) as hub:
            waits = [asyncio.create_task(hub.wait(job, timeout=None, on_abandon="cancel")) for job in jobs]
            waits += [asyncio.create_task(hub.wait(jobs[0], timeout=None, on_abandon="cancel"))]
            waits += [asyncio.create_task(hub.wait(left, timeout=None))]
            await asyncio.sleep(2.5)
        assert all(job.cancelled_at == [3.5] for job in jobs)
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(end) for end in ends} == {ClientClosed}

    run_virtual(main())
    assert left.cancelled_at == []


@pytest.mark.parametrize("until", ["all", "first_success"])
def test_leaving_a_run_cancels_what_it_leaves(until: Any) -> None:
    """The jobs without an outcome are cancelled, those that ended are not."""
    done, pending = Remote(SUCCESS), [Remote(PENDING) for _ in range(3)]

    async def main(hub: Hub) -> None:
        options: dict[str, Any] = {"timeout": 60.0, "until": until, "on_abandon": "cancel"}
        async with hub.as_completed([done, *pending], **options) as outcomes:
            assert (await anext(outcomes)).succeeded
            await asyncio.sleep(2.0)
        assert [len(job.cancelled_at) for job in (done, *pending)] == [0, 1, 1, 1]

    in_hub(main)


def test_a_job_that_ended_is_not_cancelled() -> None:
    """Neither is one whose wait ended with an error of another kind."""
    jobs = [Remote(SUCCESS), Remote(State.FAILED), Remote(ValueError())]

    async def main(hub: Hub) -> None:
        for job in jobs:
            with suppress(ValueError):
                await hub.wait(job, timeout=60.0, on_abandon="cancel")

    in_hub(main)
    assert [job.cancelled_at for job in jobs] == [[], [], []]


# closing


def test_a_hub_can_be_closed_at_any_time() -> None:
    """`aclose` ends every wait with `ClientClosed`; calling it again, or from two tasks, does nothing more."""

    async def main() -> None:
        hub = Hub(schedule=Fixed(1.0))
        async with hub:
            wait = asyncio.create_task(hub.wait(play(PENDING), timeout=None))
            await asyncio.sleep(1.5)
            await asyncio.gather(hub.aclose(), hub.aclose())
            with pytest.raises(ClientClosed, match="the hub was closed"):
                await wait
            with pytest.raises(ClientClosed, match="the hub is closed"):
                await hub.wait(play(SUCCESS), timeout=1.0)
            await hub.aclose()
        await hub.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_a_hub_is_opened_once() -> None:
    """A second `async with` is refused while the hub is open, and after it was closed; the first goes on."""

    async def main() -> None:
        hub = Hub()
        async with hub:
            with pytest.raises(ClientClosed, match="opened once"):
                async with hub:
                    pass
            assert (await hub.wait(play(SUCCESS), timeout=1.0)).state is SUCCESS
        with pytest.raises(ClientClosed, match="opened once"):
            async with hub:
                pass

    run_virtual(main())


def test_a_hub_that_was_never_opened_can_be_closed() -> None:
    """Then it cannot be opened any more."""

    async def main() -> None:
        hub = Hub()
        await hub.aclose()
        with pytest.raises(ClientClosed, match="opened once"):
            await hub.__aenter__()
        with pytest.raises(ClientClosed, match="not open"):
            await hub.wait(play(SUCCESS), timeout=1.0)

    run_virtual(main())
