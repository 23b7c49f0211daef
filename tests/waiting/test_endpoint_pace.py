"""The pace of an endpoint: defaults of each wait for its jobs, alone and in a hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from asyncpoll import Endpoint, Fixed, Hub, Job, Pace, Rejected, Snapshot, State, WaitTimeout, wait_all
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual
from asyncpoll.waiting._policy import PollOptions

Way = Callable[..., Coroutine[Any, Any, Snapshot[Any]]]


class Api:
    """Jobs that end at some time, and the times at which they were asked about."""

    def __init__(
        self, pace: Pace | None, *, ends: float = 1e9, visible: float = 0.0, name: str = "v.jobs", beside: Any = None
    ) -> None:
        self.times: list[float] = []
        self.transport = MemoryTransport(self._answer) if beside is None else beside
        self.ends, self.visible = ends, visible
        self.endpoint: Endpoint[str, Any] = Endpoint(
            name, ask=lambda ref: Request("GET", f"/{ref}"), read=lambda r: Snapshot(r.json["state"]), pace=pace
        )

    def job(self, ref: str = "1") -> Job[Any]:
        """Return a job."""
        return self.endpoint.job(self.transport, ref)

    def _answer(self, _request: Request) -> Reply:
        now = asyncio.get_running_loop().time()
        self.times.append(round(now, 3))
        if now < self.visible:
            return Reply(404, {})
        return Reply(200, {"state": "success" if now >= self.ends else "pending"})


async def alone(job: Job[Any], **options: Any) -> Snapshot[Any]:
    """Wait for a job by itself."""
    return await job.wait(**options)


async def in_a_hub(job: Job[Any], **options: Any) -> Snapshot[Any]:
    """Wait for a job in a hub."""
    async with Hub() as hub:
        return await hub.wait(job, **options)


async def in_a_run(job: Job[Any], **options: Any) -> Snapshot[Any]:
    """Wait for a job in a run over many."""
    (outcome,) = await wait_all([job], **options)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.snapshot is not None
    return outcome.snapshot


ways = pytest.mark.parametrize("way", [alone, in_a_hub, in_a_run])


@ways
def test_polls_are_apart_by_at_least_the_floor(way: Way) -> None:
    """The floor holds for every schedule, a shorter one of the caller's included."""
    api = Api(Pace(at_least=5), ends=12)
    run_virtual(way(api.job(), timeout=60, schedule=Fixed(1, jitter=None)))
    assert api.times == [0, 5, 10, 15]


@ways
def test_the_first_poll_is_made_when_the_pace_says(way: Way) -> None:
    """The job cannot be done before; `first_delay` goes before it."""
    api = Api(Pace(first=30), ends=10)
    run_virtual(way(api.job(), timeout=60))
    run_virtual(way(api.job(), timeout=60, first_delay=11))
    assert api.times == [30, 11]


@ways
def test_a_new_job_may_be_unknown_for_a_while(way: Way) -> None:
    """Within the grace a 404 is a miss; an option of the wait goes before it."""
    api = Api(Pace(not_found_grace=10), ends=5, visible=5)
    assert run_virtual(way(api.job(), timeout=60, schedule=Fixed(3))).state is State.SUCCESS
    with pytest.raises(Rejected):
        run_virtual(way(api.job(), timeout=60, not_found_grace=0))


@ways
def test_a_terminal_answer_may_have_to_be_confirmed(way: Way) -> None:
    """As many equal answers are needed as the pace says, unless the wait says otherwise."""
    api = Api(Pace(stable_for=3), ends=0)
    run_virtual(way(api.job(), timeout=60))
    assert len(api.times) == 3
    run_virtual(way(api.job(), timeout=60, stable_for=1))
    assert len(api.times) == 4


@ways
def test_a_rate_holds_for_one_job_too(way: Way) -> None:
    """At one poll in four seconds, a single job is not polled more often."""
    api = Api(Pace(per_second=0.25), ends=7)
    run_virtual(way(api.job(), timeout=60, schedule=Fixed(1)))
    assert api.times == [0, 4, 8]


