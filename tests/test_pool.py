"""Connections under control; what a transport makes of them is tested there."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from raw_server import Act, Script, json_reply, polls, raw_server

from asyncpoll.http.message import Request
from asyncpoll.http.transport import AiohttpTransport, pool

POLL = Request("GET", "/")


@pytest.mark.parametrize("is_readable", [pool._by_poll, pool._by_select])
def test_unread_data(is_readable: Any) -> None:
    """What was sent and not read can be seen without reading it."""
    one, other = socket.socketpair()
    with one, other:
        assert not is_readable(one.fileno())
        other.send(b"x")
        assert is_readable(one.fileno())


async def test_what_the_event_loop_has_not_read_yet() -> None:
    """What a server said unasked is no answer, even when the loop was too busy to notice it."""
    now = asyncio.Event()
    first: Script = [Act.READ, json_reply("a"), now, json_reply("evil"), Act.HANG]
    async with raw_server(first, polls(json_reply("b"))) as server, AiohttpTransport(server.url) as transport:
        assert (await transport.send(POLL)).json == "a"
        now.set()
        await asyncio.sleep(0)
        time.sleep(0.01)  # noqa: ASYNC251  the loop is kept from reading
        assert (await transport.send(POLL)).json == "b"
