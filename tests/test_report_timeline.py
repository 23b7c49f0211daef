"""When jobs ended, in bins that widen as they must."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.cli.report.timeline import LAST_MOMENT, MOST_BINS, Timeline, moment
from asyncpoll.cli.report.verdict import Verdict

MOMENTS = st.one_of(
    st.floats(1_763_700_000, 1_763_700_100), st.floats(1_763_000_000, 1_764_000_000), st.floats(0, LAST_MOMENT)
)


def timeline_of(*moments: float) -> Timeline:
    """Return the timeline of jobs that succeeded at these moments."""
    timeline = Timeline()
    for at in moments:
        timeline.add(at, Verdict.SUCCEEDED)
    return timeline


@given(st.lists(st.tuples(MOMENTS, st.sampled_from(Verdict)), max_size=60))
def test_it_counts_what_binning_at_the_end_would_count(jobs: list[tuple[float, Verdict]]) -> None:
    """In whatever order outcomes come, each is in the bin that its time falls into, and bins stay few."""
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
    """Empty bins between others are there too, one width after the other."""
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


def test_no_outcome_is_no_bin() -> None:
    """A timeline without outcomes has no bins."""
    assert list(Timeline().bins()) == []


@pytest.mark.parametrize(("at", "moved"), [(5.0, 5.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, LAST_MOMENT)])
def test_moments_are_ones_that_a_calendar_knows(at: float, moved: float) -> None:
    """A time before 1970, after 9999 or that is no number is moved to where it can be shown."""
    assert moment(at) == moved
