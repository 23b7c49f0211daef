"""A context variable that an observer sets is seen by what is done for the wait, and by nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import pytest
from hub_kit import EVERY_SECOND, PENDING, SUCCESS, in_hub, leave, waits_for

from asyncpoll import Endpoint, Group, Hub, Snapshot, State, wait_until_terminal, watch
from asyncpoll._errors import Draining, WaitTimeout
from asyncpoll.events import EVENTS, Began, Called, Ended, Event, Missed, StateChanged, UnknownWord
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, Script, run_virtual

WAIT: ContextVar[int] = ContextVar("WAIT", default=0)
OTHER: ContextVar[str] = ContextVar("OTHER", default="unset")


def number_waits(event: Event) -> None:
    """Set a variable when a wait begins, and expect it in every later event of the wait."""
    if isinstance(event, Began):
        WAIT.set(event.wait)
    assert WAIT.get() == event.wait


class Telling:
    """A fetch that notes the variable at its beginning, after a pause, and in a task of its own."""

    def __init__(self, polls: int = 3) -> None:
        self.polls = polls
        self.seen: list[int] = []

    async def __call__(self) -> Snapshot[Any]:
        """Take a tenth of a second."""
        self.seen.append(WAIT.get())
        await asyncio.sleep(0.1)
        self.seen.append(WAIT.get())
        self.seen.append(await asyncio.create_task(self.look()))
        return Snapshot(SUCCESS if len(self.seen) >= 3 * self.polls else PENDING)

    async def look(self) -> int:
        """Return the variable."""
        return WAIT.get()


def test_the_polls_of_a_single_wait_see_it() -> None:
    """Also after a pause, and in tasks that a poll starts; the caller does not."""
    fetch = Telling()

    async def main() -> None:
        await wait_until_terminal(fetch, timeout=60.0, schedule=EVERY_SECOND, observe=number_waits)
        assert WAIT.get() == 0

    run_virtual(main())
    assert len(fetch.seen) == 9
    assert len({*fetch.seen} - {0}) == len({*fetch.seen}) == 1


def test_the_polls_of_a_watch_see_it() -> None:
    """The block of the loop does not, whichever task asks for the next snapshot."""
    fetch = Telling()

    async def main() -> None:
        async with aclosing(watch(fetch, schedule=EVERY_SECOND, observe=number_waits)) as snapshots:
            for _ in range(3):
                await asyncio.create_task(anext(snapshots))
                assert WAIT.get() == 0

    run_virtual(main())
    assert len({*fetch.seen} - {0}) == 1


def test_what_an_observed_fetch_sets_stays_in_its_poll() -> None:
    """As in a hub: neither the next poll nor the caller sees it."""
    seen: list[str] = []

    async def fetch() -> Snapshot[Any]:
        seen.append(OTHER.get())
        OTHER.set("set")
        return Snapshot(SUCCESS if len(seen) == 3 else PENDING)

    async def main() -> None:
        await wait_until_terminal(fetch, timeout=60.0, schedule=EVERY_SECOND, observe=number_waits)
        assert OTHER.get() == "unset"

    run_virtual(main())
    assert seen == ["unset"] * 3


@pytest.mark.parametrize("cut", [True, False])
def test_an_observed_fetch_is_cancelled_in_its_context(cut: bool) -> None:  # noqa: FBT001  the two cases of the test
    """At the deadline, and when the caller is cancelled, it unwinds with the variables of the wait."""
    unwound: list[int] = []

    async def fetch() -> Snapshot[Any]:
        try:
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(0.1)
            unwound.append(WAIT.get())
        return Snapshot(PENDING)

    async def main() -> None:
        waiting = asyncio.create_task(wait_until_terminal(fetch, timeout=10.0 if cut else None, observe=number_waits))
        await asyncio.sleep(1.0)
        if cut:
            with pytest.raises(WaitTimeout):
                await waiting
        else:
            await leave([waiting])

    run_virtual(main())
    assert len(unwound) == 1
    assert unwound != [0]


def test_an_observed_fetch_without_async_is_told() -> None:
    """The mistake is the same error as without an observer."""

    def fetch() -> Any:
        return Snapshot(SUCCESS)

    with pytest.raises(TypeError, match="async def"):
        run_virtual(wait_until_terminal(fetch, timeout=60.0, observe=number_waits))


def test_a_fetch_that_raises_is_a_miss_as_ever() -> None:
    """An error passes through, and the wait goes on."""
    script: Script[Any] = Script([OSError("cut"), Snapshot(SUCCESS)])
    done = run_virtual(wait_until_terminal(script, timeout=60.0, schedule=EVERY_SECOND, observe=number_waits))
    assert done.state is SUCCESS


def test_each_wait_of_a_run_has_its_own() -> None:
    """The jobs of one run share their caller's context, and none of what is set for one of them."""
    fetches = [Telling(), Telling()]

    async def work(hub: Hub) -> None:
        await hub.wait_all(fetches, timeout=60.0)
        assert WAIT.get() == 0

    in_hub(work, observe=number_waits)
    first, second = ({*fetch.seen} for fetch in fetches)
    assert len(first | second) == 2
    assert 0 not in first | second


