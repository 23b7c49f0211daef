"""Requests of every shape, as they arrive at a server."""

from __future__ import annotations

from typing import Any

import pytest
from raw_server import json_reply, polls, raw_server

from asyncpoll.http import AiohttpTransport, Request, Upload

FORM = "application/x-www-form-urlencoded"


async def arrived(request: Request) -> tuple[str, bytes, bytes]:
    """Return the first line, the headers and the body of *request* as a server sees them."""
    async with raw_server(polls(json_reply(1))) as server, AiohttpTransport(server.url) as transport:
        assert (await transport.send(request)).json == 1
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    line, _, headers = head.partition(b"\r\n")
    return line.decode(), headers, body


def _has(headers: bytes, name: str, value: str) -> bool:
    return f"\r\n{name}: {value}\r\n".encode() in b"\r\n" + headers + b"\r\n"


async def test_a_form_without_files_is_url_encoded() -> None:
    """A token endpoint gets a form as RFC 6749 wants it."""
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "scope": "a b", "名": "ä&"}
    line, headers, body = await arrived(Request("POST", "/token", form=form))
    assert line == "POST /token HTTP/1.1"
    assert _has(headers, "Content-Type", FORM)
    assert _has(headers, "Content-Length", str(len(body)))
    assert body == (b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&scope=a+b&%E5%90%8D=%C3%A4%26")


async def test_a_form_with_a_file_is_multipart() -> None:
    """One file makes the whole form multipart."""
    _, headers, body = await arrived(Request("POST", "/", form={"a": "1", "b": Upload("b.txt", b"2")}))
    assert b"Content-Type: multipart/form-data; boundary=" in headers
    assert b'name="a"' in body


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ({"id": ["1", "2"], "q": "x y"}, "/?id=1&id=2&q=x%20y"),
        ([("id", "1"), ("q", ""), ("id", "2")], "/?id=1&q=&id=2"),
        ([], "/"),
    ],
)
async def test_keys_of_a_query_may_be_repeated(query: Any, target: str) -> None:
    """A key has several values in a list, or in pairs that keep their order."""
    line, _, _ = await arrived(Request("GET", "/", query=query))
    assert line == f"GET {target} HTTP/1.1"


@pytest.mark.parametrize("query", ["a=1", [("a",)], [1], 7])
async def test_what_is_not_a_query(query: Any) -> None:
    """What has no keys is refused, and nothing is sent."""
    async with AiohttpTransport("http://127.0.0.1:1") as transport:
        with pytest.raises(ValueError, match="the query must be a mapping"):
            await transport.send(Request("GET", "/", query=query))


async def test_bytes_as_a_body() -> None:
    """A body of bytes goes out as it is, with the type that the request names."""
    _, headers, body = await arrived(Request("POST", "/", body=b"<a/>", headers={"content-type": "text/xml"}))
    assert _has(headers, "content-type", "text/xml")
    assert headers.lower().count(b"content-type") == 1
    assert body == b"<a/>"
    _, headers, _ = await arrived(Request("PUT", "/", body=b""))
    assert _has(headers, "Content-Type", "application/octet-stream")


async def test_json_of_another_type() -> None:
    """JSON may be called by the name of a dialect."""
    patch = Request("PATCH", "/", json={"a": None}, headers={"Content-Type": "application/merge-patch+json"})
    _, headers, body = await arrived(patch)
    assert _has(headers, "Content-Type", "application/merge-patch+json")
    assert body == b'{"a":null}'


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"json": 1, "body": b"x"}, "not several"),
        ({"form": {}, "body": b"x"}, "not several"),
        ({"body": "text"}, "must be bytes, not str"),
        ({"form": {"a": 1}}, "must be text or Upload"),
        ({"form": {"a": "\ud800"}}, "lone surrogate"),
        ({"headers": {"Content-Type": "text/xml"}}, "without a body"),
        ({"form": {"a": Upload("a", b"")}, "headers": {"Content-Type": "multipart/form-data"}}, "with files"),
    ],
)
async def test_bodies_that_cannot_be_sent(facts: dict[str, Any], problem: str) -> None:
    """What contradicts itself or has no encoding is refused, and nothing is sent."""
    async with AiohttpTransport("http://127.0.0.1:1") as transport:
        with pytest.raises(ValueError, match=problem):
            await transport.send(Request("POST", "/", **facts))
        assert transport.requests == 0
