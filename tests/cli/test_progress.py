"""How progress is shown: as a plain line, or drawn in place; of runs, of the demo and of submits."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest
from cli_kit import agent, subtask
from rich.console import Console

from asyncpoll._errors import LedgerError, WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.cli._demo import _watch
from asyncpoll.cli._demo._checks import Tally
from asyncpoll.cli._ingest import LineIngest
from asyncpoll.cli._progress import Gauge, ProgressView, Row, View, follow, table_of, view_of
from asyncpoll.clients import Clients
from asyncpoll.events import Event, Missed, Polled, StateChanged, UnknownWord
from asyncpoll.ledger import Counts
from asyncpoll.testing import run_virtual
from asyncpoll.waiting._emission import Counters
from asyncpoll.waiting._run import Outcome

Output = pytest.CaptureFixture[str]

COUNTS = Counts(
    12_000,
    7,
    {("a.x", "success"): 3, ("b.y", "failed"): 1, ("a.x", "failed"): 1},
    {("a.x", "Rejected"): 1, ("b.y", "WaitTimeout"): 1},
    0,
    {"b.y": 2000, "a.x": 10_000},
    recorded=7,
)
PROGRESS = ProgressView("1 of 3 ended: 1 success", ("1 polls",), (Row("vendor.things", 3, (1, 0, 0, 0)),))


class Sampled:
    """The part of a ledger that a gauge looks at."""

    def __init__(self, *counts: Counts, stalled: LedgerError | None = None) -> None:
        self._counts = iter(counts)
        self.stalled = stalled

    @property
    def counts(self) -> Counts:
        """How far it has come by now."""
        return next(self._counts)


def looked(
    *counts: Counts, complete: bool = True, stalled: LedgerError | None = None, **facts: Any
) -> list[ProgressView]:
    """Return what a gauge sees every 20 seconds while 100 polls are made in each second."""

    async def look() -> list[ProgressView]:
        counters, ingest = Counters(**facts), LineIngest(Clients(), complete=complete)
        gauge: Any = Gauge
        gauge = gauge(Sampled(*counts, stalled=stalled), counters, ingest)
        seen: list[ProgressView] = []
        for _ in counts:
            seen.append(gauge.look())
            await asyncio.sleep(20)
            counters.polls += 2000
        return seen

    return run_virtual(look())


def outcomes(*numbers: int) -> list[Counts]:
    """Return the counts of a ledger of a thousand jobs that has so many outcomes, one after the other."""
    return [Counts(1000, number, {}, {}, 0, {}, recorded=number) for number in numbers]


def drawn(progress: ProgressView, width: int = 80) -> list[str]:
    """Return the lines of the table in a terminal of this width."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(table_of(progress, width))
    return captured.get().splitlines()


# runs


def test_the_line_of_a_run_has_endings_and_pace() -> None:
    """The plain line says how many ended how, and how fast the run polls."""
    [progress] = looked(COUNTS)
    assert progress.line() == "7 of 12,000 ended: 3 success, 2 failed, 1 Rejected, 1 WaitTimeout; 0.0 polls/s"


def test_misses_are_told_with_their_cause() -> None:
    """Constant trouble at the server is no secret: the last miss says why."""
    [progress] = looked(COUNTS, polls=1234, missed=30, last_miss="the server is in trouble (HTTP 503)")
    assert progress.facts[1] == "30 of 1,234 polls missed, the last one: the server is in trouble (HTTP 503)"
    [progress] = looked(COUNTS, polls=1234, missed=30, throttled=2)
    assert progress.facts[1] == "30 of 1,234 polls missed, 2 throttled"


def test_a_pause_is_told_with_its_cause() -> None:
    """While the ledger cannot be written nothing is polled, and the line says why."""
    [progress] = looked(COUNTS, stalled=LedgerError("run.db cannot be used: the disk is full", kind="full"))
    assert progress.facts == ("0.0 polls/s", "paused: run.db cannot be used: the disk is full")


def test_rates_are_those_of_the_last_half_minute() -> None:
    """Rates are those of the last half minute; the time left follows from them once all jobs are known."""
    seen = [each.facts for each in looked(*outcomes(0, 0, 40, 80))]
    assert seen == [
        ("0.0 polls/s",),
        ("100 polls/s",),
        ("100 polls/s", "about 8 min left"),
        ("100 polls/s", "about 7 min 40 s left"),
    ]
    assert looked(*outcomes(0, 40), complete=False)[1].facts == ("100 polls/s",)


def test_the_table_of_a_run_fits_into_80_columns() -> None:
    """The drawn view has a row for every endpoint, and fits into 80 columns."""
    lines = [line.split() for line in drawn(looked(COUNTS)[0])]
    assert lines[0] == ["endpoint", "open", "success", "failed", "timeout", "cancelled", "given", "up"]
    assert [line[0] for line in lines[1:3]] == ["a.x", "b.y"]
    assert [" ".join(line[-6:]) for line in lines[1:3]] == ["9,995 3 1 0 0 1", "1,998 0 1 0 0 1"]
    assert " ".join(lines[3]).startswith("7 of 12,000 ended: 3 success, 2 failed")


