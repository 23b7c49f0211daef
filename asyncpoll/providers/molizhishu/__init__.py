"""Molizhishu (MLGEO): what AI platforms answer, and whom they mention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from asyncpoll.http._auth import Key
from asyncpoll.http._settings import TransportSettings
from asyncpoll.providers.adapt import Words
from asyncpoll.providers.client import NO_WORDS, Client
from asyncpoll.providers.molizhishu import subtasks, task_results, tasks
from asyncpoll.providers.molizhishu.order import Platform
from asyncpoll.providers.molizhishu.subtask_result import (
    CategoryRanking,
    KeywordEvaluation,
    Ranking,
    ReasoningProcess,
    Source,
    Subtask,
)
from asyncpoll.providers.molizhishu.subtasks import SubtaskRef, Subtasks
from asyncpoll.providers.molizhishu.task_results import TaskResult, TaskResults
from asyncpoll.providers.molizhishu.task_status import Competitor, SubtaskStatus, TaskStatus
from asyncpoll.providers.molizhishu.tasks import TaskRef, Tasks

if TYPE_CHECKING:
    from asyncpoll.http._message import Transport

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
    """A client of Molizhishu, an async context manager.

    Args:
        key: The access token: text, or a function, plain or async, that returns it before each request. A token can
            expire, and the API does not have a call to renew it.
        base_url: The address of the API.
        transport: A transport to send over instead; it is not closed with the client.
        name: A name for the account, which becomes a part of the keys of its jobs.
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
        self.tasks = Tasks(self.transport, adapted(tasks.ENDPOINT, tasks.STATUSES))
        self.subtasks = Subtasks(self.transport, adapted(subtasks.ENDPOINT, subtasks.STATUSES))
        self.task_results = TaskResults(self.transport, adapted(task_results.ENDPOINT, task_results.STATUSES))
