"""The parts of a run from the command line: clients, signals, options and bad lines."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any, cast

import pytest

from asyncpoll._errors import LedgerError
from asyncpoll._schedule import Fixed
from asyncpoll.cli._ingest import LineIngest
from asyncpoll.cli._lines import BadLines
from asyncpoll.cli._parser import build_parser
from asyncpoll.cli._run import Drive
from asyncpoll.cli._run_options import Options
from asyncpoll.cli._signals import halt, run_stoppable, stoppable
from asyncpoll.clients import Clients
from asyncpoll.clients._targets import Targets
from asyncpoll.testing import run_virtual
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import Learned

Output = pytest.CaptureFixture[str]


async def test_the_first_signal_asks_and_the_second_cancels() -> None:
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


def test_a_cancelled_run_ends_like_ctrl_c() -> None:
    """A run that a second signal has cancelled ends as Ctrl-C ends other programs."""

    async def run() -> None:
        with stoppable():
            cast("asyncio.Task[None]", asyncio.current_task()).cancel()
            await asyncio.sleep(0)

    with pytest.raises(KeyboardInterrupt):
        run_stoppable(run())


async def test_an_error_asks_for_the_end_like_a_signal() -> None:
    """An error asks for the end as a signal does; only the first reason counts."""
    with stoppable() as asked:
        halt(asked, ValueError("no key"))
        halt(asked, ValueError("another"))
        with pytest.raises(ValueError, match="no key"):
            await asked


async def test_a_loop_without_signals_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
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
    return Options.of(build_parser().parse_args(["run", "-", *arguments]), None, Targets())


def test_options_have_usual_values() -> None:
    """What is not said is as usual: 100 polls at once, a day for each job, the usual schedule."""
    options = run_options("-o", "out.JSONL")
    assert (options.concurrency, options.rate, options.timeout, options.interval) == (100, None, 86_400.0, None)
    assert (options.input, options.format, options.links) == (None, "jsonl", False)
    assert isinstance(options.schedule(History()), Learned)


def test_options_are_as_given() -> None:
    """What is said counts, and the format of the results is what the name ends in unless it is said."""
    options = run_options("-o", "out.CSV", "--rate", "5", "--timeout", "none", "--interval", "2", "--concurrency", "7")
    assert (options.concurrency, options.rate, options.timeout) == (7, 5.0, None)
    assert (options.schedule(History()), options.format) == (Fixed(2.0), "csv")
    assert run_options("-o", "out.csv", "--format", "jsonl").format == "jsonl"


def test_options_come_back_from_a_ledger() -> None:
    """Options come back from a ledger, but for those that are given anew; names of later versions are passed over."""
    kept = Options.kept({**run_options("-o", "o", "--rate", "5", "--concurrency", "7").plain(), "later": 1})
    changed = kept.changed(build_parser().parse_args(["resume", "o.ledger", "--rate", "none", "--timeout", "9"]))
    assert (kept.rate, kept.complete) == (5.0, False)
    assert (changed.concurrency, changed.rate, changed.timeout, changed.output) == (7, None, 9.0, kept.output)


def test_a_ledger_without_options_has_no_input_left() -> None:
    """A ledger that keeps no options was not made by the command line, and has no input left to be read."""
    assert Options.kept({}) == Options(complete=True)


# the results file


class Disk:
    """A ledger whose results file cannot be written at first."""

    stalled = None

    def __init__(self, *troubles: LedgerError | None) -> None:
        self._troubles = list(troubles)
        self.delivered = 0
        self.kept: list[Any] = []

    async def keep(self, options: dict[str, Any]) -> None:
        """Note what is to be kept."""
        self.kept.append(options["misses"])

    async def deliver(self, sink: object) -> None:
        """Fail as often as there are troubles."""
        trouble = self._troubles.pop(0) if self._troubles else None
        if trouble is not None:
            raise trouble
        self.delivered += 1


def deliver(*troubles: LedgerError | None) -> int:
    """Return how often the results file was brought up to date in 10 s, during which these troubles came."""

    async def deliver() -> int:
        parts: Any = {"ledger": Disk(*troubles), "hub": Hub(), "options": Options(output="out.jsonl")}
        drive: Any = Drive(clients=Clients(), ingest=LineIngest(Clients()), history=History(), **parts)
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await drive._keep_delivering()
        delivered: int = drive.ledger.delivered
        return delivered

    return run_virtual(deliver())


def test_a_full_disk_under_the_results_is_waited_out() -> None:
    """The run goes on, and the results are written when there is room again."""
    assert deliver() == 19
    assert deliver(*[LedgerError("out.jsonl cannot be used: no space left", kind="full")] * 4) == 15


def test_misses_are_kept_when_they_have_changed() -> None:
    """Every five seconds, for other processes to see; not again while nothing has changed."""

    async def kept() -> list[Any]:
        hub, disk = Hub(), Disk()
        parts: Any = {"ledger": disk, "hub": hub, "options": Options()}
        drive: Any = Drive(clients=Clients(), ingest=LineIngest(Clients()), history=History(), **parts)
        keeping = asyncio.create_task(drive._keep_delivering())
        for missed, seconds in ((0, 6.0), (1, 5.0), (1, 5.0), (2, 5.0)):
            hub.counters.polls = hub.counters.missed = missed
            hub.counters.last_miss = "cut"
            await asyncio.sleep(seconds)
        keeping.cancel()
        await asyncio.wait({keeping})
        return disk.kept

    assert run_virtual(kept()) == ["1 of 1 polls missed, the last one: cut", "2 of 2 polls missed, the last one: cut"]


def test_a_results_file_of_another_run_ends_the_run() -> None:
    """It would never pass."""
    with pytest.raises(LedgerError, match="another file"):
        deliver(LedgerError("out.jsonl is another file", kind="foreign"))


# bad lines


def test_nothing_is_summed_up_if_each_line_was_named(capsys: Output) -> None:
    """Nothing is summed up where every bad line has been named."""
    BadLines().summarize()
    assert capsys.readouterr().err == ""
