"""What APIs of jobs need, as `docs/requirements.md` lists it: each with the smallest definition that says it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from asyncpoll import BadReply, Rejected, Snapshot, State, TransportError
from asyncpoll.definitions import Definition
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

SMALL: Mapping[str, Any] = {
    "name": "acme.jobs",
    "base": "https://api.acme.example/v1",
    "ask": "GET /jobs/{id}",
    "status": "status",
    "processing": "running",
    "success": "done",
    "failed": "broken",
    "cancelled": "stopped",
}
"""A definition with a word for most states; tests add the keys that they are about."""


def answer(body: Any, status: int = 200, /, **headers: str) -> Reply:
    """Return a reply with a JSON body."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, body, {"content-type": "application/json", **names}, json.dumps(body).encode())


def text_answer(text: str, content_type: str = "text/plain") -> Reply:
    """Return a reply whose body is not JSON."""
    return Reply(200, None, {"content-type": content_type}, text.encode(), "the body is not JSON")


def over(*replies: Reply) -> MemoryTransport:
    """Return a transport that gives the replies, one after the other."""
    rest = list(replies)
    return MemoryTransport(lambda _request: rest.pop(0))


def seen(keys: Mapping[str, Any], *replies: Reply) -> Snapshot[Any]:
    """Return what one poll of job 1 sees, with the keys in addition to those of `SMALL`; None removes a key."""
    return asyncio.run(definition(keys).job(over(*replies), id="1").fetch())


def definition(keys: Mapping[str, Any]) -> Definition:
    """Return the definition with these keys."""
    return Definition.of({name: value for name, value in {**SMALL, **keys}.items() if value is not None})


def sent(request: Request) -> str:
    """Return where a request goes."""
    return f"{request.method} {request.address or request.path}"


def test_the_address_to_poll_comes_from_the_server() -> None:
    """3: the answer to the submit names it in a header, and a later one names another."""
    monitored = definition(
        {
            "ask": "GET {+monitor}",
            "start": {"call": "POST /jobs", "open": True, "ref": {"monitor": "header:location"}},
            "moved": {"monitor": "header:location"},
        }
    )
    transport = over(
        answer({}, 202, location="/v1/monitors/1"),
        answer({"status": "running"}, location="https://api.acme.example/v1/monitors/2"),
        answer({"status": "done"}),
    )

    async def run() -> Snapshot[Any]:
        job = await monitored.start(transport, prompt="a hat")
        return await job.wait(timeout=60)

    assert run_virtual(run()).state is State.SUCCESS
    assert [sent(request) for request in transport.sent] == [
        "POST /jobs",
        "GET /v1/monitors/1",
        "GET https://api.acme.example/v1/monitors/2",
    ]
    assert transport.sent[0].json == {"prompt": "a hat"}


def test_an_endpoint_has_headers_of_its_own() -> None:
    """5: they may hold fields of the reference."""
    transport = over(answer({"status": "done"}))
    call = {"call": "GET /jobs/{id}", "headers": {"Accept-Language": "en", "X-Job": "{id}"}}
    asyncio.run(definition({"ask": call}).job(transport, id="1").fetch())
    assert dict(transport.sent[0].headers) == {"Accept-Language": "en", "X-Job": "1"}


def test_the_server_may_hold_a_poll_back() -> None:
    """6: for as long as it can, but no longer than the wait lasts."""
    transport = over(answer({"status": "running"}), answer({"status": "done"}))
    held = definition({"pace": {"long_poll": {"query": "wait", "seconds": 60}}})
    run_virtual(held.job(transport, id="1").wait(timeout=90))
    first = transport.sent[0]
    assert dict(first.query or {})["wait"] in {60, "60"}
    assert first.attempt is not None
    assert first.attempt > 60


def test_an_envelope_is_checked_first() -> None:
    """8: what says that all is well may say that nothing is, and then the data may be absent."""
    envelope = {"status": "data.status", "error": {"ok": {"code": 0}, "code": "code", "message": "msg", "unpaid": "7"}}
    assert seen(envelope, answer({"code": 0, "data": {"status": "done"}})).state is State.SUCCESS
    with pytest.raises(Rejected, match="no money is left") as caught:
        seen(envelope, answer({"code": 7, "msg": "no money is left"}))
    assert caught.value.kind == "unpaid"


