"""`simulate`: an HTTP server made of a definition alone, and jobs of the definition against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from simulator_kit import Client, Seen

from asyncpoll import Fixed, Hub, Rejected, State, wait_all
from asyncpoll.definitions import Definition, DefinitionServer, simulate
from asyncpoll.simulator import Constant, ErrorStatus, Fault, Life

BASIS: dict[str, Any] = {
    "name": "acme.renders",
    "base": "https://api.acme.com/v1",
    "ask": "GET /renders/{id}",
    "echo": {"id": "id"},
    "status": "status",
    "pending": "waiting",
    "processing": "rendering",
    "success": "rendered",
    "failed": "broken",
    "value": "video",
    "progress": {"at": "percent", "of": 100},
}
QUICK: dict[str, Any] = {"pending": Constant(0.02), "processing": Constant(0.04), "outcomes": {"success": 1}}
OFTEN = Fixed(0.02)
START = {"call": "POST /renders", "open": True, "ref": {"id": "id"}}
odd: Any = "odd"


def define(**changes: Any) -> Definition:
    """Return the definition with changes; None leaves a key out."""
    return Definition.of({name: value for name, value in {**BASIS, **changes}.items() if value is not None})


@asynccontextmanager
async def calls(server: DefinitionServer, key: str | None = "k") -> AsyncGenerator[Client]:
    """Open a plain HTTP client of a server, which sends a bearer token."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Client(server.base_url, session)


async def result(definition: Definition, server: DefinitionServer, **arguments: Any) -> tuple[Any, Any]:
    """Start a job, wait for it, and return its result, and the one that the server knows."""
    async with definition.client("k", base_url=server.base_url) as client:
        job = await client.start(**arguments)
        value = await job.result(timeout=10, schedule=OFTEN)
        return value, server.truth(definition.name, **job.ref.plain()).value


# jobs


async def test_jobs_end_as_the_server_says() -> None:
    """States and values of waits in a hub equal the truth, and every request is counted under its name."""
    definition = define(start=START)
    async with (
        simulate(definition, seed=3, pending=Constant(0.02), processing=Constant(0.02)) as server,
        definition.client("k", base_url=server.base_url) as client,
    ):
        jobs = [await client.start(prompt=f"a cat {number}") for number in range(40)]
        outcomes = await wait_all(jobs, timeout=20, schedule=OFTEN)
        truths = [server.truth("acme.renders", id=job.ref.plain()["id"]) for job in jobs]
        ends = [(outcome.snapshot.state, outcome.snapshot.value) for outcome in outcomes if outcome.snapshot]
    assert ends == [(truth.state, truth.value) for truth in truths]
    assert {truth.state for truth in truths} == {State.SUCCESS, State.FAILED}
    assert {truth.outcome for truth in truths} == {"rendered", "broken"}
    assert all(round(truth.finished_at - truth.submitted_at, 6) == 0.04 for truth in truths)
    assert server.counts["acme.renders.start"] == 40
    assert server.counts["acme.renders"] == sum(outcome.polls for outcome in outcomes)
    assert server.requests == server.counts.total()


async def test_a_seed_makes_the_same_jobs() -> None:
    """The lives of two servers with one seed are the same; with another seed they differ."""
    definition = define()
    outcomes: list[list[float]] = []
    for seed in (1, 1, 2):
        async with simulate(definition, seed=seed) as server, calls(server) as client:
            for number in range(5):
                await client.send("GET", f"/renders/{number}")
            truths = [server.truth("acme.renders", id=str(number)) for number in range(5)]
            outcomes.append([round(truth.finished_at - truth.submitted_at, 6) for truth in truths])
    assert outcomes[0] == outcomes[1] != outcomes[2]


