"""The statistics of a run: counts, quantiles, kinds of failures, and the timeline."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_kit import BEGAN, record, run_of

from asyncpoll.cli.report._stats import (
    MOST_BINS,
    MOST_WORDS,
    SLOWEST,
    Failures,
    RunStats,
    RunVerdict,
    Timeline,
    quantile,
    verdict_of,
)

MOMENTS = st.one_of(
    st.floats(1_763_700_000, 1_763_700_100), st.floats(1_763_000_000, 1_764_000_000), st.floats(0, 253_402_300_799.0)
)


def stats_of(*facts: dict[str, Any]) -> RunStats:
    """Return the statistics of records that differ from a plain success in these facts."""
    return RunStats.of((record(seq, **each) for seq, each in enumerate(facts, 1)), {})


def kinds_of(*facts: dict[str, Any]) -> list[tuple[int, str | None, str]]:
    """Return the number of jobs, the reason and the example of every kind of failure."""
    kinds = stats_of(*({"state": "failed", **each} for each in facts)).failures.most_frequent()
    return [(kind.jobs, kind.reason, kind.example) for kind in kinds]


@pytest.mark.parametrize(
    ("state", "error", "verdict"),
    [
        ("success", None, RunVerdict.SUCCEEDED),
        ("failed", None, RunVerdict.FAILED),
        ("timeout", None, RunVerdict.TIMED_OUT),
        ("cancelled", None, RunVerdict.CANCELLED),
        ("processing", "WaitTimeout", RunVerdict.GAVE_UP),
        ("success", "BadReply", RunVerdict.ERROR),
        ("unknown", "Rejected", RunVerdict.ERROR),
        ("unknown", None, RunVerdict.ERROR),
    ],
)
def test_an_error_counts_for_more_than_the_state(state: str, error: str | None, verdict: RunVerdict) -> None:
    """The verdict is that of the state, unless an error ended the wait; our own deadline has a verdict of its own."""
    assert verdict_of(record(state=state, error=error)) is verdict


@given(st.integers(0, 2**32), st.integers(0, 120))
def test_statistics_are_those_of_counting_again(seed: int, jobs: int) -> None:
    """Counts, polls, times and delays are those of all records, in whatever order they come."""
    records = list(run_of(jobs, seed))
    random.Random(seed).shuffle(records)
    stats = RunStats.of(records, {})
    assert stats.counts() == Counter(map(verdict_of, records))
    assert stats.first == min((one.began_at for one in records), default=math.inf)
    assert stats.last == max((one.ended_at for one in records), default=-math.inf)
    assert stats.endpoints() == [name for name, _ in Counter(sorted(one.endpoint for one in records)).most_common()]
    for endpoint in (None, *stats.endpoints()):
        mine = [one for one in records if endpoint in {None, one.endpoint}]
        seen = [one.waited - one.running for one in mine if one.error is None and one.running is not None]
        assert stats.counts(endpoint) == Counter(map(verdict_of, mine))
        assert sorted(stats.select(endpoint).waited) == sorted(one.waited for one in mine)
        assert sorted(stats.select(endpoint).delays) == sorted(seen)
        assert stats.select(endpoint).polls == Counter(one.polls for one in mine)
    gave_up = sorted(one.waited for one in records if verdict_of(one) is RunVerdict.GAVE_UP)
    assert sorted(stats.select(verdict=RunVerdict.GAVE_UP).waited) == gave_up
    slowest = sorted(records, key=lambda one: (-one.waited, one.seq))[:SLOWEST]
    assert [job.key for job in stats.slowest()] == [one.key for one in slowest]
    assert sum(kind.jobs for kind in stats.failures.most_frequent()) == sum(one.state != "success" for one in records)


def test_jobs_without_an_outcome_are_counted() -> None:
    """Unfinished jobs count, and an endpoint without an outcome is an endpoint too."""
    stats = RunStats.of([record()], {("other", "pending"): 2, ("bigmodel.agents", "processing"): 3})
    assert stats.counts() == {RunVerdict.SUCCEEDED: 1, RunVerdict.UNFINISHED: 5}
    assert stats.counts("other") == {RunVerdict.UNFINISHED: 2}
    assert stats.endpoints() == ["bigmodel.agents", "other"]


def test_delays_are_those_of_jobs_that_were_seen_running() -> None:
    """A job that had ended before its first poll, or a wait that gave up, has no delay; a delay is never below 0."""
    gave_up = {"state": "processing", "error": "WaitTimeout"}
    assert list(stats_of({"running": None}, gave_up, {"waited": 5.0, "running": 3.5}).select().delays) == [1.5]
    assert list(stats_of({"waited": 5.0, "running": 6.0}).select().delays) == [0.0]


def test_of_equally_slow_jobs_the_first_is_shown_first() -> None:
    """Equally slow jobs are in the order in which they were recorded."""
    stats = stats_of(*({"waited": 7.0} for _ in range(SLOWEST + 5)))
    assert [job.key for job in stats.slowest()] == [f"bigmodel.agents:{seq}" for seq in range(1, SLOWEST + 1)]


def test_unknown_words_are_last_words() -> None:
    """A status word counts when its state is unknown; an empty one does not count, and a long one is cut."""
    gave_up = {"state": "unknown", "error": "WaitTimeout"}
    words = stats_of(
        {**gave_up, "status": "odd"}, {**gave_up, "status": "odd"}, {**gave_up, "status": ""}, {"status": "fine"},
        {**gave_up, "status": "y" * 500},
    ).words  # fmt: skip
    assert words == {("bigmodel.agents", "odd"): 2, ("bigmodel.agents", "y" * 100): 1}


def test_unknown_words_are_bounded() -> None:
    """A server with a new word for every job does not fill the memory; words that are kept are still counted."""
    facts = [{"state": "unknown", "status": f"word {number}"} for number in [*range(MOST_WORDS + 50), 0]]
    words = stats_of(*facts).words
    assert len(words) == MOST_WORDS
    assert words["bigmodel.agents", "word 0"] == 2


def test_numbers_and_ids_make_no_kind_of_failure() -> None:
    """The job's own names, ids, measures and numbers make no difference; the first reason stands for all."""
    reason = "bigmodel.agents:{0}: id-{0}: page 50{0} of task-12{0}, {0}.5, 1{0} s, 12{0} polls, 8f14e45f-ceea-{0}abc"
    told = [reason.format(seq) for seq in (1, 2, 3)]
    assert kinds_of(*({"reason": each} for each in told)) == [(3, told[0], "bigmodel.agents:1")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"reason": "HTTP 500"}, {"reason": "HTTP 503"}),
        ({"reason": "Status: 0, Code=17"}, {"reason": "Status: 0, Code=18"}),
        ({"reason": "model glm-4 is busy"}, {"reason": "model glm-5 is busy"}),
        ({"reason": "added to a face"}, {"reason": "a decade of facades"}),
        ({"reason": None}, {"reason": "why"}),
        ({"code": "1301"}, {"code": "1302"}),
        ({"error": "Rejected"}, {"error": "BadReply"}),
        ({"endpoint": "a"}, {"endpoint": "b"}),
        ({"state": "failed"}, {"state": "cancelled"}),
    ],
)
def test_other_differences_make_a_kind_of_failure(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Another status, model, word, code, error, endpoint or verdict is another kind; the frequent one is first."""
    assert [jobs for jobs, _, _ in kinds_of(first, second, second)] == [2, 1]


@pytest.mark.parametrize("part", ["1", "a", "1a", "1.", "1-", "1234-", "1111a-"])
def test_long_reasons_are_compared_quickly(part: str) -> None:
    """A reason of any form is compared in linear time; of a long one only the beginning is compared."""
    assert kinds_of({"reason": f"{part * 1_000}z"}, {"reason": f"{part * 1_000}y"})[0][0] == 2


def test_ids_in_references_of_every_form_are_left_out() -> None:
    """A reference may be text or any JSON; ids shorter than 4 characters are compared like other words."""
    plain = [{"ref": f"job-{seq}-x", "reason": f"job-{seq}-x is lost"} for seq in (1, 2)]
    assert len(kinds_of(*plain)) == 1
    assert len(kinds_of({"ref": 17, "reason": "an end"}, {"ref": {"id": "an"}, "reason": "an end"})) == 1
    assert len(kinds_of({"ref": {"id": "end"}, "reason": "an end"}, {"ref": {"id": "END"}, "reason": "an END"})) == 2


def test_kinds_are_bounded() -> None:
    """Failures beyond the last kind that is kept are counted by endpoint and verdict, and all are counted."""
    failures = Failures(most=2)
    for seq, letter in enumerate("abcda", 1):
        failures.add(record(seq, reason=letter, code=letter, error="Rejected"), RunVerdict.ERROR)
    assert [(kind.jobs, kind.reason, kind.example) for kind in failures.most_frequent()] == [
        (2, "a", "bigmodel.agents:1"),
        (2, None, "bigmodel.agents:3"),
        (1, "b", "bigmodel.agents:2"),
    ]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100)])
def test_a_quantile_is_one_of_the_values(share: float, value: int) -> None:
    """A quantile is the smallest value that such a share does not exceed."""
    assert quantile(range(1, 101), share) == value
    assert quantile([7.0], share) == 7.0


def test_times_out_of_order_have_a_span() -> None:
    """A clock that was put back, or a time that is a NaN, makes a time within the calendar."""
    stats = stats_of({"began_at": BEGAN, "ended_at": BEGAN - 50.0}, {"began_at": math.nan, "ended_at": math.nan})
    assert (stats.first, stats.last) == (0.0, BEGAN - 50.0)


def timeline_of(*moments: float) -> Timeline:
    """Return the timeline of jobs that succeeded at these moments."""
    timeline = Timeline()
    for at in moments:
        timeline.add(at, RunVerdict.SUCCEEDED)
    return timeline


@given(st.lists(st.tuples(MOMENTS, st.sampled_from(RunVerdict)), max_size=60))
def test_a_timeline_counts_what_binning_at_the_end_counts(jobs: list[tuple[float, RunVerdict]]) -> None:
    """In any order of the outcomes each is in the bin of its time, and there are few bins."""
    timeline = Timeline()
    for at, verdict in jobs:
        timeline.add(at, verdict)
    bins = list(timeline.bins())
    tenths = round(timeline.width * 10)
    expected = Counter((math.floor(at * 10) // tenths, verdict) for at, verdict in jobs)
    assert len(bins) <= MOST_BINS
    assert expected == {
        (round(begins * 10) // tenths, verdict): jobs for begins, stack in bins for verdict, jobs in stack.items()
    }


def test_bins_follow_one_another() -> None:
    """Bins are one width apart, and include empty ones between others."""
    timeline = timeline_of(100.0, 104.05, 102.0)
    assert timeline.width == pytest.approx(0.1)
    assert [begins for begins, _ in timeline.bins()] == pytest.approx([100 + place / 10 for place in range(41)])
    assert sum(stack.total() for _, stack in timeline.bins()) == 3


@pytest.mark.parametrize(
    ("span", "width"), [(10, 0.1), (30, 0.2), (60, 1.0), (1_000, 10.0), (86_400, 600.0), (1e9, 86_400 * 128)]
)
def test_widths_are_round(span: float, width: float) -> None:
    """A longer span has wider bins, of a round number of seconds, minutes, hours or days."""
    assert timeline_of(1_000_000.0, 1_000_000.0 + span).width == width


def test_a_timeline_without_outcomes_has_no_bins() -> None:
    """An empty timeline yields nothing."""
    assert list(Timeline().bins()) == []
