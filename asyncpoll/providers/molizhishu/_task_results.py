"""Whole results of tasks: all subtasks with their answers in one reply.

Source: the Molizhishu API manual, get-task-result. Its subtasks are those of get-subtask-result.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from asyncpoll._checks import Time
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll._structure import at, camel_case, fit, status_at, text_of
from asyncpoll.http import Reply, Request, Transport, segment
from asyncpoll.providers.molizhishu import _tasks
from asyncpoll.providers.molizhishu._envelope import classify, reason
from asyncpoll.providers.molizhishu._results import Subtask, as_documented
from asyncpoll.providers.molizhishu._tasks import TaskRef


@frozen(field_transformer=camel_case)
class TaskResult:
    """A task with the answers of its subtasks.

    Attributes:
        task_id: The id of the task.
        status: The status word.
        total_items: The number of subtasks.
        completed_items: The number of subtasks with an answer.
        failed_items: The number of failed subtasks.
        sub_task_list: The subtasks. Each has a status word of its own, and an answer or an error.
        consumer_task_id: The idempotency key of the submit.
    """

    task_id: str = ""
    status: str = ""
    total_items: int = 0
    completed_items: int = 0
    failed_items: int = 0
    sub_task_list: tuple[Subtask, ...] = ()
    consumer_task_id: str | None = None


STATUSES = Vocabulary("molizhishu.task_results", _tasks.STATUSES.words)


def ask(ref: TaskRef) -> Request:
    """Ask about a task and all of its answers."""
    return Request("GET", f"/task/result/{segment('task_id', ref.task_id)}", repeatable=True)


def read(reply: Reply, words: Vocabulary = STATUSES) -> Snapshot[TaskResult]:
    """Read a reply about a task and its answers.

    Answers of an unfinished or failed task are a partial value, since they are charged for.

    Args:
        reply: The reply.
        words: The status words.
    """
    data = at(reply.json, "data")
    state, word = status_at(reply.json, words, "data", "status")
    subtasks = data.get("subTaskList")
    listed: list[Any] = subtasks if isinstance(subtasks, list) else []
    seen: Snapshot[TaskResult] = Snapshot(
        state, word, progress=_tasks.progress(data), retry_after=reply.retry_after, raw=reply.json
    )
    if state.is_terminal and state is not State.SUCCESS:
        reasons = (reason(reply, one) for one in (data, *listed) if isinstance(one, dict))
        seen = evolve(seen, reason=next(filter(None, reasons), None))
    if state is not State.SUCCESS and not any(text_of(at(one, "answerContent")) for one in listed):
        return seen
    documented = {**data, "subTaskList": [as_documented(one) for one in listed]} if listed else data
    value, misfits = fit(documented, TaskResult, where="$.data")
    partial = state is not State.SUCCESS or _tasks.is_partial(word, value.failed_items)
    return evolve(seen, value=value, misfits=misfits, partial=partial)


ENDPOINT: Endpoint[TaskRef, TaskResult] = Endpoint(
    "molizhishu.task_results",
    ask=ask,
    read=read,
    classify=classify,
    cancel=_tasks.ask_to_stop,
    same_job=_tasks.same_job,
)


@frozen
class TaskResults:
    """Returns the jobs of tasks with their answers (`molizhishu.task_results`)."""

    transport: Transport = field(repr=False)
    endpoint: Endpoint[TaskRef, TaskResult] = field(default=ENDPOINT, repr=False)

    def job(self, *, task_id: str | int, submitted_at: Time | None = None) -> Job[TaskResult]:
        """Return a task whose answers come together with its state.

        Each reply contains all answers so far, so it can be large. To wait for a task of many subtasks, wait for
        `tasks.job` first, and request the answers once, with `fetch`.

        Args:
            task_id: The id of the task.
            submitted_at: The time of its submit, if it is known; see `Job.with_submitted_at`.

        Raises:
            ValueError: The id is unusable in a path, or the time is in the future.
        """
        return self.endpoint.job(self.transport, TaskRef(task_id), submitted_at=submitted_at)
