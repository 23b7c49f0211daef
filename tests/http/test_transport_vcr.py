"""VCR.py, the real tool: it records every request of a client, and plays the answers back without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
import vcr  # type: ignore[import-untyped]  # has neither stubs nor annotations
from raw_server import json_reply, polls, raw_server

from asyncpoll import Fixed, TransportError
from asyncpoll.http import AiohttpTransport, Bearer, Request
from asyncpoll.providers import BigModel

RUNNING = json_reply({"task_id": "1", "status": "processing"})
DONE = json_reply({"task_id": "1", "status": "succeeded", "content": "text"})
KEY = "canary-0123456789"
POLL = Request("GET", "/poll")


async def _content(client: BigModel) -> str | None:
    result = await client.file_parser.job(task_id="1").result(timeout=20, schedule=Fixed(0.01))
    return result.content


def _written(cassette: str) -> str:
    return Path(cassette).read_text(encoding="utf-8")


@pytest.mark.parametrize("lent", [True, False])
async def test_a_recorded_wait_is_played_back(tmp_path: Path, *, lent: bool) -> None:
    """Each poll is recorded once, without the key if the user filters it, and played back when the server has gone."""
    cassette = str(tmp_path / "wait.yaml")
    async with raw_server(polls(RUNNING, RUNNING, DONE)) as server, aiohttp.ClientSession() as session:
        settings: dict[str, Any] = {"session": session} if lent else {}
        async with BigModel(KEY, base_url=server.url, **settings) as client:
            with vcr.use_cassette(cassette, filter_headers=["authorization"]) as recorded:
                assert await _content(client) == "text"
            assert len(recorded) == len(server.requests) == client.requests == 3
    assert KEY not in _written(cassette)
    async with BigModel(KEY, base_url=server.url) as client:
        with vcr.use_cassette(cassette, record_mode="none") as played:
            assert await _content(client) == "text"
        assert (played.play_count, client.requests) == (3, 3)


async def test_the_direct_path_before_and_after(tmp_path: Path) -> None:
    """A transport leaves the direct path while a cassette is in use, and takes it again afterwards."""
    async with raw_server(polls(*[json_reply(1)] * 3)) as server:
        async with AiohttpTransport(server.url, auth=Bearer(KEY)) as transport:
            paths = [transport.path]
            assert (await transport.send(POLL)).json == 1
            with vcr.use_cassette(str(tmp_path / "one.yaml")) as recorded:
                paths.append(transport.path)
                assert (await transport.send(POLL)).json == 1
            paths.append(transport.path)
            assert (await transport.send(POLL)).json == 1
        assert (len(recorded), len(server.requests)) == (1, 3)
    assert paths == ["direct", "session", "direct"]


async def test_a_request_that_was_not_recorded(tmp_path: Path) -> None:
    """When only recorded requests are allowed, another one is an error of ours, and nothing is sent."""
    async with raw_server(polls(json_reply(1))) as server, AiohttpTransport(server.url) as transport:
        with vcr.use_cassette(str(tmp_path / "none.yaml"), record_mode="none"), pytest.raises(TransportError) as caught:
            await transport.send(POLL)
        assert (caught.value.kind, server.requests) == ("internal", [])
