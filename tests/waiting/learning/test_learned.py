"""Tests of the schedule that learns how long jobs take."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from asyncpoll._schedule import Exponential, Fixed, Progress, Schedule
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import ENOUGH_JOBS, MOST_KEYS, Keyed, Learned

Draw = Callable[[Random], float]


def learned(*durations: float, seed: int = 1, **options: Any) -> Learned:
    """Return a schedule with a seeded random source that has observed these durations."""
    schedule = Learned(random=Random(seed).random, **options)
    for duration in durations:
        schedule.observe(duration, duration)
    return schedule


def ages(schedule: Schedule, until: float, state: str | None = "processing") -> list[float]:
    """Return the ages of the polls of one job, after the one at its start, up to the first at or after *until*."""
    polled = [0.0]
    while polled[-1] < until:
        polled.append(polled[-1] + schedule.delay(Progress(len(polled), polled[-1], state=state)))
    return polled[1:]


def calls_and_delay(schedule: Learned, draw: Draw, *, jobs: int, exact: bool, seed: int = 3) -> tuple[float, float]:
    """Return the mean calls and the mean delay of jobs that are polled, and learned from, one after the other."""
    random = Random(seed)
    calls, delays = [], []
    for duration in (draw(random) for _ in range(jobs)):
        polled = [0.0, *ages(schedule, duration)]
        calls.append(len(polled) - 1)
        delays.append(polled[-1] - duration)
        schedule.observe(*((duration, duration) if exact else (polled[-2], polled[-1])))
    return statistics.fmean(calls), statistics.fmean(delays)


# options


@pytest.mark.parametrize(
    "options",
    [
        {"price": 0.0},
        {"price": math.nan},
        {"call_cost": -1.0},
        {"call_cost": math.inf},
        {"budget": 1.9},
        {"budget": math.nan},
        {"hint": 0.0},
        {"min_interval": 0.0},
        {"max_interval": math.inf},
    ],
)
def test_a_number_out_of_range_is_refused(options: dict[str, Any]) -> None:
    """The error names the argument."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Learned(**options)


def test_the_call_cost_is_set_in_one_way_only() -> None:
    """A price and a budget contradict each other."""
    with pytest.raises(ValueError, match="price, call_cost and budget say the same in three ways; give one of them"):
        Learned(price=0.1, budget=4.0)


def test_bounds_the_wrong_way_round_are_refused() -> None:
    """The error names both bounds."""
    with pytest.raises(ValueError, match=r"max_interval \(1 s\) must not be below min_interval \(5 s\)"):
        Learned(min_interval=5.0, max_interval=1.0)


def test_its_random_source_is_its_own_unless_one_is_passed() -> None:
    """Two schedules made alike do not poll at the same ages, two with the same seed do."""
    jobs = (20.0,) * 3
    own = [Learned(), Learned()]
    for schedule, duration in itertools.product(own, jobs):
        schedule.observe(duration, duration)
    assert ages(own[0], 20.0) != ages(own[1], 20.0)
    assert ages(learned(*jobs), 20.0) == ages(learned(*jobs), 20.0)


# delays


def test_it_backs_off_before_the_first_observation() -> None:
    """The first delay is about a second, and each is about a quarter of the age longer."""
    polled = ages(learned(), 600.0)
    for before, after in itertools.pairwise([0.0, *polled]):
        planned = min(1 + 0.25 * before, 120.0)
        assert 0.9 * planned <= after - before <= 1.1 * planned + 1e-9


def test_it_polls_when_jobs_end() -> None:
    """After 30 jobs of 20 s, the next is polled little more than once, right after 20 s."""
    polled = ages(learned(*[20.0] * 30), 20.0)
    assert len(polled) <= 2
    assert 20.0 <= polled[-1] < 21.0


