"""What the server says, as a value: `Answer`; and how it is put on the wire when not said in one piece.

An odd delivery is a tuple of steps: bytes to send, seconds to pause, or an `End`. So every fault is a pure function
from an answer to an answer, and only `Delivery` touches a socket.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping
from enum import Enum
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from aiohttp import web
from attrs import field, frozen

JSON_HEADERS: Mapping[str, str] = MappingProxyType({"Content-Type": "application/json; charset=utf-8"})
HTML_HEADERS: Mapping[str, str] = MappingProxyType({"Content-Type": "text/html; charset=utf-8"})
_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class End(Enum):
    """How a connection ends early."""

    CLOSE = "close"
    RESET = "reset"


Step = bytes | float | End
Manner = Callable[["Answer"], tuple[Step, ...]]


@frozen
class Answer:
    """One HTTP response, not yet sent.

    Attributes:
        status: The HTTP status.
        body: The bytes of the body, encoded as the headers say.
        headers: The headers besides those that frame the message.
        delay: Seconds to wait before the first byte.
        manner: How to send it, if not in one piece over a connection that stays open.
    """

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = HTML_HEADERS
    delay: float = 0.0
    manner: Manner | None = None

    @property
    def payload(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def head(self, length: int | None = None) -> bytes:
        """Return the status line and the headers, which announce *length* bytes of body (its own by default)."""
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Unassigned"
        framing = {"Content-Length": str(len(self.body) if length is None else length)}
        lines = (f"{name}: {value}" for name, value in {**self.headers, **framing}.items())
        return "\r\n".join((f"HTTP/1.1 {self.status} {phrase}", *lines, "", "")).encode("latin-1", "replace")

    def response(self) -> web.StreamResponse:
        """Return what aiohttp's server sends."""
        if self.manner is not None:
            return Delivery(self.manner(self))
        return web.Response(status=self.status, body=self.body, headers=self.headers)


def json_answer(payload: Any, status: int = 200) -> Answer:
    """Return *payload* as an answer in UTF-8, as all three APIs send it."""
    return Answer(status, json.dumps(payload, ensure_ascii=False).encode(errors="replace"), JSON_HEADERS)


def html_answer(title: str, status: int) -> Answer:
    """Return the kind of page that a gateway sends in place of an API's answer."""
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Answer(status, page.encode(), HTML_HEADERS)


class Delivery(web.StreamResponse):
    """A response that takes its own steps on the wire."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        super().__init__()
        self._steps = steps

    @property
    def keep_alive(self) -> bool:
        """Whether the connection outlives the steps."""
        return not isinstance(self._steps[-1], End)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Take every step."""
        for step in self._steps:
            match step:
                case bytes():
                    await request.writer.write(step)
                case End():
                    end(request.transport, step)
                case _:
                    await asyncio.sleep(step)

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the steps have said everything."""


def end(transport: asyncio.Transport | None, how: End) -> None:
    """Close the connection, or break it so that the peer sees a reset."""
    if transport is None:
        return
    if how is End.RESET:
        # To linger for no time at all is what makes a close send RST.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    else:
        transport.close()
