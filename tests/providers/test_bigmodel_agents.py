"""Runs of agents: how they are asked about, what their answers say, how they are started."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import asdict
from memory_kit import answering_once
from schemas import check, example, request_example, request_schema

from asyncpoll._endpoint import Job
from asyncpoll._errors import BadReply, JobFailed, Rejected, TransportError
from asyncpoll._state import State
from asyncpoll.http import Reply, Request
from asyncpoll.providers.bigmodel import AgentRef, AgentResult, BigModel, Choice, Content, Message, Usage
from asyncpoll.testing import MemoryTransport

DOCUMENT = "agents_async_result"
LINK = "https://cdn.example.com/a.pdf?sig=s3cret"


def _client(*payloads: Any, status: int = 200) -> tuple[BigModel, MemoryTransport]:
    transport = answering_once(*payloads, status=status)
    return BigModel("key", transport=transport), transport


def _job(*payloads: Any, async_id: str = "a", status: int = 200) -> Job[AgentResult]:
    client, _ = _client(*payloads, status=status)
    return client.agents.job(async_id=async_id, agent_id="g")


async def test_the_documented_request_is_sent() -> None:
    """A poll is a POST of both ids that may be repeated, since it only reads."""
    wanted = request_example(DOCUMENT)
    client, transport = _client({"status": "pending"})
    await client.agents.job(**wanted).fetch()
    [request] = transport.sent
    assert request == Request("POST", "/v1/agents/async-result", json=wanted, repeatable=True)
    check(request.json, request_schema(DOCUMENT))


async def test_the_documented_answer_gives_every_field() -> None:
    """The document's own example comes out field by field, with the raw payload beside it."""
    payload = example(DOCUMENT)
    snapshot = await _job(payload, async_id=payload["async_id"]).fetch()
    assert (snapshot.state, snapshot.status, snapshot.raw) == (State.SUCCESS, "success", payload)
    content = Content(type="<string>", file_url="<string>", tag_cn="<string>", tag_en="<string>")
    assert snapshot.unwrap() == AgentResult(
        agent_id="<string>",
        async_id="<string>",
        status="success",
        choices=(Choice((Message("<string>", (content,)),)),),
        usage=Usage(total_tokens=123),
    )


async def test_more_fields_go_into_the_body() -> None:
    """Agents that need more than the ids are asked with more; it is part of the job's identity and of its token."""
    client, transport = _client({"status": "pending"})
    variables = {"trace_id": "t", "images": [{"image_id": 1, "uuids": ("u",)}]}
    job = client.agents.job(async_id="a", agent_id="g", custom_variables=variables, conversation_id="c")
    variables["trace_id"] = "changed"
    again = client.job_from_json(job.to_json())
    await again.fetch()
    sent = {"trace_id": "t", "images": [{"image_id": 1, "uuids": ["u"]}]}
    assert transport.sent[0].json == {
        "async_id": "a",
        "agent_id": "g",
        "custom_variables": sent,
        "conversation_id": "c",
    }
    assert again.key == job.key != client.agents.job(async_id="a", agent_id="g").key
    assert hash(again.ref) == hash(job.ref)
    assert again.ref == job.ref
    assert job.endpoint.predicts
    assert job.endpoint.predicts(job.ref) == "agent_id=g"


CONTENT = {"type": "text", "text": "hi"}
SHAPES = {
    "messages list": {"messages": [{"role": "assistant", "content": [CONTENT]}]},
    "message list": {"message": [{"role": "assistant", "content": [CONTENT]}]},
    "message object": {"message": {"role": "assistant", "content": [CONTENT]}},
    "messages object": {"messages": {"role": "assistant", "content": [CONTENT]}},
    "content object": {"messages": [{"role": "assistant", "content": CONTENT}]},
    "content text": {"message": {"role": "assistant", "content": "hi"}},
    "content texts": {"message": {"role": "assistant", "content": ["hi"]}},
}


@pytest.mark.parametrize("choice", SHAPES.values(), ids=SHAPES)
async def test_every_shape_of_a_choice_reads_the_same(choice: dict[str, Any]) -> None:
    """`messages` or `message`, one or a list, `content` as list, object or text: all are one."""
    result = (await _job({"status": "success", "choices": [choice]}).fetch()).unwrap()
    assert result.choices == (Choice((Message("assistant", (Content(type="text", text="hi"),)),)),)


