"""A process that is killed at any moment loses nothing, repeats nothing, and breaks nothing."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

import killed_run
import pytest
from ledger_kit import directory
from run_kit import until

import asyncpoll
from asyncpoll.ledger import Reader

MOST_ALIVE = 0.05  # seconds until the kill, at most, once the run has come as far as it is to
MOST_POLLS = 20


class Sessions:
    """Processes that go on with a run, one after the other.

    Args:
        place: Where the run's files are.
        jobs: How many jobs it has.
    """

    def __init__(self, place: Path, jobs: int) -> None:
        command = [sys.executable, killed_run.__file__, str(place), str(jobs)]
        environment = {**os.environ, "PYTHONPATH": str(Path(str(asyncpoll.__file__)).parents[1])}
        self._place = place
        self._parent = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate()

    def kill(self, session: int, chance: random.Random) -> int:
        """Go on with the run for a moment, sometimes not even until the ledger is open; return the exit status."""
        pid = int(self._begin(session))
        if chance.random() < 0.8:
            assert self._said() == "open"
            polls = chance.randrange(MOST_POLLS)
            until(lambda: len(refs_polled(self._place, session)) >= polls)  # a busy machine gets as far as a quick one
        time.sleep(chance.random() * MOST_ALIVE)
        os.kill(pid, signal.SIGKILL)
        return int(self._said().replace("open", "") or self._said())

    def finish(self, session: int) -> int:
        """Go on with the run to its end; return the exit status."""
        self._begin(session)
        assert self._said() == "open"
        return int(self._said())

    def _begin(self, session: int) -> str:
        print(session, file=self._parent.stdin, flush=True)
        return self._said()

    def _said(self) -> str:
        assert self._parent.stdout is not None
        return self._parent.stdout.readline().strip()


def refs_done(place: Path) -> set[int]:
    """Return the jobs that have an outcome, and see that each has one."""
    if not (place / "run.db").exists():
        return set()
    with Reader(place / "run.db") as reader:
        refs = [record.ref["id"] for record in reader.records()]
    assert len(refs) == len(set(refs))
    return set(refs)


def refs_polled(place: Path, session: int) -> set[int]:
    """Return the jobs that a session asked about."""
    log = place / f"polled-{session}"
    return {int(line) for line in log.read_text().splitlines()} if log.exists() else set()


def lines_of(place: Path) -> list[Any]:
    """Return the lines of the file of JSON."""
    return [json.loads(line) for line in (place / "out.jsonl").read_text(encoding="utf-8").splitlines()]


def killed_again_and_again(place: Path, kills: int, jobs: int, seed: int) -> None:
    """Kill a run so many times, then let it come to its end, and see what became of it."""
    chance = random.Random(seed)
    done: set[int] = set()
    with Sessions(place, jobs) as sessions:
        for session in range(kills):
            assert sessions.kill(session, chance) == -signal.SIGKILL
            assert refs_polled(place, session) & done == set()
            before, done = done, refs_done(place)
            assert before <= done
        assert 0 < len(done) < jobs
        assert sessions.finish(kills) == 0
    assert refs_polled(place, kills) & done == set()
    with Reader(place / "run.db") as reader:
        assert reader.check() == []
        assert (reader.counts.outcomes, reader.counts.anomalies) == (jobs, 0)
        assert [record.value for record in reader.records()] == [
            killed_run.value_of(record.ref["id"]) for record in reader.records()
        ]
        lines = [record.line() for record in reader.records()]
    assert lines_of(place) == lines
    with (place / "out.csv").open(encoding="utf-8", newline="") as file:
        delivered = Counter(int(json.loads(row["ref"])["id"]) for row in csv.DictReader(file))
    assert delivered == Counter(range(jobs))


@pytest.mark.no_cover
def test_a_run_that_is_killed_fifty_times_is_as_good_as_any() -> None:
    """Every job has its outcome once, in the ledger and in both files, and none is asked about after it ended."""
    with directory() as place:
        killed_again_and_again(place, kills=50, jobs=5000, seed=1)


@pytest.mark.slow
def test_a_run_that_is_killed_a_thousand_times_is_as_good_as_any(tmp_path: Path) -> None:
    """The same on a disk that must be waited for."""
    killed_again_and_again(tmp_path, kills=1000, jobs=60_000, seed=2)
