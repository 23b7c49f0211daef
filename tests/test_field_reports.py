"""Payloads that users of such tools have reported, tried on the jobs of the provided endpoints."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from asyncpoll import Hub
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._errors import BadReply, Rejected, Throttled
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.http import Reply, Request
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.providers.bigmodel import file_parser
from asyncpoll.providers.molizhishu import subtasks
from asyncpoll.simulator import Constant, Envelope, Fault, Life, Rewrite, Simulator
from asyncpoll.testing import MemoryTransport, run_virtual

CORRECTION = "intelligent_education_correction_polling"
VARIABLES = {"trace_id": "t1", "images": [{"image_id": "i", "uuids": ["u1", "u2"]}]}


def answering(*answers: Any) -> MemoryTransport:
    """Return a transport that gives one answer after the other, and the last one for ever."""
    rest = list(answers)

    def answer(_request: Request) -> Reply:
        now = rest.pop(0) if len(rest) > 1 else rest[0]
        return now if isinstance(now, Reply) else Reply(200, now)

    return MemoryTransport(answer)


def subtask(*data: Any) -> Any:
    """Return a subtask whose answers are these: the data of an envelope, or a whole reply."""
    answers = [one if isinstance(one, Reply) else {"success": True, "code": 200, "data": one} for one in data]
    return Molizhishu("token", transport=answering(*answers)).subtasks.job(task_id="t", sub_task_id="s")


DONE = {"subTaskId": "s", "status": "completed", "answerContent": "42"}


# what does not fit


@pytest.mark.parametrize(
    ("odd", "misfits"),
    [
        ({"referenceList": [{"index": "1"}]}, ("$.data.referenceList[0].index",)),
        ({"citationList": "none", "amount": "free"}, ("$.data.citationList", "$.data.amount")),
    ],
)
def test_a_paid_answer_survives_an_odd_side_field(
    odd: Any, misfits: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """The first poll ends the wait with the answer; the misfit is named in the snapshot, and in the log by path."""
    job = subtask({**DONE, **odd})
    with caplog.at_level(logging.WARNING):
        seen = run_virtual(job.wait(timeout=600))
    assert (seen.state, seen.value.answer_content, seen.misfits) == (State.SUCCESS, "42", misfits)
    assert job.transport.requests == 1
    assert all(record.args in [("molizhishu.subtasks", path) for path in misfits] for record in caplog.records)
    assert run_virtual(job.result(timeout=600)).answer_content == "42"


def test_a_payload_that_is_not_an_object_is_a_miss() -> None:
    """Data of another kind is a bad reply with the reply in it; the next good one ends the wait."""
    with pytest.raises(BadReply) as caught:
        run_virtual(subtask("completed").fetch())
    assert caught.value.reply is not None
    assert caught.value.reply.json["data"] == "completed"
    assert run_virtual(subtask("completed", [DONE], None, DONE).result(timeout=600)).answer_content == "42"


# why a request is refused


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


def test_pages_between_good_answers_are_waited_out() -> None:
    """Half a minute of pages and empty bodies with status 200 does not end a wait."""
    page, empty = Reply(200, body=b"<html>", problem="the body is not JSON"), Reply(200, problem="the body is empty")
    job = subtask(*[page, empty] * 4, DONE)
    assert run_virtual(job.wait(timeout=600, schedule=Fixed(4.0))).state is State.SUCCESS
    assert job.transport.requests == 9


async def test_an_unpaid_run_costs_the_others_nothing() -> None:
    """One run that failed for want of balance is a failed run; the hub goes on with the rest."""
    unpaid = {"status": "failed", "async_id": "1", "error": {"code": "1113", "message": "no balance"}}

    def answer(request: Request) -> Reply:
        name = request.json["async_id"]
        return Reply(200, unpaid if name == "1" else {"status": "success", "async_id": name, "choices": []})

    client = BigModel("key", transport=MemoryTransport(answer))
    async with Hub() as hub:
        jobs = [client.agents.job(async_id=str(number), agent_id="g") for number in range(4)]
        seen = await asyncio.gather(*(hub.wait(job, timeout=60) for job in jobs))
    assert [one.state for one in seen] == [State.SUCCESS, State.FAILED, State.SUCCESS, State.SUCCESS]
    assert (seen[1].code, seen[1].reason) == ("1113", "no balance")


async def test_an_unpaid_run_is_a_failed_run_over_http() -> None:
    """The same from a server whose answers name the run, whatever the code of the failure."""
    faults = [Fault(Rewrite("code", "1113"), "bigmodel.agents")]
    async with Simulator(faults=faults) as world, BigModel("key", base_url=f"{world.url}/api") as client:
        world.script("bigmodel.agents", "bad", Life(outcome="failed"))
        seen = await client.agents.job(async_id="bad", agent_id="g").wait(timeout=20)
    assert (seen.state, seen.code) == (State.FAILED, "1113")


# the agent that is asked with variables


def test_a_correction_is_polled_without_an_id() -> None:
    """The choices without a status word end the wait as a success."""
    choice = {"messages": [{"role": "assistant", "content": [{"type": "text", "text": "ok"}]}]}
    transport = answering({"status": "pending"}, {"agent_id": CORRECTION, "choices": [choice]})
    job = BigModel("key", transport=transport).agents.job(agent_id=CORRECTION, custom_variables=VARIABLES)
    result = run_virtual(job.result(timeout=60))
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


def test_a_complete_answer_can_be_had_before_the_end() -> None:
    """A subtask that waits for its screenshot gives its answer, marked as partial, at the first poll."""
    early = {**DONE, "status": "processing", "pageScreenshot": None}

    async def first_answer(job: Job[Any]) -> Snapshot[Any]:
        return await anext(seen async for seen in job.watch() if seen.partial)

    seen = run_virtual(first_answer(subtask(early)))
    assert seen.value is not None
    assert (seen.state, seen.value.answer_content) == (State.PROCESSING, "42")


async def test_an_early_answer_comes_from_a_server_too() -> None:
    """Some simulated subtasks have their answer while they are processed."""

    async def early(job: Job[Any]) -> list[Any]:
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


# words


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ({1: State.PROCESSING, 2: State.SUCCESS}, [1, 1, 2]),
        ({True: State.SUCCESS, False: State.PENDING}, [False, True]),
        ({1: State.PROCESSING, "done": State.SUCCESS}, [1, None, "Done"]),
    ],
)
def test_a_status_may_be_a_number_or_a_boolean(words: Any, answers: list[Any]) -> None:
    """They are read as words, and a null among them is a miss."""
    vocabulary = Vocabulary("acme.jobs", words)
    end: Endpoint[str, Any] = Endpoint(
        "acme.jobs",
        ask=lambda ref: Request("GET", f"/jobs/{ref}"),
        read=lambda reply: Snapshot(vocabulary.read(reply.json["status"])),
    )
    transport = answering(*({"status": word} for word in answers))
    assert run_virtual(end.job(transport, "1").wait(timeout=60)).state is State.SUCCESS
    assert transport.requests == len(answers)


def test_the_words_of_a_provider_can_be_extended() -> None:
    """A terminal word of a sister endpoint, or a new one, is read once it is listed."""
    told = Reply(200, {"status": "success", "task_id": "t", "content": "text"})
    assert file_parser.read(told).state is State.UNKNOWN
    assert file_parser.read(told, file_parser.STATUSES.extended({"success": State.SUCCESS})).unwrap().content == "text"
    gone = Reply(200, {"success": True, "data": {"status": 9, "errorMessage": "gone"}})
    seen = subtasks.read(gone, subtasks.STATUSES.extended({9: State.CANCELLED}))
    assert (seen.state, seen.status, seen.reason) == (State.CANCELLED, "9", "gone")


# when to come back


def _polled_at(headers: Callable[[], dict[str, str]], *, status: int = 429) -> float:
    """Return when the second poll was made, after a first one with such headers."""
    at: list[float] = []

    async def main() -> None:
        def answer(_request: Request) -> Reply:
            at.append(asyncio.get_running_loop().time())
            busy = Reply(status, {"status": "processing", "task_id": "t"}, headers())
            return busy if len(at) == 1 else Reply(200, {"status": "succeeded", "task_id": "t"})

        client = BigModel("key", transport=MemoryTransport(answer))
        await client.file_parser.job(task_id="t").wait(timeout=3600)

    run_virtual(main())
    return at[1]


@pytest.mark.parametrize("status", [429, 503, 200])
@pytest.mark.parametrize(("value", "least"), [("2.5", 2.5), ("30.25", 30.25), ("120.0", 120.0), ("7, 120", 120.0)])
def test_a_hint_with_decimals_is_kept_to(value: str, least: float, status: int) -> None:
    """The next poll is never earlier than the server asked for, and not much later."""
    assert least <= _polled_at(lambda: {"Retry-After": value}, status=status) <= 2 * least


@pytest.mark.parametrize("skew", [timedelta(hours=-9), timedelta(0), timedelta(days=400)])
def test_a_date_is_measured_by_the_clock_of_the_server(skew: timedelta) -> None:
    """A server whose clock is wrong is asked again after the time that it meant."""

    def headers() -> dict[str, str]:
        now = datetime.now(UTC) + skew
        later = now + timedelta(seconds=90)
        return {"Date": format_datetime(now, usegmt=True), "Retry-After": format_datetime(later, usegmt=True)}

    assert 90 <= _polled_at(headers) <= 180


def test_an_unreadable_hint_changes_nothing() -> None:
    """It is as if the header were not there."""
    assert _polled_at(lambda: {"Retry-After": "soon"}, status=503) == _polled_at(dict, status=503)


@pytest.mark.parametrize(
    "busy",
    [
        Reply(403, {"message": "API rate limit exceeded for user ID 1."}),
        Reply(400, {"__type": "com.amazonaws#ThrottlingException", "message": "Rate exceeded"}),
    ],
)
def test_throttling_told_in_words_is_waited_out(busy: Reply) -> None:
    """An endpoint of one's own, with the usual classifier, goes on after it."""
    end: Endpoint[str, Any] = Endpoint(
        "acme.jobs", ask=lambda _ref: Request("GET", "/"), read=lambda _reply: Snapshot(State.SUCCESS)
    )
    with pytest.raises(Throttled):
        run_virtual(end.job(answering(busy), "1").fetch())
    assert run_virtual(end.job(answering(busy, busy, {}), "1").wait(timeout=600)).state is State.SUCCESS
