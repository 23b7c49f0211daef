"""`asyncpoll demo`: many jobs over three APIs and real HTTP, awaited at once and checked against the truth."""

from __future__ import annotations

import re
from typing import Any

import pytest
from attrs import evolve, frozen
from cli_kit import process, subtask
from server_kit import PATIENCE

from asyncpoll._errors import TransportError
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.cli import _demo, main
from asyncpoll.cli._demo._checks import IDS, MEANS, CheckedJob, End, Report, Tally, p95
from asyncpoll.cli._parser import build_parser
from asyncpoll.providers import ENDPOINTS
from asyncpoll.simulator import Simulator, Truth
from asyncpoll.waiting._run import Outcome

Output = pytest.CaptureFixture[str]

TRUE = "outcomes are what the simulator knows to be true"


@frozen
class Answer:
    """A result with an id."""

    sub_task_id: str


def found(state: State, outcome: str, *, value: Any = None, error: Exception | None = None) -> CheckedJob:
    """Return what was found out about a job, known 1.5 s after its end."""
    told = Outcome(subtask(), Snapshot(state, value=value), error, polls=4, waited=3.0)
    return CheckedJob(End(told, 11.5), Truth(outcome, 2.0, 10.0))


GOOD = found(State.SUCCESS, "completed", value=Answer("1"))
BAD = found(State.FAILED, "stopped")


def report(*findings: CheckedJob, sent: int = 4, received: int = 4) -> Report:
    """Return the report of a demo with one job, and these findings about it."""
    tally = Tally.of([subtask()])
    tally.polls["molizhishu.subtasks"] = 4
    return Report(tally, findings, sent, received, 3.5)


def test_sixty_jobs_end_as_the_simulator_knows() -> None:
    """60 jobs of all endpoints in a process of their own: every outcome is the truth, the counts agree, status 0."""
    with process("demo", "--pace", "0.1", "--seed", "3") as child:
        out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, out + err
    rows = [line.split() for line in out.splitlines()[2:6]]
    assert [row[0] for row in rows] == sorted(IDS)
    assert all(sum(map(int, column)) > 0 for column in list(zip(*rows, strict=True))[1:])  # every outcome is there
    assert f"All 60 {TRUE}" in out
    [(sent, received)] = re.findall(r"Requests: (\d+) counted by the clients, (\d+) by the simulator", out)
    assert sent == received
    assert "Status words that no vocabulary lists: archived." in out
    assert max(map(len, (out + err).splitlines())) <= 80
    assert err.startswith("0 of 60 ended: none; 0 polls\n")
    assert "\n60 of 60 ended: " in err


def test_jobs_come_in_rounds_of_ten(capsys: Output) -> None:
    """Jobs come in rounds of ten; the verb prints the report and exits with 0."""
    assert main(["demo", "--jobs", "1", "--pace", "0.05", "--plain"]) == 0
    assert f"All 10 {TRUE}" in capsys.readouterr().out


def test_a_lie_is_found_out(capsys: Output) -> None:
    """When the truth is another one, the demo says of which jobs, and exits with 1."""

    def lie(world: Simulator, endpoint: str, ident: tuple[str, ...]) -> Truth:
        truth = world.truth(endpoint, ident)
        return evolve(truth, outcome="timeout") if endpoint == "molizhishu.tasks" else truth

    args = build_parser().parse_args(["demo", "--jobs", "1", "--pace", "0.05", "--plain"])
    assert _demo.run(args, lie) == 1
    out = capsys.readouterr().out
    assert "1 of 10 outcomes or counts" in out
    assert re.search('molizhishu.tasks:{"task_id":"[0-9a-f]{32}"}: timeout in truth, but seen as [a-z]+\n', out)
    assert TRUE not in out


@pytest.mark.parametrize(
    ("finding", "mismatch"),
    [
        (GOOD, None),
        (found(State.CANCELLED, "stopped"), None),
        (BAD, "cancelled in truth, but seen as failed"),
        (found(State.SUCCESS, "completed", value=Answer("2")), "succeeded, but the result is not its own"),
        (found(State.SUCCESS, "completed"), "succeeded, but the result is not its own"),
        (
            found(State.PENDING, "timeout", error=TransportError("no route")),
            "timeout in truth, but the wait ended with: no route",
        ),
    ],
)
def test_an_outcome_is_true_if_state_and_result_are(finding: CheckedJob, mismatch: str | None) -> None:
    """An outcome is the truth when the state is, and when the result is that of the very job."""
    assert finding.mismatch() == (mismatch and f"{finding.job.key}: {mismatch}")


def test_a_wait_without_a_snapshot_is_a_mismatch() -> None:
    """A wait that ended without a snapshot is a mismatch, too."""
    nothing = evolve(GOOD, end=End(Outcome(subtask(), None), 11.0))
    assert nothing.end.state is State.UNKNOWN
    assert str(nothing.mismatch()).endswith("success in truth, but seen as unknown")


def test_the_delay_is_from_the_end_of_the_job() -> None:
    """The delay is from the end of the job until it was known."""
    assert GOOD.delay == 1.5


def test_tables_are_complete() -> None:
    """The demo knows the id of every endpoint that it plays, and a meaning for every terminal state."""
    assert IDS.keys() | {"molizhishu.task_results"} == ENDPOINTS.keys()
    assert set(MEANS.values()) == {state for state in State if state.is_terminal}


def test_the_report_has_counts_delays_and_the_verdict() -> None:
    """The report has the counts, the mean and the worst delay, and the verdict."""
    lines = list(report(GOOD).lines())
    assert "molizhishu.subtasks     1        1       0        0          0" in lines
    assert "molizhishu.subtasks      4      4.0       0   1.50       1.50    3.00" in lines
    assert lines[-2:] == ["Requests: 4 counted by the clients, 4 by the simulator.", f"All 1 {TRUE} (3.5 s)."]


def test_a_lost_job_is_a_problem() -> None:
    """A job that never came out of the hub spoils the verdict."""
    assert report().problems() == [f"{subtask().key}: its wait has no outcome"]


def test_lost_requests_are_a_problem() -> None:
    """Counts of requests that differ spoil the verdict."""
    assert report(GOOD, sent=5).problems() == ["the clients counted 5 requests, the simulator 4"]


def test_of_many_problems_twenty_are_shown() -> None:
    """Of many problems the first twenty are shown."""
    lines = list(report(*[BAD] * 23).lines())
    assert lines[-22] == "NOT as it should be: 23 of 23 outcomes or counts."
    assert len([line for line in lines if "but seen as failed" in line]) == 20
    assert lines[-1] == "  and 3 more"


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (19, 19), (20, 19), (100, 95)])
def test_p95_is_the_value_that_95_percent_do_not_exceed(count: int, expected: int) -> None:
    """95 % of the values are not above it."""
    assert p95(list(range(count, 0, -1))) == expected
