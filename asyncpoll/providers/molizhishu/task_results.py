"""Whole results of tasks: all subtasks with their answers, in one reply.

Source: the Molizhishu API manual, get-task-result. Its subtasks are those of get-subtask-result.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.codec import at, camel_case, fit, status_at, text_of
from asyncpoll.http._ids import segment
from asyncpoll.http._message import Reply, Request, Transport
from asyncpoll.providers.molizhishu import tasks
from asyncpoll.providers.molizhishu.envelope import classify
from asyncpoll.providers.molizhishu.subtask_result import Subtask, as_documented
from asyncpoll.providers.molizhishu.tasks import TaskRef


@frozen(field_transformer=camel_case)
class TaskResult:
    """A task with the answers of its subtasks.

    Attributes:
        task_id: The id of the task.
        status: Its status word.
        total_items: How many subtasks there are.
        completed_items: How many have an answer.
        failed_items: How many have failed.
        sub_task_list: The subtasks. Each has its own status word, and an answer or an error.
        consumer_task_id: The idempotency key that it was submitted with.
    """

    task_id: str = ""
    status: str = ""
    total_items: int = 0
    completed_items: int = 0
    failed_items: int = 0
    sub_task_list: tuple[Subtask, ...] = ()
    consumer_task_id: str | None = None


STATUSES = Vocabulary("molizhishu.task_results", tasks.STATUSES.words)


def ask(ref: TaskRef) -> Request:
    """Ask about a task and all of its answers."""
    return Request("GET", f"/task/result/{segment('task_id', ref.task_id)}", repeatable=True)


def read(reply: Reply, words: Vocabulary = STATUSES) -> Snapshot[TaskResult]:
    """Read a reply about a task and its answers.

    Answers that are there before the end, or in spite of a bad end, are a partial value: they are charged for.

    Args:
        reply: The reply.
        words: The status words.
    """
    data = at(reply.json, "data")
    state, word = status_at(reply.json, words, "data", "status")
    subtasks = data.get("subTaskList")
    listed: list[Any] = subtasks if isinstance(subtasks, list) else []
    seen: Snapshot[TaskResult] = Snapshot(
        state, word, progress=tasks.progress(data), retry_after=reply.retry_after, raw=reply.json
    )
    if state.is_terminal and state is not State.SUCCESS:
        seen = evolve(seen, reason=_reason(data, listed))
    if state is not State.SUCCESS and not any(text_of(at(one, "answerContent")) for one in listed):
        return seen
    documented = {**data, "subTaskList": [as_documented(one) for one in listed]} if listed else data
    value, misfits = fit(documented, TaskResult, where="$.data")
    partial = state is not State.SUCCESS or tasks.is_partial(word, value.failed_items)
    return evolve(seen, value=value, misfits=misfits, partial=partial)


def _reason(data: dict[str, Any], subtasks: list[Any]) -> str | None:
    """Return the message of a task, or that of the first subtask that has one."""
    told = (data.get("message"), *(at(one, "errorMessage") for one in subtasks))
    return next(filter(None, map(text_of, told)), None)


ENDPOINT: Endpoint[TaskRef, TaskResult] = Endpoint(
    "molizhishu.task_results", ask=ask, read=read, classify=classify, cancel=tasks.ask_to_stop, same_job=tasks.same_job
)


@frozen
class TaskResults:
    """The endpoint client of `molizhishu.task_results`."""

    transport: Transport = field(repr=False)
    endpoint: Endpoint[TaskRef, TaskResult] = field(default=ENDPOINT, repr=False)

    def job(self, *, task_id: str | int) -> Job[TaskResult]:
        """Return a task whose answers come together with its state.

        Each reply contains all answers that are there, so it can be large. To wait for a task of many subtasks, wait
        for `tasks.job` first, and ask for the answers once, with `fetch`.

        Args:
            task_id: The id that the task was given.

        Raises:
            ValueError: The id is unusable as a part of a path.
        """
        return self.endpoint.job(self.transport, TaskRef(task_id))
