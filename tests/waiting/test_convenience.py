"""One run over many jobs, with a hub of its own."""

from __future__ import annotations

from typing import Any

from hub_kit import PENDING, SUCCESS, play

from asyncpoll import Fixed, as_completed, events, wait_all
from asyncpoll.testing import run_virtual


def test_all_are_awaited_in_the_order_given() -> None:
    """The options of a hub and those of a run are given in one call."""
    noted: list[events.Event] = []
    scripts = [play(*[PENDING] * number, SUCCESS) for number in (2, 1)]
    waiting = wait_all(scripts, timeout=60, concurrency=2, schedule=Fixed(3.0), first_delay=1.0, observe=noted.append)
    outcomes = run_virtual(waiting)
    assert [outcome.job for outcome in outcomes] == scripts
    assert [script.polled_at for script in scripts] == [[1.0, 4.0, 7.0], [1.0, 4.0]]
    assert sum(isinstance(event, events.Ended) for event in noted) == 2


def test_outcomes_come_as_they_complete() -> None:
    """The hub is closed with the block, also when it is left early."""
    slow, quick = scripts = [play(PENDING), play(PENDING, SUCCESS)]

    async def first() -> Any:
        async with as_completed(scripts, timeout=60, rate=10.0, until="first_success") as outcomes:
            return [outcome.job async for outcome in outcomes]

    assert run_virtual(first()) == [quick]
    assert slow.polls < 5
