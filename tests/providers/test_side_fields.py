"""Finished jobs with anything at all in their side fields: none is lost, and what is read is what fits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll._endpoint import Job
from asyncpoll._state import State
from asyncpoll.http import Reply, Request
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.testing import MemoryTransport

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@frozen
class Finished:
    """A finished job of one endpoint: its name and reference, its payload, and which fields make it a success."""

    name: str
    ref: dict[str, str]
    payload: dict[str, Any]
    kept: tuple[str, ...] = ("status",)
    envelope: bool = False

    def job(self, payload: dict[str, Any]) -> Job[Any]:
        """Return the job, whose answers have this payload."""
        told = {"success": True, "code": 200, "data": payload} if self.envelope else payload

        def answer(_request: Request) -> Reply:
            return Reply(200, told)

        client = (Molizhishu if self.envelope else BigModel)("key", transport=MemoryTransport(answer))
        return client.job(self.name, **self.ref)


SUBTASK = {
    "subTaskId": "s", "platform": "kimi", "status": "completed", "time": 1769758043000, "answerContent": "42",
    "referenceList": [{"index": 1, "title": "t"}], "reasoningProcess": {"summary": "s", "content": "c"},
    "recommendedQuestions": ["q"], "amount": 0.1, "categoryRanking": {"rank": 1, "allRankings": [{"rank": 2}]},
}  # fmt: skip
COUNTS = {"taskId": "t", "status": "completed", "totalItems": 1, "completedItems": 1, "failedItems": 0}
CONTENT = {"type": "text", "text": "hi"}
FINISHED = [
    Finished("molizhishu.subtasks", {"task_id": "t", "sub_task_id": "s"}, SUBTASK, envelope=True),
    Finished(
        "molizhishu.tasks",
        {"task_id": "t"},
        {**COUNTS, "completedAt": 1769758043, "subTaskList": [{"subTaskId": "s", "status": "completed"}]},
        envelope=True,
    ),
    Finished("molizhishu.task_results", {"task_id": "t"}, {**COUNTS, "subTaskList": [SUBTASK]}, envelope=True),
    Finished(
        "bigmodel.agents",
        {"agent_id": "g", "async_id": "a"},
        {"status": "success", "choices": [{"messages": [{"content": [CONTENT]}]}], "usage": {"total_tokens": 1}},
    ),
    Finished("bigmodel.file_parser", {"task_id": "t"}, {"status": "succeeded", "message": "ok", "content": "text"}),
]


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of everything inside *value*."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [path, *(inner for step, one in items for inner in paths_of(one, (*path, step)))]


def replaced(value: Any, path: tuple[str | int, ...], odd: Any) -> Any:
    """Return *value* with *odd* at *path*."""
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


IDS = {("subTaskId",), ("taskId",)}  # another id is about another job


@pytest.mark.parametrize("finished", FINISHED, ids=lambda one: one.name)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_side_field_costs_a_finished_job(finished: Finished, data: st.DataObject) -> None:
    """Whatever stands in one field, the first poll is a success with a value, and misfits have paths of the answer."""
    skipped = IDS | {(), *((name,) for name in finished.kept)}
    path = data.draw(st.sampled_from([one for one in paths_of(finished.payload) if one not in skipped]))
    odd = replaced(finished.payload, path, data.draw(ANYTHING))
    seen = asyncio.run(finished.job(odd).fetch())
    assert (seen.state, seen.status) == (State.SUCCESS, finished.payload["status"])
    assert seen.value is not None
    assert all(misfit.startswith("$.data." if finished.envelope else "$.") for misfit in seen.misfits)


@pytest.mark.parametrize("finished", FINISHED, ids=lambda one: one.name)
def test_a_payload_that_fits_has_no_misfits(finished: Finished) -> None:
    """The payloads of this file are as documented."""
    seen = asyncio.run(finished.job(finished.payload).fetch())
    assert (seen.misfits, seen.partial) == ((), False)