@pytest.mark.parametrize(
    ("life", "words"),
    [
        (Life(outcome="rendered"), ["rendered"]),
        (Life(outcome="failed"), ["broken"]),
        (Life(pending=1000, outcome="broken"), ["waiting"]),
        (Life(processing=1000, outcome="broken"), ["rendering"]),
    ],
)
async def test_the_life_of_a_job_can_be_scripted(life: Life, words: list[str]) -> None:
    """Its outcome is a word of the API, or a state; the words on the way are those of the definition."""
    async with simulate(define()) as server, calls(server) as client:
        await client.send("GET", "/renders/known")
        for ident in ("known", "new"):
            server.script("acme.renders", life, id=ident)
            assert [(await client.send("GET", f"/renders/{ident}")).json["status"]] == words


async def test_a_definition_without_some_words_is_served() -> None:
    """Without a word for waiting jobs they are processing; without any the answer has no word at all."""
    bare = define(pending=None, processing=None, failed=None)
    async with simulate(define(pending=None)) as one, simulate(bare) as two, calls(one) as first, calls(two) as other:
        one.script("acme.renders", Life(pending=1000, outcome="success"), id="a")
        assert (await first.send("GET", "/renders/a")).json["status"] == "rendering"
        assert "status" not in (await other.send("GET", "/renders/a")).json


async def test_words_and_values_may_stand_outside_of_json() -> None:
    """The word is the HTTP status, or in a header, and the value is the bytes of the answer."""
    by_status = define(status="http", pending=None, processing=202, success=200, failed=422, progress=None, echo=None)
    by_header = define(status="header:x-state", value="body", progress=None, echo=None, start=START)
    async with simulate(by_status) as server, by_status.client("k", base_url=server.base_url) as client:
        for outcome in ("success", "failed"):
            server.script("acme.renders", Life(outcome=outcome), id=outcome)
        assert (await client.job(id="success").fetch()).status == "200"
    async with simulate(by_header, **QUICK) as server:
        value, truth = await result(by_header, server)
    assert value == truth
    assert isinstance(value, bytes)


# requests


async def test_a_start_may_be_repeated_with_its_key() -> None:
    """The same idempotency key, in the body or in a header, leads to the same job."""
    by_header = define(start={**START, "key": "header:Idempotency-Key"})
    by_argument = define(start={**START, "key": "request_id"})
    async with simulate(by_header) as server, calls(server) as client:
        headers = {"Idempotency-Key": "one"}
        first, again = [(await client.send("POST", "/renders", headers=headers)).json for _ in range(2)]
        assert first == again != (await client.send("POST", "/renders")).json
    async with simulate(by_argument) as server, calls(server) as client:
        ids = [(await client.send("POST", "/renders", json={"request_id": key})).json["id"] for key in "aab"]
    assert ids[0] == ids[1] != ids[2]


async def test_fields_of_a_reference_come_from_the_arguments() -> None:
    """The path of the start has the app, and jobs of another app are others."""
    definition = define(
        ask="GET /{+app}/requests/{id}", start={"call": "POST /{+app}", "open": True, "ref": {"id": "id"}}
    )
    async with simulate(definition, unknown_ids="reject", **QUICK) as server:
        value, truth = await result(definition, server, app="lab/cats", prompt="x")
        assert value == truth
        async with calls(server) as client:
            assert (await client.send("GET", "/lab/dogs/requests/1")).status == 404


async def test_a_client_may_choose_the_id() -> None:
    """The second start with an id is about the same job, whose life may have been scripted before."""
    definition = define(start={"call": "PUT /renders/{id}"})
    async with simulate(definition) as server, definition.client("k", base_url=server.base_url) as client:
        server.script("acme.renders", Life(outcome="failed"), id="mine")
        jobs = [await client.start(id="mine") for _ in range(2)]
        seen = [(await job.fetch()).state for job in jobs]
    assert seen == [State.FAILED] * 2
    assert jobs[0] == jobs[1]


async def test_jobs_live_at_addresses_that_the_server_gives() -> None:
    """A start answers with a `Location`, which is below the base, and the result is at another address."""
    definition = define(
        ask="GET {+place}",
        start={"call": "POST /renders", "ref": {"place": "header:location"}},
        then="GET {+links.result}",
        echo=None,
        value=None,
    )
    async with simulate(definition, **QUICK) as server:
        value, truth = await result(definition, server)
        assert value == truth == {"sample": value["sample"]}
        assert server.counts["acme.renders.then"] == 1


