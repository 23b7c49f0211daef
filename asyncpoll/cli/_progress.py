"""Show how far many waits have come, as plain lines or drawn with rich. A view pulls, and costs the waits nothing.

A verb provides a function that returns its `ProgressView` at the moment; `view_of` chooses the view that suits standard
error; `follow` draws it until there is a reason to stop.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from attrs import define, field, frozen

from asyncpoll.cli._ingest import LineIngest
from asyncpoll.cli._output import ENDINGS, columns_of_terminal, duration, message_of, note, with_switches
from asyncpoll.ledger import Counts, Ledger
from asyncpoll.waiting._emission import Counters

_FIRST = 1.0  # seconds to the first time that a view is drawn
_PLAIN, _DRAWN = 5.0, 0.5  # seconds from one time to the next
_WINDOW = 30.0  # seconds over which a rate is taken
_MANY = 10.0  # polls a second, of which the tenths are of no interest
_WIDE = 80  # columns, into which the table just fits with a bar of this length
_BAR = 10
_STYLES: Mapping[str, str] = MappingProxyType(
    {"success": "green", "failed": "red", "timeout": "yellow", "cancelled": "magenta"}
)


@frozen
class Row:
    """How far the jobs of one endpoint have come.

    Attributes:
        endpoint: The name of the endpoint.
        jobs: How many jobs there are.
        ended: How many ended in which terminal state, in the order of `ENDINGS`.
        given_up: How many waits ended with an error.
        polls: How many polls were made, or None where they are not counted by endpoint.
    """

    endpoint: str
    jobs: int
    ended: tuple[int, ...]
    given_up: int = 0
    polls: int | None = None

    @property
    def open(self) -> int:
        """How many jobs have not ended."""
        return self.jobs - sum(self.ended) - self.given_up


@frozen
class ProgressView:
    """Many waits at one moment.

    Attributes:
        ended: How many ended how, in words.
        facts: What else there is to say, such as the pace of the polls.
        rows: The endpoints.
    """

    ended: str
    facts: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()

    def line(self) -> str:
        """Return it as one line."""
        return "; ".join((self.ended, *self.facts))


@frozen
class View:
    """A way to show progress.

    Attributes:
        draw: Shows it once.
        period: Seconds from one time to the next.
    """

    draw: Callable[[], object]
    period: float


def view_of(
    look: Callable[[], ProgressView], *, plain: bool, prefix: str = "asyncpoll: "
) -> AbstractContextManager[View]:
    """Return the view that suits standard error: drawn, where rich is installed and standard error is a terminal.

    Args:
        look: Returns the progress at the moment.
        plain: Whether to print plain lines in any case.
        prefix: The beginning of a plain line.
    """
    if plain or not sys.stderr.isatty() or find_spec("rich") is None:
        return nullcontext(View(lambda: note(f"{prefix}{look().line()}"), _PLAIN))
    return _drawn_view(look)


@contextmanager
def _drawn_view(look: Callable[[], ProgressView]) -> Generator[View, None, None]:
    """Open a table on standard error that is drawn anew twice a second, and is gone at the end."""
    from rich.console import Console  # noqa: PLC0415  rich is an extra
    from rich.live import Live  # noqa: PLC0415  likewise

    # Drawn on the event loop, not in a thread of rich's own, so that no figure is read while it changes.
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield View(lambda: live.update(table_of(look(), columns_of_terminal()), refresh=True), _DRAWN)


async def follow(view: View, *reasons: asyncio.Future[Any]) -> None:
    """Draw the view again and again until one of the futures is done."""
    pause = min(_FIRST, view.period)
    while not (await asyncio.wait(reasons, timeout=pause, return_when=asyncio.FIRST_COMPLETED))[0]:
        view.draw()
        pause = view.period


def table_of(progress: ProgressView, width: int) -> Any:
    """Return the table of a moment, for rich; in a narrow one columns with nothing but zeros are left out."""
    from rich.progress_bar import ProgressBar  # noqa: PLC0415  rich is an extra
    from rich.table import Table  # noqa: PLC0415  likewise

    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        header_style="dim",
        caption="; ".join((progress.ended, *progress.facts)),
        caption_justify="left",
    )
    table.add_column("endpoint", no_wrap=True, min_width=max((len(row.endpoint) for row in progress.rows), default=0))
    if width >= _WIDE:
        table.add_column("")
    columns = [one for one in _columns(progress.rows) if width >= _WIDE or any(one[1])]
    for title, _ in columns:
        table.add_column(title, justify="right", style=_STYLES.get(title))
    for at, row in enumerate(progress.rows):
        bar = [ProgressBar(row.jobs, row.jobs - row.open, width=_BAR)] if width >= _WIDE else []
        table.add_row(row.endpoint, *bar, *(f"{numbers[at]:,}" for _, numbers in columns))
    return table


def _columns(rows: tuple[Row, ...]) -> Iterator[tuple[str, list[int]]]:
    yield "open", [row.open for row in rows]
    for at, state in enumerate(ENDINGS):
        yield state.value, [row.ended[at] for row in rows]
    if all(row.polls is None for row in rows):
        yield "given up", [row.given_up for row in rows]
    else:
        yield "polls", [row.polls or 0 for row in rows]


# runs


@define
class Gauge:
    """Looks at a run, and remembers what it saw in the last half minute.

    Attributes:
        ledger: The ledger of the run.
        counters: The counters of its hub.
        ingest: The source of its jobs.
    """

    ledger: Ledger
    counters: Counters
    ingest: LineIngest
    _seen: deque[tuple[float, int, int]] = field(factory=deque, init=False)

    def look(self) -> ProgressView:
        """Return how far the run has come."""
        counts = self.ledger.counts
        ended = f"{counts.outcomes:,} of {counts.entries:,} ended: {endings(counts)}"
        return ProgressView(ended, tuple(self._pace(counts)), tuple(_rows(counts)))

    def _pace(self, counts: Counts) -> Iterator[str]:
        now, polls = asyncio.get_running_loop().time(), self.counters.polls
        self._seen.append((now, polls, counts.outcomes))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        then, polls_then, outcomes_then = self._seen[0]
        span = max(now - then, 1e-9)
        rate, pace = (polls - polls_then) / span, (counts.outcomes - outcomes_then) / span
        yield f"{rate:,.{0 if rate >= _MANY else 1}f} polls/s"
        if self.ledger.stalled is not None:
            yield f"paused: {message_of(self.ledger.stalled)}"
        if misses := misses_of(self.counters):
            yield misses
        if pace and self.ingest.complete:
            yield f"about {duration(round(counts.unfinished / pace))} left"


def misses_of(counters: Counters) -> str:
    """Return how many polls were missed and why the last one was, or nothing when none was."""
    if not counters.missed:
        return ""
    throttled = f", {counters.throttled:,} throttled" if counters.throttled else ""
    last = f", the last one: {with_switches(counters.last_miss)}" if counters.last_miss else ""
    return f"{counters.missed:,} of {counters.polls:,} polls missed{throttled}{last}"


def _rows(counts: Counts) -> Iterator[Row]:
    for endpoint, jobs in sorted(counts.by_endpoint.items()):
        given_up = sum(number for (where, _), number in counts.by_error.items() if where == endpoint)
        yield Row(endpoint, jobs, tuple(counts.by_state.get((endpoint, state), 0) for state in ENDINGS), given_up)


def endings(counts: Counts) -> str:
    """Return how many jobs ended how, by state and by the name of the error."""
    states, errors = Counter[str](), Counter[str]()
    for total, table in ((states, counts.by_state), (errors, counts.by_error)):
        for (_, word), number in table.items():
            total[word] += number
    known = [(word, states[word]) for word in ENDINGS if states[word]]
    return ", ".join(f"{number:,} {word}" for word, number in (*known, *errors.most_common())) or "none"
