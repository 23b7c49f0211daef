"""Tasks: batches of questions to AI platforms.

Sources: the Molizhishu API manual, submit-task, query-task-status and stop-task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args
from uuid import uuid4

from attrs import asdict, evolve, field, frozen, validators

from asyncpoll._checks import Time
from asyncpoll._endpoint import Endpoint, Job, started
from asyncpoll._errors import BadReply
from asyncpoll._snapshot import Snapshot, number, share
from asyncpoll._state import State, Vocabulary
from asyncpoll._structure import at, camel, echoes, fit, status_at
from asyncpoll.http import Reply, Request, Transport, segment
from asyncpoll.http._auth import exchange
from asyncpoll.http._urls import as_text, is_segment
from asyncpoll.providers._catalog import predictor_of
from asyncpoll.providers._client import started_id
from asyncpoll.providers.molizhishu._envelope import classify, reason
from asyncpoll.providers.molizhishu._results import Competitor, TaskStatus

T = TypeVar("T")
Mode = Literal["standard", "reasoning", "search", "reasoning_search"]
MOST = 50
"""The largest number of prompts, of platforms, of aliases and of competitors in one task."""

_CONSUMER_TASK_ID = re.compile(r"[A-Za-z0-9]{8,64}", re.ASCII)


@frozen
class Platform:
    """An AI platform to ask, and how.

    Attributes:
        platform: The name, such as "doubao" or "deepseek".
        mode: "standard", "reasoning", "search" or "reasoning_search". Only the two search modes return sources.
        screenshot: 0 for none, 1 for one, 2 for one if the watched brand is mentioned.
    """

    platform: str = field(validator=validators.min_len(1))
    mode: Mode = field(default="standard", validator=validators.in_(get_args(Mode)))
    screenshot: int = field(default=0, validator=validators.in_((0, 1, 2)))


def order(
    *,
    prompts: Sequence[str],
    platforms: Sequence[Platform | Mapping[str, Any] | str],
    region_code: str | None,
    callback_url: str | None,
    monitor_keywords: str | None,
    monitor_keyword_aliases: Sequence[str],
    competitors: Sequence[Competitor | Mapping[str, Any]],
    consumer_task_id: str | None,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the body of a submit. `Tasks.start` describes the arguments.

    Raises:
        ValueError: A list has too few or too many items, or an item is unusable.
    """
    if competitors and not monitor_keywords:
        raise ValueError("competitors need monitor_keywords, the brand that they compete with")
    fields: dict[str, Any] = {
        "prompts": [_text("a prompt", one) for one in _counted("prompts", prompts, least=1)],
        "platforms": [_platform(one) for one in _counted("platforms", platforms, least=1)],
        "regionCode": None if region_code is None else [_text("region_code", region_code)],
        "callbackUrl": callback_url,
        "monitorKeywords": monitor_keywords,
        "monitorKeywordAliases": list(_counted("monitor_keyword_aliases", monitor_keyword_aliases)),
        "competitors": [_competitor(one) for one in _counted("competitors", competitors)],
        "consumerTaskId": _consumer_task_id(consumer_task_id),
    }
    further = {camel(name): value for name, value in extra.items()}
    if twice := sorted(fields.keys() & further.keys()):
        raise ValueError(f"the field {twice[0]} has an argument of its own; pass that")
    return {name: value for name, value in fields.items() if value} | further


def _counted(name: str, items: Sequence[Any], *, least: int = 0) -> Sequence[Any]:
    if not isinstance(items, list | tuple):
        raise ValueError(f"{name} must be a list, not {type(items).__name__}")  # noqa: TRY004  as all bad arguments
    if not least <= len(items) <= MOST:
        raise ValueError(f"{name} must have {least} to {MOST} items, not {len(items)}")
    return items


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise ValueError(f"{name} must be a text that is not blank")


def _platform(given: Platform | Mapping[str, Any] | str) -> dict[str, Any]:
    return asdict(_made(Platform, {"platform": given} if isinstance(given, str) else given))


def _competitor(given: Competitor | Mapping[str, Any]) -> dict[str, Any]:
    competitor = _made(Competitor, given)
    return {"name": competitor.name, "aliases": list(_counted("aliases", competitor.aliases))}


def _made(cls: type[T], given: T | Mapping[str, Any]) -> T:
    if isinstance(given, cls):
        return given
    try:
        return cls(**given)  # type: ignore[arg-type]  # narrowing leaves the T in the union
    except TypeError:
        raise ValueError(f"a {cls.__name__} is needed, or a mapping of its fields") from None


