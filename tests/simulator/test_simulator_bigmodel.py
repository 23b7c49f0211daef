"""The simulator answers like the vendor's documents of BigModel, in every state of a job."""

from __future__ import annotations

import io
import zipfile
from random import Random

import aiohttp
import pytest
from schemas import DOCUMENTS, check, error_schema, example, request_example, request_schema, response_schema, words
from simulator_kit import PARSER, client, simulated

from asyncpoll.simulator import Life
from asyncpoll.simulator._bigmodel import agent_output, parser_result
from asyncpoll.simulator._jobs import AGENTS, FILE_PARSER, SUBTASKS

AGENTS_DOCUMENT, PARSER_DOCUMENT, SUBTASK_DOCUMENT = DOCUMENTS
CORRECTION = "intelligent_education_correction_polling"
POLL = "/api/v1/agents/async-result"
RUNNING = {"pending": 1000.0, "processing": 0.0}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_document_obeys_its_own_schema(document: str) -> None:
    """The examples of the documents are valid, so the schemas are read correctly."""
    check(example(document), response_schema(document, closed=True))
    check(request_example(document), request_schema(document))


def test_the_words_are_those_of_the_documents() -> None:
    """Every documented word can occur, and only later pages of the vendor add words."""
    known = {kind.name: {*kind.words, *kind.outcomes} for kind in (AGENTS, FILE_PARSER, SUBTASKS)}
    assert known["bigmodel.agents"] == set(words(AGENTS_DOCUMENT))
    assert known["bigmodel.file_parser"] == set(words(PARSER_DOCUMENT))
    assert known["molizhishu.subtasks"] == {*words(SUBTASK_DOCUMENT), "assigned", "stopped"}


@pytest.mark.parametrize("outcome", ["success", "failed"])
async def test_an_agent_answers_as_documented(outcome: str) -> None:
    """A job is pending without output, then has its outcome with output or error, under its ids."""
    async with simulated() as (sim, calls):
        sim.script("bigmodel.agents", "job", Life(**RUNNING, outcome=outcome))
        waiting = (await calls.agent("job")).json
        sim.script("bigmodel.agents", "job", Life(outcome=outcome))
        ended = (await calls.agent("job")).json
    assert waiting == {"agent_id": "some_agent", "async_id": "job", "status": "pending"}
    assert (ended["async_id"], ended["agent_id"], ended["status"]) == ("job", "some_agent", outcome)
    check(ended, response_schema(AGENTS_DOCUMENT))
    if outcome == "success":
        check(ended, response_schema(AGENTS_DOCUMENT, closed=True))
        assert ended["choices"][0]["messages"][0]["content"][0]["type"] == "file_url"
    else:
        check(ended, error_schema(AGENTS_DOCUMENT))


async def test_an_agent_can_be_started() -> None:
    """The response has the id of a job that can be polled."""
    async with simulated(unknown_ids="reject") as (sim, calls):
        started = (await calls.send("POST", "/api/v1/agents", json={"agent_id": "some_agent", "messages": []})).json
        assert started == {"status": "pending", "async_id": started["async_id"], "agent_id": "some_agent"}
        assert (await calls.agent(started["async_id"])).json["status"] in words(AGENTS_DOCUMENT)
        assert sim.truth("bigmodel.agents", started["async_id"]).outcome in {"success", "failed"}


async def test_agents_have_the_address_of_the_sdk_too() -> None:
    """Both base paths lead to the same jobs and the same counts."""
    places = ("/api/v1/agents", "/api/paas/v4/v1/agents")
    async with simulated(unknown_ids="reject") as (sim, calls):
        for start in places:
            started = (await calls.send("POST", start, json={"agent_id": "some_agent", "messages": []})).json
            wanted = {"agent_id": "some_agent", "async_id": started["async_id"]}
            sim.script("bigmodel.agents", started["async_id"], Life(outcome="success"))
            one, other = [(await calls.send("POST", f"{place}/async-result", json=wanted)).json for place in places]
            assert one == other
            assert one["status"] == "success"
        assert sim.counts == {"bigmodel.agents.start": 2, "bigmodel.agents": 4}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/agents", b"{"),
        ("/api/v1/agents", b'["agent_id"]'),
        ("/api/v1/agents", b'{"agent_id": "some_agent"}'),
        ("/api/v1/agents", b'{"agent_id": 1, "messages": []}'),
        ("/api/v1/agents/async-result", b"\xff"),
        ("/api/v1/agents/async-result", b'{"async_id": "job"}'),
        ("/api/v1/agents/async-result", b'{"agent_id": "some_agent", "async_id": 7}'),
    ],
)
async def test_an_agents_request_must_be_complete(path: str, body: bytes) -> None:
    """A body without the required fields has HTTP 400 and an error object."""
    async with simulated() as (_, calls):
        seen = await calls.send("POST", path, data=body)
    assert seen.status == 400
    check(seen.json, error_schema(AGENTS_DOCUMENT))