def test_it_hardly_polls_between_two_modes() -> None:
    """Where jobs take 2 s or 60 s, a job is not polled before 1.5 s and at most once from 6 to 50 s."""
    random = Random(2)
    jobs = [mode * random.uniform(0.95, 1.05) for mode in (2.0, 60.0) * 20]
    polled = ages(learned(*jobs), 60.0)
    assert polled[0] > 1.5
    assert len([age for age in polled if 6 < age < 50]) <= 1


@pytest.mark.parametrize("exact", [True, False], ids=["durations known", "poll times only"])
@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda random: 20 * math.exp(0.4 * random.gauss(0, 1)), id="lognormal"),
        pytest.param(lambda random: random.choice([2.0, 60.0]) * math.exp(0.2 * random.gauss(0, 1)), id="bimodal"),
        pytest.param(lambda random: random.gauss(20, 0.5), id="nearly constant"),
    ],
)
def test_after_thirty_jobs_it_beats_a_backoff(draw: Draw, exact: bool) -> None:  # noqa: FBT001  a parameter of the test
    """The mean delay is then at most half of that of `Exponential`, with about as many calls, or fewer."""
    schedule = learned()
    calls_and_delay(schedule, draw, jobs=30, exact=exact)
    calls, delay = calls_and_delay(schedule, draw, jobs=100, exact=exact, seed=4)
    random = Random(5)
    backoff = Exponential(jitter=lambda span: random.uniform(0, span))
    durations = [draw(random) for _ in range(400)]
    polls = [ages(backoff, duration) for duration in durations]
    backoff_delay = statistics.fmean(polled[-1] - duration for polled, duration in zip(polls, durations, strict=True))
    assert calls < 1.1 * statistics.fmean(map(len, polls))
    assert delay < 0.5 * backoff_delay


def test_it_gets_better_from_poll_times_alone() -> None:
    """A late poll does not make jobs seem longer, so later polls are not delayed further."""

    def draw(random: Random) -> float:
        return 20 * math.exp(0.4 * random.gauss(0, 1))

    schedule = learned()
    costs = []
    for stretch in range(4):
        calls, delay = calls_and_delay(schedule, draw, jobs=50, exact=False, seed=stretch)
        costs.append(0.6 * calls + delay)
    assert max(costs[1:]) < costs[0]


def test_a_hint_stands_in_for_observations() -> None:
    """With a hint of ten minutes the first job is not polled every few seconds."""
    assert len(ages(learned(hint=600.0), 600.0)) < 0.7 * len(ages(learned(), 600.0))


def test_a_job_older_than_all_others_is_polled_ever_less() -> None:
    """Beyond the longest duration seen, delays grow with the age, up to the longest allowed."""
    schedule = learned(*[20.0] * 30)
    delays = [schedule.delay(Progress(9, age)) for age in (30.0, 600.0, 3600.0, 1e6)]
    assert delays == sorted(delays)
    assert delays[-1] == 120.0


def test_beyond_the_longest_duration_the_plan_is_stretched() -> None:
    """By the square root of the age: at four times the longest duration seen a delay is twice what was planned."""
    schedule = Learned(random=lambda: 0.5, max_interval=1e6)
    for _ in range(30):
        schedule.observe(20.0, 20.0)
    delay = schedule.delay(Progress(9, 80.0))
    plan = schedule._model("")._processing._plan
    assert plan is not None
    assert delay == pytest.approx(2 * (plan.next_poll(80.0, lambda: 0.5) - 80))


def test_a_delay_is_within_the_bounds() -> None:
    """A delay is neither shorter nor longer than the options allow."""
    schedule = learned(*[0.01] * 64, min_interval=2.0, max_interval=5.0)
    assert {schedule.delay(Progress(1, 0.0)), schedule.delay(Progress(9, 1e9))} == {2.0, 5.0}


def test_a_clock_that_returns_nan_leads_to_the_shortest_delay() -> None:
    """The delay is the minimum, before and after the first observation."""
    assert learned().delay(Progress(1, math.nan)) == learned(5.0).delay(Progress(2, math.nan)) == 0.1