@pytest.mark.parametrize(
    ("content", "field", "value"),
    [
        ({"type": "file_url", "file_url": LINK, "tag_cn": "译文", "tag_en": "translation"}, "file_url", LINK),
        ({"type": "video_url", "video_url": LINK}, "video_url", LINK),
        ({"type": "image_url", "image_url": {"url": LINK}}, "image_url", LINK),
        ({"type": "object", "object": {"score": 9}}, "object", {"score": 9}),
        ({"type": "hologram", "hologram": 1}, "type", "hologram"),
    ],
)
async def test_every_type_of_content_is_kept(content: dict[str, Any], field: str, value: Any) -> None:
    """Files, videos, images and objects each have their field; types to come are no error."""
    choice = {"messages": [{"role": "assistant", "content": [content]}]}
    result = (await _job({"status": "success", "choices": [choice]}).fetch()).unwrap()
    [[one]] = [message.content for message in result.choices[0].messages]
    assert asdict(one)[field] == value
    assert "s3cret" not in repr(result)


@pytest.mark.parametrize("choices", [[], None, "", [{}], [{"messages": None}]])
async def test_a_success_without_output_is_a_success(choices: Any) -> None:
    """An agent may have made nothing; the choices then hold no message."""
    result = (await _job({"status": "success", "choices": choices, "usage": None}).fetch()).unwrap()
    assert not [message for choice in result.choices for message in choice.messages]
    assert result.usage is None


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        ({"status": None}, "$.status"),
        ({"choices": []}, "$.status"),
        ({"choices": None}, "$.status"),
        ({"status": 1}, "$.status"),
        ({}, "$.status"),
    ],
)
async def test_an_answer_without_a_status_is_malformed(payload: dict[str, Any], where: str) -> None:
    """It is a miss, and the message has the path."""
    with pytest.raises(BadReply) as refused:
        await _job(payload).fetch()
    assert f"malformed at {where}: " in str(refused.value)


@pytest.mark.parametrize(
    ("payload", "misfit"),
    [
        ({"choices": [7]}, "$.choices[0]"),
        ({"choices": [{"messages": [7]}]}, "$.choices[0].messages[0]"),
        ({"choices": [{"messages": [{"content": [7]}]}]}, "$.choices[0].messages[0].content[0]"),
        ({"usage": {"total_tokens": "many"}}, "$.usage.total_tokens"),
        ({"usage": 7}, "$.usage"),
        ({"conversation_id": {}}, "$.conversation_id"),
    ],
)
async def test_a_side_field_costs_no_result(payload: dict[str, Any], misfit: str) -> None:
    """A finished run is a success; what does not fit is left out of the result and named."""
    snapshot = await _job({"status": "success", "request_id": "r", **payload}).fetch()
    assert snapshot.unwrap().request_id == "r"
    assert snapshot.misfits == (misfit,)


CORRECTION = "intelligent_education_correction_polling"
VARIABLES = {"trace_id": "t", "images": [{"image_id": "i", "uuids": ["u"]}]}


async def test_an_agent_is_polled_with_variables_and_no_id() -> None:
    """The agent of the guide to homework correction gets its variables, and answers without id and status."""
    choice = {"messages": [{"role": "assistant", "content": {"type": "object", "object": {"results": []}}}]}
    client, transport = _client({"status": "pending"}, {"agent_id": CORRECTION, "choices": [choice]})
    job = client.agents.job(agent_id=CORRECTION, custom_variables=VARIABLES)
    assert (await job.fetch()).state is State.PENDING
    snapshot = await client.job_from_json(job.to_json()).fetch()
    assert (snapshot.state, snapshot.status, snapshot.misfits) == (State.SUCCESS, "", ())
    assert snapshot.unwrap().choices[0].messages[0].content[0].object == {"results": []}
    assert [request.json for request in transport.sent] == [{"agent_id": CORRECTION, "custom_variables": VARIABLES}] * 2
    assert job.key != client.agents.job(agent_id=CORRECTION, custom_variables={"trace_id": "u"}).key