async def test_a_correction_is_polled_by_its_trace_id() -> None:
    """While it runs it has a status; its success has a result for each question, and neither a status nor an id."""
    variables = {"trace_id": "t", "images": [{"uuids": ["a", "b"]}, {"uuids": "c"}, "d"]}
    body = {"agent_id": CORRECTION, "custom_variables": variables}
    async with simulated() as (sim, calls):
        sim.script("bigmodel.agents", "t", Life(**RUNNING, outcome="success"))
        waiting = (await calls.send("POST", POLL, json=body)).json
        sim.script("bigmodel.agents", "t", Life(outcome="success"))
        ended = (await calls.send("POST", POLL, json=body)).json
        sim.script("bigmodel.agents", "t", Life(outcome="failed"))
        failed = (await calls.send("POST", POLL, json=body)).json
    assert waiting == {"agent_id": CORRECTION, "status": "pending"}
    assert set(ended) == {"agent_id", "choices"}
    results = ended["choices"][0]["messages"][0]["content"]["object"]["results"]
    assert [result["uuid"] for result in results] == ["a", "b"]
    assert (failed["status"], set(failed["error"])) == ("failed", {"code", "message"})


async def test_an_unknown_correction_has_failed() -> None:
    """Where unknown ids are refused, a correction with an unknown trace id has failed."""
    body = {"agent_id": CORRECTION, "custom_variables": {"trace_id": "never", "images": []}}
    async with simulated(unknown_ids="reject") as (_, calls):
        assert (await calls.send("POST", POLL, json=body)).json["status"] == "failed"


@pytest.mark.parametrize("variables", [None, [], {"images": []}, {"trace_id": 1, "images": []}, {"trace_id": "t"}])
async def test_a_correction_needs_its_variables(variables: object) -> None:
    """A poll without a trace id or images has HTTP 400 and an error object."""
    async with simulated() as (_, calls):
        seen = await calls.send("POST", POLL, json={"agent_id": CORRECTION, "custom_variables": variables})
    assert seen.status == 400
    check(seen.json, error_schema(AGENTS_DOCUMENT))


@pytest.mark.parametrize("wanted", ["text", "download_link"])
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_the_parser_answers_as_documented(wanted: str, outcome: str) -> None:
    """A job is processing with null fields, then has the requested field, or only a message."""
    schema = response_schema(PARSER_DOCUMENT, closed=True)
    async with simulated() as (sim, calls):
        sim.script("bigmodel.file_parser", "job", Life(**RUNNING, outcome=outcome))
        waiting = (await calls.parsed("job", wanted)).json
        sim.script("bigmodel.file_parser", "job", Life(outcome=outcome))
        ended = (await calls.parsed("job", wanted)).json
    check(waiting, schema)
    check(ended, schema)
    assert (waiting["status"], waiting["content"], waiting["parsing_result_url"]) == ("processing", None, None)
    filled = {field for field in ("content", "parsing_result_url") if ended[field]}
    asked = {"text": "content", "download_link": "parsing_result_url"}[wanted]
    assert (ended["status"], filled) == (outcome, {asked} if outcome == "succeeded" else set())


async def test_the_parser_can_be_started() -> None:
    """The response has the id of a task that can be polled in both formats."""
    async with simulated(unknown_ids="reject") as (_, calls):
        created = (await calls.create()).json
        assert created["success"] is True
        for wanted in ("text", "download_link"):
            seen = (await calls.parsed(created["task_id"], wanted)).json
            check(seen, response_schema(PARSER_DOCUMENT))
            assert seen["task_id"] == created["task_id"]


async def test_the_parser_refuses_at_http_200() -> None:
    """An unknown tool type and a missing file have success false and no task."""
    async with simulated() as (_, calls):
        tool = await calls.create(tool_type="magic")
        file = await calls.send("POST", f"{PARSER}/create", data={"tool_type": "lite", "file": "a path"})
    for seen in (tool, file):
        assert (seen.status, seen.json["success"], seen.json["task_id"]) == (200, False, None)


async def test_the_parser_refuses_an_unknown_format() -> None:
    """A format other than the two documented ones has HTTP 400."""
    async with simulated() as (_, calls):
        seen = await calls.parsed("job", "pdf")
    assert seen.status == 400
    check(seen.json, error_schema(PARSER_DOCUMENT))


async def test_the_archive_is_a_zip_of_the_text() -> None:
    """The archive has the same text as the text format, also for an id with special characters."""
    async with simulated() as (sim, calls):
        sim.script("bigmodel.file_parser", "a/b 1", Life(outcome="succeeded"))
        text = (await calls.parsed("a%2Fb%201")).json["content"]
        url = (await calls.parsed("a%2Fb%201", "download_link")).json["parsing_result_url"]
        async with client(sim, bearer=None) as keyless:
            seen = await keyless.send("GET", url.removeprefix(sim.url))
    assert (seen.status, seen.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(seen.body)) as bundle:
        assert bundle.testzip() is None
        assert bundle.read("result.md").decode() == text


async def test_the_archive_refuses_a_credential() -> None:
    """A signed link refuses a request that has an API key too."""
    async with simulated() as (sim, calls):
        sim.script("bigmodel.file_parser", "job", Life(outcome="succeeded"))
        assert (await calls.send("GET", "/download/job.zip")).status == 400


