"""Tasks: batches of questions that are put to AI platforms.

Sources: the Molizhishu API manual, submit-task, query-task-status and stop-task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._errors import BadReply
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.codec import at, echoes, fit, number, share, status_at
from asyncpoll.http._auth import exchange
from asyncpoll.http._ids import as_text, is_segment, segment
from asyncpoll.http._message import Reply, Request, Transport
from asyncpoll.providers.molizhishu.envelope import classify
from asyncpoll.providers.molizhishu.order import Platform, order
from asyncpoll.providers.molizhishu.task_status import Competitor, TaskStatus
from asyncpoll.providers.started import started_id


@frozen(weakref_slot=False)
class TaskRef:
    """A task.

    Attributes:
        task_id: Its id.
    """

    task_id: str = field(converter=as_text, validator=is_segment)


STATUSES = Vocabulary(
    "molizhishu.tasks",
    {
        "pending": State.PENDING,
        "processing": State.PROCESSING,
        "completed": State.SUCCESS,
        "partial_completed": State.SUCCESS,  # some answers are there; `failed_items` says how many are not
        "failed": State.FAILED,  # not a single answer
        "stopped": State.CANCELLED,
    },
)


_LOST = re.compile(r"\$\.data\.subTaskList(?:\[[0-9]+\](?:\.subTaskId)?)?")


def ask(ref: TaskRef) -> Request:
    """Ask how a task stands, and all of its subtasks."""
    return Request("GET", f"/task/status/{segment('task_id', ref.task_id)}", repeatable=True)


def read(reply: Reply, words: Vocabulary = STATUSES) -> Snapshot[TaskStatus]:
    """Read a reply about a task.

    The progress is the share of subtasks that have ended either way. A success is partial if a subtask has failed.

    Args:
        reply: The reply.
        words: The status words.
    """
    data = at(reply.json, "data")
    state, word = status_at(reply.json, words, "data", "status")
    seen: Snapshot[TaskStatus] = Snapshot(
        state, word, progress=progress(data), retry_after=reply.retry_after, raw=reply.json
    )
    if state is State.SUCCESS:
        value, misfits = fit(data, TaskStatus, where="$.data")
        partial = is_partial(word, value.failed_items)
        return evolve(seen, value=value, ended_at=value.completed_at, misfits=misfits, partial=partial)
    if state.is_terminal:
        return evolve(seen, reason=str(data.get("message") or "") or None)
    return seen


def task_status(envelope: Any) -> TaskStatus:
    """Return the data of a reply about a task in any state. A side field that does not fit is left out.

    Raises:
        BadReply: The data is not an object, or a subtask in it could not be asked about.
    """
    status, misfits = fit(at(envelope, "data"), TaskStatus, where="$.data")
    for path in filter(_LOST.fullmatch, misfits):
        raise BadReply(f"the answer is malformed at {path}: a subtask with a usable id is expected")
    return status


def is_partial(word: str, failed_items: int) -> bool:
    """Return whether a task that succeeded lacks answers, by its status word or its count of failures."""
    return failed_items > 0 or word.strip().casefold() == "partial_completed"


def progress(data: Mapping[str, Any]) -> float | None:
    """Return the share of subtasks that have ended either way, or None if the counters do not tell."""
    completed, failed = number(data.get("completedItems")), number(data.get("failedItems"))
    return None if completed is None or failed is None else share(completed + failed, data.get("totalItems"))


def ask_to_stop(ref: TaskRef) -> Request:
    """Ask to stop a task."""
    return Request("PUT", f"/task/{segment('task_id', ref.task_id)}/stop", repeatable=True)


def same_job(ref: TaskRef, reply: Reply) -> bool:
    """Return whether a reply is about the task with the reference *ref*."""
    return echoes(reply.json, ref.task_id, "data", "taskId")


ENDPOINT: Endpoint[TaskRef, TaskStatus] = Endpoint(
    "molizhishu.tasks", ask=ask, read=read, classify=classify, cancel=ask_to_stop, same_job=same_job
)


@frozen
class Tasks:
    """The door to `molizhishu.tasks`."""

    transport: Transport = field(repr=False)
    endpoint: Endpoint[TaskRef, TaskStatus] = field(default=ENDPOINT, repr=False)

    def job(self, *, task_id: str | int) -> Job[TaskStatus]:
        """Return a task that was submitted earlier, by whomever.

        It succeeds when there is any answer: with the word "partial_completed" some subtasks have failed, and
        `failed_items` says how many. `cancel()` stops what has not been handed out yet; what has been is finished
        and charged for.

        Args:
            task_id: The id that the task was given.

        Raises:
            ValueError: The id is unusable as a part of a path.
        """
        return self.endpoint.job(self.transport, TaskRef(task_id))

    async def start(
        self,
        *,
        prompts: Sequence[str],
        platforms: Sequence[Platform | Mapping[str, Any] | str],
        region_code: str | None = None,
        callback_url: str | None = None,
        monitor_keywords: str | None = None,
        monitor_keyword_aliases: Sequence[str] = (),
        competitors: Sequence[Competitor | Mapping[str, Any]] = (),
        consumer_task_id: str | None = None,
        **extra: Any,
    ) -> Job[TaskStatus]:
        """Submit a task: every prompt is put to every platform.

        With its idempotency key it may be sent twice without being charged twice, so a hiccup is retried at once.
        To retry a submit whose answer was lost altogether, pass the same *consumer_task_id* again.

        Args:
            prompts: The questions, 1 to 50.
            platforms: Whom to ask, 1 to 50: `Platform` values, their fields as mappings, or mere names, which stand
                for the mode "standard" without a screenshot.
            region_code: An administrative division such as "410000" to ask from; not for mobile platforms.
            callback_url: Where the server reports the end, too.
            monitor_keywords: The brand to watch for.
            monitor_keyword_aliases: Other names of it, up to 50.
            competitors: Brands to compare it with, up to 50.
            consumer_task_id: The idempotency key, 8 to 64 letters and digits; by default a random one.
            **extra: Further fields of the API, such as `callback_headers` or `callbackHeaders`. JSON.

        Returns:
            The task; for a key that was used before, the task that was submitted then.

        Raises:
            TransportError: The task was refused, or it is not known whether it was accepted.
            ValueError: An argument is missing, too long or of a wrong kind; nothing was sent.
        """
        body = order(
            prompts=prompts,
            platforms=platforms,
            region_code=region_code,
            callback_url=callback_url,
            monitor_keywords=monitor_keywords,
            monitor_keyword_aliases=monitor_keyword_aliases,
            competitors=competitors,
            consumer_task_id=consumer_task_id,
            extra=extra,
        )
        request = Request("POST", "/task/batch/shared", json=body, repeatable=True)
        reply = await exchange(self.transport, request, classify)
        return self.job(task_id=started_id(reply, "data", "taskId"))
