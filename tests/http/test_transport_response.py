"""From a response to a reply, without trusting its size."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict
from raw_server import Act, Script, gzip_reply, json_reply, polls, raw_server, reply

from asyncpoll._errors import BadReply, TransportError
from asyncpoll.http._auth import Bearer
from asyncpoll.http._classify import classify_status
from asyncpoll.http._message import Reply, Request
from asyncpoll.http._secrets import Mask
from asyncpoll.http.transport import AiohttpTransport
from asyncpoll.http.transport._response import ERROR_BODY, IN_THREAD, Answer, read_reply

CANARY = "canary+/0123456789"
POLL = Request("GET", "/")


async def poll(*script: Any, **settings: Any) -> Reply:
    """Return what a transport makes of *script*, as the answer to one request."""
    async with raw_server([Act.READ, *script]) as server, AiohttpTransport(server.url, **settings) as transport:
        answered = await transport.send(POLL)
        assert answered.origin == server.url
        return answered


async def failed_poll(*script: Any, **settings: Any) -> TransportError:
    """Return the error that a transport makes of *script*; it names its origin."""
    with pytest.raises(TransportError) as caught:
        await poll(*script, **settings)
    assert str(caught.value.origin).startswith("http://127.0.0.1:")
    return caught.value


def chunked(body: bytes) -> bytes:
    """Return a reply whose body is one chunk."""
    return CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        [json_reply({"a": "解"})],
        [gzip_reply(b'{"a": "\xe8\xa7\xa3"}')],
        [gzip_reply(b'{"a": "\xe8\xa7\xa3"}').replace(b"gzip", b" GZip ")],
        [reply(b'{"a": "\xe8\xa7\xa3"}', "Content-Encoding: identity", "Content-Type: text/html; charset=utf-7")],
        [CHUNKED + b'6\r\n{"a": \r\n', b'6\r\n"\xe8\xa7\xa3"}\r\n0\r\n\r\n'],
        [b"HTTP/1.1 200 OK\r\n\r\n", b'{"a": "\xe8\xa7\xa3"', b"}"],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 3, json_reply({"a": "解"})],
        [json_reply({"a": "解"})[:-3], 0.01, json_reply({"a": "解"})[-3:]],
    ],
)
async def test_bodies(script: Script) -> None:
    """A body is read however it is framed and whatever type and charset it claims to have."""
    answered = await poll(*script)
    assert (answered.status, answered.json, answered.problem) == (200, {"a": "解"}, None)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (reply(status=200), "the body is empty"),
        (reply(status=204).replace(b"Content-Length: 0\r\n", b""), "the body is empty"),
        (reply(b"", "Content-Encoding: gzip"), "the body is empty"),
        (reply(b"<html>", status=200), "the body is not JSON"),
        (reply(b"\xff", status=404), "the body is not JSON"),
    ],
)
async def test_no_json(answer: bytes, problem: str) -> None:
    """A body that is no JSON makes a reply all the same, which says so."""
    answered = await poll(answer)
    assert (answered.json, answered.problem) == (None, problem)


async def test_headers() -> None:
    """Headers are found whatever their case, and repeated ones all count."""
    answered = await poll(json_reply({}, "X-A: 1", "Retry-After: 7", "Retry-After: 9"))
    assert answered.headers["x-a"] == "1"
    assert answered.retry_after == 9.0


@pytest.mark.parametrize("lends", [False, True])
async def test_a_body_that_is_not_decoded(*, lends: bool) -> None:
    """The body of a success is left as it is where that is asked for; that of an error says what is wrong."""
    request = Request("GET", "/", decode=False)
    script = polls(gzip_reply(b'{"a": 1}'), json_reply({"error": "b"}, status=404))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(raw_server(script))
        session = await stack.enter_async_context(ClientSession()) if lends else None
        transport = await stack.enter_async_context(AiohttpTransport(server.url, session=session))
        answered = await transport.send(request)
        assert (answered.json, answered.body, answered.jsonl, answered.text) == (
            None,
            b'{"a": 1}',
            [{"a": 1}],
            '{"a": 1}',
        )
        assert "decode=False" in str(answered.problem)
        classify_status(answered, needs_json=False)
        with pytest.raises(BadReply, match="decode=False"):
            classify_status(answered)
        assert (await transport.send(request)).json == {"error": "b"}


async def test_a_large_body_is_decoded_in_a_thread() -> None:
    """What would hold up the event loop is decoded elsewhere, to the same end."""
    text = "x" * IN_THREAD
    assert (await poll(json_reply(text))).json == text


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("framed", [reply, lambda body: b"HTTP/1.1 200 OK\r\n\r\n" + body, gzip_reply, chunked])
async def test_the_largest_body(framed: Any, excess: int) -> None:
    """A body of the limit is read; one byte more is not, whether announced, sent or decompressed."""
    body = json.dumps("x" * (998 + excess)).encode()
    if excess:
        error = await failed_poll(framed(body), max_body=1000)
        assert isinstance(error, BadReply)
        assert (error.kind, error.passing, error.status) == ("limit", True, 200)
    else:
        assert (await poll(framed(body), max_body=1000)).body == body


@pytest.mark.parametrize(("lengths", "is_fine"), [(["0"], True), (["0", "0"], True), (["1", "2"], False)])
async def test_two_lengths(lengths: list[str], *, is_fine: bool) -> None:
    """A body whose length is given in two ways is refused, also when aiohttp's parser lets it pass."""
    headers = CIMultiDict(("Content-Length", length) for length in lengths)
    answer = Answer(200, headers, EMPTY_PAYLOAD, close=lambda: None)
    reading = read_reply(answer, origin="https://api.example", most=9, mask=Mask(), on_wait=lambda: None)
    if is_fine:
        assert (await reading).problem == "the body is empty"
    else:
        with pytest.raises(BadReply, match="in two ways") as caught:
            await reading
        assert caught.value.kind == "protocol"


