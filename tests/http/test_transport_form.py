"""Multipart forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from raw_server import json_reply, polls, raw_server

from asyncpoll.http import AiohttpTransport, Request, Upload
from asyncpoll.http.transport._encode import opened


async def test_texts_bytes_and_files(tmp_path: Path) -> None:
    """Text stays text; bytes and the content of a path become files, each with its name and type."""
    path = tmp_path / "any"
    path.write_bytes(b"12345")
    form: dict[str, str | Upload] = {
        "kind": "解",
        "bytes": Upload("a.txt", b"abc", "text/plain"),
        "path": Upload("b.bin", path),
    }
    async with raw_server(polls(json_reply(1))) as server, AiohttpTransport(server.url) as transport:
        await transport.send(Request("POST", "/", form=form))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    boundary = head.partition(b"boundary=")[2].partition(b"\r\n")[0]
    parts = [part.strip(b"\r\n").split(b"\r\n\r\n", 1) for part in body.split(b"--" + boundary)[1:-1]]
    assert [content for _, content in parts] == ["解".encode(), b"abc", b"12345"]
    assert b'name="bytes"; filename="a.txt"' in parts[1][0]
    assert b"Content-Type: text/plain" in parts[1][0]
    assert b"Content-Type: application/octet-stream" in parts[2][0]


def test_the_size_of_the_files(tmp_path: Path) -> None:
    """The bytes of the files are counted, which decide on the time that the form has; texts are not."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")
    with opened({"text": "x", "a": Upload("a", path), "b": Upload("b", b"abc")}) as (_, size):
        assert size == 8


@pytest.mark.parametrize("path", ["missing", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, path: str) -> None:
    """What cannot be opened is a bad argument; the message has its name and the reason, not the whole path."""
    with pytest.raises(ValueError, match="cannot be read") as caught, opened({"a": Upload("a", tmp_path / path)}):
        pass
    assert str(tmp_path.parent) not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a\n", "x"),
        ("a", "\ud800"),
        ("\ud800", "x"),
        ("a", Upload("a\r\nb", b"")),
        ("a", Upload("\ud800", b"")),
        ("a\x00", Upload("a", b"")),
        ("a", Upload("a", b"", "text/plain\r\nX: y")),
    ],
)
def test_what_cannot_be_sent(name: str, content: str | Upload) -> None:
    """Names that would break a header, and text that has no encoding, are refused."""
    with pytest.raises(ValueError, match="lone surrogates"), opened({name: content}):
        pass


def test_text_may_have_lines() -> None:
    """A line break within the text of a field is fine."""
    with opened({"a": "x\r\ny"}) as (_, size):
        assert size == 0


@pytest.mark.parametrize(
    ("content", "cure"),
    [(Upload("a", cast("Any", "a.txt")), "must be bytes or a Path, not str"), (5, "must be text or Upload")],
)
def test_fields_of_a_wrong_type(content: Any, cure: str) -> None:
    """Text in place of a file may be meant as a path or as the content, so it is refused."""
    with pytest.raises(ValueError, match=cure), opened({"a": content}):
        pass
