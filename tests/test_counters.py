"""What has happened in a hub so far."""

from __future__ import annotations

from typing import Any

from attrs import define

from asyncpoll._endpoint import Endpoint
from asyncpoll._errors import Throttled, TransportError
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http.message import Reply, Request
from asyncpoll.testing import MemoryTransport, Script, run_virtual
from asyncpoll.waiting._counters import Counters

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


def test_waits_are_counted() -> None:
    """A wait is pending until it has ended, and succeeds when its job did."""
    counters = Counters()
    for _ in range(4):
        counters.begin(Script([State.SUCCESS]))
    assert (counters.pending, counters.ended) == (4, 0)
    for snapshot in (Snapshot[Any](State.SUCCESS), Snapshot[Any](State.FAILED), None):
        counters.end(snapshot)
    assert (counters.pending, counters.ended, counters.succeeded) == (1, 3, 1)


def test_polls_are_counted_by_what_they_saw() -> None:
    """A failure is a miss, throttling one of a kind; an unknown word is no miss, and a call about many is one poll."""
    counters = Counters()
    seen: list[Any] = [
        Snapshot(State.PENDING),
        Snapshot(State.UNKNOWN, "odd"),
        Throttled("slower"),
        TransportError("in trouble"),
        {"a job": Snapshot(State.UNKNOWN)},
    ]
    for each in seen:
        counters.count(each)
    assert (counters.polls, counters.missed, counters.throttled, counters.unknown) == (5, 2, 1, 1)


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