def test_after_a_miss_it_polls_soon_and_then_less_often() -> None:
    """A poll that saw nothing is repeated after about a second, and more slowly as misses go on."""
    schedule = learned(*[300.0] * 30)
    for misses, longest in [(1, 1.0), (2, 2.0), (4, 8.0), (6, 30.0), (2000, 30.0)]:
        assert longest / 2 <= schedule.delay(Progress(9, 200.0, misses=misses)) <= longest


# the call cost


def test_a_higher_price_buys_fewer_calls() -> None:
    """The number of polls falls with the price."""
    jobs = [20 * math.exp(0.8 * Random(n).gauss(0, 1)) for n in range(40)]
    calls = [len(ages(learned(*jobs, price=price), 60.0)) for price in (0.003, 0.03, 0.3)]
    assert calls[0] > 1.5 * calls[1] > 2.0 * calls[2]


@pytest.mark.parametrize("budget", [3.0, 5.0, 9.0])
def test_a_budget_is_kept(budget: float) -> None:
    """On average a job is polled about so many times, with the poll at the start of its wait."""

    def draw(random: Random) -> float:
        return 20 * math.exp(0.8 * random.gauss(0, 1))

    schedule = learned(budget=budget)
    calls_and_delay(schedule, draw, jobs=60, exact=True)
    calls, _ = calls_and_delay(schedule, draw, jobs=200, exact=True, seed=8)
    assert 1 + calls == pytest.approx(budget, rel=0.25)


def test_a_budget_covers_both_phases() -> None:
    """The polls of a pending and of a processed job count towards one budget."""
    schedule = learned(budget=8.0)
    random = Random(6)
    for _ in range(40):
        for state in ("pending", "processing"):
            duration = 20 * math.exp(0.8 * random.gauss(0, 1))
            schedule.observe(duration, duration, state=state)
    alone = learned(*[record.lo for record in schedule.history.track("", "processing").records], budget=8.0)
    assert len(ages(schedule, 60.0)) < len(ages(alone, 60.0))


def test_the_price_can_be_set_from_outside() -> None:
    """A higher call cost makes polls fewer at once, and None restores the first one."""
    jobs = [20 * math.exp(0.8 * Random(n).gauss(0, 1)) for n in range(40)]
    schedule = learned(*jobs, call_cost=0.5)
    before = len(ages(schedule, 60.0))
    schedule.call_cost = 20.0
    assert schedule.call_cost == 20.0
    assert len(ages(schedule, 60.0)) < 0.5 * before
    schedule.call_cost = None
    assert schedule.call_cost == 0.5
    assert len(ages(schedule, 60.0)) == pytest.approx(before, abs=2)


def test_a_price_that_hardly_moves_makes_no_new_plan() -> None:
    """Within 12 % the plan stays; beyond that it is made anew, from the same survival curve."""
    schedule = learned(*[20.0] * 30, call_cost=1.0)
    model = schedule._model("")
    schedule.delay(Progress(1, 0.0))
    plan, curve = model._processing._plan, model._processing.curve
    for call_cost, stays in [(1.1, True), (0.9, True), (1.2, False)]:
        schedule.call_cost = call_cost
        schedule.delay(Progress(1, 0.0))
        assert (model._processing._plan is plan) is stays
    assert model._processing.curve is curve


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_an_invalid_call_cost_is_refused(seconds: float) -> None:
    """A call is worth a finite number of seconds above 0."""
    with pytest.raises(ValueError, match="a call is worth a number of seconds above 0, or None"):
        learned().call_cost = seconds


# observations


def test_jobs_that_change_are_noticed() -> None:
    """Once three jobs take a third of what all did, the others are forgotten and the next is asked in time."""
    schedule = learned(*[60.0] * 40)
    assert ages(schedule, 6.0)[0] > 50
    for _ in range(3):
        schedule.observe(6.0, 6.0)
    assert len(schedule.history.track("", "processing").records) <= 5
    assert ages(schedule, 6.0)[-1] < 12


