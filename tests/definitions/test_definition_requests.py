"""The requests that a definition makes, and the references that they are made from."""

from __future__ import annotations

from typing import Any

import pytest
from definition_kit import SMALLEST, answer, endpoint

from asyncpoll import BadReply, Job, Rejected
from asyncpoll.definitions import Definition
from asyncpoll.http import AiohttpTransport, Bearer, Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual


def asked(call: Any, **keys_and_fields: Any) -> Request:
    """Return the request of an `ask` for a reference; keys in capitals are of the definition."""
    keys = {name.lower(): value for name, value in keys_and_fields.items() if name.isupper()}
    fields = {name: value for name, value in keys_and_fields.items() if not name.isupper()}
    made = endpoint(ask=call, **keys)
    return made.ask(made.restore(fields))


@pytest.mark.parametrize(
    ("call", "fields", "path"),
    [
        ("GET /jobs", {}, "/jobs"),
        ("GET /jobs/{id}", {"id": "a b"}, "/jobs/a%20b"),
        ("GET /jobs/{id}", {"id": 7}, "/jobs/7"),
        ("GET /{a}/x/{b}:do", {"a": "1", "b": 2}, "/1/x/2:do"),
        ("GET /{+name}", {"name": "projects/p 1/operations/7"}, "/projects/p%201/operations/7"),
        ("GET /{+name}:wait", {"name": "a/b"}, "/a/b:wait"),
        ("GET /{+repo}/runs/{run}", {"repo": "o/r", "run": 5}, "/o/r/runs/5"),
    ],
)
def test_slots_fill_a_path(call: str, fields: Any, path: str) -> None:
    """A slot is one segment, an open one may hold slashes; both are percent-encoded."""
    request = asked(call, **fields)
    assert (request.method, request.path, request.repeatable) == ("GET", path, True)


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("GET /jobs/{id}", {"id": ""}),
        ("GET /jobs/{id}", {"id": "a/b"}),
        ("GET /jobs/{id}", {"id": ".."}),
        ("GET /jobs/{id}", {"id": "x\n"}),
        ("GET /jobs/{id}", {"id": None}),
        ("GET /jobs/{id}", {"id": True}),
        ("GET /jobs/{id}", {}),
        ("GET /jobs/{id}", {"id": "1", "other": "2"}),
        ("GET /{+name}", {"name": "a/../b"}),
        ("GET /{+name}", {"name": "a//b"}),
        ("GET /{+name}", {"name": "/a"}),
        ("GET /{+name}", {"name": "a/%2e%2e/b"}),
        ("GET {+url}", {"url": ""}),
        ("GET {+url}", {"url": 7}),
        ("GET {+url}", {"url": "https://a.b/\n"}),
        ({"call": "POST /q", "json": {"id": "{id}"}}, {"id": " "}),
        ({"call": "POST /q", "json": {"id": "{id}"}}, {"id": {1, 2}}),
    ],
)
def test_an_unusable_reference_is_refused(call: Any, fields: Any) -> None:
    """What would lead elsewhere, is missing, unknown or no JSON is a `ValueError` before any request."""
    with pytest.raises(ValueError, match=r".+"):
        asked(call, **fields)


def test_queries_bodies_and_headers_have_slots() -> None:
    """A text that is one slot alone is the value itself; in a query values are written as JSON."""
    call = {
        "call": "POST /find?v=1&id={id}",
        "query": {"deep": True, "tags": ["a", "{id}"], "n": "{n}"},
        "json": {"ids": ["{id}"], "n": "{n}", "text": "job {id}", "plain": None, "deep": {"x": 1.5}},
        "headers": {"X-Job": "job-{id}"},
    }
    request = asked(call, id="7", n=3)
    query: Any = request.query
    assert list(query) == [("v", "1"), ("id", "7"), ("deep", "true"), ("tags", ["a", "7"]), ("n", "3")]
    assert request.json == {"ids": ["7"], "n": 3, "text": "job 7", "plain": None, "deep": {"x": 1.5}}
    assert request.headers == {"X-Job": "job-7"}


def test_a_form_is_text() -> None:
    """The fields of a form are texts with slots."""
    assert asked({"call": "POST /find", "form": {"id": "{id}", "kind": "job"}}, id=7).form == {"id": "7", "kind": "job"}


def test_an_address_of_the_server_is_asked() -> None:
    """`{+url}` alone is an address that the server gave, which the transport checks."""
    request = asked("GET {+url}", url="https://api.acme.com/v1/jobs/7?full=1")
    assert (request.address, request.path) == ("https://api.acme.com/v1/jobs/7?full=1", "")
    with_header = asked({"call": "GET {+url}", "headers": {"X-A": "1"}}, url="/v1/x")
    assert (with_header.address, with_header.headers) == ("/v1/x", {"X-A": "1"})


