"""Refusals that are throttling in truth: `Retry-After` and headers about a rate limit tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from asyncpoll._errors import Throttled, TransportError
from asyncpoll.http._classify import Codes, classify_status, status_kind
from asyncpoll.http._message import Reply

PLAIN = {400: "bad_request", 403: "forbidden", 413: "rejected"}
SPENT: list[dict[str, str]] = [
    {"Retry-After": "7"},
    {"Retry-After": "0"},
    {"Retry-After": "Fri, 02 Jan 2026 12:00:00 GMT"},
    {"Retry-After": "7", "X-RateLimit-Remaining": "50"},
    {"Retry-After": "soon"},
    {"X-RateLimit-Remaining": "0"},
    {"X-Rate-Limit-Remaining": "0"},
    {"RateLimit-Remaining": " 0 "},
    {"x-ratelimit-remaining": "0.0"},
    {"X-RateLimit-Remaining-Requests": "0"},
    {"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Remaining-Requests": "12"},
    {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1767355200"},
    {"RateLimit": '"default";r=0;t=30'},
    {"RateLimit": '"default"; r = 0'},
    {"RateLimit": '"burst";r=5;t=1, "day";r=0;t=3600'},
    {"RateLimit": "limit=100, remaining=0, reset=30"},
    {"RateLimit": "remaining=0"},
    {"X-RateLimit-Reset": "1767355200"},
    {"X-Rate-Limit-Reset": "30"},
    {"RateLimit-Reset": "30"},
    {"X-RateLimit-Reset-Tokens": "6m0s"},
    {"X-RateLimit-Reset": "odd \x00 text", "X-RateLimit-Limit": "5000"},
]
NOT_SPENT: list[dict[str, str]] = [
    {},
    {"X-RateLimit-Remaining": "1"},
    {"X-RateLimit-Remaining": "10"},
    {"X-RateLimit-Remaining": "00x"},
    {"X-RateLimit-Remaining": ""},
    {"X-RateLimit-Remaining": "none"},
    {"X-RateLimit-Remaining": "-1"},
    {"X-RateLimit-Remaining": "1,000"},
    {"X-RateLimit-Remaining": "\u0660"},
    {"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": "1767355200"},
    {"X-RateLimit-Remaining": "odd", "X-RateLimit-Reset": "1767355200"},
    {"RateLimit": '"default";r=10;t=30', "RateLimit-Reset": "30"},
    {"RateLimit": "limit=0, remaining=5, reset=0"},
    {"RateLimit": '"default";qr=0;r=07'},
    {"RateLimit": '"default";r=0x'},
    {"RateLimit": "\x00;;;==,,"},
    {"RateLimit-Policy": '"default";q=0;r=0'},
    {"X-RateLimit-Limit": "0"},
    {"X-RateLimit-Used": "0"},
    {"X-Password-Reset": "yes"},
    {"Remaining": "0"},
]


def kind(status: int, headers: Mapping[str, str], **more: Any) -> str:
    """Return the kind of trouble of a reply."""
    return status_kind(Reply(status, headers=headers, **more))


@pytest.mark.parametrize("status", PLAIN)
@pytest.mark.parametrize("headers", SPENT, ids=str)
def test_a_refusal_with_nothing_left_is_throttling(status: int, headers: dict[str, str]) -> None:
    """A refusal that asks to come back later is throttling, whatever its status."""
    assert kind(status, headers) == kind(status, headers, json={"message": "no"}) == "throttled"
    assert kind(status, CIMultiDictProxy(CIMultiDict(headers))) == "throttled"
    with pytest.raises(Throttled) as caught:
        classify_status(Reply(status, headers=headers))
    assert (caught.value.kind, caught.value.passing, caught.value.status) == ("throttled", True, status)


@pytest.mark.parametrize("status", PLAIN)
@pytest.mark.parametrize("headers", NOT_SPENT, ids=str)
def test_a_refusal_with_something_left_stays_a_refusal(status: int, headers: dict[str, str]) -> None:
    """Headers that do not say that nothing is left change nothing, however odd they are."""
    assert kind(status, headers) == PLAIN[status]


@pytest.mark.parametrize("status", [200, 401, 404, 409, 422, 500, 503])
@pytest.mark.parametrize("headers", SPENT[:6], ids=str)
def test_other_statuses_keep_their_kind(status: int, headers: dict[str, str]) -> None:
    """Only statuses that servers are known to throttle with are looked at."""
    assert kind(status, headers) == kind(status, {})


def test_a_repeated_header_counts_with_every_value() -> None:
    """Of several limits one that is spent is enough."""
    headers = CIMultiDict([("X-RateLimit-Remaining", "5"), ("x-ratelimit-remaining", "0")])
    assert kind(403, CIMultiDictProxy(headers)) == "throttled"


@pytest.mark.parametrize("headers", [{"X-RateLimit-Remaining": 0}, {"RateLimit": 0}, {"X-RateLimit-Reset": 30}])
def test_a_header_that_is_not_text_does_no_harm(headers: Any) -> None:
    """A reply that a test makes up may hold numbers."""
    assert kind(403, headers) == ("forbidden" if "RateLimit" in headers else "throttled")


@pytest.mark.parametrize("status", [403, 429])
def test_without_a_retry_after_no_wait_is_made_up(status: int) -> None:
    """A reset may be a date or a span, so only `Retry-After` says how long to stay away."""
    with pytest.raises(Throttled) as caught:
        classify_status(Reply(status, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}))
    assert caught.value.retry_after is None


def test_a_retry_after_is_carried_along() -> None:
    """The error of a refusal that is throttling has the seconds that the server asks for."""
    with pytest.raises(Throttled) as caught:
        classify_status(Reply(413, headers={"Retry-After": "7"}))
    assert caught.value.retry_after == 7.0


def test_codes_of_an_api_use_the_headers_too() -> None:
    """With codes of an API, an unlisted code leaves the headers to decide; a listed code goes before them."""
    codes = Codes({"1113": "unpaid"})
    for code, expected in (("9999", "throttled"), ("1113", "unpaid"), (None, "throttled")):
        reply = Reply(403, json={"code": code}, headers={"X-RateLimit-Remaining": "0"})
        with pytest.raises(TransportError) as caught:
            classify_status(reply, codes)
        assert caught.value.kind == expected
