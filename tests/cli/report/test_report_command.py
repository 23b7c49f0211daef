"""The command `asyncpoll report`: from a ledger to a page."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import process
from ledger_kit import QUICK, directory, filled, in_run, journal_of
from report_kit import Seen, run_of
from server_kit import PATIENCE

from asyncpoll._state import State
from asyncpoll.cli import Exit, main
from asyncpoll.cli.report import ledger_info_of, stats_of
from asyncpoll.cli.report._stats import RunVerdict
from asyncpoll.ledger import Counts, Ledger, OutcomeInput, Reader
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._history import History

Output = pytest.CaptureFixture[str]


@pytest.fixture
def place() -> Iterator[Path]:
    """Yield a directory in memory."""
    with directory() as path:
        yield path


@pytest.fixture
def run_db(place: Path) -> Path:
    """Write a ledger with 10 jobs, 6 of them ended."""
    filled(place / "run.db")
    return place / "run.db"


async def write_run(path: Path, jobs: int) -> None:
    """Write a ledger of a made-up run, in which every tenth job is unfinished."""
    records = list(run_of(jobs))
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter([(one.key, one.endpoint, one.ref) for one in records])
        ended = (
            OutcomeInput(
                number=one.number,
                state=one.state,
                status=one.status,
                value={"text": "treasure"},
                reason=one.reason,
                code=one.code,
                error=one.error,
                polls=one.polls,
                waited=one.waited,
                running=one.running,
            )
            for one in records
            if one.number % 10
        )
        await asyncio.gather(*map(ledger.record, ended))


def test_a_page_is_written(run_db: Path, capsys: Output) -> None:
    """The page is in the named file and has the counts of the ledger; nothing is printed."""
    page = run_db.with_name("report.html")
    assert main(["report", str(run_db), "-o", str(page)]) == Exit.SUCCESS
    text = Seen.of(page.read_text(encoding="utf-8")).text
    assert "6 of 10 jobs succeeded; 4 are unfinished." in text
    assert text.strip().startswith("run.db: asyncpoll report")
    assert "1 session, " in text
    assert capsys.readouterr() == ("", "")
    assert sorted(one.name for one in run_db.parent.iterdir()) == ["report.html", "run.db"]


def test_the_page_can_be_piped(run_db: Path) -> None:
    """With `-o -` the page goes to standard output in UTF-8, whatever the encoding of the terminal."""
    with process("report", str(run_db), "-o", "-", env={**os.environ, "PYTHONIOENCODING": "ascii"}) as child:
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, err) == (0, "")
    assert "6 of 10 jobs succeeded" in Seen.of(out).text


def test_the_statistics_are_those_of_the_ledger(place: Path) -> None:
    """Counts by endpoint and verdict, polls and times are the ledger's own, to the last job."""
    asyncio.run(write_run(place / "run.db", 1_000))
    with Reader(place / "run.db") as reader:
        counts, records, stats, info = reader.counts, list(reader.records()), stats_of(reader), ledger_info_of(reader)
    told = stats.counts()
    assert told.total() == counts.entries == 1_000
    assert told[RunVerdict.UNFINISHED] == counts.unfinished == 100
    ended = Counter(dict.fromkeys(counts.by_endpoint, 0))
    for table in (counts.by_state, counts.by_error):
        for (endpoint, _), jobs in table.items():
            ended[endpoint] += jobs
    for endpoint, jobs in counts.by_endpoint.items():
        mine = stats.counts(endpoint)
        assert mine.total() == jobs
        assert mine[RunVerdict.UNFINISHED] == jobs - ended[endpoint]
        assert mine[RunVerdict.SUCCEEDED] == counts.by_state[endpoint, "success"]
        assert mine[RunVerdict.GAVE_UP] == counts.by_error.get((endpoint, "WaitTimeout"), 0)
    assert sorted(stats.select().waited) == sorted(record.waited for record in records)
    assert stats.select().polls == Counter(record.polls for record in records)
    assert (info.name, info.sessions, info.anomalies) == ("run.db", 1, 0)


def test_unfinished_jobs_have_their_last_state(place: Path) -> None:
    """Unfinished jobs are counted by the last state in the ledger."""

    async def work(_hub: Hub, ledger: Ledger) -> None:
        await ledger.enter([(f"a:{number}", "a", {}) for number in range(1, 5)])
        for number in (1, 2):
            journal_of(ledger).pending.checkpoint(number, WaitCheckpoint(polls=1, state=State.PENDING))
        await asyncio.sleep(3)
        await ledger.record(OutcomeInput(number=4, state="success"))

    in_run(place / "run.db", work)
    assert main(["report", str(place / "run.db"), "-o", str(place / "report.html")]) == Exit.SUCCESS
    tables = Seen.of((place / "report.html").read_text(encoding="utf-8")).tables
    assert tables["Jobs without an outcome"][1:] == [["2", "a", "pending"], ["1", "a", "not seen yet"]]


async def test_the_history_of_the_ledger_is_shown(place: Path) -> None:
    """The history among the options of the ledger is the one that the curve shows."""
    history = History()
    for _ in range(9):
        history.add("a", "processing", 100.0, 101.0)
    async with Ledger(place / "run.db", settings=QUICK) as ledger:
        await ledger.keep({"history": history.to_json()})
        await ledger.enter([("a:1", "a", {})])
        await ledger.record(OutcomeInput(number=1, state="success", polls=3, waited=10.0, running=9.0))
    assert main(["report", str(place / "run.db"), "-o", str(place / "report.html")]) == Exit.SUCCESS
    text = Seen.of((place / "report.html").read_text(encoding="utf-8")).text
    assert re.search(r"Half of such jobs are processed for more than 1 min 4[01] s, as learned from 9 jobs\.", text)


