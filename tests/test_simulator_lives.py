"""Lives are pure functions of seed, endpoint and id, and durations obey their distributions."""

from __future__ import annotations

import math
import subprocess
import sys
from random import Random
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.simulator import Bimodal, Constant, Exponential, Life, LogNormal, Pareto, Uniform
from asyncpoll.simulator.jobs import AGENTS, FILE_PARSER, SUBTASKS, Job, Jobs, Kind
from asyncpoll.simulator.lives import Duration, Lives, chance, fingerprint

ALL: tuple[Duration, ...] = (
    Constant(2.0),
    Uniform(1.0, 3.0),
    Exponential(2.0),
    LogNormal(2.0, 1.0),
    Pareto(1.0, 3.0),
    Bimodal(Constant(1.0), Constant(9.0), 0.25),
)


def drawn(duration: Duration, *, count: int = 2000) -> list[float]:
    """Draw many durations from one source of chance."""
    random = Random(7)
    return [duration.draw(random) for _ in range(count)]


@pytest.mark.parametrize("duration", ALL)
def test_a_duration_is_reproducible(duration: Duration) -> None:
    """The same source of chance gives the same durations."""
    assert drawn(duration) == drawn(duration)


@pytest.mark.parametrize("duration", ALL)
@given(seed=st.integers())
def test_a_duration_is_finite_and_not_negative(duration: Duration, seed: int) -> None:
    """Whatever the chance, a duration is a number of seconds that can be waited for."""
    assert 0.0 <= duration.draw(Random(seed)) < math.inf


def test_durations_have_the_figures_they_name() -> None:
    """Mean, median, bounds and share come out as given."""
    assert set(drawn(Constant(2.0))) == {2.0}
    assert 1.0 <= min(drawn(Uniform(1.0, 3.0))) < max(drawn(Uniform(1.0, 3.0))) <= 3.0
    assert fmean(drawn(Exponential(2.0))) == pytest.approx(2.0, rel=0.1)
    assert median(drawn(LogNormal(2.0, 1.0))) == pytest.approx(2.0, rel=0.1)
    assert min(drawn(Pareto(1.0, 3.0))) == pytest.approx(1.0, rel=0.01)
    assert drawn(Bimodal(Constant(1.0), Constant(9.0), 0.25)).count(9.0) == pytest.approx(500, rel=0.1)


@pytest.mark.parametrize("bad", [-1.0, math.inf, math.nan])
def test_a_duration_refuses_what_is_no_time(bad: float) -> None:
    """Negative, infinite and undefined seconds are refused where they are written."""
    for make in (Constant, Exponential, lambda value: LogNormal(value, 1.0), lambda value: Pareto(value, 1.0)):
        with pytest.raises(ValueError, match=r"must be"):
            make(bad)
    with pytest.raises(ValueError, match=r"must be"):
        Life(pending=bad, outcome="success")
    with pytest.raises(ValueError, match=r"must be"):
        Bimodal(Constant(1.0), Constant(2.0), bad)


def test_uniform_refuses_bounds_out_of_order() -> None:
    """The cure is in the message."""
    with pytest.raises(ValueError, match="must not be below low"):
        Uniform(3.0, 1.0)


@given(st.integers(), st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_a_fingerprint_tells_all_names_apart(seed: int, one: list[str], other: list[str]) -> None:
    """Moving a letter from one name to the next gives another fingerprint; so does another seed."""
    assert (fingerprint(seed, *one) == fingerprint(seed, *other)) == (one == other)
    assert fingerprint(seed, *one) != fingerprint(seed + 1, *one)


def test_a_fingerprint_takes_any_text() -> None:
    """Even a lone surrogate, which UTF-8 cannot spell."""
    assert fingerprint(0, "\ud800") != fingerprint(0, "\ud801")


def test_a_life_is_the_same_in_another_process() -> None:
    """Nothing depends on the process: hashes of text, which do, are not used."""
    lives = Lives(3, Exponential(1.0), LogNormal(1.0, 1.0))
    code = (
        "from asyncpoll.simulator.lives import *;"
        "print(Lives(3, Exponential(1.0), LogNormal(1.0, 1.0)).draw({'a': 1, 'b': 1}, 'x', 'y'))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == repr(lives.draw({"a": 1, "b": 1}, "x", "y"))


def test_lives_differ_between_ids_endpoints_and_seeds() -> None:
    """Each name and each seed has a life of its own."""
    first, second = (Lives(seed, Exponential(1.0), Exponential(1.0)) for seed in (1, 2))
    weights = {"success": 1.0}
    drawn_lives = {
        first.draw(weights, "bigmodel.agents", "a"),
        first.draw(weights, "bigmodel.agents", "b"),
        first.draw(weights, "bigmodel.file_parser", "a"),
        second.draw(weights, "bigmodel.agents", "a"),
    }
    assert len(drawn_lives) == 4


def test_outcomes_follow_their_weights() -> None:
    """A word three times as heavy comes three times as often."""
    lives = Lives(1, Constant(0.0), Constant(0.0))
    outcomes = [lives.draw({"success": 3, "failed": 1}, str(number)).outcome for number in range(2000)]
    assert outcomes.count("success") == pytest.approx(1500, rel=0.05)


def test_chance_belongs_to_its_names() -> None:
    """Two sources with the same names agree, with other names they do not."""
    assert chance(1, "a").random() == chance(1, "a").random() != chance(1, "b").random()


@pytest.mark.parametrize(
    ("kind", "queued", "dispatched", "running"),
    [
        (AGENTS, "pending", "pending", "pending"),
        (FILE_PARSER, "processing", "processing", "processing"),
        (SUBTASKS, "pending", "assigned", "processing"),
    ],
)
def test_a_job_says_the_words_of_its_api(kind: Kind, queued: str, dispatched: str, running: str) -> None:
    """Queued, dispatched, running and ended, from one boundary to the next."""
    job = Job(kind, Life(pending=10.0, processing=100.0, outcome="end"), born=1000.0)
    moments = {1000.0: queued, 1009.9: queued, 1010.0: dispatched, 1019.9: dispatched, 1020.0: running, 1109.9: running}
    assert {moment: job.word(moment) for moment in moments} == moments
    assert job.word(1110.0) == job.word(9999.0) == "end"
    assert (job.truth.outcome, job.truth.submitted_at, job.truth.finished_at) == ("end", 1000.0, 1110.0)


def test_weights_are_checked() -> None:
    """Foreign words, negative weights and weights without any weight are refused."""
    lives = Lives(1, Constant(0.0), Constant(0.0))
    with pytest.raises(ValueError, match="no outcome 'done'; choose one of: success, failed"):
        Jobs(AGENTS, lives, {"done": 1.0})
    for weights in ({}, {"success": 0.0}, {"success": 2.0, "failed": -1.0}, {"success": math.inf}):
        with pytest.raises(ValueError, match="at least one must be above 0"):
            Jobs(AGENTS, lives, weights)
