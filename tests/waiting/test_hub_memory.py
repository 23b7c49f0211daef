"""The memory of a hub: little for each wait, and nothing after its end."""

from __future__ import annotations

import asyncio
import copy
import gc
import math
import random
import tracemalloc
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hub_kit import (
    FAILED,
    PENDING,
    PROCESSING,
    SUCCESS,
    Batch,
    Host,
    ends_of,
    in_hub,
    jobs_of,
    leave,
    now,
    play,
    transport_of,
    waits_for,
)

from asyncpoll import Fixed, Hub, Rejected, Snapshot, Throttled, TransportError


@pytest.mark.no_cover
def test_a_wait_costs_little() -> None:
    """At most 400 bytes each, with the job and its id, and neither a task nor a timer."""
    transport = transport_of(lambda _: {"state": "pending"})
    transport.sent = deque(maxlen=0)  # it remembers requests, which are no part of a wait

    async def work(hub: Hub) -> float:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        jobs = (jobs_of(transport, [f"job-{number:016}"])[0] for number in range(5000))
        async with hub.as_completed(jobs, timeout=3600):
            await asyncio.sleep(45)
            each = (tracemalloc.get_traced_memory()[0] - before) / 5000
            tracemalloc.stop()
            assert len(asyncio.all_tasks()) < 10
            return each

    assert in_hub(work, schedule=Fixed(30.0), random=random.Random(1).random) <= 400


def test_tasks_exist_only_while_polls_are_in_flight() -> None:
    """Neither what is not due nor what stands in the queue has a task of its own."""
    host = Host(lambda _: SUCCESS if now() > 60 else PENDING, latency=0.25)

    async def work(hub: Hub) -> int:
        most = 0
        async with hub.as_completed(host.jobs(*range(100)), timeout=None) as outcomes:
            for _ in range(500):
                await asyncio.sleep(0.1)
                most = max(most, len(asyncio.all_tasks()))
            assert [outcome.succeeded async for outcome in outcomes] == [True] * 100
        return most

    assert in_hub(work, concurrency=3, lane_rate=2.0, schedule=Fixed(30.0)) <= 1 + 3


class Payload(dict[str, Any]):
    """A payload that can have a weak reference."""


class Name(str):
    """A name that can be watched."""

    __slots__ = ("__weakref__",)


def alive(watched: Sequence[weakref.ref[Any]]) -> int:
    """Return how many of the watched are still there."""
    gc.collect()
    return sum(each() is not None for each in watched)


def test_a_wait_keeps_no_payload_of_a_job_that_runs() -> None:
    """Of looks on the way the value is kept, and the payload of one in all that look alike at most."""
    watched: list[weakref.ref[Any]] = []

    async def fetch() -> Snapshot[Any]:
        watched.append(weakref.ref(payload := Payload(number=len(watched))))
        value = ["so far"] if len(watched) > 15 else None
        return Snapshot(SUCCESS if len(watched) == 30 else PROCESSING, value=value, raw=payload)

    async def work(hub: Hub) -> Snapshot[Any]:
        (wait,) = waits_for(hub, [fetch])
        await asyncio.sleep(19.5)
        assert len(watched) == 20
        assert alive(watched) <= 1
        (late,) = await ends_of(waits_for(hub, [fetch], timeout=0.8))
        assert (late.last.value, late.last.raw) == (["so far"], {"number": 21})
        return await wait

    assert in_hub(work).raw == {"number": 29}


def test_looks_that_all_differ_do_not_pile_up() -> None:
    """An API that finds a new word each time does not fill the memory."""
    watched: list[weakref.ref[Any]] = []

    async def fetch() -> Snapshot[Any]:
        watched.append(weakref.ref(word := Name(f"step {len(watched)}")))
        return Snapshot(PROCESSING, word)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [fetch], schedule=Fixed(0.5))
        await asyncio.sleep(3500)
        assert len(watched) >= 7000
        assert alive(watched) < 5000
        await leave(waits)

    in_hub(work)


def test_a_miss_is_kept_without_the_frames_of_its_poll() -> None:
    """As many waits keep their last miss as there are, through a whole outage."""
    watched: list[weakref.ref[Any]] = []

    async def fetch() -> Snapshot[Any]:
        watched.append(weakref.ref(body := Payload()))
        raise ConnectionResetError(len(body))

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [fetch])
        await asyncio.sleep(5.5)
        assert alive(watched) == 0 < len(watched)
        await leave(waits)

    in_hub(work)


