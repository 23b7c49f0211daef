"""The tools for tests: a scripted fetch, a transport without a network, and a virtual clock."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http._message import Reply, Request
from asyncpoll.testing import MemoryTransport, Script, VirtualLoop, run_virtual

STATUS = Request("GET", "/jobs/1")


def test_a_script_repeats_its_last_step() -> None:
    """Snapshots are returned as they are, states as bare snapshots; the last step repeats."""
    done = Snapshot(State.SUCCESS, value=42)
    script: Script[int] = Script([State.PENDING, done])

    async def main() -> list[Snapshot[int]]:
        return [await script() for _ in range(3)]

    assert run_virtual(main()) == [Snapshot(State.PENDING, status="pending"), done, done]
    assert script.polls == 3


def test_a_script_raises_the_errors_among_its_steps() -> None:
    """An exception among the steps is raised, and counts as a poll."""
    script: Script[int] = Script([ConnectionResetError("cut"), State.SUCCESS])
    with pytest.raises(ConnectionResetError, match="cut"):
        run_virtual(script())
    assert script.polls == 1


def test_a_script_has_latency_and_records_its_polls() -> None:
    """Every poll takes the latency, and `polled_at` has the time at which each began."""
    script: Script[int] = Script([State.PENDING], latency=0.25)

    async def main() -> float:
        await script()
        await script()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0.5
    assert script.polled_at == [0.0, 0.25]


def test_a_script_needs_a_step() -> None:
    """An empty script is refused when it is made."""
    with pytest.raises(ValueError, match="at least one step"):
        Script([])


def test_a_memory_transport_is_a_function_of_the_request() -> None:
    """The function makes the reply; every request is counted and kept."""
    transport = MemoryTransport(lambda request: Reply(200, {"path": request.path}))
    assert run_virtual(transport.send(STATUS)) == Reply(200, {"path": "/jobs/1"})
    assert transport.requests == 1
    assert list(transport.sent) == [STATUS]


def test_a_memory_transport_raises_errors_of_its_function() -> None:
    """An error that the function raises is raised by `send`, and the request counts."""

    def refuse(_request: Request) -> Reply:
        raise ConnectionRefusedError

    transport = MemoryTransport(refuse)
    with pytest.raises(ConnectionRefusedError):
        run_virtual(transport.send(STATUS))
    assert transport.requests == 1


def test_a_memory_transport_keeps_the_newest_thousand() -> None:
    """All requests are counted, but only the newest thousand are kept."""
    transport = MemoryTransport(lambda _: Reply(200))

    async def main() -> None:
        for number in range(1001):
            await transport.send(Request("GET", f"/{number}"))

    run_virtual(main())
    assert (transport.requests, len(transport.sent), transport.sent[0].path) == (1001, 1000, "/1")


def test_a_memory_transport_has_latency() -> None:
    """Every exchange takes the latency, and closing it changes nothing."""
    transport = MemoryTransport(lambda _: Reply(204), latency=1.5)

    async def main() -> float:
        await transport.send(STATUS)
        await transport.aclose()
        await transport.send(STATUS)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 3.0


def test_the_clock_jumps_to_the_next_timer() -> None:
    """A year of sleep is over at once, and the clock has advanced by a year."""

    async def main() -> float:
        await asyncio.sleep(365 * 86_400.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 365 * 86_400.0


def test_times_add_up_exactly() -> None:
    """Ten tenths are exactly one: sums of delays have no rounding errors."""

    async def main() -> list[float]:
        times: list[float] = []
        for _ in range(10):
            await asyncio.sleep(0.1)
            times.append(asyncio.get_running_loop().time())
        return times

    assert run_virtual(main()) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_sleepers_wake_in_order() -> None:
    """Concurrent sleepers wake in the order of their times, each exactly at its own."""
    woken: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, asyncio.get_running_loop().time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds in (3.0, 0.5, 2.0):
                group.create_task(sleeper(seconds))

    run_virtual(main())
    assert woken == [(0.5, 0.5), (2.0, 2.0), (3.0, 3.0)]


def test_every_run_starts_at_0() -> None:
    """Each run has its own loop and its own clock."""

    async def main() -> float:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(5.0)
        return now

    assert [run_virtual(main()), run_virtual(main())] == [0.0, 0.0]


def test_exceptions_of_main_are_raised() -> None:
    """The run raises an exception of the main coroutine."""

    async def main() -> None:
        raise LookupError("as it is")

    with pytest.raises(LookupError, match="as it is"):
        run_virtual(main())


def test_a_run_ends_as_asyncio_run_does() -> None:
    """Tasks that still run are cancelled and asynchronous generators closed before the run returns."""
    ended: list[str] = []

    async def lingering() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            ended.append("task")

    async def main() -> str:
        task = asyncio.create_task(lingering())
        await asyncio.sleep(1.0)
        assert not task.done()
        return "result"

    assert run_virtual(main()) == "result"
    assert ended == ["task"]


def test_a_thread_stops_the_clock() -> None:
    """While a thread runs, the virtual clock stops, even when a timer is set."""
    released = threading.Event()

    async def main() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        timer = asyncio.create_task(asyncio.sleep(3600.0))
        threading.Timer(0.05, released.set).start()
        answer = await asyncio.to_thread(released.wait, 5.0)
        at = loop.time()
        await timer
        assert loop.time() == 3600.0
        return answer, at

    assert run_virtual(main()) == (True, 0.0)


def test_a_standstill_is_an_error() -> None:
    """The loop raises an error instead of hanging when every task waits and no timer is set."""
    with (
        pytest.raises(RuntimeError, match="no timer will bring"),
        asyncio.Runner(loop_factory=partial(VirtualLoop, standstill=0.01)) as runner,
    ):
        runner.run(asyncio.Event().wait())


def test_a_call_from_another_thread_ends_a_standstill() -> None:
    """A loop without timers still runs the calls of another thread."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(answer.set_result, "heard"))
        thread.start()
        try:
            return await answer
        finally:
            thread.join()

    assert run_virtual(main()) == "heard"