def _consumer_task_id(given: Any) -> str:
    if given is None:
        return uuid4().hex
    if isinstance(given, str) and _CONSUMER_TASK_ID.fullmatch(given):
        return given
    raise ValueError("consumer_task_id must be 8 to 64 ASCII letters and digits")


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
        "partial_completed": State.SUCCESS,  # there are some answers, and `failed_items` subtasks without one
        "failed": State.FAILED,  # there is not a single answer
        "stopped": State.CANCELLED,
    },
)


_LOST = re.compile(r"\$\.data\.subTaskList(?:\[[0-9]+\](?:\.subTaskId)?)?")


def ask(ref: TaskRef) -> Request:
    """Ask about the status of a task and of all its subtasks."""
    return Request("GET", f"/task/status/{segment('task_id', ref.task_id)}", repeatable=True)


def read(reply: Reply, words: Vocabulary = STATUSES) -> Snapshot[TaskStatus]:
    """Read a reply about a task.

    The progress is the share of subtasks that have ended. A success is partial if a subtask has failed.

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
        return evolve(seen, reason=reason(reply, data))
    return seen


def task_status(envelope: Any) -> TaskStatus:
    """Return the status of a task in any state. A side field that does not fit is left out.

    Raises:
        BadReply: The data is not an object, or a subtask in it has no usable id.
    """
    status, misfits = fit(at(envelope, "data"), TaskStatus, where="$.data")
    for path in filter(_LOST.fullmatch, misfits):
        raise BadReply(f"the answer is malformed at {path}: a subtask with a usable id is expected")
    return status


def is_partial(word: str, failed_items: int) -> bool:
    """Return whether a task that succeeded lacks answers, by its status word or its count of failures."""
    return failed_items > 0 or word.strip().casefold() == "partial_completed"


def progress(data: Mapping[str, Any]) -> float | None:
    """Return the share of subtasks that have ended, or None if the counters are unusable."""
    completed, failed = number(data.get("completedItems")), number(data.get("failedItems"))
    return None if completed is None or failed is None else share(completed + failed, data.get("totalItems"))


def ask_to_stop(ref: TaskRef) -> Request:
    """Ask to stop a task."""
    return Request("PUT", f"/task/{segment('task_id', ref.task_id)}/stop", repeatable=True)


def same_job(ref: TaskRef, reply: Reply) -> bool:
    """Return whether a reply is about the task with the reference *ref*."""
    return echoes(reply.json, ref.task_id, "data", "taskId")


predicts = predictor_of("molizhishu.tasks")

ENDPOINT: Endpoint[TaskRef, TaskStatus] = Endpoint(
    "molizhishu.tasks", ask=ask, read=read, classify=classify, cancel=ask_to_stop, same_job=same_job
)


@frozen
class Tasks:
    """Submits tasks, and returns their jobs (`molizhishu.tasks`)."""

    transport: Transport = field(repr=False)
    endpoint: Endpoint[TaskRef, TaskStatus] = field(default=ENDPOINT, repr=False)

    def job(self, *, task_id: str | int, submitted_at: Time | None = None) -> Job[TaskStatus]:
        """Return a task that was submitted earlier.

        It succeeds if there is at least one answer. With the word "partial_completed" some subtasks have failed, and
        `failed_items` is their number. `cancel()` stops the subtasks that no platform has yet; the others are finished
        and charged for.

        Args:
            task_id: The id of the task.
            submitted_at: The time of its submit, if it is known; see `Job.with_submitted_at`.

        Raises:
            ValueError: The id is unusable in a path, or the time is in the future.
        """
        return self.endpoint.job(self.transport, TaskRef(task_id), submitted_at=submitted_at)

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
        """Submit a task. Every platform is asked every question.

        A task with the same idempotency key is charged once, so the request is repeated at once after a fault of the
        network. To repeat a submit whose answer was lost, pass the same *consumer_task_id* again.

        Args:
            prompts: The questions, 1 to 50.
            platforms: The platforms, 1 to 50: `Platform` values, mappings of their fields, or names. A name stands for
                the mode "standard" without a screenshot.
            region_code: An administrative division such as "410000" to ask from. Mobile platforms do not support it.
            callback_url: An address to which the server reports the end as well.
            monitor_keywords: The brand to watch for.
            monitor_keyword_aliases: Other names of the brand, at most 50.
            competitors: Brands to compare with, at most 50.
            consumer_task_id: The idempotency key, 8 to 64 letters and digits. By default it is random.
            **extra: Further fields of the API, such as `callback_headers` or `callbackHeaders`. JSON.

        Returns:
            The job of the task. For a key that was used before, it is the earlier task.

        Raises:
            TransportError: The task was refused, or it is not known whether it was accepted.
            ValueError: An argument is missing, too long or unusable. Nothing was sent.
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
        return started(self.job(task_id=started_id(reply, "data", "taskId")), reply, predicts(body))
