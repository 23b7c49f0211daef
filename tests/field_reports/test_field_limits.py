"""Limits: large and slow answers, and when a server wants to be asked again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from field_kit import RENDERS, wait
from memory_kit import answering
from raw_server import Act, Script, json_reply, polls, raw_server, reply

from asyncpoll import BadReply, Fixed, State, Throttled, TransportError, WaitTimeout
from asyncpoll.http import AiohttpTransport, Reply, Request
from asyncpoll.providers import BigModel
from asyncpoll.testing import MemoryTransport, run_virtual

QUICK = Fixed(0.01)
MIB = 1 << 20
PARSED = {"task_id": "1", "status": "succeeded"}


# large answers


def _pages(words: int) -> bytes:
    """Return a result with six keys for every word, as OCR has them."""
    word = {"t": "word", "x": 1, "y": 2, "w": 3, "h": 4, "c": 0.99}
    return json.dumps({"status": "done", "url": "u", "words": [word] * words}, separators=(",", ":")).encode()


@pytest.mark.parametrize("together", [True, False])
async def test_a_result_with_keys_for_every_word_is_read(*, together: bool) -> None:
    """20,000 words with six keys each are read by the first poll, alone and in a hub."""
    body = _pages(20_000)
    async with raw_server(polls(reply(body))) as server, AiohttpTransport(server.url) as transport:
        job = RENDERS.job(transport, "1")
        seen = await job.fetch() if not together else await wait(job, together=True, timeout=60)
        assert transport.requests == 1
    assert seen.unwrap() == "u"
    assert len(seen.raw["words"]) == 20_000


@pytest.mark.parametrize("lent", [True, False])
async def test_a_large_text_inside_an_answer_is_read(*, lent: bool) -> None:
    """A parsed file of 9 MiB comes with the status, whatever way requests take."""
    text = "x" * (9 * MIB)
    async with (
        raw_server(polls(json_reply({**PARSED, "content": text}))) as server,
        aiohttp.ClientSession() as session,
        BigModel("any", base_url=server.url, session=session if lent else None) as client,
    ):
        result = await client.file_parser.job(task_id="1").result(timeout=60)
        assert len(server.requests) == 1
    assert result.content == text


@pytest.mark.parametrize("together", [True, False])
async def test_an_answer_above_the_limit_names_the_setting(*, together: bool) -> None:
    """The setting may be raised; the wait goes on meanwhile, as a smaller answer may follow."""
    large = json_reply({**PARSED, "content": "x" * 2000})
    async with (
        raw_server(polls(large, json_reply({**PARSED, "content": "small"}))) as server,
        BigModel("any", base_url=server.url, max_body=1000) as client,
    ):
        job = client.file_parser.job(task_id="1")
        with pytest.raises(BadReply, match="max_body") as caught:
            await job.fetch()
        assert "1000" in str(caught.value)
        seen = await wait(job, together=together, timeout=20, schedule=QUICK)
    assert seen.unwrap().content == "small"


# slow answers


def _slowly(body: bytes, pieces: int, pause: float) -> Script:
    """Return a script that answers with *body*, piece by piece."""
    size = -(-len(body) // pieces)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    steps: list[Any] = [Act.READ, head]
    for start in range(0, len(body), size):
        steps += [pause, body[start : start + size]]
    return steps


@pytest.mark.parametrize("together", [True, False])
async def test_a_body_is_read_for_as_long_as_it_flows(*, together: bool) -> None:
    """A body that takes several times the limit of an attempt is read once, to its end."""
    body = json.dumps({**PARSED, "content": "x" * 50_000}).encode()
    async with raw_server(_slowly(body, 12, 0.05)) as server:
        async with BigModel("any", base_url=server.url, attempt=0.2, read_gap=5.0) as client:
            seen = await wait(client.file_parser.job(task_id="1"), together=together, timeout=20)
        assert len(server.requests) == 1
    assert len(seen.unwrap().content) == 50_000


async def test_a_body_that_stops_is_a_miss() -> None:
    """A gap longer than read_gap ends the poll, and the next one reads the answer."""
    stops: Script = [Act.READ, b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"status"', Act.HANG]
    done = json_reply({"status": "done", "url": "u"})
    async with raw_server(stops, polls(done)) as server, AiohttpTransport(server.url, read_gap=0.1) as transport:
        job = RENDERS.job(transport, "1")
        assert (await job.wait(timeout=20, schedule=QUICK)).unwrap() == "u"
        assert len(server.requests) == 2


async def test_a_slow_body_is_cut_at_the_deadline() -> None:
    """The caller's own deadline holds, however steadily data comes."""
    body = json.dumps({"status": "done", "url": "x" * 5000}).encode()
    async with raw_server(_slowly(body, 100, 0.05)) as server, AiohttpTransport(server.url) as transport:
        with pytest.raises(WaitTimeout):
            await RENDERS.job(transport, "1").wait(timeout=0.3)


# when to come back


