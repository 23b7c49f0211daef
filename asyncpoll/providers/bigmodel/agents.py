"""Agents: runs that answer at once with an id, and later with links to what they made.

Sources: the agents and async-result documents of the BigModel documentation, and its guide to homework correction.
Differences of its sister site, the SDKs and recorded answers are accepted, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any
from uuid import uuid4

from attrs import evolve, field, frozen
from attrs.validators import optional

from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.codec import at, echoes, fit, status_at
from asyncpoll.http._auth import exchange
from asyncpoll.http._classify import complaint, fault
from asyncpoll.http._ids import as_text, identifier, is_identifier
from asyncpoll.http._message import Reply, Request, Transport
from asyncpoll.providers.adapt import CLIENT
from asyncpoll.providers.bigmodel.agent_result import AgentResult, as_documented
from asyncpoll.providers.bigmodel.codes import CODES, classify, ends_job
from asyncpoll.providers.started import started_id


def _json_copy(extra: Mapping[str, Any]) -> dict[str, Any]:
    try:
        text = json.dumps(dict(extra), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"what is sent to an agent must be JSON: {type(problem).__name__}") from None
    copy: dict[str, Any] = json.loads(text)
    return copy


@frozen(weakref_slot=False)
class AgentRef:
    """A run of an agent.

    Attributes:
        async_id: The id that the run was given, or None for an agent that is asked with *extra* alone, such as
            `intelligent_education_correction_polling` (the guide to homework correction).
        agent_id: The agent that runs.
        extra: Further fields of the body that asks, such as `custom_variables` or `conversation_id`.
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
    """Ask about a run. This POST only reads, so it may be repeated."""
    return Request("POST", "/v1/agents/async-result", json=_plain(ref), repeatable=True)


def read(reply: Reply, words: Vocabulary = STATUSES) -> Snapshot[AgentResult]:
    """Read a reply about a run.

    The reason and code of a failure are in its `error` object. Choices without a status word are a success. A run whose
    `error` speaks of the account or the content has failed, even if the status word does not say so yet.

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


ENDPOINT: Endpoint[AgentRef, AgentResult] = Endpoint(
    "bigmodel.agents",
    ask=ask,
    read=read,
    classify=classify,
    predicts=attrgetter("agent_id"),
    same_job=_same_job,
    plain=_plain,
)


def ask_to_start(agent_id: str, messages: Sequence[Any], extra: Mapping[str, Any]) -> Request:
    """Ask for a run. It has no idempotency key, so it must not be repeated."""
    if not isinstance(messages, list | tuple):
        raise ValueError(f"messages must be a list of messages, not {type(messages).__name__}")  # noqa: TRY004  as all bad arguments
    body = {"agent_id": identifier("agent_id", agent_id), "messages": messages, **extra}
    return Request("POST", "/v1/agents", json=_json_copy(body))


def read_started(
    reply: Reply, read: Callable[[Reply], Snapshot[AgentResult]] = read
) -> tuple[str, Snapshot[AgentResult]]:
    """Read the id and the state in the answer to a submit.

    An agent may answer at once, then even without a status word, and without an id; such a run gets an id of our own,
    since nobody will be asked about it.

    Raises:
        TransportError: The run was refused.
        BadReply: The run goes on, but there is no id to ask about it by.
    """
    classify(reply)
    told = evolve(reply, json={"status": "success", **reply.json}) if "choices" in reply.json else reply
    snapshot = evolve(read(told), raw=reply.json)
    if at(reply.json, "async_id") or not snapshot.state.is_terminal:
        return started_id(reply, "async_id", check=identifier), snapshot
    if snapshot.state is State.SUCCESS:
        return uuid4().hex, snapshot
    kind = CODES.kind(snapshot.code, snapshot.reason or "") or "rejected"
    raise fault(kind, snapshot.reason or "", reply=reply, code=snapshot.code)


@frozen
class Agents:
    """The door to `bigmodel.agents`."""

    transport: Transport = field(repr=False)
    endpoint: Endpoint[AgentRef, AgentResult] = field(default=ENDPOINT, repr=False)

    def job(self, /, *, agent_id: str | int, async_id: str | int | None = None, **extra: Any) -> Job[AgentResult]:
        """Return a run that was started earlier.

        Args:
            agent_id: The agent that runs.
            async_id: The id that the run was given. An agent such as `intelligent_education_correction_polling` is
                asked without one, with `custom_variables`.
            **extra: Further fields to ask with, as some agents need: `custom_variables`, `conversation_id`. JSON.

        Raises:
            ValueError: An id is empty or otherwise unusable, nothing names the run, or something is not JSON.
        """
        if CLIENT in extra:
            raise ValueError(f"a reference cannot have the field {CLIENT!r}, which names a client; leave it out")
        return self.endpoint.job(self.transport, AgentRef(async_id, agent_id, extra))

    async def start(self, /, *, agent_id: str, messages: Sequence[Any], **extra: Any) -> Job[AgentResult]:
        """Start an agent. This is sent once and never repeated: when the answer is lost, the run may be there or not.

        Args:
            agent_id: The agent.
            messages: What to work on, as `{"role": ..., "content": ...}`.
            **extra: Further fields such as `custom_variables`, `request_id`, `user_id`. JSON.

        Returns:
            The run. When the agent has answered at once, its first poll gives that answer and nobody is asked.

        Raises:
            TransportError: The run was refused, or it is not known whether it was started.
            ValueError: The id is unusable, or something is no JSON; nothing was sent.
        """
        reply = await exchange(self.transport, ask_to_start(agent_id, messages, extra), classify)
        async_id, snapshot = read_started(reply, self.endpoint.read)
        submitted = snapshot if snapshot.state.is_terminal else None
        return Job(self.endpoint, self.transport, AgentRef(async_id, agent_id), submitted=submitted)
