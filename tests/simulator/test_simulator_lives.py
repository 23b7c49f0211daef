"""Lives are pure functions of seed, endpoint and id, and durations have their distributions."""

from __future__ import annotations

import math
import subprocess
import sys
from random import Random
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.simulator import Bimodal, Constant, Duration, Exponential, Life, LogNormal, Pareto, Uniform
from asyncpoll.simulator._jobs import AGENTS, FILE_PARSER, SUBTASKS, Job, JobKind, Jobs
from asyncpoll.simulator._lives import LifeGenerator, fingerprint, random_for

ALL: tuple[Duration, ...] = (
    Constant(2.0),
    Uniform(1.0, 3.0),
    Exponential(2.0),
    LogNormal(2.0, 1.0),
    Pareto(1.0, 3.0),
    Bimodal(Constant(1.0), Constant(9.0), 0.25),
)


def drawn(duration: Duration, *, count: int = 2000) -> list[float]:
    """Draw many durations from one random generator."""
    random = Random(7)
    return [duration.draw(random) for _ in range(count)]


@pytest.mark.parametrize("duration", ALL)
def test_a_duration_is_reproducible(duration: Duration) -> None:
    """The same seed gives the same durations."""
    assert drawn(duration) == drawn(duration)


@pytest.mark.parametrize("duration", ALL)
@given(seed=st.integers())
def test_a_duration_is_finite_and_not_negative(duration: Duration, seed: int) -> None:
    """With any seed a duration is a number of seconds that can be waited for."""
    assert 0.0 <= duration.draw(Random(seed)) < math.inf


def test_durations_have_their_distribution() -> None:
    """Mean, median, bounds and share are as chosen."""
    assert set(drawn(Constant(2.0))) == {2.0}
    assert 1.0 <= min(drawn(Uniform(1.0, 3.0))) < max(drawn(Uniform(1.0, 3.0))) <= 3.0
    assert fmean(drawn(Exponential(2.0))) == pytest.approx(2.0, rel=0.1)
    assert median(drawn(LogNormal(2.0, 1.0))) == pytest.approx(2.0, rel=0.1)
    assert min(drawn(Pareto(1.0, 3.0))) == pytest.approx(1.0, rel=0.01)
    assert drawn(Bimodal(Constant(1.0), Constant(9.0), 0.25)).count(9.0) == pytest.approx(500, rel=0.1)


@pytest.mark.parametrize("bad", [-1.0, math.inf, math.nan])
def test_a_duration_must_be_finite_and_not_negative(bad: float) -> None:
    """Negative, infinite and NaN seconds are refused."""
    for make in (Constant, Exponential, lambda value: LogNormal(value, 1.0), lambda value: Pareto(value, 1.0)):
        with pytest.raises(ValueError, match=r"must be"):
            make(bad)
    with pytest.raises(ValueError, match=r"must be"):
        Life(pending=bad, outcome="success")
    with pytest.raises(ValueError, match=r"must be"):
        Bimodal(Constant(1.0), Constant(2.0), bad)


def test_uniform_refuses_bounds_out_of_order() -> None:
    """The message says which bound must not be below which."""
    with pytest.raises(ValueError, match="must not be below low"):
        Uniform(3.0, 1.0)


@given(st.integers(), st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_different_names_have_different_fingerprints(seed: int, one: list[str], other: list[str]) -> None:
    """Moving a letter from one name to the next gives another fingerprint; so does another seed."""
    assert (fingerprint(seed, *one) == fingerprint(seed, *other)) == (one == other)
    assert fingerprint(seed, *one) != fingerprint(seed + 1, *one)


def test_every_text_has_a_fingerprint() -> None:
    """A lone surrogate, which UTF-8 cannot encode, has a fingerprint of its own."""
    assert fingerprint(0, "\ud800") != fingerprint(0, "\ud801")


def test_a_life_is_the_same_in_another_process() -> None:
    """A life does not depend on the process, unlike the hash of a text."""
    lives = LifeGenerator(3, Exponential(1.0), LogNormal(1.0, 1.0))
    code = (
        "from asyncpoll.simulator._lives import *;"
        "print(LifeGenerator(3, Exponential(1.0), LogNormal(1.0, 1.0)).draw({'a': 1, 'b': 1}, 'x', 'y'))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == repr(lives.draw({"a": 1, "b": 1}, "x", "y"))


def test_lives_differ_between_ids_endpoints_and_seeds() -> None:
    """Each id, each endpoint and each seed has a life of its own."""
    first, second = (LifeGenerator(seed, Exponential(1.0), Exponential(1.0)) for seed in (1, 2))
    weights = {"success": 1.0}
    drawn_lives = {
        first.draw(weights, "bigmodel.agents", "a"),
        first.draw(weights, "bigmodel.agents", "b"),
        first.draw(weights, "bigmodel.file_parser", "a"),
        second.draw(weights, "bigmodel.agents", "a"),
    }
    assert len(drawn_lives) == 4


def test_outcomes_follow_their_weights() -> None:
    """A word with three times the weight comes three times as often."""
    lives = LifeGenerator(1, Constant(0.0), Constant(0.0))
    outcomes = [lives.draw({"success": 3, "failed": 1}, str(number)).outcome for number in range(2000)]
    assert outcomes.count("success") == pytest.approx(1500, rel=0.05)


def test_random_generators_depend_on_their_names() -> None:
    """Two generators with the same names agree, with other names they differ."""
    assert random_for(1, "a").random() == random_for(1, "a").random() != random_for(1, "b").random()


@pytest.mark.parametrize(
    ("kind", "queued", "dispatched", "running"),
    [
        (AGENTS, "pending", "pending", "pending"),
        (FILE_PARSER, "processing", "processing", "processing"),
        (SUBTASKS, "pending", "assigned", "processing"),
    ],
)
def test_a_job_has_the_words_of_its_api(kind: JobKind, queued: str, dispatched: str, running: str) -> None:
    """A job is queued, dispatched, running and ended, each from its exact time on."""
    job = Job(kind, Life(pending=10.0, processing=100.0, outcome="end"), born=1000.0)
    moments = {1000.0: queued, 1009.9: queued, 1010.0: dispatched, 1019.9: dispatched, 1020.0: running, 1109.9: running}
    assert {moment: job.word(moment) for moment in moments} == moments
    assert job.word(1110.0) == job.word(9999.0) == "end"
    assert (job.truth.outcome, job.truth.submitted_at, job.truth.finished_at) == ("end", 1000.0, 1110.0)


def test_bad_weights_are_refused() -> None:
    """Unknown words, negative weights and weights that are all 0 are refused."""
    lives = LifeGenerator(1, Constant(0.0), Constant(0.0))
    with pytest.raises(ValueError, match="no outcome 'done'; choose one of: success, failed"):
        Jobs(AGENTS, lives, {"done": 1.0})
    for weights in ({}, {"success": 0.0}, {"success": 2.0, "failed": -1.0}, {"success": math.inf}):
        with pytest.raises(ValueError, match="at least one must be above 0"):
            Jobs(AGENTS, lives, weights)
