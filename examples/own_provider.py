"""Teach asyncpoll an API that it does not know: submit, wait, typed result, cancel, and error codes.

The API renders scenes. `POST /renders` starts a job, `GET /renders/ID` tells its status, `DELETE /renders/ID` cancels
it. Errors are `{"error": {"code": ..., "message": ...}}`; code 4290 means that the quota of the month is used up.

Usage: python own_provider.py BASE_URL SCENE..., with the key in ACME_KEY.
"""

from __future__ import annotations

import asyncio
import os
import sys

from attrs import frozen

from asyncpoll import Endpoint, PollError, Snapshot, Start, State, Vocabulary, as_completed
from asyncpoll.http import (
    AiohttpTransport,
    Bearer,
    Codes,
    Paced,
    Reply,
    Request,
    Retrying,
    classify_status,
    segment,
    structure,
)

STATUSES = Vocabulary(
    "acme.renders",
    {
        "queued": State.PENDING,
        "rendering": State.PROCESSING,
        "done": State.SUCCESS,
        "error": State.FAILED,
        "cancelled": State.CANCELLED,
    },
)
CODES = Codes({"4040": "not_found", "4090": "already_ended", "4290": "quota"})


@frozen
class Image:
    """The result of a render. The fields have the names of the JSON."""

    url: str
    width: int
    height: int


def ask(render_id: str) -> Request:
    """Return the request that asks about a render."""
    return Request("GET", f"/renders/{segment('render_id', render_id)}", repeatable=True)


def cancel(render_id: str) -> Request:
    """Return the request that cancels a render."""
    return Request("DELETE", f"/renders/{segment('render_id', render_id)}", repeatable=True)


def classify(reply: Reply) -> None:
    """Raise an error for a reply that is not an answer, by the API's own codes."""
    classify_status(reply, CODES)


def read(reply: Reply) -> Snapshot[Image]:
    """Return what the reply says about the render."""
    status = reply.json["status"]
    state = STATUSES.read(status)
    image = structure(reply.json["image"], Image) if state is State.SUCCESS else None
    return Snapshot(state, status, image, reply.json.get("reason"), retry_after=reply.retry_after, raw=reply.json)


def ask_to_start(scene: str) -> Request:
    """Return the request that starts a render. It is sent once: a second one might start a second job."""
    return Request("POST", "/renders", json={"scene": scene})


RENDERS: Endpoint[str, Image] = Endpoint(
    "acme.renders",
    ask=ask,
    read=read,
    classify=classify,
    start=Start(ask=ask_to_start, read=lambda reply, _arguments: reply.json["id"]),
    cancel=cancel,
)


async def main(base_url: str, scenes: list[str]) -> None:
    """Render all scenes, and print each image as soon as it is there."""
    async with AiohttpTransport(base_url, auth=Bearer(os.environ["ACME_KEY"])) as connection:
        transport = Retrying(Paced(connection))
        jobs = [await RENDERS.start(transport, scene=scene) for scene in scenes]
        async with as_completed(jobs, timeout=600) as outcomes:
            async for outcome in outcomes:
                try:
                    print(outcome.job.ref, outcome.unwrap())
                except PollError as error:
                    print(outcome.job.ref, "failed:", error)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
