"""What a run adds up to."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_kit import BEGAN, record, run_of

from asyncpoll.cli.report import failures
from asyncpoll.cli.report.figures import MOST_WORDS, SLOWEST, Figures, quantile
from asyncpoll.cli.report.verdict import Verdict, verdict_of


def figures_of(*facts: dict[str, Any]) -> Figures:
    """Return the figures of records that differ from a plain success in these facts."""
    return Figures.of((record(seq, **each) for seq, each in enumerate(facts, 1)), {})


def kinds_of(*facts: dict[str, Any]) -> list[tuple[int, str | None, str]]:
    """Return the number of jobs, the reason and the example of every kind of failure."""
    kinds = figures_of(*({"state": "failed", **each} for each in facts)).failures.most_frequent()
    return [(kind.jobs, kind.reason, kind.example) for kind in kinds]


@pytest.mark.parametrize(
    ("state", "error", "verdict"),
    [
        ("success", None, Verdict.SUCCEEDED),
        ("failed", None, Verdict.FAILED),
        ("timeout", None, Verdict.TIMED_OUT),
        ("cancelled", None, Verdict.CANCELLED),
        ("processing", "WaitTimeout", Verdict.GAVE_UP),
        ("success", "BadReply", Verdict.ERROR),
        ("unknown", "Rejected", Verdict.ERROR),
        ("unknown", None, Verdict.ERROR),
    ],
)
def test_verdicts(state: str, error: str | None, verdict: Verdict) -> None:
    """A job is judged by its state, unless an error ended the wait: then that counts, our own deadline by itself."""
    assert verdict_of(record(state=state, error=error)) is verdict


@given(st.integers(0, 2**32), st.integers(0, 120))
def test_they_are_what_counting_again_gives(seed: int, jobs: int) -> None:
    """Counts, polls, times and delays are those of all records, in whatever order they come."""
    records = list(run_of(jobs, seed))
    random.Random(seed).shuffle(records)
    figures = Figures.of(records, {})
    assert figures.counts() == Counter(map(verdict_of, records))
    assert figures.first == min((one.began_at for one in records), default=math.inf)
    assert figures.last == max((one.ended_at for one in records), default=-math.inf)
    assert figures.endpoints() == [name for name, _ in Counter(sorted(one.endpoint for one in records)).most_common()]
    for endpoint in (None, *figures.endpoints()):
        mine = [one for one in records if endpoint in {None, one.endpoint}]
        seen = [one.waited - one.running for one in mine if one.error is None and one.running is not None]
        assert figures.counts(endpoint) == Counter(map(verdict_of, mine))
        assert sorted(figures.waited(endpoint)) == sorted(one.waited for one in mine)
        assert sorted(figures.delays(endpoint)) == sorted(seen)
        assert figures.polls(endpoint) == Counter(one.polls for one in mine)
    gave_up = sorted(one.waited for one in records if verdict_of(one) is Verdict.GAVE_UP)
    assert sorted(figures.waited(verdict=Verdict.GAVE_UP)) == gave_up
    slowest = sorted(records, key=lambda one: (-one.waited, one.seq))[:SLOWEST]
    assert [job.key for job in figures.slowest()] == [one.key for one in slowest]
    assert sum(kind.jobs for kind in figures.failures.most_frequent()) == sum(one.state != "success" for one in records)


def test_jobs_without_an_outcome_are_counted() -> None:
    """Unfinished jobs count among all, and an endpoint of which nothing has ended is an endpoint too."""
    figures = Figures.of([record()], {("other", "pending"): 2, ("bigmodel.agents", "processing"): 3})
    assert figures.counts() == {Verdict.SUCCEEDED: 1, Verdict.UNFINISHED: 5}
    assert figures.counts("other") == {Verdict.UNFINISHED: 2}
    assert figures.endpoints() == ["bigmodel.agents", "other"]


def test_delays_are_known_of_jobs_that_were_seen_running_and_ended() -> None:
    """There is no delay of a job that had ended before its first poll or of a wait that gave up; none is below 0."""
    gave_up = {"state": "processing", "error": "WaitTimeout"}
    assert list(figures_of({"running": None}, gave_up, {"waited": 5.0, "running": 3.5}).delays()) == [1.5]
    assert list(figures_of({"waited": 5.0, "running": 6.0}).delays()) == [0.0]


def test_of_equally_slow_jobs_the_first_is_shown_first() -> None:
    """Ties go by the order of recording."""
    figures = figures_of(*({"waited": 7.0} for _ in range(SLOWEST + 5)))
    assert [job.key for job in figures.slowest()] == [f"bigmodel.agents:{seq}" for seq in range(1, SLOWEST + 1)]


def test_unknown_words_are_those_that_jobs_were_left_with() -> None:
    """A status word counts when the state it reads as is unknown; an empty one is none, and a long one is cut."""
    gave_up = {"state": "unknown", "error": "WaitTimeout"}
    words = figures_of(
        {**gave_up, "status": "odd"}, {**gave_up, "status": "odd"}, {**gave_up, "status": ""}, {"status": "fine"},
        {**gave_up, "status": "y" * 500},
    ).words  # fmt: skip
    assert words == {("bigmodel.agents", "odd"): 2, ("bigmodel.agents", "y" * 100): 1}


def test_unknown_words_are_bounded() -> None:
    """A server that invents a word for every job does not fill the memory; the words that are kept count on."""
    facts = [{"state": "unknown", "status": f"word {number}"} for number in [*range(MOST_WORDS + 50), 0]]
    words = figures_of(*facts).words
    assert len(words) == MOST_WORDS
    assert words["bigmodel.agents", "word 0"] == 2


def test_failures_that_differ_in_numbers_and_ids_are_of_one_kind() -> None:
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
def test_failures_that_differ_otherwise_are_of_two_kinds(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Another status, model, word, code, error, endpoint or verdict is another kind; the frequent one is first."""
    assert [jobs for jobs, _, _ in kinds_of(first, second, second)] == [2, 1]


