"""Requests, checked and encoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from asyncpoll.http._auth import NO_CREDENTIAL, Bearer
from asyncpoll.http._message import Request
from asyncpoll.http._urls import Address
from asyncpoll.http.transport._encode import COMMON, RESERVED, Encoder, Outgoing, check_headers, encode_json

API = Address.of("https://api.example/v1")
CANARY = "canary-0123456789"


@pytest.mark.parametrize(
    ("base_url", "origin", "host", "prefix"),
    [
        ("https://api.example", "https://api.example", "api.example", ""),
        ("https://api.example/", "https://api.example", "api.example", ""),
        ("https://API.example:443/a/b/", "https://api.example", "api.example", "/a/b"),
        ("https://api.example:8443/a%20b", "https://api.example:8443", "api.example:8443", "/a%20b"),
        ("http://localhost:8080", "http://localhost:8080", "localhost:8080", ""),
        ("http://127.0.0.9", "http://127.0.0.9", "127.0.0.9", ""),
        ("http://[::1]:80/a", "http://[::1]", "[::1]", "/a"),
    ],
)
def test_a_base_address(base_url: str, origin: str, host: str, prefix: str) -> None:
    """It is taken apart, without the slash at its end and a port that goes without saying."""
    assert Address.of(base_url) == Address(origin, host, prefix)


@pytest.mark.parametrize(
    ("base_url", "cure"),
    [
        ("api.example", "needs https"),
        ("ftp://api.example", "needs https"),
        ("https://", "needs https"),
        ("https://user:canary@api.example", "user name"),
        ("https://api.example?key=canary", "leave out the query"),
        ("https://api.example/#canary", "leave out the query"),
        ("https://api.example/a b", "percent-encoded"),
        ("https://api.example/a\n", "percent-encoded"),
        ("https://api.example/../a", "without dot segments"),
        ("https://api.example/é", "percent-encoded"),
        ("http://api.example", "use https"),
        ("http://localhost.example", "use https"),
        ("http://10.0.0.1", "use https"),
    ],
)
def test_what_is_no_base_address(base_url: str, cure: str) -> None:
    """What cannot be one is refused with the cure, and is not repeated."""
    with pytest.raises(ValueError, match=cure) as caught:
        Address.of(base_url)
    assert "base_url" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_http_in_the_clear() -> None:
    """Plain http for other hosts has to be asked for."""
    assert Address.of("http://10.0.0.1:8080", insecure=True).origin == "http://10.0.0.1:8080"


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/jobs/a%2Fb", {}, "/v1/jobs/a%2Fb"),
        ("/jobs//x", {}, "/v1/jobs//x"),
        ("/a", {"q": "1 2&3=ä/", "r": ""}, "/v1/a?q=1%202%263%3D%C3%A4%2F&r="),
        ("/.hidden/..x/~(a)!", {}, "/v1/.hidden/..x/~(a)!"),
    ],
)
def test_a_target(path: str, query: Mapping[str, str], target: str) -> None:
    """The path goes below the base address as it is, the query is encoded."""
    assert API.target(path, query) == target


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "/a?b",
        "/a#b",
        "/a b",
        "/a\n",
        "/a\r\nHost: x",
        "/é",
        "/%",
        "/%zz",
        "/..",
        "/a/../b",
        "/./a",
        "/a/%2e%2E",
        "/\\",
        "/\ud800",
    ],
)
def test_what_is_no_path(path: str) -> None:
    """What an HTTP library would repair, cut off or resolve is refused."""
    with pytest.raises(ValueError, match="percent-encoded"):
        API.target(path, {})


def test_a_query_that_cannot_be_sent() -> None:
    """Half of a surrogate pair has no encoding."""
    with pytest.raises(ValueError, match="lone surrogate"):
        API.target("/a", {"q": "\ud800"})


@given(st.text() | st.text("/.%2ea@:?#\\").map("/".__add__), st.dictionaries(st.text(), st.text()))
def test_the_origin_is_always_ours(path: str, query: Mapping[str, str]) -> None:
    """Whatever a request asks for is either refused, or asked of the origin that the credential belongs to."""
    try:
        target = API.target(path, query)
    except ValueError:
        return
    url = URL(API.origin + target)
    assert str(url.origin()) == API.origin
    assert url.raw_path.startswith("/v1/")


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Host", "AUTHORIZATION"])
def test_reserved_headers(name: str) -> None:
    """What frames a message or carries a credential is the transport's business."""
    with pytest.raises(ValueError, match=f"{name} is set by the transport"):
        check_headers({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nHost: x", "a\n", "a\x00", "é", "解", "\ud800", "\x7f"])
def test_header_values(value: str) -> None:
    """A value that would end the line, or whose bytes nobody agrees on, is refused, and is not repeated."""
    with pytest.raises(ValueError, match="the header X-A holds line breaks") as caught:
        check_headers({"X-A": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "é"])
def test_header_names(name: str) -> None:
    """The name of a header is a token."""
    with pytest.raises(ValueError, match="token"):
        check_headers({name: "x"})


def test_headers_that_can_be_sent() -> None:
    """Printable ASCII and tabs can."""
    check_headers({"X-Trace": "a b\t~", "accept": "*/*"})


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], {"a": "\ud800"}, {"\udfff": 1}, object(), {1, 2}, {(1,): 2}, b"a"]
)
def test_what_json_cannot_say(value: Any) -> None:
    """A body that would not arrive as it was meant is refused."""
    with pytest.raises(ValueError, match="must consist of"):
        encode_json(value)