def test_an_error_object_stands_beside_the_status() -> None:
    """9: it is the verdict on the job, unless its code speaks of the account."""
    keys = {"echo": {"id": "id"}, "error": {"object": "error", "credential": "1000"}, "reason": "error.message"}
    broken = {"id": "1", "status": "broken", "error": {"code": "77", "message": "no such file"}}
    assert (seen(keys, answer(broken)).state, seen(keys, answer(broken)).reason) == (State.FAILED, "no such file")
    with pytest.raises(Rejected):
        seen(keys, answer({"status": "broken", "error": {"code": "1000", "message": "no such key"}}))


@pytest.mark.parametrize(("status", "state"), [(202, "processing"), (200, "success"), (422, "failed")])
def test_the_http_status_is_the_state(status: int, state: str) -> None:
    """10: there need not be any word."""
    http = {"202": "processing", "200": "success", "422": "failed"}
    keys = dict.fromkeys(("status", "processing", "success", "failed", "cancelled")) | {"http": http}
    assert seen(keys, answer({"rows": []}, status)).state is State(state)


def test_a_word_may_count_more_than_the_http_status() -> None:
    """10: where a definition says that the body counts, a 503 is an answer about the job."""
    assert seen({"http": {"503": "body"}}, answer({"status": "broken"}, 503)).state is State.FAILED
    with pytest.raises(TransportError):
        seen({}, answer({"status": "broken"}, 503))


def test_a_header_is_the_status() -> None:
    """11: the word stands in a header."""
    assert seen({"status": "header:x-job-status"}, answer({}, x_job_status="done")).state is State.SUCCESS


@pytest.mark.parametrize(
    ("words", "word", "state"),
    [
        ({"processing": False, "success": True}, True, "success"),
        ({"processing": 0, "success": 1, "failed": -1}, -1, "failed"),
        ({"processing": ["1", "2"], "success": "5", "failed": "4"}, "5", "success"),
        ({"processing": "false", "success": "true"}, "True", "success"),
    ],
)
def test_a_word_is_not_always_text(words: dict[str, Any], word: Any, state: str) -> None:
    """12: booleans, integers, digits and booleans that are text."""
    keys = {"failed": None, "cancelled": None, **words}
    assert seen(keys, answer({"status": word})).state is State(state)


@pytest.mark.parametrize("number", [True, 1, None, ["done"]])
def test_a_word_of_another_type_is_not_an_answer(number: Any) -> None:
    """12: where the words are text, anything else is malformed, not a new word."""
    with pytest.raises(BadReply):
        seen({}, answer({"status": number}))


@pytest.mark.parametrize(
    ("status", "conclusion", "state"), [("running", None, "processing"), ("completed", "done", "success")]
)
def test_the_verdict_stands_beside_the_phase(status: str, conclusion: str | None, state: str) -> None:
    """13: the verdict counts where there is one."""
    reply = answer({"status": status, "conclusion": conclusion})
    assert seen({"status": ["conclusion", "status"]}, reply).state is State(state)


@pytest.mark.parametrize(
    ("items", "failures", "state"),
    [(["done", "running"], 0, "processing"), (["done", "done"], 0, "success"), (["done", "done"], 2, "failed")],
)
def test_a_state_is_made_of_the_items_of_a_list(items: list[str], failures: int, state: str) -> None:
    """14: all of them, any of them, or their number."""
    rules = [
        {"if": {"items[*].state": {"any": ["running"]}}, "state": "processing"},
        {"if": {"failures": {"above": 1}}, "state": "failed"},
        {"if": {"items[*].state": {"every": ["done"]}}, "state": "success"},
    ]
    body = {"items": [{"state": item} for item in items], "failures": failures}
    keys = dict.fromkeys(("status", "processing", "success", "failed", "cancelled")) | {"when": rules}
    assert seen(keys, answer(body)).state is State(state)


def test_words_are_compared_without_letter_case() -> None:
    """15: spaces around them do not count, and a word that is not listed is unknown."""
    assert seen({}, answer({"status": " DONE "})).state is State.SUCCESS
    assert (seen({}, answer({"status": "resting"})).state, seen({}, answer({"status": "resting"})).status) == (
        State.UNKNOWN,
        "resting",
    )


