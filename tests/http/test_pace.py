"""Staying away for as long as the server asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asyncpoll._errors import LONGEST_HINT, Throttled
from asyncpoll.http import Paced, Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

GET = Request("GET", "/job")


def throttled(status: int = 429, wait: object = 7) -> Callable[[Request], Reply]:
    """Return a server that always answers *status* with `Retry-After`."""
    return lambda _: Reply(status, headers={"Retry-After": str(wait)}, origin="https://api.example")


@pytest.mark.parametrize("status", [429, 503])
def test_nothing_is_sent_too_early(status: int) -> None:
    """After a throttling reply requests end unsent until the time has come, then they are sent again."""

    async def main() -> None:
        server = MemoryTransport(throttled(status))
        paced = Paced(server)
        assert (await paced.send(GET)).status == status
        await asyncio.sleep(5)
        with pytest.raises(Throttled, match="2 s more") as caught:
            await paced.send(GET)
        assert (caught.value.retry_after, caught.value.origin) == (2.0, "https://api.example")
        assert server.requests == 1
        await asyncio.sleep(2)
        await paced.send(GET)
        assert server.requests == 2

    run_virtual(main())


@pytest.mark.parametrize(
    "reply",
    [Reply(429), Reply(429, headers={"Retry-After": "soon"}), Reply(200, headers={"Retry-After": "7"}), Reply(500)],
)
def test_other_replies_stop_nothing(reply: Reply) -> None:
    """Without a readable Retry-After, or on another status, the next request goes out."""

    async def main() -> None:
        server = MemoryTransport(lambda _: reply)
        paced = Paced(server)
        assert await paced.send(GET) is reply
        assert await paced.send(GET) is reply
        assert server.requests == 2

    run_virtual(main())


def test_the_furthest_time_counts() -> None:
    """Of several replies that were on their way together, the one that leads furthest is obeyed."""
    replies = iter([throttled(wait=9)(GET), throttled(wait=3)(GET)])

    async def main() -> None:
        server = MemoryTransport(lambda _: next(replies), latency=1)
        paced = Paced(server)
        await asyncio.gather(paced.send(GET), paced.send(GET))
        with pytest.raises(Throttled) as caught:
            await paced.send(GET)
        assert caught.value.retry_after == 9
        assert server.requests == 2

    run_virtual(main())


def test_an_absurd_wait_ends_after_a_day() -> None:
    """A Retry-After of thirty years does not make a long-lived client useless."""

    async def main() -> None:
        server = MemoryTransport(throttled(wait=999_999_999))
        paced = Paced(server)
        await paced.send(GET)
        await asyncio.sleep(LONGEST_HINT - 1)
        with pytest.raises(Throttled):
            await paced.send(GET)
        await asyncio.sleep(1)
        await paced.send(GET)
        assert server.requests == 2

    run_virtual(main())


def test_a_timer_that_is_a_tick_early_counts() -> None:
    """Event loops may fire a timer a clock tick early; that is not too early."""

    async def main() -> None:
        server = MemoryTransport(throttled(wait=7))
        paced = Paced(server)
        await paced.send(GET)
        await asyncio.sleep(7 - 1e-9)
        await paced.send(GET)
        assert server.requests == 2

    run_virtual(main())
