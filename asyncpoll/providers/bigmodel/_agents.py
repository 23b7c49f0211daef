"""Runs of agents: a submit returns an id, and polls return the choices in the end.

Sources: the agents and async-result documents of the BigModel documentation, and its guide to homework correction. The
async-result document has `choices[].messages[]` with a list as `content`. The international API has `message`, the SDKs
have a single object there, and `content` may be one object or plain text. `as_documented` changes all of them into the
documented shape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import uuid4

from attrs import evolve, field, frozen
from attrs.validators import optional

from asyncpoll._checks import Time
from asyncpoll._endpoint import Endpoint, Job, started
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll._structure import at, echoes, fit, status_at
from asyncpoll.http import Reply, Request, Transport, identifier
from asyncpoll.http._auth import exchange
from asyncpoll.http._classify import complaint, fault
from asyncpoll.http._urls import as_text, is_identifier
from asyncpoll.providers._catalog import predictor_of
from asyncpoll.providers._client import CLIENT, started_id
from asyncpoll.providers.bigmodel._codes import CODES, classify, ends_job


@frozen
class Content:
    """One piece of a message: a link, a text or other JSON.

    Links may be signed, so they are left out of the repr. How long they are valid is not documented.

    Attributes:
        type: The kind: "file_url", "image_url", "video_url", "text", "object", or something newer.
        file_url: A link to a file.
        tag_cn: A description of the file in Chinese.
        tag_en: A description of the file in English.
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
        role: The author, "assistant".
        content: The pieces of the message.
    """

    role: str = ""
    content: tuple[Content, ...] = ()


@frozen
class Choice:
    """One answer of an agent.

    Attributes:
        messages: The messages of the answer.
        index: The number of the choice.
        finish_reason: Why the agent stopped there.
    """

    messages: tuple[Message, ...] = ()
    index: int | None = None
    finish_reason: str | None = None


@frozen
class Usage:
    """The cost of a run.

    Attributes:
        total_tokens: The number of all tokens.
        prompt_tokens: The number of tokens of the question.
        completion_tokens: The number of tokens of the answer.
        total_calls: The number of calls, for an agent that is charged by calls.
    """

    total_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_calls: int | None = None


@frozen
class AgentResult:
    """The result of a run of an agent.

    Attributes:
        agent_id: The agent.
        async_id: The id of the run.
        status: The status word.
        choices: The answers of the agent, of which there may be none.
        usage: The cost of the run, or None if the API does not report it.
        conversation_id: The conversation of the run.
        request_id: The id of the request that started the run.
    """

    agent_id: str = ""
    async_id: str = ""
    status: str = ""
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    conversation_id: str | None = None
    request_id: str | None = None


def as_documented(payload: dict[str, Any]) -> dict[str, Any]:
    """Return *payload* with its choices in the documented shape. A value of an unknown shape is left as it is."""
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


def _json_copy(extra: Mapping[str, Any]) -> dict[str, Any]:
    try:
        text = json.dumps(dict(extra), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"the fields for an agent must be JSON: {type(problem).__name__}") from None
    copy: dict[str, Any] = json.loads(text)
    return copy


@frozen(weakref_slot=False)
class AgentRef:
    """A run of an agent.

    Attributes:
        async_id: The id of the run, or None for an agent that is polled with *extra* alone, such as
            `intelligent_education_correction_polling` (see the guide to homework correction).
        agent_id: The agent.
        extra: Further fields of the body of each poll, such as `custom_variables` or `conversation_id`.
    """

    async_id: str | None = field(converter=as_text, validator=optional(is_identifier))
    agent_id: str = field(converter=as_text, validator=is_identifier)
    extra: Mapping[str, Any] = field(factory=dict, converter=_json_copy, hash=False)

    def __attrs_post_init__(self) -> None:
        if self.async_id is None and not self.extra:
            raise ValueError("async_id must be given, or other fields that name the run, such as custom_variables")


STATUSES = Vocabulary("bigmodel.agents", {"pending": State.PENDING, "success": State.SUCCESS, "failed": State.FAILED})


def _plain(ref: AgentRef) -> dict[str, Any]:
    named = {} if ref.async_id is None else {"async_id": ref.async_id}
    return {**named, "agent_id": ref.agent_id, **ref.extra}


def ask(ref: AgentRef) -> Request:
    """Ask about a run. This POST only reads, so it can be repeated."""
    return Request("POST", "/v1/agents/async-result", json=_plain(ref), repeatable=True)


def read(reply: Reply, words: Vocabulary = STATUSES) -> Snapshot[AgentResult]:
    """Read a reply about a run.

    The reason and code of a failure are in its `error` object. Choices without a status word are a success. A run with
    an `error` about the account or the content has failed, even if the status word does not say so yet.

    Args:
        reply: The reply.
        words: The status words.
    """
    payload = reply.json
    state, word = _status(payload, words)
    if not state.is_terminal and ends_job(reply):
        state = State.FAILED
    if state is State.SUCCESS:
        value, misfits = fit(as_documented(payload), AgentResult)
        return Snapshot(state, word, value, retry_after=reply.retry_after, raw=payload, misfits=misfits)
    code, message = complaint(reply) if state.is_terminal else (None, "")
    return Snapshot(state, word, None, message or None, code, retry_after=reply.retry_after, raw=payload)


def _status(payload: dict[str, Any], words: Vocabulary) -> tuple[State, str]:
    if payload.get("status") is None and payload.get("choices"):
        return State.SUCCESS, ""
    return status_at(payload, words, "status")


def _same_job(ref: AgentRef, reply: Reply) -> bool:
    return ref.async_id is None or echoes(reply.json, ref.async_id, "async_id")


predicts = predictor_of("bigmodel.agents")


@lru_cache(maxsize=1024)
def _predicted(agent_id: str) -> str | None:
    return predicts({"agent_id": agent_id})


ENDPOINT: Endpoint[AgentRef, AgentResult] = Endpoint(
    "bigmodel.agents",
    ask=ask,
    read=read,
    classify=classify,
    predicts=lambda ref: predicts(_plain(ref)) if ref.extra else _predicted(ref.agent_id),
    same_job=_same_job,
    plain=_plain,
)


def ask_to_start(agent_id: str, messages: Sequence[Any], extra: Mapping[str, Any]) -> Request:
    """Ask for a run. The API has no idempotency key, so this must not be repeated."""
    if not isinstance(messages, list | tuple):
        raise ValueError(f"messages must be a list of messages, not {type(messages).__name__}")  # noqa: TRY004  as all bad arguments
    body = {"agent_id": identifier("agent_id", agent_id), "messages": messages, **extra}
    return Request("POST", "/v1/agents", json=_json_copy(body))


def read_started(
    reply: Reply, read: Callable[[Reply], Snapshot[AgentResult]] = read
) -> tuple[str, Snapshot[AgentResult]]:
    """Read the id and the state in the answer to a submit.

    An agent may answer at once, then even without a status word or an id. Such a run gets a random id, since it is not
    polled.

    Raises:
        TransportError: The run was refused.
        BadReply: The run goes on, but the answer has no id to poll it by.
    """
    classify(reply)
    with_status = evolve(reply, json={"status": "success", **reply.json}) if "choices" in reply.json else reply
    snapshot = evolve(read(with_status), raw=reply.json)
    if at(reply.json, "async_id") or not snapshot.state.is_terminal:
        return started_id(reply, "async_id", check=identifier), snapshot
    if snapshot.state is State.SUCCESS:
        return uuid4().hex, snapshot
    kind = CODES.kind(snapshot.code, snapshot.reason or "") or "rejected"
    raise fault(kind, snapshot.reason or "", reply=reply, code=snapshot.code)


@frozen
class Agents:
    """Starts runs of agents, and returns their jobs (`bigmodel.agents`)."""

    transport: Transport = field(repr=False)
    endpoint: Endpoint[AgentRef, AgentResult] = field(default=ENDPOINT, repr=False)

    def job(
        self,
        /,
        *,
        agent_id: str | int,
        async_id: str | int | None = None,
        submitted_at: Time | None = None,
        **extra: Any,
    ) -> Job[AgentResult]:
        """Return a run that was started earlier.

        Args:
            agent_id: The agent.
            async_id: The id of the run. An agent such as `intelligent_education_correction_polling` is polled without
                one, with `custom_variables`.
            submitted_at: The time of its start, if it is known; see `Job.with_submitted_at`.
            **extra: Further fields of each poll that some agents need: `custom_variables`, `conversation_id`. JSON.

        Raises:
            ValueError: An id is empty or otherwise unusable, nothing names the run, a field is not JSON, or the
                time is in the future.
        """
        if CLIENT in extra:
            raise ValueError(f"a reference cannot have the field {CLIENT!r}, which names a client; leave it out")
        return self.endpoint.job(self.transport, AgentRef(async_id, agent_id, extra), submitted_at=submitted_at)

    async def start(self, /, *, agent_id: str, messages: Sequence[Any], **extra: Any) -> Job[AgentResult]:
        """Start a run. The request is sent once and never repeated: if the answer is lost, the run may exist or not.

        Args:
            agent_id: The agent.
            messages: The input, as objects `{"role": ..., "content": ...}`.
            **extra: Further fields such as `custom_variables`, `request_id`, `user_id`. JSON.

        Returns:
            The job. If the agent has answered at once, its first poll returns that answer without a request.

        Raises:
            TransportError: The run was refused, or it is not known whether it was started.
            ValueError: The id is unusable, or a field is not JSON. Nothing was sent.
        """
        reply = await exchange(self.transport, ask_to_start(agent_id, messages, extra), classify)
        async_id, snapshot = read_started(reply, self.endpoint.read)
        submitted = snapshot if snapshot.state.is_terminal else None
        job = Job(self.endpoint, self.transport, AgentRef(async_id, agent_id), submitted=submitted)
        return started(job, reply, predicts({"agent_id": agent_id, **extra}))