def test_a_missing_word_is_a_case_of_its_own() -> None:
    """15: it is malformed, unless the definition says what it means."""
    assert seen({"missing": "processing"}, answer({"id": "1"})).state is State.PROCESSING
    with pytest.raises(BadReply):
        seen({}, answer({"id": "1"}))


@pytest.mark.parametrize(
    ("mark", "state"), [("partial", "success"), ("expired", "timeout"), ("needs_action", "processing")]
)
def test_further_states_are_marks(mark: str, state: str) -> None:
    """18: partial, expired and needs action are told apart from the plain states."""
    snapshot = seen({mark: "special"}, answer({"status": "special"}))
    assert (snapshot.state, snapshot.status, snapshot.kind or "partial") == (State(state), "special", mark)
    assert snapshot.partial is (mark == "partial")


@pytest.mark.parametrize("body", [{"video": "v"}, {"image": "v"}, {"video": "", "image": "v"}])
def test_the_result_stands_in_one_of_several_places(body: dict[str, str]) -> None:
    """22: the first with something in it."""
    assert seen({"value": ["video", "image"]}, answer({"status": "done", **body})).value == "v"


def test_the_result_needs_a_third_call() -> None:
    """23: the ids of the later calls come from the answers before."""
    transport = over(
        answer({"status": "done", "file_id": 7}),
        answer({"file": {"part": "p"}}),
        answer({"url": "https://files.example/p"}),
    )
    then = ["GET /files/{file_id}", {"call": "GET /parts/{file.part}", "value": "url"}]
    snapshot = asyncio.run(definition({"then": then}).job(transport, id="1").fetch())
    assert snapshot.value == "https://files.example/p"
    assert [sent(request) for request in transport.sent] == ["GET /jobs/1", "GET /files/7", "GET /parts/p"]


def test_the_verdict_may_come_with_the_second_call() -> None:
    """23: an HTTP status that is listed says that the job has failed."""
    keys = {"then": {"call": "GET /jobs/{id}/result", "failed": [422]}, "reason": "detail"}
    snapshot = seen(keys, answer({"status": "done"}), answer({"detail": "no face in it"}, 422))
    assert (snapshot.state, snapshot.reason) == (State.FAILED, "no face in it")


def test_a_file_that_needs_the_credential() -> None:
    """24: a second call reads its bytes, below the base and nowhere else."""
    keys = {"then": {"call": "GET {+file}", "as": "bytes"}}
    done = answer({"status": "done", "file": "https://api.acme.example/v1/files/1"})
    assert seen(keys, done, text_answer("PK...", "application/zip")).value == b"PK..."


@pytest.mark.parametrize(
    ("pages", "second", "address"),
    [
        ("next", {"next": "/v1/jobs/1?page=2"}, "GET /v1/jobs/1?page=2"),
        ({"next": "cursor", "query": "after"}, {"cursor": "c2"}, "GET /jobs/1"),
    ],
)
def test_the_result_comes_in_pages(pages: Any, second: dict[str, Any], address: str) -> None:
    """25: an answer names the address of the next page, or its cursor."""
    transport = over(answer({"status": "done", "rows": [1, 2], **second}), answer({"status": "done", "rows": [3]}))
    paged = definition({"value": "rows", "pages": pages})
    assert asyncio.run(paged.job(transport, id="1").fetch()).value == [1, 2, 3]
    assert sent(transport.sent[1]) == address


def test_the_result_is_a_file_of_json_lines() -> None:
    """25: each line is a value; one line is a list of one."""
    keys = {"then": {"call": "GET /files/{file}", "as": "jsonl"}}
    lines = Reply(200, {"id": 1}, {"content-type": "application/jsonl"}, b'{"id": 1}\n')
    assert seen(keys, answer({"status": "done", "file": "f"}), lines).value == [{"id": 1}]


def test_a_success_may_lack_its_result() -> None:
    """26: a rule makes it a failure; a second call that fails is no verdict, but a miss."""
    rule = {"if": {"status": "done", "url": {"present": False}}, "state": "failed"}
    assert seen({"when": [rule]}, answer({"status": "done"})).state is State.FAILED
    assert seen({"when": [rule]}, answer({"status": "done", "url": "u"})).state is State.SUCCESS
    with pytest.raises(TransportError):
        seen({"then": "GET /files/{url}"}, answer({"status": "done", "url": "u"}), answer({}, 503))


