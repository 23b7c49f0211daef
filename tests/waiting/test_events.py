"""The events that an observer receives."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from asyncpoll._errors import Rejected, WaitTimeout
from asyncpoll._errors import Throttled as ThrottledError
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.events import Began, Called, Ended, Event, Missed, Polled, StateChanged, Throttled, UnknownWord
from asyncpoll.testing import Script, run_virtual
from asyncpoll.waiting._wait import wait_until_terminal, watch

PENDING: Snapshot[Any] = Snapshot(State.PENDING, "pending")
ODD: Snapshot[Any] = Snapshot(State.UNKNOWN, "frozen")
DONE: Snapshot[Any] = Snapshot(State.SUCCESS, "success")


class Keyed(Script[Any]):
    """A script with the key of a job."""

    key = "v:1"


def observed(script: Script[Any], timeout: float | None = 60.0) -> tuple[list[Event], BaseException | None]:
    """Wait every second; return what the observer noted, and the error that ended the wait."""
    noted: list[Event] = []
    try:
        run_virtual(wait_until_terminal(script, timeout=timeout, schedule=Fixed(1.0), observe=noted.append))
    except Exception as error:  # noqa: BLE001  the subject of some tests
        return noted, error
    return noted, None


def test_events_come_in_order() -> None:
    """Every poll is reported with its number and time, then what changed, then the end."""
    slow, cut = ThrottledError("slower", retry_after=2.0), ConnectionResetError("cut")
    noted, error = observed(Keyed([PENDING, PENDING, slow, cut, ODD, DONE]))
    assert error is None
    assert {type(event) for event in noted[:2]} == {Began, Called}
    assert [event for event in noted if not isinstance(event, Began | Called)] == [
        Polled("v:1", PENDING, 1, 0.0),
        StateChanged("v:1", None, State.PENDING),
        Polled("v:1", PENDING, 2, 1.0),
        Missed("v:1", slow, 3, 2.0),
        Throttled("v:1", 2.0),
        Missed("v:1", cut, 4, 4.0),
        Polled("v:1", ODD, 5, 5.0),
        StateChanged("v:1", State.PENDING, State.UNKNOWN),
        UnknownWord("v:1", "frozen"),
        Polled("v:1", DONE, 6, 6.0),
        StateChanged("v:1", State.UNKNOWN, State.SUCCESS),
        Ended("v:1", DONE, None, 6, 6.0),
    ]


def test_a_bare_wait_has_no_key() -> None:
    """Waits on a bare coroutine function are reported without a key."""
    noted, _ = observed(Script([DONE]))
    assert {event.key for event in noted} == {None}


def test_the_end_names_the_error() -> None:
    """A wait that runs out of time is reported with its error and what was seen last."""
    noted, error = observed(Keyed([PENDING]), timeout=1.0)
    assert isinstance(error, WaitTimeout)
    assert noted[-1] == Ended("v:1", PENDING, error, 2, 0.9)


def test_an_error_that_ends_the_wait_is_not_a_miss() -> None:
    """An error that ends the wait is reported once, as its end."""
    refusal = Rejected("the key is wrong")
    noted, error = observed(Keyed([refusal]))
    assert error is refusal
    assert noted == [Began("v:1"), Called("v:1", 1, 0.0, refusal), Ended("v:1", None, refusal, 1, 0.0)]


def test_a_cancelled_wait_is_reported() -> None:
    """A wait whose task is cancelled ends with CancelledError, for the observer too."""
    noted: list[Event] = []

    async def main() -> None:
        task = asyncio.create_task(wait_until_terminal(Script([PENDING]), timeout=60, observe=noted.append))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait({task})

    run_virtual(main())
    assert isinstance(noted[-1], Ended)
    assert isinstance(noted[-1].error, asyncio.CancelledError)
    assert noted[-1].waited == 0.5


@pytest.mark.parametrize(("seen", "kind"), [(PENDING, GeneratorExit), (DONE, type(None))])
def test_a_watch_that_is_left_is_reported(seen: Snapshot[Any], kind: type) -> None:
    """Leaving early is an end with GeneratorExit; leaving on the terminal snapshot is a good end."""
    noted: list[Event] = []

    async def main() -> None:
        snapshots = watch(Script([seen]), observe=noted.append)
        await anext(snapshots)
        await snapshots.aclose()

    run_virtual(main())
    assert isinstance(noted[-1], Ended)
    assert type(noted[-1].error) is kind


def test_the_end_is_reported_before_the_remote_cancel() -> None:
    """The end is reported when the wait is over, not after the remote cancel, and even when that is cut short."""
    noted: list[Event] = []

    class Cancellable(Script[Any]):
        async def cancel(self) -> None:
            assert isinstance(noted[-1], Ended)
            await asyncio.sleep(3600.0)

    async def main() -> None:
        job = Cancellable([PENDING])
        task = asyncio.create_task(wait_until_terminal(job, timeout=60, on_abandon="cancel", observe=noted.append))
        for _ in range(2):
            await asyncio.sleep(0.25)
            task.cancel()
        await asyncio.wait({task})

    run_virtual(main())
    assert [event.waited for event in noted if isinstance(event, Ended)] == [0.25]


def test_an_observer_that_raises_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An error of an observer is logged, and the wait goes on."""

    def broken(_event: Event) -> None:
        raise LookupError("no such chart")

    with caplog.at_level(logging.ERROR):
        seen = run_virtual(wait_until_terminal(Script([PENDING, DONE]), timeout=60, observe=broken))
    assert seen == DONE
    assert caplog.text.count("LookupError: no such chart") == 8
