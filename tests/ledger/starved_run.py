"""The process that `test_stalled_run` starves: a durable run that keeps a file up to date, and lacks something.

    python starved_run.py DIRECTORY LACK

LACK is "memory", "threads", "threads from the start", or "" for nothing.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import threading
from pathlib import Path

from asyncpoll import Endpoint, Fixed, Hub, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.ledger import JsonLines, Ledger
from asyncpoll.testing import MemoryTransport

JOBS = 300
ROOM = 48 << 20  # bytes of address space that are left
THINGS: Endpoint[int, str] = Endpoint(
    "made.up",
    ask=lambda ref: Request("GET", str(ref), repeatable=True),
    read=lambda reply: Snapshot(State.SUCCESS, "done", reply.json),
)


def starve(lack: str) -> None:
    """Let this process have little more memory than now; a thread would take more than that."""
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))
    if lack.startswith("threads"):
        threading.stack_size(2 * ROOM)


async def run(place: Path, lack: str) -> None:
    """Go on with the run to its end, if it comes to that."""
    hoard: list[bytearray] = []

    def answer(request: Request) -> Reply:
        if lack == "memory":
            hoard.append(bytearray(1 << 20))
        elif lack and int(request.path) > JOBS // 2:
            threading.Thread(target=print).start()
        return Reply(200, f"result of {request.path}")

    async with Ledger(place / "run.db") as ledger, Hub(schedule=Fixed(0.01)) as hub:
        jobs = (THINGS.job(MemoryTransport(answer, latency=0.005), number) for number in range(JOBS))
        if lack:
            starve(lack)
        try:
            async with hub.run(jobs, ledger=ledger, timeout=60) as records:
                async for _ in records:
                    pass
        finally:
            hoard.clear()
            await ledger.deliver(JsonLines(place / "out.jsonl"))


if __name__ == "__main__":
    if sys.argv[2] == "threads from the start":
        starve(sys.argv[2])
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
