"""What the logger `asyncpoll.wait` writes of waits."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hub_kit import in_hub
from telemetry_kit import FAILED, PENDING, PROCESSING, SUCCESS, job_of

from asyncpoll import Fixed
from asyncpoll import Throttled as ThrottledError
from asyncpoll.events import Throttled
from asyncpoll.telemetry import Logging, OpenTelemetry, PrometheusCollector
from asyncpoll.testing import Script, run_virtual

NAME = 'acme.renders:"r-1"'


def logged(caplog: pytest.LogCaptureFixture, job: Any, observer: Any, level: int = logging.DEBUG) -> list[str]:
    """Wait for a job with an observer; return the lines that are written at this level."""
    caplog.set_level(level, logger="asyncpoll.wait")
    in_hub(lambda hub: hub.wait_all([job], timeout=5.0), observe=observer)
    return [record.getMessage() for record in caplog.records if record.name == "asyncpoll.wait"]


def test_states_and_the_outcome_are_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    """Polls that bring nothing new are not worth a line."""
    assert logged(caplog, job_of(PENDING, PENDING, PROCESSING, SUCCESS), Logging(), logging.INFO) == [
        f"{NAME}: start -> pending",
        f"{NAME}: pending -> processing",
        f"{NAME}: processing -> success",
        f"{NAME}: success after 3.0 s and 4 polls",
    ]


def test_misses_are_told_in_detail(caplog: pytest.LogCaptureFixture) -> None:
    """At the level DEBUG, with their reason."""
    lines = logged(caplog, job_of(PENDING, OSError("cut"), SUCCESS), Logging())
    assert lines[1] == f"{NAME}: poll 2 was missed: OSError: cut"
    assert caplog.records[1].levelno == logging.DEBUG


def test_the_reason_of_an_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A limit that passed is named by its error."""
    *_, last = logged(caplog, job_of(PENDING), Logging(), logging.INFO)
    assert last.startswith(f"{NAME}: deadline after 4.5 s and 6 polls: WaitTimeout: ")


def test_nothing_is_logged_without_it(caplog: pytest.LogCaptureFixture) -> None:
    """Nor with it, where the level is that of a fresh Python."""
    assert logged(caplog, job_of(PENDING, OSError("cut"), SUCCESS), None) == []
    assert logged(caplog, job_of(PENDING, OSError("cut"), SUCCESS), Logging(), logging.WARNING) == []


def test_the_level_can_be_chosen(caplog: pytest.LogCaptureFixture) -> None:
    """Of all lines but those of misses."""
    logged(caplog, job_of(FAILED), Logging(level=logging.ERROR), logging.ERROR)
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_records_are_structured(caplog: pytest.LogCaptureFixture) -> None:
    """Each has what applies to it; a number of the wait tells those of one job apart."""
    logged(caplog, job_of(PENDING, ThrottledError("slower"), FAILED), Logging())
    facts = [
        {name: value for name, value in vars(record).items() if name.startswith(("asyncpoll.", "error."))}
        for record in caplog.records
    ]
    wait = facts[0]["asyncpoll.wait"]
    common = {"asyncpoll.endpoint": "acme.renders", "asyncpoll.job.key": NAME, "asyncpoll.wait": wait}
    waited = facts[1].pop("asyncpoll.wait.duration")
    assert facts[0] == {**common, "asyncpoll.state": "pending"}
    assert facts[1] == {**common, "asyncpoll.polls": 2, "error.type": "Throttled"}
    assert facts[2] == {**common, "asyncpoll.state": "failed", "asyncpoll.state.before": "pending"}
    ended = facts[3]
    assert ended.pop("asyncpoll.wait.duration") > waited == 1.0
    assert ended.pop("asyncpoll.detection.delay") > 0.5
    assert ended == {**common, "asyncpoll.outcome": "failed", "asyncpoll.polls": 3, "error.type": "JobFailed"}


def test_a_bare_function_is_told_by_number(caplog: pytest.LogCaptureFixture) -> None:
    """It has neither a key nor an endpoint."""
    caplog.set_level(logging.INFO, logger="asyncpoll.wait")
    assert logged(caplog, Script([SUCCESS]), Logging(), logging.INFO)[0].startswith("wait ")


def test_a_wait_by_itself_is_logged_alike(caplog: pytest.LogCaptureFixture) -> None:
    """The observer does not need a hub."""
    caplog.set_level(logging.INFO, logger="asyncpoll.wait")
    run_virtual(job_of(PENDING, SUCCESS).wait(timeout=5.0, schedule=Fixed(1.0), observe=Logging()))
    assert len(caplog.records) == 3


def test_changes_alone_can_be_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Without misses and ends."""
    lines = logged(caplog, job_of(PENDING, OSError("cut"), SUCCESS), Logging(outcomes=False))
    assert lines == [f"{NAME}: start -> pending", f"{NAME}: pending -> success"]


@pytest.mark.parametrize("observer", [Logging(), OpenTelemetry(), PrometheusCollector()])
def test_other_events_are_ignored(observer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever calls an observer by hand need not ask what it wants."""
    with caplog.at_level(logging.DEBUG):
        observer(Throttled("key", 1.0))
    assert caplog.records == []
