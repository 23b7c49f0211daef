"""Tests of what a hub does with what its schedule learns: a common price of calls, and new plans in time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from random import Random
from statistics import fmean
from typing import Any

import pytest
from hub_kit import Batch, in_hub, jobs_of, now, transport_of

from asyncpoll import Snapshot, State, Throttled
from asyncpoll._schedule import Exponential, Fixed
from asyncpoll.http import Request
from asyncpoll.waiting._decision import NEVER, Decision
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._policy import policy_of
from asyncpoll.waiting.learning._learned import Learned, since_submit
from asyncpoll.waiting.scheduler._pacing import PriceController


def scarcities(polls: Iterable[tuple[float, float, float]], waits: int = 100) -> list[float]:
    """Return the scarcity after each poll, from its worth, its own call cost and the lateness of polls."""
    learned, found = Learned(), []
    controller = PriceController(learned)
    for worth, own_cost, late in polls:
        is_scarce = controller.update((worth, own_cost), waits=waits, rate=1.0, late=late)
        assert is_scarce is (learned.scarcity > 0)
        found.append(learned.scarcity)
    return found


def test_calls_are_not_scarce_while_polls_are_in_time() -> None:
    """Whatever they are worth."""
    assert set(scarcities([(100.0, 1.0, 0.4)] * 100)) == {0.0}


def test_the_price_is_what_polls_are_worth() -> None:
    """It follows the worth of the polls that are made, over about a fifth of the waits."""
    prices = scarcities([(6.0, 1.0, 3.0)] * 200 + [(2.0, 1.0, 3.0)] * 20 + [(2.0, 1.0, 3.0)] * 200)
    assert prices == sorted(prices[:200]) + sorted(prices[200:], reverse=True)
    assert prices[199] == pytest.approx(6.0, rel=0.01)
    assert 3.5 < prices[219] < 5.0
    assert prices[-1] == pytest.approx(2.0, rel=0.01)


def test_few_waits_have_a_price_that_follows_slowly_enough() -> None:
    """One poll moves it by at most a fifth; without a wait, too."""
    assert scarcities([(10.0, 1.0, 3.0)], waits=0) == scarcities([(10.0, 1.0, 3.0)], waits=1) == [2.0]


def test_calls_stay_scarce_while_all_would_ask_for_more() -> None:
    """In time or not: at its own call cost each would be polled twice as often as at four times that."""
    late, in_time, enough = [(4.0, 1.0, 3.0)] * 200, [(4.0, 1.0, 0.0)] * 200, [(0.25, 1.0, 0.0)] * 200
    prices = scarcities(late + in_time + enough)
    assert min(prices[200:400]) > 3.9
    assert prices[-1] == 0.0


def test_a_poll_of_unknown_worth_changes_nothing() -> None:
    """Such as that of a job of which too little is known."""
    controller = PriceController(Learned())
    assert controller.update(None, waits=10, rate=1.0, late=9.0) is False
    assert controller.update((3.0, 1.0), waits=10, rate=1.0, late=9.0) is True
    assert controller.update(None, waits=10, rate=1.0, late=0.0) is True


# in a hub


def delays(jobs: int, seconds: float, **options: Any) -> tuple[int, float]:
    """Return the polls and the mean delay of two rounds of equal jobs, after a round to learn from."""
    ends: dict[str, float] = {}

    def answer(request: Request) -> Any:
        return {"state": "success" if now() >= ends[request.path] else "processing"}

    async def work(hub: Hub) -> tuple[int, float]:
        transport, late, before = transport_of(answer), 0.0, 0
        for round_ in range(3):
            before = hub.counters.polls if round_ == 1 else before
            refs = [f"{round_}-{number}" for number in range(jobs)]
            ends.update({f"/jobs/{ref}": now() + seconds * (1 + number / jobs / 10) for number, ref in enumerate(refs)})
            began = now()
            async with hub.as_completed(jobs_of(transport, refs), timeout=None) as outcomes:
                async for outcome in outcomes:
                    late += (round_ > 0) * (began + outcome.waited - ends[f"/jobs/{outcome.job.ref}"])
        return hub.counters.polls - before, late / jobs / 2

    return in_hub(work, random=Random(1).random, **options)


def test_a_hub_learns_by_default() -> None:
    """Jobs that all take about a minute are polled less often, and seen sooner, than by any backoff."""
    learned = [delays(50, 60.0, schedule=None) for _ in range(3)]
    blind_polls, blind_late = delays(50, 60.0, schedule=Exponential())
    assert max(polls for polls, _ in learned) < 0.6 * blind_polls
    assert fmean(late for _, late in learned) < 0.4 * blind_late


def test_a_hub_with_a_rate_shares_it() -> None:
    """Where the rate is too low for all plans, each job takes fewer polls."""
    polls, _ = delays(200, 60.0, schedule=None)
    scarce, late = delays(200, 60.0, schedule=None, rate=8.0)
    assert scarce < polls
    assert late < 40


def test_a_schedule_that_does_not_learn_is_not_controlled() -> None:
    """A hub with a fixed schedule and a rate works without a price controller."""
    assert delays(5, 3.0, schedule=Fixed(1.0), rate=100.0)[0] > 0


class Aged:
    """A job whose age is known: it was submitted when it was made."""

    endpoint = transport = None

    def __init__(self, name: str, ends_at: float, asked: list[tuple[str, float]], key: str = "one") -> None:
        self.key, self.pacing_key = name, key
        self._ends_at, self._asked = ends_at, asked
        self.submitted_at = datetime.now(UTC).timestamp()

    async def __call__(self) -> Snapshot[Any]:
        """Poll."""
        self._asked.append((self.key, now()))
        return Snapshot(State.SUCCESS if now() >= self._ends_at else State.PROCESSING)


def under_a_rate(schedule: Any, waits: int, share: float, seconds: float) -> tuple[float, float]:
    """Return the mean and the longest delay of those that end in the last third of the time.

    So many jobs of two kinds are awaited at any time, of which a hub may poll one in *share* a second.
    """
    chance, ends, asked = Random(3), dict[str, float](), list[tuple[str, float]]()

    def jobs() -> Iterator[Aged]:
        for number in itertools.count():
            seconds = chance.choice((20.0, 120.0)) * chance.uniform(0.8, 1.25)
            name = f"{number}"
            ends[name] = now() + seconds
            yield Aged(name, ends[name], asked, "short" if seconds < 50 else "long")

    async def work(hub: Hub) -> list[float]:
        late = []
        async with hub.as_completed(jobs(), timeout=None, max_pending=waits) as outcomes:
            async for outcome in outcomes:
                if now() > seconds:
                    break
                if now() > seconds * 2 / 3:
                    late.append(now() - ends[outcome.job.key])
        return late

    late = in_hub(work, rate=waits / share, concurrency=1000, schedule=schedule, random=Random(1).random)
    return fmean(late), max(late)


def test_scarce_calls_go_where_they_are_worth_most() -> None:
    """Ends are known sooner than when all jobs are polled in turn, and none is left out for long."""
    learned, longest = under_a_rate(Learned(cold=Exponential(), random=Random(2).random), 100, 40, 900)
    in_turn, _ = under_a_rate(Fixed(15.0), 100, 40, 900)
    assert learned < 0.7 * in_turn
    assert longest < 4 * 40


def test_a_hub_whose_price_was_set_can_be_paused() -> None:
    """No poll is made early while all are paused, by a rate of 0 or run by run."""
    asked: list[tuple[str, float]] = []

    async def work(hub: Hub) -> None:
        jobs = [Aged(f"{number}", 500.0 + number, asked) for number in range(60)]
        async with hub.as_completed(jobs, timeout=None) as run:
            await asyncio.sleep(100.0)
            run.pause()
            await asyncio.sleep(50.0)
            run.resume()
            await asyncio.sleep(50.0)
            hub.rate = 0
            await asyncio.sleep(50.0)
            hub.rate = 2.0
            assert len([outcome async for outcome in run]) == 60

    schedule = Learned(random=Random(1).random, max_interval=3600.0)
    for _ in range(30):
        schedule.observe(600.0, 600.0, key="one")
        schedule.observe(20.0, 20.0, key="one")
    in_hub(work, rate=2.0, schedule=schedule)
    assert [at for _, at in asked if at < 100.0]
    assert not [at for _, at in asked if 100.5 < at < 150.0 or 200.5 < at < 250.0]


def test_waits_with_a_schedule_of_their_own_do_not_set_the_price() -> None:
    """Only those that plan with the schedule of the hub do, whose price it is."""
    asked: list[tuple[str, float]] = []
    schedule = Learned(random=Random(1).random)
    for _ in range(30):
        schedule.observe(20.0, 20.0, key="one")

    async def work(hub: Hub) -> float:
        jobs = [Aged(f"{number}", 60.0, asked) for number in range(50)]
        assert len(await hub.wait_all(jobs, timeout=None, schedule=Fixed(1.0))) == 50
        return schedule.scarcity

    assert in_hub(work, rate=2.0, schedule=schedule) == 0.0


def test_a_new_rate_keeps_the_price_of_calls() -> None:
    """A rate that is set again and again, as where machines share one, is still met, and the price goes on."""
    asked: list[tuple[str, float]] = []
    schedule = Learned(random=Random(1).random)
    for _ in range(30):
        schedule.observe(60.0, 60.0, key="one")
    prices: list[float] = []

    async def work(hub: Hub) -> None:
        jobs = [Aged(f"{number}", 400.0, asked) for number in range(300)]
        run = asyncio.create_task(hub.wait_all(jobs, timeout=None))
        for step in range(400):
            await asyncio.sleep(0.5)
            hub.rate = (2.0, 3.0)[step % 2]
            prices.append(schedule.scarcity)
        await run
        hub.rate = None
        assert schedule.scarcity == 0.0

    in_hub(work, rate=2.0, schedule=schedule, random=Random(1).random)
    assert all(0.8 < after / before < 1.25 for before, after in itertools.pairwise(prices[150:]))
    assert 2.4 * 100 < sum(100 <= at < 200 for _, at in asked) <= 2.6 * 100


# new plans


def mean_delay(jobs: int, **options: Any) -> float:
    """Return how long after the ends of jobs of a kind that is not known yet they are known, on average."""
    ends = [30 + number / jobs / 10 for number in range(jobs)]

    async def work(hub: Hub) -> list[float]:
        waits = [hub.wait(Aged(f"{end}", end, []), timeout=None, **options) for end in ends]
        return [now() async for _ in arriving(waits)]

    return fmean(in_hub(work, schedule=Learned(random=Random(1).random))) - fmean(ends)


async def arriving(waits: Iterable[Any]) -> AsyncIterator[Any]:
    """Yield the results of waits in the order in which they come."""
    for end in asyncio.as_completed(list(waits)):
        yield await end


def test_the_first_ends_of_a_kind_hasten_other_polls() -> None:
    """Of many jobs that were entered together, one has ended; so have the others, most likely."""
    assert mean_delay(250) < 1.0


def test_a_plan_is_not_made_anew_for_other_schedules() -> None:
    """Waits with a schedule of their own, and those whose server asked to be left alone, keep their times."""
    assert mean_delay(50, schedule=Fixed(40.0)) == pytest.approx(9.951)


def test_a_wait_that_cannot_be_planned_anew_keeps_its_poll() -> None:
    """Its last poll was missed, it has been polled for the last time, or the server has asked for a pause."""
    learned = Learned(random=Random(1).random)
    steps: list[tuple[Any, float | None]] = [
        (Throttled("slow down", status=429), 100.0), (Snapshot(State.PROCESSING, retry_after=50.0), 100.0),
        (Snapshot(State.PROCESSING), 9.0), (Snapshot(State.SUCCESS), None),
    ]  # fmt: skip
    for result, timeout in steps:
        decision = Decision(policy_of("wait", timeout, {"schedule": learned, "stable_for": 2}), 0.0)
        assert decision.planned_anew(learned, 8.9) == NEVER
        decision.apply(result, 8.9)
        assert decision.planned_anew(learned, 8.9) == NEVER
    decision = Decision(policy_of("wait", None, {"schedule": learned}), 0.0)
    decision.apply(Snapshot(State.PROCESSING), 8.0)
    assert decision.planned_anew(Learned(), 8.9) == NEVER
    assert 8.0 < decision.planned_anew(learned, 8.9) < 20.0
    assert 100.0 <= decision.planned_anew(learned, 100.0) < 120.0


def test_a_first_poll_is_planned_anew_if_it_was_planned() -> None:
    """One that is to be made at once keeps its turn."""
    learned = Learned(random=Random(1).random)
    for _ in range(30):
        learned.observe(20.0, 20.0, key=since_submit("one"))
    aged = Decision(policy_of("wait", None, {"schedule": learned}), 0.0, subject=Aged("a", 20.0, []))
    assert 15.0 < aged.planned_anew(learned, 1.0) < 25.0
    chosen = Decision(policy_of("wait", None, {"schedule": learned, "first_delay": 3.0}), 0.0, subject=aged.subject)
    assert chosen.planned_anew(learned, 1.0) == NEVER


def test_several_kinds_may_become_known_at_once() -> None:
    """Waits of each are planned anew, together."""
    asked: list[tuple[str, float]] = []
    schedule = Learned(random=Random(1).random)

    async def work(hub: Hub) -> None:
        waits = [asyncio.create_task(hub.wait(Aged(key, 50.0, asked, key), timeout=None)) for key in ("one", "two")]
        await asyncio.sleep(40.0)
        ended = [Aged(f"{key} {n}", 0.0, asked, key) for key in ("one", "two") for n in range(3)]
        for job in ended:
            job.submitted_at -= 5.0
        before = len(asked)
        await hub.wait_all(ended, timeout=None)
        assert len(asked) == before + 6
        await asyncio.sleep(0.5)
        assert schedule.news == set()
        await asyncio.gather(*waits)

    in_hub(work, schedule=schedule)


def test_a_call_about_many_jobs_sets_no_price() -> None:
    """What it is worth is not known; all jobs are seen to end under a rate, too."""
    batch, schedule = Batch(lambda number: 20.0 + number), Learned(random=Random(1).random)
    outcomes = in_hub(lambda hub: hub.wait_all(batch.jobs(*range(9)), timeout=None), rate=1.0, schedule=schedule)
    assert len([outcome for outcome in outcomes if outcome.succeeded]) == 9
    assert batch.together