def test_further_fields_go_into_the_body() -> None:
    """With `open` a reference may have further fields; they are sent, and part of the key of the job."""
    call = {"call": "POST /find", "json": {"id": "{id}"}}
    assert asked(call, OPEN=True, id="7", more={"x": [1]}).json == {"id": "7", "more": {"x": [1]}}
    assert asked(call, OPEN=True, id="7").json == {"id": "7"}
    assert asked("POST /find/{id}", OPEN=True, id="7", more=1).json == {"more": 1}
    for unusable in ({"more": {1}}, {"client": "x"}, {"more": float("nan")}):
        with pytest.raises(ValueError, match=r"must be JSON|names a client"):
            asked(call, OPEN=True, id="7", **unusable)


def test_a_reference_has_defaults() -> None:
    """A field with a default may be left out, and the key of the job has it."""
    made = endpoint(ask="GET /jobs/{id}/{form}", ref={"form": "text"})
    ref = made.restore({"id": 7})
    assert made.ask(ref).path == "/jobs/7/text"
    assert made.plain(ref) == {"id": "7", "form": "text"}


def test_references_are_values() -> None:
    """Equal references are one job, and one with a list in it still has a key."""
    made = endpoint(ask={"call": "POST /find", "json": {"id": "{id}"}}, open=True)
    one, same, other = (made.restore({"id": "1", "tags": tags}) for tags in (["a"], ["a"], ["b"]))
    transport = MemoryTransport(lambda _: answer({}))
    assert (one == same, one == other, one == 1) == (True, False, False)
    assert len({made.job(transport, one), made.job(transport, same), made.job(transport, other)}) == 2
    assert repr(one) == "id='1' tags=['a']"


def test_a_job_survives_its_token() -> None:
    """A job is made again from its token, and equals the first one."""
    made = endpoint()
    transport = MemoryTransport(lambda _: answer({}))
    job: Job[Any] = made.job(transport, made.restore({"id": 7}))
    assert made.job_from_json(transport, job.to_json()) == job


@pytest.mark.parametrize(
    ("echo", "body", "same"),
    [
        ({"id": "id"}, {"id": "7"}, True),
        ({"id": "id"}, {"id": 7}, True),
        ({"id": "id"}, {"id": None}, True),
        ({"id": "id"}, {}, True),
        ({"id": "id"}, {"id": "8"}, False),
        ({"id": "a.id", "kind": "k"}, {"a": {"id": "7"}, "k": "x"}, True),
        ({"id": "a.id", "kind": "k"}, {"a": {"id": "7"}, "k": "y"}, False),
    ],
)
def test_an_answer_repeats_the_reference(echo: Any, body: Any, *, same: bool) -> None:
    """An answer that repeats another id is about another job; one without an id may be about this one."""
    made = endpoint(ask="GET /{kind}/{id}", echo=echo)
    assert made.same_job is not None
    assert made.same_job(made.restore({"id": 7, "kind": "x"}), answer(body)) is same


def test_what_predicts_is_a_part_of_the_reference() -> None:
    """Each field with its name, in the order of the definition; further fields of an open reference serve, too."""
    call = {"call": "POST /{kind}/{size}", "json": {}}
    fields = {"kind": "a", "size": 2, "more": 3}
    found: list[Any] = []
    for predicts in ("kind", ["size", "kind"], ["kind", "more"]):
        made = endpoint(ask=call, open=True, predicts=predicts)
        assert made.predicts is not None
        found.append(made.predicts(made.restore(fields)))
    assert found == ["kind=a", "size=2,kind=a", "kind=a,more=3"]


def test_what_predicts_may_be_how_many_there_are() -> None:
    """Of a list in the reference; a reference without anything that predicts says nothing."""
    made = endpoint(ask={"call": "POST /x", "json": {"ids": "{ids}"}}, predicts="size:ids")
    assert made.predicts is not None
    assert [made.predicts(made.restore({"ids": ids})) for ids in (["a"] * 3, ["a"] * 9, 5, "text")] == [
        *("ids=2+", "ids=8+", "ids=4+", "ids=4+")
    ]
    start = {"call": "POST /x", "open": True, "ref": {"id": "id"}}
    assert endpoint(start=start, predicts="mode").predicts is None


# starts


async def started(start: Any, reply: Reply, arguments: Any, **keys: Any) -> tuple[Job[Any], Request]:
    """Start a job whose submit has this answer; return the job and the request."""
    sent: list[Request] = []

    def respond(request: Request) -> Reply:
        sent.append(request)
        return reply

    job = await endpoint(start=start, **keys).start(MemoryTransport(respond), **arguments)
    return job, sent[0]


