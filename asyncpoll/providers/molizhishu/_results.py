"""The typed results of Molizhishu: subtasks with their answers, and the status of a task.

Sources: the Molizhishu API manual, get-subtask-result in its older and its newer version, and query-task-status.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import field, frozen

from asyncpoll._structure import camel_case, reading, timestamp
from asyncpoll.http._urls import is_segment


@frozen(field_transformer=camel_case)
class Source:
    """A source of an answer.

    Attributes:
        index: The number of the source in the answer.
        title: The title.
        url: The address.
        site: The name of the site.
        icon: The icon of the site: an address, or a path at the API's image host.
        summary: A summary of the source.
        publish_time: The date of publication as `yyyy-MM-dd`, or an empty text.
    """

    index: int | None = None
    title: str = ""
    url: str = ""
    site: str = ""
    icon: str | None = None
    summary: str | None = None
    publish_time: str | None = None


@frozen(field_transformer=camel_case)
class ReasoningProcess:
    """The reasoning of the platform.

    Attributes:
        summary: A summary of the reasoning.
        content: The whole reasoning.
    """

    summary: str = ""
    content: str = ""


@frozen(field_transformer=camel_case)
class Ranking:
    """A brand and its rank.

    Attributes:
        name: The brand.
        rank: The rank, from 1, or None if the brand is not mentioned.
    """

    name: str = ""
    rank: int | None = None


@frozen(field_transformer=camel_case)
class CategoryRanking:
    """The category in which the watched brand ranks best.

    Attributes:
        category_name: The category.
        rank: The rank of the watched brand in the category.
        all_rankings: The ranks of all brands in the category.
    """

    category_name: str = ""
    rank: int | None = None
    all_rankings: tuple[Ranking, ...] = ()


@frozen(field_transformer=camel_case)
class KeywordEvaluation:
    """A statement of the answer about the watched brand.

    Attributes:
        keyword: The statement in a few words.
        nature: "positive", "negative" or "neutral".
        context: The passage.
    """

    keyword: str = ""
    nature: str = ""
    context: str = ""


@frozen(field_transformer=camel_case)
class Subtask:
    """One question to one AI platform, and its answer.

    The API may complete a subtask without an answer. Then `answer_content` is empty or None.

    Attributes:
        sub_task_id: The id of the subtask.
        platform: The AI platform.
        mode: "standard", "reasoning", "search" or "reasoning_search".
        prompt: The question.
        status: The status word.
        time: When the subtask ended.
        page_screenshot: The address of a screenshot, valid for 180 days, or empty.
        answer_content: The answer in Markdown, which may contain HTML.
        reference_list: All sources.
        citation_list: The sources that the answer cites.
        reasoning_process: The reasoning of the platform.
        recommended_questions: Questions that the platform suggests.
        media_content: Media, as the API sends them.
        error_message: The reason of a failure.
        proxy_ip: The address from which the platform was asked.
        share_url: The platform's link to the conversation.
        search_keywords: The search terms of the platform.
        video_list: Videos, as the API sends them.
        goods: Goods, as the API sends them.
        amount: The cost, in yuan.
        mention_position: The position of the watched brand in the answer, or None if it is not mentioned.
        mention_context: The passage that mentions the watched brand.
        sentiment: "positive", "negative" or "neutral".
        competitor_rankings: The ranks of the competitors.
        all_rankings: The ranks of all brands.
        category_ranking: The category in which the watched brand ranks best.
        keyword_evaluations: Statements about the watched brand.
    """

    sub_task_id: str = ""
    platform: str = ""
    mode: str = ""
    prompt: str = ""
    status: str = ""
    time: datetime | None = field(default=None, converter=timestamp, metadata=reading(timestamp))
    page_screenshot: str | None = field(default=None, repr=False)
    answer_content: str | None = None
    reference_list: tuple[Source, ...] = ()
    citation_list: tuple[Source, ...] = ()
    reasoning_process: ReasoningProcess | None = None
    recommended_questions: tuple[str, ...] = ()
    media_content: tuple[Any, ...] = ()
    error_message: str | None = None
    proxy_ip: str | None = None
    share_url: str | None = field(default=None, repr=False)
    search_keywords: tuple[str, ...] = ()
    video_list: tuple[Any, ...] = ()
    goods: tuple[Any, ...] = ()
    amount: float | None = None
    mention_position: int | None = None
    mention_context: str | None = None
    sentiment: str | None = None
    competitor_rankings: tuple[Ranking, ...] = ()
    all_rankings: tuple[Ranking, ...] = ()
    category_ranking: CategoryRanking | None = None
    keyword_evaluations: tuple[KeywordEvaluation, ...] = ()


def as_documented(data: Any) -> Any:
    """Return the data of a subtask in the documented shape, in which the reasoning is an object, not a text."""
    if isinstance(data, dict) and isinstance(data.get("reasoningProcess"), str):
        return {**data, "reasoningProcess": {"content": data["reasoningProcess"]} if data["reasoningProcess"] else None}
    return data


@frozen(field_transformer=camel_case)
class Competitor:
    """A brand to compare with.

    Attributes:
        name: The name.
        aliases: Other names of the brand.
    """

    name: str = ""
    aliases: tuple[str, ...] = ()


@frozen(field_transformer=camel_case)
class SubtaskStatus:
    """The status of one question to one AI platform.

    Attributes:
        sub_task_id: The id of the subtask.
        status: The status word.
        prompt: The question.
        platform: The AI platform.
        mode: "standard", "reasoning", "search" or "reasoning_search".
        monitor_keywords: The watched brand.
        monitor_keyword_aliases: Other names of the watched brand.
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
    """The status of a task. A task has one subtask for each question and platform.

    Attributes:
        task_id: The id of the task.
        status: The status word.
        total_items: The number of subtasks.
        completed_items: The number of subtasks with an answer.
        failed_items: The number of failed subtasks. It is above 0 if the status is "partial_completed".
        message: The progress, in words.
        sub_task_list: The subtasks.
        created_at: When the task was submitted.
        completed_at: When the task ended.
        consumer_task_id: The idempotency key of the submit.
    """

    task_id: str = ""
    status: str = ""
    total_items: int = 0
    completed_items: int = 0
    failed_items: int = 0
    message: str = ""
    sub_task_list: tuple[SubtaskStatus, ...] = ()
    created_at: datetime | None = field(default=None, converter=timestamp, metadata=reading(timestamp))
    completed_at: datetime | None = field(default=None, converter=timestamp, metadata=reading(timestamp))
    consumer_task_id: str | None = None
