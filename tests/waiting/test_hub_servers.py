"""A hub and a server that throttles, sends hints, is down or refuses credentials."""

from __future__ import annotations

import asyncio
import copy
import errno
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hub_kit import PENDING, PROCESSING, SUCCESS, Host, ends_of, in_hub, leave, now, play, wait_for_a_while, waits_for

from asyncpoll import BadReply, ClientClosed, Fixed, Hub, Rejected, State, Throttled, TransportError, WaitTimeout

BROKEN = TransportError("the server is in trouble", kind="server", status=500)
REFUSED = TransportError("no connection could be made", kind="connect")
LOCKED_OUT = Rejected("no such key", kind="credential", status=401)


def in_turn(*said: State | Exception) -> Callable[[str], Any]:
    """Return an answer that says one thing after the other, and then tells of success."""
    rest = iter(said)
    return lambda _: copy.copy(next(rest, SUCCESS))


def asked_at(host: Host, name: str, *, seconds: float, others: int = 1, **options: Any) -> float:
    """Wait for other jobs, and a second later for one with this name; return when it is asked about first."""

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, host.jobs(*range(others)))
        await asyncio.sleep(1)
        waits += waits_for(hub, host.jobs(name))
        await asyncio.sleep(seconds)
        await leave(waits)

    in_hub(work, **{"schedule": Fixed(10.0), "concurrency": 1, **options})
    return host.times(name)[0]


# servers that ask for less


@pytest.mark.parametrize(
    ("error", "parks"),
    [
        (Throttled("slower", status=429, retry_after=7), True),
        (Throttled("slower", status=200, retry_after=7), True),
        (Throttled("left alone for 7 s more", retry_after=7), True),
        (TransportError("maintenance", kind="server", status=503, retry_after=7), True),
        (Throttled("slower", status=429), False),
        (Rejected("no such job", kind="not_found", status=404, retry_after=7), False),
        (TransportError("in trouble", kind="server", status=500, retry_after=7), False),
        (TransportError("busy", kind="conflict", status=409, retry_after=7), False),
    ],
    ids=repr,
)
def test_a_hint_about_the_server_parks_its_lane(error: TransportError, parks: bool) -> None:  # noqa: FBT001  a case
    """A Retry-After parks the lane when it speaks for the server: when it throttles, or with a 429 or a 503."""
    at = asked_at(Host(in_turn(error)), "other", seconds=20.0)
    assert 7.0 <= at <= 9.0 if parks else 1.0 <= at <= 3.0


def test_a_parked_lane_does_not_hold_up_the_others() -> None:
    """A Retry-After keeps its own lane quiet for as long as it says; the rhythm of others stays as it was."""
    parked, other = Host(in_turn(Throttled("slower", status=429, retry_after=60))), Host(lambda _: PENDING)
    wait_for_a_while(80.5, [*parked.jobs(*range(4)), *other.jobs("other")], lane_concurrency=1, concurrency=2)
    assert (parked.times()[0], len(parked.asked)) == (0.0, 5)
    assert min(parked.times()[1:]) >= 60.0
    assert other.times() == [float(second) for second in range(81)]


@pytest.mark.parametrize(("hints", "parked_until"), [((9, 3), 9.0), ((3, 9), 9.0), ((5, 999_999_999), 86_400.0)])
def test_the_furthest_hint_counts(hints: tuple[float, ...], parked_until: float) -> None:
    """Of several that were on their way at once the longest is obeyed, for a day at most."""
    host = Host(in_turn(*(Throttled("slower", status=429, retry_after=hint) for hint in hints)), latency=0.5)
    at = asked_at(host, "other", seconds=100_000.0, others=2, concurrency=2, schedule=Fixed(200_000.0))
    assert parked_until + 0.5 <= at <= parked_until + 5.0


