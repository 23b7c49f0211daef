"""Molizhishu (MLGEO): what AI platforms answer, and whom they mention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncpoll.providers.client import Client
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
from asyncpoll.providers.molizhishu.task_status import Competitor, SubtaskStatus, TaskStatus
from asyncpoll.providers.molizhishu.tasks import TaskRef, Tasks

if TYPE_CHECKING:
    from asyncpoll.http.message import Transport

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
    "TaskStatus",
    "Tasks",
]

_URL = "https://business-api.molizhishu.com/api/business/monitor"


class Molizhishu(Client):
    """A client of Molizhishu, an async context manager.

    Args:
        token: The access token. It can expire; there is no call to renew it.
        base_url: Where the API is.
        transport: What to send over instead; it is not closed with the client.

    Attributes:
        tasks: Batches of questions.
        subtasks: Single questions to single platforms.
    """

    provider = "molizhishu"
    key_variable = "MOLIZHISHU_TOKEN"
    url_variable = "MOLIZHISHU_BASE_URL"
    default_url = _URL

    def __init__(self, token: str, *, base_url: str = _URL, transport: Transport | None = None) -> None:
        super().__init__(token, base_url=base_url, transport=transport)
        self.tasks = Tasks(self.transport)
        self.subtasks = Subtasks(self.transport)