def test_no_result_gets_onto_the_page(place: Path) -> None:
    """The results of the jobs are in the ledger and not on the page."""
    asyncio.run(write_run(place / "run.db", 100))
    assert main(["report", str(place / "run.db"), "-o", str(place / "report.html")]) == Exit.SUCCESS
    assert "treasure" not in (place / "report.html").read_text(encoding="utf-8")
    assert b"treasure" in (place / "run.db").read_bytes()


async def test_a_run_in_progress_can_be_shown(place: Path) -> None:
    """While a process writes the ledger the page shows all that is committed."""
    async with Ledger(place / "run.db", settings=QUICK) as ledger:
        await ledger.enter([(f"a:{number}", "a", {}) for number in range(1, 5)])
        await ledger.record(OutcomeInput(number=2, state="success"))
        with Reader(ledger.path) as reader:
            shown = stats_of(reader).counts()
    assert shown == {RunVerdict.SUCCEEDED: 1, RunVerdict.UNFINISHED: 3}


class EarlyReader(Reader):
    """A reader whose counts stay those of its first look, as if outcomes came in between."""

    _first: Counts | None = None

    @property
    def counts(self) -> Counts:
        """The counts of the first look."""
        self._first = self._first or super().counts
        return self._first


async def test_outcomes_recorded_meanwhile_are_left_out(place: Path) -> None:
    """An outcome that is recorded after the counts were read is left out as a whole: its job is unfinished."""
    async with Ledger(place / "run.db", settings=QUICK) as ledger:
        await ledger.enter([(f"a:{number}", "a", {}) for number in (1, 2)])
        await ledger.record(OutcomeInput(number=1, state="success"))
        with EarlyReader(ledger.path) as reader:
            assert reader.counts.outcomes == 1
            await ledger.record(OutcomeInput(number=2, state="failed"))
            shown = stats_of(reader).counts()
    assert shown == {RunVerdict.SUCCEEDED: 1, RunVerdict.UNFINISHED: 1}


def test_without_jinja_one_line_says_what_to_do(run_db: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    """Where Jinja2 is not installed, nothing is written, and the message names the extra that installs it."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", str(run_db), "-o", str(run_db.with_name("report.html"))]) == Exit.USAGE
    assert (
        capsys.readouterr().err == "asyncpoll: a report needs Jinja2; install it with: pip install 'asyncpoll[cli]'\n"
    )
    assert not run_db.with_name("report.html").exists()


def test_a_file_name_that_is_not_text_can_be_shown(place: Path) -> None:
    """A ledger whose name is not UTF-8 has a page, with the bad bytes replaced."""
    path = place / os.fsdecode(b"run-\xff<b>.db")
    filled(path)
    assert main(["report", str(path), "-o", str(place / "report.html")]) == Exit.SUCCESS
    assert "run- <b>.db" in Seen.of((place / "report.html").read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    "name", ["run.db", "run.db-journal", "run.db-wal", "run.db-shm", "run.db.lock", "link", "twin"]
)
def test_the_ledger_is_never_replaced(run_db: Path, name: str, capsys: Output) -> None:
    """A page that would replace the ledger, or a file that belongs to it, is refused by any name."""
    run_db.with_name("link").symlink_to("run.db")
    run_db.with_name("twin").hardlink_to(run_db)
    before = run_db.read_bytes()
    assert main(["report", str(run_db), "-o", str(run_db.with_name(name))]) == Exit.USAGE
    assert capsys.readouterr().err.endswith(f"{name} belongs to the ledger; choose another --output\n")
    assert run_db.read_bytes() == before


def test_a_directory_or_device_is_never_replaced(run_db: Path, capsys: Output) -> None:
    """A directory or a device as the output is an error."""
    assert main(["report", str(run_db), "-o", str(run_db.parent)]) == Exit.USAGE
    assert "is not a file; give --output the name of a file, or - for standard output" in capsys.readouterr().err
    assert main(["report", str(run_db), "-o", os.devnull]) == Exit.USAGE


def test_an_old_page_is_replaced(run_db: Path) -> None:
    """A page of that name is replaced; a link to it stays a link; the mode is up to the umask."""
    page, link = run_db.with_name("report.html"), run_db.with_name("latest.html")
    page.write_text("old")
    link.symlink_to(page)
    before = os.umask(0o027)
    try:
        assert main(["report", str(run_db), "-o", str(link)]) == Exit.SUCCESS
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert page.stat().st_mode & 0o777 == 0o640


def test_a_missing_ledger_leaves_the_old_page(place: Path, capsys: Output) -> None:
    """Without a ledger nothing is written, and one line says why."""
    page = place / "report.html"
    page.write_text("old")
    assert main(["report", str(place / "none.db"), "-o", str(page)]) == Exit.USAGE
    assert capsys.readouterr().err.count("\n") == 1
    assert page.read_text() == "old"


def test_a_broken_pipe_ends_the_command_quietly(run_db: Path) -> None:
    """When standard output is closed, the process prints nothing and exits with 141."""
    with process("report", str(run_db), "-o", "-") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(PATIENCE) == Exit.BROKEN_PIPE
