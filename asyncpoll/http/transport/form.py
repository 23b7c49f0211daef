"""Multipart forms: their parts, checked, with the files open."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from asyncpoll.http.message import Upload

_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNSENDABLE_IN_TEXT = re.compile(r"[\ud800-\udfff]")


@frozen
class Part:
    """One part of a form.

    Attributes:
        name: The name of the field.
        content: Text, or what the file holds, or the open file.
        filename: The name of the file, or None for text.
        content_type: The media type of the file, or None for text.
    """

    name: str
    content: str | bytes | BinaryIO
    filename: str | None = None
    content_type: str | None = None

    @property
    def size(self) -> int:
        """Bytes of a file, 0 for text."""
        match self.content:
            case str():
                return 0
            case bytes():
                return len(self.content)
            case file:
                return os.fstat(file.fileno()).st_size


@contextmanager
def opened(form: Mapping[str, str | Upload]) -> Generator[list[Part], None, None]:
    """Give the parts of *form*, whose files stay open inside.

    Raises:
        ValueError: A name or a text cannot be sent, or a file cannot be read.
    """
    with ExitStack() as files:
        yield [_part(name, content, files) for name, content in form.items()]


def _part(name: str, content: str | Upload, files: ExitStack) -> Part:
    if isinstance(content, str):
        if _UNSENDABLE.search(name) or _UNSENDABLE_IN_TEXT.search(content):
            raise ValueError("a field of the form holds control characters in its name, or lone surrogates")
        return Part(name, content)
    if _UNSENDABLE.search(name + content.name + content.content_type):
        raise ValueError("a file of the form holds control characters or lone surrogates in its names or type")
    data = content.content
    return Part(
        name, files.enter_context(_open(data)) if isinstance(data, Path) else data, content.name, content.content_type
    )


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ValueError(f"the file {path.name!r} cannot be read: {error.strerror}") from None
