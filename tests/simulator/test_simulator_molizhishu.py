"""The simulator answers like the vendor's manual of Molizhishu, in every state of a task and its subtasks."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from schemas import check, error_schema, response_schema
from simulator_kit import Client, client, simulated

from asyncpoll.simulator import Constant, Life, Simulator
from asyncpoll.simulator._batches import FIRST_AND_REST, Batches, Subtask
from asyncpoll.simulator._jobs import SUBTASKS, Jobs
from asyncpoll.simulator._lives import LifeGenerator
from asyncpoll.simulator._molizhishu import subtask_result

DOCUMENT = "subtask_result"
RUNNING = {"pending": 0.0, "processing": 10_000.0}  # dispatched for the first thousand seconds
SUBTASK = Subtask("4124831", "哪个牌子好", "doubao", "search")
WORDS = (*dict.fromkeys(SUBTASKS.words), *SUBTASKS.outcomes)


def script_all(sim: Simulator, task: str, subtasks: list[Any], *lives: Life) -> None:
    """Set the lives of the listed subtasks, one by one."""
    for subtask, life in zip(subtasks, lives, strict=True):
        sim.script("molizhishu.subtasks", (task, subtask["subTaskId"]), life)


async def submitted(calls: Client, **changes: Any) -> Any:
    """Submit a batch and return its data."""
    return (await calls.submit(**changes)).json["data"]


@pytest.mark.parametrize("word", WORDS)
def test_a_result_obeys_the_document_in_every_state(word: str) -> None:
    """All documented fields are there; content only when completed, a reason only after a failure."""
    data = subtask_result(Random(1), SUBTASK, word, 1769758043000, "documented")
    answer = {"success": True, "code": 200, "message": "操作成功", "data": data}
    schema = response_schema(DOCUMENT, closed=True)
    check(answer, schema)
    assert set(data) == set(schema["properties"]["data"]["properties"])
    assert bool(data["answerContent"]) == (word == "completed")
    assert bool(data["errorMessage"]) == (word in {"failed", "timeout", "error", "stopped"})


@pytest.mark.parametrize(
    ("life", "word"),
    [
        (Life(pending=1000.0, outcome="completed"), "pending"),
        (Life(**RUNNING, outcome="completed"), "assigned"),
        *((Life(outcome=outcome), outcome) for outcome in SUBTASKS.outcomes),
    ],
)
async def test_a_subtask_answers_as_documented(life: Life, word: str) -> None:
    """The response has the envelope, the ids, the word, and the time of the end in milliseconds."""
    async with simulated() as (sim, calls):
        sim.script("molizhishu.subtasks", ("task", "7"), life)
        seen = await calls.subtask("task", "7")
    check(seen.json, response_schema(DOCUMENT, closed=True))
    data = seen.json["data"]
    assert (data["subTaskId"], data["status"]) == ("7", word)
    assert (data["time"] is None) == (word in SUBTASKS.words)
    assert data["time"] is None or 1.7e12 < data["time"] < 1e13


@pytest.mark.parametrize(
    ("outcomes", "status", "completed", "failed"),
    [
        (["completed"] * 4, "completed", 4, 0),
        (["completed", "failed", "timeout", "error"], "partial_completed", 1, 3),
        (["completed", "stopped", "stopped", "stopped"], "partial_completed", 1, 0),
        (["failed", "timeout", "error", "stopped"], "failed", 0, 3),
        (["stopped"] * 4, "stopped", 0, 0),
    ],
)
async def test_a_task_ends_as_its_subtasks_do(outcomes: list[str], status: str, completed: int, failed: int) -> None:
    """The outcome, the counts, the times and the truth follow from the subtasks."""
    async with simulated() as (sim, calls):
        data = await submitted(calls)
        script_all(sim, data["taskId"], data["subTaskList"], *(Life(outcome=outcome) for outcome in outcomes))
        seen = (await calls.task(data["taskId"])).json["data"]
        truth = sim.truth("molizhishu.tasks", data["taskId"])
    assert [each["status"] for each in seen["subTaskList"]] == outcomes
    assert (seen["status"], seen["totalItems"], seen["completedItems"], seen["failedItems"]) == (
        status,
        4,
        completed,
        failed,
    )
    assert truth.outcome == status
    assert (seen["completedAt"] is None) == (status == "stopped")


async def test_a_task_runs_while_a_subtask_runs() -> None:
    """A task is pending before the first subtask begins, and processing until the last has ended."""
    waiting, running, ended = (
        Life(pending=1000.0, outcome="failed"),
        Life(**RUNNING, outcome="completed"),
        Life(outcome="completed"),
    )
    async with simulated(pending=Constant(1000.0)) as (sim, calls):
        data = await submitted(calls)
        assert data["status"] == "pending"
        for lives in (
            (running, waiting, waiting, waiting),
            (ended, waiting, waiting, waiting),
            (ended,) * 3 + (running,),
        ):
            script_all(sim, data["taskId"], data["subTaskList"], *lives)
            seen = (await calls.task(data["taskId"])).json["data"]
            assert (seen["status"], seen["completedAt"]) == ("processing", None)
        truth = sim.truth("molizhishu.tasks", data["taskId"])
    assert truth.finished_at - truth.submitted_at == pytest.approx(10_000.0)


async def test_the_result_of_a_task_has_those_of_its_subtasks() -> None:
    """The results in the task are equal to the results of each subtask."""
    async with simulated(shapes="observed") as (sim, calls):
        sim.script("molizhishu.tasks", "task", Life(outcome="partial_completed"))
        whole = (await calls.result("task")).json["data"]
        single = [(await calls.subtask("task", each["subTaskId"])).json["data"] for each in whole["subTaskList"]]
    assert whole["subTaskList"] == single
    assert whole["status"] == "partial_completed"


async def test_stopping_stops_pending_and_failed_subtasks() -> None:
    """Pending and failed subtasks stop, the others finish; the task's status and counts are frozen."""
    lives = (
        Life(outcome="completed"),
        Life(outcome="failed"),
        Life(pending=1000.0, outcome="completed"),
        Life(**RUNNING, outcome="completed"),
    )
    async with simulated() as (sim, calls):
        data = await submitted(calls)
        task, running = data["taskId"], data["subTaskList"][3]["subTaskId"]
        script_all(sim, task, data["subTaskList"], *lives)
        stopped = (await calls.stop(task)).json
        before = (await calls.task(task)).json["data"]
        sim.script("molizhishu.subtasks", (task, running), Life(outcome="completed"))
        after = (await calls.task(task)).json["data"]
        truth = sim.truth("molizhishu.tasks", task)
        refused = (await calls.stop(task)).json
    assert stopped["success"] is True
    assert "2" in stopped["data"]
    assert [each["status"] for each in before["subTaskList"]] == ["completed", "stopped", "stopped", "assigned"]
    assert [each["status"] for each in after["subTaskList"]] == ["completed", "stopped", "stopped", "completed"]
    for seen in (before, after):
        assert (seen["status"], seen["message"], seen["completedAt"]) == ("stopped", "任务已停止", None)
        assert (seen["totalItems"], seen["failedItems"]) == (4, 0)
    assert truth.outcome == "stopped"
    assert refused["code"] == 500


