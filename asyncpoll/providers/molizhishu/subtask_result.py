"""What an AI platform answered. Source: the Molizhishu API manual, get-subtask-result, its older and its newer text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import field, frozen

from asyncpoll.codec import camel_case, reading
from asyncpoll.providers.molizhishu.moment import moment, read_moment


@frozen(field_transformer=camel_case)
class Source:
    """A source that an answer refers to.

    Attributes:
        index: Its number in the answer.
        title: Its title.
        url: Its address.
        site: The site it is on.
        icon: The site's icon: an address, or a path at the API's image host.
        summary: What it says.
        publish_time: When it was published, as `yyyy-MM-dd`, or empty.
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
    """How the platform came to its answer.

    Attributes:
        summary: In short.
        content: In full.
    """

    summary: str = ""
    content: str = ""


@frozen(field_transformer=camel_case)
class Ranking:
    """A brand and its place.

    Attributes:
        name: The brand.
        rank: Its place, 1 being the first, or None when it is not mentioned.
    """

    name: str = ""
    rank: int | None = None


@frozen(field_transformer=camel_case)
class CategoryRanking:
    """The category in which the watched brand does best.

    Attributes:
        category_name: The category.
        rank: The place of the watched brand in it.
        all_rankings: The places of all brands in it.
    """

    category_name: str = ""
    rank: int | None = None
    all_rankings: tuple[Ranking, ...] = ()


@frozen(field_transformer=camel_case)
class KeywordEvaluation:
    """What the answer says of the watched brand.

    Attributes:
        keyword: The point it makes.
        nature: "positive", "negative" or "neutral".
        context: The passage.
    """

    keyword: str = ""
    nature: str = ""
    context: str = ""


@frozen(field_transformer=camel_case)
class Subtask:
    """One question to one AI platform, and its answer.

    A completed subtask without an answer has been seen; then `answer_content` is empty or None.

    Attributes:
        sub_task_id: The id of the subtask.
        platform: The AI platform.
        mode: "standard", "reasoning", "search" or "reasoning_search".
        prompt: The question.
        status: The status word.
        time: When it was done.
        page_screenshot: The address of a screenshot, valid for 180 days, or empty.
        answer_content: The answer, in Markdown, maybe mixed with HTML.
        reference_list: All sources.
        citation_list: The sources that the answer really cites.
        reasoning_process: How the platform came to it.
        recommended_questions: What it suggests to ask next.
        media_content: Media, as the API sends them.
        error_message: What went wrong.
        proxy_ip: The address that the platform was asked from.
        share_url: The platform's own link to the conversation.
        search_keywords: What the platform searched for.
        video_list: Videos, as the API sends them.
        goods: Goods, as the API sends them.
        amount: What it has cost, in yuan.
        mention_position: The place of the watched brand in the answer, or None when it is not mentioned.
        mention_context: The passage that mentions it.
        sentiment: "positive", "negative" or "neutral".
        competitor_rankings: The places of the competitors.
        all_rankings: The places of all brands.
        category_ranking: The category in which the watched brand does best.
        keyword_evaluations: What the answer says of the watched brand.
    """

    sub_task_id: str = ""
    platform: str = ""
    mode: str = ""
    prompt: str = ""
    status: str = ""
    time: datetime | None = field(default=None, converter=moment, metadata=reading(read_moment))
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
    """Return the data of a subtask in the documented shape: a reasoning that comes as plain text is its content."""
    if isinstance(data, dict) and isinstance(data.get("reasoningProcess"), str):
        return {**data, "reasoningProcess": {"content": data["reasoningProcess"]} if data["reasoningProcess"] else None}
    return data
