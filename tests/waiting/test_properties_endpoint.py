"""The invariants of waiting hold whatever the further functions of an endpoint raise or return, alone and in a hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from attrs import evolve, field, frozen
from chaos import CALLER, ERRORS, VALUES
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll import Endpoint, Fixed, Hub, Job, Pace, Poll, PollError, Snapshot, State, wait_until_terminal
from asyncpoll.events import Called, Ended, Event
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

NAMES = ("then", "read_then", "classify_then", "about", "again", "same_job", "read", "answer")
LIMIT = 600.0
SECONDS = Fixed(1.0, jitter=None)
OK = "ok"

Step = str | tuple[str, int]
steps: st.SearchStrategy[Step] = st.one_of(
    st.just(OK),
    st.tuples(st.just("raise"), st.integers(0, len(ERRORS) - 1)),
    st.tuples(st.just("return"), st.integers(0, len(VALUES) - 1)),
)
scripts = st.fixed_dictionaries({}, optional={name: st.lists(steps, max_size=4) for name in NAMES})


@frozen
class World:
    """An API whose job is done at the fourth answer, with a result of three pages, and functions that fail by script.

    Attributes:
        script: What each function does at its first calls; then it does what it should.
    """

    script: dict[str, list[Step]]
    calls: dict[str, int] = field(factory=dict)
    strangers: list[int] = field(factory=list)
    ends: list[Ended] = field(factory=list)
    told: list[Called] = field(factory=list)

    def job(self, **more: Any) -> Job[Any]:
        """Return the job."""
        options: dict[str, Any] = {
            "ask": lambda _: Request("GET", "/job"),
            "read": self._scripted("read", lambda reply: Snapshot(reply.json["state"])),
            "then": self._scripted("then", self._then),
            "read_then": self._scripted("read_then", lambda seen, _: evolve(seen, value=(seen.value or 0) + 1)),
            "classify_then": self._scripted("classify_then", lambda _: None),
            "about": self._scripted("about", lambda _, reply: reply),
            "same_job": self._scripted("same_job", lambda _ref, _reply: True),
        } | more
        if "again" in self.script:
            options["again"] = self._scripted("again", self._again)
        endpoint: Endpoint[str, Any] = Endpoint("v.jobs", **options)
        return endpoint.job(MemoryTransport(self._scripted("answer", self._answer), latency=0.125), "1")

    def note(self, event: Event) -> None:
        """Note the events that count."""
        if isinstance(event, Ended):
            self.ends.append(event)
        elif isinstance(event, Called):
            self.told.append(event)

    def _scripted(self, name: str, usual: Callable[..., Any]) -> Callable[..., Any]:
        def function(*given: Any) -> Any:
            number = self.calls[name] = self.calls.get(name, 0) + 1
            if CALLER.get() != 1:
                self.strangers.append(CALLER.get())
            step = dict(enumerate(self.script.get(name, ()), 1)).get(number, OK)
            if isinstance(step, str):
                return usual(*given)
            kind, which = step
            if kind == "raise":
                error: BaseException = ERRORS[which]()
                raise error
            return VALUES[which]

        return function

    def _then(self, _ref: str, seen: Snapshot[Any]) -> Request | None:
        return None if seen.value == 3 else Request("GET", "/page")

    def _again(self, _ref: str, poll: Poll) -> Request:
        assert poll.seconds_left is None or 0 <= poll.seconds_left <= LIMIT
        return Request("GET", "/job")

    def _answer(self, request: Request) -> Reply:
        if "If-None-Match" in request.headers and self.calls["answer"] < 4:
            return Reply(304, headers={"ETag": '"0"'})
        ended = self.calls["answer"] >= 4
        return Reply(200, {"state": "success" if ended else "pending"}, {"ETag": f'"{int(ended)}"'})


async def alone(world: World) -> list[object]:
    """Wait for the job by itself, and return how that ended."""
    CALLER.set(1)
    job = world.job()
    return [await end_of(wait_until_terminal(job, timeout=LIMIT, schedule=SECONDS, max_misses=99, observe=world.note))]


async def in_a_hub(world: World, waits: int = 1) -> list[object]:
    """Wait for the job in a hub, so many times, and return how each wait ended."""
    async with Hub(observe=world.note) as hub:
        CALLER.set(1)
        job = world.job()
        jobs = [job.endpoint.job(job.transport, job.ref) for _ in range(waits)]
        each = [end_of(hub.wait(one, timeout=LIMIT, schedule=SECONDS, max_misses=99)) for one in jobs]
        return await asyncio.gather(*each)


async def end_of(waiting: Any) -> object:
    """Return the state and the result, or the error as a type: two errors of the same fault are not equal."""
    try:
        snapshot = await waiting
    except BaseException as error:  # noqa: BLE001  it is what is looked at
        # A cancellation that a function raises looks like one of the caller where there is no hub between them.
        return PollError if isinstance(error, asyncio.CancelledError) else type(error)
    return snapshot.state, snapshot.value


def run(way: Any, script: dict[str, list[Step]], *more: Any) -> tuple[World, Sequence[object], float]:
    """Return the world in the end, how the waits ended, and when."""
    world = World(script)

    async def main() -> tuple[Sequence[object], float]:
        ended = await way(world, *more)
        return ended, asyncio.get_running_loop().time()

    ended, at = run_virtual(main())
    return world, ended, at


@given(scripts)
def test_a_wait_ends_once_and_in_time(script: dict[str, list[Step]]) -> None:
    """Whatever any of the functions raises or returns, a wait ends once, by its deadline, in its caller's context."""
    for way, waits in ((alone, 1), (in_a_hub, 1), (in_a_hub, 3)):
        world, ended, at = run(way, script, *([] if way is alone else [waits]))
        assert len(ended) == len(world.ends) == waits
        assert at <= LIMIT
        assert world.strangers == []


