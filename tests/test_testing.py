"""What is lent for tests: a scripted fetch, a transport without a network, a clock that jumps."""

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


def test_a_script_gives_its_steps_and_then_the_last_one_for_ever() -> None:
    """Snapshots come as they are, states as bare snapshots; the last step repeats."""
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


def test_a_script_takes_its_time_and_notes_when_it_was_asked() -> None:
    """Every poll takes the latency; `polled_at` holds when each began."""
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
    """The function's answer is the reply; every request is counted and kept."""
    transport = MemoryTransport(lambda request: Reply(200, {"path": request.path}))
    assert run_virtual(transport.send(STATUS)) == Reply(200, {"path": "/jobs/1"})
    assert transport.requests == 1
    assert list(transport.sent) == [STATUS]


def test_a_memory_transport_raises_what_its_function_raises() -> None:
    """A network fault is played by raising it."""

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


def test_a_memory_transport_takes_its_latency() -> None:
    """Every exchange takes the latency, and closing it changes nothing."""
    transport = MemoryTransport(lambda _: Reply(204), latency=1.5)

    async def main() -> float:
        await transport.send(STATUS)
        await transport.aclose()
        await transport.send(STATUS)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 3.0


def test_the_clock_jumps() -> None:
    """A year of sleep is over at once, and the clock says that it was a year."""

    async def main() -> float:
        await asyncio.sleep(365 * 86_400.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 365 * 86_400.0


def test_times_add_up_exactly() -> None:
    """Ten tenths are one: sums of delays come out as one would write them."""

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


def test_every_run_starts_at_nought() -> None:
    """Each run has a loop, and a clock, of its own."""

    async def main() -> float:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(5.0)
        return now

    assert [run_virtual(main()), run_virtual(main())] == [0.0, 0.0]


def test_exceptions_pass_through() -> None:
    """What the main coroutine raises, the run raises."""

    async def main() -> None:
        raise LookupError("as it is")

    with pytest.raises(LookupError, match="as it is"):
        run_virtual(main())


def test_a_run_ends_as_asyncio_run_does() -> None:
    """Tasks that are left over are cancelled and asynchronous generators closed before the run returns."""
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


def test_a_thread_makes_the_clock_stand_still() -> None:
    """While a thread works, in real time, no virtual time passes, even with a timer due."""
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
    """When every task waits for something that no timer will bring, the loop says so instead of hanging."""
    with (
        pytest.raises(RuntimeError, match="no timer will bring"),
        asyncio.Runner(loop_factory=partial(VirtualLoop, standstill=0.01)) as runner,
    ):
        runner.run(asyncio.Event().wait())


def test_a_call_from_another_thread_ends_a_standstill() -> None:
    """A loop without timers still hears what a thread of one's own calls into it."""

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
