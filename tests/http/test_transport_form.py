"""Multipart forms."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from asyncpoll.http._message import Upload
from asyncpoll.http.transport._encode import Part, opened


def test_texts_and_bytes() -> None:
    """Text stays text, and bytes become a file with its name and type."""
    with opened({"kind": "解", "file": Upload("a.txt", b"abc", "text/plain")}) as parts:
        assert parts == [Part("kind", "解"), Part("file", b"abc", "a.txt", "text/plain")]
        assert [part.size for part in parts] == [0, 3]


def test_a_file_is_open_as_long_as_it_is_needed(tmp_path: Path) -> None:
    """A path is opened to be read while it is sent, and closed in the end."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")
    with opened({"file": Upload("a.bin", path)}) as (part,):
        file = part.content
        assert isinstance(file, io.BufferedReader)
        assert part.size == 5
        assert file.read() == b"12345"
    assert file.closed


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
    with opened({"a": "x\r\ny"}) as (part,):
        assert part.content == "x\r\ny"