def test_a_circle() -> None:
    """What contains itself has no end."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="circles"):
        encode_json(circle)


def test_json_goes_out_compact() -> None:
    """Text is sent in UTF-8, without spaces."""
    assert encode_json({"a": ["解", 1]}) == '{"a":["解",1]}'.encode()


def _prepared(**facts: Any) -> Outgoing:
    return Encoder(API).prepare(evolve(Request("GET", "/a"), **facts), Bearer(CANARY).fixed or NO_CREDENTIAL)


def test_a_message() -> None:
    """A request goes over the wire with the host, the common headers and the credential."""
    assert _prepared(query={"q": "1"}).message("api.example") == (
        b"GET /v1/a?q=1 HTTP/1.1\r\nHost: api.example\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n"
        b"User-Agent: asyncpoll\r\nAuthorization: Bearer canary-0123456789\r\n\r\n"
    )


def test_a_message_with_a_body() -> None:
    """JSON is framed by its length in bytes."""
    head, _, body = _prepared(method="POST", json={"a": "解"}).message("h").partition(b"\r\n\r\n")
    assert json.loads(body) == {"a": "解"}
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert head.endswith(b"\r\nContent-Length: %d" % len(body))


@pytest.mark.parametrize(("method", "said"), [("POST", True), ("PUT", True), ("GET", False), ("DELETE", False)])
def test_a_message_without_a_body(method: str, said: bool) -> None:  # noqa: FBT001  a parameter of the test
    """Where a body is usual, its absence is said."""
    assert (b"\r\nContent-Length: 0\r\n" in _prepared(method=method).message("h")) is said


def test_headers_of_a_request() -> None:
    """A request's own headers take the place of the common ones, however they are spelled; the credential stays."""
    headers = Encoder(API).prepare(Request("GET", "/a", headers={"accept": "*/*", "X-A": "1"}), NO_CREDENTIAL).headers
    assert headers == {"accept": "*/*", "X-A": "1"} | {name: COMMON[name] for name in ("Accept-Encoding", "User-Agent")}
    assert _prepared(headers={"X-A": "1"}).headers["Authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"json": 1, "form": {}}, "not several"),
        ({"method": "get"}, "upper case"),
        ({"method": "GET / HTTP/1.1\r\n"}, "upper case"),
        ({"headers": {"Authorization": "x"}}, "Authorization"),
    ],
)
def test_requests_that_cannot_be_sent(facts: Mapping[str, Any], problem: str) -> None:
    """What contradicts itself, or does more than a request may, is refused."""
    with pytest.raises(ValueError, match=problem):
        _prepared(**facts)


def test_what_goes_out_does_not_show() -> None:
    """The repr holds neither the credential nor the query nor the body."""
    shown = repr(_prepared(method="POST", query={"canary": "1"}, json="canary", headers={"X-A": "canary"}))
    assert "canary" not in shown
