"""Clients that say how long they want to wait, and are told where and when to ask again."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from web_kit import FRAMEWORKS, LONG, POLLS, site
from yarl import URL

from asyncpoll import Fixed, Learned, Snapshot, Throttled, web
from asyncpoll.simulator import Life
from asyncpoll.testing import Script

in_each = pytest.mark.parametrize("framework", FRAMEWORKS)


def answering(*steps: Any, **options: Any) -> dict[str, Any]:
    """Return the routes of a site that answers about a job with these steps."""
    job = Script(steps)

    async def handle(request: Any) -> Any:
        return await web.answer(request, web.state(request).hub, job, lambda value: value, **options)

    return {"/job": handle}


@in_each
async def test_a_result_that_comes_in_time_is_answered(framework: str) -> None:
    """As JSON, with what the app makes of it."""
    async with site(framework) as here:
        here.sim.script(POLLS, "job", Life(processing=0.3, outcome="succeeded"))
        status, headers, body = await here.get("/answer/job")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert body["state"] == "success"
        assert body["result"]


@in_each
async def test_a_job_that_takes_longer_is_answered_with_202(framework: str) -> None:
    """With where and when to ask again, for the client that wants to wait for a moment, or not at all."""
    async with site(framework, schedule=Fixed(3.4)) as here:
        here.sim.script(POLLS, "job", LONG)
        for preference in ("wait=1", "respond-async", "respond-async, wait=0"):
            status, headers, body = await here.get("/answer/job?a=b&c", Prefer=preference)
            assert (status, headers["Location"], headers["Retry-After"]) == (202, "/answer/job?a=b&c", "4")
            assert body["state"] == "processing"
        assert here.hub.counters.polls == 3  # two for the wait; the last one was told what the one before had just seen
        assert (await here.get("/answer/job", Prefer="respond-async"))[1]["Location"] == "/answer/job"


@in_each
async def test_an_address_is_given_back_in_its_own_spelling(framework: str) -> None:
    """What is written into a header is quoted, whatever it was."""
    async with site(framework, answering(Snapshot[int]("pending"))) as here:
        path = "/job/a%0D%0AX-Evil%3A%201%20%E4%B8%AD?x=%0D%0A&y=%20"
        async with here.session.get(URL(here.url + path, encoded=True), headers={"Prefer": "wait=0"}) as reply:
            assert (reply.status, reply.headers["Location"], reply.headers.get("X-Evil")) == (202, path, None)


async def test_an_error_is_answered() -> None:
    """As `response_for` says, of the job and of the hub."""
    async with site("aiohttp") as here:
        here.sim.script(POLLS, "job", Life(outcome="failed"))
        status, _, body = await here.get("/answer/job")
        assert (status, body["title"], body["state"]) == (502, "the job failed", "failed")
        await here.hub.drain()
        for preference in ("wait=1", "wait=0"):
            assert (await here.get("/answer/job", Prefer=preference))[0] == 503


async def test_a_miss_is_answered_for_who_does_not_wait() -> None:
    """There is nothing that could be told of the job."""
    async with site("starlette", answering(Throttled("slower", retry_after=9.0))) as here:
        status, headers, _ = await here.get("/job/x", Prefer="wait=0")
        assert (status, headers["Retry-After"]) == (503, "9")


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("", 25.0),
        ("wait=10", 10.0),
        ("Wait = 10", 10.0),
        ('wait="10"', 10.0),
        ("respond-async, wait=10", 10.0),
        ("respond-async;x, wait=10; y", 10.0),
        ("wait=3, wait=9", 3.0),
        ("wait=999999", 25.0),
        ("wait=0", 0.0),
        ("respond-async", 0.0),
        ("return=minimal; respond-async", 0.0),
        ("wait=-1", 25.0),
        ("wait=1.5", 25.0),
        ("wait=nan", 25.0),
        ("wait=", 25.0),
        ("await=3", 25.0),
        ("wait=\u0663", 25.0),
        ("wait=9999999", 25.0),
    ],
)
async def test_a_preference_is_read(prefer: str, seconds: float) -> None:
    """By RFC 7240; what cannot be understood is no preference."""
    scope = {"type": "http", "headers": [(b"prefer", prefer.encode("utf-8"))]}
    assert web.preferred_wait(Request(scope)) == seconds


async def test_when_to_ask_again_is_what_was_learned() -> None:
    """As the hub would poll next, but no later than the server suggests, and within a minute."""
    learned = Learned()
    for _ in range(20):
        learned.observe(29.0, 31.0, key=POLLS)

    async def start(request: Any) -> Any:
        state = web.state(request)
        job = state.bigmodel.file_parser.job(task_id="x")
        seen: dict[str, Any] = {
            "a": None,
            "b": Snapshot("processing", retry_after=44.0),
            "c": Snapshot("pending", retry_after=999.0),
        }
        last = seen[request.url.path[-1]]
        return web.accepted(request, state.hub, job, location="/jobs/x", last=last, waited=float(last is not None))

    async with site("starlette", {"/start": start}, schedule=learned) as here:
        pauses = {name: int((await here.get(f"/start/{name}"))[1]["Retry-After"]) for name in "abc"}
        status, headers, body = await here.get("/start/a")
        assert (status, headers["Location"], body) == (202, "/jobs/x", {"state": "pending"})
    assert pauses["b"] == 44
    assert pauses["c"] == 60


async def test_a_longest_wait_can_be_set() -> None:
    """Also where the client has no preference."""
    async with site("starlette", answering(Snapshot("pending"), longest=0.3)) as here:
        assert (await here.get("/job/x"))[0] == 202


@pytest.mark.parametrize(("longest", "error"), [(-1.0, ValueError), ("1", TypeError)])
def test_a_longest_wait_that_cannot_be_is_refused(longest: Any, error: type[Exception]) -> None:
    """By name."""
    with pytest.raises(error, match="longest"):
        web.preferred_wait(None, longest)
