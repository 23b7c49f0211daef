"""A forward proxy for tests: CONNECT tunnels and absolute-form requests, with a password or without."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext
from types import MappingProxyType

from attrs import define, field
from raw_server import read_request
from server_kit import listening

REFUSAL = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"


@define(eq=False)
class ForwardProxy:
    """A running proxy, with the requests that it received.

    Attributes:
        credential: The user and password that it wants, as `user:password`, or None.
        answer: What it says to every request it admits, in place of passing it on; nothing at all if it is empty.
        hosts: Further names that it knows: the host and the port that each of them leads to.
        url: Its address, without the credential.
        asked: The first line of every request, in order.
        heads: Every request with its headers.
        serving: The tasks that serve a connection.
    """

    credential: str | None = None
    answer: bytes | None = None
    hosts: Mapping[str, str] = field(factory=dict)
    url: str = ""
    asked: list[str] = field(factory=list)
    heads: list[bytes] = field(factory=list)
    serving: set[asyncio.Task[None]] = field(factory=set)

    @property
    def url_with_credential(self) -> str:
        """Its address with the user and the password."""
        return self.url.replace("://", f"://{self.credential}@")

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await read_request(reader)
        head = request[: request.index(b"\r\n\r\n") + 4]
        line = head.partition(b"\r\n")[0].decode()
        self.asked.append(line)
        self.heads.append(head)
        if not self._admits(head):
            writer.write(REFUSAL)
            return True
        if self.answer is not None:
            writer.write(self.answer)
            if not self.answer:
                await reader.read()  # until the client goes away
            return False
        method, target, _ = line.split()
        if method == "CONNECT":
            await self._tunnel(target, reader, writer)
            return False
        authority, _, path = target.partition("://")[2].partition("/")
        await self._forward(authority, request.replace(target.encode(), f"/{path}".encode(), 1), writer)
        return True

    def _admits(self, head: bytes) -> bool:
        if self.credential is None:
            return True
        return b"Proxy-Authorization: Basic " + b64encode(self.credential.encode()) + b"\r\n" in head

    async def _connect(self, authority: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.hosts.get(authority.rpartition(":")[0], authority).rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _tunnel(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._connect(target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.close()

    async def _forward(self, authority: str, request: bytes, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._connect(authority)
        try:
            far_writer.write(request)
            writer.write(await read_request(far_reader))  # an answer has the same form
        finally:
            far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def forward_proxy(
    credential: str | None = None,
    answer: bytes | None = None,
    *,
    hosts: Mapping[str, str] = MappingProxyType({}),
    ssl: SSLContext | None = None,
) -> AsyncGenerator[ForwardProxy]:
    """Run a proxy on a free port of 127.0.0.1, which speaks TLS if there is a context for it."""
    running = ForwardProxy(credential, answer, hosts)
    async with listening(running.accept, running.serving, ssl) as running.url:
        yield running
