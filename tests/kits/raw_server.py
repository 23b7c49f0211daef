"""A server that speaks bytes: what it does with each connection is written down step by step."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from ssl import SSLContext
from typing import Any

from attrs import define, field
from server_kit import listening

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Act(Enum):
    """What a script may say besides bytes to send, seconds to sleep and events to wait for."""

    READ = auto()  # one whole request
    CLOSE = auto()
    RESET = auto()
    HANG = auto()  # until the client goes away


Step = bytes | float | asyncio.Event | Act
Script = Sequence[Step]


def reply(body: bytes = b"", *headers: str, status: int = 200) -> bytes:
    """Return a reply as it goes over the wire; it says its length."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def json_reply(value: Any, *headers: str, status: int = 200) -> bytes:
    """Return a reply whose body is *value* as JSON."""
    return reply(json.dumps(value).encode(), "Content-Type: application/json", *headers, status=status)


def gzip_reply(body: bytes) -> bytes:
    """Return a reply with *body* compressed."""
    return reply(gzip.compress(body, mtime=0), "Content-Encoding: gzip")


def polls(*replies: bytes) -> Script:
    """Return the script of a connection on which each request in turn gets the next of *replies*."""
    return [step for answer in replies for step in (Act.READ, answer)]


@define(eq=False)
class RawServer:
    """What a running server was asked.

    Attributes:
        scripts: One for each connection in turn; the last one serves all further connections.
        url: Its address.
        requests: Every request that a script read, head and body, in order.
        connections: How many connections were accepted.
        serving: The tasks that play their scripts.
        quiet: Set whenever a script has ended and no other is being played.
    """

    scripts: Sequence[Script]
    url: str = ""
    requests: list[bytes] = field(factory=list)
    connections: int = 0
    serving: set[asyncio.Task[None]] = field(factory=set)
    quiet: asyncio.Event = field(factory=asyncio.Event)
    _news: asyncio.Event = field(factory=asyncio.Event)

    async def received(self, count: int) -> None:
        """Wait until *count* requests have come."""
        while len(self.requests) < count:
            self._news.clear()
            await self._news.wait()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play the next script on a new connection."""
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        self.quiet.clear()
        task = asyncio.create_task(self.serve(script, reader, writer))
        self.serving.add(task)
        task.add_done_callback(self.done)

    def done(self, task: asyncio.Task[None]) -> None:
        """Note that a script has ended."""
        self.serving.remove(task)
        if not self.serving:
            self.quiet.set()

    async def serve(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play *script*, then close."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                for step in script:
                    await self.play(step, reader, writer)
        finally:
            writer.close()

    async def play(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry out one step."""
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case float() | int():
                await asyncio.sleep(step)
            case asyncio.Event():
                await step.wait()
            case Act.READ:
                self.requests.append(await read_request(reader))
                self._news.set()
            case Act.HANG:
                await reader.read()
            case Act.CLOSE:
                raise ConnectionAbortedError
            case Act.RESET:
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                raise ConnectionAbortedError


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Return the next request, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
    if fields.get(b"transfer-encoding") == b"chunked":
        return head + await reader.readuntil(b"0\r\n\r\n")
    return head + await reader.readexactly(int(fields.get(b"content-length", b"0")))


@asynccontextmanager
async def raw_server(*scripts: Script, ssl: SSLContext | None = None) -> AsyncGenerator[RawServer]:
    """Run a server on a free port of 127.0.0.1; in the end its scripts are broken off."""
    running = RawServer(scripts)
    async with listening(running.accept, running.serving, ssl) as running.url:
        yield running
