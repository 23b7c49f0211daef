"""A view of how far waits have come: what it says, how it is drawn, and what it leaves behind."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hub_kit import PENDING, SUCCESS, in_hub
from telemetry_kit import FAILED, job_of

from asyncpoll import Fixed, Hub, Job, Learned
from asyncpoll.progress import Position, Watched, progress


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def jobs_of(count: int, polls: int = 3) -> list[Job[Any]]:
    """Return jobs that end one after the other, each at a further poll, and fail if they are the first."""
    ends = [FAILED, *[SUCCESS] * (count - 1)]
    return [job_of(*[PENDING] * (polls + number), end, ref=str(number)) for number, end in enumerate(ends)]


def shown(view: Any, file: io.StringIO, **options: Any) -> str:
    """Wait for three jobs, and return what is written meanwhile."""

    async def work(hub: Hub) -> None:
        async with hub.as_completed(jobs_of(3), timeout=60.0) as run, progress(run, view=view, file=file, **options):
            async for _ in run:
                pass
            await asyncio.sleep(1.0)

    in_hub(work)
    return file.getvalue()


# what it says


def test_a_line_tells_all_of_it() -> None:
    """How many of all have ended and how, the rate, the time, the rest, and the last miss."""
    position = Position(75.0, 1200, 40, {"success": 39, "failed": 1}, 12.0, 4000.0, 90, 2, "connection\nreset")
    assert position.line() == (
        "40 of 1,200 ended; 1 failed, 39 success; 12/s; 1 min elapsed; about 1.1 h left; "
        "2 of 90 polls missed, the last one: connection reset"
    )


def test_what_is_not_known_is_not_said() -> None:
    """At the beginning of an endless source, and without a miss."""
    assert Position(2.0, None, 0, {}, 0.0, None, 0, 0, None).line() == "0 ended; 0.0/s; 2 s elapsed"
    assert Position(2.0, 4, 4, {}, 2.0, 0.0, 4, 0, None).line() == "4 of 4 ended; 2.0/s; 2 s elapsed"


def test_plain_lines_come_by_a_timer() -> None:
    """Every five seconds unless told otherwise."""
    lines = shown("plain", io.StringIO(), interval=1.5).splitlines()
    assert lines[0] == "0 of 3 ended; 0.0/s; 2 s elapsed"
    assert lines[2].startswith("2 of 3 ended; 1 failed, 1 success; 0.4/s; 4 s elapsed; about ")
    assert len(shown("plain", io.StringIO()).splitlines()) == 1


def test_misses_are_told_with_the_last_reason() -> None:
    """Of the hub whose run it is."""
    file = io.StringIO()

    async def work(hub: Hub) -> None:
        async with progress(hub, view="plain", file=file, interval=2.5):
            await hub.wait_all([job_of(PENDING, OSError("cut"), PENDING, SUCCESS)], timeout=60.0)

    in_hub(work)
    assert file.getvalue().splitlines()[0].endswith("1 of 3 polls missed, the last one: cut")


def positions(work: Callable[[Hub, Callable[[], Position]], Awaitable[None]], **options: Any) -> None:
    """Do some work in a hub with a function that returns its position."""

    async def main(hub: Hub) -> None:
        async with progress(hub, file=io.StringIO()) as look:
            await work(hub, look)

    in_hub(main, **options)


def test_a_hub_counts_all_its_waits() -> None:
    """Those that it awaits, and those that have ended."""

    async def work(hub: Hub, look: Callable[[], Position]) -> None:
        await hub.wait_all(jobs_of(2), timeout=60.0)
        waiting = asyncio.create_task(hub.wait_all([job_of(PENDING, PENDING, SUCCESS)], timeout=60.0))
        await asyncio.sleep(1.0)
        position = look()
        assert (position.total, position.done, position.outcomes) == (3, 2, {"failed": 1, "success": 1})
        await waiting

    positions(work)


def test_the_end_is_expected_from_the_rate() -> None:
    """Where nothing was learned: the rest takes as long for each job as those before, over half a minute."""

    async def work(hub: Hub, look: Callable[[], Position]) -> None:
        waiting = asyncio.create_task(hub.wait_all(jobs_of(5, polls=10), timeout=60.0))
        await asyncio.sleep(2.5)
        assert look().left is None
        await asyncio.sleep(10.0)
        assert look().rate == pytest.approx(3 / 12.5)
        assert look().left == pytest.approx(2 * 12.5 / 3)
        await waiting
        await asyncio.sleep(31.0)
        assert look().rate == 0.0

    positions(work, schedule=Fixed(1.0))


def test_the_end_is_expected_from_what_was_learned() -> None:
    """Jobs that took twenty seconds are expected to do so again, not by the rate."""
    learned = Learned()
    for _ in range(30):
        learned.observe(19.9, 20.1, state="processing", key="acme.renders")

    async def work(hub: Hub, look: Callable[[], Position]) -> None:
        waiting = asyncio.create_task(hub.wait_all([job_of(*[PENDING] * 500)], timeout=600.0))
        await asyncio.sleep(5.0)
        first = look().left
        assert first is not None
        assert 10.0 < first < 25.0
        await asyncio.sleep(0.5)
        assert look().left == pytest.approx(first - 0.5)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert hub.time_left() == 0.0

    positions(work, schedule=learned)


def test_jobs_that_have_not_entered_are_expected_by_the_rate() -> None:
    """What was learned says nothing about when they enter."""
    learned = Learned(hint=2.0, min_interval=0.5, max_interval=0.5)
    for _ in range(30):
        learned.observe(1.9, 2.1, state="processing", key="acme.renders")
    file, halfway = io.StringIO(), list[Position]()

    async def work(hub: Hub) -> None:
        jobs = [job_of(PENDING, PENDING, SUCCESS, ref=str(number)) for number in range(40)]
        async with hub.as_completed(jobs, timeout=600.0, max_pending=2) as run, progress(run, file=file) as look:
            async for _ in run:
                if run.done == 20:
                    halfway.append(look())
        assert halfway[0].left == pytest.approx(20 / halfway[0].rate)

    in_hub(work, schedule=learned)


def test_a_run_counts_an_endless_source_as_it_comes() -> None:
    """The total is known once the source has come to its end."""
    totals: list[int | None] = []

    async def source() -> AsyncIterator[Job[Any]]:
        for job in jobs_of(2):
            yield job
            await asyncio.sleep(10.0)

    async def work(hub: Hub) -> None:
        run = hub.as_completed(source(), timeout=60.0)
        assert (run.total, run.done) == (None, 0)
        async with run, progress(run, file=io.StringIO()) as look:
            async for _ in run:
                totals.append(look().total)
                await asyncio.sleep(11.0)
            assert (look().total, look().done, look().left) == (2, 2, 0.0)
            assert run.outcomes == {"failed": 1, "success": 1}

    in_hub(work)
    assert totals[0] is None


# how it is drawn


def test_it_is_silent_without_a_terminal() -> None:
    """Standard output that goes into a file or a pipe gets nothing."""
    assert shown("auto", io.StringIO()) == ""


def test_rich_draws_in_place_and_wipes_it() -> None:
    """The cursor is hidden and shown again, and the last line is erased."""
    text = shown("auto", Terminal())
    assert "3 of 3 ended; 1 failed, 2 success" in " ".join(text.split())
    assert text.index("\x1b[?25l") < text.rindex("\x1b[?25h")
    assert text.rstrip().endswith("\x1b[2K")


def test_tqdm_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no rich; its bar is gone at the end, too."""
    monkeypatch.setitem(sys.modules, "rich", None)
    text = shown("auto", Terminal())
    assert "| 3/3, 1 failed, 2 success; " in text
    assert text.endswith("\r")


