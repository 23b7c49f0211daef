"""From the head of a response to a `Reply`, without trusting its size.

Compressed, a few hundred bytes can stand for a gigabyte, and reading them in one go stops the event loop for seconds.
So a body is read piece by piece, decompressed, and counted.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import define, field
from multidict import CIMultiDict, MultiMapping

from asyncpoll._errors import BadReply, TransportError
from asyncpoll.http.decode import decode
from asyncpoll.http.message import Reply
from asyncpoll.http.redact import Mask

EXPANSION = 200
"""The most bytes that one byte on the wire may stand for, once more than `UNSUSPECTED` bytes came out."""
UNSUSPECTED = 64 << 10
ERROR_BODY = 64 << 10
"""The most bytes that are read to learn why a request failed."""
IN_THREAD = 256 << 10
"""Bodies of more bytes are decoded in a thread, so that the event loop is not kept waiting."""

_PLAIN = frozenset({(), ("",), ("identity",)})
_GZIP = frozenset({("gzip",), ("x-gzip",)})


class Content(Protocol):
    """What is needed of aiohttp's stream of a body."""

    def is_eof(self) -> bool:
        """Return whether everything was received."""
        ...

    def at_eof(self) -> bool:
        """Return whether everything was received and read."""
        ...

    async def readany(self) -> bytes:
        """Return what was received; wait only if that is nothing."""
        ...


@define
class Answer:
    """A response whose body is still coming in.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        content: The body.
        close: Closes the connection if the body was not read to its end.
    """

    status: int
    headers: MultiMapping[str]
    content: Content
    close: Callable[[], None]


async def read_reply(answer: Answer, *, origin: str, most: int, mask: Mask, on_wait: Callable[[], None]) -> Reply:
    """Read *answer* to its end. The body of an error is left out when it is no good; the status says more.

    Args:
        answer: The response.
        origin: Scheme, host and port of the server.
        most: The most bytes of a body, decompressed.
        mask: Applied to headers and body, before anybody sees them.
        on_wait: Called each time before more has to be waited for.

    Raises:
        BadReply: The status is none ("protocol"), or the body too large ("limit") or encoded in a way that was not
            offered ("encoding").
        TransportError: The compressed body is damaged ("payload").
    """
    status, headers = answer.status, answer.headers
    if not 200 <= status < 600:  # noqa: PLR2004  the final statuses of HTTP
        raise BadReply(f"{origin}: {status} is no status to end an exchange with", kind="protocol")
    successful = status < 300  # noqa: PLR2004  the range of success
    shown = _masked(headers, mask)
    try:
        body = mask.apply(await _read(answer, most if successful else min(most, ERROR_BODY), on_wait))
    except TransportError as refusal:
        if successful:
            refusal.status = status
            raise
        return Reply(status, headers=shown, problem=str(refusal), origin=origin)
    value, problem = decode(body) if len(body) <= IN_THREAD else await asyncio.to_thread(decode, body)
    return Reply(status, value, shown, body, problem, origin)


async def _read(answer: Answer, most: int, on_wait: Callable[[], None]) -> bytes:
    length = _length(answer.headers)
    if length is not None and length > most:
        raise _too_large(most)
    collected = Gunzip(most) if _is_compressed(answer.headers) else Plain(most)
    content = answer.content
    while not content.at_eof():
        if not content.is_eof():
            on_wait()
        collected.add(await content.readany())
    return collected.end()


def _length(headers: MultiMapping[str]) -> int | None:
    values = headers.getall("Content-Length", ())
    if len(values) > 1 and len(set(values)) > 1:
        raise BadReply("the length of the body is given in two ways", kind="protocol")
    return int(values[0]) if values and values[0].isdecimal() else None


def _is_compressed(headers: MultiMapping[str]) -> bool:
    if "Content-Encoding" not in headers:
        return False
    codings = tuple(coding.strip().lower() for coding in headers.getall("Content-Encoding"))
    if codings not in _PLAIN | _GZIP:
        raise BadReply("the body is encoded in a way that was not offered", kind="encoding")
    return codings in _GZIP


@define
class Plain:
    """Collects a body as it comes.

    Attributes:
        most: The most bytes to accept.
    """

    most: int
    _pieces: list[bytes] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)

    def add(self, piece: bytes) -> None:
        """Take in the next piece."""
        self._size += len(piece)
        if self._size > self.most:
            raise _too_large(self.most)
        self._pieces.append(piece)

    def end(self) -> bytes:
        """Return the body."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


@define
class Gunzip:
    """Collects a body that is compressed with gzip, and never decompresses more of it than is acceptable.

    Attributes:
        most: The most bytes to accept, decompressed.
    """

    most: int
    _plain: bytearray = field(factory=bytearray, init=False)
    _received: int = field(default=0, init=False)
    _inflate: Any = field(factory=lambda: zlib.decompressobj(zlib.MAX_WBITS + 16), init=False)

    def add(self, piece: bytes) -> None:
        """Take in the next piece."""
        self._received += len(piece)
        plausible = max(UNSUSPECTED, EXPANSION * self._received)
        acceptable = min(self.most, plausible)
        try:
            self._plain += self._inflate.decompress(piece, acceptable + 1 - len(self._plain))
        except zlib.error:
            raise _damaged() from None
        if len(self._plain) > self.most:
            raise _too_large(self.most)
        if len(self._plain) > plausible:
            raise BadReply(f"the body is compressed by more than {EXPANSION}:1", kind="limit")
        if self._inflate.unused_data:
            raise _damaged()

    def end(self) -> bytes:
        """Return the body."""
        if self._received and not self._inflate.eof:
            raise _damaged()
        return bytes(self._plain)


def _damaged() -> TransportError:
    return TransportError("the body was cut short or is damaged", kind="payload")


def _too_large(most: int) -> BadReply:
    return BadReply(f"the body is larger than {most} bytes", kind="limit")


def _masked(headers: MultiMapping[str], mask: Mask) -> Mapping[str, str]:
    values = "\n".join(headers.values()).encode(errors="surrogateescape")
    if mask.apply(values) == values:
        return headers
    return CIMultiDict((name, _mask_value(value, mask)) for name, value in headers.items())


def _mask_value(value: str, mask: Mask) -> str:
    return mask.apply(value.encode(errors="surrogateescape")).decode(errors="surrogateescape")
