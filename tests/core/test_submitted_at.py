"""The time of the submit of a job: who sets it, what it may be, and where it is kept."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve
from hub_kit import JOBS, jobs_of, transport_of

from asyncpoll import Endpoint, Job, Learned, Snapshot, Start
from asyncpoll.http import Reply, Request, Transport
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.testing import MemoryTransport, run_virtual
from asyncpoll.waiting._decision import Decision
from asyncpoll.waiting._policy import Policy

TRANSPORT = transport_of(lambda _: {"state": "success"})


def now() -> float:
    """Return the Unix time."""
    return datetime.now(UTC).timestamp()


def job() -> Job[str]:
    """Return a job of unknown age."""
    return jobs_of(TRANSPORT, ["a"])[0]


def starting(reply: Reply, **more: Any) -> Job[Any]:
    """Return the job that a submit with this reply started."""
    start: Start[str, None] = Start(ask=lambda: Request("POST", "/"), read=lambda reply, _: reply.json["id"], **more)
    endpoint: Endpoint[str, None] = Endpoint("v.jobs", ask=JOBS.ask, read=lambda _: Snapshot("success"), start=start)
    return run_virtual(endpoint.start(MemoryTransport(lambda _: reply)))


# what it may be


@pytest.mark.parametrize(
    "at",
    [
        1_700_000_000,
        1_700_000_000.0,
        "1700000000",
        datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        datetime(2023, 11, 15, 3, 13, 20, tzinfo=timezone(timedelta(hours=5))),
        "2023-11-14T22:13:20Z",
        " 2023-11-15T03:13:20+05:00 ",
    ],
)
def test_the_time_of_a_submit_is_unix_time_or_has_a_zone(at: Any) -> None:
    """As a number, a `datetime`, or text."""
    assert job().with_submitted_at(at).submitted_at == 1_700_000_000.0


@pytest.mark.parametrize(
    "at",
    [
        *(0, -1.0, math.nan, math.inf, 1.7e12, 10**400, "soon", "", "1e999", "2023-11-14T22:13:20"),
        datetime(2023, 11, 14, 22, 13, 20),  # noqa: DTZ001  that is what is wrong with it
        datetime(2999, 1, 1, tzinfo=UTC),
    ],
)
def test_nonsense_is_refused(at: Any) -> None:
    """So is a time in the future, milliseconds, and a time without a zone."""
    with pytest.raises(ValueError, match=r"Job.with_submitted_at\(\): at must be Unix time in seconds or ISO 8601"):
        job().with_submitted_at(at)


@pytest.mark.parametrize("at", [None, True, [1.0]])
def test_other_types_are_refused(at: Any) -> None:
    """The error names the argument."""
    with pytest.raises(TypeError, match="at must be Unix time in seconds"):
        job().with_submitted_at(at)


def test_a_clock_may_be_a_little_ahead() -> None:
    """A time some seconds from now is that of a submit just now."""
    assert job().with_submitted_at(now() + 30).submitted_at == pytest.approx(now(), abs=5)


# a job with it


def test_a_job_with_a_time_is_the_same_job() -> None:
    """It keeps its other marks, and they keep it."""
    marked = job().with_meta({"row": 1}).with_submitted_at(5.0).with_origin("span")
    assert marked == job()
    assert (marked.meta, marked.submitted_at, marked.origin) == ({"row": 1}, 5.0, "span")
    assert evolve(marked.with_meta({}), transport=TRANSPORT).submitted_at == 5.0
    assert (job().submitted_at, job().with_meta({}).submitted_at) == (None, None)


def test_its_text_has_the_time() -> None:
    """A job made from it again has the same age; a time that is not one is refused."""
    text = job().with_submitted_at(1_700_000_000.25).to_json()
    assert JOBS.job_from_json(TRANSPORT, text).submitted_at == 1_700_000_000.25
    assert "submitted_at" not in job().to_json()
    assert JOBS.job_from_json(TRANSPORT, job().to_json()).submitted_at is None
    late = {**json.loads(text), "submitted_at": now() + 1e6}
    assert JOBS.job_from_json(TRANSPORT, json.dumps(late)).submitted_at == pytest.approx(now(), abs=5)
    for wrong in (True, "soon", 0, [1]):
        with pytest.raises(ValueError, match="the job has an unusable submitted_at"):
            JOBS.job_from_json(TRANSPORT, json.dumps({**late, "submitted_at": wrong}))


def test_an_endpoint_makes_a_job_with_it() -> None:
    """Like every client."""
    assert JOBS.job(TRANSPORT, "a", submitted_at=5.0).submitted_at == 5.0


@pytest.mark.parametrize(
    ("name", "ref"),
    [
        ("bigmodel.file_parser", {"task_id": "t"}),
        ("bigmodel.agents", {"agent_id": "g", "async_id": "a"}),
        ("molizhishu.tasks", {"task_id": "t"}),
        ("molizhishu.task_results", {"task_id": "t"}),
        ("molizhishu.subtasks", {"task_id": "t", "sub_task_id": "s"}),
    ],
)
def test_every_client_makes_jobs_with_it(name: str, ref: dict[str, str]) -> None:
    """By the method of the endpoint, by name, and from text."""
    kind = BigModel if name.startswith("bigmodel.") else Molizhishu
    client = kind("key", base_url="http://127.0.0.1", transport=TRANSPORT)
    made = client.job(name, submitted_at="2023-11-14T22:13:20Z", **ref)
    assert made.submitted_at == 1_700_000_000.0
    assert client.job_from_json(made.to_json()).submitted_at == 1_700_000_000.0
    assert client.job(name, **ref).submitted_at is None


# submits


def test_a_job_that_was_started_has_been_submitted_now() -> None:
    """Whatever the reply says of it."""
    made = starting(Reply(200, {"id": "a"}))
    assert made.submitted_at == pytest.approx(now(), abs=5)
    ended = starting(Reply(200, {"id": "a"}), snapshot=lambda _: Snapshot("success"))
    assert ended.submitted is not None
    assert ended.submitted_at == pytest.approx(now(), abs=5)


@pytest.mark.parametrize("provider", ["bigmodel.agents", "bigmodel.file_parser", "molizhishu.tasks"])
def test_jobs_that_clients_start_have_it(provider: str) -> None:
    """They are polled when the reply to their submit says, at the earliest."""
    replies = {
        "bigmodel.agents": {"async_id": "a", "agent_id": "g", "status": "pending"},
        "bigmodel.file_parser": {"task_id": "t", "success": True, "message": "ok"},
        "molizhishu.tasks": {"code": 200, "message": "ok", "data": {"taskId": "t"}},
    }
    reply = Reply(200, replies[provider], headers={"retry-after": "20"})
    transport: Transport = MemoryTransport(lambda _: reply)

    async def start() -> Job[Any]:
        bigmodel = BigModel("key", base_url="http://127.0.0.1", transport=transport)
        if provider == "bigmodel.agents":
            return await bigmodel.agents.start(agent_id="g", messages=[{"role": "user", "content": "hi"}])
        if provider == "bigmodel.file_parser":
            return await bigmodel.file_parser.start(("a.pdf", b"%PDF"), tool_type="prime", file_type="PDF")
        molizhishu = Molizhishu("key", base_url="http://127.0.0.1", transport=transport)
        return await molizhishu.tasks.start(prompts=["why"], platforms=["doubao"])

    made = run_virtual(start())
    assert made.submitted_at == pytest.approx(now(), abs=5)
    assert Decision(Policy(), 100.0, subject=made).first_poll(100.0) == pytest.approx(120.0, abs=5)


def test_the_first_poll_comes_no_earlier_than_the_server_wants() -> None:
    """Unless the caller ignores its hints; a call to spare does not make it earlier."""
    made = starting(Reply(200, {"id": "a"}, headers={"retry-after": "20"}))
    for policy, due in ((Policy(), 20.0), (Policy(first_delay=50.0), 50.0), (Policy(hints="ignore"), 0.0)):
        wait = Decision(policy, 100.0, subject=made)
        assert wait.first_poll(100.0) == pytest.approx(100.0 + due, abs=5)
    wait = Decision(Policy(schedule=Learned()), 100.0, subject=made)
    assert wait.earliest_poll(120.0) == 120.0
    forever = starting(Reply(200, {"id": "a"}, headers={"retry-after": "99999999"}))
    assert Decision(Policy(), 0.0, subject=forever).first_poll(0.0) <= 86_400.0
