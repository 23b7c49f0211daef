"""Throttling answers, malformed ones, and polls that were held up."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hub_kit import PENDING, PROCESSING, SUCCESS, in_hub, now, play

from asyncpoll import (
    BadReply,
    Endpoint,
    Fixed,
    Hub,
    Snapshot,
    Throttled,
    TransportError,
    WaitTimeout,
    wait_until_terminal,
)
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, VirtualLoop, run_virtual

FAST = Fixed(0.05)


def gaps(times: list[float]) -> list[float]:
    """Return the seconds between polls."""
    return [after - before for before, after in pairwise(times)]


async def wait(job: Any, hub: Hub | None, **options: Any) -> Any:
    """Wait in a hub, or alone."""
    return await (wait_until_terminal(job, **options) if hub is None else hub.wait(job, **options))


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("hint", [None, 0.0])
def test_throttling_without_a_time_has_a_curve_of_its_own(alone: bool, hint: float | None) -> None:  # noqa: FBT001  both
    """However fast the schedule, the gaps begin at a second or more, double, and stop growing at a minute."""
    script = play(Throttled("slower", status=429, retry_after=hint))

    async def main(hub: Hub) -> None:
        with pytest.raises(WaitTimeout):
            await wait(script, None if alone else hub, timeout=600.0, schedule=FAST)

    in_hub(main)
    seen = gaps(script.polled_at)[:-1]
    assert all(min(2.0**number, 30.0) <= gap <= 2 * min(2.0**number, 30.0) + 0.01 for number, gap in enumerate(seen))
    assert len(seen) > 8
    assert len(set(seen[5:])) > 1


@pytest.mark.parametrize("alone", [True, False])
def test_the_curve_begins_anew_after_an_answer(alone: bool) -> None:  # noqa: FBT001  both
    """A poll that sees the job ends the row; a schedule that is slower than the curve is kept."""
    slower = Throttled("slower", status=429)
    script = play(slower, slower, PENDING, slower, SUCCESS)

    async def main(hub: Hub) -> None:
        await wait(script, None if alone else hub, timeout=600.0, schedule=FAST)

    in_hub(main)
    first, second, third, fourth = gaps(script.polled_at)
    assert 1.0 <= first <= 2.0 <= second <= 4.0
    assert third < 2.5
    assert 1.0 <= fourth <= 2.0


def test_a_throttled_wait_ends_in_time() -> None:
    """The curve does not outlive the deadline, and the last poll is at least a second after the one before."""
    script = play(Throttled("slower", status=429))
    with pytest.raises(WaitTimeout):
        run_virtual(wait_until_terminal(script, timeout=5.0, schedule=FAST))
    assert all(gap > 0.999 for gap in gaps(script.polled_at))  # but for rounding


@pytest.mark.parametrize("status", [400, 403, 413, 429])
@pytest.mark.parametrize("headers", [{"Retry-After": "7"}, {"X-RateLimit-Remaining": "0"}])
def test_what_says_slower_is_waited_out(status: int, headers: dict[str, str]) -> None:
    """A status that would end the wait is throttling when it comes with a time or with an empty budget."""
    replies = iter([Reply(status, {}, headers), Reply(200, {"state": "success"})])
    endpoint: Endpoint[str, str] = Endpoint(
        "made.up", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda reply: Snapshot(reply.json["state"])
    )
    transport = MemoryTransport(lambda _request: next(replies))

    async def main() -> float:
        await endpoint.job(transport, "1").wait(timeout=60.0, schedule=FAST)
        return now()

    assert run_virtual(main()) >= (7.0 if "Retry-After" in headers else 1.0)


KINDS = ["dns", "protocol", "encoding", "malformed", "limit", "identity", "unknown_code"]


def fault(kind: str) -> TransportError:
    """Return a passing error of a kind that has a limit."""
    return (BadReply if kind != "dns" else TransportError)("odd", kind=kind)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_faults_that_last_under_a_minute_are_waited_out(kind: str, alone: bool) -> None:  # noqa: FBT001  both
    """A gateway that restarts says odd things for half a minute; the wait goes on, however often it is told them."""

    async def fetch() -> Snapshot[str]:
        if now() < 50.0:
            raise fault(kind)
        return Snapshot(SUCCESS)

    async def main(hub: Hub) -> None:
        await wait(fetch, None if alone else hub, timeout=600.0, schedule=Fixed(2.0))

    in_hub(main)


@pytest.mark.parametrize("kind", KINDS)
def test_faults_that_last_over_a_minute_end_the_wait(kind: str) -> None:
    """Enough of one kind in a row that last for a minute are raised."""
    script = play(fault(kind))

    async def main() -> float:
        with pytest.raises(TransportError) as caught:
            await wait_until_terminal(script, timeout=600.0, schedule=Fixed(2.0))
        assert caught.value.kind == kind
        return now()

    assert run_virtual(main()) == 60.0


def test_a_limit_needs_its_number_too() -> None:
    """Polls that are minutes apart need as many of a kind in a row as ever."""
    script = play(fault("malformed"))
    with pytest.raises(BadReply):
        run_virtual(wait_until_terminal(script, timeout=None, schedule=Fixed(100.0)))
    assert script.polls == 5


def test_the_callers_own_limit_stays_exact() -> None:
    """`max_misses=` counts, whatever time has passed."""
    script = play(fault("malformed"))
    with pytest.raises(BadReply):
        run_virtual(wait_until_terminal(script, timeout=600.0, schedule=Fixed(1.0), max_misses=2))
    assert script.polled_at == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("alone", [True, False])
def test_a_bad_reply_that_is_not_passing_ends_the_wait(alone: bool) -> None:  # noqa: FBT001  both
    """A provider may say that asking again will not help."""
    script = play(BadReply("never", passing=False))

    async def main(hub: Hub) -> None:
        with pytest.raises(BadReply):
            await wait(script, None if alone else hub, timeout=60.0)

    in_hub(main)
    assert script.polls == 1


# polls that were held up


class Stopped(VirtualLoop):
    """A loop whose process is stopped for a while, as by SIGSTOP or a laptop that sleeps."""

    def stop_for(self, seconds: float) -> None:
        """Let the clock go on without running anything."""
        self._selector_that_jumps.now += seconds


async def stopped_at(time: float, seconds: float) -> None:
    """Stop the process at a time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Stopped)
    await asyncio.sleep(time - loop.time())
    loop.stop_for(seconds)


