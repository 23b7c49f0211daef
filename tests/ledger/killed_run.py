"""The processes that `test_kill_loop` kills: each goes on with a run in memory that keeps two files up to date.

    python killed_run.py DIRECTORY JOBS

For every line on standard input, the number of a session, it forks one, which spares the imports. That prints its pid,
and "open" when its ledger is open; when it has ended, its exit status is printed. A session writes the number of each
job that it asks about into a file of its own, before it answers itself.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import traceback
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http._message import Reply, Request
from asyncpoll.ledger import Csv, JsonLines, Ledger, LedgerSettings
from asyncpoll.testing import MemoryTransport
from asyncpoll.waiting._hub import Hub

HURRY = LedgerSettings(linger=0.002)
THINGS: Endpoint[dict[str, int], str] = Endpoint(
    "memory.things",
    ask=lambda ref: Request("GET", str(ref["id"]), repeatable=True),
    read=lambda reply: Snapshot(State(reply.json["state"]), reply.json["state"], reply.json.get("value")),
)


def say(word: object) -> None:
    """Tell the parent something."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def value_of(number: int) -> str:
    """Return the result of a job."""
    return f"result of {number}"


@asynccontextmanager
async def kept_up_to_date(ledger: Ledger, directory: Path) -> AsyncGenerator[None, None]:
    """Bring both files up to date all the time, and once more at the end."""
    sinks = JsonLines(directory / "out.jsonl"), Csv(directory / "out.csv")

    async def deliver() -> None:
        while True:
            for sink in sinks:
                await ledger.deliver(sink)

    delivering = asyncio.create_task(deliver())
    try:
        yield
    finally:
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        for sink in sinks:
            await ledger.deliver(sink)


async def run(directory: Path, jobs: int, session: int) -> None:
    """Run until all jobs have ended, or somebody kills us."""
    chance = random.Random(session)
    polled = os.open(directory / f"polled-{session}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def answer(request: Request) -> Reply:
        os.write(polled, f"{request.path}\n".encode())
        if chance.random() < 0.7:
            return Reply(200, {"state": chance.choice(["pending", "processing"])})
        return Reply(200, {"state": "success", "value": value_of(int(request.path))})

    transport = MemoryTransport(answer, latency=0.001)

    def things() -> Iterator[Job[str]]:
        return (THINGS.job(transport, {"id": number}) for number in range(jobs))

    async with Ledger(directory / "run.db", settings=HURRY) as ledger, Hub(concurrency=20) as hub:
        say("open")
        async with (
            kept_up_to_date(ledger, directory),
            hub.run(things(), ledger=ledger, timeout=600, schedule=Fixed(0.003), max_pending=60) as run,
        ):
            async for _ in run:
                pass


def forked(directory: Path, jobs: int, session: int) -> int:
    """Go on with the run in a process of its own; return its exit status, which is negative for a signal."""
    pid = os.fork()
    if pid == 0:
        say(os.getpid())
        try:
            asyncio.run(run(directory, jobs, session))
        except BaseException:  # noqa: BLE001  the process ends here, whatever it is
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        say(forked(Path(sys.argv[1]), int(sys.argv[2]), int(line)))