def test_the_reason_is_the_first_with_something_in_it() -> None:
    """27: an empty text is none."""
    keys = {"reason": ["error.message", "note"], "code": "error.code"}
    snapshot = seen(keys, answer({"status": "broken", "error": {"message": "", "code": 7}, "note": "too long"}))
    assert (snapshot.reason, snapshot.code) == ("too long", "7")


def test_a_success_with_failures_inside_is_partial() -> None:
    """27: a rule may tell it by a count."""
    rule = {"if": {"status": "done", "failures": {"above": 0}}, "state": "success", "kind": "partial"}
    assert seen({"when": [rule]}, answer({"status": "done", "failures": 1})).partial
    assert not seen({"when": [rule]}, answer({"status": "done", "failures": 0})).partial


def test_a_job_has_several_results() -> None:
    """28: each has a name of its own."""
    keys = {"value": {"text": "text", "files": "files[*].url"}}
    snapshot = seen(keys, answer({"status": "done", "text": "t", "files": [{"url": "a"}, {"url": "b"}]}))
    assert snapshot.value == {"text": "t", "files": ["a", "b"]}


@pytest.mark.parametrize(
    ("keys", "body", "headers"),
    [
        ({}, {}, {"retry_after": "3"}),
        ({"retry_after": "poll.seconds"}, {"poll": {"seconds": 3}}, {}),
        ({"retry_after": {"at": "header:x-poll-after-ms", "of": 1000}}, {}, {"x_poll_after_ms": "3000"}),
    ],
)
def test_an_answer_says_when_to_ask_again(keys: Any, body: dict[str, Any], headers: dict[str, str]) -> None:
    """30: in the usual header, in the body, in a header of its own."""
    assert seen(keys, answer({"status": "running", **body}, **headers)).retry_after == 3


@pytest.mark.parametrize(
    ("progress", "body"),
    [
        ("share", {"share": 0.5}),
        ({"at": "percent", "of": 100}, {"percent": 50}),
        ({"at": ["done", "failed"], "of": "total"}, {"done": 3, "failed": 2, "total": 10}),
    ],
)
def test_progress_is_told_in_several_ways(progress: Any, body: dict[str, Any]) -> None:
    """37: as a share, a percentage, or counts."""
    assert seen({"progress": progress}, answer({"status": "running", **body})).progress == 0.5


STARTED = {"start": {"call": "POST /jobs", "open": True, "key": "request_id", "ref": {"id": "id"}}}


def test_a_job_may_have_ended_when_it_is_submitted() -> None:
    """38: the first poll, made at once, sees it; the word of a submit may be about the submit alone."""
    transport = over(answer({"id": "1", "status": "done"}), answer({"id": "1", "status": "done", "url": "u"}))

    async def run() -> tuple[Any, float]:
        clock = asyncio.get_running_loop().time
        began = clock()
        job = await definition({**STARTED, "value": "url"}).start(transport, prompt="a hat")
        return await job.result(timeout=10), clock() - began

    assert run_virtual(run()) == ("u", 0)


def test_a_submit_may_answer_like_a_poll() -> None:
    """38: where a definition says so, a job that has ended with it is not polled."""
    transport = over(answer({"id": "1", "status": "done", "url": "u"}))

    async def run() -> Any:
        start = {**STARTED["start"], "answers": True}
        job = await definition({"start": start, "value": "url"}).start(transport, prompt="a hat")
        return await job.result(timeout=10)

    assert run_virtual(run()) == "u"
    assert transport.requests == 1


def test_a_submit_has_an_idempotency_key() -> None:
    """38: one is made if none is given, and the request may then be repeated."""
    transport = over(answer({"id": "1", "status": "running"}))
    asyncio.run(definition(STARTED).start(transport, prompt="a hat"))
    assert transport.sent[0].repeatable
    assert set(transport.sent[0].json) == {"prompt", "request_id"}


def test_a_refused_submit_is_an_error() -> None:
    """38: also when the refusal comes with HTTP 200."""
    keys = {**STARTED, "error": {"ok": {"code": 0}, "code": "code", "message": "msg", "quota": "9"}}
    with pytest.raises(Rejected, match="the quota of today is used up"):
        asyncio.run(definition(keys).start(over(answer({"code": 9, "msg": "the quota of today is used up"}))))
