"""Show how far the waits of a hub, or the jobs of a run, have come.

    async with Hub() as hub, progress(hub):
        outcomes = await hub.wait_all(jobs, timeout=600)

It is drawn in place with rich, or with tqdm, or in the output of a notebook's cell, whichever is there; else as plain
lines. A view is drawn by a timer from figures that are there anyway, so it costs the polls nothing. When the block
ends, however it ends, the terminal is as it was.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from html import escape
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, Protocol, TextIO, runtime_checkable

from attrs import define, field, frozen

from asyncpoll._checks import one_of
from asyncpoll.waiting._emission import Counters
from asyncpoll.waiting._hub import Hub

__all__ = ["Position", "Watched", "progress"]

ViewName = Literal["auto", "rich", "tqdm", "notebook", "plain"]

_WINDOW = 30.0  # seconds over which a rate is taken
_DRAWN, _PLAIN = 0.25, 5.0  # seconds from one time to the next
_FORECAST = 1.0  # seconds for which an expected end holds
_LONGEST_REASON = 100
_MANY = 10.0  # jobs a second, of which the tenths are of no interest
_MINUTE, _HOUR = 60.0, 3600.0
_log = logging.getLogger(__name__)


@runtime_checkable
class Watched(Protocol):
    """A run: what `Hub.as_completed` and `Hub.run` return, or any other object with these members."""

    @property
    def total(self) -> int | None:
        """How many jobs there are, or None while that is not known."""
        ...

    @property
    def done(self) -> int:
        """How many of them have an outcome, those of earlier processes included."""
        ...

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many of them ended in which way, such as "success"."""
        ...

    @property
    def counters(self) -> Counters:
        """The counters of the hub."""
        ...

    def time_left(self) -> float | None:
        """Return in how many seconds the jobs that are awaited should have ended, or None if that is not known."""
        ...


@frozen
class Position:
    """How far waits have come at one moment.

    Attributes:
        elapsed: Seconds since the block was entered.
        total: How many jobs there are, or None while that is not known.
        done: How many of them have an outcome.
        outcomes: How many of them ended in which way.
        rate: How many ended a second, over the last half minute.
        left: The seconds in which all should have ended, or None: from how long such jobs took before, or else from
            the rate.
        polls: How many polls were made in the hub.
        missed: How many of them saw nothing.
        last_miss: Why the last of those failed, or None.
    """

    elapsed: float
    total: int | None
    done: int
    outcomes: Mapping[str, int]
    rate: float
    left: float | None
    polls: int
    missed: int
    last_miss: str | None

    def line(self) -> str:
        """Return it as one line."""
        of_all = "" if self.total is None else f" of {self.total:,}"
        return "; ".join((f"{self.done:,}{of_all} ended", *self.facts()))

    def facts(self) -> Iterator[str]:
        """Yield what else there is to say, in words."""
        if self.outcomes:
            yield ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(self.outcomes.items()))
        yield f"{self.rate:,.{0 if self.rate >= _MANY else 1}f}/s"
        yield f"{_duration(self.elapsed)} elapsed"
        if self.left is not None and self.done != self.total:
            yield f"about {_duration(self.left)} left"
        if self.missed:
            reason = " ".join((self.last_miss or "").split())[:_LONGEST_REASON]
            yield f"{self.missed:,} of {self.polls:,} polls missed, the last one: {reason}"


@asynccontextmanager
async def progress(
    watched: Hub | Watched, *, view: ViewName = "auto", file: TextIO | None = None, interval: float | None = None
) -> AsyncGenerator[Callable[[], Position]]:
    """Show how far *watched* has come while the block runs; give a function that returns it at any moment.

    Args:
        watched: A `Hub`, or a run. Of a hub the jobs are those that it awaits or has awaited.
        view: "rich", "tqdm", "notebook" or "plain". By default ("auto") the first of "notebook", "rich", "tqdm" and
            "plain" that is there, and nothing at all if the output is neither a terminal nor a notebook.
        file: Where to write, by default standard output.
        interval: The seconds from one time to the next: by default 0.25, or 5 for plain lines.

    Raises:
        TypeError: *watched* is neither a hub nor a run.
        ValueError: There is no such view.
        ImportError: The package of the view that was asked for is not installed.
    """
    one_of("auto", "rich", "tqdm", "notebook", "plain")("progress(): view", view)
    run = _OfHub(watched) if isinstance(watched, Hub) else watched
    if not isinstance(run, Watched):  # pyright: ignore[reportUnnecessaryIsInstance]  unchecked callers
        raise TypeError(f"progress() needs a Hub or a run, such as hub.as_completed(...), not {watched!r:.100}")
    gauge, output = _Gauge(run), sys.stdout if file is None else file
    gauge.look()  # the rate counts from here
    chosen = _choose(output) if view == "auto" else view
    if chosen is None:
        yield gauge.look
        return
    stack = ExitStack()
    draw = stack.enter_context(_VIEWS[chosen](output))
    period = interval or (_PLAIN if chosen == "plain" else _DRAWN)
    drawing = asyncio.create_task(_draw_often(lambda: draw(gauge.look()), period))
    try:
        yield gauge.look
    finally:
        drawing.cancel()
        await asyncio.wait((drawing,))
        _attempt(stack.close)