def test_jobs_that_become_slower_are_learned_from_poll_times() -> None:
    """Jobs that still run when all others had ended move the plan, with their ends known as intervals only."""
    schedule = learned()
    for _ in range(40):
        schedule.observe(5.0, 6.0)
    before = schedule.survival().age_at(0.5)
    for _ in range(40):
        schedule.observe(55.0, 65.0)
    assert before == pytest.approx(5.5, abs=0.5)
    assert schedule.survival().running_at(50.0) > 0.4


def test_a_job_that_was_abandoned_at_once_is_not_recorded() -> None:
    """It was seen neither running nor ended."""
    schedule = learned()
    schedule.observe(0.0, math.inf)
    assert schedule.history.tracks == {}


def test_a_job_that_was_abandoned_late_is_learned_from() -> None:
    """After many that were abandoned at 300 s, a job is not polled every few seconds any more."""
    schedule = learned()
    for _ in range(20):
        schedule.observe(300.0, math.inf)
    assert len(ages(schedule, 600.0)) < 0.7 * len(ages(learned(), 600.0))


def test_an_invalid_observation_is_refused() -> None:
    """The history stays empty."""
    schedule = learned()
    with pytest.raises(ValueError, match="a job ends after the age it was last seen running at"):
        schedule.observe(math.nan, 2.0)
    with pytest.raises(ValueError, match="at most 200 characters"):
        schedule.observe(1.0, 2.0, key="k" * 201)
    assert schedule.history.tracks == {}


# phases


def test_each_phase_has_a_clock_of_its_own() -> None:
    """A job that was processed for as long as others is polled, however long it was pending before."""
    schedule = learned(*[20.0] * 30)
    for _ in range(30):
        schedule.observe(300.0, 300.0, state="pending")
    assert schedule.delay(Progress(5, 400.0, state="processing", in_state=0.0)) == pytest.approx(20.0, abs=0.5)
    assert schedule.delay(Progress(5, 400.0, state="processing", in_state=15.0)) == pytest.approx(5.0, abs=0.5)


def test_a_pending_job_is_polled_when_it_may_have_ended() -> None:
    """The poll comes later by the least duration of the processing, for the caller waits for its end."""
    queued = Progress(1, 0.0, state="pending", in_state=0.0)
    alone, followed = learned(max_interval=1000.0), learned(*[50.0] * 30, max_interval=1000.0)
    for schedule in (alone, followed):
        for _ in range(30):
            schedule.observe(300.0, 300.0, state="pending")
    assert alone.delay(queued) == pytest.approx(300.0, rel=0.02)
    assert followed.delay(queued) == pytest.approx(349.0, rel=0.02)


def test_a_job_in_an_unknown_state_counts_as_processed() -> None:
    """The plan of a job without a state, or with an unknown one, is that of processing."""
    schedules = [learned(*[20.0] * 30) for _ in range(3)]
    states = [None, "unknown", "processing"]
    first, *others = [ages(schedule, 20.0, state) for schedule, state in zip(schedules, states, strict=True)]
    assert [first, first] == others


# keys and history


def test_keys_are_learned_apart() -> None:
    """Jobs of one key do not change the plan of another, nor of those without one."""
    schedule = learned()
    for _ in range(30):
        schedule.keyed("slow").observe(100.0, 100.0)
        schedule.keyed("fast").observe(5.0, 5.0)
    assert ages(schedule.keyed("slow"), 100.0)[0] > 90
    assert ages(schedule.keyed("fast"), 5.0)[-1] < 7
    assert len(ages(schedule, 100.0)) > 10
    assert schedule.keyed("fast") == Keyed(schedule, "fast")


def test_a_key_that_is_too_long_is_refused() -> None:
    """The limit is 200 characters."""
    with pytest.raises(ValueError, match="at most 200 characters"):
        learned().keyed("k" * 201)


