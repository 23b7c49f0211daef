"""Property tests of learned schedules, histories and replays."""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll._schedule import Progress
from asyncpoll.cli._replay import replay
from asyncpoll.waiting.learning._history import WINDOW, DurationRecord, History, Track
from asyncpoll.waiting.learning._learned import Learned

property_of = settings(max_examples=100, derandomize=True, database=None, deadline=None)

anything = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1e-9, 0.1, 20.0, 1e9, 1.7e308])
sensible = st.floats(0.0, 1e9)
states = st.sampled_from([None, "pending", "processing", "unknown", "success"])
phases = st.sampled_from(["pending", "processing"])
jobs = st.lists(st.tuples(phases, anything, anything), max_size=80)
progresses = st.builds(
    Progress,
    polls=st.integers(1, 10**6),
    elapsed=anything,
    misses=st.sampled_from([0, 0, 0, 1, 5, 10**6]),
    state=states,
    in_state=st.none() | anything,
)
terms: st.SearchStrategy[dict[str, float]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"price": st.floats(1e-6, 1e6)}),
    st.fixed_dictionaries({"call_cost": st.floats(1e-6, 1e9)}),
    st.fixed_dictionaries({"budget": st.floats(2.0, 1e6)}),
)
bounds = st.tuples(st.floats(1e-3, 1e4), st.floats(1e-3, 1e4)).map(sorted)

records = st.builds(
    lambda at, lo, longer: DurationRecord(at, lo, lo + longer),
    st.integers(0, 50).map(float),
    sensible,
    sensible | st.just(math.inf),
)
tracks = st.builds(
    lambda kept, since: Track(tuple(kept), since).merged(Track()),
    st.lists(records, max_size=90),
    st.integers(0, 30).map(float),
)
names = st.tuples(st.sampled_from(["", "a", "b", "c"]), phases)
histories = st.dictionaries(names, tracks, max_size=6).map(lambda made: History(made.items()))


def taught(seen: list[tuple[str, float, float]], options: dict[str, Any], seed: int) -> Learned:
    """Return a schedule with a seeded random source that has observed all valid jobs."""
    learned = Learned(random=Random(seed).random, **options)
    for state, lo, hi in seen:
        if 0 <= lo <= hi and lo < math.inf:
            learned.observe(lo, hi, state=state)
    return learned


@property_of
@given(seen=jobs, options=terms, limits=bounds, hint=st.none() | st.floats(1e-9, 1e12), progress=progresses)
def test_a_delay_is_always_within_bounds(
    seen: list[tuple[str, float, float]],
    options: dict[str, float],
    limits: list[float],
    hint: float | None,
    progress: Progress,
) -> None:
    """This holds for any history and any progress, with a broken clock too."""
    learned = taught(seen, {**options, "min_interval": limits[0], "max_interval": limits[1], "hint": hint}, 1)
    for _ in range(3):
        assert limits[0] <= learned.delay(progress) <= limits[1]


@property_of
@given(seen=jobs, options=terms, costs=st.lists(st.none() | st.floats(1e-300, 1e300), max_size=5), progress=progresses)
def test_a_call_cost_set_later_never_breaks_the_bounds(
    seen: list[tuple[str, float, float]], options: dict[str, float], costs: list[float | None], progress: Progress
) -> None:
    """This holds for any sequence of call costs."""
    learned = taught(seen, options, 1)
    for cost in costs:
        learned.call_cost = cost
        assert 0.1 <= learned.delay(progress) <= 120.0


@property_of
@given(seen=jobs, options=terms, asked=st.lists(progresses, max_size=20), seed=st.integers(0, 1000))
def test_the_same_history_and_seed_lead_to_the_same_delays(
    seen: list[tuple[str, float, float]], options: dict[str, float], asked: list[Progress], seed: int
) -> None:
    """A delay depends on nothing else."""
    one, other = (taught(seen, options, seed) for _ in range(2))
    assert list(map(one.delay, asked)) == list(map(other.delay, asked))


@property_of
@given(data=st.recursive(st.none() | anything | st.text() | st.booleans() | st.integers(), st.lists, max_leaves=6))
def test_invalid_records_never_break_the_bounds(data: Any) -> None:
    """Any JSON in the place of the records leads to a history that a schedule can use."""
    track = {"key": "", "phase": "processing", "since": data, "records": data if isinstance(data, list) else [data]}
    now = History.from_json('{"version": 1, "tracks": []}')
    now.add("", "processing", 1.0, 1.0)
    at = now.track("", "processing").newest
    track["records"] = [[at, data, data], [at, 5.0, data], *track["records"]]
    history = History.from_json(json.dumps({"version": 1, "tracks": [track, data]}))
    learned = Learned(history=history, random=Random(1).random)
    assert all(0.1 <= learned.delay(Progress(2, age)) <= 120.0 for age in (0.0, 3.0, 1e6))
    assert all(0 <= one.lo <= one.hi for one in history.track("", "processing").records)


@property_of
@given(one=histories, other=histories)
def test_merging_does_not_depend_on_the_order(one: History, other: History) -> None:
    """Two processes that read each other's history end with the same."""
    left, right = History(one.tracks.items()), History(other.tracks.items())
    left.merge(other)
    right.merge(one)
    assert left.tracks == right.tracks


@property_of
@given(one=histories, other=histories, third=histories)
def test_merging_again_changes_nothing(one: History, other: History, third: History) -> None:
    """Known records make no difference, nor does the grouping of the histories."""
    merged = History(one.tracks.items())
    merged.merge(other)
    before = dict(merged.tracks)
    merged.merge(other)
    merged.merge(merged)
    assert merged.tracks == before
    merged.merge(third)
    grouped = History(other.tracks.items())
    grouped.merge(third)
    grouped.merge(one)
    assert grouped.tracks == merged.tracks


@property_of
@given(one=tracks, other=tracks)
def test_the_newest_records_stay(one: Track, other: Track) -> None:
    """A merged track is ordered and bounded, without records that were cut, and lacks only older ones."""
    merged = one.merged(other)
    assert list(merged.records) == sorted(set(merged.records))
    assert len(merged.records) <= WINDOW
    known = {record for record in {*one.records, *other.records} if record.at >= max(one.since, other.since)}
    assert set(merged.records) <= known
    assert len(merged.records) == min(WINDOW, len(known))
    assert all(left_out <= merged.records[0] for left_out in known - set(merged.records))


@property_of
@given(ended=st.lists(st.tuples(sensible, sensible), max_size=5), seed=st.integers(0, 99))
def test_a_replay_lies_between_one_poll_and_the_longest_delay(ended: list[tuple[float, float]], seed: int) -> None:
    """A job takes a poll at least, and its end is seen within the longest interval."""
    learned = Learned(random=Random(seed).random)
    on_paper = replay([("a", lo / 1e5, (lo + longer) / 1e5) for lo, longer in ended], learned)
    assert all(job.calls >= 1 and -1e-6 <= job.delay <= 120.0 for job in on_paper.jobs)
