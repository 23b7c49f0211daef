"""Transports that answer from memory, in order."""

from __future__ import annotations

from typing import Any

from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport

ORIGIN = "https://api.example.org"


def answering(*answers: Any) -> MemoryTransport:
    """Return a transport that gives one answer after the other, and the last one for ever; errors are raised."""
    rest = list(answers)

    def answer(_request: Request) -> Reply:
        now = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(now, Exception):
            raise now
        return now if isinstance(now, Reply) else Reply(200, now, origin=ORIGIN)

    return MemoryTransport(answer)


def answering_once(*payloads: Any, status: int = 200) -> MemoryTransport:
    """Return a transport that gives each of these payloads once; no other request must come."""
    rest = list(payloads)
    return MemoryTransport(lambda _request: Reply(status, rest.pop(0)))
