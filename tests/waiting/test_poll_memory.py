"""What a wait keeps from poll to poll: the `ETag` of an answer, and the last reply; alone and in a hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from attrs import evolve

from asyncpoll import Endpoint, Fixed, Hub, Job, Pace, Poll, Snapshot, State, Timeout, WaitTimeout, wait_all, watch
from asyncpoll.events import Called, Event
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

Way = Callable[..., Coroutine[Any, Any, Snapshot[Any]]]
SECONDS = Fixed(1.0, jitter=None)


class Api:
    """Jobs that end at some time; the answer to an `If-None-Match` with the tag of now is a 304."""

    def __init__(self, *, ends: float = 2.5, tag: str | None = 'W/"{}"', **more: Any) -> None:
        self.ends, self.tag = ends, tag
        self.headers: dict[str, str] = {}
        self.trouble: list[Reply] = []
        self.statuses: list[int] = []
        self.transport = MemoryTransport(self._answer)
        options: dict[str, Any] = {"ask": lambda ref: Request("GET", f"/{ref}"), "read": self._read}
        self.endpoint: Endpoint[str, Any] = Endpoint("v.jobs", **options | more)

    def job(self, ref: str = "1") -> Job[Any]:
        """Return a job."""
        return self.endpoint.job(self.transport, ref)

    @property
    def conditions(self) -> list[str | None]:
        """The `If-None-Match` of each request."""
        return [request.headers.get("If-None-Match") for request in self.transport.sent]

    def _read(self, reply: Reply) -> Snapshot[Any]:
        return Snapshot(reply.json["state"], value=reply.json.get("value"), raw=reply.json)

    def _answer(self, request: Request) -> Reply:
        ended = asyncio.get_running_loop().time() >= self.ends
        tag = None if self.tag is None else self.tag.format(int(ended))
        headers = self.headers if tag is None else {**self.headers, "ETag": tag}
        body = {"state": "success", "value": [1]} if ended else {"state": "pending"}
        reply = Reply(200, body, headers)
        if self.trouble:
            reply = self.trouble.pop(0)
        elif tag is not None and request.headers.get("If-None-Match") == tag:
            reply = Reply(304, headers=headers, problem="empty")
        self.statuses.append(reply.status)
        return reply


async def alone(job: Job[Any], **options: Any) -> Snapshot[Any]:
    """Wait for a job by itself."""
    chosen: dict[str, Any] = {"timeout": 60, "schedule": SECONDS} | options
    return await job.wait(**chosen)


async def in_a_hub(job: Job[Any], **options: Any) -> Snapshot[Any]:
    """Wait for a job in a hub."""
    chosen: dict[str, Any] = {"timeout": 60, "schedule": SECONDS} | options
    async with Hub() as hub:
        return await hub.wait(job, **chosen)


async def among_many(job: Job[Any], **options: Any) -> Snapshot[Any]:
    """Wait for a job in a hub that has so many waits that it keeps no payloads."""
    others = Api(ends=4)
    chosen: dict[str, Any] = {"timeout": 60, "schedule": SECONDS} | options
    outcomes = await wait_all([job, *(others.job(str(number)) for number in range(1500))], concurrency=2000, **chosen)
    assert outcomes[0].snapshot is not None
    return outcomes[0].snapshot


async def observed(job: Job[Any], **options: Any) -> Snapshot[Any]:
    """Wait for a job, and tell an observer."""
    return await alone(job, observe=lambda _: None, **options)


ways = pytest.mark.parametrize("way", [alone, in_a_hub, among_many, observed])


# conditional requests


@ways
def test_a_poll_asks_for_news_alone(way: Way) -> None:
    """The tag of the last good answer is sent; a 304 is the same snapshot again."""
    api = Api()
    snapshot = run_virtual(way(api.job()))
    assert (snapshot.state, snapshot.value) == (State.SUCCESS, [1])
    assert snapshot.raw == {"state": "success", "value": [1]}
    assert api.statuses == [200, 304, 304, 200]
    assert api.conditions == [None, 'W/"0"', 'W/"0"', 'W/"0"']


@ways
def test_a_terminal_answer_can_be_confirmed_by_a_304(way: Way) -> None:
    """It agrees with the one before, and nothing of the result is lost."""
    api = Api(pace=Pace(stable_for=3))
    snapshot = run_virtual(way(api.job()))
    assert (snapshot.value, snapshot.raw) == ([1], {"state": "success", "value": [1]})
    assert api.statuses == [200, 304, 304, 200, 304, 304]


@ways
def test_conditional_requests_can_be_switched_off(way: Way) -> None:
    """A server may get them wrong."""
    api = Api(conditional=False)
    run_virtual(way(api.job()))
    assert api.conditions == [None] * 4


@pytest.mark.parametrize("tag", ["", "\x00", "é", "a\r\nX: 1", "x" * 1001, None])
def test_a_tag_that_cannot_be_sent_is_not_kept(tag: str | None) -> None:
    """What a server says must not make the next request unusable."""
    api = Api(tag=tag)
    run_virtual(alone(api.job()))
    assert api.conditions == [None] * 4


def test_only_a_get_is_conditional() -> None:
    """The tag of an answer to a POST says nothing about the next POST."""
    api = Api(ask=lambda ref: Request("POST", f"/{ref}"))
    run_virtual(alone(api.job()))
    assert api.conditions == [None] * 4


def test_a_condition_of_the_callers_own_is_left_alone() -> None:
    """Whoever sends it knows what a 304 means to him: without a stored answer it is a miss."""
    api = Api(ask=lambda ref: Request("GET", f"/{ref}", headers={"if-none-match": '"mine"'}), tag='"mine"')
    run_virtual(alone(api.job()))
    assert [request.headers for request in api.transport.sent] == [{"if-none-match": '"mine"'}] * 4


def test_a_304_without_a_stored_answer_is_a_miss() -> None:
    """A server that sends it unasked is asked again."""
    api = Api()
    api.trouble = [Reply(304, problem="empty")] * 2
    assert run_virtual(alone(api.job())).state is State.SUCCESS
    assert api.statuses == [304, 304, 200, 200]


def test_a_miss_leaves_the_stored_answer() -> None:
    """The poll after it is conditional still."""
    api = Api()
    run_virtual(alone_after_trouble(api, Reply(503, {})))
    assert api.conditions == [None, 'W/"0"', 'W/"0"', 'W/"0"']


async def alone_after_trouble(api: Api, *trouble: Reply) -> Snapshot[Any]:
    """Wait for a job; after its first poll the server is in trouble."""

    def note(event: Event) -> None:
        if isinstance(event, Called) and len(api.statuses) == 1:
            api.trouble = list(trouble)

    return await alone(api.job(), observe=note)


def test_an_answer_without_a_tag_ends_it() -> None:
    """What is stored would be older than that answer."""
    api = Api(ends=3.5)
    run_virtual(alone_after_trouble(api, Reply(200, {"state": "processing"})))
    assert api.conditions == [None, 'W/"0"', None, 'W/"0"', 'W/"0"']


def test_a_304_may_say_when_to_come_back() -> None:
    """Its own hint counts."""
    api = Api(ends=1)
    api.headers = {"Retry-After": "7"}

    async def work() -> list[float]:
        times = []
        async for _ in watch(evolve_read(api).job(api.transport, "1"), schedule=SECONDS):
            times.append(asyncio.get_running_loop().time())
            api.ends = 8
        return times

    assert run_virtual(work()) == [0, 1, 8]


def evolve_read(api: Api) -> Endpoint[str, Any]:
    """Return the endpoint of an API whose full answers have no hint."""
    return evolve(api.endpoint, read=lambda reply: Snapshot(reply.json["state"]))


def test_fetch_is_never_conditional() -> None:
    """Outside a wait there is no place for an answer."""
    api = Api()

    async def work() -> None:
        for _ in range(3):
            await api.job().fetch()

    run_virtual(work())
    assert api.statuses == [200] * 3


def test_another_jobs_answer_is_asked_afresh_without_condition() -> None:
    """A cache that mixes up answers must not say that nothing has changed."""
    api = Api()
    first = {"state": "pending", "id": "2"}

    def same(_ref: str, reply: Reply) -> bool:
        return bool(reply.json.get("id") != "2")

    api.endpoint = evolve(api.endpoint, same_job=same)
    run_virtual(alone_after_trouble(api, Reply(200, first, {"ETag": '"x"'})))
    assert [(request.fresh, condition) for request, condition in zip(api.transport.sent, api.conditions, strict=True)][
        1:4
    ] == [(False, 'W/"0"'), (True, None), (False, 'W/"0"')]


# again


@ways
def test_again_sees_the_last_good_reply_and_the_time_left(way: Way) -> None:
    """A `Location` that later answers replace, and a long poll that ends before the deadline."""
    polls: list[Poll] = []

    def again(ref: str, poll: Poll) -> Request:
        polls.append(poll)
        return Request("GET", f"/{ref}" if poll.last is None else poll.last.headers["location"])

    api = Api(tag=None, again=again)
    api.headers = {"Location": "/next"}
    run_virtual(way(api.job()))
    assert [request.path for request in api.transport.sent] == ["/1", "/next", "/next", "/next"]
    assert [poll.last is None for poll in polls] == [True, False, False, False]
    assert [poll.seconds_left for poll in polls] == [60, 59, 58, 57]


def test_a_miss_leaves_the_last_good_reply() -> None:
    """Neither trouble of the server nor a reply that cannot be read replaces it."""
    seen: list[int | None] = []

    def again(ref: str, poll: Poll) -> Request:
        seen.append(None if poll.last is None else poll.last.json["number"])
        return Request("GET", f"/{ref}")

    api = Api(again=again, tag=None)
    api.trouble = [Reply(200, {"state": "pending", "number": 7}), Reply(503, {}), Reply(200, {"number": 8})]
    run_virtual(alone(api.job(), timeout=None))
    assert seen == [None, 7, 7, 7]


def test_again_is_for_waits_alone() -> None:
    """A single fetch is made with `ask`."""
    api = Api(again=lambda _ref, _poll: Request("GET", "/again"))
    run_virtual(api.job().fetch())
    assert api.transport.sent[0].path == "/1"


def test_a_request_that_changes_is_not_conditional() -> None:
    """A tag is that of one address; the time that an attempt may take is no part of it."""
    api = Api(ends=2.5, again=lambda ref, poll: Request("GET", f"/{ref}", attempt=poll.seconds_left))
    run_virtual(alone(api.job()))
    assert api.statuses == [200, 304, 304, 200]
    changing = Api(again=lambda ref, poll: Request("GET", f"/{ref}", query={"wait": str(poll.seconds_left)}))
    run_virtual(alone(changing.job()))
    assert changing.statuses == [200] * 4


def test_again_without_conditional_requests() -> None:
    """The last reply is kept, and its tag is not sent."""
    api = Api(again=lambda ref, _poll: Request("GET", f"/{ref}"), conditional=False)
    run_virtual(alone(api.job()))
    assert api.conditions == [None] * 4


@pytest.mark.parametrize("made", [None, "GET /1", KeyError("location")])
def test_again_that_fails_makes_a_miss(made: Any) -> None:
    """It reads what the server said, so its failure is as a reply of another form."""

    def again(_ref: str, _poll: Poll) -> Request:
        if isinstance(made, Exception):
            raise made
        return made  # type: ignore[no-any-return]  # which is the point

    with pytest.raises(WaitTimeout) as caught:
        run_virtual(alone(Api(again=again).job(), timeout=3, max_misses=9))
    assert "again failed, the reply has another form" in str(caught.value.__cause__)


def test_phases_limit_the_time_left() -> None:
    """The next limit counts, whichever clock it is of."""
    left: list[float | None] = []

    def again(ref: str, poll: Poll) -> Request:
        left.append(poll.seconds_left)
        return Request("GET", f"/{ref}")

    run_virtual(alone(Api(again=again).job(), timeout=Timeout(total=60, pending=10)))
    assert left == [10, 9, 8, 7]


@pytest.mark.parametrize(("timeouts", "left"), [((20, 60), 59), ((60, 20), 60), ((20, None), None)])
def test_in_a_hub_the_longest_wait_counts(timeouts: tuple[float, float | None], left: float | None) -> None:
    """One poll is made for all waits for a job, and none of them is cut short by another."""
    polls: list[Poll] = []

    def again(ref: str, poll: Poll) -> Request:
        polls.append(poll)
        return Request("GET", f"/{ref}")

    api = Api(again=again)

    async def work() -> None:
        async with Hub() as hub, asyncio.TaskGroup() as group:
            for timeout in timeouts:
                group.create_task(hub.wait(api.job(), timeout=timeout, schedule=SECONDS))

    run_virtual(work())
    assert polls[0].seconds_left == (None if left is None else max(filter(None, timeouts)))
    assert len(polls) < 6


def test_the_memory_outlives_the_first_wait() -> None:
    """It belongs to the job that is polled, so the waits that are left go on with it."""
    api = Api(ends=4.5)

    async def work() -> None:
        async with Hub() as hub:
            first = asyncio.create_task(hub.wait(api.job(), timeout=60, schedule=SECONDS))
            second = asyncio.create_task(hub.wait(api.job(), timeout=60, schedule=SECONDS))
            await asyncio.sleep(1.5)
            first.cancel()
            await second

    run_virtual(work())
    assert api.statuses[0] == 200
    assert set(api.statuses[1:-1]) == {304}


# calls


def calls_of(way: Any, api: Api) -> list[tuple[float, str | None]]:
    """Wait for a job, and return how long each call took, and with which error."""
    calls: list[tuple[float, str | None]] = []

    def note(event: Event) -> None:
        if isinstance(event, Called):
            calls.append((event.seconds, None if event.error is None else type(event.error).__name__))

    run_virtual(way(api.job(), note))
    return calls


async def observed_alone(job: Job[Any], note: Callable[[Event], object]) -> None:
    """Wait for a job by itself."""
    await job.wait(timeout=60, schedule=SECONDS, observe=note)


async def observed_in_a_hub(job: Job[Any], note: Callable[[Event], object]) -> None:
    """Wait for a job in a hub."""
    async with Hub(observe=note) as hub:
        await hub.wait(job, timeout=60, schedule=SECONDS)


@pytest.mark.parametrize("way", [observed_alone, observed_in_a_hub])
def test_the_calls_of_an_earlier_poll_are_not_told_again(way: Any) -> None:
    """Not even when the next poll fails before its first call."""
    pages = [Reply(200, {"state": "success"}), Reply(503, {})]
    asked = 0

    def again(ref: str, _poll: Poll) -> Request:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise KeyError("location")
        return Request("GET", f"/{ref}")

    api = Api(
        again=again,
        then=lambda _, seen: None if seen.value else Request("GET", "/page"),
        read_then=lambda seen, _: evolve(seen, value=1),
    )
    success = Reply(200, {"state": "success"})
    api.transport = MemoryTransport(lambda _: pages.pop(0) if pages else success, latency=0.25)
    errors = [error for _, error in calls_of(way, api)]
    assert errors == [None, "TransportError", "BadReply", None, None]


@pytest.mark.parametrize("way", [observed_alone, observed_in_a_hub])
def test_each_call_of_a_poll_is_told(way: Any) -> None:
    """The first call, and those of `then`, each with its seconds; the last one has the error."""
    pages = [Reply(200, {"state": "success"}), Reply(200, {}), Reply(503, {}), Reply(200, {"state": "success"})]

    def then(_ref: str, snapshot: Snapshot[Any]) -> Request | None:
        return None if snapshot.value == 2 else Request("GET", "/page")

    def read_then(snapshot: Snapshot[Any], _reply: Reply) -> Snapshot[Any]:
        return evolve(snapshot, value=(snapshot.value or 0) + 1)

    api = Api(then=then, read_then=read_then, tag=None)
    slow = MemoryTransport(lambda _: pages.pop(0) if pages else Reply(200, {}), latency=0.25)
    api.transport = slow
    told = calls_of(way, api)
    assert told == [(0.25, None), (0.25, None), (0.25, "TransportError"), *[(0.25, None)] * 3]
    assert slow.requests == len(told)
