"""Endpoints and jobs as a type checker sees them: read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_type

from attrs import frozen

from asyncpoll import Endpoint, Group, Job, Pace, Poll, Snapshot, Start, wait_until_terminal
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport

memory = MemoryTransport(lambda request: Reply(200, json=request.query))


@frozen
class Ref:
    """What names a job."""

    number: int


def ask(ref: Ref) -> Request:
    """Ask about a job."""
    return Request("GET", f"/jobs/{ref.number}", repeatable=True)


def read(reply: Reply) -> Snapshot[str]:
    """Read an answer."""
    return Snapshot(reply.json["status"], value=reply.json.get("text"))


def ask_together(refs: Sequence[Ref]) -> Request:
    """Ask about several jobs."""
    return Request("GET", "/jobs", query={"numbers": ",".join(str(ref.number) for ref in refs)})


def read_together(reply: Reply, refs: Sequence[Ref]) -> Mapping[Ref, Snapshot[str]]:
    """Read an answer about several jobs."""
    return {ref: read(reply) for ref in refs}


def ask_to_start(text: str) -> Request:
    """Ask for a job."""
    return Request("POST", "/jobs", json={"text": text})


def read_started(reply: Reply, arguments: Mapping[str, Any]) -> Ref:
    """Read the answer to a submit."""
    return Ref(reply.json["id"] if arguments else 0)


def ask_then(ref: Ref, snapshot: Snapshot[str]) -> Request | None:
    """Ask for the text of a job that has succeeded."""
    return None if snapshot.value else Request("GET", f"/jobs/{ref.number}/text")


def read_then(snapshot: Snapshot[str], reply: Reply) -> Snapshot[str]:
    """Read the text."""
    return Snapshot(snapshot.state, value=reply.json["text"])


def about(ref: Ref, reply: Reply) -> Reply:
    """Return the part about one job."""
    return Reply(reply.status, reply.json[ref.number])


def ask_again(ref: Ref, poll: Poll) -> Request:
    """Ask about a job once more."""
    assert_type((poll.last, poll.seconds_left), tuple[Reply | None, float | None])
    return Request("GET", f"/jobs/{ref.number}", attempt=poll.seconds_left)


group = Group(key=lambda _: "all", ask=ask_together, read=read_together, size=50)
endpoint = Endpoint(
    "vendor.jobs",
    ask=ask,
    read=read,
    start=Start(ask_to_start, read_started, snapshot=read, key="token"),
    then=ask_then,
    read_then=read_then,
    about=about,
    group=group,
    again=ask_again,
    conditional=False,
    pace=Pace(at_least=5, first=1.5, not_found_grace=10, stable_for=2, per_second=20),
    cancel=ask,
    predicts=lambda ref: ref.number,
    restore=lambda data: Ref(data["number"]),
    definition=None,
)
assert_type(endpoint, Endpoint[Ref, str])
job = endpoint.job(memory, Ref(1))
assert_type(job, Job[str])
assert_type((job.key, job.can_cancel, job.to_json()), tuple[str, bool, str])
endpoint.job(memory, "1")  # type: ignore[arg-type]  # not its kind of reference
Endpoint("vendor.jobs", ask, read)  # type: ignore[call-arg]  # functions are named


async def using_a_job() -> None:
    """Wait for a job in every way."""
    assert_type(await endpoint.start(memory, text="hello"), Job[str])
    assert_type(endpoint.job_from_json(memory, job.to_json()), Job[str])
    assert_type(await job.fetch(), Snapshot[str])
    assert_type(await job.wait(timeout=60, max_polls=3), Snapshot[str])
    assert_type(await job.result(timeout=60.0), str)
    assert_type(await wait_until_terminal(job, timeout=None), Snapshot[str])
    async for snapshot in job.watch(changes_only=True, hints="ignore"):
        assert_type(snapshot, Snapshot[str])
    await job.cancel()
    await job.result()  # type: ignore[call-arg]  # the limit is said
    await job.wait(timeout=60, retries=3)  # type: ignore[call-arg]  # no such option
