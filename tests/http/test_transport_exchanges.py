"""What a transport has under way."""

from __future__ import annotations

import asyncio
import os

import pytest

from asyncpoll._errors import ClientClosed
from asyncpoll.http.transport._exchanges import Exchanges
from asyncpoll.testing import run_virtual


async def _fly(exchanges: Exchanges, seconds: float, work: asyncio.Event | None = None) -> str:
    try:
        async with exchanges.admit() as scope:
            exchanges.set_deadline(scope, asyncio.get_running_loop().time() + seconds)
            await (work or asyncio.Event()).wait()
    except TimeoutError:
        return "expired"
    return "landed"


def test_each_exchange_has_its_own_time() -> None:
    """Of exchanges with different limits each ends at its own, whichever began first."""
    ended: list[float] = []

    async def fly(exchanges: Exchanges, seconds: float) -> None:
        assert await _fly(exchanges, seconds) == "expired"
        ended.append(asyncio.get_running_loop().time())

    async def main() -> None:
        exchanges = Exchanges(10)
        await asyncio.gather(*(fly(exchanges, seconds) for seconds in (3.0, 1.0, 2.0, 1.0)))
        assert exchanges.scopes == {}

    run_virtual(main())
    assert ended == [1.0, 1.0, 2.0, 3.0]


async def test_a_limit_can_be_moved() -> None:
    """The time of a flight that is under way can be shortened, and prolonged again."""
    exchanges = Exchanges(1)
    now = asyncio.get_running_loop().time

    async def fly() -> None:
        async with exchanges.admit() as scope:
            exchanges.set_deadline(scope, now() + 60)
            exchanges.set_deadline(scope, now() + 0.01)
            exchanges.set_deadline(scope, now() + 60)
            await asyncio.sleep(0.02)
            exchanges.set_deadline(scope, now() + 0.01)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await fly()


async def test_slots() -> None:
    """There are never more exchanges at once than slots; the others wait without their time running."""
    exchanges = Exchanges(2)
    aloft = most = 0

    async def fly() -> None:
        nonlocal aloft, most
        async with exchanges.admit() as scope:
            exchanges.set_deadline(scope, asyncio.get_running_loop().time() + 5)
            aloft += 1
            most = max(most, aloft)
            await asyncio.sleep(0)
            aloft -= 1

    await asyncio.gather(*[fly() for _ in range(10)])
    assert most == 2


async def test_a_cancelled_wait_loses_no_slot() -> None:
    """Who stops waiting for a slot takes none along."""
    exchanges, work = Exchanges(1), asyncio.Event()
    first = asyncio.create_task(_fly(exchanges, 5, work))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(_fly(exchanges, 5, work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    work.set()
    assert await first == "landed"
    assert await _fly(exchanges, 5, work) == "landed"
    assert exchanges.scopes == {}


async def test_close_ends_everything() -> None:
    """Whoever flies or waits for a slot ends with the timeout of its own scope, and nobody can begin again."""
    exchanges = Exchanges(1)
    tasks = [asyncio.create_task(_fly(exchanges, 60)) for _ in range(3)]
    await asyncio.sleep(0)
    await exchanges.close(5.0)
    assert await asyncio.gather(*tasks) == ["expired"] * 3
    with pytest.raises(ClientClosed):
        exchanges.admit()


async def test_close_without_exchanges() -> None:
    """There is nothing to wait for, the first time and the second."""
    exchanges = Exchanges(1)
    await exchanges.close(5.0)
    await exchanges.close(5.0)
    assert exchanges.closed


async def test_close_does_not_wait_for_ever() -> None:
    """Who does not heed the end holds up closing for the grace at most; nothing prolongs its time any more."""
    exchanges, stubborn = Exchanges(1), asyncio.Event()

    async def fly() -> None:
        async with exchanges.admit() as scope:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                exchanges.set_deadline(scope, asyncio.get_running_loop().time() + 60)
                await stubborn.wait()
                raise

    task = asyncio.create_task(fly())
    await asyncio.sleep(0)
    await exchanges.close(0.01)
    assert not task.done()
    await exchanges.close(0.0)
    stubborn.set()
    with pytest.raises(TimeoutError):
        await task


async def test_a_cancel_from_outside_is_a_cancel() -> None:
    """A flight that is cancelled by its task's owner is not mistaken for one that took too long."""
    exchanges = Exchanges(1)
    task = asyncio.create_task(_fly(exchanges, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchanges.scopes == {}


async def test_a_cancel_beside_the_end_is_a_cancel() -> None:
    """Who is cancelled while all exchanges are ended learns of the cancel."""
    exchanges = Exchanges(1)
    task = asyncio.create_task(_fly(exchanges, 60))
    await asyncio.sleep(0)
    task.cancel()
    await exchanges.close(5.0)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_another_event_loop() -> None:
    """What was used in one event loop cannot be used in another one."""

    async def bind() -> None:
        exchanges.bind()
        assert exchanges.home() is asyncio.get_running_loop()
        exchanges.bind()

    exchanges = Exchanges(1)
    asyncio.run(bind())
    with pytest.raises(ClientClosed, match="another event loop"):
        asyncio.run(bind())


async def test_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used in one process cannot be used in its fork."""
    exchanges = Exchanges(1)
    assert exchanges.home() is None
    exchanges.bind()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ClientClosed, match="forked"):
        exchanges.bind()
    assert exchanges.home() is None
