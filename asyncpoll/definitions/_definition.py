"""`Definition`: one or several endpoints as data, read from a file, a mapping or a text."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, Unpack

from attrs import evolve, field, frozen

from asyncpoll._checks import Time
from asyncpoll._checks import text as check_text
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll.definitions._catalog import listed
from asyncpoll.definitions._client import DefinedClient, Jobs, only_one
from asyncpoll.definitions._compile import compile_endpoint
from asyncpoll.definitions._document import DefinitionSpec, parse
from asyncpoll.definitions._requests import Reference
from asyncpoll.definitions._spots import DefinitionError, Provenance, Spot, decode
from asyncpoll.http import Transport, TransportSettings
from asyncpoll.http._auth import Key

_MOST_BYTES = 5 << 20  # more than the characters that are read can have


@frozen
class Definition:
    """One or several endpoints as data. Made by `load`, `of` or `parse`, never by its constructor.

    Attributes:
        spec: All that it says, checked.
        text: The text that `parse` reads; a ledger keeps it. It holds no secret.
        source: The file, or what else it came from.
    """

    spec: DefinitionSpec = field(repr=False)
    text: str = field(repr=False)
    source: str

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file of TOML, or of JSON.

        Args:
            path: The file. Behind a `#`, text may name one of several endpoints, as in "acme.toml#renders".

        Raises:
            DefinitionError: Something in the file cannot be used.
            OSError: The file cannot be read.
        """
        file, _, endpoint = path.rpartition("#") if isinstance(path, str) and "#" in path else (path, "", "")
        with Path(file).open("rb") as opened:
            content = opened.read(_MOST_BYTES)
        try:
            text = content.decode("utf-8-sig", errors="ignore" if len(content) == _MOST_BYTES else "strict")
        except UnicodeDecodeError:
            raise DefinitionError("the file is not UTF-8; save it as UTF-8", source=str(file)) from None
        if str(file).endswith(".json") and text.lstrip()[:1] != "{":
            problem = "this is not a JSON object; write { and the keys of a definition, or name it .toml"
            raise DefinitionError(problem, source=str(file))
        definition = cls.parse(text, source=str(file))
        return definition.only(endpoint) if endpoint else definition

    @classmethod
    def parse(cls, text: str, *, source: str = "<text>") -> Self:
        """Read a definition from text: TOML, or JSON if it begins with a brace.

        Args:
            text: The text.
            source: A name for messages, such as that of the file.

        Raises:
            DefinitionError: Something in it cannot be used.
        """
        check_text("Definition.parse(): text", text)
        return cls(parse(decode(text, source)), text, source)

    @classmethod
    def of(cls, mapping: Mapping[str, Any], *, source: str = "<mapping>") -> Self:
        """Read a definition from a mapping with the keys of the format.

        Args:
            mapping: The keys and their values: texts, numbers, booleans, lists and mappings.
            source: A name for messages.

        Raises:
            DefinitionError: Something in it cannot be used.
        """
        spec = parse(Spot(mapping, (), Provenance(source)))
        text = json.dumps(mapping, ensure_ascii=False, default=_plain)
        if not text.isprintable():
            text = json.dumps(mapping, default=_plain)  # it may hold a lone surrogate, which no file can
        return cls(spec, text, source)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.text, self.source, self.spec.is_listed, tuple(self.spec.endpoints))

    @property
    def name(self) -> str:
        """Return the name. That of its only endpoint is the same; several have a dot and a part behind it."""
        return self.spec.name

    @property
    def vendor(self) -> str:
        """Return the first part of the name."""
        return self.spec.vendor

    @property
    def base(self) -> str | None:
        """Return the base address, or None if every caller names one."""
        return self.spec.base

    @property
    def env(self) -> str | None:
        """Return the environment variable of the key that it suggests, or None; see `client`."""
        return self.spec.env

    @property
    def documents(self) -> tuple[str, ...]:
        """Return the addresses of the documents that it was written from."""
        return self.spec.documents

    @property
    def written(self) -> str:
        """Return the day on which it was written, as text; it may be empty."""
        return self.spec.written

    @cached_property
    def endpoints(self) -> Mapping[str, Endpoint[Reference, Any]]:
        """Return the endpoints by their full names."""
        return {name: compile_endpoint(spec, self.text) for name, spec in self.spec.endpoints.items()}

    def only(self, name: str) -> Self:
        """Return the same definition with one endpoint.

        Args:
            name: Its full name, or the part behind the name of the definition or of the vendor.

        Raises:
            ValueError: There is no such endpoint.
        """
        ways = (name, f"{self.name}.{name}", f"{self.vendor}.{name}")
        full = next((one for one in ways if one in self.spec.endpoints), None)
        if full is None:
            known = ", ".join(self.spec.endpoints)
            raise ValueError(f"{self.source} has no endpoint {name!r:.80}; choose from {known}")
        return evolve(self, spec=evolve(self.spec, endpoints={full: self.spec.endpoints[full]}))

    def job(self, transport: Transport, /, *, submitted_at: Time | None = None, **reference: Any) -> Job[Any]:
        """Return a job of the only endpoint.

        Args:
            transport: What sends the requests.
            submitted_at: The time of its submit, if it is known; see `Job.with_submitted_at`.
            **reference: The fields of the reference.

        Raises:
            TypeError: There are several endpoints.
            ValueError: A field is missing, unknown or unusable, or the time is in the future.
        """
        return Jobs(transport, only_one(self.endpoints, "job")).job(submitted_at=submitted_at, **reference)

    async def start(self, transport: Transport, /, **arguments: Any) -> Job[Any]:
        """Submit a job of the only endpoint, as `Endpoint.start` does.

        Raises:
            TypeError: There are several endpoints, or an argument is missing or unknown. Nothing was sent.
            ValueError: An argument is unusable. Nothing was sent.
            TransportError: As `Endpoint.start`.
        """
        return await Jobs(transport, only_one(self.endpoints, "start")).start(**arguments)

    def client(
        self,
        key: Key | None = None,
        *,
        key_env: str | None = None,
        base_url: str | None = None,
        transport: Transport | None = None,
        name: str | None = None,
        **settings: Unpack[TransportSettings],
    ) -> DefinedClient:
        """Return a client of these endpoints, an async context manager.

        Without *key* and *key_env* the key is in the environment variable `VENDOR_API_KEY`, for the first part of the
        name of the definition. That is read only if the definition cannot send the key of another API to an address
        of its own: if it is one of the catalogue (then `env` names the variable), if the caller names the address, or
        if the host belongs to the vendor by its name, as `api.acme.com` does for "acme.renders".

        Args:
            key: The key: text, or a function, plain or async, that returns it. For "basic" the user name and the
                password with a colon between them.
            key_env: The environment variable that holds the key. Otherwise it is that of the vendor; for a client with
                a name it ends with the name, as `ACME_API_KEY_TEAM_A` for "team-a".
            base_url: The address of the API, if it is not that of the definition.
            transport: A transport to use instead of a new one. It has its own address, credential and settings, and is
                not closed with the client.
            name: A name for the account, which is part of the keys of its jobs.
            **settings: `proxy=`, `ssl=` and the rest of `asyncpoll.http.TransportSettings`.

        Raises:
            DefinitionError: The variable may not be read without the caller's word, or there is no address.
            ValueError: The variable is not set, an argument is unusable, or *base_url* or a setting is given with a
                transport.
            TypeError: A setting is unknown or of another type.
        """
        if key is None and transport is None:
            return DefinedClient.from_env(
                self.spec, self.endpoints, key_env=key_env, base_url=base_url, name=name, **settings
            )
        return DefinedClient(
            self.spec, self.endpoints, key, base_url=base_url, transport=transport, name=name, **settings
        )


