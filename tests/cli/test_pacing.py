"""What a run says about pacing, and what other schedules would have cost it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from run_kit import SUBTASKS, make_ledger, subtask

from asyncpoll._schedule import Fixed
from asyncpoll.cli import main
from asyncpoll.cli._pacing import MOST_REPLAYED, Sample, history_of
from asyncpoll.ledger import Ledger, OutcomeInput, Record

Output = pytest.CaptureFixture[str]


def record(number: int, running: float | None = 58.0, waited: float = 61.0, **facts: Any) -> Record:
    """Return an outcome."""
    usual: dict[str, Any] = {
        "key": f"{SUBTASKS}:{number}",
        "endpoint": SUBTASKS,
        "ref": {},
        "state": "success",
        "status": "completed",
        "value": None,
        "reason": None,
        "code": None,
        "error": None,
        "polls": 7,
        "began_at": 0.0,
        "ended_at": waited,
    }
    return Record(seq=number, number=number, running=running, waited=waited, **usual | facts)


def test_the_jobs_of_a_sample_have_their_pacing_keys() -> None:
    """Which a ledger holds, so that jobs that should take about as long are replayed together."""
    jobs = Sample.of([record(1, pacing="mode=search"), record(2)]).jobs
    assert {job.key for job in jobs} == {f"{SUBTASKS}:mode=search", SUBTASKS}


def test_what_a_run_cost_is_what_it_was_seen_to_cost() -> None:
    """A job is taken to have ended midway between two polls."""
    sample = Sample.of([record(1), record(2, 50.0, 60.0, polls=5)])
    cost = sample.actual_cost()
    assert cost.calls == 6.0
    assert cost.delay == pytest.approx((1.5 + 5.0) / 2)
    fixed = sample.replay_cost(Fixed(30.0))
    assert fixed.calls == pytest.approx((3 * 2 / 3 + 4 / 3 + 3) / 2)


def test_jobs_whose_end_was_not_seen_do_not_count() -> None:
    """One that had ended before its first poll, or whose wait was given up, says nothing about polling."""
    sample = Sample.of([record(1, None), record(2, error="WaitTimeout"), record(3, 9.0, 2.0)])
    assert (sample.count, sample.jobs, list(sample.compared())) == (0, [], [])


def test_a_large_run_is_sampled() -> None:
    """Every part of it has its share."""
    sample = Sample.of(record(number, number / 10, number / 10 + 1) for number in range(2 * MOST_REPLAYED))
    assert (sample.count, len(sample.jobs)) == (2 * MOST_REPLAYED, MOST_REPLAYED)
    early = sum(job.lo < MOST_REPLAYED / 10 for job in sample.jobs)
    assert early == pytest.approx(MOST_REPLAYED / 2, rel=0.05)


def test_savings_are_told_in_one_line() -> None:
    """Against what blind backoff would have cost the same jobs."""
    (line,) = Sample.of(record(number) for number in range(50)).compared()
    assert line.startswith("it took 7.0 polls a job, and 1.5 s from its end until it was known; exponential backoff")


@pytest.mark.parametrize("kept", [{}, {"history": None}, {"history": "{}"}, {"history": "no JSON"}])
def test_a_ledger_may_keep_no_history(kept: dict[str, Any]) -> None:
    """Or one that a later version wrote: then all is learned anew."""
    assert json.loads(history_of(kept).to_json())["tracks"] == []


# asyncpoll tune


def tuned(path: Path, capsys: Output) -> dict[str, tuple[float, float]]:
    """Return polls and delay by schedule, as they are printed."""
    assert main(["tune", str(path)]) == 0
    rows = [line.rsplit(maxsplit=2) for line in capsys.readouterr().out.split("\n\n")[0].splitlines()[2:]]
    return {name.strip(): (float(polls), float(delay)) for name, polls, delay in rows}


def test_other_schedules_are_compared_on_paper(tmp_path: Path, capsys: Output) -> None:
    """On jobs that all take about a minute what learns is far better than what does not, and says so."""
    path = tmp_path / "run.db"

    async def make() -> None:
        async with Ledger(path) as ledger:
            await ledger.enter([(f"{number}", SUBTASKS, subtask(number)["ref"]) for number in range(1, 201)])
            ends = (
                OutcomeInput(number=number, state="success", polls=9, waited=60 + number % 7, running=59 + number % 7)
                for number in range(1, 201)
            )
            await asyncio.gather(*(ledger.record(end) for end in ends))

    asyncio.run(make())
    costs = tuned(path, capsys)
    assert costs["as it was"] == (9.0, 0.5)
    assert costs["Fixed(1)"][0] > 60
    polls, delay = costs["Learned(price=0.03)"]
    blind_polls, blind_delay = costs["Exponential()"]
    assert polls < blind_polls
    assert delay < 0.5 * blind_delay
    assert tuned(path, capsys) == costs


def test_a_run_without_ends_cannot_be_replayed(tmp_path: Path, capsys: Output) -> None:
    """It is said why."""
    path = make_ledger(tmp_path / "run.db", None, "WaitTimeout")
    assert main(["tune", str(path)]) == 2
    assert "no job yet that was seen unfinished and then seen ended" in capsys.readouterr().err
