"""Payloads that drift: odd status words, odd side fields, other envelopes, pages in place of JSON."""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from field_kit import RENDERS, wait
from memory_kit import answering
from raw_server import json_reply, polls, raw_server, reply

from asyncpoll import BadReply, Endpoint, Fixed, Hub, Rejected, Snapshot, State, Vocabulary, WaitTimeout
from asyncpoll.http import AiohttpTransport, Reply, Request
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.providers.molizhishu import TaskStatus
from asyncpoll.simulator import Constant, Envelope, Fault, Life, Rewrite, Simulator
from asyncpoll.testing import MemoryTransport, run_virtual

QUICK = Fixed(0.01)
CORRECTION = "intelligent_education_correction_polling"
VARIABLES = {"trace_id": "t1", "images": [{"image_id": "i", "uuids": ["u1", "u2"]}]}
DONE = {"status": "done", "url": "u"}
ANSWERED = {"subTaskId": "s", "status": "completed", "answerContent": "42"}


def subtask(*data: Any) -> Any:
    """Return a subtask, of an endpoint that has logged nothing yet, with these data or whole replies as its answers."""
    answers = [one if isinstance(one, Reply) else {"success": True, "code": 200, "data": one} for one in data]
    return Molizhishu("token", transport=answering(*answers), name="own").subtasks.job(task_id="t", sub_task_id="s")


# the status of an endpoint of one's own