def test_models_are_kept_for_a_bounded_number_of_keys() -> None:
    """The least recently used are dropped, and made again from their history when they are needed."""
    schedule = learned()
    for _ in range(10):
        schedule.keyed("rare").observe(100.0, 100.0)
    frequent = schedule._model("frequent")
    for number in range(MOST_KEYS + 10):
        schedule.keyed("frequent").delay(Progress(1, 0.0))
        schedule.keyed(str(number)).delay(Progress(1, 0.0))
    assert len(schedule._models) == MOST_KEYS
    assert schedule._models["frequent"] is frequent
    assert "rare" not in schedule._models
    assert ages(schedule.keyed("rare"), 100.0)[0] > 80


@pytest.mark.parametrize("exact", [True, False], ids=["durations known", "poll times only"])
def test_a_history_is_of_use_in_another_process(exact: bool) -> None:  # noqa: FBT001  a parameter of the test
    """A schedule with the history of another plans as well from its first job on."""

    def draw(random: Random) -> float:
        return random.gauss(20, 0.5)

    teacher = learned()
    calls_and_delay(teacher, draw, jobs=70, exact=exact)
    text = teacher.history.to_json()
    heirs = [learned(seed=seed, history=History.from_json(text)) for seed in range(20)]
    costs = [calls_and_delay(heir, draw, jobs=1, exact=exact, seed=number) for number, heir in enumerate(heirs)]
    calls, delay = (statistics.fmean(of_all) for of_all in zip(*costs, strict=True))
    assert calls < 2.0
    assert delay < 1.5


def test_news_are_of_a_bounded_number_of_keys() -> None:
    """Where no hub takes them, too."""
    schedule = learned()
    assert schedule.take_news() == set()
    for number in range(MOST_KEYS + 3):
        schedule.observe(5.0, 5.0, key=f"{number}")
    assert schedule.take_news() == {f"{MOST_KEYS + left}" for left in range(3)}
    assert schedule.take_news() == set()


def test_an_untaught_schedule_has_an_empty_history() -> None:
    """Its options are the same."""
    schedule = learned(*[20.0] * 40, budget=5.0, hint=7.0)
    fresh = schedule.untaught()
    assert fresh.terms == schedule.terms
    assert fresh.history.tracks == {}
    assert len(schedule.history.tracks) == 1


def test_a_curve_is_estimated_once_for_every_few_jobs() -> None:
    """With 64 records the next estimate is made after eight jobs, whatever the number of polls."""
    schedule = learned(*[20.0] * 64)
    model = schedule._model("")
    curves = [model._processing.curve]
    for _ in range(64):
        schedule.observe(20.0, 20.0)
        for age in range(20):
            schedule.delay(Progress(2, float(age)))
        if model._processing.curve is not curves[-1]:
            curves.append(model._processing.curve)
    assert 8 <= len(curves) <= 10


# its start, and its price


def test_a_cold_schedule_is_used_until_enough_jobs_were_seen() -> None:
    """The jobs of each key count by themselves; with a hint the cold schedule is not used."""
    schedule = learned(cold=Fixed(7.0))
    for count in range(ENOUGH_JOBS):
        assert schedule.delay(Progress(1, 0.0), key="a") == 7.0
        schedule.observe(60.0, 60.0 + count, key="a")
    assert schedule.delay(Progress(1, 0.0), key="a") != 7.0
    assert schedule.survival(key="a").age_at(0.5) == pytest.approx(60.0, rel=0.1)
    assert schedule.delay(Progress(1, 0.0), key="b") == 7.0
    assert schedule.untaught().delay(Progress(1, 0.0), key="a") == 7.0
    assert learned(cold=Fixed(7.0), hint=60.0).delay(Progress(1, 0.0)) != 7.0


def test_scarce_calls_make_polls_fewer() -> None:
    """A poll is made when it is worth the price, and so fewer are made than at the own call cost."""
    polls: list[int] = []
    for scarcity in (0.0, 10.0, 100.0):
        schedule = learned(*(10 + 37 * number % 60 for number in range(60)))
        schedule.scarcity = scarcity
        polls.append(len(ages(schedule, 60.0)))
    assert polls[0] > polls[1] > polls[2]
