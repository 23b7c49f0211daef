"""Whole results of tasks: how they are asked about, and what their answers say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from asyncpoll._endpoint import Job
from asyncpoll._errors import BadReply, Rejected
from asyncpoll._schedule import Fixed
from asyncpoll._state import State
from asyncpoll.http import Reply, Request
from asyncpoll.providers import ENDPOINTS
from asyncpoll.providers.molizhishu import Molizhishu, TaskResult
from asyncpoll.providers.molizhishu._task_results import STATUSES
from asyncpoll.providers.molizhishu._tasks import STATUSES as OF_TASKS
from asyncpoll.simulator import Constant, Simulator
from asyncpoll.testing import MemoryTransport

TASK = "5a85cdd0ed9249cfb69daaeca2b91a09"
FIRST = {"subTaskId": 1, "platform": "kimi", "status": "completed", "answerContent": "42", "reasoningProcess": "so"}
SECOND = {"subTaskId": "2", "platform": "doubao", "status": "failed", "errorMessage": "no answer"}
DATA = {"taskId": TASK, "consumerTaskId": "c1234567", "status": "completed", "totalItems": 2, "completedItems": 2}
FULL = {**DATA, "failedItems": 0, "subTaskList": [FIRST, {**FIRST, "subTaskId": "2"}]}


def _job(*data: Any) -> Job[TaskResult]:
    answers: Iterator[Any] = iter(data)
    transport = MemoryTransport(lambda _request: Reply(200, {"success": True, "code": 200, "data": next(answers)}))
    return Molizhishu("token", transport=transport).task_results.job(task_id=TASK)


async def test_the_documented_request_is_sent() -> None:
    """A poll is a GET with the id in its path, and a task can be stopped here, too."""
    job = _job(FULL, "stopped")
    await job.fetch()
    await job.cancel()
    assert list(job.transport.sent) == [  # type: ignore[attr-defined]  # the transport of the test
        Request("GET", f"/task/result/{TASK}", repeatable=True),
        Request("PUT", f"/task/{TASK}/stop", repeatable=True),
    ]


async def test_all_answers_come_with_the_state() -> None:
    """A completed task has the answers of all of its subtasks."""
    snapshot = await _job(FULL).wait(timeout=1)
    result = snapshot.unwrap()
    assert (snapshot.state, snapshot.progress, snapshot.partial, snapshot.misfits) == (State.SUCCESS, 1.0, False, ())
    assert [one.sub_task_id for one in result.sub_task_list] == ["1", "2"]
    assert [one.answer_content for one in result.sub_task_list] == ["42", "42"]
    assert result.sub_task_list[0].reasoning_process
    assert result.sub_task_list[0].reasoning_process.content == "so"
    assert (result.task_id, result.total_items, result.consumer_task_id) == (TASK, 2, "c1234567")


async def test_answers_before_the_end_are_a_partial_value() -> None:
    """While the task runs, its answers so far can be had; without one there is no value."""
    first = {**FULL, "status": "pending", "completedItems": 0, "subTaskList": [{**FIRST, "answerContent": None}]}
    second = {**first, "status": "processing", "completedItems": 1, "subTaskList": [FIRST]}
    seen = [one async for one in _job(first, second, FULL).watch(schedule=Fixed(0.001))]
    assert [(one.progress, one.partial, one.value is None) for one in seen] == [
        (0.0, False, True),
        (0.5, True, False),
        (1.0, False, False),
    ]


@pytest.mark.parametrize(("word", "state"), [("failed", State.FAILED), ("stopped", State.CANCELLED)])
async def test_answers_of_a_task_that_ended_badly_are_kept(word: str, state: State) -> None:
    """A task that was stopped has answers that are charged for; the reason is its own or that of a subtask."""
    snapshot = await _job({**FULL, "status": word, "subTaskList": [FIRST, SECOND]}).wait(timeout=1)
    assert (snapshot.state, snapshot.reason, snapshot.partial) == (state, "no answer", True)
    assert snapshot.value
    assert len(snapshot.value.sub_task_list) == 2
    bare = await _job({"status": word, "message": "why", "subTaskList": None}).fetch()
    assert (bare.state, bare.reason, bare.value, bare.partial) == (state, "why", None, False)
    assert (await _job({"status": word}).fetch()).reason is None


async def test_a_partly_completed_task_is_partial() -> None:
    """Some answers are missing, and the snapshot says so."""
    data = {**FULL, "status": "partial_completed", "failedItems": 1, "subTaskList": [FIRST, SECOND]}
    snapshot = await _job(data).fetch()
    assert (snapshot.state, snapshot.partial, snapshot.unwrap().failed_items) == (State.SUCCESS, True, 1)


async def test_a_side_field_costs_no_answer() -> None:
    """The answers are kept; what does not fit is left out and named."""
    odd = {**FIRST, "amount": "x", "referenceList": [{"index": "1"}]}
    snapshot = await _job({**FULL, "totalItems": "two", "subTaskList": [7, odd]}).fetch()
    assert [one.answer_content for one in snapshot.unwrap().sub_task_list] == ["42"]
    assert set(snapshot.misfits) == {
        "$.data.totalItems",
        "$.data.subTaskList[0]",
        "$.data.subTaskList[1].amount",
        "$.data.subTaskList[1].referenceList[0].index",
    }
    assert (await _job({**FULL, "subTaskList": {"a": 1}}).fetch()).misfits == ("$.data.subTaskList",)


@pytest.mark.parametrize("data", [None, [], {}, {"status": None}, {"status": 1}])
async def test_an_answer_that_makes_no_sense_is_malformed(data: Any) -> None:
    """Without data or a status word the poll is a miss."""
    with pytest.raises(BadReply, match=r"malformed at \$\.data"):
        await _job(data).fetch()


async def test_the_endpoint_is_listed_and_its_words_are_those_of_tasks() -> None:
    """A job can be named, written down and made again, as those of the other endpoints."""
    assert ENDPOINTS["molizhishu.task_results"].required == ("task_id",)
    assert STATUSES.words == OF_TASKS.words
    async with Molizhishu("token") as client:
        job = client.job("molizhishu.task_results", task_id="t")
        assert client.job_from_json(job.to_json()).key == job.key == 'molizhishu.task_results:{"task_id":"t"}'
        with pytest.raises(ValueError, match="task_id must"):
            client.task_results.job(task_id="..")


@pytest.mark.parametrize("shapes", ["documented", "observed"])
async def test_a_whole_result_over_http(shapes: Any) -> None:
    """The simulated server gives the answers as they come; a strange id is refused."""
    times: dict[str, Any] = {"pending": Constant(0.02), "processing": Constant(0.1)}
    outcomes = {"molizhishu.subtasks": {"completed": 1}}
    async with (
        Simulator(5, shapes=shapes, outcomes=outcomes, **times) as world,
        Molizhishu("token", base_url=f"{world.url}/api/business/monitor") as client,
    ):
        task = await client.tasks.start(prompts=["a", "b"], platforms=["kimi", "doubao"])
        job = client.task_results.job(task_id=task.ref.task_id)
        seen = await job.wait(timeout=20, schedule=Fixed(0.02))
        assert (seen.state, seen.partial, seen.misfits) == (State.SUCCESS, False, ())
        assert all(one.answer_content for one in seen.unwrap().sub_task_list)
        assert len(seen.unwrap().sub_task_list) == 4
    async with (
        Simulator(5, unknown_ids="reject") as world,
        Molizhishu("token", base_url=f"{world.url}/api/business/monitor") as client,
    ):
        with pytest.raises(Rejected) as refused:
            await client.task_results.job(task_id="nothing").fetch()
        assert refused.value.kind == "not_found"
