"""The counters of a hub."""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import define
from hub_kit import SUCCESS, Batch, in_hub, leave, play, waits_for

from asyncpoll import Endpoint, Hub, Rejected, Snapshot, State, Throttled, TransportError
from asyncpoll.http._message import Reply, Request
from asyncpoll.testing import MemoryTransport, Script, run_virtual
from asyncpoll.waiting._emission import Counters

ENDPOINT: Endpoint[str, Any] = Endpoint(
    "v.jobs", ask=lambda ref: Request("GET", f"/jobs/{ref}"), read=lambda _: Snapshot(State.SUCCESS)
)


@define
class Uncounted:
    """A transport that does not count its requests."""

    requests: str = "many"

    async def send(self, request: Request, /) -> Reply:
        """Answer nothing."""
        return Reply(200, {})


class Slow(Uncounted):
    """A transport that takes long."""

    async def send(self, request: Request, /) -> Reply:
        """Answer after a minute."""
        await asyncio.sleep(60.0)
        return Reply(200, {})


def counters_of(*jobs: Any) -> Counters:
    """Return the counters of a hub that has waited for jobs."""

    async def work(hub: Hub) -> Counters:
        await hub.wait_all(jobs, timeout=60.0)
        return hub.counters

    return in_hub(work)


def test_waits_are_counted() -> None:
    """A wait is pending until it has ended, and succeeds when its job did; one that is left has no outcome."""

    async def work(hub: Hub) -> None:
        scripts = [play(SUCCESS), play(State.FAILED), play(Rejected("no")), play(State.PENDING), play(State.PENDING)]
        waits = waits_for(hub, scripts)
        await asyncio.sleep(1.0)
        assert (hub.counters.pending, hub.counters.ended) == (2, 3)
        await leave(waits[4:])
        assert (hub.counters.pending, hub.counters.ended, hub.counters.succeeded) == (1, 3, 1)
        await leave(waits)

    in_hub(work)


def test_polls_are_counted_by_endpoint() -> None:
    """By what they brought: the end, another state, nothing new, or a failure, by its kind."""
    steps: list[Any] = [State.PENDING, State.PENDING, State.PROCESSING, Throttled("slower"), OSError("cut"), SUCCESS]
    seen = iter(steps)

    def read(_: Reply) -> Snapshot[Any]:
        step = next(seen)
        if isinstance(step, Exception):
            raise step
        return Snapshot(step)

    endpoint: Endpoint[str, Any] = Endpoint("v.steps", ask=lambda ref: Request("GET", f"/{ref}"), read=read)
    counters = counters_of(endpoint.job(MemoryTransport(lambda _: Reply(200, {})), "1"), Script([SUCCESS]))
    named = counters.by_endpoint["v.steps"]
    assert (named.ended, named.changed, named.same, named.missed, named.throttled) == (1, 2, 1, 2, 1)
    assert named.misses == {"throttled": 1, "malformed": 1}
    assert named.pending == 0
    assert counters.by_endpoint[""].ended == 1
    assert "cut" in (counters.last_miss or "")


def test_polls_that_have_to_wait_are_overdue() -> None:
    """A limit holds them up; they are counted in all and by endpoint."""

    async def work(hub: Hub) -> None:
        assert hub.counters.overdue == 0
        waits = waits_for(hub, [ENDPOINT.job(Slow(), str(number)) for number in range(3)])
        await asyncio.sleep(1.0)
        assert (hub.counters.overdue, hub.counters.in_flight) == (2, 1)
        assert hub.counters.overdue_by_endpoint() == {"v.jobs": 2}
        assert hub.counters.in_flight_by_endpoint() == {"v.jobs": 1}
        await leave(waits)

    in_hub(work, concurrency=1)
    assert Counters().overdue == 0


def test_polls_are_counted_by_what_they_saw() -> None:
    """A failure is a miss, throttling one of a kind; an unknown word is not a miss."""
    steps: list[Any] = [State.PENDING, State.UNKNOWN, Throttled("slower"), TransportError("in trouble"), State.SUCCESS]
    counters = counters_of(Script(steps), Script([Rejected("no")]))
    assert (counters.polls, counters.missed, counters.throttled, counters.unknown) == (6, 3, 1, 1)
    assert (counters.in_flight, counters.pending, counters.ended, counters.succeeded) == (0, 0, 2, 1)


def test_a_call_about_many_is_one_poll() -> None:
    """However many jobs it is about; those that it does not list are then asked about by themselves."""
    batch = Batch(lambda number: 2.0 + number)
    counters = counters_of(*batch.jobs(0, 1))
    assert (counters.polls, counters.missed) == (len(batch.asked), 0)
    assert counters.requests == 0  # a host does not count its requests


def test_a_poll_that_was_cut_is_not_a_miss() -> None:
    """It is counted as a poll that saw nothing, and is not in flight any more."""

    async def work(hub: Hub) -> Counters:
        waits = waits_for(hub, [play(SUCCESS, latency=10.0)])
        await asyncio.sleep(1.0)
        assert (hub.counters.polls, hub.counters.in_flight) == (0, 1)
        await leave(waits)
        return hub.counters

    counters = in_hub(work)
    assert (counters.polls, counters.missed, counters.in_flight) == (1, 0, 0)


def test_requests_are_those_that_the_transports_have_sent() -> None:
    """Each transport counts from when it was first seen, and once; those that do not count are left out."""
    used, fresh = (MemoryTransport(lambda _: Reply(200, {})) for _ in range(2))
    counters = Counters()
    assert counters.requests == 0
    run_virtual(ENDPOINT.job(used, "before").fetch())
    jobs = [ENDPOINT.job(used, "1"), ENDPOINT.job(used, "2"), ENDPOINT.job(fresh, "1"), ENDPOINT.job(Uncounted(), "1")]
    for job in jobs:
        counters.begin(job)
        run_virtual(job.fetch())
    assert counters.requests == 3


def test_counters_show_themselves() -> None:
    """Their repr is for people to look at, and holds plain integers."""
    assert repr(Counters(polls=3)).startswith("Counters(polls=3, missed=0, throttled=0, unknown=0, in_flight=0,")
    assert "transport" not in repr(Counters())
