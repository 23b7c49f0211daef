"""Clients for the command line: a run opens one for each account when its first job comes.

All jobs of a client share one transport, which can be drained: requests under way end, and no further ones are sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from attrs import evolve

from asyncpoll._endpoint import Job
from asyncpoll.cli._access import Access
from asyncpoll.cli._targets import ClientSource, Target, Targets
from asyncpoll.http import Reply, Request, Transport
from asyncpoll.providers._client import CLIENT, check_name


class DrainableTransport:
    """A transport that can be drained: requests under way end, and no further ones are sent.

    Args:
        inner: The transport that sends.
    """

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self._under_way = 0
        self._is_drained = False
        self._empty = asyncio.Event()

    @property
    def requests(self) -> int:
        """How many requests the inner transport has sent; 0 when it does not count them."""
        return getattr(self.inner, "requests", 0)

    async def send(self, request: Request, /) -> Reply:
        """Exchange *request* for a reply; after `drain` wait for ever."""
        if self._is_drained:
            await asyncio.Event().wait()
        self._under_way += 1
        try:
            return await self.inner.send(request)
        finally:
            self._under_way -= 1
            if self._is_drained and not self._under_way:
                self._empty.set()

    async def drain(self) -> None:
        """Let no further request through, and return when none is under way."""
        self._is_drained = True
        if self._under_way:
            await self._empty.wait()


class Clients:
    """An async context manager that opens a client for each account when it is first needed, and closes them all.

    Args:
        access: How the APIs are reached.
        targets: Finds the endpoints.
    """

    def __init__(self, access: Access, targets: Targets | None = None) -> None:
        self.targets = Targets() if targets is None else targets
        self._exits = AsyncExitStack()
        self._access = access
        self._open: dict[tuple[ClientSource, str | None], tuple[Any, DrainableTransport]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def open(self, target: Target, name: str | None = None) -> None:
        """Open the client of an endpoint with this name, unless it is open.

        Raises:
            ValueError: There is no key for it, or the key or the address is unusable, or is meant for another account.
            OSError: The key file cannot be read.
        """
        self._opened(target.source, name)

    def job(self, target: Target, ref: Any) -> Job[Any]:
        """Return the job that *ref* names, as JSON data; it can be polled until the clients are drained.

        Raises:
            ValueError: The reference does not fit the endpoint, or as `open`.
            OSError: As `open`.
        """
        fields = target.fields_of(ref) or {}
        client, transport = self._opened(target.source, check_name(fields.get(CLIENT)))
        target.check(fields)
        ref = {name: value for name, value in fields.items() if name != CLIENT}
        try:
            return evolve(target.jobs(client).job(**ref), transport=transport)
        except TypeError as problem:
            raise ValueError(f"{target.name}: {problem}") from problem

    def starter(self, target: Target, name: str | None) -> Callable[..., Awaitable[Job[Any]]] | None:
        """Return the function that starts a job, or None if jobs of this endpoint are not started on their own.

        Raises:
            ValueError, OSError: As `open`.
        """
        start: Callable[..., Awaitable[Job[Any]]] | None
        start = getattr(target.jobs(self._opened(target.source, name)[0]), "start", None)
        return start

    async def drain(self) -> None:
        """Have no further request sent for any job, and return when none is under way."""
        for _, transport in self._open.values():
            await transport.drain()

    def _opened(self, source: ClientSource, name: str | None) -> tuple[Any, DrainableTransport]:
        if (source, name) not in self._open:
            self._check_account(source, name)
            client = source.open(self._access, name)
            self._exits.push_async_callback(client.aclose)
            self._open[source, name] = client, DrainableTransport(client.transport)
        return self._open[source, name]

    def _check_account(self, source: ClientSource, name: str | None) -> None:
        """Raise ValueError if a key would go to an account, or a request to an API, that it is not meant for."""
        for other, other_name in self._open:
            if self._access.base_url is not None and other != source:
                variables = _both(other.variables(None)[1], source.variables(None)[1])
                raise ValueError(f"--base-url is the address of one provider, and the jobs need two; {variables}")
            if self._access.key_option is not None and (other, other_name) != (source, name):
                variables = _both(other.variables(other_name)[0], source.variables(name)[0])
                raise ValueError(f"{self._access.key_option} holds one key, and the jobs need two; {variables}")


def _both(one: str, other: str) -> str:
    return f"set {one} and {other}" if one and other else "wait for them in two runs"