def _second_poll(first: Callable[[], Reply], *, together: bool = False) -> float:
    """Return when the second poll was made, after such a first answer."""
    at: list[float] = []

    async def main() -> None:
        def answer(_request: Request) -> Reply:
            at.append(asyncio.get_running_loop().time())
            return first() if len(at) == 1 else Reply(200, {**PARSED, "content": "text"})

        client = BigModel("key", transport=MemoryTransport(answer))
        await wait(client.file_parser.job(task_id="1"), together=together, timeout=7 * 86_400)

    run_virtual(main())
    return at[1]


def _busy(status: int, headers: dict[str, Any]) -> Callable[[], Reply]:
    return lambda: Reply(status, {"status": "processing", "task_id": "1"}, headers)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("status", [429, 503, 200])
@pytest.mark.parametrize(
    ("value", "least"),
    [("2.5", 2.5), ("30.25", 30.25), ("120.0", 120.0), ("0.5", 0.5), (" 5 ", 5.0), ("7, 120", 120.0), ("90,", 90.0)],
)
def test_a_hint_is_kept_to_in_every_spelling(value: str, least: float, status: int, *, together: bool) -> None:
    """The next poll is never earlier than the server asked for, and not much later."""
    headers = {"Retry-After": value}
    assert least <= _second_poll(_busy(status, headers), together=together) <= max(2 * least, 2.0)


@pytest.mark.parametrize("skew", [timedelta(hours=-9), timedelta(0), timedelta(days=400)])
def test_a_date_is_measured_by_the_clock_of_the_server(skew: timedelta) -> None:
    """A server whose clock is wrong is asked again after the time that it meant."""

    def busy() -> Reply:
        now = datetime.now(UTC) + skew
        later = now + timedelta(seconds=90)
        return _busy(429, {"Date": format_datetime(now, usegmt=True), "Retry-After": format_datetime(later)})()

    assert 90 <= _second_poll(busy) <= 180


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "value",
    ["soon", "", "-5", "1e3", "inf", "nan", "5 s", "0x10", "\u0665", "9" * 400, "Mon, 99 Foo 2026", "\x00", "{}"],
)
def test_an_unreadable_hint_changes_nothing(value: str, *, together: bool) -> None:
    """Polls come as without the header, and the wait neither ends nor hangs."""
    hinted = _second_poll(_busy(200, {"Retry-After": value}), together=together)
    assert hinted <= 2.0


@pytest.mark.parametrize("value", ["999999", "999999999", "1000000.5"])
@pytest.mark.parametrize(("status", "polls"), [(429, 1), (200, 2)])
def test_a_hint_of_days_does_not_lose_the_deadline(value: str, status: int, polls: int) -> None:
    """The wait ends by its deadline: at once for one who is told to stay away, after a last poll for a running job."""
    transport = answering(Reply(status, {"status": "active"}, {"Retry-After": value}))
    with pytest.raises(WaitTimeout) as caught:
        run_virtual(RENDERS.job(transport, "1").wait(timeout=600))
    assert isinstance(caught.value.__cause__, Throttled) == (status == 429)
    assert (transport.requests, caught.value.waited <= 600) == (polls, True)


async def test_a_hint_that_is_repeated_counts_at_its_largest() -> None:
    """Several headers over a real connection are read together."""
    busy = json_reply({"status": "queued"}, "Retry-After: 0", "Retry-After: 7.5", "Retry-After: soon")
    async with raw_server(polls(busy)) as server, AiohttpTransport(server.url) as transport:
        assert (await RENDERS.job(transport, "1").fetch()).retry_after == 7.5


@pytest.mark.parametrize(
    "busy",
    [
        Reply(403, {"message": "API rate limit exceeded for user ID 1."}),
        Reply(400, {"__type": "com.amazonaws#ThrottlingException", "message": "Rate exceeded"}),
        Reply(403, {}, {"X-RateLimit-Remaining": "0"}),
        Reply(413, {}, {"Retry-After": "1.5"}),
    ],
)
def test_throttling_told_in_words_is_waited_out(busy: Reply) -> None:
    """An endpoint of one's own, with the usual classifier, goes on after it."""
    with pytest.raises(Throttled):
        run_virtual(RENDERS.job(answering(busy), "1").fetch())
    seen = run_virtual(RENDERS.job(answering(busy, busy, {"status": "done"}), "1").wait(timeout=600))
    assert seen.state is State.SUCCESS


async def test_an_attempt_without_an_answer_is_a_miss() -> None:
    """A server that takes the request and says nothing costs one attempt, not the wait."""
    done = json_reply({"status": "done", "url": "u"})
    async with (
        raw_server([Act.READ, Act.HANG], polls(done)) as server,
        AiohttpTransport(server.url, attempt=0.1) as transport,
    ):
        with pytest.raises(TransportError) as caught:
            await transport.send(Request("GET", "/"))
        assert caught.value.kind == "timeout"
        assert (await RENDERS.job(transport, "1").wait(timeout=20)).unwrap() == "u"