@pytest.mark.parametrize("part", ["1", "a", "1a", "1.", "1-", "1234-", "1111a-"])
def test_long_reasons_are_compared_quickly(part: str) -> None:
    """No reason that a server can think of takes long to look through; of long ones the beginning is compared."""
    assert kinds_of({"reason": f"{part * 1_000}z"}, {"reason": f"{part * 1_000}y"})[0][0] == 2


def test_references_of_every_form_are_looked_for() -> None:
    """A reference may be text, or JSON of another form that names nothing; names shorter than 4 are not looked for."""
    plain = [{"ref": f"job-{seq}-x", "reason": f"job-{seq}-x is lost"} for seq in (1, 2)]
    assert len(kinds_of(*plain)) == 1
    assert len(kinds_of({"ref": 17, "reason": "an end"}, {"ref": {"id": "an"}, "reason": "an end"})) == 1
    assert len(kinds_of({"ref": {"id": "end"}, "reason": "an end"}, {"ref": {"id": "END"}, "reason": "an END"})) == 2


def test_kinds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes when there are too many kinds is counted by endpoint and verdict, and nothing is lost."""
    monkeypatch.setattr(failures, "MOST_KINDS", 2)
    letters = [{"reason": letter, "code": letter, "error": "Rejected"} for letter in "abcda"]
    assert kinds_of(*letters) == [
        (2, "a", "bigmodel.agents:1"),
        (2, None, "bigmodel.agents:3"),
        (1, "b", "bigmodel.agents:2"),
    ]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100)])
def test_quantiles(share: float, value: int) -> None:
    """A quantile is one of the values: the smallest that such a share does not exceed."""
    assert quantile(range(1, 101), share) == value
    assert quantile([7.0], share) == 7.0


def test_times_out_of_order_have_a_span() -> None:
    """A clock that was put back makes no figure that is not a number, and none that is below nought."""
    figures = figures_of({"began_at": BEGAN, "ended_at": BEGAN - 50.0}, {"began_at": math.nan, "ended_at": math.nan})
    assert (figures.first, figures.last) == (0.0, BEGAN - 50.0)