async def test_a_run_that_nothing_names_is_refused() -> None:
    """Without an id and without variables there is no run to ask about."""
    client, transport = _client()
    with pytest.raises(ValueError, match="async_id must be given"):
        client.agents.job(agent_id=CORRECTION)
    assert transport.requests == 0


@pytest.mark.parametrize("code", ["1000", "1110", "1113", "1308", "1309", "1301"])
@pytest.mark.parametrize("word", ["failed", "pending", "archived"])
async def test_a_code_of_the_account_fails_the_run_it_names(code: str, word: str) -> None:
    """An answer that names the run by its id says why that run has failed, whatever its status word."""
    payload = {"status": word, "async_id": "a", "error": {"code": code, "message": "no"}}
    snapshot = await _job(payload).wait(timeout=1)
    assert (snapshot.state, snapshot.status, snapshot.code, snapshot.reason) == (State.FAILED, word, code, "no")


async def test_a_busy_service_leaves_a_pending_run_pending() -> None:
    """A code of the service beside "pending" is no verdict yet; a success is never taken back."""
    error = {"code": "1305", "message": "busy"}
    assert (await _job({"status": "pending", "async_id": "a", "error": error}).fetch()).state is State.PENDING
    unpaid = {"status": "success", "async_id": "a", "choices": [], "error": {"code": "1113", "message": "no"}}
    assert (await _job(unpaid).fetch()).state is State.SUCCESS


@pytest.mark.parametrize(
    ("word", "state"), [("pending", State.PENDING), ("", State.UNKNOWN), ("PENDING", State.PENDING)]
)
async def test_a_run_that_goes_on_has_no_result(word: str, state: State) -> None:
    """Pending answers carry neither choices nor a reason; the hint of the server is kept."""
    transport = MemoryTransport(lambda _request: Reply(200, {"status": word}, {"retry-after": "3"}))
    snapshot = await BigModel("key", transport=transport).agents.job(async_id="a", agent_id="g").fetch()
    assert (snapshot.state, snapshot.status, snapshot.value, snapshot.reason) == (state, word, None, None)
    assert snapshot.retry_after == 3


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        ({"code": "400", "message": "任务不存在"}, "400", "任务不存在"),
        ({"code": 1301, "message": ""}, "1301", None),
        ("no reason", None, "no reason"),
        (None, None, None),
    ],
)
async def test_a_failed_run_says_why(error: Any, code: str | None, reason: str | None) -> None:
    """The reason and the code of a failure inside HTTP 200 are those of its `error` object."""
    snapshot = await _job({"status": "failed", "async_id": "a", "error": error}).fetch()
    assert (snapshot.state, snapshot.code, snapshot.reason) == (State.FAILED, code, reason)
    with pytest.raises(JobFailed):
        snapshot.unwrap()


async def test_an_answer_about_another_run_is_asked_for_again() -> None:
    """A run that is not ours is never taken for ours; a second strange answer is an error."""
    client, transport = _client({"status": "success", "async_id": "b"}, {"status": "pending", "async_id": "a"})
    job = client.agents.job(async_id="a", agent_id="g")
    assert (await job.fetch()).state is State.PENDING
    assert [request.fresh for request in transport.sent] == [False, True]
    with pytest.raises(BadReply) as strange:
        await _job(*[{"status": "success", "async_id": "b"}] * 2).fetch()
    assert strange.value.kind == "identity"


@pytest.mark.parametrize("bad", ["", " a", "a\n", "a\ud800", "x" * 513, 7.5])
async def test_a_bad_id_is_refused_before_any_request(bad: Any) -> None:
    """Both ids are checked, when polling and when starting; a slash is fine, since they go into the body."""
    client, transport = _client()
    with pytest.raises(ValueError, match="async_id must"):
        client.agents.job(async_id=bad, agent_id="g")
    with pytest.raises(ValueError, match="agent_id must"):
        client.agents.job(async_id="a", agent_id=bad)
    with pytest.raises(ValueError, match="agent_id must"):
        await client.agents.start(agent_id=bad, messages=[])
    assert transport.requests == 0
    assert client.agents.job(async_id="YWJj/+==", agent_id="g").ref == AgentRef("YWJj/+==", "g")


