"""The shares of one rate: fair, all of it, and never too much, whatever answers are lost or late."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asyncpoll.dask._shares import VALID, Shares, fair_shares

HOLDERS = ["a", "b", "c", "d"]
DEMANDS = st.dictionaries(st.sampled_from(HOLDERS), st.floats(0, 1000), min_size=1)
RATES = st.floats(0.1, 2000)


@given(RATES, DEMANDS)
def test_fair_shares_add_up_to_the_rate(rate: float, demands: dict[str, float]) -> None:
    """All of the rate is given out, and no more."""
    shares = fair_shares(rate, demands)
    assert shares.keys() == demands.keys()
    assert math.fsum(shares.values()) == pytest.approx(rate)
    assert min(shares.values()) >= -1e-9


@given(RATES, DEMANDS)
def test_who_lacks_something_has_no_less_than_others(rate: float, demands: dict[str, float]) -> None:
    """Whoever does not get what it could use has as much as any other: this is max-min fairness."""
    shares = fair_shares(rate, demands)
    for name, share in shares.items():
        if share < demands[name] - 1e-6:
            assert share >= max(shares.values()) - 1e-6


@pytest.mark.parametrize(
    ("rate", "demands", "expected"),
    [
        (90.0, {"a": 100.0, "b": 100.0, "c": 100.0}, {"a": 30.0, "b": 30.0, "c": 30.0}),
        (90.0, {"a": 10.0, "b": 100.0, "c": 100.0}, {"a": 10.0, "b": 40.0, "c": 40.0}),
        (90.0, {"a": 10.0, "b": 20.0, "c": 30.0}, {"a": 20.0, "b": 30.0, "c": 40.0}),
        (90.0, {"a": 0.0}, {"a": 90.0}),
    ],
)
def test_shares_of_known_demands(rate: float, demands: dict[str, float], expected: dict[str, float]) -> None:
    """Small demands are met, the large ones get what is left, and what is left after that is divided evenly."""
    assert fair_shares(rate, demands) == pytest.approx(expected)


def test_a_share_grows_once_another_has_shrunk() -> None:
    """A newcomer gets nothing while the first has all; then the first shrinks, and is known to by asking again."""
    shares = Shares(100.0)
    assert shares.ask("a", 500.0, 0.0) == 100.0
    assert shares.ask("b", 500.0, 0.1) == 0.0
    assert shares.ask("a", 500.0, 0.4) == 50.0
    assert shares.ask("b", 500.0, 0.5) == 0.0  # the answer to `a` may have been lost
    assert shares.ask("a", 500.0, 0.8) == 50.0
    assert shares.ask("b", 500.0, 0.9) == 50.0


def test_a_holder_that_vanishes_frees_its_share() -> None:
    """Its share can be given to others once it is no longer valid, and not before."""
    shares = Shares(100.0)
    shares.ask("a", 500.0, 0.0)
    assert shares.ask("b", 500.0, VALID - 0.01) == 0.0
    assert shares.ask("b", 500.0, VALID) == 100.0


def test_without_a_rate_there_is_no_limit() -> None:
    """Any number of polls a second is as much as anyone could use."""
    assert Shares(math.inf).ask("a", 1.0, 0.0) == math.inf


class Cluster(RuleBasedStateMachine):
    """Holders that ask at any time; answers arrive at once, late or never."""

    def __init__(self) -> None:
        super().__init__()
        self.shares = Shares(100.0)
        self.now = 0.0
        self.in_use: dict[str, list[tuple[float, float]]] = {name: [] for name in HOLDERS}  # (rate, until)
        self.names = {name: name for name in HOLDERS}
        self.renamed = 0
        self.late: list[tuple[str, float]] = []

    @rule(seconds=st.floats(0, 1.5))
    def time_passes(self, seconds: float) -> None:
        """Let some time pass."""
        self.now += seconds

    @rule(name=st.sampled_from(HOLDERS), demand=st.floats(0, 500))
    def ask(self, name: str, demand: float) -> None:
        """Ask, and get the answer: from now on it alone holds."""
        share = self.shares.ask(self.names[name], demand, self.now)
        self.in_use[name] = [(share, self.now + VALID)]

    @rule(name=st.sampled_from(HOLDERS), demand=st.floats(0, 500), arrives=st.booleans())
    def ask_without_an_answer(self, name: str, demand: float, arrives: bool) -> None:  # noqa: FBT001  drawn
        """Ask, but the answer is lost, or the question is under way for some time; go on under another name."""
        if arrives:
            self.shares.ask(self.names[name], demand, self.now)
        else:
            self.late.append((self.names[name], demand))
        self.renamed += 1
        self.names[name] = f"{name}{self.renamed}"

    @rule()
    def a_late_question_arrives(self) -> None:
        """Answer what was asked long ago, to nobody."""
        if self.late:
            self.shares.ask(*self.late.pop(0), self.now)

    @invariant()
    def too_much_is_never_in_use(self) -> None:
        """The rates that holders keep to add up to no more than there is."""
        in_use = sum(rate for uses in self.in_use.values() for rate, until in uses if self.now < until)
        assert in_use <= 100.0 + 1e-6


TestCluster = Cluster.TestCase
