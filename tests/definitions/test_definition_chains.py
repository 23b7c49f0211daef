"""Further calls of a poll: results that need a call of their own, chains of them, and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from definition_kit import answer, endpoint

from asyncpoll import BadReply, Rejected, Snapshot, State, TransportError
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport

DONE = {"status": "done", "file": "f1", "url": "/v1/files/f1", "n": 3}


class Server:
    """Answers by method, path or address, and query; a list is answered in turn."""

    def __init__(self, replies: Mapping[str, Any]) -> None:
        self.replies = dict(replies)
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Reply:
        """Answer a request."""
        query: Any = request.query
        pairs = "&".join(f"{name}={value}" for name, value in (query if isinstance(query, list) else query.items()))
        target = (request.address or request.path) + (f"?{pairs}" if pairs else "")
        self.asked.append(target)
        reply = self.replies[target]
        reply = reply if isinstance(reply, Reply) else answer(reply)
        return reply if request.decode else Reply(reply.status, None, reply.headers, reply.body)


async def polled(replies: Mapping[str, Any], **keys: Any) -> tuple[Snapshot[Any], list[str]]:
    """Poll job 1 once; return what was seen, and what was asked after the job itself."""
    server = Server({"/jobs/1": DONE, **replies})
    made = endpoint(**keys)
    snapshot = await made.job(MemoryTransport(server), made.restore({"id": "1"})).fetch()
    return snapshot, server.asked[1:]


@pytest.mark.parametrize(
    ("then", "reply", "value"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"value": "a.b"}, {"a": {"b": 2}}, 2),
        ({"value": "a.b"}, {}, None),
        ({"value": {"x": "a", "y": "b"}}, {"a": 1}, {"x": 1, "y": None}),
        ({"as": "jsonl"}, answer(b'{"a": 1}\n\n{"a": 2}\n'), [{"a": 1}, {"a": 2}]),
        ({"as": "jsonl"}, answer(b'{"a": 1}'), [{"a": 1}]),
        ({"as": "jsonl", "value": "[*].a"}, answer(b'{"a": 1}\n{"a": 2}'), [1, 2]),
        ({"as": "jsonl"}, answer(b""), []),
        ({"as": "text"}, answer("WEBVTT \u00e4"), "WEBVTT \u00e4"),
        ({"as": "text"}, {"a": 1}, '{"a": 1}'),
        ({"as": "bytes"}, answer(b"\x00\x01"), b"\x00\x01"),
    ],
)
async def test_a_result_has_a_call_of_its_own(then: Any, reply: Any, value: Any) -> None:
    """The value is what the second call says, read as JSON, lines, text or bytes."""
    snapshot, asked = await polled({"/files/f1": reply}, then={"call": "GET /files/{file}", **then})
    assert (snapshot.state, snapshot.value, snapshot.raw) == (State.SUCCESS, value, DONE)
    assert asked == ["/files/f1"]


async def test_calls_are_chained() -> None:
    """Slots are filled from the reference, then from the latest answer that has them."""
    replies = {"/a/1/f1": {"b": {"id": 2}}, "/c/2/3": {"url": "/v1/z"}, "/v1/z": answer(b"end")}
    then = ["GET /a/{id}/{file}", "GET /c/{b.id}/{n}", {"call": "GET {+url}", "as": "bytes"}]
    snapshot, asked = await polled(replies, then=then)
    assert (snapshot.value, asked) == (b"end", list(replies))


@pytest.mark.parametrize("then", ["GET {+url}", "GET {+header:location}"])
async def test_a_result_may_be_at_an_address(then: str) -> None:
    """The address is in the answer, or in a header of it."""
    done = answer(DONE, location="/v1/files/f1")
    snapshot, _ = await polled({"/jobs/1": done, "/v1/files/f1": [7]}, then=then)
    assert snapshot.value == [7]


async def test_a_call_without_its_slot_is_left_out() -> None:
    """A success whose answer names no file has no result to fetch; its value is what there is."""
    snapshot, asked = await polled({}, then={"call": "GET /files/{nothing}", "as": "jsonl"}, value="file")
    assert (snapshot.state, snapshot.value, asked) == (State.SUCCESS, "f1", [])
    pending, asked = await polled({"/jobs/1": {"status": "queued"}}, then="GET /files/{file}")
    assert (pending.state, asked) == (State.PENDING, [])


async def test_a_second_call_may_be_the_verdict() -> None:
    """A listed HTTP status means that the job has failed, with the reason of that answer."""
    then = {"call": "GET /files/{file}", "failed": [400, 422]}
    verdict = answer({"detail": [{"msg": "too large", "type": "size"}]}, 422)
    keys: Any = {"then": then, "reason": ["detail[0].msg", "detail"], "code": "detail[0].type"}
    snapshot, _ = await polled({"/files/f1": verdict}, **keys)
    assert (snapshot.state, snapshot.reason, snapshot.code) == (State.FAILED, "too large", "size")
    assert snapshot.value is None


@pytest.mark.parametrize(
    ("reply", "error", "kind"),
    [
        (answer({"error": "x"}, 503), TransportError, "server"),
        (answer({"error": "x"}, 403), Rejected, "forbidden"),
        (answer("<p>"), BadReply, "malformed"),
        (answer(None), BadReply, "malformed"),
    ],
)
async def test_a_failed_second_call_is_a_miss(reply: Reply, error: type[Exception], kind: str) -> None:
    """It has the error of any poll, and the success is not seen yet."""
    with pytest.raises(error) as caught:
        await polled({"/files/f1": reply}, then={"call": "GET /files/{file}", "failed": 422})
    assert getattr(caught.value, "kind", None) == kind


@pytest.mark.parametrize("done", [{"file": ["f1"]}, {"file": True}, {"file": "a/b"}, {"file": {"id": 1}}])
async def test_an_unusable_slot_is_malformed(done: Any) -> None:
    """What cannot be part of a path is a malformed answer, not an error of the caller."""
    with pytest.raises(BadReply, match=r"malformed at \$\.file"):
        await polled({"/jobs/1": {"status": "done", **done}}, then="GET /files/{file}")
    with pytest.raises(BadReply, match="an address is expected"):
        await polled({"/jobs/1": {"status": "done", "file": 7}}, then="GET {+file}")


async def test_pages_follow_a_cursor() -> None:
    """A cursor is sent as a query parameter; the lists of all pages are one."""
    then = {"call": "GET /rows?size=2", "value": "rows", "pages": {"next": "next", "query": "after"}}
    replies = {
        "/rows?size=2": {"rows": [1, 2], "next": "c2"},
        "/rows?size=2&after=c2": {"rows": [3], "next": 3},
        "/rows?size=2&after=3": {"rows": [4], "next": None},
    }
    snapshot, asked = await polled(replies, then=then)
    assert (snapshot.value, asked) == ([1, 2, 3, 4], list(replies))


async def test_pages_go_on_while_the_answer_says_so() -> None:
    """`more` says whether there is another page, whatever the cursor is."""
    then = {"call": "GET /rows", "value": "rows", "pages": {"next": "last", "query": "after", "more": "has_more"}}
    replies = {
        "/rows": {"rows": [1], "last": "a", "has_more": True},
        "/rows?after=a": {"rows": [2], "last": "b", "has_more": False},
    }
    snapshot, asked = await polled(replies, then=then)
    assert (snapshot.value, asked) == ([1, 2], list(replies))


@pytest.mark.parametrize(
    ("form", "first", "second", "value"),
    [
        ("text", "one,", "two", "one,two"),
        ("bytes", b"\x01", b"\x02", b"\x01\x02"),
        ("json", {"a": 1}, {"a": 2}, [{"a": 1}, {"a": 2}]),
    ],
)
async def test_pages_are_put_together(form: str, first: Any, second: Any, value: Any) -> None:
    """Texts and bytes are put together, and other values become a list; an address may be in a header."""
    then = {"call": "GET /part", "as": form, "pages": "header:next"}
    pages = {"/part": answer(first, next="/v1/part2"), "/v1/part2": answer(second)}
    snapshot, _ = await polled(pages, then=then)
    assert snapshot.value == value


async def test_the_first_page_may_be_in_the_answer() -> None:
    """An answer about a job may be the first page of its result; a call that follows comes after all pages."""
    keys: Any = {"value": ["result.rows", "rows"], "pages": ["result.next", "next"]}
    replies = {
        "/jobs/1": {"status": "done", "result": {"rows": [1], "next": "/v1/chunk/1"}},
        "/v1/chunk/1": {"rows": [2], "next": "/v1/chunk/2"},
        "/v1/chunk/2": {"rows": [3], "last": "x"},
        "/end/x": {"all": True},
    }
    snapshot, asked = await polled(replies, **keys)
    assert (snapshot.value, asked) == ([1, 2, 3], ["/v1/chunk/1", "/v1/chunk/2"])
    snapshot, asked = await polled(replies, **keys, then="GET /end/{last}")
    assert (snapshot.value, asked[-1]) == ({"all": True}, "/end/x")
    by_query: Any = {"value": "rows", "pages": {"next": "next", "query": "page"}}
    replies = {
        "/jobs/1": {"status": "done", "rows": [1], "next": "2"},
        "/jobs/1?page=2": {"status": "done", "rows": [2]},
    }
    snapshot, _ = await polled(replies, **by_query)
    assert snapshot.value == [1, 2]


async def test_a_cursor_that_is_no_text_is_malformed() -> None:
    """A page that leads nowhere usable is a miss."""
    with pytest.raises(BadReply, match=r"malformed at \$\.next: a text is expected"):
        await polled({"/jobs/1": {"status": "done", "next": {"page": 2}}}, pages="next")


async def test_pages_without_an_end_are_refused() -> None:
    """After a thousand calls the wait ends, since the server repeats itself."""
    then = {"call": "GET /rows", "value": "rows", "pages": "next"}
    with pytest.raises(Rejected) as caught:
        await polled({"/rows": {"rows": [], "next": "/rows"}}, then=then)
    assert caught.value.kind == "too_many_pages"