async def test_a_start_submits_and_returns_the_job() -> None:
    """Arguments fill slots, others go into the body with `open`, and the answer has the reference."""
    start = {"call": "POST /{kind}", "json": {"v": 1}, "open": True, "ref": {"id": "data.id"}}
    job, request = await started(start, answer({"data": {"id": 9}}, 201), {"kind": "images", "prompt": "a cat"})
    assert (request.path, request.json, request.repeatable) == ("/images", {"v": 1, "prompt": "a cat"}, False)
    assert job.key == 'acme:{"id":"9"}'


async def test_a_reference_may_come_from_header_and_arguments() -> None:
    """A field may be in a header, or be an argument; the body of a 202 may be empty."""
    start = {"call": "POST /models/{model}", "ref": {"url": "header:operation-location"}}
    reply = answer(None, 202, operation_location="/v1/operations/7")
    job, _ = await started(start, reply, {"model": "m1"}, ask="GET {+url}", ref={"model": "m0"})
    assert job.endpoint.plain(job.ref) == {"url": "/v1/operations/7", "model": "m1"}


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": ""}, {"id": []}, {"id": "a/b"}, {"id": True}, [1]])
async def test_an_answer_without_an_id_is_malformed(body: Any) -> None:
    """The job may be running, but cannot be polled."""
    with pytest.raises(BadReply, match=r"an id is expected|no usable id"):
        await started({"call": "POST /jobs", "ref": {"id": "id"}}, answer(body), {})


@pytest.mark.parametrize("arguments", [{}, {"a": 1, "b": 2}])
async def test_wrong_arguments_are_refused(arguments: Any) -> None:
    """A missing or unknown argument is a `TypeError`, and nothing is sent."""
    start = {"call": "POST /jobs", "json": {"a": "{a}"}, "ref": {"id": "id"}}
    with pytest.raises(TypeError, match=r"lacks a|no argument 'b'"):
        await started(start, answer({"id": "1"}), arguments)


async def test_a_start_may_be_refused() -> None:
    """The errors of the API are those of a poll."""
    error = {"code": "code", "unpaid": "E7"}
    with pytest.raises(Rejected) as caught:
        await started({"call": "POST /jobs", "ref": {"id": "id"}}, answer({"code": "E7"}, 400), {}, error=error)
    assert caught.value.kind == "unpaid"


@pytest.mark.parametrize("given", [None, "mine"])
async def test_an_idempotency_key_is_sent(given: str | None) -> None:
    """It is an argument, or a header; without it, it is random. The request may then be repeated."""
    arguments = {} if given is None else {"idempotency_key": given}
    start = {"call": "POST /jobs", "key": "header:Idempotency-Key", "open": True, "ref": {"id": "id"}}
    _, request = await started(start, answer({"id": "1"}), {"x": 1, **arguments})
    key = request.headers["Idempotency-Key"]
    assert (request.json, request.repeatable, len(key)) == ({"x": 1}, True, len(given or "0" * 32))
    arguments = {} if given is None else {"token": given}
    start = {"call": "POST /jobs", "json": {"token": "{token}"}, "key": "token", "ref": {"id": "id"}}
    _, request = await started(start, answer({"id": "1"}), arguments)
    assert request.repeatable
    assert len(request.json["token"]) == len(key)


@pytest.mark.parametrize(
    ("body", "requests"), [({"id": "1", "status": "done"}, 1), ({"id": "1", "status": "queued"}, 2), ({"id": "1"}, 2)]
)
async def test_a_job_may_end_with_its_start(body: Any, requests: int) -> None:
    """With `answers` the answer to a start is read like one about the job; an end in it needs no poll."""
    replies = [answer(body), answer({"status": "done"})]
    transport = MemoryTransport(lambda _: replies.pop(0))
    made = endpoint(start={"call": "POST /jobs", "ref": {"id": "id"}, "answers": True})
    job = await made.start(transport)
    await job.result(timeout=10)
    assert transport.requests == requests


async def test_a_start_does_not_end_a_job_with_more_to_ask() -> None:
    """If the result needs a further call, a success in the answer to the start is polled."""
    keys: Any = {"start": {"call": "POST /jobs", "ref": {"id": "id"}, "answers": True}, "then": "GET /results/{id}"}
    replies = [answer({"id": "1", "status": "done"}), answer({"status": "done"}), answer([1])]
    transport = MemoryTransport(lambda _: replies.pop(0))
    job = await endpoint(**keys).start(transport)
    assert await job.result(timeout=10) == [1]
    broken = MemoryTransport(lambda _: answer({"id": "1", "status": "broken"}))
    job = await endpoint(**keys).start(broken)
    assert (await job.fetch()).state.value == "failed"
    assert broken.requests == 1


