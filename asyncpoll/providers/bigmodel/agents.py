"""Agents: runs that answer at once with an id, and later with links to what they made.

Sources: the agents and async-result documents of the BigModel documentation. What its sister site, the SDKs and
recorded answers have differently is accepted, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any
from uuid import uuid4

from attrs import evolve, field, frozen

from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.codec import at, echoes, structure, text_at
from asyncpoll.http.classify import complaint, fault
from asyncpoll.http.message import Reply, Request, Transport
from asyncpoll.http.path import identifier, is_identifier
from asyncpoll.providers.bigmodel.agent_result import AgentResult, as_documented
from asyncpoll.providers.bigmodel.codes import CODES, classify
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
        async_id: The id that the run was given.
        agent_id: The agent that runs.
        extra: Further fields of the body that asks, such as `custom_variables` or `conversation_id`.
    """

    async_id: str = field(validator=is_identifier)
    agent_id: str = field(validator=is_identifier)
    extra: Mapping[str, Any] = field(factory=dict, converter=_json_copy, hash=False)


STATUSES = Vocabulary("bigmodel.agents", {"pending": State.PENDING, "success": State.SUCCESS, "failed": State.FAILED})


def _plain(ref: AgentRef) -> dict[str, Any]:
    return {"async_id": ref.async_id, "agent_id": ref.agent_id, **ref.extra}


def ask(ref: AgentRef) -> Request:
    """Ask about a run. This POST only reads, so it may be repeated."""
    return Request("POST", "/v1/agents/async-result", json=_plain(ref), repeatable=True)


def read(reply: Reply) -> Snapshot[AgentResult]:
    """Read what an answer says about a run; the reason and code of a failure are in its `error` object."""
    payload = reply.json
    word = text_at(payload, "status")
    state = STATUSES.read(word)
    snapshot: Snapshot[AgentResult] = Snapshot(state, word, retry_after=reply.retry_after, raw=payload)
    if state is State.SUCCESS:
        return evolve(snapshot, value=structure(as_documented(payload), AgentResult))
    if state is State.FAILED:
        code, message = complaint(reply)
        return evolve(snapshot, reason=message or None, code=code)
    return snapshot


def _same_job(ref: AgentRef, reply: Reply) -> bool:
    return echoes(reply.json, ref.async_id, "async_id")


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


def read_started(reply: Reply) -> tuple[str, Snapshot[AgentResult]]:
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

    def job(self, /, *, async_id: str, agent_id: str, **extra: Any) -> Job[AgentResult]:
        """Return a run that was started earlier, by whomever.

        Args:
            async_id: The id that the run was given.
            agent_id: The agent that runs.
            **extra: Further fields to ask with, as some agents need: `custom_variables`, `conversation_id`. JSON.

        Raises:
            ValueError: An id is empty or otherwise unusable, or something is no JSON.
        """
        return ENDPOINT.job(self.transport, AgentRef(async_id, agent_id, extra))

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
        reply = await self.transport.send(ask_to_start(agent_id, messages, extra))
        async_id, snapshot = read_started(reply)
        submitted = snapshot if snapshot.state.is_terminal else None
        return Job(ENDPOINT, self.transport, AgentRef(async_id, agent_id), submitted=submitted)
