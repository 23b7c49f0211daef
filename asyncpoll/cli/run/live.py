"""Progress drawn with rich: one bar per endpoint, in place. Imported only where rich is installed."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from asyncpoll._state import State
from asyncpoll.cli.run.progress import Gauge, Progress, errors
from asyncpoll.cli.view import ENDINGS, View

_STYLES: Mapping[State, str] = MappingProxyType(
    {State.SUCCESS: "green", State.FAILED: "red", State.TIMEOUT: "yellow", State.CANCELLED: "magenta"}
)
_BAR = 10  # with it the table just fits into 80 columns


@contextmanager
def live_view(gauge: Gauge) -> Generator[View, None, None]:
    """Open a table on standard error that is drawn anew twice a second, and is gone at the end."""
    # Drawn on the event loop, not in a thread of rich's own, so that nobody reads figures while they change.
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield View(lambda: live.update(picture(gauge.look()), refresh=True), period=0.5)


def picture(progress: Progress) -> Table:
    """Return the table of a moment."""
    counts = progress.counts
    caption = "; ".join((f"{counts.outcomes:,} of {counts.entries:,} ended", *errors(counts), *progress.pace()))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", caption=caption, caption_justify="left")
    table.add_column("endpoint")
    table.add_column("")
    table.add_column("open", justify="right")
    for state in ENDINGS:
        table.add_column(state.value, justify="right", style=_STYLES[state])
    table.add_column("given up", justify="right")
    for endpoint, entries in sorted(counts.by_endpoint.items()):
        ended = [counts.by_state.get((endpoint, state), 0) for state in ENDINGS]
        given_up = sum(number for (where, _), number in counts.by_error.items() if where == endpoint)
        done = sum(ended) + given_up
        bar = ProgressBar(entries, done, width=_BAR)
        table.add_row(endpoint, bar, *(f"{number:,}" for number in (entries - done, *ended, given_up)))
    return table
