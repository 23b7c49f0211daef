"""The clients that a run needs, each opened when the first of its jobs comes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from attrs import evolve

from asyncpoll._endpoint import Job
from asyncpoll.cli.access import client_of
from asyncpoll.http._message import Reply, Request, Transport
from asyncpoll.http._settings import TransportSettings
from asyncpoll.providers._client import CLIENT, Client, check_name


class Valve:
    """A transport that can be shut: what is under way ends as it does, nothing more gets through.

    Args:
        inner: The transport that really sends.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._under_way = 0
        self._shut = False
        self._empty = asyncio.Event()

    @property
    def requests(self) -> int:
        """How many requests the inner transport has sent; 0 when it does not count them."""
        return getattr(self._inner, "requests", 0)

    async def send(self, request: Request, /) -> Reply:
        """Exchange *request* for a reply; wait for ever when the valve is shut."""
        if self._shut:
            await asyncio.Event().wait()
        self._under_way += 1
        try:
            return await self._inner.send(request)
        finally:
            self._under_way -= 1
            if self._shut and not self._under_way:
                self._empty.set()

    async def shut(self) -> None:
        """Let nothing more through, and return when nothing is under way."""
        self._shut = True
        if self._under_way:
            await self._empty.wait()


class Clients:
    """An async context manager that opens a client for each provider when it is first needed, and closes them all.

    Keys and addresses come from the environment.

    Args:
        settings: How the APIs are reached.
    """

    def __init__(self, settings: TransportSettings) -> None:
        self._exits = AsyncExitStack()
        self._settings = settings
        self._open: dict[tuple[type[Client], str | None], tuple[Client, Valve]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def open(self, kind: type[Client], name: str | None = None) -> Client:
        """Return the client of this class with this name.

        Raises:
            ValueError: There is no key for it, or the key or the address is unusable.
        """
        return self._opened(kind, name)[0]

    def job(self, endpoint: str, ref: Mapping[str, Any]) -> Job[Any]:
        """Return the job that *ref* names, which can be asked about until the clients are shut.

        Raises:
            ValueError: There is no such endpoint, the reference does not fit it, or as `open`.
        """
        client, valve = self._opened(client_of(endpoint), check_name(ref.get(CLIENT)))
        return evolve(client.job(endpoint, **ref), transport=valve)

    async def shut(self) -> None:
        """Have no further request sent for any job, and return when none is under way."""
        for _, valve in self._open.values():
            await valve.shut()

    def _opened(self, kind: type[Client], name: str | None) -> tuple[Client, Valve]:
        if (kind, name) not in self._open:
            client = kind.from_env(name=name, **self._settings)
            self._exits.push_async_exit(client)
            self._open[kind, name] = client, Valve(client.transport)
        return self._open[kind, name]