@pytest.mark.parametrize(
    "then",
    [
        {"call": "GET /files/{file}/content", "as": "jsonl"},
        {"call": "GET /files/{file}/content", "as": "jsonl", "value": "[*].row"},
        {"call": "GET /files/{file}/content", "as": "text"},
        {"call": "GET /renders/{id}/content", "as": "bytes"},
        {"call": "GET /files/{file}/content", "as": "text", "pages": {"next": "more"}},
        {"call": "POST /files", "json": {"ids": ["{file}"], "kind": "video"}, "value": {"url": "link", "size": "size"}},
        [{"call": "GET /files/{file}"}, {"call": "GET /parts/{part.id}", "value": "part"}],
        {"call": "GET /files/{file}/rows", "value": "rows", "pages": "next"},
        {"call": "GET /files/{file}/rows", "value": "rows", "pages": {"next": "cursor", "query": "after"}},
        {"call": "GET /files/{file}/rows", "value": "rows", "pages": {"next": "cursor", "query": "at", "more": "more"}},
    ],
)
async def test_results_come_from_later_calls(then: Any) -> None:
    """Whatever the form of the result, and however many calls and pages it takes, it equals the server's."""
    definition = define(start=START, then=then, value=None)
    async with simulate(definition, **QUICK) as server:
        value, truth = await result(definition, server)
    assert value == truth
    assert value


async def test_the_answer_itself_may_have_pages() -> None:
    """Both pages of the value are in the result, and an unfinished job has none."""
    definition = define(start=START, value="rows", pages={"next": "next_cursor", "query": "cursor"})
    async with simulate(definition, **QUICK) as server:
        value, truth = await result(definition, server)
        async with calls(server) as client:
            server.script("acme.renders", Life(outcome="success"), id="a")
            pages = [
                (await client.send("GET", "/renders/a", params={"cursor": one})).json for one in ("", "odd", "page-2")
            ]
    assert value == truth
    assert [row["row"] for row in value] == [1, 2, 3, 4]
    assert ["next_cursor" in page for page in pages] == [True, True, False]


async def test_a_request_must_fit_in_all_its_parts() -> None:
    """Method, query, headers and body tell requests to the same path apart; another one is not found."""
    call = {"call": "POST /?Version=1", "json": {"Id": "{id}", "Keys": ["a"], "Deep": {"on": True}}}
    definition = define(
        ask={**call, "headers": {"X-Action": "Describe"}},
        cancel={**call, "headers": {"X-Action": "Stop"}},
        echo={"id": "Id"},
    )
    body = {"Id": "7", "Keys": ["a"], "Deep": {"on": True}}
    ask = {"params": {"Version": "1"}, "headers": {"X-Action": "Describe"}}
    async with simulate(definition) as server, calls(server) as client:
        assert (await client.send("POST", "/", json=body, **ask)).json["Id"] == "7"
        assert (await client.send("POST", "/", json={**body, "more": 1}, **ask)).status == 200
        assert (await client.send("POST", "/", json={**body, "Id": 7}, **ask)).status == 200
        wrong = [
            await client.send("GET", "/", **ask),
            await client.send("POST", "/x", json=body, **ask),
            await client.send("POST", "/", json=body, headers=ask["headers"]),
            await client.send("POST", "/", json=body, params=ask["params"]),
            await client.send("POST", "/", json={**body, "Keys": ["a", "b"]}, **ask),
            await client.send("POST", "/", json={**body, "Keys": "a"}, **ask),
            await client.send("POST", "/", json={**body, "Deep": 1}, **ask),
            await client.send("POST", "/", json={**body, "Deep": {"on": 0}}, **ask),
            await client.send("POST", "/", data=b"odd", **ask),
        ]
    assert [reply.status for reply in wrong] == [404] * 9
    assert server.counts["nowhere"] == 9


async def test_a_path_outside_of_the_base_is_not_found() -> None:
    """The server answers below the path of the base address only."""
    async with simulate(define()) as server, calls(server) as client:
        assert server.base_url == f"{server.url}/v1"
        assert (await Client(server.url, client.session).send("GET", "/renders/1")).status == 404