@given(scripts)
def test_a_wait_ends_in_a_hub_as_alone(script: dict[str, list[Step]]) -> None:
    """The same functions fail in the same way, so the same comes of it."""
    by_itself, one, _ = run(alone, script)
    shared, other, _ = run(in_a_hub, script)
    assert one == other
    assert by_itself.calls == shared.calls
    if one != [PollError]:  # the calls of a poll that is cancelled are not told
        assert [type(call.error) for call in by_itself.told] == [type(call.error) for call in shared.told]


@given(scripts)
def test_shared_waits_end_in_the_same_way(script: dict[str, list[Step]]) -> None:
    """Three waits for one job share its polls, and what they bring."""
    _, ended, _ = run(in_a_hub, script, 3)
    assert len(set(ended)) == 1


@given(scripts, st.sampled_from([0.5, 2.0, 10.0]))
def test_polls_keep_the_floor_whatever_happens(script: dict[str, list[Step]], floor: float) -> None:
    """After any answer or failure, the next poll of a job is not made before the floor has passed."""
    world = World(script)
    begun: list[float] = []

    def ask(_: str) -> Request:
        begun.append(asyncio.get_running_loop().time())
        return Request("GET", "/job")

    async def main() -> None:
        CALLER.set(1)
        await end_of(world.job(ask=ask, pace=Pace(at_least=floor)).wait(timeout=60, schedule=SECONDS, max_misses=99))

    script.pop("again", None)
    run_virtual(main())
    assert all(later - earlier > floor - 1e-6 for earlier, later in pairwise(begun))


def test_a_script_without_faults_brings_the_result() -> None:
    """So the properties are not held by waits that never come to their result."""
    for way in (alone, in_a_hub):
        world, ended, _ = run(way, {"again": []})
        assert ended == [(State.SUCCESS, 3)]
        assert world.calls["answer"] == 3 + 1 + 3
        assert len(world.told) == world.calls["answer"]
