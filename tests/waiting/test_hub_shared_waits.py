"""Waits that share the polls of one job: each keeps its schedule, deadline, limits and hints."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hub_kit import EVERY_SECOND, PENDING, PROCESSING, SUCCESS, in_hub, now, play

from asyncpoll import Endpoint, Exponential, Fixed, Hub, Snapshot, State, WaitTimeout, wait_until_terminal
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual


def together(hub: Hub, job: Any, *waits: dict[str, Any]) -> asyncio.Future[list[Any]]:
    """Begin several waits for a job, half a second apart."""

    async def later(number: int, options: dict[str, Any]) -> Any:
        await asyncio.sleep(number / 2)
        chosen: dict[str, Any] = {"timeout": 200.0, **options}
        return await hub.wait(job, **chosen)

    return asyncio.gather(*(later(number, options) for number, options in enumerate(waits)), return_exceptions=True)


@pytest.mark.parametrize(
    ("first", "second", "polled_at"),
    [(60.0, 2.0, [0.0, 2.5, 4.5, 6.5]), (2.0, 60.0, [0.0, 2.0, 4.0, 6.0]), (3.0, 2.0, [0.0, 2.5, 4.5, 6.5])],
)
def test_the_earliest_time_that_any_waiter_wants_counts(first: float, second: float, polled_at: list[float]) -> None:
    """Whoever came first, the fastest schedule sets the pace, and no faster one is made of the two."""
    script = play(PENDING, PENDING, PENDING, SUCCESS)

    async def main(hub: Hub) -> None:
        await together(hub, script, {"schedule": Fixed(first)}, {"schedule": Fixed(second)})

    in_hub(main)
    assert script.polled_at == polled_at


def test_a_fast_waiter_that_leaves_takes_its_pace_along() -> None:
    """Once the fast waiter is gone, the slow one goes on at its own pace."""
    script = play(PENDING)

    async def main(hub: Hub) -> None:
        await together(
            hub, script, {"schedule": Fixed(20.0), "timeout": 60.0}, {"schedule": Fixed(2.0), "timeout": 5.0}
        )

    in_hub(main)
    assert script.polled_at[:4] == [0.0, 2.5, 4.5, 5.0]
    assert all(
        after - before > 10.0 for before, after in zip(script.polled_at[4:-1], script.polled_at[5:], strict=True)
    )


def test_each_waiter_has_its_own_hints() -> None:
    """One heeds the server's hint, the other ignores it: the poll is made when the second wants it."""
    script = play(Snapshot(PENDING, retry_after=30.0), Snapshot(PENDING, retry_after=30.0), SUCCESS)

    async def main(hub: Hub) -> None:
        await together(hub, script, {}, {"hints": "ignore"})

    in_hub(main)
    assert script.polled_at[1] < 3.0


def test_waiters_of_one_schedule_do_not_hasten_each_other() -> None:
    """A hundred waits with one jittered schedule are polled as often as one is."""
    script = play(*[PENDING] * 30, SUCCESS)

    async def main(hub: Hub) -> float:
        await asyncio.gather(*(hub.wait(script, timeout=None) for _ in range(100)))
        return now()

    took = in_hub(main, schedule=Exponential(initial=1.0, maximum=10.0))
    assert took > 60.0


def test_each_waiter_has_its_own_limits() -> None:
    """Deadlines and numbers of polls are those of each wait; the last to leave ends the polling."""
    script = play(PENDING)

    async def main(hub: Hub) -> None:
        ends = await together(hub, script, {"timeout": 3.0}, {"max_polls": 2}, {"timeout": 6.0, "stable_for": 3})
        assert [(type(end), end.limit) for end in ends] == [
            (WaitTimeout, "total"),
            (WaitTimeout, "polls"),
            (WaitTimeout, "total"),
        ]

    in_hub(main)
    assert script.polled_at[-1] <= 7.0


@pytest.mark.parametrize("timeout", [3.0, 7.5])
def test_a_timeout_has_the_payload_last_seen(timeout: float) -> None:
    """`WaitTimeout.last` is the snapshot of the last poll, with its payload, in a hub as alone."""
    script = play(*(Snapshot(PROCESSING, raw={"answer": number}) for number in range(100)), latency=0.5)

    async def last_of(wait: Any) -> Any:
        with pytest.raises(WaitTimeout) as caught:
            await wait
        return caught.value.last

    async def main(hub: Hub) -> None:
        last = await last_of(hub.wait(script, timeout=timeout))
        alone = await last_of(wait_until_terminal(script, timeout=timeout, schedule=EVERY_SECOND))
        assert last.raw["answer"] in {script.polls // 2 - 1, script.polls // 2 - 2}
        assert alone.raw["answer"] > last.raw["answer"]

    in_hub(main)


def test_a_crowd_of_waits_keeps_no_payloads() -> None:
    """Among thousands of waits the payload of an unfinished job is kept by none, but the last poll's error has it."""

    async def main(hub: Hub) -> None:
        jobs = [play(Snapshot(PROCESSING, raw={"answer": number})) for number in range(1500)]
        outcomes = await hub.wait_all(jobs, timeout=3.0)
        assert sum(outcome.snapshot is not None and outcome.snapshot.raw is not None for outcome in outcomes) > 1400

    in_hub(main, concurrency=5000)


def test_waits_that_end_together_leave_no_ghost() -> None:
    """Two waits for a job end with one for another job, as the server's pause does; later polls find their slots."""

    def answer(request: Request) -> Reply:
        if request.path == "/busy":
            return Reply(503, {}, {"retry-after": "1"})
        return Reply(200, {"state": "success" if request.path == "/later" else "pending"})

    transport = MemoryTransport(answer)
    endpoint: Endpoint[str, None] = Endpoint(
        "v.jobs", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda reply: Snapshot(reply.json["state"])
    )

    async def main() -> list[Any]:
        ended: list[Any] = []
        async with Hub(concurrency=2, schedule=Fixed(2.0, jitter=None)) as hub:
            for _ in range(2):  # as often as there are slots
                first = [hub.wait(endpoint.job(transport, ref), timeout=1.0) for ref in ("busy", "busy", "slow")]
                ended += await asyncio.gather(*first, return_exceptions=True)
            return [*ended, await hub.wait(endpoint.job(transport, "later"), timeout=30.0)]

    *ended, later = run_virtual(main())
    assert [type(one) for one in ended] == [WaitTimeout] * 6
    assert later.state is State.SUCCESS
