"""How a batch of questions stands. Source: the Molizhishu API manual, query-task-status."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen

from asyncpoll.codec import camel_case, reading
from asyncpoll.http._ids import is_segment
from asyncpoll.providers.molizhishu.moment import moment, read_moment


@frozen(field_transformer=camel_case)
class Competitor:
    """A brand to compare with.

    Attributes:
        name: Its name.
        aliases: Other names of it.
    """

    name: str = ""
    aliases: tuple[str, ...] = ()


@frozen(field_transformer=camel_case)
class SubtaskStatus:
    """How one question to one platform stands.

    Attributes:
        sub_task_id: The id of the subtask.
        status: Its status word.
        prompt: The question.
        platform: The AI platform.
        mode: "standard", "reasoning", "search" or "reasoning_search".
        monitor_keywords: The brand that is watched.
        monitor_keyword_aliases: Other names of it.
        competitors: Brands to compare with.
    """

    sub_task_id: str = field(validator=is_segment)
    status: str = ""
    prompt: str = ""
    platform: str = ""
    mode: str = ""
    monitor_keywords: str | None = None
    monitor_keyword_aliases: tuple[str, ...] = ()
    competitors: tuple[Competitor, ...] = ()


@frozen(field_transformer=camel_case)
class TaskStatus:
    """How a task stands, which is a batch of subtasks: one for each question and platform.

    Attributes:
        task_id: The id of the task.
        status: Its status word.
        total_items: How many subtasks there are.
        completed_items: How many have an answer.
        failed_items: How many have failed; above 0 when the status is "partial_completed".
        message: The progress, in words.
        sub_task_list: The subtasks.
        created_at: When the task was submitted.
        completed_at: When it was done.
        consumer_task_id: The idempotency key that it was submitted with.
    """

    task_id: str = ""
    status: str = ""
    total_items: int = 0
    completed_items: int = 0
    failed_items: int = 0
    message: str = ""
    sub_task_list: tuple[SubtaskStatus, ...] = ()
    created_at: datetime | None = field(default=None, converter=moment, metadata=reading(read_moment))
    completed_at: datetime | None = field(default=None, converter=moment, metadata=reading(read_moment))
    consumer_task_id: str | None = None