def _restored(text: str, source: str, is_listed: bool, names: Iterable[str]) -> Definition:  # noqa: FBT001  of a pickle
    spec = parse(decode(text, source))
    endpoints = {name: spec.endpoints[name] for name in names}
    return Definition(evolve(spec, is_listed=is_listed, endpoints=endpoints), text, source)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value.isoformat()  # nothing else is left but dates


@cache
def _definitions() -> Mapping[str, Definition]:
    return {name: Definition(spec, text, spec.where.origin.source) for name, (spec, text) in listed().items()}


@cache
def catalog() -> Mapping[str, Definition]:
    """Return the definitions of the catalogue by the full name of their endpoint, each with that endpoint alone.

    The files are read when it is called first.
    """
    return MappingProxyType({name: one.only(name) for one in _definitions().values() for name in one.spec.endpoints})


def checked(function: str, definition: object) -> Definition:
    """Return the argument of a function; what is not a definition, such as its path, is a `TypeError`."""
    if not isinstance(definition, Definition):
        given = type(definition).__name__
        raise TypeError(f"{function}() needs a Definition, not {given}; read one with Definition.load(path)")
    return definition


def find(name: str) -> Definition:
    """Return a definition of the catalogue.

    Args:
        name: The full name of an endpoint, such as "openai.batches", for a definition with that endpoint alone, or the
            name of a definition with several of them.

    Raises:
        ValueError: There is none. The message names a similar one.
    """
    found = catalog().get(name) or _definitions().get(name)
    if found is None:
        near = get_close_matches(name, {**catalog(), **_definitions()}, 3, 0.6)
        cure = f"; did you mean {' or '.join(near)}?" if near else "; catalog() lists them all"
        raise ValueError(f"the catalogue has no {name!r:.80}{cure}")
    return found
