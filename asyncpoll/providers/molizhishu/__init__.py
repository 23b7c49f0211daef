"""Molizhishu (MLGEO): questions to AI platforms, and the brands that the answers mention."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Unpack

from asyncpoll._endpoint import Job
from asyncpoll._errors import BadReply
from asyncpoll.http import TransportSettings
from asyncpoll.http._auth import Key
from asyncpoll.providers._client import NO_WORDS, Client, Words
from asyncpoll.providers.molizhishu import _subtasks, _task_results, _tasks
from asyncpoll.providers.molizhishu._results import (
    CategoryRanking,
    Competitor,
    KeywordEvaluation,
    Ranking,
    ReasoningProcess,
    Source,
    Subtask,
    SubtaskStatus,
    TaskStatus,
)
from asyncpoll.providers.molizhishu._subtasks import SubtaskRef, Subtasks
from asyncpoll.providers.molizhishu._task_results import TaskResult, TaskResults
from asyncpoll.providers.molizhishu._tasks import Platform, TaskRef, Tasks

if TYPE_CHECKING:
    from asyncpoll.http import Transport

__all__ = [
    "CategoryRanking",
    "Competitor",
    "KeywordEvaluation",
    "Molizhishu",
    "Platform",
    "Ranking",
    "ReasoningProcess",
    "Source",
    "Subtask",
    "SubtaskRef",
    "SubtaskStatus",
    "Subtasks",
    "TaskRef",
    "TaskResult",
    "TaskResults",
    "TaskStatus",
    "Tasks",
]

_URL = "https://business-api.molizhishu.com/api/business/monitor"


class Molizhishu(Client):
    """A client of Molizhishu. It is an async context manager.

    Args:
        key: The access token: text, or a function, plain or async, that returns it before each request. A token can
            expire, and the API has no call to renew it.
        base_url: The address of the API.
        transport: A transport to use instead of a new one. It is not closed with the client.
        name: A name for the account, which is part of the keys of its jobs.
        words: Further status words by endpoint, such as `{"molizhishu.subtasks": {"finished": State.SUCCESS}}`.
        **settings: `proxy=`, `ssl=`, `insecure=` and the rest of `asyncpoll.http.TransportSettings`.

    Attributes:
        tasks: Batches of questions.
        subtasks: Single questions to single platforms.
        task_results: Batches of questions with all of their answers.
    """

    provider = "molizhishu"
    key_variable = "MOLIZHISHU_TOKEN"
    url_variable = "MOLIZHISHU_BASE_URL"
    default_url = _URL

    def __init__(
        self,
        key: Key,
        *,
        base_url: str = _URL,
        transport: Transport | None = None,
        name: str | None = None,
        words: Words = NO_WORDS,
        **settings: Unpack[TransportSettings],
    ) -> None:
        super().__init__(key, base_url=base_url, transport=transport, name=name, words=words, **settings)
        adapted = self._adaptation.apply
        self.tasks = Tasks(self.transport, adapted(_tasks.ENDPOINT, _tasks.STATUSES))
        self.subtasks = Subtasks(self.transport, adapted(_subtasks.ENDPOINT, _subtasks.STATUSES))
        self.task_results = TaskResults(self.transport, adapted(_task_results.ENDPOINT, _task_results.STATUSES))

    def jobs_in_callback(self, body: bytes) -> tuple[Job[Any], ...]:
        """Return the jobs that a callback is about: the task, the task with all of its answers, and its subtasks.

        A callback comes when a task has ended, maybe more than once, and is not signed. So poll the jobs, for example
        with `asyncpoll.web.webhook`; what the callback says of them is not used. Source: the Molizhishu API manual,
        callback-config.

        Args:
            body: The body of the callback. It has all answers in it, so it may have megabytes.

        Raises:
            ValueError: It is not a callback.
        """
        try:
            status = _tasks.task_status({"data": json.loads(body)})
        except (BadReply, RecursionError) as problem:
            raise ValueError(f"this is not a callback of Molizhishu: {problem}") from None
        if not status.task_id or not status.status:
            raise ValueError("this is not a callback of Molizhishu: taskId and status are expected")
        task = self.tasks.job(task_id=status.task_id)
        return (task, self.task_results.job(task_id=status.task_id), *self.subtasks.of(status))
