"""Conditional requests (RFC 9110, section 13): a poll that brings nothing new costs the server and the network little.

A wait keeps the `ETag` of the last good reply to a GET, and what that said. The next poll sends it as `If-None-Match`.
An answer 304 means that the same is still true. A request that has this header already is the caller's own business.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from asyncpoll._snapshot import Snapshot
from asyncpoll.http._message import Reply, Request, header_problem
from asyncpoll.waiting._decision import Decision
from asyncpoll.waiting._job_calls import PollMemory

NOT_MODIFIED = 304

_HEADER = "If-None-Match"
_LONGEST = 1000  # characters of an `ETag` that is kept


def conditional(request: Request, memory: PollMemory) -> Request:
    """Return *request* as a conditional one, or *request* itself if its answer is not known."""
    if memory.asked is None or evolve(request, attempt=None) != memory.asked:
        return request
    return evolve(request, headers={**request.headers, _HEADER: memory.etag})


def keep(wait: Decision, request: Request, reply: Reply, seen: Any) -> None:
    """Keep a good reply to *request*, as far as a later poll of *wait* can use it."""
    etag = reply.headers.get("etag")
    if etag is not None and request.method == "GET" and isinstance(seen, Snapshot) and _can_be_sent(etag, request):
        memory = wait.own_memory()
        memory.asked, memory.etag, memory.seen = evolve(request, attempt=None), etag, seen
    elif (known := wait.memory) is not None:
        known.asked = known.seen = None


def same_again(memory: PollMemory, reply: Reply) -> Snapshot[Any]:
    """Return what the last good reply said; *reply* says that it is still true."""
    seen: Any = memory.seen
    hint = reply.retry_after
    return seen if hint is None else evolve(seen, retry_after=hint)


def _can_be_sent(etag: str, request: Request) -> bool:
    given = any(name.lower() == _HEADER.lower() for name in request.headers)
    return not given and 0 < len(etag) <= _LONGEST and header_problem(_HEADER, etag, ()) is None
