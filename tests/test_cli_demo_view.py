"""How the demo shows its progress: what is counted, and how it is drawn."""

from __future__ import annotations

import asyncio
import io
import sys
from collections import Counter
from typing import Any

import pytest
from cli_kit import agent, subtask
from rich.console import Console

from asyncpoll._errors import WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.cli.demo.live import picture
from asyncpoll.cli.demo.play import view_of
from asyncpoll.cli.demo.tally import Tally
from asyncpoll.cli.demo.view import follow, progress_line
from asyncpoll.cli.view import View
from asyncpoll.events import Event, Missed, Polled, StateChanged, UnknownWord
from asyncpoll.testing import run_virtual
from asyncpoll.waiting._run import Outcome

Output = pytest.CaptureFixture[str]


def told(*events: Event, end: Outcome[Any]) -> Tally:
    """Return a tally of three jobs that has been told these events, and then how a wait ended."""

    async def tell() -> Tally:
        tally = Tally.of([subtask(1), subtask(2), agent()])
        for event in events:
            tally(event)
        tally.end(end)
        return tally

    return run_virtual(tell())


def test_tally() -> None:
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
    assert tally.states_at("molizhishu.subtasks") == Counter({State.PROCESSING: 1, State.PENDING: 1})
    [end] = tally.ends
    assert (end.state, end.at) == (State.UNKNOWN, 0.0)  # an error ended it


def some_progress() -> Tally:
    """Return a tally in which one of three jobs has ended well."""
    good = Snapshot[Any](State.SUCCESS)
    return told(Polled(subtask().key, good, 1, 0.0), end=Outcome(subtask(), good))


def test_plain_line() -> None:
    """The plain view is one line about everything."""
    assert progress_line(some_progress()) == "1 of 3 ended: 1 success; 1 polls"


def test_picture() -> None:
    """The drawn view has a row and a bar for every endpoint, and fits into 80 columns."""
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as drawn:
        console.print(picture(some_progress()))
    head, *rows = [
        line.replace("\u2501", "").replace("\u2578", "").replace("\u257a", "").split()
        for line in drawn.get().splitlines()
    ]
    assert head == ["endpoint", "open", "success", "failed", "timeout", "cancelled", "polls"]
    assert rows == [
        ["bigmodel.agents", "1", "0", "0", "0", "0", "0"],
        ["molizhishu.subtasks", "1", "1", "0", "0", "0", "1"],
    ]


class Terminal(io.StringIO):
    """Standard error where somebody looks."""

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


def drawn_by(tally: Tally, *, plain: bool) -> None:
    """Draw once."""
    with view_of(tally, plain=plain) as view:
        view.draw()


def test_draws_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody looks and rich is there, the view is drawn in place, and is gone at the end."""
    terminal = open_terminal(monkeypatch)
    drawn_by(some_progress(), plain=False)
    assert "molizhishu.subtasks" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_plain_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--plain` is obeyed on a terminal, too."""
    terminal = open_terminal(monkeypatch)
    drawn_by(some_progress(), plain=True)
    assert terminal.getvalue() == "1 of 3 ended: 1 success; 1 polls\n"


def test_plain_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rich there are plain lines."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich", None)
    drawn_by(some_progress(), plain=False)
    assert terminal.getvalue() == "1 of 3 ended: 1 success; 1 polls\n"


def test_plain_in_a_pipe(capsys: Output) -> None:
    """In a pipe there are plain lines."""
    drawn_by(some_progress(), plain=False)
    assert capsys.readouterr().err == "1 of 3 ended: 1 success; 1 polls\n"


def drawing_times(seconds: float) -> list[float]:
    """Return when a view is drawn, every 2 s, while something takes so many seconds."""
    times: list[float] = []

    async def watched() -> None:
        clock = asyncio.get_running_loop().time
        await follow(View(lambda: times.append(clock()), 2.0), asyncio.create_task(asyncio.sleep(seconds)))

    run_virtual(watched())
    return times


def test_follow() -> None:
    """The view is drawn at once, in its period, and once more at the end."""
    assert drawing_times(5.0) == [0.0, 2.0, 4.0, 5.0]


def test_follow_ends_what_it_follows() -> None:
    """When the view is given up, the task is ended before that."""

    async def main_task() -> bool:
        task = asyncio.create_task(asyncio.sleep(60.0))
        watching = asyncio.create_task(follow(View(lambda: None, 2.0), task))
        await asyncio.sleep(1.0)
        watching.cancel()
        await asyncio.wait({watching})
        return watching.cancelled() and task.cancelled()

    assert run_virtual(main_task())


def test_failure_of_the_run_is_shown() -> None:
    """What the task raises is raised."""

    async def fail() -> None:
        raise RuntimeError("a defect")

    async def main_task() -> None:
        await follow(View(lambda: None, 2.0), asyncio.create_task(fail()))

    with pytest.raises(RuntimeError, match="a defect"):
        run_virtual(main_task())
