"""The pacing section: how long jobs take, when to poll them, and what polling cost."""

from __future__ import annotations

import itertools
import math
import random
import re
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from report_kit import Seen, page, page_of, record

from asyncpoll.cli._pacing import Sample
from asyncpoll.cli._tune import schedules
from asyncpoll.cli.report._pacing import PacingSummary, summarize_pacing
from asyncpoll.cli.report._stats import RunStats
from asyncpoll.ledger import Record
from asyncpoll.waiting.learning._history import History

DAY = 86_400.0


def minutes(jobs: int, endpoint: str = "a", seconds: float = 60.0) -> list[Record]:
    """Return jobs that all took about a minute, were polled 9 times, and seen at most 1 s before and after the end."""
    chance = random.Random(0)
    ends = [seconds * chance.uniform(0.9, 1.1) for _ in range(jobs)]
    return [
        record(seq, endpoint=endpoint, polls=9, running=end - 1.0, waited=end + 1.0) for seq, end in enumerate(ends)
    ]


def seen_before(*phases: str, key: str = "a", seconds: float = 10.0, jobs: int = 20) -> History:
    """Return the history of jobs that were so many seconds in each of these phases."""
    history = History()
    for phase, _ in itertools.product(phases, range(jobs)):
        history.add(key, phase, seconds * 0.99, seconds)
    return history


def summaries_of(*records: Record, history: History | None = None) -> list[PacingSummary]:
    """Return the summaries of these records and of past jobs."""
    return summarize_pacing(RunStats.of(records, {}, history))


def section(*records: Record, history: History | None = None) -> str:
    """Return the section about pacing."""
    markup = page(RunStats.of(records, {}, history))
    return markup.partition('<section id="pacing"')[2].partition("</section>")[0]


@pytest.mark.parametrize(
    "facts",
    [
        {"running": None},
        {"error": "WaitTimeout"},
        {"waited": DAY + 1, "running": DAY},
        {"endpoint": "x" * 201},
        {"waited": 5.0, "running": 6.0},
    ],
)
def test_some_jobs_are_left_out(facts: dict[str, Any]) -> None:
    """Jobs that were not seen running and then ended, took over a day, or have too long a key are left out."""
    assert summaries_of(record(**facts)) == []
    assert section(record(**facts), history=seen_before("processing")) == ""
    assert len(summaries_of(record(1, **facts), record(2))) == 1


def test_without_a_history_the_run_is_learned_from() -> None:
    """The survival curve is that of its own jobs, and polls come when they end, not before."""
    (pace,) = summaries_of(*minutes(300), history=seen_before("processing", key="b"))
    assert (pace.key, pace.phase, pace.learned_from, pace.compared) == ("a", "", 64, 300)
    assert pace.survival.age_at(0.5) == pytest.approx(60.0, rel=0.1)
    assert 45.0 < pace.polls[0] < 70.0
    assert list(pace.polls) == sorted(pace.polls)
    assert pace.polls[-1] <= pace.until < 150.0


@pytest.mark.parametrize(
    ("phases", "shown"),
    [(["pending", "processing"], "processing"), (["processing"], "processing"), (["pending"], "pending")],
)
def test_a_history_counts_for_more_than_the_run(phases: list[str], shown: str) -> None:
    """The history that a ledger keeps of a key is shown: how long jobs were processed, or else pending."""
    history = seen_before(*phases)
    before = history.tracks.copy()
    (pace,) = summaries_of(*minutes(300), history=history)
    assert (pace.phase, pace.learned_from) == (shown, 20)
    assert pace.survival.age_at(0.5) == pytest.approx(10.0, rel=0.1)
    assert 7.0 < pace.polls[0] < 15.0
    assert history.tracks == before


def test_costs_are_those_of_a_replay() -> None:
    """The costs of the run and of the two schedules are about the same jobs in the same order."""
    records = minutes(200)
    (pace,) = summaries_of(*records)
    drawn, known = Sample.of(records), schedules(random.Random(0).random)
    sample = evolve(drawn, jobs=drawn.jobs)
    expected = {name: sample.replay_cost(known[name]) for name in ("Exponential()", "Learned(price=0.03)")}
    assert pace.costs == {"as it was": sample.actual_cost(), **expected}
    assert pace.costs["as it was"].calls == 9.0
    assert pace.costs["as it was"].delay == pytest.approx(1.0)
    assert pace.costs["Learned(price=0.03)"].delay < pace.costs["Exponential()"].delay


def test_the_most_frequent_kinds_are_shown() -> None:
    """At most four keys, those with the most jobs first, equally frequent ones by name; of each at most 500 jobs."""
    sizes = {"f": 1, "e": 2, "d": 3, "c": 3, "b": 20, "a": 600}
    known = summaries_of(*(one for name, jobs in sizes.items() for one in minutes(jobs, name)))
    assert [(pace.key, pace.compared) for pace in known] == [("a", 500), ("b", 20), ("c", 3), ("d", 3)]


@pytest.mark.no_cover
def test_fewer_jobs_are_compared_where_they_take_long() -> None:
    """A schedule polls a job of half a day thousands of times on paper: of such jobs about 80 are enough."""
    (pace,) = summaries_of(*minutes(100, seconds=50_000.0))
    assert pace.learned_from == 64
    assert 75 <= pace.compared <= 85


