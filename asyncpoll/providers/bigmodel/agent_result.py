"""What an agent has made, and the shapes that it comes in.

The async-result document has `choices[].messages[]` with a list as `content`. The sister site writes `message`, the
SDKs know a single object, and `content` may be one object or plain text. `as_documented` brings all of them into the
documented shape, so that the classes have just that.
"""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from asyncpoll.codec import at


@frozen
class Content:
    """One piece of what an agent made.

    Links may be signed, so they are left out of the repr; how long they stay valid is not documented.

    Attributes:
        type: What it is: "file_url", "image_url", "video_url", "text", "object", or something newer.
        file_url: A link to a file.
        tag_cn: What the file is, in Chinese.
        tag_en: What the file is, in English.
        image_url: A link to an image.
        video_url: A link to a video.
        text: A text.
        object: Any other JSON.
    """

    type: str = ""
    file_url: str | None = field(default=None, repr=False)
    tag_cn: str | None = None
    tag_en: str | None = None
    image_url: str | None = field(default=None, repr=False)
    video_url: str | None = field(default=None, repr=False)
    text: str | None = None
    object: Any = None


@frozen
class Message:
    """One message of an agent.

    Attributes:
        role: Who speaks, "assistant".
        content: The pieces of it.
    """

    role: str = ""
    content: tuple[Content, ...] = ()


@frozen
class Choice:
    """One answer of an agent.

    Attributes:
        messages: The messages that it consists of.
        index: Its place among the choices.
        finish_reason: Why it ends where it does.
    """

    messages: tuple[Message, ...] = ()
    index: int | None = None
    finish_reason: str | None = None


@frozen
class Usage:
    """What a run has cost.

    Attributes:
        total_tokens: All tokens.
        prompt_tokens: Those of the question.
        completion_tokens: Those of the answer.
        total_calls: Calls, where an agent is charged by these.
    """

    total_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_calls: int | None = None


@frozen
class AgentResult:
    """What a run of an agent has led to.

    Attributes:
        agent_id: The agent.
        async_id: The id of the run.
        status: The status word.
        choices: What the agent made; empty when it made nothing.
        usage: What it has cost, where that is told.
        conversation_id: The conversation that it belongs to.
        request_id: The id of the request that started it.
    """

    agent_id: str = ""
    async_id: str = ""
    status: str = ""
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    conversation_id: str | None = None
    request_id: str | None = None


def as_documented(payload: dict[str, Any]) -> dict[str, Any]:
    """Return *payload* with its choices in the documented shape; what fits no known shape is left as it is."""
    return {**payload, "choices": [_choice(one) for one in _listed(payload.get("choices"))]}


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    messages = choice.get("messages") or choice.get("message")
    return {**choice, "messages": [_message(one) for one in _listed(messages)]}


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    return {**message, "content": [_content(one) for one in _listed(message.get("content"))]}


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return {"type": "text", "text": content}
    if not isinstance(content, dict):
        return content
    return {name: at(one, "url") if _is_nested_link(name, one) else one for name, one in content.items()}


def _is_nested_link(name: str, value: Any) -> bool:
    return name.endswith("_url") and isinstance(value, dict)  # {"image_url": {"url": ...}}, as in chat messages


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value in (None, "") else [value]