@ways
def test_the_last_poll_keeps_the_floor(way: Way) -> None:
    """A wait whose deadline comes before the next poll may be made ends without that poll."""
    api = Api(Pace(at_least=5))
    with pytest.raises(WaitTimeout) as caught:
        run_virtual(way(api.job(), timeout=13, schedule=Fixed(1)))
    assert api.times == [0, 5, 10]
    assert caught.value.limit == "total"


@ways
def test_the_last_poll_is_made_if_the_floor_allows(way: Way) -> None:
    """It is made as late as the floor says, if that is before the deadline."""
    api = Api(Pace(at_least=5))
    with pytest.raises(WaitTimeout):
        run_virtual(way(api.job(), timeout=15.1, schedule=Fixed(5)))
    assert api.times == [0, 5, 10, 15]


def test_a_wait_that_joins_keeps_the_floor() -> None:
    """A second wait for a job that was just polled does not bring its next poll forward."""
    api = Api(Pace(at_least=5), ends=12)

    async def work() -> None:
        async with Hub() as hub, asyncio.TaskGroup() as group:
            group.create_task(hub.wait(api.job(), timeout=60, schedule=Fixed(5)))
            await asyncio.sleep(0.1)
            group.create_task(hub.wait(api.job(), timeout=60, schedule=Fixed(1)))

    run_virtual(work())
    assert api.times[0] == 0
    assert min(later - earlier for earlier, later in pairwise(api.times)) >= 5


def test_jobs_of_one_run_have_the_paces_of_their_endpoints() -> None:
    """Each job is polled as its own endpoint says."""
    fast, slow = Api(None, ends=9), Api(Pace(at_least=4), ends=9)
    run_virtual(wait_all([fast.job(), slow.job(), slow.job("2")], timeout=60, schedule=Fixed(1, jitter=None)))
    assert fast.times == list(range(10))
    assert slow.times == [0, 0, 4, 4, 8, 8, 12, 12]


def starts_of(calls: dict[str, list[float]]) -> Api:
    """Return an API whose transport notes the times of the calls by the first part of the reference."""
    api = Api(None)

    def answer(request: Request) -> Reply:
        now = asyncio.get_running_loop().time()
        calls.setdefault(request.path.split("-")[0].removeprefix("/"), []).append(round(now, 3))
        return Reply(200, {"state": "success"})

    api.transport = MemoryTransport(answer)
    return api


def apart(times: list[float]) -> float:
    """Return the shortest time between two calls."""
    return min(later - earlier for earlier, later in pairwise(times))


def test_a_rate_holds_for_all_jobs_of_an_endpoint() -> None:
    """Its jobs start one at a time; those of another endpoint of the same client do not wait for them."""
    calls: dict[str, list[float]] = {}
    client = starts_of(calls).transport
    slow, fast = (Api(Pace(per_second=2), name="v.slow", beside=client), Api(None, name="v.fast", beside=client))
    jobs = [api.job(f"{name}-{n}") for name, api in (("slow", slow), ("fast", fast)) for n in range(20)]
    outcomes = run_virtual(wait_all(jobs, timeout=60))
    assert all(outcome.succeeded for outcome in outcomes)
    assert calls["slow"] == [number / 2 for number in range(20)]
    assert calls["fast"] == [0] * 20


def test_each_client_has_the_rate() -> None:
    """Two accounts are two clients."""
    calls: dict[str, list[float]] = {}
    pace = Pace(per_second=4)
    apis = {who: Api(pace, beside=starts_of(calls).transport) for who in "ab"}
    jobs = [apis[who].job(f"{who}-{n}") for who in "ab" for n in range(8)]
    run_virtual(wait_all(jobs, timeout=60))
    assert calls["a"] == calls["b"] == [number / 4 for number in range(8)]