@pytest.mark.parametrize("outcome", FIRST_AND_REST)
async def test_a_task_that_has_ended_cannot_be_stopped(outcome: str) -> None:
    """The manual's refusal has code 500; only its message differs from other refusals."""
    async with simulated() as (sim, calls):
        sim.script("molizhishu.tasks", "task", Life(outcome=outcome))
        seen = await calls.stop("task")
    check(seen.json, error_schema(DOCUMENT))
    assert (seen.status, seen.json["code"]) == (200, 500)
    assert seen.json["message"].startswith("任务已结束")


async def test_an_unknown_id_is_refused_in_the_envelope() -> None:
    """A refusal has HTTP 200 and code 404; a submitted task only has its own subtasks."""
    async with simulated(unknown_ids="reject") as (_, calls):
        refused = [
            await calls.task("never"),
            await calls.result("never"),
            await calls.subtask("never", "1"),
            await calls.stop("never"),
        ]
    async with simulated() as (_, calls):
        refused.append(await calls.subtask((await submitted(calls))["taskId"], "1"))
    for seen in refused:
        assert (seen.status, seen.json["code"], "data" in seen.json) == (200, 404, False)
        check(seen.json, error_schema(DOCUMENT))


async def test_a_scripted_task_is_known_where_others_are_not() -> None:
    """A scripted task exists with the scripted subtasks, although unknown ids are refused."""
    async with simulated(unknown_ids="reject") as (sim, calls):
        sim.script("molizhishu.subtasks", ("task", "1"), Life(outcome="completed"))
        assert (await calls.subtask("task", "1")).json["data"]["status"] == "completed"
        assert (await calls.subtask("task", "2")).json["code"] == 404
        listed = (await calls.task("task")).json["data"]
    assert (listed["status"], listed["totalItems"]) == ("completed", 1)


