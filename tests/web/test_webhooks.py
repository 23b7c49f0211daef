"""Webhooks: they make the hub poll, and are believed in nothing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from starlette.requests import Request as StarletteRequest
from web_kit import FRAMEWORKS, LONG, POLLS, Site, leave, site, until, wait

from asyncpoll import Fixed, Hub, web
from asyncpoll.http import Reply, Request
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.simulator import Life
from asyncpoll.testing import MemoryTransport

in_each = pytest.mark.parametrize("framework", FRAMEWORKS)
TASK = "molizhishu.tasks"


def refuse(_request: Request) -> Reply:
    """Answer no request."""
    raise AssertionError


def key_in(body: bytes) -> str:
    """Return the key of the job that a made-up webhook is about."""
    return f'{POLLS}:{{"format":"text","task_id":"{json.loads(body)["id"]}"}}'


def told(job: str, **facts: Any) -> bytes:
    """Return the body of such a webhook."""
    return json.dumps({"id": job, **facts}).encode()


@asynccontextmanager
async def waiting(framework: str, **options: Any) -> AsyncGenerator[tuple[Site, Callable[[], int]]]:
    """Run a site where a client waits for the job "a", which is polled once an hour; count its polls."""

    async def hook(request: Any) -> Any:
        return await web.webhook(web.state(request).hub, key_in, **options)(request)

    async with site(framework, {"/hook": hook, "/wait": wait}, schedule=Fixed(3600.0)) as here:
        here.sim.script(POLLS, "a", LONG)
        visit = here.visit("/wait/a")
        await until(lambda: here.hub.counters.polls == 1)
        try:
            yield here, lambda: here.hub.counters.polls
        finally:
            await leave(visit)


@in_each
async def test_a_webhook_is_a_reason_to_poll(framework: str) -> None:
    """The job is asked about; what the webhook claims is not taken for true, and one that comes again does nothing."""
    async with waiting(framework) as (here, polls):
        assert await here.post("/hook/x", told("a", state="success")) == (204, b"")
        await until(lambda: polls() == 2)
        assert await here.post("/hook/x", told("a", state="success")) == (204, b"")
        assert await here.post("/hook/x", told("a", state="failed")) == (204, b"")
        await until(lambda: polls() == 3)
        assert await here.post("/hook/x", told("a", state="failed"), {"webhook-id": "another"}) == (204, b"")
        await until(lambda: polls() == 4)
        assert here.hub.counters.pending == 1


@in_each
async def test_a_job_that_is_not_awaited_is_not_polled(framework: str) -> None:
    """The sender does not learn which jobs are; later, when it is awaited, the same webhook counts."""
    async with waiting(framework) as (here, polls):
        assert await here.post("/hook/x", told("b")) == (204, b"")
        assert (polls(), here.hub.counters.in_flight) == (1, 0)
        visit = here.visit("/wait/b")
        await until(lambda: polls() == 2)
        assert await here.post("/hook/x", told("b")) == (204, b"")
        await until(lambda: polls() == 3)
        await leave(visit)


@in_each
async def test_garbage_is_refused(framework: str) -> None:
    """With 400, and nothing is polled."""
    async with waiting(framework) as (here, polls):
        for body in (b"", b"{", b"null", b"[]", b'{"id": 1', b"\xff\xfe\x00", b"[" * 60_000, b'"text"'):
            assert await here.post("/hook/x", body) == (400, b"")
        assert polls() == 1


@in_each
async def test_a_large_body_is_refused(framework: str) -> None:
    """However it is sent, and no more of it is read than need be."""

    async def bit_by_bit() -> AsyncGenerator[bytes, None]:
        for _ in range(160):
            yield b"x" * 65_536

    async with waiting(framework, limit=1000) as (here, polls):
        assert (await here.post("/hook/x", told("a", more="x" * 2000)))[0] == 413
        for body in (BytesIO(bytes(10 << 20)), bit_by_bit()):
            assert (await here.post("/hook/x", body))[0] == 413
        assert polls() == 1


@in_each
async def test_a_body_that_was_read_before_will_do(framework: str) -> None:
    """A middleware may have read it."""

    async def hook(request: Any) -> Any:
        await (request.read() if hasattr(request, "read") else request.body())
        return await web.webhook(web.state(request).hub, key_in)(request)

    async with site(framework, {"/hook": hook}) as here:
        assert (await here.post("/hook/x", told("a")))[0] == 204
        assert (await here.post("/hook/x", b""))[0] == 400


def signed(body: bytes, *, secret: bytes = b"secret", seconds: float = 0.0, unit: int = 1) -> dict[str, str]:
    """Return the headers of a webhook that was signed so many seconds from now."""
    time = str(int((datetime.now(UTC).timestamp() + seconds) * unit))
    digits = hmac.new(secret, f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Timestamp": time, "X-Signature": f"sha256={digits}"}


async def test_a_signature_is_checked() -> None:
    """A webhook without one, with a wrong one, or an old one, is refused with 401."""
    body = told("a")
    good = signed(body)
    bad = [
        {},
        {"X-Timestamp": good["X-Timestamp"]},
        {**good, "X-Signature": "sha256="},
        {**good, "X-Signature": good["X-Signature"][:-1]},
        {**good, "X-Timestamp": "0"},
        {**good, "X-Timestamp": "9" * 30},
        {**good, "X-Timestamp": "soon"},
        signed(body, secret=b"another"),
        signed(body, seconds=-400),
        signed(body, seconds=400),
        signed(told("b")),
    ]
    async with waiting("litestar", verify=web.hmac_signature("secret")) as (here, polls):
        assert [await here.post("/hook/x", body, headers) for headers in bad] == [(401, b"")] * len(bad)
        assert polls() == 1
        assert (await here.post("/hook/x", body, good))[0] == 204
        await until(lambda: polls() == 2)
        assert (await here.post("/hook/x", body, signed(body, unit=1000)))[0] == 204


async def test_signatures_of_other_senders_can_be_checked() -> None:
    """Such as those over the body alone, with or without a prefix."""
    body = b"{}"
    digest = hmac.new(b"s", body, hashlib.sha256).hexdigest()
    bare = web.hmac_signature(b"s", header="X-Hub-Signature-256", time_header=None)
    assert bare({"X-Hub-Signature-256": f"sha256={digest}"}, body)
    assert bare({"X-Hub-Signature-256": digest.upper()}, body)
    assert not bare({"X-Hub-Signature-256": "sha256=\udcff\xe9"}, body)


async def test_only_true_lets_a_webhook_pass() -> None:
    """Not a coroutine, say, which would be true of everything."""

    async def verify(*_: Any) -> bool:
        return False

    def fooled(*_: Any) -> Any:
        return [True]

    with pytest.raises(TypeError, match=r"webhook\(\): verify must be a plain function"):
        web.webhook(Hub(), key_in, verify=verify)  # type: ignore[arg-type]  # it must not be async
    async with waiting("starlette", verify=fooled) as (here, _):
        assert (await here.post("/hook/x", told("a")))[0] == 401


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: web.webhook(Hub(), "decode"), TypeError),  # type: ignore[arg-type]  # text
        (lambda: web.webhook(Hub(), key_in, limit=0), ValueError),
        (lambda: web.hmac_signature(""), ValueError),
        (lambda: web.hmac_signature(10), TypeError),  # type: ignore[arg-type]  # ten zeros, it would be
        (lambda: web.hmac_signature("s", window=0), ValueError),
        (lambda: web.hmac_signature("s", window="1"), TypeError),  # type: ignore[arg-type]  # text
    ],
)
def test_arguments_that_cannot_be_are_refused(make: Callable[[], Any], error: type[Exception]) -> None:
    """By name."""
    with pytest.raises(error, match=r"(webhook|hmac_signature)\(\): "):
        make()


async def test_the_memory_of_deliveries_is_bounded() -> None:
    """The oldest is forgotten, and is a reason to poll again."""
    asked: list[Request] = []

    def reply(request: Request) -> Reply:
        asked.append(request)
        return Reply(200, {"status": "processing", "task_id": "a"})

    client = BigModel("key-1234", transport=MemoryTransport(reply))
    async with Hub(schedule=Fixed(3600.0)) as hub:
        waiting = asyncio.create_task(hub.wait(client.file_parser.job(task_id="a"), timeout=None))
        await until(lambda: len(asked) == 1)
        for number, polls in [*((number, number + 2) for number in range(1001)), (1000, 1002), (0, 1003)]:
            request = _request(told("a", n=number))
            assert (await web.webhook(hub, key_in)(request)).status_code == 204
            for _ in range(9):
                await asyncio.sleep(0)
            assert len(asked) == polls
        await leave(waiting)


def _request(body: bytes) -> StarletteRequest:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    return StarletteRequest({"type": "http", "headers": []}, receive)


# Molizhishu


CALLBACK = {
    "taskId": "t1",
    "userId": 10001,
    "timestamp": 1712640000000,
    "status": "completed",
    "totalItems": 2,
    "completedItems": 1,
    "failedItems": 1,
    "subTaskList": [
        {"subTaskId": "s1", "platform": "deepseek", "mode": "search", "status": "completed", "answerContent": "…"},
        {"subTaskId": "s2", "platform": "kimi", "mode": "search", "status": "failed"},
    ],
}


@pytest.mark.parametrize("name", [None, "team-a"])
def test_a_callback_names_its_jobs(name: str | None) -> None:
    """With the keys that they have in this client."""
    client = Molizhishu("key-1234", transport=MemoryTransport(refuse), name=name)
    ref = {"task_id": "t1"}
    assert client.jobs_in_callback(json.dumps(CALLBACK).encode()) == (
        client.tasks.job(**ref),
        client.task_results.job(**ref),
        client.subtasks.job(**ref, sub_task_id="s1"),
        client.subtasks.job(**ref, sub_task_id="s2"),
    )
    bare = {"taskId": 7, "status": "failed"}
    assert [job.ref.task_id for job in client.jobs_in_callback(json.dumps(bare).encode())] == ["7", "7"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"taskId": "t1"}',
        b'{"status": "completed"}',
        b"[" * 100_000,
        b"\xff",
        b'{"status": "completed", "taskId": ""}',
        b'{"status": "completed", "taskId": ".."}',
        b'{"status": "completed", "taskId": null}',
        b'{"status": "completed", "taskId": {}}',
        b'{"status": "completed", "taskId": "t1", "subTaskList": [{"subTaskId": ".."}]}',
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_is_not_a_callback_is_refused(body: bytes) -> None:
    """As a ValueError, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"."):
        Molizhishu("key-1234", transport=MemoryTransport(refuse)).jobs_in_callback(body)


async def test_a_callback_ends_a_wait_early() -> None:
    """The task is asked about, and so are its subtasks."""

    async def hook(request: Any) -> Any:
        state = web.state(request)
        return await web.webhook(state.hub, state.molizhishu.jobs_in_callback, limit=1 << 20)(request)

    async def both(request: Any) -> Any:
        client, hub = web.state(request).molizhishu, web.state(request).hub
        jobs = [client.tasks.job(task_id="t1"), client.subtasks.job(task_id="t1", sub_task_id="s1")]
        await web.until_disconnect(request, hub.wait_all(jobs, timeout=99))

    async with site("litestar", {"/hook": hook, "/both": both}, schedule=Fixed(3600.0)) as here:
        here.sim.script(TASK, "t1", Life(processing=60.0, outcome="completed"))
        visit = here.visit("/both/x")
        await until(lambda: here.hub.counters.polls == 2)
        assert await here.post("/hook/x", json.dumps(CALLBACK)) == (204, b"")
        await until(lambda: here.hub.counters.polls >= 4)
        await leave(visit)
