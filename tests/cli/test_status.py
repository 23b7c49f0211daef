"""`asyncpoll status`: how far a run has come, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from run_kit import make_ledger

from asyncpoll.cli import main
from asyncpoll.ledger import Ledger, OutcomeInput
from asyncpoll.ledger._lock import Lock

Output = pytest.CaptureFixture[str]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger in which four of five jobs have an outcome."""
    return make_ledger(tmp_path / "run.db", "success", None, "failed", "WaitTimeout", "success")


def status(ledger: Path, capsys: Output) -> dict[str, Any]:
    """Return what the verb says to programs."""
    assert main(["status", str(ledger), "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_the_page_tells_how_many_ended_how(ledger: Path, capsys: Output) -> None:
    """People are told how many jobs of which endpoint ended how, and whether a process is at it."""
    assert main(["status", str(ledger)]) == 0
    first, second, *table = capsys.readouterr().out.splitlines()
    assert first == "4 of 5 jobs finished; not running"
    assert second.startswith("made 2")
    assert "of work in 1 session, " in second
    assert [line.split()[1:] for line in table[3:]] == [
        ["failed", "1"],
        ["success", "2"],
        ["WaitTimeout", "1"],
        ["unfinished", "1"],
    ]


def test_programs_are_told_the_same_as_json(ledger: Path, capsys: Output) -> None:
    """Programs are told the same as one line of JSON."""
    said = status(ledger, capsys)
    assert (said["jobs"], said["ended"], said["sessions"], said["anomalies"]) == (5, 4, 1, 0)
    assert (said["ledger"], said["process"]) == (str(ledger), None)
    assert said["endpoints"] == {"molizhishu.subtasks": {"failed": 1, "success": 2, "WaitTimeout": 1, "unfinished": 1}}


def test_a_run_without_jobs_has_no_table(tmp_path: Path, capsys: Output) -> None:
    """A run without jobs has no table."""
    assert main(["status", str(make_ledger(tmp_path / "run.db"))]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_process_that_runs_it_is_named(ledger: Path, capsys: Output) -> None:
    """While a process is at the ledger, it is named."""
    lock = Lock(ledger)
    lock.take()
    try:
        assert f"process {os.getpid()} on " in status(ledger, capsys)["process"]
    finally:
        lock.release()


def contradict(ledger: Path) -> None:
    """Have the first job reported again, with another outcome."""

    async def report() -> None:
        async with Ledger(ledger) as again:
            assert await again.record(OutcomeInput(number=1, state="failed")) is None

    asyncio.run(report())


def test_anomalies_are_shown(tmp_path: Path, capsys: Output) -> None:
    """A job that was reported again with another outcome is counted."""
    ledger = make_ledger(tmp_path / "run.db", "success")
    contradict(ledger)
    assert status(ledger, capsys)["anomalies"] == 1
    assert main(["status", str(ledger)]) == 0
    assert "1 job reported again with another outcome" in capsys.readouterr().out


def test_a_missing_ledger_is_one_line(tmp_path: Path, capsys: Output) -> None:
    """A ledger that is not there is one line and 2; none is made."""
    assert main(["status", str(tmp_path / "run.db")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