def run_stopped(main: Any) -> None:
    """Run a coroutine on a loop that can be stopped."""
    with asyncio.Runner(loop_factory=Stopped) as runner:
        runner.run(main)


@pytest.mark.parametrize("alone", [True, False])
def test_waking_up_makes_no_burst(alone: bool) -> None:  # noqa: FBT001  both
    """Overdue polls of sixty waits are spread over an interval after the process was stopped."""
    scripts = [play(PROCESSING) for _ in range(60)]

    async def main() -> None:
        async with Hub(schedule=Fixed(5.0), random=Random(1).random) as hub:
            waits = [
                asyncio.create_task(wait(script, None if alone else hub, timeout=120.0, schedule=Fixed(5.0)))
                for script in scripts
            ]
            await stopped_at(22.0, 60.0)
            await asyncio.sleep(30.0)
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    run_stopped(main())
    first = sorted(min(at for at in script.polled_at if at > 22.0) for script in scripts)
    assert first[0] >= 82.0
    assert sum(at < 82.5 for at in first) < 20
    assert 84.0 < first[-1] < 90.0


def test_waking_up_past_a_deadline_ends_the_wait() -> None:
    """A wait whose deadline passed while the process was stopped ends at once, in a hub as alone."""

    async def main() -> None:
        async with Hub(schedule=Fixed(5.0)) as hub:
            waits = [asyncio.create_task(wait(play(PENDING), home, timeout=30.0)) for home in (hub, None)]
            await stopped_at(7.0, 100.0)
            for ended in await asyncio.gather(*waits, return_exceptions=True):
                assert isinstance(ended, WaitTimeout)
            assert now() < 107.1

    run_stopped(main())