async def test_a_task_that_was_not_submitted_is_drawn() -> None:
    """Such a task has a few subtasks, which depend on its id and the seed."""

    async def listed(seed: int) -> list[Any]:
        async with simulated(seed=seed, pending=Constant(1000.0)) as (_, calls):
            seen = (await calls.task("task")).json["data"]
            assert seen["taskId"] == "task"
            assert 2 <= seen["totalItems"] <= 4
            return list(seen["subTaskList"])

    assert await listed(1) == await listed(1) != await listed(2)


async def test_a_task_has_the_subtasks_that_were_polled() -> None:
    """A task whose subtasks were polled first has these subtasks and no others."""
    async with simulated() as (_, calls):
        for ident in ("11", "12"):
            assert (await calls.subtask("task", ident)).json["data"]["subTaskId"] == ident
        listed = (await calls.task("task")).json["data"]["subTaskList"]
    assert [each["subTaskId"] for each in listed] == ["11", "12"]


@pytest.mark.parametrize("bearer", [None, "wrong"])
async def test_a_bad_token_is_refused_at_http_200(bearer: str | None) -> None:
    """A bad token has code 500; only its message differs from a failure of the server."""
    async with simulated(molizhishu_token="right") as (sim, _), client(sim, bearer=bearer) as calls:
        refused = [
            await calls.submit(),
            await calls.task("task"),
            await calls.result("task"),
            await calls.subtask("task", "1"),
            await calls.stop("task"),
        ]
    for seen in refused:
        assert (seen.status, seen.json) == (200, {"success": False, "code": 500, "message": "Token失效"})


def test_observed_results_vary_field_by_field() -> None:
    """Fields are missing, null, empty, relative or of another type, and newer fields are there too."""
    results = [subtask_result(Random(number), SUBTASK, "completed", 1, "observed") for number in range(200)]
    screenshots = {result.get("pageScreenshot", "missing") for result in results}
    assert {"", None, "missing"} < screenshots
    assert {type(result["reasoningProcess"]) for result in results} == {dict, str, type(None)}
    assert {"recommendedQuestions" in result for result in results} == {True, False}
    assert {"amount" in result for result in results} == {True, False}
    icons = {source["icon"] for result in results for source in result["referenceList"] or ()}
    assert None in icons
    assert any(icon and icon.startswith("icons/") for icon in icons)
    assert all(result["answerContent"] for result in results)


def test_observed_answers_can_come_early() -> None:
    """Some running subtasks have an answer already, without its screenshot and its sources."""
    results = [subtask_result(Random(number), SUBTASK, "processing", None, "observed") for number in range(50)]
    assert {bool(result["answerContent"]) for result in results} == {True, False}
    assert {(result["pageScreenshot"], result["citationList"], result["time"]) for result in results} == {(None,) * 3}


def test_a_task_of_one_subtask_cannot_be_partial() -> None:
    """Such a script is refused, and the message says what to do."""
    jobs = Jobs(SUBTASKS, LifeGenerator(0, Constant(0.0), Constant(0.0)))
    batches = Batches(0, jobs, accept_unknown=True)
    batches.script_subtask("task", "1", Life(outcome="completed"))
    with pytest.raises(ValueError, match="submit two prompts or two platforms"):
        batches.script("task", Life(outcome="partial_completed"))
