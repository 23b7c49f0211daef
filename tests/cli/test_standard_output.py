"""Standard output that cannot take the results: it is said, whatever the verb and the buffering."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_kit import make_ledger
from server_kit import PATIENCE

FULL = Path("/dev/full")
MEASURED = ["export", "report"]  # coverage; the other verbs write as these do
VERBS = [
    *MEASURED,
    *(
        pytest.param(verb, marks=pytest.mark.no_cover)
        for verb in ("export-csv", "status", "status-json", "endpoints", "help", "version")
    ),
]

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with more outcomes than fit into one buffer."""
    return make_ledger(tmp_path_factory.mktemp("ledger") / "run.db", *["success"] * 600)


def command(verb: str, ledger: Path) -> list[str]:
    """Return the command that prints something."""
    arguments = {
        "export": ["export", str(ledger)],
        "export-csv": ["export", str(ledger), "--format", "csv"],
        "status": ["status", str(ledger)],
        "status-json": ["status", str(ledger), "--json"],
        "report": ["report", str(ledger), "-o", "-"],
        "endpoints": ["endpoints"],
        "help": ["wait", "--help"],
        "version": ["--version"],
    }
    return [sys.executable, "-m", "asyncpoll", *arguments[verb]]


def printed(verb: str, ledger: Path, unbuffered: str, output: int) -> tuple[int, str]:
    """Return exit status and standard error of a verb with this standard output."""
    done = subprocess.run(
        command(verb, ledger),
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_reported(verb: str, unbuffered: str, ledger: Path) -> None:
    """One line and 6, never success."""
    with FULL.open("wb") as output:
        status, err = printed(verb, ledger, unbuffered, output.fileno())
    assert (status, err) == (6, "asyncpoll: standard output cannot be used: No space left on device\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_part_is_not_taken_for_the_whole(unbuffered: str, ledger: Path) -> None:
    """A pipe that takes only as much as fits into it, and does not wait, is reported."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        status, err = printed("export", ledger, unbuffered, writer)
    finally:
        os.close(reader)
        os.close(writer)
    assert status == 6
    assert err.startswith("asyncpoll: standard output cannot be used: ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_closed_pipe_is_not_a_success(verb: str, unbuffered: str, ledger: Path) -> None:
    """When the reader has gone the process ends without a word, with the status that shells know."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert printed(verb, ledger, unbuffered, writer) == (141, "")
    finally:
        os.close(writer)