ODD: dict[str, Any] = {
    "missing": {"detail": "try later"},
    "null": {"status": None},
    "object": {"status": {"name": "done"}},
    "array": {"status": ["done"]},
    "integer": {"status": 3},
    "fraction": {"status": 3.0},
    "boolean": {"status": True},
    "no object": ["done"],
    "text": "done",
    "null alone": None,
    "url of another type": {"status": {"url": 5}},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("together", [True, False])
def test_one_odd_answer_is_a_miss(odd: Any, *, together: bool) -> None:
    """The endpoint of the README waits it out, alone and in a hub, and ends with the next good answer."""
    transport = answering({"status": "queued"}, odd, odd, DONE)
    seen = run_virtual(wait(RENDERS.job(transport, "1"), together=together, timeout=600))
    assert (seen.unwrap(), transport.requests) == ("u", 4)


@pytest.mark.parametrize("together", [True, False])
async def test_odd_answers_of_a_server_are_misses(*, together: bool) -> None:
    """The same over real connections, with a progress that is text."""
    odd = [json_reply({"detail": "busy"}), reply(b"<html>busy</html>"), reply(b""), reply(status=204)]
    active = json_reply({"status": "active", "progress": "50%"})
    async with (
        raw_server(polls(active, *odd, json_reply(DONE)), polls(json_reply(DONE))) as server,
        AiohttpTransport(server.url) as transport,
    ):
        seen = await wait(RENDERS.job(transport, "1"), together=together, timeout=20, schedule=QUICK)
    assert (seen.unwrap(), len(server.requests)) == ("u", 6)


async def test_odd_answers_end_no_other_wait() -> None:
    """A job that never has a status word times out; the others of the hub end as they would."""

    def answer(request: Request) -> Reply:
        return Reply(200, {"detail": "?"} if request.path.endswith("/odd") else DONE)

    transport = MemoryTransport(answer)
    async with Hub(schedule=QUICK) as hub:
        jobs = [RENDERS.job(transport, name) for name in ("odd", "1", "2")]
        outcomes = await hub.wait_all(jobs, timeout=0.2)
    assert [one.succeeded for one in outcomes] == [False, True, True]
    assert isinstance(outcomes[0].error, WaitTimeout)
    assert isinstance(outcomes[0].error.__cause__, BadReply)
    assert "KeyError: 'status'" in str(outcomes[0].error.__cause__)


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ({1: State.PROCESSING, 2: State.SUCCESS}, [1, 1, 2]),
        ({0: State.PENDING, 1: State.SUCCESS, -1: State.FAILED}, [0, 1]),
        ({True: State.SUCCESS, False: State.PENDING}, [False, True]),
        ({1: State.PROCESSING, "done": State.SUCCESS}, [1, None, "Done"]),
        ({1: State.PROCESSING, 2: State.SUCCESS}, [1, "1", None, 1.5, {}, [], 2]),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_status_may_be_a_number_or_a_boolean(words: Any, answers: list[Any], *, together: bool) -> None:
    """They are read as words; whatever else stands there is a miss."""
    vocabulary = Vocabulary("acme.jobs", words)
    endpoint: Endpoint[str, Any] = Endpoint(
        "acme.jobs",
        ask=lambda ref: Request("GET", f"/jobs/{ref}"),
        read=lambda reply: Snapshot(vocabulary.read(reply.json["status"]), reply.json["status"]),
    )
    transport = answering(*({"status": word} for word in answers))
    assert run_virtual(wait(endpoint.job(transport, "1"), together=together, timeout=600)).state is State.SUCCESS
    assert transport.requests == len(answers)


# progress


@pytest.mark.parametrize(
    ("given", "share"),
    [("50%", 0.5), ("0.5", 0.5), ("3/10", 0.3), (0.25, 0.25), ("half", None), ([5], None), (True, None), ({}, None)],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_progress_of_any_kind_ends_no_wait(given: Any, share: float | None, *, together: bool) -> None:
    """What can be read is read; the rest is None, named in the misfits and logged, and costs no poll."""
    transport = answering({"status": "active", "progress": given}, {**DONE, "progress": given})
    seen = run_virtual(wait(RENDERS.job(transport, "1"), together=together, timeout=60))
    assert (seen.unwrap(), seen.progress, transport.requests) == ("u", share, 2)
    assert seen.misfits == (("progress",) if share is None else ())


# side fields


@pytest.mark.parametrize(
    ("odd", "misfits"),
    [
        ({"referenceList": [{"index": "1"}]}, ("$.data.referenceList[0].index",)),
        ({"citationList": "none", "amount": "free"}, ("$.data.citationList", "$.data.amount")),
        ({"time": "yesterday", "proxyIp": ["1.2.3.4"]}, ("$.data.time", "$.data.proxyIp")),
        ({"reasoningProcess": 5, "goods": {}}, ("$.data.reasoningProcess", "$.data.goods")),
        ({"allRankings": [{"rank": 1.5}, {"rank": "2"}]}, ("$.data.allRankings[0].rank", "$.data.allRankings[1].rank")),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_paid_answer_survives_an_odd_side_field(
    odd: Any, misfits: tuple[str, ...], caplog: pytest.LogCaptureFixture, *, together: bool
) -> None:
    """The first poll ends the wait with the answer; the misfit is named in the snapshot, and in the log by path."""
    job = subtask({**ANSWERED, **odd})
    with caplog.at_level(logging.WARNING):
        seen = run_virtual(wait(job, together=together, timeout=600))
    assert (seen.state, seen.value.answer_content, seen.misfits) == (State.SUCCESS, "42", misfits)
    assert job.transport.requests == 1
    logged = [path for path in misfits if "[1]" not in path]  # the first of a list stands for all
    assert [record.args for record in caplog.records] == [("molizhishu.subtasks", path) for path in logged]


def test_a_payload_that_is_not_an_object_is_a_miss() -> None:
    """Data of another kind is a bad reply with the reply in it; the next good one ends the wait."""
    with pytest.raises(BadReply) as caught:
        run_virtual(subtask("completed").fetch())
    assert caught.value.reply is not None
    assert caught.value.reply.json["data"] == "completed"
    assert run_virtual(subtask("completed", [ANSWERED], None, ANSWERED).result(timeout=600)).answer_content == "42"


# envelopes


@pytest.mark.parametrize("name", ["msg", "message"])
@pytest.mark.parametrize("code", [500, "500", None])
def test_a_bad_token_is_told_under_either_name(name: str, code: Any) -> None:
    """A refusal whose reason is in `msg` ends the wait at once, with the reason."""
    job = subtask(Reply(200, {"success": False, "code": code, name: "Token失效"}))
    with pytest.raises(Rejected, match="Token失效") as refused:
        run_virtual(job.wait(timeout=120))
    assert (refused.value.kind, job.transport.requests) == ("credential", 1)


async def test_a_bad_token_is_told_under_either_name_over_http() -> None:
    """The same, from a server."""
    async with (
        Simulator(faults=[Fault(Envelope(500, "Token失效", "msg"), "molizhishu.subtasks")]) as world,
        Molizhishu("token", base_url=f"{world.url}/api/business/monitor") as client,
    ):
        with pytest.raises(Rejected, match="Token失效"):
            await client.subtasks.job(task_id="t", sub_task_id="s").wait(timeout=20)


@pytest.mark.parametrize(
    ("envelope", "kind"),
    [
        ({"success": False, "code": 500, "msg": "余额不足"}, "unpaid"),
        ({"code": "401", "msg": "token expired"}, "credential"),
        ({"success": "false", "code": "404", "message": "gone"}, "not_found"),
        ({"success": False, "error": {"code": 403, "message": "no"}}, "forbidden"),
        ({"success": 0, "code": 400, "errorMessage": "bad"}, "bad_request"),
        ({"success": False, "code": 500, "data": {"message": "Token失效"}}, "credential"),
        ({"success": False, "code": 500, "data": "余额不足"}, "unpaid"),
        ({"success": False, "code": 500, "error": "error", "errmsg": "Token失效"}, "credential"),
    ],
)
def test_other_envelopes_of_a_refusal_are_read(envelope: Any, kind: str) -> None:
    """The kind is that of the code or the words, wherever they stand, and the wait ends at once."""
    job = subtask(Reply(200, envelope))
    with pytest.raises(Rejected) as refused:
        run_virtual(job.wait(timeout=120))
    assert (refused.value.kind, job.transport.requests) == (kind, 1)


@pytest.mark.parametrize("code", [0, 200, "0", "200", "SUCCESS", None])
@pytest.mark.parametrize("success", [True, None])
def test_other_envelopes_of_a_success_are_read(code: Any, success: Any) -> None:
    """Public clients accept these, and so does this one."""
    told = {"success": success, "code": code, "data": ANSWERED} if success or code is not None else {"code": code}
    told = {**told, "data": ANSWERED}
    assert run_virtual(subtask(Reply(200, told)).result(timeout=60)).answer_content == "42"


@pytest.mark.parametrize("name", ["errorMessage", "message", "msg", "error", "reason"])
@pytest.mark.parametrize("why", ["no account", {"message": "no account"}, ["no account"]])
def test_the_reason_of_a_failed_job_has_many_names(name: str, why: Any) -> None:
    """A subtask, a task and its results tell why they failed, whatever the API calls it this time."""
    told = {"success": True, "code": 200, "message": "ok", "data": {"status": "failed", name: why}}
    client = Molizhishu("token", transport=answering(told))
    jobs = (client.subtasks.job(task_id="t", sub_task_id="s"), client.tasks.job(task_id="t"))
    for job in (*jobs, client.task_results.job(task_id="t")):
        seen = run_virtual(job.wait(timeout=60))
        assert (seen.state, seen.reason) == (State.FAILED, "no account")


def test_a_reason_may_be_that_of_a_subtask() -> None:
    """Of a failed task without a message of its own, the first subtask that has a reason tells it."""
    listed = [None, "?", {"status": "failed"}, {"status": "failed", "msg": "no account"}]
    told = {"success": True, "code": 200, "data": {"status": "failed", "subTaskList": listed}}
    client = Molizhishu("token", transport=answering(told))
    assert run_virtual(client.task_results.job(task_id="t").wait(timeout=60)).reason == "no account"


# bodies


@pytest.mark.parametrize(
    "body",
    [
        codecs.BOM_UTF8 + json.dumps(DONE).encode(),
        b'\r\n {"status": "queued", "status": "done", "url": "u"}\n',
        json.dumps({**DONE, "note": "模力指数 \U0001f600"}).encode(),
        json.dumps({**DONE, "big": 10**39, "deep": [[[[{}]]]]}).encode(),
    ],
    ids=["byte order mark", "keys twice", "escapes", "big"],
)
async def test_json_in_odd_clothes_is_read(body: bytes) -> None:
    """A byte order mark, a key that occurs twice and another media type do not matter."""
    async with (
        raw_server(polls(reply(body, "Content-Type: text/html"))) as server,
        AiohttpTransport(server.url) as transport,
    ):
        assert await RENDERS.job(transport, "1").result(timeout=20, schedule=QUICK) == "u"


BODIES: dict[str, Callable[[], bytes]] = {
    "utf-16": lambda: reply(json.dumps(DONE).encode("utf-16")),
    "latin-1": lambda: reply('{"status": "done", "url": "ü"}'.encode("latin-1")),
    "cut short": lambda: reply(b'{"status": "do'),
    "two documents": lambda: reply(b'{"status": "done"}{"status": "done"}'),
    "NaN": lambda: reply(b'{"status": "done", "progress": NaN}'),
    "jsonp": lambda: reply(b'callback({"status": "done"})'),
    "page": lambda: reply(b"<!doctype html><title>Just a moment...</title>", "Content-Type: text/html"),
    "empty": lambda: reply(b""),
    "blank": lambda: reply(b" \n"),
    "no content": lambda: reply(status=204),
    "gateway": lambda: reply(b"<html>502</html>", status=502),
    "timeout of a CDN": lambda: reply(b"error code: 524", status=524),
    "not zipped": lambda: reply(b"{}", "Content-Encoding: gzip"),
    "unknown status": lambda: reply(b"{}", status=299),
}


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("together", [True, False])
async def test_a_body_that_is_not_json_is_waited_out(make: Callable[[], bytes], *, together: bool) -> None:
    """Such answers between good ones are misses."""
    script = polls(json_reply({"status": "queued"}), make(), json_reply(DONE))
    async with raw_server(script, polls(make(), json_reply(DONE))) as server, AiohttpTransport(server.url) as transport:
        seen = await wait(RENDERS.job(transport, "1"), together=together, timeout=20, schedule=QUICK)
    assert seen.unwrap() == "u"


def test_pages_between_good_answers_are_waited_out() -> None:
    """Half a minute of pages and empty bodies with status 200 does not end a wait of a client."""
    page, empty = Reply(200, body=b"<html>", problem="the body is not JSON"), Reply(200, problem="the body is empty")
    job = subtask(*[page, empty] * 4, ANSWERED)
    assert run_virtual(job.wait(timeout=600, schedule=Fixed(4.0))).state is State.SUCCESS
    assert job.transport.requests == 9


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_ends_the_wait_with_the_cure(status: int) -> None:
    """It is not followed, since it would take the key elsewhere; the error speaks of the base address."""
    async with (
        raw_server(polls(reply(b"", "Location: https://other.example/", status=status))) as server,
        AiohttpTransport(server.url) as transport,
    ):
        with pytest.raises(Rejected, match="check the base address") as caught:
            await RENDERS.job(transport, "1").wait(timeout=20)
    assert caught.value.kind == "redirect"
    assert len(server.requests) == 1


# accounts


@pytest.mark.parametrize("code", ["1113", "1301", "1308", "1000"])
async def test_a_code_about_one_run_costs_the_others_nothing(code: str) -> None:
    """An answer that names its run is about that run alone, whatever the code; the hub goes on with the rest."""
    failed = {"status": "failed", "async_id": "1", "error": {"code": code, "message": "why"}}

    def answer(request: Request) -> Reply:
        name = request.json["async_id"]
        return Reply(200, failed if name == "1" else {"status": "success", "async_id": name, "choices": []})

    client = BigModel("key", transport=MemoryTransport(answer))
    async with Hub() as hub:
        jobs = [client.agents.job(async_id=str(number), agent_id="g") for number in range(4)]
        seen = await asyncio.gather(*(hub.wait(job, timeout=60) for job in jobs))
    assert [one.state for one in seen] == [State.SUCCESS, State.FAILED, State.SUCCESS, State.SUCCESS]
    assert (seen[1].code, seen[1].reason) == (code, "why")


@pytest.mark.parametrize("code", ["1113", "1301"])
def test_a_code_ends_a_run_before_its_status_does(code: str) -> None:
    """A run that is pending for ever beside such a code has failed."""
    told = {"status": "pending", "async_id": "1", "error": {"code": code, "message": "why"}}
    client = BigModel("key", transport=answering(told))
    seen = run_virtual(client.agents.job(async_id="1", agent_id="g").wait(timeout=600))
    assert (seen.state, seen.code, seen.reason) == (State.FAILED, code, "why")


async def test_an_unpaid_run_is_a_failed_run_over_http() -> None:
    """The same from a server whose answers name the run, whatever the code of the failure."""
    faults = [Fault(Rewrite("code", "1113"), "bigmodel.agents")]
    async with Simulator(faults=faults) as world, BigModel("key", base_url=f"{world.url}/api") as client:
        world.script("bigmodel.agents", "bad", Life(outcome="failed"))
        seen = await client.agents.job(async_id="bad", agent_id="g").wait(timeout=20)
    assert (seen.state, seen.code) == (State.FAILED, "1113")


# the agent that is asked with variables


@pytest.mark.parametrize("together", [True, False])
def test_a_correction_is_polled_without_an_id(*, together: bool) -> None:
    """The choices without a status word end the wait as a success."""
    choice = {"messages": [{"role": "assistant", "content": [{"type": "text", "text": "ok"}]}]}
    transport = answering({"status": "pending"}, {"agent_id": CORRECTION, "choices": [choice]})
    job = BigModel("key", transport=transport).agents.job(agent_id=CORRECTION, custom_variables=VARIABLES)
    result = run_virtual(wait(job, together=together, timeout=60)).unwrap()
    assert result.choices[0].messages[0].content[0].text == "ok"
    assert transport.sent[0].json == {"agent_id": CORRECTION, "custom_variables": VARIABLES}


@pytest.mark.parametrize("shapes", ["documented", "observed"])
async def test_a_correction_is_polled_over_http(shapes: Any) -> None:
    """The simulated agent goes by the trace, and answers with a result for each question."""
    async with (
        Simulator(shapes=shapes, pending=Constant(0.05), outcomes={"bigmodel.agents": {"success": 1}}) as world,
        BigModel("key", base_url=f"{world.url}/api") as client,
    ):
        job = client.agents.job(agent_id=CORRECTION, custom_variables=VARIABLES)
        seen = await job.wait(timeout=20, schedule=Fixed(0.02))
        assert (seen.state, seen.misfits) == (State.SUCCESS, ())
        results = seen.unwrap().choices[0].messages[0].content[0].object["results"]
        assert [one["uuid"] for one in results] == ["u1", "u2"]
        for variables in ({}, {"trace_id": "t"}, {"trace_id": 1, "images": []}):
            with pytest.raises(Rejected):
                await client.agents.job(agent_id=CORRECTION, custom_variables=variables).fetch()


# an answer before the end


@pytest.mark.parametrize("together", [True, False])
def test_a_complete_answer_can_be_had_before_the_end(*, together: bool) -> None:
    """A subtask that waits for its screenshot shows its answer, marked as partial, to observers and in WaitTimeout."""
    job = subtask({**ANSWERED, "status": "processing", "pageScreenshot": None})
    if together:

        async def first() -> Snapshot[Any]:
            return await anext(seen async for seen in job.watch() if seen.partial)

        early = run_virtual(first())
    else:
        with pytest.raises(WaitTimeout) as caught:
            run_virtual(job.wait(timeout=60))
        assert caught.value.last is not None
        early = caught.value.last
    assert early.value is not None
    assert (early.state, early.value.answer_content, early.partial) == (State.PROCESSING, "42", True)


async def test_an_early_answer_comes_from_a_server_too() -> None:
    """Some simulated subtasks have their answer while they are processed."""

    async def early(job: Any) -> list[Any]:
        return [seen.value async for seen in job.watch(schedule=Fixed(0.02)) if seen.partial]

    async with (
        Simulator(1, shapes="observed") as world,
        Molizhishu("token", base_url=f"{world.url}/api/business/monitor") as client,
    ):
        for number in range(20):
            world.script("molizhishu.subtasks", ("t", str(number)), Life(processing=0.5, outcome="completed"))
        jobs = [client.subtasks.job(task_id="t", sub_task_id=str(number)) for number in range(20)]
        values = [value for found in await asyncio.gather(*map(early, jobs)) for value in found]
    assert values
    assert all(value.answer_content and not value.page_screenshot for value in values)


# words of a provider


@pytest.mark.parametrize("word", ["aborted", 9, True])
@pytest.mark.parametrize("count", [1, 3])
async def test_the_words_of_a_provider_can_be_extended(word: Any, count: int) -> None:
    """A word of any type ends the wait once it is listed, also where one call tells of several subtasks."""

    def answer(request: Request) -> Reply:
        listed = [{"subTaskId": str(number), "status": word, "errorMessage": "gone"} for number in range(count)]
        data: dict[str, Any] = {"taskId": "t", "status": "processing", "subTaskList": listed}
        if not request.path.startswith("/task/status/"):
            data = listed[int(request.path.rpartition("/")[2])]
        return Reply(200, {"success": True, "code": 200, "data": data})

    words = {"molizhishu.subtasks": {word: State.CANCELLED}}
    client = Molizhishu("token", transport=MemoryTransport(answer), words=words)
    jobs = [client.subtasks.job(task_id="t", sub_task_id=number) for number in range(count)]
    async with Hub() as hub:
        outcomes = await hub.wait_all(jobs, timeout=60)
        assert client.requests == 1
    assert {(one.snapshot.state, one.snapshot.status) for one in outcomes if one.snapshot} == {
        (State.CANCELLED, str(word).lower())
    }


@pytest.mark.parametrize("together", [True, False])
def test_a_word_of_a_sister_endpoint_can_be_added(*, together: bool) -> None:
    """Without it the wait goes on to its deadline and names the word; with it the value is there."""
    told = {"status": "success", "task_id": "t", "content": "text"}
    client = BigModel("key", transport=answering(told))
    with pytest.raises(WaitTimeout, match="success"):
        run_virtual(wait(client.file_parser.job(task_id="t"), together=together, timeout=60))
    words = {"bigmodel.file_parser": {"success": State.SUCCESS}}
    client = BigModel("key", transport=answering(told), words=words)
    assert run_virtual(wait(client.file_parser.job(task_id="t"), together=together, timeout=60)).unwrap().content


def test_whole_results_are_awaited_with_their_answers() -> None:
    """A task's results come in one reply, early answers as a partial value, and the task's status beside them."""
    listed = [{**ANSWERED, "platform": "kimi"}, {"subTaskId": "r", "status": "processing"}]
    running = {"success": True, "data": {"taskId": "t", "status": "processing", "subTaskList": listed}}
    ended = {"success": True, "data": {"taskId": "t", "status": "partial_completed", "failedItems": 1,
                                       "subTaskList": listed}}  # fmt: skip
    client = Molizhishu("token", transport=answering(running, ended))
    first = run_virtual(client.task_results.job(task_id="t").fetch())
    assert first.value is not None
    assert (first.state, first.partial, first.value.sub_task_list[0].answer_content) == (State.PROCESSING, True, "42")
    end = run_virtual(client.task_results.job(task_id="t").wait(timeout=60))
    assert (end.state, end.partial) == (State.SUCCESS, True)
    task = run_virtual(client.tasks.job(task_id="t").result(timeout=60))
    assert isinstance(task, TaskStatus)