# cancelling


@pytest.mark.parametrize(("word", "state"), [("stopped", State.CANCELLED), (None, State.FAILED)])
async def test_a_job_can_be_cancelled(word: str | None, state: State) -> None:
    """It ends at once, as cancelled where there is a word for that; a second time changes nothing."""
    definition = define(cancel="DELETE /renders/{id}", cancelled=word)
    async with simulate(definition) as server, definition.client("k", base_url=server.base_url) as client:
        server.script("acme.renders", Life(processing=1000, outcome="success"), id="a")
        job = client.job(id="a")
        assert (await job.fetch()).state is State.PROCESSING
        await job.cancel()
        await job.cancel()
        assert (await job.fetch()).state is state
        assert server.counts["acme.renders.cancel"] == 2


async def test_a_job_that_knows_only_success_ends_with_it() -> None:
    """A definition without another end has only this one, also for a job that is cancelled."""
    definition = define(cancel="DELETE /renders/{id}", failed=None)
    async with simulate(definition) as server, calls(server) as client:
        server.script("acme.renders", Life(processing=1000, outcome="success"), id="a")
        await client.send("GET", "/renders/a")
        assert (await client.send("DELETE", "/renders/a")).json["status"] == "rendered"


async def test_a_job_that_has_ended_may_refuse_to_be_cancelled() -> None:
    """Where the definition has a code for it, the server uses it, and `Job.cancel` succeeds all the same."""
    definition = define(cancel="DELETE /renders/{id}", error={"ok": {"code": 0}, "code": "code", "already_ended": 5})
    async with simulate(definition) as server, calls(server) as client:
        server.script("acme.renders", Life(outcome="success"), id="a")
        assert (await client.send("GET", "/renders/a")).json["code"] == 0
        assert (await client.send("DELETE", "/renders/a")).json["code"] == 5
        async with definition.client("k", base_url=server.base_url) as own:
            await own.job(id="a").cancel()


# lists


LISTED: dict[str, Any] = {"ask": "GET /batches/{batch}", "echo": None, "about": {"each": "items", "id": {"id": "item"}}}


async def test_one_answer_is_about_many_jobs() -> None:
    """A list has the jobs that were scripted and the answers about them; a batch without jobs is not found."""
    async with simulate(define(**LISTED)) as server, define(**LISTED).client("k", base_url=server.base_url) as client:
        for ident, outcome in {"a": "success", "b": "failed"}.items():
            server.script("acme.renders", Life(outcome=outcome), batch="1", id=ident)
        seen = [(await client.job(batch="1", id=ident).fetch()).state for ident in "ab"]
        server.script("acme.renders", Life(outcome="success"), batch="1", id="c")
        seen.append((await client.job(batch="1", id="c").fetch()).state)
        with pytest.raises(Rejected) as caught:
            await client.job(batch="2", id="a").fetch()
    assert seen == [State.SUCCESS, State.FAILED, State.SUCCESS]
    assert caught.value.kind == "not_found"


@pytest.mark.parametrize("about", [None, LISTED["about"]])
async def test_many_jobs_are_asked_about_together(about: Any) -> None:
    """A hub asks for the list; with `about`, the list is the same answer."""
    group = {"ask": "GET /batches/{batch}", "each": "items", "id": {"id": "item"}, "echo": {"batch": "batch"}}
    keys: dict[str, Any] = {"group": {**group, "value": "video"}, "value": "video", "echo": None, "about": about}
    ask = "GET /batches/{batch}" if about else "GET /batches/{batch}/{id}"
    if about:
        keys["group"].pop("echo")
    definition = define(ask=ask, missing="processing", **keys)
    async with (
        simulate(definition) as server,
        definition.client("k", base_url=server.base_url) as client,
        Hub(schedule=Fixed(0.1)) as hub,
    ):
        lives = [Life(processing=0.3, outcome="success"), Life(outcome="missing")]
        for number in range(30):
            server.script("acme.renders", lives[number == 7], batch="1", id=f"i{number}")
        await client.job(batch="1", id="i7").fetch()
        jobs = [client.job(batch="1", id=f"i{number}") for number in range(30) if number != 7]
        outcomes = await hub.wait_all(jobs, timeout=20)
        values = [outcome.snapshot.value for outcome in outcomes if outcome.snapshot]
        truths = [server.truth("acme.renders", **job.ref.plain()).value for job in jobs]
        together = (await client_of(server).send("GET", "/batches/1")).json["items"] if about is None else []
    assert values == truths
    assert len(together) in {0, 29}
    assert server.requests < 29 * 3


