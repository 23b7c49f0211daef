"""The processes around a run on a cluster: the server of its jobs, and a program that runs them.

    python cluster_world.py serve           prints its address; at the end of its standard input, what it has seen

What it has seen is a line of JSON: the number of polls, the most in any second, when the last one came (in seconds of
the clock of all processes), and the true outcome of each job by its id.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque

from asyncpoll.simulator import LogNormal, Simulator, Uniform

ENDPOINT = "bigmodel.file_parser"
_EVERY = 0.02  # seconds from one look at the counter to the next


class Watch:
    """Watches the counter of the polls."""

    def __init__(self, world: Simulator) -> None:
        self.most = 0
        self.last = 0.0
        self._world = world
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    async def keep(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(_EVERY)
            now, polls = time.monotonic(), self._world.polls
            if polls > self._seen[-1][1]:
                self.last = now
            self._seen.append((now, polls))
            while now - self._seen[1][0] >= 1:
                self._seen.popleft()
            self.most = max(self.most, polls - self._seen[1][1])


async def serve() -> None:
    """Serve jobs of some seconds until the standard input ends."""
    world = Simulator(pending=Uniform(0.2, 1.0), processing=LogNormal(1.5, 0.5), outcomes={})
    async with world:
        watch = Watch(world)
        watching = asyncio.create_task(watch.keep())
        print(world.url, flush=True)  # noqa: T201  so it talks
        reader = asyncio.to_thread(sys.stdin.read)
        ids = (await reader).split()
        watching.cancel()
        truth: dict[str, str | None] = {}
        for ident in ids:
            try:
                truth[ident] = world.truth(ENDPOINT, ident).outcome
            except ValueError:
                truth[ident] = None
        print(json.dumps({"polls": world.polls, "most": watch.most, "last": watch.last, "truth": truth}), flush=True)  # noqa: T201  so it talks


if __name__ == "__main__":
    asyncio.run(serve())