async def test_a_cancel_may_have_an_empty_answer() -> None:
    """A 204 to a cancel is a success, and a page is not."""
    made = endpoint(cancel="DELETE /jobs/{id}")
    ref = made.restore({"id": "1"})
    await made.job(MemoryTransport(lambda _: answer(None, 204)), ref).cancel()
    await made.job(MemoryTransport(lambda _: answer(None, 202)), ref).cancel()
    with pytest.raises(BadReply):
        await made.job(MemoryTransport(lambda _: answer("<h1>Log in</h1>")), ref).cancel()


def test_an_address_may_move_while_a_job_is_waited_for() -> None:
    """With `moved` the next poll of a wait goes where the last answer says."""
    sent: list[str | None] = []

    def respond(request: Request) -> Reply:
        sent.append(request.address)
        return answer({"status": "queued"}, location="/v1/b") if len(sent) < 3 else answer({"status": "done"})

    made = endpoint(ask="GET {+url}", moved={"url": "header:location"})
    job = made.job(MemoryTransport(respond), made.restore({"url": "/v1/a"}))
    run_virtual(job.wait(timeout=None))
    assert sent == ["/v1/a", "/v1/b", "/v1/b"]


@pytest.mark.parametrize(("timeout", "held"), [(100, ["30000"]), (11, ["10000"]), (None, ["30000"]), (1, [])])
async def test_a_long_poll_is_told_how_long(timeout: float | None, held: list[str]) -> None:
    """The server may hold an answer back until shortly before the wait ends, and the attempt lasts as long."""
    sent: list[Request] = []

    def respond(request: Request) -> Reply:
        sent.append(request)
        return answer({"status": "done"})

    pace = {"long_poll": {"query": "wait", "seconds": 30, "per_second": 1000}}
    made = endpoint(ask="GET /jobs/{id}?v=1", pace=pace)
    await made.job(MemoryTransport(respond), made.restore({"id": "1"})).wait(timeout=timeout)
    query: Any = sent[0].query
    told = [value for name, value in query if name == "wait"]
    assert [round(int(one) / 1000) * 1000 for one in told] == [int(one) for one in held]
    assert (sent[0].attempt is None) == (not held)


FOREIGN = [
    "https://evil.com/v1/x",
    "http://api.acme.com/v1/x",
    "https://api.acme.com/other/x",
    "//evil.com/x",
    "/v1/../x",
]


@pytest.mark.parametrize("address", FOREIGN)
async def test_a_foreign_address_is_refused_at_once(address: str) -> None:
    """The key is not sent elsewhere: neither with a poll, nor is a job handed out that would be polled there."""
    made = endpoint(ask="GET {+url}", start={"call": "POST /jobs", "ref": {"url": "header:location"}})
    transport = AiohttpTransport("https://api.acme.com/v1", auth=Bearer("a-key"))
    async with transport:
        with pytest.raises(Rejected) as caught:
            await made.job(transport, made.restore({"url": address})).wait(timeout=60)
    assert caught.value.kind == "foreign_address"
    assert transport.requests == 0


@pytest.mark.parametrize("address", FOREIGN)
async def test_a_submit_checks_the_address_of_its_job(address: str) -> None:
    """A job that would be polled at a foreign address is not handed out."""
    keys = {**SMALLEST, "ask": "GET {+url}", "start": {"call": "POST /jobs", "ref": {"url": "header:location"}}}
    async with AiohttpTransport("https://api.acme.com/v1") as checking:
        memory = MemoryTransport(lambda _: answer(None, 202, location=address))

        class Checked:
            """Sends over memory, and checks as a transport over HTTP does."""

            send = memory.send
            check = checking.check

        with pytest.raises(Rejected) as caught:
            await Definition.of(keys).start(Checked())
        assert caught.value.kind == "foreign_address"


@pytest.mark.parametrize(
    ("request_of", "value"),
    [
        ({"headers": {"X-Id": "{id}"}}, "a\u00e9"),
        ({"headers": {"X-Id": "{id}"}}, True),
        ({"headers": {"X-Id": "no. {id}"}}, ["1"]),
        ({"form": {"id": "{id}"}}, {"a": 1}),
        ({"query": {"id": "no. {id}"}}, 1.5),
        ({"json": {"a": [{"b": "no. {id}"}]}}, None),
        ({"json": {"a": "no. {id}"}}, "\ud800"),
    ],
)
async def test_an_id_that_cannot_be_sent_is_no_id(request_of: Any, value: Any) -> None:
    """It is refused where a reference is made, and where the server gives it, and not by every poll anew."""
    made = endpoint(ask={"call": "POST /jobs", **request_of}, start={"call": "POST /", "ref": {"id": "id"}})
    with pytest.raises(ValueError, match="id "):
        made.restore({"id": value})
    with pytest.raises(BadReply):
        await made.start(MemoryTransport(lambda _: answer({"id": value})))
    assert made.ask(made.restore({"id": 7})) == made.ask(made.restore({"id": "7"}))
