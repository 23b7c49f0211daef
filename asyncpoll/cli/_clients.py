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
from asyncpoll.cli._access import Access, Target, Vendor
from asyncpoll.cli._targets import Targets
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
        self._open: dict[tuple[Vendor, str | None], tuple[Any, DrainableTransport]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def open(self, target: Target, name: str | None = None) -> Any:
        """Return the client of an endpoint for the account with this name.

        Raises:
            ValueError: There is no key for it, or the key or the address is unusable, or is meant for another account.
            OSError: The key file cannot be read.
        """
        vendor = target.vendor
        if (vendor, name) not in self._open:
            self._check_account(vendor, name)
            client = vendor.open(self._access, name)
            self._exits.push_async_callback(client.aclose)
            self._open[vendor, name] = client, DrainableTransport(client.transport)
        return self._open[vendor, name][0]

    def job(self, target: Target, ref: Any) -> Job[Any]:
        """Return the job that *ref* names, as JSON data; it can be polled until the clients are drained.

        Raises:
            ValueError: The reference does not fit the endpoint, or as `open`.
            OSError: As `open`.
        """
        fields = target.fields_of(ref) or {}
        name = check_name(fields.get(CLIENT))
        client = self.open(target, name)
        target.check(fields)
        try:
            job = target.jobs(client).job(**{key: fields[key] for key in fields if key != CLIENT})
        except (TypeError, LookupError, AttributeError) as problem:
            raise ValueError(f"{target.name}: {type(problem).__name__}: {problem}") from problem
        return evolve(job, transport=self._open[target.vendor, name][1])

    def starter(self, target: Target, name: str | None) -> Callable[..., Awaitable[Job[Any]]] | None:
        """Return the function that starts a job, or None if jobs of this endpoint are not started on their own.

        Raises:
            ValueError, OSError: As `open`.
        """
        jobs = target.jobs(self.open(target, name))
        return getattr(jobs, "start", None) if target.starts else None

    async def drain(self) -> None:
        """Have no further request sent for any job, and return when none is under way."""
        for _, transport in self._open.values():
            await transport.drain()

    def _check_account(self, vendor: Vendor, name: str | None) -> None:
        """Raise ValueError if a key would go to an account, or a request to an API, that it is not meant for."""
        option = self._access.key_option
        for other, other_name in self._open:
            if self._access.base_url is not None and other is not vendor:
                cure = _both(other.variables(None)[1], vendor.variables(None)[1])
                raise ValueError(f"--base-url is the address of one provider, and the jobs need two; {cure}")
            if option is not None and (other, other_name) != (vendor, name):
                cure = _both(other.variables(other_name)[0], vendor.variables(name)[0])
                raise ValueError(f"{option} holds one key, and the jobs need two; {cure}")


def _both(one: str, other: str) -> str:
    return f"set {one} and {other}" if one and other else "wait for them in two runs"
