"""Server-sent events: many viewers of one job, who come back, stay long, and leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from web_kit import FRAMEWORKS, LONG, POLLS, Site, leave, site, until

from asyncpoll import Rejected, Snapshot, web
from asyncpoll.simulator import Life
from asyncpoll.testing import Script

in_each = pytest.mark.parametrize("framework", FRAMEWORKS)
QUICK = Life(pending=0.2, processing=0.5, outcome="succeeded")


def played(*steps: Any, **options: Any) -> dict[str, Any]:
    """Return the routes of a site that shows a job with these steps."""

    async def handle(request: Any) -> Any:
        return await web.sse(web.state(request).hub.watch(Script(steps)), request, **options)

    return {"/play": handle}


def data_of(events: list[dict[str, str]]) -> list[Any]:
    """Return the data of the events that have any."""
    return [json.loads(event["data"]) for event in events if "data" in event]


@in_each
async def test_viewers_see_a_job_through_to_its_end(framework: str) -> None:
    """All of them, for the polls of one."""
    async with site(framework) as here:
        here.sim.script(POLLS, "job", QUICK)
        for events in await asyncio.gather(*(here.watch("/events/job") for _ in range(5))):
            assert [event["id"].partition("-")[0] for event in events] == [str(n + 1) for n in range(len(events))]
            assert [event.get("event") for event in events] == [None] * (len(events) - 1) + ["end"]
            assert data_of(events)[-1] == {"state": "success", "progress": None}
        assert here.sim.counts[POLLS] <= 14
        assert here.hub.counters.pending == 0


async def test_a_viewer_that_comes_back_misses_nothing() -> None:
    """It is not sent again what it has; one that has seen the end is told that there is no more."""
    steps = (*[Snapshot("pending", "queued")] * 3, Snapshot("processing"), Snapshot("success", value=1))
    async with site("starlette", played(*steps)) as here:
        first = (await here.watch("/play/it"))[0]
        again = await here.watch("/play/it", last_id=first["id"])
        assert [event["id"].partition("-")[0] for event in again] == ["2", "3", "4", "5"]
        assert (await here.watch("/play/it", last_id="1-00000000"))[0]["data"] == first["data"]
        assert (await here.watch("/play/it", last_id="nonsense"))[0]["id"] == first["id"]
        async with here.session.get(here.url + "/play/it", headers={"Last-Event-ID": again[-1]["id"]}) as reply:
            assert (reply.status, await reply.read()) == (204, b"")


@in_each
async def test_a_silent_stream_is_kept_alive(framework: str) -> None:
    """By comments, which browsers do not show."""
    slow = Script([Snapshot("success", value=1)], latency=0.7)

    async def handle(request: Any) -> Any:
        return await web.sse(web.state(request).hub.watch(slow), request, keep_alive=0.2)

    async with site(framework, {"/play": handle}) as here:
        events = await here.watch("/play/it")
        assert events[0] == {"": "keep-alive"} or list(events[0].values()) == ["keep-alive"]
        assert len(events) > 1
        assert events[-1]["event"] == "end"


async def test_an_error_is_the_last_event() -> None:
    """A browser that comes back afterwards is told that there is no more."""
    async with site("litestar", played(Snapshot("pending"), Rejected("no: key-1234", kind="credential"))) as here:
        _, problem = await here.watch("/play/it")
        assert (problem["id"], problem["event"]) == ("2-end", "problem")
        assert json.loads(problem["data"])["status"] == 502
        assert "key-1234" not in problem["data"]


@in_each
async def test_a_drained_hub_sends_viewers_away_for_a_moment(framework: str) -> None:
    """They are told when to come back, and have no id that says that they have seen the end."""
    async with site(framework) as here:
        here.sim.script(POLLS, "job", LONG)
        viewer = asyncio.create_task(here.watch("/events/job"))
        await until(lambda: here.hub.counters.pending == 1)
        await here.hub.drain()
        for last in ((await viewer)[-1], *await here.watch("/events/job")):
            assert (last["event"], "id" in last) == ("draining", False)
            assert 1000 <= int(last["retry"]) <= 5000


@in_each
async def test_a_viewer_may_leave_before_anything_was_seen(framework: str) -> None:
    """Nothing is left of it."""

    async def handle(request: Any) -> Any:
        never = Script[int]([Snapshot("pending")], latency=60.0)
        return await web.sse(web.state(request).hub.watch(never, changes_only=True), request)

    async with site(framework, {"/play": handle}) as here:
        visit = here.visit("/play/it")
        await until(lambda: here.hub.counters.pending == 1)
        await leave(visit)
        await until(lambda: here.hub.counters.pending == 0)


async def test_a_viewer_may_be_shown_what_one_likes() -> None:
    """Such as the result."""
    async with site("starlette", played(Snapshot("success", value=7), render=lambda seen: [seen.value])) as here:
        assert data_of(await here.watch("/play/it")) == [[7]]


@in_each
async def test_a_client_that_is_gone_at_once_harms_nothing(framework: str) -> None:
    """It sends its request, and does not wait for the response."""
    async with site(framework) as here:
        here.sim.script(POLLS, "job", LONG)
        host, port = here.url.removeprefix("http://").split(":")
        for _ in range(5):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /events/job HTTP/1.1\r\nHost: x\r\n\r\n")
            await writer.drain()
            writer.transport.abort()
        events = await _first(here)
        assert b"data: " in events
        await until(lambda: here.hub.counters.pending == 0)


async def _first(here: Site) -> bytes:
    async with here.session.get(here.url + "/events/job") as reply:
        return await reply.content.readany()


@pytest.mark.parametrize(
    ("options", "error"),
    [({"keep_alive": 0}, ValueError), ({"keep_alive": "1"}, TypeError), ({"render": 1}, TypeError)],
    ids=repr,
)
async def test_options_that_cannot_be_are_refused(options: Any, error: type[Exception]) -> None:
    """By name, and before anything is sent."""
    refusals: list[Exception] = []

    async def handle(request: Any) -> Any:
        with pytest.raises(error, match=r"sse\(\): ") as refused:
            await web.sse(web.state(request).hub.watch(Script([Snapshot("success", value=1)])), request, **options)
        refusals.append(refused.value)
        return web.Response(200, {}, {}).to(request)

    async with site("starlette", {"/play": handle}) as here:
        assert (await here.get("/play/it"))[0] == 200
    assert len(refusals) == 1
