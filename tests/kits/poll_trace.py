"""Which files of the package one poll runs through, and how often it goes from one to another.

`python tests/kits/poll_trace.py` prints it for a hub and for a wait on its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from attrs import field, frozen

import asyncpoll
from asyncpoll import Endpoint, Fixed, Hub, Snapshot, State, wait_until_terminal
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

PACKAGE = f"{Path(str(asyncpoll.__file__)).parent}/"
NOT_OURS = f"{PACKAGE}testing/"
"""The outer parts of a test: the clock and the network."""

POLLS_BEFORE = 3
PATIENCE = 3600.0
EVERY_SECOND = Fixed(1.0)

Fetch = Callable[[], Awaitable[Snapshot[Any]]]


@frozen
class Trace:
    """The code that ran.

    Attributes:
        files: The files of the package, as paths below it, in the order in which they were first entered.
        moves: How often the function that was entered lay in another of them than the one entered before.
        calls: How often one of their functions was entered, or went on where it had awaited something.
        moves_with_returns: The moves, when leaving a function counts as being in its file, too.
    """

    files: list[str]
    moves: int
    calls: int
    moves_with_returns: int


@frozen
class _Recorder:
    """Notes the file of every frame of the package that is entered or left; other frames are as if they were not."""

    visited: list[str] = field(factory=list)
    entered: list[str] = field(factory=list)

    def __call__(self, frame: FrameType, event: str, _argument: object, /) -> None:
        name = frame.f_code.co_filename
        if event in ("call", "return") and name.startswith(PACKAGE) and not name.startswith(NOT_OURS):
            self.visited.append(name)
            if event == "call":
                self.entered.append(name)

    def trace(self) -> Trace:
        files = [name.removeprefix(PACKAGE) for name in dict.fromkeys(self.visited)]
        return Trace(files, _moves(self.entered), len(self.entered), _moves(self.visited))


def _moves(names: list[str]) -> int:
    return sum(one != other for one, other in pairwise(names))


async def trace(poll: Callable[[], Awaitable[object]]) -> Trace:
    """Trace all that the thread of the running loop does until what *poll* returns has been awaited."""
    recorder = _Recorder()
    before = sys.getprofile()
    sys.setprofile(recorder)
    try:
        await poll()
    finally:
        sys.setprofile(before)
    return recorder.trace()


async def _never_done() -> Snapshot[Any]:
    return Snapshot(State.PROCESSING, "processing")


def bare_function() -> Fetch:
    """Return a fetch that always sees the same, and is no job."""
    return _never_done


def job() -> Fetch:
    """Return a job of an endpoint over memory, which always looks the same."""
    endpoint: Endpoint[str, Any] = Endpoint(
        "made.up",
        ask=lambda ref: Request("GET", f"/jobs/{ref}", repeatable=True),
        read=lambda reply: Snapshot(State(reply.json["state"]), reply.json["state"]),
    )
    return endpoint.job(MemoryTransport(lambda _request: Reply(200, {"state": "processing"})), "one")


def trace_one_hub_poll(fetch: Fetch, *, timeout: float | None = PATIENCE) -> Trace:
    """Trace one poll of a hub, from before its timer fires until the next has been set.

    It is not the first poll, and sees the same as the one before.
    """

    async def main() -> Trace:
        async with Hub(schedule=EVERY_SECOND) as hub, hub.as_completed([fetch], timeout=timeout):
            return await _trace_of_one_interval()

    return run_virtual(main())


def trace_one_poll_of_a_wait(fetch: Fetch, *, timeout: float | None = PATIENCE) -> Trace:
    """Trace one poll of `wait_until_terminal`, likewise."""

    async def main() -> Trace:
        waiting = asyncio.create_task(wait_until_terminal(fetch, timeout=timeout, schedule=EVERY_SECOND))
        try:
            return await _trace_of_one_interval()
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    return run_virtual(main())


async def _trace_of_one_interval() -> Trace:
    await asyncio.sleep(POLLS_BEFORE - 0.5)  # the first poll was at 0
    return await trace(lambda: asyncio.sleep(1.0))


def main() -> None:
    """Print what is traced."""
    for what, traced in (
        ("a hub, a bare function", trace_one_hub_poll(bare_function())),
        ("a hub, a job", trace_one_hub_poll(job())),
        ("a wait, a bare function", trace_one_poll_of_a_wait(bare_function())),
        ("a wait, a job", trace_one_poll_of_a_wait(job())),
    ):
        moves = f"{traced.moves} moves ({traced.moves_with_returns} with returns)"
        sys.stdout.write(f"{what}: {len(traced.files)} files, {moves}, {traced.calls} calls\n")
        sys.stdout.write("".join(f"    {name}\n" for name in traced.files))


if __name__ == "__main__":
    main()
