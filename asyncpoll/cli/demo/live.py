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
from asyncpoll.cli.demo.tally import Tally
from asyncpoll.cli.view import ENDINGS, View

_STYLES: Mapping[State, str] = MappingProxyType(
    {State.SUCCESS: "green", State.FAILED: "red", State.TIMEOUT: "yellow", State.CANCELLED: "magenta"}
)
_BAR = 14  # with it the table just fits into 80 columns


@contextmanager
def live_view(tally: Tally) -> Generator[View, None, None]:
    """Open a table on standard error that is drawn anew four times a second, and is gone at the end."""
    # Drawn on the event loop, not in a thread of rich's own, so that nobody reads the tally while it changes.
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield View(lambda: live.update(picture(tally), refresh=True), period=0.25)


def picture(tally: Tally) -> Table:
    """Return the table as of now."""
    table = Table("endpoint", "", box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("open", justify="right")
    for state in ENDINGS:
        table.add_column(state.value, justify="right", style=_STYLES[state])
    table.add_column("polls", justify="right")
    for endpoint in tally.endpoints():
        states = tally.states_at(endpoint)
        ended = [states[state] for state in ENDINGS]
        bar = ProgressBar(states.total(), sum(ended), width=_BAR)
        table.add_row(endpoint, bar, str(states.total() - sum(ended)), *map(str, ended), str(tally.polls[endpoint]))
    return table
