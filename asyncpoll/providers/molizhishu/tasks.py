"""Tasks: batches of questions that are put to AI platforms.

Sources: the Molizhishu API manual, submit-task, query-task-status and stop-task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.codec import at, echoes, structure, text_at
from asyncpoll.http.message import Reply, Request, Transport
from asyncpoll.http.path import is_segment, segment
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

    task_id: str = field(validator=is_segment)


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


def ask(ref: TaskRef) -> Request:
    """Ask how a task stands, and all of its subtasks."""
    return Request("GET", f"/task/status/{segment('task_id', ref.task_id)}", repeatable=True)


def read(reply: Reply) -> Snapshot[TaskStatus]:
    """Read what an answer says about a task. Its progress is the share of subtasks that have ended either way."""
    data = at(reply.json, "data")
    word = text_at(reply.json, "data", "status")
    state = STATUSES.read(word)
    snapshot: Snapshot[TaskStatus] = Snapshot(
        state, word, progress=_progress(data), retry_after=reply.retry_after, raw=reply.json
    )
    if state is State.SUCCESS:
        value = task_status(reply.json)
        return evolve(snapshot, value=value, ended_at=value.completed_at)
    if state.is_terminal:
        return evolve(snapshot, reason=str(data.get("message") or "") or None)
    return snapshot


def task_status(envelope: Any) -> TaskStatus:
    """Return the data of an answer, of whatever state.

    Raises:
        BadReply: It does not fit.
    """
    return structure(at(envelope, "data"), TaskStatus, where="$.data")


def _progress(data: Mapping[str, Any]) -> float | None:
    try:
        share: float = (data["completedItems"] + data["failedItems"]) / data["totalItems"]
    except (KeyError, TypeError, ZeroDivisionError):
        return None
    return share


def _ask_to_stop(ref: TaskRef) -> Request:
    return Request("PUT", f"/task/{segment('task_id', ref.task_id)}/stop", repeatable=True)


def _same_job(ref: TaskRef, reply: Reply) -> bool:
    return echoes(reply.json, ref.task_id, "data", "taskId")


ENDPOINT: Endpoint[TaskRef, TaskStatus] = Endpoint(
    "molizhishu.tasks", ask=ask, read=read, classify=classify, cancel=_ask_to_stop, same_job=_same_job
)


@frozen
class Tasks:
    """The door to `molizhishu.tasks`."""

    transport: Transport = field(repr=False)

    def job(self, *, task_id: str) -> Job[TaskStatus]:
        """Return a task that was submitted earlier, by whomever.

        It succeeds when there is any answer: with the word "partial_completed" some subtasks have failed, and
        `failed_items` says how many. `cancel()` stops what has not been handed out yet; what has been is finished
        and charged for.

        Args:
            task_id: The id that the task was given.

        Raises:
            ValueError: The id is unusable as a part of a path.
        """
        return ENDPOINT.job(self.transport, TaskRef(task_id))

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
        )
        reply = await self.transport.send(Request("POST", "/task/batch/shared", json=body, repeatable=True))
        classify(reply)
        return self.job(task_id=started_id(reply, "data", "taskId"))
