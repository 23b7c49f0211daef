"""Clients for the command line: the endpoint's name, the key, the address of the API, and the way there.

A run opens a client for each account when its first job comes. All jobs of a client share one transport, which can be
drained: requests under way end, and no further ones are sent.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import stat
from collections.abc import Mapping
from contextlib import AsyncExitStack
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import evolve, field, frozen

from asyncpoll import providers
from asyncpoll._endpoint import Job
from asyncpoll.cli._output import note, shown
from asyncpoll.http import Reply, Request, Transport, TransportSettings
from asyncpoll.providers import ENDPOINTS
from asyncpoll.providers._client import CLIENT, Client, check_name

_OTHERS = stat.S_IRGRP | stat.S_IROTH


def client_of(endpoint: str) -> type[Client]:
    """Return the client class that has this endpoint.

    Raises:
        ValueError: There is no such endpoint.
    """
    if endpoint not in ENDPOINTS:
        close = get_close_matches(endpoint, ENDPOINTS, 1, 0.75)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"no endpoint {shown(endpoint)}; choose one of {', '.join(ENDPOINTS)}{meant}")
    client: type[Client] = getattr(providers, ENDPOINTS[endpoint].client)
    return client


def check_fields(endpoint: str, ref: Mapping[str, Any]) -> None:
    """Check the names of the fields of a reference, and suggest the name that was meant.

    Raises:
        ValueError: A field is unknown or missing.
    """
    listing = ENDPOINTS[endpoint]
    if ref.keys() - {CLIENT} == set(listing.required):
        return
    missing = [name for name in listing.required if name not in ref]
    absent = [name for name in (*listing.required, *listing.optional) if name not in ref]
    stray = [name for name in ref if name not in {*listing.required, *listing.optional, CLIENT}]
    for name in stray:
        if meant := get_close_matches(name.lower().replace("-", "_"), absent, 1, 0.7 if missing else 0.85):
            raise ValueError(f"{endpoint} has no field {shown(name)}; did you mean {meant[0]}?")
    if missing:
        raise ValueError(f"a reference needs {', '.join(listing.required)}; it lacks {', '.join(missing)}")
    if stray and not listing.open:
        known = ", ".join((*listing.required, *listing.optional))
        raise ValueError(f"a reference has no {shown(stray[0])}; its fields are {known}")


@frozen
class Access:
    """How APIs are reached.

    Attributes:
        base_url: The address of the API, or None for that of the environment or the usual one.
        key_file: A file with nothing but the key, or None for the key of the environment.
        settings: The settings of the transports.
    """

    base_url: str | None = None
    key_file: Path | None = None
    settings: TransportSettings = field(factory=TransportSettings)

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """Return what the options of a verb say; proxies are also taken from the environment.

        Raises:
            ValueError: The file of `--ca-file` does not hold certificates.
            OSError: It cannot be read.
        """
        settings = TransportSettings(proxy=args.proxy, trust_env=True, insecure=args.insecure)
        if args.max_body is not None:
            settings["max_body"] = args.max_body
        if args.ca_file is not None:
            settings["ssl"] = _trusting(args.ca_file)
        return cls(args.base_url, args.key_file, settings)

    def open(self, kind: type[Client], name: str | None = None) -> Client:
        """Return a client of this class with this name; the environment says what the options do not.

        Raises:
            ValueError: There is no key, or the key or the address is unusable.
            OSError: The key file cannot be read.
        """
        key_variable, url_variable = kind.variables(name)
        key = os.environ.get(key_variable, "") if self.key_file is None else _key_in(self.key_file)
        if not key:
            raise ValueError(
                f"the environment variable {key_variable} is not set; set it to your key, or pass --key-file FILE"
            )
        return kind(key, base_url=self._address(kind, url_variable), name=name, **self.settings)

    def _address(self, kind: type[Client], variable: str) -> str:
        if self.base_url is not None:
            return _with_scheme("--base-url", self.base_url)
        for each in (variable, kind.url_variable):
            if url := os.environ.get(each):
                return _with_scheme(f"the environment variable {each}", url)
        return kind.default_url


def _with_scheme(source: str, url: str) -> str:
    if "://" not in url:
        raise ValueError(f"{source} has no scheme; write it as https://HOST, or as http://localhost:PORT")
    return url


def _trusting(file: Path) -> ssl.SSLContext:
    """Return a context that trusts the authorities in *file*, and those of the system."""
    authorities = file.read_text(encoding="ascii", errors="replace")
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=authorities)
    except (ssl.SSLError, ValueError):
        raise ValueError(f"{file} does not hold certificates; --ca-file takes a file in PEM format") from None
    return context


def _key_in(file: Path) -> str:
    key = file.read_text(encoding="utf-8", errors="replace").strip()  # an error would show a part of the key
    if not key:
        raise ValueError(f"{file} is empty; it must hold the key and nothing else")
    mode = file.stat().st_mode
    if os.name == "posix" and stat.S_ISREG(mode) and mode & _OTHERS:
        note(f"asyncpoll: warning: other users can read {file}; run: chmod 600 {file}")
    return key


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
    """

    def __init__(self, access: Access) -> None:
        self._exits = AsyncExitStack()
        self._access = access
        self._open: dict[tuple[type[Client], str | None], tuple[Client, DrainableTransport]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def open(self, kind: type[Client], name: str | None = None) -> Client:
        """Return the client of this class with this name.

        Raises:
            ValueError: There is no key for it, or the key or the address is unusable, or is meant for another account.
            OSError: The key file cannot be read.
        """
        return self._opened(kind, name)[0]

    def job(self, endpoint: str, ref: Mapping[str, Any]) -> Job[Any]:
        """Return the job that *ref* names; it can be polled until the clients are drained.

        Raises:
            ValueError: There is no such endpoint, the reference does not fit it, or as `open`.
        """
        client, transport = self._opened(client_of(endpoint), check_name(ref.get(CLIENT)))
        check_fields(endpoint, ref)
        return evolve(client.job(endpoint, **ref), transport=transport)

    async def drain(self) -> None:
        """Have no further request sent for any job, and return when none is under way."""
        for _, transport in self._open.values():
            await transport.drain()

    def _opened(self, kind: type[Client], name: str | None) -> tuple[Client, DrainableTransport]:
        if (kind, name) not in self._open:
            self._check_account(kind, name)
            client = self._access.open(kind, name)
            self._exits.push_async_exit(client)
            self._open[kind, name] = client, DrainableTransport(client.transport)
        return self._open[kind, name]

    def _check_account(self, kind: type[Client], name: str | None) -> None:
        """Raise ValueError if a key would go to an account, or a request to a provider, that it is not meant for."""
        for other, other_name in self._open:
            if self._access.base_url is not None and other is not kind:
                variables = f"{other.url_variable} and {kind.url_variable}"
                raise ValueError(f"--base-url is the address of one provider, and the jobs need two; set {variables}")
            if self._access.key_file is not None and (other, other_name) != (kind, name):
                variables = f"{other.variables(other_name)[0]} and {kind.variables(name)[0]}"
                raise ValueError(f"--key-file holds one key, and the jobs need two; set {variables}")