async def test_the_link_expires() -> None:
    """The archive is gone a lifetime after the end of the job, however often the job is polled."""
    async with simulated(link_lifetime=0.0) as (sim, calls), client(sim, bearer=None) as keyless:
        sim.script("bigmodel.file_parser", "job", Life(outcome="succeeded"))
        assert (await calls.parsed("job", "download_link")).json["status"] == "succeeded"
        assert (await keyless.send("GET", "/download/job.zip")).status == 403


async def test_only_a_success_has_an_archive() -> None:
    """An unknown job and a failed job do not have an archive."""
    async with simulated(unknown_ids="reject") as (sim, _), client(sim, bearer=None) as keyless:
        sim.script("bigmodel.file_parser", "bad", Life(outcome="failed"))
        assert (await keyless.send("GET", "/download/bad.zip")).status == 404
        assert (await keyless.send("GET", "/download/never.zip")).status == 404


async def test_each_endpoint_refuses_an_unknown_id_its_way() -> None:
    """Agents answer with a failed job at HTTP 200, the parser with HTTP 404."""
    async with simulated(unknown_ids="reject") as (_, calls):
        agent, parsed = await calls.agent("never"), await calls.parsed("never")
    assert (agent.status, agent.json["status"], agent.json["error"]["code"]) == (200, "failed", "400")
    assert parsed.status == 404
    check(parsed.json, error_schema(PARSER_DOCUMENT))


@pytest.mark.parametrize(("bearer", "code"), [(None, "1001"), ("wrong", "1000")])
async def test_a_bad_key_is_refused(bearer: str | None, code: str) -> None:
    """Every endpoint that needs a key answers a bad one with HTTP 401 and an error object."""
    async with simulated(bigmodel_key="right") as (sim, _), client(sim, bearer=bearer) as calls:
        refused = [
            await calls.agent("job"),
            await calls.parsed("job"),
            await calls.create(),
            await calls.send("POST", "/api/v1/agents", json={}),
        ]
        assert sim.requests == len(refused)
    for seen in refused:
        assert (seen.status, seen.json["error"]["code"]) == (401, code)
        check(seen.json, error_schema(PARSER_DOCUMENT))


async def test_any_key_is_accepted_unless_one_is_set() -> None:
    """A request needs a bearer token, and any is accepted unless a key is set."""
    async with simulated() as (sim, calls), client(sim, bearer=None) as keyless:
        assert (await calls.agent("job")).status == 200
        assert (await keyless.agent("job")).status == 401
        for other in ("Basic abc", "Bearer ", "Bearer"):
            seen = await keyless.send("GET", f"{PARSER}/result/job/text", headers={"Authorization": other})
            assert seen.status == 401
    async with simulated(bigmodel_key="right") as (sim, _), client(sim, bearer="right") as owner:
        assert (await owner.agent("job")).status == 200


def test_observed_agents_have_every_known_shape() -> None:
    """The shapes of messages, of their content, of its types and of the usage all occur."""
    outputs = [agent_output(Random(number), "one", "observed") for number in range(300)]
    choices = [output["choices"][0] for output in outputs]
    wrapped = {(name, type(choice[name])) for choice in choices for name in ("message", "messages") if name in choice}
    messages = [choice.get("messages") or choice["message"] for choice in choices]
    contents = [(each[0] if isinstance(each, list) else each)["content"] for each in messages]
    items = [each[0] for each in contents if isinstance(each, list)]
    assert wrapped == {("message", list), ("message", dict), ("messages", list), ("messages", dict)}
    assert {type(each) for each in contents} == {list, dict, str}
    assert {item["type"] for item in items} == {"file_url", "video_url", "image_url", "text"}
    assert {"usage" in output for output in outputs} == {True, False}


def test_observed_parser_results_vary_in_one_field() -> None:
    """The field that was not requested is null, filled, or missing; the requested one is always there."""
    results = [
        parser_result(Random(number), "text", "url", wanted="download_link", shapes="observed") for number in range(50)
    ]
    assert {result.get("content", "missing") for result in results} == {None, "text", "missing"}
    assert {result["parsing_result_url"] for result in results} == {"url"}


async def test_observed_shapes_reach_the_wire() -> None:
    """Observed shapes occur in responses, and the same job always has the same shape."""
    async with simulated(shapes="observed") as (sim, calls):
        for number in range(20):
            sim.script("bigmodel.agents", str(number), Life(outcome="success"))
        first = [(await calls.agent(str(number))).json for number in range(20)]
        again = [(await calls.agent(str(number))).json for number in range(20)]
    assert first == again
    assert any("messages" not in seen["choices"][0] for seen in first)


async def test_a_large_file_is_accepted() -> None:
    """A file of 3 MB is accepted, although the default limit of aiohttp is 1 MB."""
    async with simulated() as (_, calls):
        form = aiohttp.FormData({"tool_type": "prime"})
        form.add_field("file", io.BytesIO(bytes(3 << 20)), filename="big.pdf")
        assert (await calls.send("POST", f"{PARSER}/create", data=form)).json["success"] is True
