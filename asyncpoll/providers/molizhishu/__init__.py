"""Molizhishu (MLGEO): questions to AI platforms, and the brands that the answers mention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

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