async def _draw_often(draw: Callable[[], object], period: float) -> None:
    """Draw again and again, until it fails."""
    await asyncio.sleep(period)
    while _attempt(draw):  # noqa: ASYNC110  it waits for no condition; it is a timer
        await asyncio.sleep(period)


def _attempt(step: Callable[[], object]) -> bool:
    """Return whether a step succeeded. Its failure is logged: a view must never break the waits that it shows."""
    try:
        step()
    except Exception:  # noqa: BLE001  a terminal that has gone, or a bug of the package that draws
        _log.exception("progress cannot be shown any more")
        return False
    return True


@frozen
class _OfHub:
    """All that a hub awaits and has awaited, as a run."""

    _hub: Hub

    @property
    def counters(self) -> Counters:
        return self._hub.counters

    @property
    def total(self) -> int:
        return self.counters.ended + self.counters.pending

    @property
    def done(self) -> int:
        return self.counters.ended

    @property
    def outcomes(self) -> Mapping[str, int]:
        return self.counters.outcomes

    def time_left(self) -> float | None:
        return self._hub.time_left()


@define
class _Gauge:
    """Looks at a run, and remembers what it saw in the last half minute."""

    _run: Watched
    _began: float = field(init=False, factory=lambda: asyncio.get_running_loop().time())
    _seen: deque[tuple[float, int]] = field(init=False, factory=deque)
    _forecast: float | None = field(init=False, default=None)
    _forecast_at: float = field(init=False, default=float("-inf"))

    def look(self) -> Position:
        """Return how far the run has come."""
        run, now = self._run, asyncio.get_running_loop().time()
        counters, total, done = run.counters, run.total, run.done
        self._seen.append((now, done))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        then, done_then = self._seen[0]
        rate = (done - done_then) / (now - then) if now > then else 0.0
        return Position(
            elapsed=now - self._began,
            total=total,
            done=done,
            outcomes=dict(run.outcomes),
            rate=rate,
            left=None if total is None else self._left(now, total - done, rate),
            polls=counters.polls,
            missed=counters.missed,
            last_miss=counters.last_miss,
        )

    def _left(self, now: float, unfinished: int, rate: float) -> float | None:
        """Return the seconds until the jobs that are unfinished should have ended."""
        if self._run.counters.pending >= unfinished:  # else some of them have not entered the hub
            if now - self._forecast_at >= _FORECAST:
                self._forecast, self._forecast_at = self._run.time_left(), now
            if self._forecast is not None:
                return max(0.0, self._forecast_at + self._forecast - now)
        return unfinished / rate if rate else None


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"


# views

Draw = Callable[[Position], object]


def _choose(output: TextIO) -> str | None:
    """Return the name of the view that suits, or None if there is neither a terminal nor a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None:
        return "notebook"
    if not output.isatty():
        return None
    return next((name for name in ("rich", "tqdm") if find_spec(name) is not None), "plain")


@contextmanager
def _rich_view(output: TextIO) -> Generator[Draw]:
    """Open a bar with a line below it, which is gone at the end."""
    from rich.console import Console  # noqa: PLC0415  rich is an extra
    from rich.live import Live  # noqa: PLC0415  likewise
    from rich.progress_bar import ProgressBar  # noqa: PLC0415  likewise
    from rich.table import Table  # noqa: PLC0415  likewise
    from rich.text import Text  # noqa: PLC0415  likewise

    def draw(now: Position) -> None:
        bar = ProgressBar(total=now.total, completed=now.done, pulse=now.total is None)
        rows = Table.grid()
        rows.add_row(bar)
        rows.add_row(Text(now.line()))
        live.update(rows, refresh=True)

    # Drawn on the event loop, not in a thread of rich's own, so that no figure is read while it changes.
    with Live(console=Console(file=output), auto_refresh=False, transient=True) as live:
        yield draw


@contextmanager
def _tqdm_view(output: TextIO) -> Generator[Draw]:
    """Open a bar of tqdm, which is gone at the end."""
    from tqdm import tqdm  # noqa: PLC0415  tqdm is not a dependency

    def draw(now: Position) -> None:
        bar.total, bar.n = now.total, now.done
        bar.set_postfix_str("; ".join(now.facts()), refresh=False)
        bar.refresh()

    shape = "{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt}{postfix}"
    with tqdm(file=output, leave=False, dynamic_ncols=True, bar_format=shape) as bar:
        yield draw


@contextmanager
def _notebook_view(_: TextIO) -> Generator[Draw]:
    """Open a bar in the output of the cell, which stays as it was last."""
    display: Any = import_module("IPython.display").display
    handle: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def draw(now: Position) -> None:
        most = "" if now.total is None else f' max="{now.total}" value="{now.done}"'
        html = f"<progress{most}></progress> {escape(now.line())}"
        handle.update({"text/html": html, "text/plain": now.line()}, raw=True)

    yield draw


@contextmanager
def _plain_view(output: TextIO) -> Generator[Draw]:
    """Write lines."""
    yield lambda now: print(now.line(), file=output, flush=True)


_VIEWS: Mapping[str, Callable[[TextIO], AbstractContextManager[Draw]]] = {
    "rich": _rich_view,
    "tqdm": _tqdm_view,
    "notebook": _notebook_view,
    "plain": _plain_view,
}
