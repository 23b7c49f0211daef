"""The parts of a run from the command line: valves, signals, options, and what is shown on the way."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from typing import Any, cast

import pytest
from rich.console import Console

from asyncpoll._schedule import Fixed
from asyncpoll.cli.parser import build_parser
from asyncpoll.cli.run import driving
from asyncpoll.cli.run.clients import Clients, Valve
from asyncpoll.cli.run.complaints import Complaints
from asyncpoll.cli.run.driving import view_of
from asyncpoll.cli.run.intake import Intake
from asyncpoll.cli.run.live import picture
from asyncpoll.cli.run.options import Options
from asyncpoll.cli.run.progress import Gauge, Progress, duration
from asyncpoll.cli.run.stop import halt, run_stoppable, stoppable
from asyncpoll.http._message import Reply, Request
from asyncpoll.ledger import Counts
from asyncpoll.testing import MemoryTransport, run_virtual
from asyncpoll.waiting._counters import Counters
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import Learned

Output = pytest.CaptureFixture[str]

COUNTS = Counts(
    12_000,
    7,
    {("a.x", "success"): 3, ("b.y", "failed"): 1, ("a.x", "failed"): 1},
    {("a.x", "Rejected"): 1, ("b.y", "WaitTimeout"): 1},
    0,
    {"b.y": 2000, "a.x": 10_000},
)


class Slow:
    """A transport that answers when it is told to, and counts."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.requests = 0

    async def send(self, request: Request, /) -> Reply:
        """Answer in a while."""
        self.requests += 1
        await self.go.wait()
        return Reply(200)


async def test_valve() -> None:
    """A valve that is shut lets what is under way come to its end, and nothing more through."""
    slow = Slow()
    valve = Valve(slow)
    under_way = asyncio.create_task(valve.send(Request("GET", "/a")))
    await asyncio.sleep(0)
    shutting = asyncio.create_task(valve.shut())
    await asyncio.sleep(0)
    late = asyncio.create_task(valve.send(Request("GET", "/b")))
    await asyncio.sleep(0)
    assert not shutting.done()
    slow.go.set()
    await shutting
    assert (await under_way).status == 200
    assert (late.done(), valve.requests) == (False, 1)
    await valve.shut()  # at once
    late.cancel()
    await asyncio.wait({late})


async def test_open_valve() -> None:
    """A valve that is open lets everything through, and counts where the transport does."""
    valve = Valve(MemoryTransport(lambda request: Reply(204)))
    assert (await valve.send(Request("GET", "/"))).status == 204
    assert isinstance(valve.requests, int)


async def test_one_client_for_each_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of one provider share a client and a lane."""
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "any")
    async with Clients({}) as clients:
        one = clients.job("molizhishu.tasks", {"task_id": "1"})
        two = clients.job("molizhishu.subtasks", {"task_id": "1", "sub_task_id": "2"})
        assert one.transport is two.transport
        assert isinstance(one.transport, Valve)


async def test_signals() -> None:
    """The first signal is an answer to be waited for, the second cancels, and afterwards they are as before."""
    before = signal.getsignal(signal.SIGTERM)

    async def run() -> None:
        with stoppable() as asked:
            os.kill(os.getpid(), signal.SIGTERM)
            await asked
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(10)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(run())
    assert signal.getsignal(signal.SIGTERM) is before


def test_cancelled_run() -> None:
    """A run that a second signal has cancelled ends as Ctrl-C ends other programs."""

    async def run() -> None:
        with stoppable():
            cast("asyncio.Task[None]", asyncio.current_task()).cancel()
            await asyncio.sleep(0)

    with pytest.raises(KeyboardInterrupt):
        run_stoppable(run())


async def test_halt() -> None:
    """An error asks for the end as a signal does; only the first reason counts."""
    with stoppable() as asked:
        halt(asked, ValueError("no key"))
        halt(asked, ValueError("another"))
        with pytest.raises(ValueError, match="no key"):
            await asked


async def test_no_signals_to_speak_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an event loop cannot catch signals, a run works all the same."""

    def refuse(*_: Any) -> None:
        raise NotImplementedError

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", refuse)
    monkeypatch.setattr(loop, "remove_signal_handler", refuse)
    with stoppable() as asked:
        assert not asked.done()


# options


def run_options(*arguments: str) -> Options:
    """Return the options that these arguments of `run` make."""
    return Options.of(build_parser().parse_args(["run", "-", *arguments]))


def test_usual_options() -> None:
    """What is not said is as usual: 100 polls at once, a day for each job, the usual schedule."""
    options = run_options("-o", "out.JSONL")
    assert (options.concurrency, options.rate, options.timeout, options.interval) == (100, None, 86_400.0, None)
    assert (options.input, options.format, options.links) == (None, "jsonl", False)
    assert isinstance(options.schedule(History()), Learned)


def test_options_as_given() -> None:
    """What is said counts, and the format of the results is what the name ends in unless it is said."""
    options = run_options("-o", "out.CSV", "--rate", "5", "--timeout", "none", "--interval", "2", "--concurrency", "7")
    assert (options.concurrency, options.rate, options.timeout) == (7, 5.0, None)
    assert (options.schedule(History()), options.format) == (Fixed(2.0), "csv")
    assert run_options("-o", "out.csv", "--format", "jsonl").format == "jsonl"


