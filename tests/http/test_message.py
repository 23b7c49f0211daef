"""Requests, replies, and their headers."""

from __future__ import annotations

from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError
from multidict import CIMultiDict, CIMultiDictProxy

from asyncpoll import BadReply, http
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


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("é解".encode(), None, "é解"),
        ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1", "é"),
        ("解".encode("gbk"), 'text/csv; header=present; charset="GBK"', "解"),
        (b"\xef\xbb\xbfa", "text/plain; charset=utf-8", "a"),
        (b"a\xff", "text/plain", "a\ufffd"),
        (b"a\xff", "text/plain; charset=ascii", "a\ufffd"),
        ("é".encode(), "text/plain; charset=made-up", "é"),
        ("é".encode(), "text/plain; charset=", "é"),
        (b"YQ==", "text/plain; charset=base64", "YQ=="),
        (b"\\u0041", "text/plain; charset=unicode_escape", "\\u0041"),
        (b"xn--a-0", "text/plain; charset=IDNA", "xn--a-0"),
        (b"", None, ""),
    ],
)
def test_a_body_as_text(body: bytes, content_type: str | None, text: str) -> None:
    """The charset that the reply names counts, if it is one, and no byte makes an error."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert Reply(200, headers=headers, body=body).text == text


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b'{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b'{"a": 1}', [{"a": 1}]),
        (b'\xef\xbb\xbf1\r\n\r\n \t\n"\\n"\nnull', [1, "\n", None]),
        (b'"\xe2\x80\xa8"\n', ["\u2028"]),
        (b"", []),
    ],
)
def test_a_body_of_json_lines(body: bytes, values: list[Any]) -> None:
    """Each line is a value; blank ones are skipped, and only a line feed ends a line."""
    assert Reply(200, body=body).jsonl == values


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"1\n\n{]\n2", "line 3 of the body is not JSON"),
        (b'{"a":\n1}', "line 1 of the body is not JSON"),
        (b"1\n" + b"9" * 41, "line 2 of the body holds an integer of more than 40 digits"),
        (b"\n" + b"[" * 513 + b"]" * 513, "line 2 of the body is nested deeper than 512 levels"),
        (b"NaN", "line 1 of the body is not JSON"),
    ],
)
def test_a_line_that_is_not_json(body: bytes, problem: str) -> None:
    """The error has the number of the line, and the reply."""
    reply = Reply(200, body=body)
    with pytest.raises(BadReply, match=problem) as caught:
        _ = reply.jsonl
    assert caught.value.reply is reply
    assert caught.value.passing
