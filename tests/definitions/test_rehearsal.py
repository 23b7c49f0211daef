"""`rehearse`: real waits against the server of a definition, in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from asyncpoll import Fixed
from asyncpoll.definitions import Definition, Rehearsal, rehearse

MINUTES = [30.0 + number for number in range(60)]


def define(**changes: Any) -> Definition:
    """Return a definition with changes; None leaves a key out."""
    keys = {
        "name": "acme.renders",
        "base": "https://api.acme.com/v1",
        "ask": "GET /renders/{id}",
        "status": "status",
        "processing": "rendering",
        "success": "rendered",
        "failed": "broken",
        "value": "video",
    }
    return Definition.of({name: value for name, value in {**keys, **changes}.items() if value is not None})


def waits(*, durations: Sequence[float] = MINUTES, **options: Any) -> Rehearsal:
    """Rehearse jobs of half a minute to one and a half."""
    return rehearse(define(), durations=durations, **options)


def test_a_fixed_interval_has_exact_figures() -> None:
    """A job of a minute is polled every ten seconds, and seen to end at most ten seconds later."""
    figures = rehearse(define(), durations=[60.0], schedule=Fixed(10), latency=0.5)
    assert figures == Rehearsal(
        jobs=1, succeeded=1, errors={}, requests=7, unanswered=0, delays=[3.5], busiest=1, busiest_at=0.0, seconds=63.5
    )
    assert (figures.gave_up, figures.polls_per_job) == (0, 7.0)
    assert figures.delay_median == figures.delay_p95 == figures.delay_max == 3.5


def test_percentiles_are_those_of_all_jobs() -> None:
    """Of sixty delays the median is the thirtieth, and the 95th percentile the fifty-seventh."""
    figures = waits()
    assert figures.succeeded == len(figures.delays) == 60
    assert all(delay <= later for delay, later in pairwise(figures.delays))
    assert (figures.delay_median, figures.delay_p95) == (figures.delays[29], figures.delays[56])
    assert figures.delay_max == figures.delays[-1]
    assert figures.polls_per_job == figures.requests / 60


def test_the_same_seed_gives_the_same_figures() -> None:
    """Another seed spreads the polls in another way."""
    assert waits(seed=1) == waits(seed=1) != waits(seed=2)


def test_a_price_sets_how_often_is_polled() -> None:
    """Polls that are worth more are fewer, and the results are known later."""
    cheap, dear = waits(price=0.01, arrivals=3600.0), waits(price=0.2, arrivals=3600.0)
    assert cheap.polls_per_job > dear.polls_per_job
    assert (cheap.delay_median or 0) < (dear.delay_median or 0)


def test_an_outage_delays_what_ends_in_it() -> None:
    """No wait gives up, requests in the outage are counted, and the results come after it."""
    calm, stormy = waits(), waits(outage=(40.0, 120.0))
    assert (stormy.succeeded, calm.unanswered) == (60, 0)
    assert 0 < stormy.unanswered < stormy.requests
    assert (stormy.delay_max or 0) > (calm.delay_max or 0)
    assert stormy.seconds > 160


def test_a_rate_flattens_the_busiest_second() -> None:
    """At two polls a second the first second is no longer that of all jobs, and results come later."""
    free, limited = waits(), waits(rate=2)
    assert (free.busiest, free.busiest_at) == (60, 0.0)
    assert limited.busiest <= 3
    assert limited.succeeded == 60
    assert (limited.delay_median or 0) > (free.delay_median or 0)


def test_jobs_may_arrive_one_after_the_other() -> None:
    """Over two minutes, one comes every two seconds, so that none is polled with all others."""
    figures = waits(arrivals=120.0, concurrency=5)
    assert figures.busiest <= 10
    assert figures.seconds > 118 + 89


def test_waits_that_give_up_are_counted() -> None:
    """A limit of ten seconds is too short for all, and there is no delay to tell."""
    figures = waits(timeout=10.0)
    assert (figures.succeeded, figures.gave_up, figures.errors) == (0, 60, {"WaitTimeout": 60})
    assert figures.delay_median is figures.delay_p95 is figures.delay_max is None


def test_a_success_that_is_never_seen_ends_a_day_later() -> None:
    """A rule makes the word of a success that of a job that goes on."""
    hiding = [{"if": {"status": "rendered"}, "state": "processing"}]
    figures = rehearse(define(when=hiding), durations=[60.0], outage=(10.0, 5.0), schedule=Fixed(3600))
    assert (figures.succeeded, figures.gave_up) == (0, 1)
    assert 86_400 < figures.seconds < 90_000


def test_jobs_of_a_group_share_requests() -> None:
    """A hub asks for the list of a batch, in which all jobs are, so it needs fewer requests than there are jobs."""
    group = {"ask": "GET /batches/{batch}", "each": "items", "id": {"id": "id"}, "size": 30, "value": "video"}
    definition = define(ask="GET /batches/{batch}/{id}", group=group)
    assert rehearse(definition, durations=MINUTES, schedule=Fixed(10)).polls_per_job < 2


def test_jobs_of_a_list_are_rehearsed() -> None:
    """Every answer is the list of all jobs."""
    definition = define(ask="GET /batches/{batch}", about={"each": "items", "id": {"id": "id"}})
    assert rehearse(definition, durations=[5.0, 6.0]).succeeded == 2


def test_long_polls_are_held_back() -> None:
    """One request is enough for a job that ends within the long poll."""
    pace = {"long_poll": {"query": "wait", "seconds": 20}}
    assert rehearse(define(pace=pace), durations=[12.0], latency=0.0).requests == 1


def test_addresses_of_the_server_are_followed() -> None:
    """The jobs, and their results, are at addresses below the path of the base."""
    then = {"call": "GET {+result}", "value": "rows", "pages": "next"}
    definition = define(ask="GET {+place}", then=then, value=None)
    figures = rehearse(definition, durations=[5.0], schedule=Fixed(10))
    assert (figures.succeeded, figures.requests) == (1, 4)


def test_one_of_several_endpoints_is_chosen() -> None:
    """Without a choice the message lists them."""
    definition = Definition.of(
        {
            "name": "acme",
            "status": "status",
            "success": "done",
            "failed": "broken",
            "endpoints": {"one": {"ask": "GET /one/{id}"}, "two": {"ask": "GET /two/{id}"}},
        }
    )
    assert rehearse(definition, endpoint="two", durations=[1.0]).succeeded == 1
    with pytest.raises(ValueError, match=r"choose one endpoint of: acme\.one, acme\.two"):
        rehearse(definition, durations=[1.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"durations": []}, "at least one job"),
        ({"durations": [1.0, -1.0]}, "durations must be numbers of seconds"),
        ({"outage": (float("nan"), 1.0)}, "outage must be numbers of seconds"),
        ({"arrivals": float("inf")}, "delays must be numbers of seconds"),
        ({"schedule": Fixed(1), "price": 0.1}, "leave the schedule or the price out"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"endpoint": "none"}, "no endpoint 'none'"),
    ],
)
def test_wrong_arguments_of_a_rehearsal_are_refused(options: dict[str, Any], message: str) -> None:
    """The message says what is wrong, before anything is rehearsed."""
    with pytest.raises(ValueError, match=message):
        waits(**options)


def test_a_definition_without_a_success_is_refused() -> None:
    """Its jobs would be waited for without end."""
    with pytest.raises(ValueError, match=r"no answer of acme\.renders means success"):
        rehearse(define(success=None), durations=[1.0])
