"""Streams: one GET over a connection of its own, with nothing of ours."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from raw_server import Act, json_reply, raw_server, reply

from asyncpoll._errors import Rejected, TransportError
from asyncpoll.http._download import AddressInfo
from asyncpoll.http._message import Stream
from asyncpoll.http._settings import ExchangeLimits
from asyncpoll.http.transport import open_stream


def _any_socket(info: AddressInfo) -> socket.socket:
    return socket.socket(*info[:3])


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncGenerator[Stream, None]:
    """Open *url* with limits that do not matter, unless they are given."""
    limits = ExchangeLimits(**{name: settings.pop(name, 5.0) for name in ("attempt", "connect", "read_gap")})
    defaults: dict[str, Any] = {"socket_factory": _any_socket, "limits": limits}
    async with open_stream(url, **(defaults | settings)) as stream:
        yield stream


async def test_a_stream() -> None:
    """The body comes in pieces, as it is, after a status and headers."""
    body = bytes(range(256)) * 2000
    async with raw_server([Act.READ, reply(body, "X-A: 1")]) as server, opened(f"{server.url}/a%2Fb?x=1") as stream:
        assert (stream.status, stream.headers["x-a"]) == (200, "1")
        assert b"".join([piece async for piece in stream.chunks]) == body
    (head,) = server.requests
    assert head.startswith(b"GET /a%2Fb?x=1 HTTP/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in head.lower()
    assert not {b"authorization", b"cookie", b"referer"} & {line.split(b":")[0] for line in head.lower().split(b"\r\n")}


async def test_nothing_is_decompressed_or_followed() -> None:
    """What is compressed without our asking, and where a redirect leads, is for the caller to judge."""
    answer = reply(b"\x1f\x8b...", "Content-Encoding: gzip", "Location: http://127.0.0.1:1/", status=302)
    async with raw_server([Act.READ, answer]) as server, opened(server.url) as stream:
        assert (stream.status, stream.headers["location"]) == (302, "http://127.0.0.1:1/")
        assert b"".join([piece async for piece in stream.chunks]) == b"\x1f\x8b..."


async def test_a_stream_that_is_left_early() -> None:
    """Whoever has seen enough leaves, and the connection is closed."""
    async with raw_server([Act.READ, reply(bytes(1 << 20))[:-1], Act.HANG]) as server:
        async with opened(server.url) as stream:
            assert await anext(aiter(stream.chunks))
        await server.quiet.wait()


async def test_errors_of_the_user_pass() -> None:
    """What is raised inside is raised as it is."""
    async with raw_server([Act.READ, json_reply(1)]) as server:
        with pytest.raises(KeyError):
            async with opened(server.url):
                raise KeyError


async def test_the_socket_factory_decides() -> None:
    """It is asked for each address, literal or looked up, and may refuse."""
    asked: list[Any] = []

    def refuse(info: AddressInfo) -> socket.socket:
        asked.append(info[4][0])
        raise PermissionError(13, "no")

    async with raw_server([Act.READ, json_reply(1)]) as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            with pytest.raises(TransportError) as caught:
                async with opened(url, socket_factory=refuse):
                    pass
            assert (caught.value.kind, caught.value.origin) == ("connect", url)
            assert caught.value.__context__ is None
    assert asked.count("127.0.0.1") == 2
    assert server.connections == 0


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([Act.READ, Act.CLOSE], "disconnect"),
        ([Act.READ, b"nonsense\r\n\r\n"], "protocol"),
        ([Act.READ, Act.HANG], "timeout"),
        ([Act.READ, json_reply({"a": 1})[:-1]], "payload"),
        ([Act.READ, json_reply({"a": 1})[:-1], Act.HANG], "timeout"),
    ],
)
async def test_errors(script: list[Any], kind: str) -> None:
    """Whatever goes wrong before or within the body is an error of ours that names no more than the origin."""
    async with raw_server(script) as server:
        with pytest.raises(TransportError) as caught:
            async with opened(f"{server.url}/path?sig=canary", read_gap=0.05) as stream:
                [piece async for piece in stream.chunks]
        assert (caught.value.kind, caught.value.origin) == (kind, server.url)
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert "canary" not in str(caught.value)
    assert len(server.requests) == 1


async def test_tls_is_checked() -> None:
    """A storage that does not speak TLS where it should is no storage."""
    async with raw_server([b"HTTP/1.1 400 Bad Request\r\n\r\n", Act.HANG]) as server:
        with pytest.raises(Rejected):
            async with opened(server.url.replace("http://", "https://")):
                pass


async def test_a_connection_that_hangs() -> None:
    """The limit for connecting covers TLS."""
    async with raw_server([Act.HANG]) as server:
        with pytest.raises(TransportError) as caught:
            async with opened(server.url.replace("http://", "https://"), connect=0.05):
                pass
    assert caught.value.kind == "timeout"


async def test_cancelling() -> None:
    """A stream that is cancelled while it waits closes its connection."""
    async with raw_server([Act.READ, json_reply(1)[:-1], Act.HANG]) as server:

        async def read() -> None:
            async with opened(server.url) as stream:
                [piece async for piece in stream.chunks]

        task = asyncio.create_task(read())
        await server.received(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.quiet.wait()