def test_lines_are_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is neither."""
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert shown("auto", Terminal()).count("\n") == 1


def test_a_notebook_shows_it_below_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """One output is drawn anew, as HTML with a bar, in any notebook that has the displays of IPython."""
    updates: list[dict[str, str]] = []
    handle = SimpleNamespace(update=lambda data, raw: updates.append(data) if raw else None)
    ipython: Any = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    shows: Any = SimpleNamespace(display=lambda _data, *, raw, display_id: handle if raw and display_id else None)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shows)
    assert shown("auto", io.StringIO()) == ""
    assert updates[-1]["text/html"].startswith('<progress max="3" value="3"></progress> 3 of 3 ended; ')
    assert updates[-1]["text/plain"].startswith("3 of 3 ended; ")


def test_ipython_in_a_terminal_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a kernel shows displays."""
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert "\x1b[?25h" in shown("auto", Terminal())


@pytest.mark.parametrize("view", ["rich", "tqdm"])
def test_a_total_that_is_not_known_is_drawn_too(view: Any) -> None:
    """A generator has no length."""
    file = Terminal()

    async def work(hub: Hub) -> None:
        jobs = (job for job in jobs_of(3))
        async with hub.as_completed(jobs, timeout=60.0, max_pending=1) as run, progress(run, view=view, file=file):
            async for _ in run:
                pass

    in_hub(work)
    assert "1 failed" in file.getvalue()


# accidents


class Gone(Terminal):
    """A terminal that has been closed."""

    def write(self, _text: str, /) -> int:
        """Fail."""
        raise BrokenPipeError("gone")


@pytest.mark.parametrize("view", ["plain", "tqdm"])
def test_a_view_that_fails_breaks_no_wait(view: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is told by the log, and not drawn again."""
    with caplog.at_level(logging.ERROR):
        try:
            shown(view, Gone(), interval=0.5)
        except BrokenPipeError:  # tqdm writes when it is opened; nothing has been awaited then
            assert view == "tqdm"
    assert sum("cannot be shown" in record.getMessage() for record in caplog.records) == (view == "plain")


def test_the_error_of_the_block_is_the_one_that_is_raised() -> None:
    """And the terminal is clean."""
    file = Terminal()

    async def work(hub: Hub) -> None:
        async with progress(hub, file=file):
            await asyncio.sleep(1.0)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        in_hub(work)
    assert file.getvalue().rstrip().endswith(("\x1b[2K", "\x1b[?25h"))


def test_what_is_neither_a_hub_nor_a_run_is_refused() -> None:
    """By name, before anything is drawn."""
    given: Any = [job_of(SUCCESS)]

    async def main(_: Hub) -> None:
        async with progress(given):
            pass

    with pytest.raises(TypeError, match="needs a Hub or a run"):
        in_hub(main)


def test_a_view_that_does_not_exist_is_refused() -> None:
    """The error lists those that do."""
    with pytest.raises(ValueError, match="rich"):
        shown("curses", io.StringIO())


def test_a_hub_that_is_not_open_yet_has_come_nowhere() -> None:
    """The view may be opened before the hub."""

    async def main(_: Hub) -> None:
        later = Hub(schedule=Fixed(1.0))
        async with progress(later, file=io.StringIO()) as look:
            assert (look().total, look().done, look().left) == (0, 0, None)

    in_hub(main)


def test_a_run_is_what_a_view_needs() -> None:
    """It has every member of the protocol."""

    async def main(hub: Hub) -> None:
        assert isinstance(hub.as_completed([], timeout=1.0), Watched)

    in_hub(main)