def test_the_lower_of_two_rates_counts() -> None:
    """The limits of the hub hold as well."""
    calls: dict[str, list[float]] = {}
    api = Api(Pace(per_second=10), beside=starts_of(calls).transport)

    async def work() -> None:
        async with Hub(lane_rate=2) as hub:
            await hub.wait_all([api.job(f"a-{n}") for n in range(6)], timeout=60)

    run_virtual(work())
    assert apart(calls["a"]) == 0.5


def test_a_rate_outlives_the_jobs() -> None:
    """Jobs that come one after the other do not make more polls a second than those that come together."""
    calls: dict[str, list[float]] = {}
    api = Api(Pace(per_second=2), beside=starts_of(calls).transport)

    async def work() -> None:
        async with Hub() as hub:
            for number in range(5):
                await hub.wait(api.job(f"a-{number}"), timeout=60)

    run_virtual(work())
    assert apart(calls["a"]) == 0.5


def test_deadlines_hold_while_a_rate_holds_up_polls() -> None:
    """A job whose turn does not come in time ends with the hub's usual error, and is no longer overdue."""
    calls: dict[str, list[float]] = {}
    api = Api(Pace(per_second=1), beside=starts_of(calls).transport)

    async def work() -> tuple[list[bool], int, int]:
        async with Hub() as hub:
            run = asyncio.create_task(hub.wait_all([api.job(f"a-{n}") for n in range(10)], timeout=4.5))
            await asyncio.sleep(2.2)
            overdue = hub.counters.overdue
            outcomes = await run
            return [outcome.succeeded for outcome in outcomes], overdue, hub.counters.overdue

    assert run_virtual(work()) == ([True] * 5 + [False] * 5, 7, 0)


def test_a_run_with_a_rate_can_be_paused() -> None:
    """Jobs that are due and wait for their turn are not polled meanwhile."""
    calls: dict[str, list[float]] = {}
    api = Api(Pace(per_second=2), beside=starts_of(calls).transport)

    async def work() -> int:
        async with Hub() as hub, hub.as_completed([api.job(f"a-{n}") for n in range(6)], timeout=60) as run:
            await asyncio.sleep(1.2)
            run.pause()
            await asyncio.sleep(10)
            run.resume()
            return len([outcome async for outcome in run])

    assert run_virtual(work()) == 6
    assert calls["a"][:3] == [0, 0.5, 1]
    assert calls["a"][3] > 11
    assert apart(calls["a"]) == 0.5


def test_a_refusal_is_confirmed_before_the_next_turn() -> None:
    """The second poll that confirms a refused credential is made at once, and ends the run."""
    api = Api(Pace(per_second=0.1))
    api.transport = MemoryTransport(lambda _: Reply(401, {}))

    async def work() -> float:
        with pytest.raises(Rejected):
            await wait_all([api.job(str(n)) for n in range(5)], timeout=600)
        return asyncio.get_running_loop().time()

    assert run_virtual(work()) < 1
    assert api.transport.requests == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"at_least": -1}, ValueError),
        ({"at_least": None}, TypeError),
        ({"first": "1"}, TypeError),
        ({"not_found_grace": float("nan")}, ValueError),
        ({"stable_for": 0}, ValueError),
        ({"per_second": 0}, ValueError),
        ({"per_second": "1"}, TypeError),
        ({"per_second": float("inf")}, ValueError),
    ],
)
def test_a_pace_that_cannot_be_kept_is_refused(given: dict[str, Any], error: type[Exception]) -> None:
    """The message names the argument."""
    with pytest.raises(error, match=f"Pace.{next(iter(given))} must be"):
        Pace(**given)


def test_the_pace_of_an_endpoint_is_a_pace() -> None:
    """Anything else is refused when the endpoint is made."""
    with pytest.raises(TypeError, match=r"Endpoint.pace must be a Pace or None, not 5"):
        Api(5)  # type: ignore[arg-type]  # a number is no pace


def test_a_pace_is_no_option_of_a_wait() -> None:
    """It belongs to the API, so it is said once, for the endpoint."""
    assert "pace" not in PollOptions.__annotations__
