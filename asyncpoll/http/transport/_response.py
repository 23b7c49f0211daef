"""From the head of a response to a `Reply`, without trusting its size.

Compressed, one megabyte can stand for a gigabyte. So a body is read piece by piece, decompressed in small steps, and
counted: however well it is compressed, it takes no more than `max_body`.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from attrs import define, field
from multidict import CIMultiDict, MultiMapping

from asyncpoll._errors import BadReply, TransportError
from asyncpoll._json import decode
from asyncpoll.http._message import Reply
from asyncpoll.http._secrets import Mask

STEP = 256 << 10
"""The most bytes that are decompressed in one go, so that the event loop is not kept waiting."""
ERROR_BODY = 64 << 10
"""The most bytes that are read to learn why a request failed."""
MEMORY_PER_BYTE = 16
LEAST_MEMORY = 64 << 20
"""The memory that a decoded body may need: so many times `max_body`, and at least so many bytes."""
IN_THREAD = 256 << 10
"""Bodies of more bytes are decoded in a thread, for the same reason."""

_PLAIN = frozenset({(), ("",), ("identity",)})
_GZIP = frozenset({("gzip",), ("x-gzip",)})


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
    headers: MultiMapping[str] = field(repr=False)
    content: aiohttp.StreamReader = field(repr=False)
    close: Callable[[], None] = field(repr=False)


async def read_reply(
    answer: Answer, *, origin: str, most: int, mask: Mask, on_wait: Callable[[], None], as_json: bool = True
) -> Reply:
    """Read *answer*, from *origin*, to its end. The body of an error is left out if it cannot be used.

    Args:
        answer: The response.
        origin: Scheme, host and port of the server.
        most: The most bytes of a body, decompressed.
        mask: Applied to headers and body.
        on_wait: Called each time before a wait for more of the body.
        as_json: Whether the body of a success is decoded; that of an error always is.

    Raises:
        BadReply: The status is not a final one ("protocol"), or the body is too large ("limit") or encoded in a way
            that was not offered ("encoding").
        TransportError: The compressed body is damaged ("payload").
    """
    status, headers = answer.status, answer.headers
    if not 200 <= status < 600:  # noqa: PLR2004  the final statuses of HTTP
        raise BadReply(f"{origin}: {status} is not a final HTTP status", kind="protocol")
    successful = status < 300  # noqa: PLR2004  the range of success
    shown = _masked(headers, mask)
    try:
        limit = most if successful else min(most, ERROR_BODY)
        body = _whole(answer, limit)
        body = mask.apply(await _read(answer, limit, on_wait) if body is None else body)
    except TransportError as refusal:
        if successful:
            refusal.status = status
            raise
        too_large = refusal.kind == "limit"  # the message would name a setting that does not limit an error
        shown_problem = f"the body is larger than {min(most, ERROR_BODY)} bytes" if too_large else str(refusal)
        return Reply(status, headers=shown, problem=shown_problem, origin=origin)
    if successful and not as_json:
        return Reply(status, None, shown, body, "the request has decode=False, so the body was not decoded", origin)
    memory = max(LEAST_MEMORY, most * MEMORY_PER_BYTE)
    if len(body) <= IN_THREAD:
        value, problem = decode(body, memory)
    else:
        value, problem = await asyncio.to_thread(decode, body, memory)
    return Reply(status, value, shown, body, problem, origin)


def _whole(answer: Answer, most: int) -> bytes | None:
    """Return the body if it is plain and has come as a whole, as most answers to polls have; else None."""
    length = _length(answer.headers)
    if length is not None and length > most:
        raise _too_large(most)
    if not answer.content.is_eof() or "Content-Encoding" in answer.headers:
        return None
    body = answer.content.read_nowait()
    if len(body) > most:
        raise _too_large(most)
    return body


async def _read(answer: Answer, most: int, on_wait: Callable[[], None]) -> bytes:
    content = answer.content
    inflate: Any = zlib.decompressobj(zlib.MAX_WBITS + 16) if _is_compressed(answer.headers) else None
    body: list[bytes] = []
    received = size = 0
    while not content.at_eof():
        if not content.is_eof():
            on_wait()
        piece = await content.readany()
        received += len(piece)
        while piece:
            step = piece if inflate is None else _inflated(inflate, piece)
            size += len(step)
            if size > most:
                raise _too_large(most)
            body.append(step)
            piece = b"" if inflate is None else inflate.unconsumed_tail
            if inflate is not None:
                await asyncio.sleep(0)
    if inflate is not None and received and not inflate.eof:
        raise _damaged()
    return body[0] if len(body) == 1 else b"".join(body)


def _inflated(inflate: Any, piece: bytes) -> bytes:
    """Return the beginning of *piece* decompressed; the rest of it is `inflate.unconsumed_tail`."""
    try:
        step: bytes = inflate.decompress(piece, STEP)
    except zlib.error:
        raise _damaged() from None
    if inflate.unused_data:
        raise _damaged()
    return step


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


def _damaged() -> TransportError:
    return TransportError("the body was cut short or is damaged", kind="payload")


def _too_large(most: int) -> BadReply:
    cure = 'raise max_body, or ask for a link to the result, as format="download_link" does'
    return BadReply(f"the body is larger than max_body={most} bytes; {cure}", kind="limit")


def _masked(headers: MultiMapping[str], mask: Mask) -> Mapping[str, str]:
    values = "\n".join(headers.values()).encode(errors="surrogateescape")
    if mask.apply(values) == values:
        return headers
    return CIMultiDict((name, _mask_value(value, mask)) for name, value in headers.items())


def _mask_value(value: str, mask: Mask) -> str:
    return mask.apply(value.encode(errors="surrogateescape")).decode(errors="surrogateescape")