@pytest.mark.parametrize("said", [SUCCESS, FAILED, Rejected("no"), PENDING, TransportError("cut")], ids=repr)
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("limits", [{}, {"concurrency": 1}, {"rate": 0.5}], ids=str)
@pytest.mark.parametrize("latency", [0.0, 1.25])
def test_what_is_over_is_forgotten(*, batched: bool, said: Any, limits: dict[str, Any], latency: float) -> None:
    """However its wait ended, and wherever it stood, neither a job nor what it shares with others is kept."""
    watched: list[weakref.ref[Any]] = []

    def watch(name: str) -> Name:
        watched.append(weakref.ref(made := Name(name)))
        return made

    async def wait(hub: Hub) -> None:
        host = Batch(key=lambda _: watch("batch"), latency=latency) if batched else Host(latency=latency)
        if isinstance(host, Batch) and not isinstance(said, Exception):
            host.life = lambda _: math.inf if said is PENDING else 0.0
        else:
            host.answer = lambda _: copy.copy(said)
        jobs = jobs_of(host, [watch(str(number)) for number in range(4)], host.endpoint)
        waits = waits_for(hub, jobs, timeout=3.0)
        await asyncio.sleep(2.25)
        hub.nudge(jobs[0].key)
        await leave(waits[:1])
        await ends_of(waits)

    async def work(hub: Hub) -> None:
        await wait(hub)
        await asyncio.sleep(0)
        assert (hub.counters.pending, hub.counters.in_flight) == (0, 0)
        assert alive(watched) == 0
        await hub.wait(play(SUCCESS), timeout=None)

    in_hub(work, **limits)


def test_what_leaves_the_queue_does_not_pile_up() -> None:
    """While others still stand there, be it for hours."""
    host, watched = Host(), list[weakref.ref[Any]]()

    async def come_and_go(hub: Hub, number: int) -> None:
        watched.append(weakref.ref(name := Name(number)))
        await ends_of(waits_for(hub, jobs_of(host, [name]), timeout=1.0))

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, host.jobs("first", "stays"))
        for number in range(200):
            await come_and_go(hub, number)
        assert alive(watched) < 50
        await leave(waits)

    in_hub(work, rate=0.0001)
    assert host.names() == ["first"]


def test_clients_that_come_and_go_are_forgotten() -> None:
    """A hub that meets ever new clients does not keep them all; one that sent it away is remembered."""
    away = Host(lambda _: SUCCESS if now() >= 9000 else Throttled("slower", status=429, retry_after=9000.0))
    watched: list[weakref.ref[Any]] = []

    async def meet(hub: Hub) -> None:
        hosts = [Host() for _ in range(500)]
        watched.extend(weakref.ref(host) for host in hosts)
        await asyncio.gather(*waits_for(hub, [job for host in hosts for job in host.jobs("a")]))

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, away.jobs("first"))
        for _ in range(5):
            await asyncio.sleep(600)
            await meet(hub)
        assert alive(watched) <= 1100
        await asyncio.gather(*waits, *waits_for(hub, away.jobs("second")))

    in_hub(work, concurrency=1000)
    assert away.times()[0] == 0.0
    assert away.times()[1:] == pytest.approx([9000.0, 9000.0], abs=10.0)


def test_clients_that_came_and_went_are_not_kept() -> None:
    """A lane that has nothing to tell is forgotten at once, one that was slowed down when there are many."""

    async def work(hub: Hub) -> int:
        watched: list[weakref.ref[Any]] = []
        for _ in range(1200):
            host = Host()
            watched.append(weakref.ref(host))
            await hub.wait(host.jobs("a")[0], timeout=60.0)
            await asyncio.sleep(2.0)
            del host
        return alive(watched)

    assert in_hub(work) <= 2
    assert in_hub(work, lane_rate=1.0) <= 1001


def test_a_crowd_that_always_says_something_new_is_no_burden() -> None:
    """Thousands of different words, and partial results, are dropped again."""
    watched: list[weakref.ref[Any]] = []

    def fetch(number: int) -> Any:
        async def look() -> Snapshot[Any]:
            watched.append(weakref.ref(payload := Payload(number=number)))
            return Snapshot(PROCESSING, f"word {len(watched)}", ["so far"] if number % 2 else None, raw=payload)

        return look

    async def work(hub: Hub) -> int:
        waits = waits_for(hub, [fetch(number) for number in range(1100)], timeout=60.0)
        await asyncio.sleep(9.5)
        kept = alive(watched)
        await leave(waits)
        return kept

    assert in_hub(work, concurrency=5000) <= 1
