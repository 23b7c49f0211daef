"""`Clients`: jobs and their keys by the names of endpoints.

All jobs of a client share one transport, which can be drained: requests under way end, and no further ones are sent.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, NoReturn, Self, Unpack

from attrs import evolve

from asyncpoll._checks import refusal
from asyncpoll._endpoint import Job
from asyncpoll.clients._access import USUAL, Access, Target, Vendor
from asyncpoll.clients._targets import Targets, refuse_others
from asyncpoll.http import Reply, Request, Transport, TransportSettings
from asyncpoll.http._urls import Address
from asyncpoll.providers._client import CLIENT, check_name

Texts = Mapping[str, str]

_VERSION = 1
_NONE: Texts = MappingProxyType({})
_REACH = ("base_url", "key_env", "key_file")


class DrainableTransport:
    """A transport that can be drained: requests under way end, and no further ones are sent.

    Args:
        inner: The transport that sends.
        is_drained: Whether it is drained already.
    """

    def __init__(self, inner: Transport, *, is_drained: bool = False) -> None:
        self.inner = inner
        self._under_way = 0
        self._is_drained = is_drained
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
    """Clients by the names of endpoints, which open when their first job comes: an async context manager.

    Keys, and addresses other than the usual ones, are read from the environment then, as the command line does.

    Args:
        *endpoints: Endpoints other than those that have a name already: "./acme.toml", or "package.module:attribute".
            They are read or imported at once. Afterwards their jobs can be named by the name of the endpoint, too.
        definitions: The texts of further definitions, by the full name of the endpoint.
        code: Where further endpoints in Python are, by name: {"acme.renders": "package.module:attribute"}. One is
            imported when it is first named.
        base_url: The address of the API, if it is not the usual one. All jobs are then of one provider.
        key_env: The environment variable that holds the key, if it is not the usual one. All jobs are then of one
            account.
        key_file: A file that holds nothing but the key. All jobs are then of one account.
        **settings: `proxy=`, `ssl=` and the rest of `asyncpoll.http.TransportSettings`; `trust_env` is True unless it
            is given.

    Raises:
        ValueError: There is no such endpoint, or it cannot be used. Or the address is unusable, or *key_env* and
            *key_file* are both given.
        TypeError: A name or a text is not text, or a setting is unknown.
        OSError: The file of a definition cannot be read.
    """

    def __init__(
        self,
        *endpoints: str,
        definitions: Texts = _NONE,
        code: Texts = _NONE,
        base_url: str | None = None,
        key_env: str | None = None,
        key_file: str | os.PathLike[str] | None = None,
        **settings: Unpack[TransportSettings],
    ) -> None:
        for setting in settings.keys() - TransportSettings.__annotations__.keys():
            raise TypeError(f"Clients() got an unexpected keyword argument {setting!r}")
        if key_env is not None and key_file is not None:
            raise ValueError("Clients() takes key_env= or key_file=, not both; leave one out")
        for name, texts in (("definitions", definitions), ("code", code)):
            if not _are_texts(texts):
                raise refusal(TypeError, f"Clients(): {name}", "a mapping of texts by the names of endpoints", texts)
        file = None if key_file is None else Path(key_file)
        self.targets = Targets(definitions, {**code})  # for the command line
        self._access = Access(base_url, file, key_env, {**USUAL, **settings})
        if base_url is not None:
            Address.of(self._access.address() or "", insecure=settings.get("insecure", False))
        self._exits = AsyncExitStack()
        self._open: dict[tuple[Vendor, str | None], tuple[Any, DrainableTransport]] = {}
        self._is_drained = False
        self._closed: dict[tuple[Vendor, str | None], Any] = {}
        self.targets.name(endpoints)
        refuse_others(definitions, self.targets.definitions)

    def __reduce__(self) -> NoReturn:
        raise TypeError("clients cannot be pickled; send their to_json(), and make others with Clients.from_json()")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all clients."""
        await self._exits.aclose()
        self._open.clear()

    @property
    def settings(self) -> TransportSettings:
        """The settings of the transports, as they were given."""
        return self._access.settings.copy()

    def open(self, endpoint: str, name: str | None = None) -> Any:
        """Return the client of an endpoint for the account with this name; it is closed with the others.

        Raises:
            ValueError: There is no such endpoint, or no key for it; or the key or the address is unusable, or is meant
                for another account.
            OSError: A file cannot be read.
        """
        return self._opened(self.targets.find(endpoint), name)[0]

    def job(self, endpoint: str, ref: Any) -> Job[Any]:
        """Return a job; it can be polled until the clients are drained or closed.

        Args:
            endpoint: The name of the endpoint: a built-in one, one of the catalogue, or one that was given.
            ref: The reference as JSON data, as in the key of the job and in a ledger: mostly an object, with the name
                of the account as "client" if there is one.

        Raises:
            ValueError: The reference does not fit the endpoint, or as `open`.
            OSError: As `open`.
        """
        target = self.targets.find(endpoint)
        fields, name = _addressed(target, ref)
        client, transport = self._opened(target, name)
        return evolve(_job_of(target, client, fields), transport=transport)

    def key(self, endpoint: str, ref: Any) -> str:
        """Return the key of a job, equal to `job(endpoint, ref).key`, without its client; see `closed_job`."""
        return self.closed_job(endpoint, ref).key

    def closed_job(self, endpoint: str, ref: Any) -> Job[Any]:
        """Return a job that cannot be polled, for its key or for a ledger: its client is not opened.

        No credential is read. But code that makes a client of its own is called, and may read what it likes. Name its
        endpoint instead.

        Raises:
            ValueError: There is no such endpoint, or the reference does not fit it.
            OSError: A file cannot be read.
        """
        target = self.targets.find(endpoint)
        fields, name = _addressed(target, ref)
        place = target.vendor, name
        if place not in self._closed:
            self._closed[place] = target.vendor.open(None, name)
        return _job_of(target, self._closed[place], fields)

    def starter(self, endpoint: str, name: str | None = None) -> Callable[..., Awaitable[Job[Any]]] | None:
        """Return the function that starts a job, or None if jobs of this endpoint are not started on their own.

        Raises:
            ValueError, OSError: As `open`.
        """
        target = self.targets.find(endpoint)
        jobs = target.jobs(self._opened(target, name)[0])
        return getattr(jobs, "start", None) if target.starts else None

    async def drain(self) -> None:
        """Have no further request sent for any job, and return when none is under way."""
        self._is_drained = True
        for _, transport in self._open.values():
            await transport.drain()

    # plain data

    def to_json(self) -> str:
        """Return the endpoints, and where the address and the key come from, as text without a key; see `from_json`.

        The text has the definitions and the places of code that were given or found so far, *base_url*, and the names
        in *key_env* and *key_file*. It has no settings of the transports: a proxy may have a password.
        """
        known = {**self.targets.kept, **self.targets.definitions}
        reach = {name: getattr(self._access, name) for name in _REACH}
        said = {"version": _VERSION, "definitions": known, "code": self.targets.code, **reach}
        return json.dumps(said, ensure_ascii=False, default=lambda file: str(file.absolute()))

    @classmethod
    def from_json(cls, text: str, **settings: Unpack[TransportSettings]) -> Self:
        """Return clients equal to those that wrote *text* with `to_json`, in this process or another one.

        Keys are read from the environment of this process. The text may name code, which is imported: read only text
        that you trust as much as code.

        Args:
            text: The text.
            **settings: As for the class.

        Raises:
            ValueError: The text was not written by `to_json`, or was written by another version.
            TypeError: A setting is unknown.
        """
        problem = "these are not clients written by to_json()"
        try:
            said = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            raise ValueError(f"{problem}: they are not JSON") from None
        match said:
            case {
                "version": int(version),
                "definitions": definitions,
                "code": code,
                "base_url": str() | None as base_url,
                "key_env": str() | None as key_env,
                "key_file": str() | None as key_file,
            } if _are_texts(definitions) and _are_texts(code):
                pass
            case _:
                raise ValueError(f"{problem}: version, definitions, code, {', '.join(_REACH)} are expected")
        if version != _VERSION:
            raise ValueError(f"the clients were written in version {version}; this one reads version {_VERSION}")
        return cls(
            definitions=definitions, code=code, base_url=base_url, key_env=key_env, key_file=key_file, **settings
        )

    # clients

    def _opened(self, target: Target, name: str | None) -> tuple[Any, DrainableTransport]:
        place = target.vendor, check_name(name)
        if place not in self._open:
            self._check_account(*place)
            client = target.vendor.open(self._access, name)
            self._exits.push_async_callback(client.aclose)
            self._open[place] = client, DrainableTransport(client.transport, is_drained=self._is_drained)
        return self._open[place]

    def _check_account(self, vendor: Vendor, name: str | None) -> None:
        """Raise ValueError if a key would go to an account, or a request to an API, that it is not meant for."""
        option = self._access.key_option
        for other, other_name in self._open:
            if self._access.base_url is not None and other is not vendor:
                cure = _both(other.variables(None)[1], vendor.variables(None)[1])
                raise ValueError(f"base_url= is the address of one provider, and the jobs need two; {cure}")
            if option is not None and (other, other_name) != (vendor, name):
                cure = _both(other.variables(other_name)[0], vendor.variables(name)[0])
                raise ValueError(f"{option} holds one key, and the jobs need two; {cure}")


def _both(one: str, other: str) -> str:
    return f"set {one} and {other}" if one and other else "wait for them in two runs"


def _are_texts(given: object) -> bool:
    return isinstance(given, Mapping) and all(isinstance(text, str) for pair in given.items() for text in pair)


def _addressed(target: Target, ref: Any) -> tuple[dict[str, Any], str | None]:
    """Return the fields of a reference, and the name of the account."""
    fields = target.fields_of(ref)
    if fields is None:
        needed = ", ".join(target.listing.required)
        raise ValueError(f"{target.name}: a reference is an object" + (f" with {needed}" if needed else ""))
    target.check(fields)
    return {key: fields[key] for key in fields if key != CLIENT}, check_name(fields.get(CLIENT))


def _job_of(target: Target, client: Any, fields: dict[str, Any]) -> Job[Any]:
    try:
        job: Job[Any] = target.jobs(client).job(**fields)
    except (TypeError, LookupError, AttributeError) as problem:
        raise ValueError(f"{target.name}: {type(problem).__name__}: {problem}") from problem
    return job