def test_kept_options() -> None:
    """Options come back from a ledger, but for those that are given anew; names of later versions are passed over."""
    kept = Options.kept({**run_options("-o", "o", "--rate", "5", "--concurrency", "7").plain(), "later": 1})
    changed = kept.changed(build_parser().parse_args(["resume", "o.ledger", "--rate", "none", "--timeout", "9"]))
    assert (kept.rate, kept.complete) == (5.0, False)
    assert (changed.concurrency, changed.rate, changed.timeout, changed.output) == (7, None, 9.0, kept.output)


def test_ledger_of_somebody_else() -> None:
    """A ledger that keeps no options was not made by the command line, and has no input left to be read."""
    assert Options.kept({}) == Options(complete=True)


# progress


def progress(**changes: Any) -> Progress:
    """Return how some run stands."""
    facts: dict[str, Any] = {"polls": 1234, "missed": 0, "throttled": 0, "poll_rate": 5.25, "left": None}
    return Progress(COUNTS, **{**facts, **changes})


def test_line() -> None:
    """The plain line says what has ended how, and how fast it goes; troubles and the time left where there are any."""
    ended = "7 of 12,000 ended: 3 success, 2 failed, 1 Rejected, 1 WaitTimeout"
    assert progress().line() == f"{ended}; 5.2 polls/s"
    busy = progress(poll_rate=1234.5, missed=30, left=90.0)
    assert busy.line() == f"{ended}; 1,234 polls/s; 30 of 1,234 polls missed; about 2 min left"
    assert "30 of 1,234 polls missed, 2 throttled" in progress(missed=30, throttled=2).line()


def test_durations() -> None:
    """A duration is in the unit that suits it."""
    assert [duration(seconds) for seconds in (0.4, 59, 61, 3599, 5400)] == ["0 s", "59 s", "1 min", "60 min", "1.5 h"]


def test_picture() -> None:
    """The drawn view has a row for every endpoint, and fits into 80 columns."""
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as drawn:
        console.print(picture(progress()))
    lines = [line.split() for line in drawn.get().splitlines()]
    assert lines[0] == ["endpoint", "open", "success", "failed", "timeout", "cancelled", "given", "up"]
    assert [line[0] for line in lines[1:3]] == ["a.x", "b.y"]
    assert [" ".join(line[-6:]) for line in lines[1:3]] == ["9,995 3 1 0 0 1", "1,998 0 1 0 0 1"]
    assert " ".join(lines[3]).startswith("7 of 12,000 ended; 1 Rejected; 1 WaitTimeout; 5.2 polls/s")


class Sampled:
    """What a gauge looks at of a ledger."""

    def __init__(self, *outcomes: int) -> None:
        self._outcomes = iter(outcomes)

    @property
    def counts(self) -> Counts:
        """How far it has come by now."""
        return Counts(1000, next(self._outcomes), {}, {}, 0, {})


def looked(*outcomes: int, complete: bool) -> list[Progress]:
    """Return what a gauge sees every 20 seconds while 100 polls are made in each second."""

    async def look() -> list[Progress]:
        counters, intake = Counters(), Intake(Clients({}), complete=complete)
        gauge: Any = Gauge
        gauge = gauge(Sampled(*outcomes), counters, intake)
        seen: list[Progress] = []
        for _ in outcomes:
            seen.append(gauge.look())
            await asyncio.sleep(20)
            counters.polls += 2000
        return seen

    return run_virtual(look())


def test_rates() -> None:
    """Rates are those of the last half minute; the time left follows from them once all jobs are known."""
    seen = looked(0, 0, 40, 80, complete=True)
    assert [round(each.poll_rate) for each in seen] == [0, 100, 100, 100]
    assert [each.left for each in seen] == [None, None, 480.0, 460.0]
    assert looked(0, 40, complete=False)[1].left is None


@pytest.mark.parametrize("case", ["no terminal", "plain", "picture"])
def test_view_that_suits(case: str, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture is drawn where somebody looks at a terminal; otherwise lines are printed."""
    terminal, plain = case != "no terminal", case == "plain"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    async def draw() -> None:
        gauge: Any = Gauge
        with view_of(gauge(Sampled(5), Counters(), Intake(Clients({}))), plain=plain) as view:
            view.draw()

    run_virtual(draw())
    err = capsys.readouterr().err
    assert ("asyncpoll: 5 of 1,000 ended: none; 0.0 polls/s\n" in err) is (plain or not terminal)


def test_without_rich(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rich there are plain lines on a terminal, too."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(driving, "find_spec", lambda name: None)
    gauge: Any = Gauge
    with view_of(gauge(Sampled(5), Counters(), Intake(Clients({}))), plain=False) as view:
        assert view.period == 5.0


def test_complaints_are_counted(capsys: Output) -> None:
    """Nothing is summed up where every bad line has been named."""
    Complaints().sum_up()
    assert capsys.readouterr().err == ""
