"""Progress while the demo runs. The view pulls: it looks at the tally now and then, and costs the waits nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from asyncpoll.cli.demo.tally import Tally
from asyncpoll.cli.output import note
from asyncpoll.cli.view import ENDINGS, View


@contextmanager
def plain_view(tally: Tally) -> Generator[View, None, None]:
    """Open a view of plain lines on standard error, one every other second."""
    yield View(lambda: note(progress_line(tally)), period=2.0)


def progress_line(tally: Tally) -> str:
    """Return one line about the jobs of all endpoints."""
    states = Counter(end.state for end in tally.ends)
    endings = ", ".join(f"{states[state]} {state}" for state in ENDINGS if states[state]) or "none"
    return f"{len(tally.ends)} of {len(tally.jobs)} ended: {endings}; {tally.polls.total()} polls"


async def follow(view: View, run: asyncio.Task[None]) -> None:
    """Draw until the task is done. When this is cancelled, the task is ended first."""
    try:
        while not run.done():
            view.draw()
            await asyncio.wait({run}, timeout=view.period)
        view.draw()
        await run
    finally:
        run.cancel()  # does nothing to one that is done
        await asyncio.wait({run})
