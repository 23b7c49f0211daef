"""What the tests of real conditions share: an API of one's own, servers, and answers in memory."""

from __future__ import annotations

from typing import Any

from asyncpoll import Endpoint, Hub, Snapshot, State, Vocabulary
from asyncpoll.http import Reply, Request, segment

KEY = "canary-0123456789"
STATUSES = Vocabulary("acme.renders", {"queued": State.PENDING, "active": State.PROCESSING, "done": State.SUCCESS})


def read(reply: Reply) -> Snapshot[str]:
    """Read a reply as the README does, and the progress, whatever it is."""
    word = reply.json["status"]
    return Snapshot(
        STATUSES.read(word),
        word,
        reply.json.get("url"),
        progress=reply.json.get("progress"),
        retry_after=reply.retry_after,
        raw=reply.json,
    )


def ask(render_id: str) -> Request:
    """Ask about a render."""
    return Request("GET", f"/renders/{segment('render_id', render_id)}", repeatable=True)


RENDERS: Endpoint[str, str] = Endpoint("acme.renders", ask=ask, read=read)


async def wait(job: Any, *, together: bool, **options: Any) -> Any:
    """Wait for a job or a fetch alone, or together with others in a hub."""
    if not together:
        return await job.wait(**options)
    async with Hub() as hub:
        return await hub.wait(job, **options)