def test_jobs_of_one_endpoint_may_have_several_keys() -> None:
    """Those that differ in what predicted their durations are kept apart; of some nothing was known."""
    known = summaries_of(*(record(seq, pacing=pacing) for seq, pacing in enumerate(["x", "y", None, None])))
    assert [(pace.key, pace.compared) for pace in known] == [
        ("bigmodel.agents", 2), ("bigmodel.agents:x", 1), ("bigmodel.agents:y", 1)
    ]  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, DAY / 20), st.floats(0, DAY / 20)), min_size=1, max_size=12))
def test_all_durations_can_be_drawn(ages: list[tuple[float, float]]) -> None:
    """There is at least one poll, all are on the axis, and every figure is a number."""
    records = [record(seq, running=min(pair), waited=max(pair)) for seq, pair in enumerate(ages)]
    (pace,) = summaries_of(*records)
    assert pace.polls
    assert 0 < pace.polls[0] <= pace.polls[-1] <= pace.until < math.inf
    markup = section(*records)
    assert not re.search(r"\b(?:nan|inf)\b", markup)
    assert all(0 <= float(place) <= 100 for place in re.findall(r'x1="([^"%]*)%"', markup))


def test_a_job_that_ended_at_once_can_be_drawn() -> None:
    """A job that took 0 s has a curve and a table."""
    (pace,) = summaries_of(record(waited=0.0, running=0.0))
    assert pace.polls
    assert "What polling cost 1 job of bigmodel.agents, on average" in section(record(waited=0.0, running=0.0))


def test_the_curve_is_described_in_words() -> None:
    """A text says what is drawn, and the table has a row for the run and for each schedule."""
    seen = Seen.of(page_of(*minutes(300)))
    assert re.search(
        r"Half of such jobs take more than 1 min|Half of such jobs take more than (?:59|60|61)[.\d]* s", seen.text
    )
    assert "as learned from 64 jobs. It would pay to poll after " in seen.text
    rows = seen.tables["What polling cost 300 jobs of a, on average"]
    assert rows[:2] == [["schedule", "polls a job", "noticed late by"], ["as it was", "9.0", "1 s"]]
    assert [row[0] for row in rows[2:]] == ["Exponential()", "Learned(price=0.03)"]
    assert "Half of such jobs are processed for more than 9." in section(*minutes(9), history=seen_before("processing"))
    assert "Half of such jobs are pending for more than 9." in section(*minutes(9), history=seen_before("pending"))


def test_the_next_poll_is_explained() -> None:
    """Of a job that has just begun, and of one that has run for the typical duration, with what it rests on."""
    (pace,) = summaries_of(*minutes(300))
    assert (pace.first.reason, pace.first.jobs, pace.later.jobs) == ("plan", 300, 300)
    assert pace.polls[0] == pytest.approx(pace.first.delay, rel=0.1)
    assert pace.later.delay < 0.5 * pace.first.delay
    seen = Seen.of(page_of(*minutes(300)))
    assert f"For a job that has just begun, {pace.first}. For one after " in seen.text
    assert f", the typical duration, {pace.later}." in seen.text
    (waiting,) = summaries_of(*minutes(9), history=seen_before("pending"))
    assert 7.0 < waiting.first.delay < 15.0


def test_polls_stand_where_they_would_be_made() -> None:
    """Each poll is a line at its time, as tall as it is likely; rare ones are tall enough to be seen."""
    (pace,) = summaries_of(*minutes(300))
    marks = re.findall(
        r'<title>poll after ([^<]*): (\d+)% still run</title><line x1="([\d.]+)%"', section(*minutes(300))
    )
    assert len(marks) == len(pace.polls)
    assert [float(place) for *_, place in marks] == pytest.approx(
        [100 * age / pace.until for age in pace.polls], abs=0.1
    )
    shares = [int(share) for _, share, _ in marks]
    assert shares == sorted(shares, reverse=True)
    tops = [float(top) for top in re.findall(r'class="mark">.*?y1="([\d.]+)%"', section(*minutes(300)))]
    assert tops == sorted(tops)
    assert max(tops) <= 94


def test_the_curve_falls_from_all_jobs_to_few() -> None:
    """It begins at all jobs, falls, and ends with few."""
    (outline,) = re.findall(r'<path d="M0 1000L([^"]*)V1000Z"', section(*minutes(300)))
    points = [tuple(map(float, point.split())) for point in outline.split("L")]
    assert len(points) == 161
    assert points[0] == (0, 0)
    assert points[-1][0] == 1000
    heights = [height for _, height in points]
    assert heights == sorted(heights)
    assert heights[-1] > 900


def test_many_polls_are_not_all_drawn() -> None:
    """Polls of a job that takes most of a day are minutes apart: the first hundred are drawn."""
    records = minutes(5, seconds=80_000.0)
    (pace,) = summaries_of(*records)
    markup = section(*records)
    assert len(pace.polls) > 100
    assert markup.count('class="mark"') == 100
    assert "The first 100 polls are drawn." in markup
    assert "polls are drawn" not in section(*minutes(5))