def test_a_shared_poll_belongs_to_the_oldest_wait() -> None:
    """When that leaves, the next one's variables are seen."""
    fetch = Telling(polls=6)

    async def work(hub: Hub) -> None:
        oldest, younger = waits_for(hub, [fetch, fetch])
        await asyncio.sleep(2.5)
        await leave([oldest])
        await younger

    in_hub(work, observe=number_waits)
    first, *_, last = fetch.seen
    assert fetch.seen == sorted(fetch.seen)
    assert last == first + 1


def test_a_call_about_many_jobs_belongs_to_no_wait() -> None:
    """It sees the hub's own variables; a call about one job sees those of its wait."""
    seen: list[tuple[int, int]] = []

    def read(_reply: Any, refs: Sequence[str]) -> dict[str, Snapshot[Any]]:
        seen.append((len(refs), WAIT.get()))
        return {ref: Snapshot(SUCCESS if ref == "1" or len(seen) > 2 else PENDING) for ref in refs}

    def read_one(_reply: Reply) -> Snapshot[Any]:
        seen.append((1, WAIT.get()))
        return Snapshot(SUCCESS)

    endpoint: Endpoint[str, Any] = Endpoint(
        "made.batch",
        ask=lambda ref: Request("GET", f"/{ref}"),
        read=read_one,
        group=Group(lambda _: "all", lambda _: Request("GET", "/batch"), read, 100),
    )
    transport = MemoryTransport(lambda _: Reply(200, {}))

    async def work(hub: Hub) -> None:
        await hub.wait_all([endpoint.job(transport, ref) for ref in "12"], timeout=60.0)

    in_hub(work, observe=number_waits)
    assert [wait for count, wait in seen if count == 2] == [0]
    assert all(wait for count, wait in seen if count == 1)
    assert len(seen) == 2


def test_the_beginning_tells_the_origin_of_the_job() -> None:
    """An observer gets what the submit has handed to the wait."""
    noted: list[Event] = []
    endpoint: Endpoint[str, Any] = Endpoint(
        "made.jobs", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda _: Snapshot(SUCCESS)
    )
    job = endpoint.job(MemoryTransport(lambda _: Reply(200, {})), "1")
    in_hub(lambda hub: hub.wait_all([job.with_origin("here"), job], timeout=60.0), observe=noted.append)
    assert [event.origin for event in noted if isinstance(event, Began)] == ["here", None]


@pytest.mark.parametrize(
    ("state", "error", "outcome"),
    [
        *((state, None, state.value) for state in State if state.is_terminal),
        (State.PENDING, WaitTimeout(None, waited=1.0, polls=1, limit="total"), "deadline"),
        (State.PENDING, Draining(None, waited=1.0, polls=1, limit="drained"), "left"),
        (State.PENDING, asyncio.CancelledError(), "left"),
        (State.PENDING, OSError("cut"), "error"),
        (None, OSError("cut"), "error"),
    ],
)
def test_an_outcome_is_one_word(state: State | None, error: BaseException | None, outcome: str) -> None:
    """The state of the job, or why there is none."""
    snapshot = None if state is None else Snapshot[Any](state)
    assert Ended("key", snapshot, error, 1, 1.0).outcome == outcome


class Choosy:
    """An observer that only wants some of the events."""

    def __init__(self, *wants: type) -> None:
        self.wants = frozenset(wants)
        self.noted: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Note the event."""
        self.noted.append(event)

    @property
    def kinds(self) -> list[str]:
        """The names of the events."""
        return [type(event).__name__ for event in self.noted]


STEPS: list[Any] = [PENDING, PENDING, OSError("cut"), State.UNKNOWN, State.UNKNOWN, SUCCESS]


@pytest.mark.parametrize("alone", [True, False])
def test_an_observer_gets_what_it_wants(alone: bool) -> None:  # noqa: FBT001  the two cases of the test
    """The others, beside it, get all that they want."""
    few, most = Choosy(StateChanged, Ended), Choosy(Began, StateChanged, UnknownWord, Missed, Ended)
    if alone:
        waiting = wait_until_terminal(Script(STEPS), timeout=60.0, schedule=EVERY_SECOND, observe=[few, most])
        run_virtual(waiting)
    else:
        in_hub(lambda hub: hub.wait_all([Script(STEPS)], timeout=60.0), observe=[few, most])
    assert few.kinds == ["StateChanged"] * 3 + ["Ended"]
    assert most.kinds == [
        "Began", "StateChanged", "Missed", "StateChanged", "UnknownWord", "UnknownWord", "StateChanged", "Ended"
    ]  # fmt: skip


def test_one_that_wants_all_is_told_of_each_poll() -> None:
    """However little another wants."""
    few, every = Choosy(Called), Choosy(*EVENTS)
    in_hub(lambda hub: hub.wait_all([Script(STEPS)], timeout=60.0), observe=[few, every])
    assert few.kinds == ["Called"] * len(STEPS)
    assert every.kinds.count("Polled") == len(STEPS) - 1