def client_of(server: DefinitionServer) -> Any:
    """Return something with a method `send` that opens a client for one call."""

    class Once:
        """A client for one call."""

        async def send(self, method: str, path: str) -> Seen:
            """Send one request."""
            async with calls(server) as client:
                return await client.send(method, path)

    return Once()


async def test_a_group_without_jobs_is_an_empty_list() -> None:
    """There is nothing to say yet."""
    group = {"ask": "GET /batches/{batch}", "each": "items", "id": {"id": "item"}}
    async with simulate(define(ask="GET /batches/{batch}/{id}", group=group)) as server, calls(server) as client:
        assert (await client.send("GET", "/batches/1")).json == {"items": []}


# the manner of the answers


async def test_an_answer_that_is_known_is_not_sent_again() -> None:
    """The client sends the `ETag` back, and gets HTTP 304 for it until the answer changes."""
    async with simulate(define(progress=None)) as server, calls(server) as client:
        server.script("acme.renders", Life(pending=1000, outcome="success"), id="a")
        first = await client.send("GET", "/renders/a")
        again = await client.send("GET", "/renders/a", headers={"If-None-Match": first.headers["ETag"]})
        server.script("acme.renders", Life(outcome="success"), id="a")
        last = await client.send("GET", "/renders/a", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status, again.status, again.body, last.status) == (200, 304, b"", 200)


async def test_a_long_poll_waits_for_the_end() -> None:
    """The answer is held back until the job ends, so that one poll is enough."""
    definition = define(pace={"long_poll": {"query": "wait_ms", "seconds": 5, "per_second": 1000}})
    async with simulate(definition) as server, calls(server) as client:
        server.script("acme.renders", Life(processing=0.2, outcome="success"), id="a")
        server.script("acme.renders", Life(processing=1000, outcome="success"), id="b")
        began = asyncio.get_running_loop().time()
        held = await client.send("GET", "/renders/a", params={"wait_ms": "60000"})
        waited = asyncio.get_running_loop().time() - began
        short = await client.send("GET", "/renders/b", params={"wait_ms": "10"})
        at_once = [await client.send("GET", "/renders/b", params=one) for one in ({}, {"wait_ms": "nan"})]
    assert held.json["status"] == "rendered"
    assert waited > 0.15
    assert [reply.json["status"] for reply in (short, *at_once)] == ["rendering"] * 3


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (None, 404, {"error": {"message": "not_found"}}),
        ({"not_found": 77}, 404, {"error": {"message": "not_found", "code": "77"}}),
        ({"http": {"410": "not_found"}}, 410, {"error": {"message": "not_found"}}),
        ({"object": "trouble", "not_found": "x"}, 200, {"trouble": {"message": "not_found", "code": "x"}}),
    ],
)
async def test_an_unknown_id_is_refused_in_its_words(error: Any, status: int, body: Any) -> None:
    """Jobs that were not submitted do not exist, and the answer is what the definition takes for that."""
    definition = define(error=error)
    async with (
        simulate(definition, unknown_ids="reject") as server,
        calls(server) as plain,
        definition.client("k", base_url=server.base_url) as client,
    ):
        seen = await plain.send("GET", "/renders/1")
        with pytest.raises(Rejected) as caught:
            await client.job(id="1").fetch()
    assert (seen.status, seen.json) == (status, body)
    assert caught.value.kind == "not_found"


