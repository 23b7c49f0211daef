"""A fetch runs in the context of a caller that waits for it, never in that of a stranger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from hub_kit import PENDING, SUCCESS, in_hub, jobs_of, play, transport_of

from asyncpoll import Endpoint, Group, Hub, Snapshot, State
from asyncpoll.http import Request

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="the hub's own")


def telling(seen: list[str], polls: int = 5) -> Any:
    """Return a fetch that notes whose context it runs in, and ends after some polls."""

    async def fetch() -> Snapshot[str]:
        seen.append(REQUEST.get())
        await asyncio.sleep(0.1)
        seen.append(REQUEST.get())
        return Snapshot(SUCCESS if len(seen) >= 2 * polls else PENDING)

    return fetch


async def handler(hub: Hub, name: str, job: Any, **options: Any) -> None:
    """Wait for a job with a context variable of one's own."""
    REQUEST.set(name)
    await hub.wait(job, timeout=60.0, **options)


def test_every_fetch_sees_its_own_caller() -> None:
    """Twenty handlers share a hub; each of their hundred fetches sees the variable of its own handler."""
    seen: dict[str, list[str]] = {f"request {number}": [] for number in range(20)}

    async def main(hub: Hub) -> None:
        async with asyncio.TaskGroup() as handlers:
            for name, notes in seen.items():
                handlers.create_task(handler(hub, name, telling(notes)))
                await asyncio.sleep(0.03)

    in_hub(main)
    assert all(set(notes) == {name} and len(notes) == 10 for name, notes in seen.items())


def test_a_run_polls_in_the_context_of_its_caller() -> None:
    """The jobs of a run are polled in the context in which the run was begun."""
    seen: list[str] = []

    async def main(hub: Hub) -> None:
        async def run() -> None:
            REQUEST.set("the run's")
            await hub.wait_all([telling(seen, 3)], timeout=60.0)

        stranger = asyncio.create_task(handler(hub, "a stranger's", play(PENDING, PENDING, PENDING, SUCCESS)))
        await asyncio.create_task(run())
        await stranger

    in_hub(main)
    assert set(seen) == {"the run's"}


def test_a_shared_poll_runs_in_the_oldest_context_left() -> None:
    """One poll serves several callers: it has the context of the oldest that still waits."""
    seen: list[str] = []

    async def main(hub: Hub) -> None:
        job = telling(seen, 6)
        oldest = asyncio.create_task(handler(hub, "the oldest", job))
        await asyncio.sleep(0.5)
        younger = asyncio.create_task(handler(hub, "a younger", job))
        await asyncio.sleep(2.0)
        oldest.cancel()
        await younger

    in_hub(main)
    assert seen[:2] == ["the oldest"] * 2
    assert seen[-2:] == ["a younger"] * 2
    assert set(seen) == {"the oldest", "a younger"}


def test_a_call_about_many_jobs_has_the_context_of_the_hub() -> None:
    """It is made for no one caller, so it sees the variables of the code that opened the hub."""
    seen: list[str] = []

    def read(_reply: Any, refs: Sequence[Any]) -> dict[Any, Snapshot[str]]:
        seen.append(REQUEST.get())
        return {ref: Snapshot(SUCCESS if len(seen) > 3 else State.PENDING) for ref in refs}

    group: Group[Any, str] = Group(lambda _: "all", lambda _: Request("GET", "/batch"), read, 100)
    endpoint: Endpoint[Any, str] = Endpoint(
        "made.batch", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda _: Snapshot(PENDING), group=group
    )
    first, second = jobs_of(transport_of(lambda _: {}), range(2), endpoint)

    async def main(hub: Hub) -> None:
        async with asyncio.TaskGroup() as handlers:
            handlers.create_task(handler(hub, "one", first))
            handlers.create_task(handler(hub, "two", second))

    in_hub(main)
    assert set(seen) == {"the hub's own"}


def test_what_a_fetch_sets_does_not_leak() -> None:
    """A variable that a fetch sets is gone at the next poll, and never reaches the caller or another job."""
    seen: list[str] = []

    async def fetch() -> Snapshot[str]:
        seen.append(REQUEST.get())
        REQUEST.set("set by a fetch")
        return Snapshot(SUCCESS if len(seen) == 3 else PENDING)

    async def main(hub: Hub) -> None:
        await handler(hub, "mine", fetch)
        assert REQUEST.get() == "mine"

    in_hub(main)
    assert seen == ["mine"] * 3


def test_an_observer_is_called_in_the_context_of_the_wait() -> None:
    """The observer of a hub sees the variables of the caller whose wait an event is about."""
    seen: list[tuple[str | None, str]] = []

    async def main(hub: Hub) -> None:
        jobs = jobs_of(transport_of(lambda _: {"state": "success"}), range(3))
        async with asyncio.TaskGroup() as handlers:
            for job in jobs:
                handlers.create_task(handler(hub, job.key, job))

    in_hub(main, observe=lambda event: seen.append((event.key, REQUEST.get())))
    assert len(seen) == 15
    assert all(key == name for key, name in seen)
