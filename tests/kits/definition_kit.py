"""Small definitions, answers to read with them, and what the reading comes to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from asyncpoll import Endpoint, PollError, Snapshot
from asyncpoll.definitions import Definition
from asyncpoll.http import Reply

SMALLEST: Mapping[str, Any] = {
    "name": "acme",
    "base": "https://api.acme.com/v1",
    "ask": "GET /jobs/{id}",
    "status": "status",
    "pending": "queued",
    "success": "done",
    "failed": "broken",
}


def endpoint(**keys: Any) -> Endpoint[Any, Any]:
    """Return the endpoint of the smallest definition with other and further keys; a None takes a key away."""
    merged = {name: value for name, value in {**SMALLEST, **keys}.items() if value is not None}
    [made] = Definition.of(merged).endpoints.values()
    return made


def answer(body: Any = None, http: int = 200, **headers: str) -> Reply:
    """Return a reply: bytes and text as they are, anything else as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes | str):
        content = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
        return Reply(http, None, named, content, "the body is not JSON")
    return Reply(http, body, named, b"" if body is None else json.dumps(body).encode())


def seen(made: Endpoint[Any, Any], reply: Reply) -> Snapshot[Any]:
    """Return what a poll sees in a reply."""
    made.classify(reply)
    return made.read(reply)


def told(made: Endpoint[Any, Any], reply: Reply) -> str:
    """Return the state that a reply means, or the kind of the error that it raises."""
    try:
        return seen(made, reply).state.value
    except PollError as error:
        return str(getattr(error, "kind", error))
