"""Describe responses and routes as values, and write a response to the wire when it is not sent in one piece.

An odd delivery is a tuple of steps: bytes to send, seconds to pause, or an `End`. So every fault is a pure function
from a response to a response, and only `SteppedResponse` touches a socket.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Literal

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
Delivery = Callable[["Response"], tuple[Step, ...]]


@frozen
class Response:
    """An HTTP response that has not been sent.

    Attributes:
        status: The HTTP status.
        body: The bytes of the body, encoded as the headers say.
        headers: The headers besides those that frame the message.
        delay: Seconds to wait before the first byte.
        delivery: The steps that send it, if it is not sent in one piece over a connection that stays open.
        route: The name to count the request under, where that is not the name of its route.
        job: The id of the job that it is about, with slashes between its parts, where the path does not have it.
    """

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = HTML_HEADERS
    delay: float = 0.0
    delivery: Delivery | None = None
    route: str | None = None
    job: str | None = None

    @property
    def payload(self) -> Any:
        """The body as JSON, or None where it is not JSON."""
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

    def for_aiohttp(self) -> web.StreamResponse:
        """Return the response that aiohttp's server sends."""
        if self.delivery is not None:
            return SteppedResponse(self.delivery(self))
        return web.Response(status=self.status, body=self.body, headers=self.headers)


def json_response(payload: Any, status: int = 200, *, job: str | None = None) -> Response:
    """Return *payload* as a response in UTF-8, as all three APIs send it."""
    return Response(status, json.dumps(payload, ensure_ascii=False).encode(errors="replace"), JSON_HEADERS, job=job)


def html_response(title: str, status: int) -> Response:
    """Return a page such as a gateway sends in place of an API's response."""
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Response(status, page.encode(), HTML_HEADERS)


class SteppedResponse(web.StreamResponse):
    """A response that writes its own steps to the connection."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        super().__init__()
        self._steps = steps

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open after the steps."""
        return not isinstance(self._steps[-1], End)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Take every step."""
        for step in self._steps:
            match step:
                case bytes():
                    await request.writer.write(step)
                case End():
                    end_connection(request.transport, step)
                case _:
                    await asyncio.sleep(step)

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing, because the steps have written everything."""


def end_connection(transport: asyncio.Transport | None, how: End) -> None:
    """Close the connection, or break it so that the peer sees a reset; do nothing if it is gone."""
    if transport is None:
        return
    if how is End.RESET:
        # A close that lingers for 0 s sends RST.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    else:
        transport.close()


Shapes = Literal["documented", "observed"]
Guard = Callable[[web.Request], Response | None]
Handler = Callable[[web.Request], Awaitable[Response]]


@frozen
class Route:
    """An entry of a vendor's API.

    Attributes:
        name: The endpoint's name for the polls; other calls append a verb, such as "bigmodel.agents.start".
        method: The HTTP method.
        path: The path pattern, in aiohttp's syntax.
        guard: Returns the refusal of a caller without the right credential, or None for one that has it.
        handler: Returns the response.
    """

    name: str
    method: str
    path: str
    guard: Guard
    handler: Handler


@frozen
class Call:
    """A request that was received, read to its end.

    Attributes:
        method: The HTTP method.
        path: The path as it was sent, percent-encoded.
        query: The query parameters, decoded.
        headers: The headers; look them up by their lower-case names.
        json: The JSON body, or None where the body is not JSON.
    """

    method: str
    path: str
    query: Mapping[str, str] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})
    json: Any = None


def read_whole(answer: Callable[[Call], Response]) -> Handler:
    """Return the handler that reads a request to its end, and answers with a function of it."""

    async def handle(request: web.Request) -> Response:
        try:
            body = await request.json()
        except ValueError:
            body = None
        return answer(Call(request.method, request.rel_url.raw_path, dict(request.query), request.headers, body))

    return handle


class Clock:
    """The event loop's clock, and the calendar time at each of its times."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoch = datetime.now(UTC).timestamp() - self._loop.time()

    def now(self) -> float:
        """Return the time in seconds of the event loop's clock."""
        return self._loop.time()

    def unix_ms(self, at: float) -> int:
        """Return the Unix time in milliseconds at the time *at* of the event loop's clock."""
        return round((self._epoch + at) * 1000)


def bearer(request: web.Request) -> str:
    """Return the bearer token of the request, empty where there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def accepts(token: str, key: str | None) -> bool:
    """Return whether the token is the key; without a key any token is accepted, but there must be one."""
    return bool(token) and (key is None or hmac.compare_digest(token.encode(errors="replace"), key.encode()))


async def json_object(request: web.Request) -> dict[str, Any] | None:
    """Return the JSON object in the body of the request, or None where the body is anything else."""
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