@pytest.mark.parametrize(
    ("auth", "good", "bad"),
    [
        ("bearer", {"headers": {"Authorization": "Bearer k"}}, {"headers": {"Authorization": "Bearer other"}}),
        ("basic", {"headers": {"Authorization": "Basic dTpw"}}, {"headers": {"Authorization": "Bearer k"}}),
        ({"header": "X-Key"}, {"headers": {"X-Key": "k"}}, {"headers": {"X-Key": "other"}}),
        ({"header": "X-Key", "prefix": "Key "}, {"headers": {"X-Key": "Key k"}}, {"headers": {"X-Key": "k"}}),
        ({"query": "key"}, {"params": {"key": "k"}}, {"params": {"key": "other"}}),
        ({"scheme": "signed"}, {"headers": {"Authorization": "Signed x"}}, {}),
        ("none", {}, None),
    ],
)
async def test_a_wrong_credential_is_refused(auth: Any, good: dict[str, Any], bad: dict[str, Any] | None) -> None:
    """The key must be where the definition says; where it is sent as it is, it must be the right one."""
    async with simulate(define(auth=auth), key="k") as server, calls(server, key=None) as client:
        assert (await client.send("GET", "/renders/1", **good)).status == 200
        if bad is not None:
            assert (await client.send("GET", "/renders/1", **bad)).status == 401
            assert (await client.send("GET", "/renders/1")).status == 401
            assert server.counts["refused"] == 2


async def test_every_request_is_logged_without_its_query() -> None:
    """A line has the time, the method, the path, the status and the name; a key in the query is not in it."""
    lines: list[str] = []
    definition = define(auth={"query": "key"})
    async with simulate(definition, log=lines.append) as server, calls(server, key=None) as client:
        await client.send("GET", "/renders/1", params={"key": "secret"})
        await client.send("PUT", "/renders/1", params={"key": "secret"})
    times, shown = zip(*(line.split(" ", 1) for line in lines), strict=True)
    assert shown == ("GET /v1/renders/1 200 acme.renders", "PUT /v1/renders/1 404 nowhere")
    assert all(time.endswith("+00:00") for time in times)


async def test_faults_go_by_the_names_of_requests() -> None:
    """The second poll fails; starts do not."""
    fault = Fault(ErrorStatus(503), "acme.renders", nth=2)
    definition = define(start=START)
    async with simulate(definition, faults=[fault], **QUICK) as server, calls(server) as client:
        statuses = [(await client.send(*call)).status for call in [("POST", "/renders"), *[("GET", "/renders/1")] * 3]]
    assert statuses == [200, 200, 503, 200]


async def test_an_answer_that_cannot_be_is_a_server_error() -> None:
    """The definition has a text and an object at the same place, as `lint` would say."""
    definition = define(reason="error", code="error.code")
    async with simulate(definition) as server, calls(server) as client:
        server.script("acme.renders", Life(outcome="failed"), id="a")
        reply = await client.send("GET", "/renders/a")
    assert reply.status == 500
    assert "something else stands in the way of error.code; see what lint says" in reply.json["error"]["message"]


# what is refused


def test_wrong_arguments_are_refused() -> None:
    """The message says what there is to choose from."""
    with pytest.raises(ValueError, match="choose one of: draw, reject"):
        simulate(define(), unknown_ids=odd)
    with pytest.raises(ValueError, match=r"acme\.renders has no outcome 'gone'; choose one of: waiting, rendering"):
        simulate(define(), outcomes={"gone": 1})
    server = simulate(define())
    with pytest.raises(ValueError, match="no outcome 'gone'; choose one of: waiting, rendering, rendered, broken"):
        server.script("acme.renders", Life(outcome="gone"), id="a")
    with pytest.raises(ValueError, match=r"endpoint 'acme' does not exist; choose one of: acme\.renders"):
        server.script("acme", Life(outcome="success"), id="a")
    server.script("acme.renders", Life(outcome="success"), id="b")
    for ident in "ab":
        with pytest.raises(ValueError, match="has not seen this job yet"):
            server.truth("acme.renders", id=ident)
