"""How far one poll runs through the package: a reader who follows it must not get lost."""

from __future__ import annotations

from poll_trace import bare_function, trace_one_hub_poll, trace_one_poll_of_a_wait


def test_a_poll_in_a_hub_stays_in_few_files() -> None:
    """At most 9 files, and 25 moves from one to another."""
    trace = trace_one_hub_poll(bare_function())
    assert len(trace.files) <= 9
    assert trace.moves <= 25


def test_a_poll_of_a_single_wait_stays_in_few_files() -> None:
    """At most 7 files, and 10 moves from one to another."""
    trace = trace_one_poll_of_a_wait(bare_function())
    assert len(trace.files) <= 7
    assert trace.moves <= 10
