"""`asyncpoll export`: what is recorded, as lines or as a table."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest
from run_kit import make_ledger

from asyncpoll.cli import main

Output = pytest.CaptureFixture[str]


def export(ledger: Path, *arguments: object) -> int:
    """Run the verb."""
    return main(["export", str(ledger), *map(str, arguments)])


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger in which three of four jobs have an outcome."""
    return make_ledger(tmp_path / "run.db", "success", None, "failed", "WaitTimeout")


def test_outcomes_are_printed_as_lines(ledger: Path, capsys: Output) -> None:
    """Standard output gets one line of JSON for each outcome, in the order of recording."""
    assert export(ledger) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["ref"]["sub_task_id"] for line in lines] == ["1", "3", "4"]
    assert [line["state"] for line in lines] == ["success", "failed", "unknown"]
    assert lines[0]["value"]["text"] == "=é\u202e\n"


def test_a_csv_file_gets_a_table(ledger: Path, tmp_path: Path) -> None:
    """A file that ends in .csv gets a table with a header; reference and value are JSON in their cells."""
    assert export(ledger, "-o", tmp_path / "out.csv") == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [json.loads(row["ref"])["sub_task_id"] for row in rows] == ["1", "3", "4"]
    assert json.loads(rows[0]["value"])["text"] == "=é\u202e\n"


def test_a_long_table_has_one_header(tmp_path: Path, capsys: Output) -> None:
    """A table of many outcomes has one header."""
    ledger = make_ledger(tmp_path / "run.db", *["success"] * 501)
    assert export(ledger, "--format", "csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 502
    assert [line.startswith("endpoint,") for line in lines].count(True) == 1


def test_a_run_without_outcomes_is_exported_as_nothing(tmp_path: Path, capsys: Output) -> None:
    """A run without outcomes is exported as nothing."""
    assert export(make_ledger(tmp_path / "run.db", None)) == 0
    assert capsys.readouterr().out == ""


def test_links_are_masked(ledger: Path, capsys: Output) -> None:
    """What the ledger masked is not brought back."""
    assert export(ledger) == 0
    assert "canary" not in capsys.readouterr().out


def test_the_file_is_replaced_as_a_whole(ledger: Path, tmp_path: Path) -> None:
    """A file is replaced as a whole, and is as open as the umask says."""
    (tmp_path / "out.jsonl").write_text("old")
    assert export(ledger, "-o", tmp_path / "out.jsonl") == 0
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 3
    (tmp_path / "other").touch()
    assert mode_of(tmp_path / "out.jsonl") == mode_of(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out.jsonl", "run.db"]


def mode_of(path: Path) -> int:
    """Return who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_ledger_is_not_replaced(ledger: Path, capsys: Output) -> None:
    """The ledger itself is no place for its export."""
    before = ledger.read_bytes()
    assert export(ledger, "-o", ledger) == 2
    assert "is the ledger itself" in capsys.readouterr().err
    assert ledger.read_bytes() == before


def test_a_file_that_cannot_be_made_is_named(ledger: Path, tmp_path: Path, capsys: Output) -> None:
    """A directory, and a file in one that is not there, are one line and 2."""
    assert export(ledger, "-o", tmp_path / "nowhere" / "out") == 2
    assert capsys.readouterr().err == f"asyncpoll: there is no directory {tmp_path}/nowhere; make it first\n"
    assert export(ledger, "-o", tmp_path) == 2
    assert capsys.readouterr().err == f"asyncpoll: {tmp_path} is a directory; name a file in it\n"


def test_a_damaged_ledger_leaves_the_file_as_it_was(ledger: Path, tmp_path: Path, capsys: Output) -> None:
    """A ledger that is damaged is one line and 6, and the file that was there before stays."""
    content = bytearray(ledger.read_bytes())
    place = content.rindex(b"WaitTimeout")
    content[place : place + 4] = b"Lost"
    ledger.write_bytes(content)
    (tmp_path / "out.jsonl").write_text("old")
    assert export(ledger, "-o", tmp_path / "out.jsonl") == 6
    assert "damaged" in capsys.readouterr().err
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "run.db"]