async def test_a_length_beyond_the_limit_is_enough() -> None:
    """When a length is announced that is too large, nothing of the body is waited for."""
    error = await failed_poll(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", Act.HANG)
    assert error.kind == "limit"


@pytest.mark.parametrize("most", [1 << 20, 64 << 20])
async def test_a_bomb(most: int) -> None:
    """A small body that decompresses into a huge one takes no more memory than the limit of a body."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(deflate.compress(bytes(1 << 20)) for _ in range(70)), deflate.flush()])
    tracemalloc.start()
    try:
        error = await failed_poll(reply(bomb, "Content-Encoding: gzip"), max_body=most)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.kind == "limit"
    assert f"larger than max_body={most} bytes; raise max_body" in str(error)
    assert peak < most + (4 << 20)


@pytest.mark.parametrize("item", ["x", {"page": 1, "confidence": 0.98, "kind": "text"}])
async def test_a_result_that_is_very_regular(item: Any) -> None:
    """A body is let through however well it is compressed: results of tables are, by more than 400:1."""
    body = json.dumps([item] * (4_000_000 // len(json.dumps(item)))).encode()
    assert len(body) > 400 * len(gzip.compress(body)) or isinstance(item, dict)
    assert (await poll(gzip_reply(body))).body == body


@pytest.mark.parametrize(
    "codings", [["br"], ["zstd"], ["deflate"], ["gzip, gzip"], ["gzip", "gzip"], ["identity", "gzip"], ["compress"]]
)
async def test_codings_that_were_not_offered(codings: list[str]) -> None:
    """A body that is encoded in another way than gzip, or twice, is refused and not read as if it were plain."""
    error = await failed_poll(json_reply({}, *(f"Content-Encoding: {coding}" for coding in codings)))
    assert isinstance(error, BadReply)
    assert error.kind == "encoding"


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"5\r\nab",
        CHUNKED + b"2\r\n{}\r\n",
        json_reply({"a": 1})[:-1],
        gzip_reply(b"{}" * 100)[:-20].replace(b"Content-Length", b"X"),
        gzip_reply(b"{}")[:-1].replace(b"Content-Length", b"X"),
        reply(b"\x1f\x8b\x08\x00garbage", "Content-Encoding: gzip"),
        reply(b"{}", "Content-Encoding: gzip"),
        reply(gzip.compress(b"{}", mtime=0) + b"more", "Content-Encoding: gzip"),
        reply(gzip.compress(b"", mtime=0) * 10_000, "Content-Encoding: gzip"),
    ],
)
async def test_damaged_bodies(answer: bytes) -> None:
    """A body that is cut short or cannot be decompressed is no answer, though the status was fine."""
    error = await failed_poll(answer)
    assert (error.kind, error.passing) == ("payload", True)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"nonsense\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", "protocol"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "protocol"),
        (reply(status=999), "protocol"),
        (reply(status=600), "protocol"),
        (b"", "disconnect"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "disconnect"),
    ],
)
async def test_what_is_no_reply(answer: bytes, kind: str) -> None:
    """What is no proper HTTP has a kind of its own, and never a status that the server did not send."""
    error = await failed_poll(answer)
    assert (error.kind, error.status, error.passing) == (kind, None, True)


@pytest.mark.parametrize("status", [302, 404, 500, 503])
@pytest.mark.parametrize(
    ("body", "headers", "problem"),
    [
        (b"x" * (ERROR_BODY + 1), [], f"the body is larger than {ERROR_BODY} bytes"),
        (b"{}", ["Content-Encoding: br"], "the body is encoded in a way that was not offered"),
    ],
)
async def test_the_body_of_an_error(status: int, body: bytes, headers: list[str], problem: str) -> None:
    """What an error comes with is left out when it is no good; the status still arrives."""
    answered = await poll(reply(body, *headers, status=status))
    assert (answered.status, answered.body, answered.problem) == (status, b"", problem)


async def test_a_connection_is_not_used_again_after_half_a_body() -> None:
    """When a body was not read to its end, the next request does not find the rest of it."""
    half = reply(b"x" * 70_000, status=500).replace(b"70000", b"80000")
    async with (
        raw_server(polls(half, b"x" * 10_000 + json_reply(1)), polls(json_reply(2))) as server,
        AiohttpTransport(server.url) as transport,
    ):
        await transport.send(POLL)
        assert (await transport.send(POLL)).json == 2


@pytest.mark.parametrize("spelled", [CANARY, "canary%2B%2F0123456789", "Y2FuYXJ5Ky8wMTIzNDU2Nzg5"])
async def test_an_echo_of_the_credential(spelled: str) -> None:
    """The key is masked where the server sends it back, in headers and body, before anybody sees it."""
    answered = await poll(json_reply({"error": f"bad key {spelled}!"}, f"X-Echo: <{spelled}>"), auth=Bearer(CANARY))
    assert answered.json["error"].startswith("bad key ***")
    assert answered.headers["x-echo"].startswith("<***")
    assert spelled not in str(answered.headers) + str(answered.body)
    assert answered.headers["Content-Type"] == "application/json"


async def test_odd_bytes_in_headers() -> None:
    """Headers that are no UTF-8 do no harm, masked or not."""
    raw = json_reply({}, "X-A: \N{LATIN SMALL LETTER Y WITH DIAERESIS}").replace("ÿ".encode(), b"\xff")
    answered = await poll(raw, auth=Bearer(CANARY))
    assert answered.headers["x-a"] == "\udcff"
    echoed = await poll(raw.replace(b"\xff", b"\xff" + CANARY.encode()), auth=Bearer(CANARY))
    assert echoed.headers["x-a"] == "\udcff***"


async def test_the_gap_between_two_pieces() -> None:
    """A body that stops coming is given up after the gap, long before the time for the whole attempt."""
    error = await failed_poll(json_reply({"a": 1})[:-3], Act.HANG, read_gap=0.05, attempt=60.0)
    assert error.kind == "timeout"


async def test_pieces_that_keep_coming() -> None:
    """A slow body is fine as long as no gap is too long, though all together take longer."""
    pieces = [step for mark in b'{"a": 1}' for step in (0.02, bytes([mark]))]
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"
    async with asyncio.timeout(10):
        assert (await poll(head, *pieces, read_gap=0.5)).json == {"a": 1}


@pytest.mark.parametrize("lends", [False, True])
@pytest.mark.parametrize("headers", [[], ["Content-Encoding: gzip"], ['ETag: "1"']])
async def test_an_answer_that_nothing_has_changed(headers: list[str], *, lends: bool) -> None:
    """It has no body, whatever length it names, and the connection serves the next request."""
    unchanged = "\r\n".join(["HTTP/1.1 304 X", "Content-Length: 999999", *headers, "", ""]).encode()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(raw_server(polls(unchanged, json_reply(1))))
        session = await stack.enter_async_context(ClientSession()) if lends else None
        transport = await stack.enter_async_context(AiohttpTransport(server.url, session=session))
        answered = await transport.send(Request("GET", "/", headers={"If-None-Match": '"1"'}))
        assert (answered.status, answered.body) == (304, b"")
        with pytest.raises(BadReply, match="nothing has changed, but no earlier answer is kept") as caught:
            classify_status(answered)
        assert (caught.value.kind, caught.value.passing) == ("not_modified", True)
        assert (await transport.send(POLL)).json == 1
        assert server.connections == 1
