"""Wrong arguments of a transport: each is refused when it is passed, with the cure and without a secret."""

from __future__ import annotations

import math
from typing import Any

import aiohttp
import pytest
from raw_server import Act, Script, json_reply, polls, raw_server

from asyncpoll._errors import BadReply, TransportError
from asyncpoll.http import AiohttpTransport, Request

CANARY = "canary-0123456789"
POLL = Request("GET", "/poll")


@pytest.mark.parametrize("name", ["attempt", "connect", "read_gap"])
@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (math.nan, ValueError), ("5", TypeError), (True, TypeError)]
)
def test_a_limit_that_is_not_seconds(name: str, value: Any, error: type[Exception]) -> None:
    """A limit of time is a finite number of seconds above 0."""
    settings: dict[str, Any] = {name: value}
    with pytest.raises(error, match=rf"^{name} must be a .*number of seconds above 0"):
        AiohttpTransport("https://api.example", **settings)


@pytest.mark.parametrize("name", ["max_body", "connections"])
@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (math.nan, TypeError), ("5", TypeError), (1.5, TypeError)]
)
def test_a_limit_that_is_not_a_count(name: str, value: Any, error: type[Exception]) -> None:
    """A size or a count is a whole number, at least 1."""
    settings: dict[str, Any] = {name: value}
    with pytest.raises(error, match=f"^{name} must be a whole number, at least 1"):
        AiohttpTransport("https://api.example", **settings)


@pytest.mark.parametrize(
    ("base_url", "error", "cure"),
    [
        (f"https://api.example?key={CANARY}", ValueError, "leave out the query"),
        (f"https://{CANARY}@api.example", ValueError, "it holds a user name"),
        ("api.example", ValueError, "write it as https://host/path"),
        (None, TypeError, "base_url must be text, not NoneType"),
        (CANARY.encode(), TypeError, "base_url must be text, not bytes"),
    ],
)
def test_an_unusable_base_url(base_url: Any, error: type[Exception], cure: str) -> None:
    """The message says what to change, and does not repeat the address."""
    with pytest.raises(error, match=cure) as caught:
        AiohttpTransport(base_url)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "error", "cure"),
    [
        ({"proxy": f"{CANARY}:x@127.0.0.1:3128"}, ValueError, "it has no scheme; write it as http://host:port"),
        ({"proxy": 3128}, TypeError, "proxy must be a URL as text, not int"),
        ({"ssl": False}, TypeError, "ssl must be an ssl.SSLContext or None, not bool"),
        ({"ssl": True}, TypeError, "not bool; to trust a private authority, pass ssl.create_default_context"),
        ({"ssl": CANARY}, TypeError, "ssl must be an ssl.SSLContext or None, not str"),
        ({"session": CANARY}, TypeError, "session must be an aiohttp.ClientSession or None, not str"),
    ],
)
def test_an_unusable_setting(settings: Any, error: type[Exception], cure: str) -> None:
    """The message names the setting, and does not repeat its value."""
    with pytest.raises(error, match=cure) as caught:
        AiohttpTransport("https://api.example", **settings)
    assert CANARY not in str(caught.value)


async def test_a_name_that_cannot_be_looked_up() -> None:
    """The error says in words that the lookup failed, and with which code."""
    async with AiohttpTransport("https://does-not-exist.invalid") as transport:
        with pytest.raises(TransportError, match=r"\(the name lookup failed: EAI_[A-Z]+\)$") as caught:
            await transport.send(POLL)
    assert "Connector" not in str(caught.value)


@pytest.mark.parametrize("lent", [True, False])
async def test_a_stray_half_of_a_status_line(*, lent: bool) -> None:
    """Half a head between two answers, and the rest of it after the next request: its answer is never taken."""
    stray = json_reply("out of turn")
    script: Script = [Act.READ, json_reply(1) + stray[:12], Act.READ, stray[12:], Act.HANG]
    async with raw_server(script, polls(json_reply(2))) as server, aiohttp.ClientSession() as session:
        settings: dict[str, Any] = {"session": session} if lent else {}
        async with AiohttpTransport(server.url, **settings) as transport:
            assert (await transport.send(POLL)).json == 1
            with pytest.raises(BadReply) as caught:
                await transport.send(POLL)
            assert caught.value.kind == "protocol"
            assert (await transport.send(POLL)).json == 2