@pytest.mark.parametrize("bad", [float("nan"), {1, 2}, "a\ud800", b"x"])
async def test_what_is_no_json_is_refused_before_any_request(bad: Any) -> None:
    """NaN, sets, bytes and lone surrogates cannot be sent."""
    client, transport = _client()
    with pytest.raises(ValueError, match="must be JSON"):
        client.agents.job(async_id="a", agent_id="g", custom_variables={"x": bad})
    with pytest.raises(ValueError, match="must be JSON"):
        await client.agents.start(agent_id="g", messages=[], custom_variables={"x": bad})
    assert transport.requests == 0


@pytest.mark.parametrize("messages", ["hello", {"role": "user"}, None])
async def test_messages_must_be_a_list(messages: Any) -> None:
    """A text is no list of messages, though it could be iterated over."""
    client, transport = _client()
    with pytest.raises(ValueError, match="messages must be a list"):
        await client.agents.start(agent_id="g", messages=messages)
    assert transport.requests == 0


async def test_a_run_is_started_once_and_then_asked_about() -> None:
    """A submit is a POST that must not be repeated; its id names the job."""
    client, transport = _client({"status": "pending", "async_id": "a", "agent_id": "g"}, {"status": "pending"})
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    job = await client.agents.start(agent_id="g", messages=messages, request_id="r")
    [request] = transport.sent
    assert request == Request("POST", "/v1/agents", json={"agent_id": "g", "messages": messages, "request_id": "r"})
    assert not request.repeatable
    assert (job.ref, job.submitted) == (AgentRef("a", "g"), None)
    await job.fetch()
    assert transport.requests == 2


@pytest.mark.parametrize(
    "payload", [{"status": "success", "async_id": "a"}, {"status": "success"}, {"request_id": "r"}]
)
async def test_an_agent_may_answer_at_once(payload: dict[str, Any]) -> None:
    """With choices in the answer to the submit the job is done: its first poll gives them without a request."""
    answer = {**payload, "choices": [{"message": {"role": "assistant", "content": "hi"}}]}
    client, transport = _client(answer)
    job = await client.agents.start(agent_id="g", messages=[])
    result = await job.result(timeout=1)
    assert result.choices[0].messages[0].content[0].text == "hi"
    assert job.ref.async_id
    assert (await job.fetch()).raw == answer
    assert transport.requests == 1


async def test_a_run_that_failed_at_once_under_its_id_is_a_failed_job() -> None:
    """The submit went through; what failed is the job."""
    client, transport = _client({"status": "failed", "async_id": "a", "error": {"code": "1301", "message": "no"}})
    job = await client.agents.start(agent_id="g", messages=[])
    assert (await job.wait(timeout=1)).code == "1301"
    assert transport.requests == 1


@pytest.mark.parametrize(
    ("code", "kind"), [("1113", "unpaid"), ("1302", "throttled"), ("400", "rejected"), ("1301", "content_policy")]
)
async def test_a_run_that_was_refused_inside_a_success_raises(code: str, kind: str) -> None:
    """A submit that failed with HTTP 200 and without an id has started nothing."""
    client, _ = _client({"status": "failed", "error": {"code": code, "message": "no"}})
    with pytest.raises(TransportError) as refused:
        await client.agents.start(agent_id="g", messages=[])
    assert (refused.value.kind, refused.value.code) == (kind, code)


async def test_a_run_that_was_refused_without_a_reason_raises() -> None:
    """Even when the server gives neither code nor message."""
    client, _ = _client({"status": "failed"})
    with pytest.raises(Rejected, match="refuses the request"):
        await client.agents.start(agent_id="g", messages=[])


@pytest.mark.parametrize(
    "payload", [{"status": "pending"}, {"status": "pending", "async_id": "a\n"}, {"async_id": "a"}]
)
async def test_a_started_run_without_a_usable_id_is_a_bad_reply(payload: dict[str, Any]) -> None:
    """Nobody could ask about it, and it may be running: that must not go unnoticed."""
    client, _ = _client(payload)
    with pytest.raises(BadReply):
        await client.agents.start(agent_id="g", messages=[])


async def test_a_numeric_id_becomes_text() -> None:
    """Ids arrive as numbers now and then."""
    client, _ = _client({"status": "pending", "async_id": 929969})
    assert (await client.agents.start(agent_id="g", messages=[])).ref == AgentRef("929969", "g")