def test_a_narrow_table_keeps_the_names() -> None:
    """In 60 columns names survive, and columns with nothing in them go."""
    long = "molizhishu.task_results"
    progress = ProgressView("8 of 20 ended", (), (Row(long, 10, (5, 1, 0, 0)), Row("a.x", 10, (0, 2, 0, 0))))
    lines = drawn(progress, 60)
    assert [line.split() for line in lines[:3]] == [
        ["endpoint", "open", "success", "failed"],
        [long, "4", "5", "1"],
        ["a.x", "8", "0", "2"],
    ]
    assert max(map(len, lines)) <= 60


# the demo


def told(*events: Event, end: Outcome[Any]) -> Tally:
    """Return a tally of three jobs that has been told these events, and then how a wait ended."""

    async def tell() -> Tally:
        tally = Tally.of([subtask(1), subtask(2), agent()])
        for event in events:
            tally(event)
        tally.end(end)
        return tally

    return run_virtual(tell())


def test_a_tally_counts_by_endpoint() -> None:
    """Polls, misses and words are counted by endpoint; a job is what it was last seen as."""
    one, two = subtask(1).key, subtask(2).key
    seen, archived = Snapshot[Any](State.PROCESSING), Snapshot[Any](State.UNKNOWN, "archived")
    tally = told(
        Polled(one, seen, 1, 0.0),
        StateChanged(one, None, State.PROCESSING),
        Missed(two, OSError(), 1, 0.0),
        Polled(agent().key, archived, 1, 0.0),
        UnknownWord(agent().key, "archived"),
        end=Outcome(subtask(1), seen, WaitTimeout(seen, waited=1.0, polls=1)),
    )
    assert tally.polls == {"molizhishu.subtasks": 2, "bigmodel.agents": 1}
    assert tally.missed == {"molizhishu.subtasks": 1}
    assert tally.words == {"archived"}
    assert tally.endpoints() == ["bigmodel.agents", "molizhishu.subtasks"]
    assert [(row.endpoint, row.open) for row in tally.look().rows] == [
        ("bigmodel.agents", 1),
        ("molizhishu.subtasks", 2),
    ]
    [end] = tally.ends
    assert (end.state, end.at) == (State.UNKNOWN, 0.0)  # an error ended it


def test_the_table_of_the_demo_has_polls() -> None:
    """The drawn view has the polls of every endpoint."""
    good = Snapshot[Any](State.SUCCESS)
    progress = told(Polled(subtask().key, good, 1, 0.0), end=Outcome(subtask(), good)).look()
    assert progress.line() == "1 of 3 ended: 1 success; 1 polls"
    head, *rows = [
        line.replace("\u2501", "").replace("\u2578", "").replace("\u257a", "").split() for line in drawn(progress)
    ]
    assert head == ["endpoint", "open", "success", "failed", "timeout", "cancelled", "polls"]
    assert rows[:2] == [
        ["bigmodel.agents", "1", "0", "0", "0", "0", "0"],
        ["molizhishu.subtasks", "1", "1", "0", "0", "0", "1"],
    ]


# the view


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal of 80 columns."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return stream


def draw(*, plain: bool) -> None:
    """Draw once."""
    with view_of(lambda: PROGRESS, plain=plain) as view:
        view.draw()


def test_progress_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, with rich, the view is drawn in place, and is gone at the end."""
    terminal = open_terminal(monkeypatch)
    draw(plain=False)
    assert "vendor.things" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


@pytest.mark.parametrize("case", ["requested", "without rich"])
def test_plain_lines_can_be_had_on_a_terminal(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--plain`, or without rich, there are plain lines on a terminal, too."""
    terminal = open_terminal(monkeypatch)
    if case == "without rich":
        monkeypatch.setitem(sys.modules, "rich", None)
    draw(plain=case == "requested")
    assert terminal.getvalue() == "asyncpoll: 1 of 3 ended: 1 success; 1 polls\n"


def test_there_are_plain_lines_in_a_pipe(capsys: Output) -> None:
    """In a pipe there are plain lines."""
    draw(plain=False)
    assert capsys.readouterr().err == "asyncpoll: 1 of 3 ended: 1 success; 1 polls\n"


def drawing_times(seconds: float) -> list[float]:
    """Return when a view with a period of 2 s is drawn while something takes so many seconds."""
    times: list[float] = []

    async def watched() -> None:
        clock = asyncio.get_running_loop().time
        task = asyncio.create_task(asyncio.sleep(seconds))
        await follow(View(lambda: times.append(clock()), 2.0), task)

    run_virtual(watched())
    return times


def test_a_view_is_drawn_early_and_then_regularly() -> None:
    """The first time comes after a second, the others in the period."""
    assert drawing_times(6.0) == [1.0, 3.0, 5.0]
    assert drawing_times(0.5) == []


def test_the_demo_ends_what_it_watches() -> None:
    """When the demo is interrupted, its waits are ended first."""

    async def main_task() -> bool:
        task = asyncio.create_task(asyncio.sleep(60.0))
        watching = asyncio.create_task(_watch(View(lambda: None, 2.0), task))
        await asyncio.sleep(1.0)
        watching.cancel()
        await asyncio.wait({watching})
        return watching.cancelled() and task.cancelled()

    assert run_virtual(main_task())


def test_an_error_of_the_demo_is_raised() -> None:
    """An error of the waits is raised."""

    async def fail() -> None:
        raise RuntimeError("a defect")

    async def main_task() -> None:
        await _watch(View(lambda: None, 2.0), asyncio.create_task(fail()))

    with pytest.raises(RuntimeError, match="a defect"):
        run_virtual(main_task())
