"""The client of a definition."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from inspect import signature
from typing import Any, Self, TypeVar, Unpack

from attrs import evolve, field, frozen

from asyncpoll._checks import Time
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll.definitions._catalog import key_variable
from asyncpoll.definitions._document import AuthSpec, DefinitionSpec
from asyncpoll.definitions._requests import Reference
from asyncpoll.definitions._spots import DefinitionError
from asyncpoll.http import ApiKey, Auth, Basic, Bearer, Transport, TransportSettings, registered_auth
from asyncpoll.http._auth import Key
from asyncpoll.providers._client import BaseClient, named

T = TypeVar("T")
Endpoints = Mapping[str, Endpoint[Reference, Any]]
"""Endpoints by their full names."""

_NO_KEY = "none"


def only_one(parts: Mapping[str, T], wanted: str) -> T:
    """Return the only one of some parts, or raise a `TypeError` about *wanted* that lists them."""
    if len(parts) != 1:
        raise TypeError(f"{wanted}: there are several endpoints; choose one of {', '.join(parts)}")
    return next(iter(parts.values()))


@frozen
class Jobs:
    """The jobs of one endpoint at a transport.

    Attributes:
        transport: What sends the requests.
        endpoint: The endpoint.
    """

    transport: Transport = field(repr=False)
    endpoint: Endpoint[Reference, Any]

    def job(self, /, *, submitted_at: Time | None = None, **reference: Any) -> Job[Any]:
        """Return the job with a reference; the time of its submit may be added, see `Job.with_submitted_at`.

        Raises:
            ValueError: A field is missing, unknown or unusable, or the time is in the future.
        """
        return self.endpoint.job(self.transport, self.endpoint.restore(reference), submitted_at=submitted_at)

    async def start(self, /, **arguments: Any) -> Job[Any]:
        """Submit a job; see `Definition.start`."""
        return await self.endpoint.start(self.transport, **arguments)


class DefinedClient(BaseClient):
    """The client of a definition; see `Definition.client`. It is an async context manager.

    With one endpoint it has `job(**reference)` and `start(**arguments)`. Of several, `client["agents"]` and
    `client.agents` have them.
    """

    def __init__(
        self,
        spec: DefinitionSpec,
        endpoints: Endpoints,
        key: Key | None = None,
        *,
        base_url: str | None = None,
        transport: Transport | None = None,
        name: str | None = None,
        **settings: Unpack[TransportSettings],
    ) -> None:
        if base_url is not None and transport is not None:
            raise ValueError("a given transport has an address of its own; pass base_url= to it instead")
        address = spec.base if base_url is None else base_url
        if address is None and transport is None:
            problem = "there is no base address; write base = ..., or pass base_url="
            raise DefinitionError(problem, source=spec.where.origin.source)
        auth = None if transport is not None else auth_of(spec.auth, key)
        super().__init__(auth, address or "", transport, name, settings)
        if name is not None:
            endpoints = {full: evolve(one, plain=partial(named, one.plain, name)) for full, one in endpoints.items()}
        self._prefix = spec.name
        self._jobs = {full: Jobs(self.transport, one) for full, one in endpoints.items()}

    @classmethod
    def from_env(
        cls,
        spec: DefinitionSpec,
        endpoints: Endpoints,
        *,
        key_env: str | None = None,
        base_url: str | None = None,
        name: str | None = None,
        **settings: Unpack[TransportSettings],
    ) -> Self:
        """Return a client whose key is in an environment variable; see `Definition.client`."""
        key = None
        if spec.auth.scheme != _NO_KEY:
            variable = key_variable(spec, key_env=key_env, base_url=base_url, name=name)
            if not (key := os.environ.get(variable)):
                raise ValueError(f"the environment variable {variable} is not set; set it to your key, or pass key=")
        return cls(spec, endpoints, key, base_url=base_url, name=name, **settings)

    def __getitem__(self, endpoint: str) -> Jobs:
        """Return the jobs of an endpoint by its full name, or the part behind the name of the definition.

        Raises:
            KeyError: There is no such endpoint.
        """
        jobs = self._jobs.get(endpoint) or self._jobs.get(f"{self._prefix}.{endpoint}")
        if jobs is None:
            raise KeyError(f"there is no endpoint {endpoint[:60]!r} here; choose from {', '.join(self._jobs)}")
        return jobs

    def __getattr__(self, name: str) -> Jobs:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def job(self, endpoint: str | None = None, /, *, submitted_at: Time | None = None, **ref: Any) -> Job[Any]:
        """Return a job.

        Args:
            endpoint: The name of the endpoint; it may be left out if there is one only.
            submitted_at: The time of its submit, if it is known; see `Job.with_submitted_at`.
            **ref: The fields of the reference. `client`, the name of this client, may be added.

        Raises:
            TypeError: There are several endpoints, and none is named.
            ValueError: There is no such endpoint, the reference does not fit it, or it belongs to a client with
                another name. Or the time is in the future.
        """
        if endpoint is None:
            endpoint = only_one(self._jobs, "job").endpoint.name
        try:
            jobs = self[endpoint]
        except KeyError as error:
            raise ValueError(f"{error.args[0]}; write the fields of a reference with their names") from None
        return jobs.job(**self.own_fields(ref), submitted_at=submitted_at)

    async def start(self, /, **arguments: Any) -> Job[Any]:
        """Submit a job of the only endpoint; see `Definition.start`."""
        return await only_one(self._jobs, "start").start(**arguments)


def auth_of(spec: AuthSpec, key: Key | None) -> Auth | None:
    """Return the credential that a definition asks for.

    Raises:
        ValueError: The key is missing or unusable, or no `Auth` of this name is registered.
    """
    scheme, options = spec.scheme, spec.options
    if scheme == _NO_KEY:
        return None
    if key is None:
        raise ValueError("the key is missing; pass key=, or key_env= for an environment variable that holds it")
    if scheme == "bearer":
        return Bearer(key)
    if scheme == "header":
        return ApiKey(key, options["header"], options.get("prefix", ""))
    if scheme == "query":
        return ApiKey(key, query=options["query"])
    if scheme == "basic":
        user, colon, password = key.partition(":") if isinstance(key, str) else ("", "", "")
        if not colon:
            raise ValueError("for Basic the key is text: the user name and the password with a colon between them")
        return Basic(user, password)
    factory = registered_auth(scheme)
    try:
        signature(factory).bind(key, **options)
    except TypeError as problem:
        raise ValueError(f"auth = {{ scheme = {scheme!r} }} has other options: {problem}; correct it") from None
    return factory(key, **options)