def test_what_a_parked_lane_owes_is_spread() -> None:
    """When the time has come, the polls that have become overdue start over one interval."""
    host = Host(in_turn(TransportError("maintenance", kind="server", status=503, retry_after=60)))
    wait_for_a_while(120.0, host.jobs(*range(300)), lane_concurrency=1, schedule=Fixed(30.0))
    by_ten = Counter(int(at // 10) for at in host.times()[1:])
    assert [by_ten[number] for number in (6, 7, 8)] == pytest.approx([100, 100, 100], abs=5)


def test_throttling_slows_a_lane_down_and_lets_it_recover() -> None:
    """After a throttling answer the pace of the lane is lower for a while, then as before; other lanes keep theirs."""
    asked: list[float] = []

    def answer(_name: str) -> Any:
        asked.append(now())
        return Throttled("slow", status=429) if len(asked) == 50 else SUCCESS

    hosts = Host(answer), Host()
    wait_for_a_while(60.0, [job for host in hosts for job in host.jobs(*range(600))], lane_rate=20.0)
    at = asked[49]
    assert 12 <= sum(at + 0.1 < when <= at + 1.1 for when in asked) <= 15
    assert sum(at + 14 < when <= at + 15 for when in asked) >= 19
    assert hosts[1].times()[-1] == pytest.approx(599 / 20, rel=0.02)


def test_without_a_limit_throttling_sets_one() -> None:
    """The pace falls to a share of what it was, and comes back; a server that throttles for ever is asked on."""
    host = Host(lambda _: Throttled("slower", status=429) if 3 <= now() < 60 else PENDING)
    wait_for_a_while(300.0, host.jobs(*range(30)), concurrency=1000)
    by_second = Counter(int(at) for at in host.times())
    assert by_second[2] == 30
    assert sum(by_second[second] for second in range(4, 14)) < 150
    assert 4 <= sum(by_second[second] for second in range(30, 60)) <= 60
    assert sum(by_second[second] for second in range(280, 290)) >= 270


# servers that are down


@pytest.mark.parametrize(
    ("error", "enough"),
    [
        (REFUSED, 5),
        (TransportError("no such host", kind="dns"), 5),
        (ConnectionRefusedError(), 5),
        (BROKEN, 20),
        (TransportError("cut", kind="disconnect"), 20),
        (TransportError("late", kind="timeout"), 20),
        (TimeoutError(), 20),
    ],
    ids=repr,
)
def test_failures_in_a_row_make_an_outage(error: Exception, enough: int) -> None:
    """It takes five refused connections, or twenty failures of a server that is there; then the next poll waits."""
    host = Host(in_turn(*[error] * (enough - 1)))
    assert asked_at(host, "other", seconds=8.0, others=enough - 1) == 1.0
    host = Host(in_turn(*[error] * enough))
    assert asked_at(host, "other", seconds=8.0, others=enough) == 5.0


@pytest.mark.parametrize(
    "error",
    [
        TransportError("out of files", kind="local"),
        OSError(errno.EMFILE, "too many open files"),
        BadReply("not HTTP", kind="protocol"),
        WaitTimeout(None, waited=1.0, polls=1),
        ClientClosed("closed"),
        ValueError("a fault in the caller's own code"),
    ],
    ids=repr,
)
def test_what_says_nothing_about_the_server_changes_nothing(error: Exception) -> None:
    """Faults of this side are neither signs of trouble nor signs of life."""
    assert asked_at(Host(in_turn(*[error] * 50)), "other", seconds=8.0, others=50) == 1.0
    host = Host(in_turn(*[BROKEN] * 19, *[error] * 9, BROKEN))
    assert asked_at(host, "other", seconds=8.0, others=29) == 5.0


@pytest.mark.parametrize(
    "error",
    [
        Rejected("no such job", kind="not_found", status=404),
        BadReply("no JSON", status=200),
        TransportError("busy", kind="conflict", status=409),
    ],
    ids=repr,
)
def test_every_answer_is_a_sign_of_life(error: Exception) -> None:
    """A server that answers is there, be it to refuse: it ends a row of failures, and three of them end an outage."""
    host = Host(in_turn(*[*[REFUSED] * 4, error] * 5))
    assert asked_at(host, "other", seconds=8.0, others=25) == 1.0
    host = Host(in_turn(*[REFUSED] * 5, *[error] * 3))
    wait_for_a_while(8.0, host.jobs(*range(30)), schedule=Fixed(10.0), concurrency=1)
    assert host.times()[:8] == [0.0] * 5 + [5.0] * 3
    assert len(host.times()) > 10


def test_an_outage_is_probed_and_ends_without_a_burst() -> None:
    """One poll at a time every five seconds finds out; after three good ones what is overdue is spread."""
    host = Host(lambda _: BROKEN if now() < 26 else SUCCESS, latency=0.5)
    wait_for_a_while(70.0, host.jobs(*range(320)), schedule=Fixed(30.0), concurrency=20)
    times = host.times()
    assert times[:20] == [0.0] * 20
    assert times[20:28] == [5.5, 11.0, 16.5, 22.0, 27.5, 28.0, 28.5, 29.0]
    spread = Counter(int(at - 29.0) for at in times[27:])
    assert all(8 <= spread[second] <= 12 for second in range(30))


def test_a_short_interval_is_kept_while_probing() -> None:
    """A schedule that polls every second probes every second, and goes on for as long as it takes."""
    host = Host(lambda _: BROKEN)
    wait_for_a_while(600.5, host.jobs(*range(20)))
    assert host.times() == [0.0] * 20 + [float(second) for second in range(1, 601)]


def test_a_probe_that_fails_starts_the_count_anew() -> None:
    """Two good ones are not enough."""
    host = Host(in_turn(*[REFUSED] * 5, *[Rejected("no", status=404)] * 2, REFUSED))
    wait_for_a_while(30.0, host.jobs(*range(20)), schedule=Fixed(30.0), concurrency=1)
    assert host.times()[:11] == [0.0] * 5 + [5.0] * 3 + [10.0] * 3


def test_a_limit_of_its_own_holds_after_an_outage() -> None:
    """Overdue polls never start faster than the rate of their lane."""
    host = Host(lambda _: BROKEN if now() < 60 else SUCCESS)
    wait_for_a_while(120.0, host.jobs(*range(100)), schedule=Fixed(10.0), lane_rate=2.0)
    assert min(after - before for before, after in itertools.pairwise(host.times())) >= 0.499
    assert len(set(host.names())) == 100


def test_deadlines_hold_during_an_outage() -> None:
    """Who is not polled any more because others probe still ends in time."""

    async def work(hub: Hub) -> list[float]:
        ends = await ends_of(waits_for(hub, Host(lambda _: BROKEN).jobs(*range(30)), timeout=20.0))
        return [end.waited for end in ends]

    assert {round(waited, 1) for waited in in_hub(work, schedule=Fixed(10.0))} <= {19.5, 20.0}


# credentials that are refused


@pytest.mark.parametrize("kind", ["credential", "certificate", "tls", "unpaid", "login"])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_refusal_is_confirmed_and_ends_all_waits_of_its_client(kind: str, concurrency: int) -> None:
    """A refusal costs a few polls, not one for each job; jobs of other clients go on."""
    refusing, other = Host(lambda _: Rejected("no", kind=kind, status=401), latency=1.0), Host()

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [*refusing.jobs(*range(50)), *other.jobs(*range(3))])
        *refused, one, two, three = await ends_of(waits)
        assert {type(end) for end in refused} == {Rejected}
        assert {end.state for end in (one, two, three)} == {SUCCESS}
        assert (hub.counters.pending, hub.counters.in_flight) == (0, 0)
        await asyncio.sleep(60)

    in_hub(work, lane_concurrency=concurrency)
    assert len(refusing.asked) == concurrency + 1
    assert len(other.asked) == 3


def test_a_refusal_that_is_not_confirmed_ends_nothing() -> None:
    """Once refused and then answered, the job is awaited like any other."""
    host = Host(in_turn(LOCKED_OUT), latency=1.0)
    ends = in_hub(lambda hub: ends_of(waits_for(hub, host.jobs(*range(3)))), concurrency=1)
    assert [end.state for end in ends] == [SUCCESS] * 3
    assert host.names() == ["0", "0", "1", "2"]


def test_a_refused_job_that_runs_on_holds_up_no_other() -> None:
    """Once its second poll is answered, the other jobs of the client have their turn."""
    host = Host(in_turn(LOCKED_OUT, PROCESSING))
    ends = in_hub(lambda hub: ends_of(waits_for(hub, host.jobs(*range(3)))), concurrency=1, schedule=Fixed(10.0))
    assert [end.state for end in ends] == [SUCCESS] * 3
    assert host.asked == [(0.0, "0"), (0.0, "0"), (0.0, "1"), (0.0, "2"), (10.0, "0")]


def test_what_is_to_be_confirmed_goes_before_the_queue() -> None:
    """Meanwhile nothing else of this client is polled; the others go on."""
    host, other = Host(lambda name: LOCKED_OUT if name == "0" and now() < 6 else SUCCESS, latency=5.0), Host()
    wait_for_a_while(60.0, [*host.jobs(*range(4)), *other.jobs(*range(3))], lane_concurrency=2, lane_rate=0.5)
    assert host.asked[:3] == [(0.0, "0"), (2.0, "1"), (5.0, "0")]
    assert host.times()[3] >= 10.0
    assert other.times() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("leaves_at", [1.5, 2.0, 2.5])
def test_a_lane_goes_on_when_the_refused_one_leaves(leaves_at: float) -> None:
    """Who was refused and is given up before it is confirmed holds up no other."""
    host = Host(lambda name: copy.copy(LOCKED_OUT) if name == "0" else SUCCESS, latency=2.0)

    async def work(hub: Hub) -> None:
        first, *waits = waits_for(hub, host.jobs(*range(4)))
        await asyncio.sleep(leaves_at)
        await leave([first])
        await asyncio.gather(*waits)

    in_hub(work, concurrency=1)
    assert host.names()[-3:] == ["1", "2", "3"]


def test_a_refusal_ends_a_run_at_last() -> None:
    """Earlier outcomes are yielded, then the refusal is raised; the other jobs stay unfinished."""
    host = Host(lambda name: SUCCESS if name == "0" else copy.copy(LOCKED_OUT))
    ended: list[Any] = []

    async def work(hub: Hub) -> None:
        async with hub.as_completed(host.jobs(*range(9)), timeout=None) as outcomes:
            async for outcome in outcomes:
                ended.append(outcome.job.ref)  # noqa: PERF401  what came before the error is the point

    with pytest.raises(Rejected):
        in_hub(work, concurrency=1)
    assert ended == ["0"]
    assert len(host.asked) == 3


def not_the_api() -> Rejected:
    """Return the refusal of something at the address that is not the API."""
    page = Rejected("the page of a web server", kind="not_found", status=404)
    page.from_api = False
    return page


def test_a_wrong_address_ends_the_run_like_a_bad_key() -> None:
    """On first contact a page that is not the API's ends all waits of the client, once a second poll confirms it."""
    host, other = Host(lambda _: not_the_api(), latency=1.0), Host()

    async def work(hub: Hub) -> None:
        *refused, one = await ends_of(waits_for(hub, [*host.jobs(*range(9)), *other.jobs("other")]))
        assert {type(end) for end in refused} == {Rejected}
        assert one.state is SUCCESS

    in_hub(work, lane_concurrency=2)
    assert len(host.asked) == 3


@pytest.mark.parametrize("answer", [SUCCESS, Rejected("no such job", kind="not_found", status=404)], ids=repr)
def test_a_page_after_an_answer_refuses_one_job_alone(answer: Any) -> None:
    """Once the API has answered, be it to refuse, such a page is about the one job; also after all were done."""
    host = Host(lambda name: not_the_api() if name.startswith("odd") else copy.copy(answer), latency=1.0)

    async def work(hub: Hub) -> None:
        for names in (["0", "odd", "1"], ["odd again"], ["2"]):
            ends = await ends_of(waits_for(hub, host.jobs(*names)))
            pages = [name for name, end in zip(names, ends, strict=True) if "page" in str(end)]
            assert pages == [name for name in names if name.startswith("odd")]
        async with hub.as_completed(host.jobs("odd at last"), timeout=9) as outcomes:
            assert [type(outcome.error) async for outcome in outcomes] == [Rejected]

    in_hub(work, concurrency=1)
    assert len(host.asked) == 6


def test_an_async_function_is_refused_alone() -> None:
    """A refused async function does not end other waits, because it has no client."""

    async def work(hub: Hub) -> None:
        refused, other = await ends_of(waits_for(hub, [play(LOCKED_OUT), play(PENDING, SUCCESS)]))
        assert isinstance(refused, Rejected)
        assert other.state is SUCCESS

    in_hub(work)
