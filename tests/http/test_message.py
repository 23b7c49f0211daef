"""Requests, replies, and their headers."""

from __future__ import annotations

import pytest
from attrs.exceptions import FrozenInstanceError
from multidict import CIMultiDict, CIMultiDictProxy

from asyncpoll import http
from asyncpoll.http import Reply, Request, Upload
from asyncpoll.http._message import values_of


def test_a_request_is_not_repeatable_unless_said() -> None:
    """Nothing about a request is guessed from its method."""
    assert not Request("GET", "/a").repeatable
    assert Request("POST", "/a", repeatable=True).repeatable


def test_messages_are_frozen() -> None:
    """A request can be sent again, and a reply passed around, without having changed."""
    request = Request("GET", "/a")
    with pytest.raises(FrozenInstanceError):
        request.method = "POST"  # type: ignore[misc]  # that is the point


def test_headers_are_found_by_lower_case_names() -> None:
    """The headers of a plain dict are folded; those that ignore case anyway are kept with all their values."""
    assert Reply(200, headers={"X-A": "1"}).headers == {"x-a": "1"}
    headers = CIMultiDictProxy(CIMultiDict([("X-A", "1"), ("X-A", "2")]))
    assert Reply(200, headers=headers).headers is headers


def test_the_hint_of_a_reply() -> None:
    """How long to stay away is read from the headers, in whatever case and as often as they say it."""
    assert Reply(429).retry_after is None
    assert Reply(429, headers={"Retry-After": "7"}).retry_after == 7.0
    several = CIMultiDict([("Retry-After", "7"), ("Retry-After", "9"), ("Retry-After", "x")])
    assert Reply(429, headers=several).retry_after == 9.0


def test_content_does_not_show() -> None:
    """Neither what a file holds nor what a server said is in a repr."""
    shown = repr(Upload("a", b"canary")) + repr(Reply(200, {"a": "canary"}, {"x": "canary"}, b"canary"))
    assert "canary" not in shown


def test_the_transport_is_lent() -> None:
    """The package gives the transport on demand, and nothing that it does not have."""
    assert http.AiohttpTransport("https://api.example").origin == "https://api.example"
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = http.missing


@pytest.mark.parametrize(("headers", "values"), [({}, []), ({"location": "/a"}, ["/a"])])
def test_headers_in_a_plain_mapping(headers: dict[str, str], values: list[str]) -> None:
    """A mapping that holds each header once will do too."""
    assert values_of(headers, "location") == values
