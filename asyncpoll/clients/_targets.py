"""From what a user writes for an endpoint to the endpoint itself: one resolution for every verb, line and ledger.

An endpoint is written in one of these ways, and `Targets.load` tries them in this order:

- `package.module:attribute`: an `Endpoint`, a `Definition`, or a class or function that makes a client. `#renders`
  behind it names the attribute of the client that has the jobs. Code is imported only if the caller names it when the
  clients are made, or the ledger of such a run does: a line of a file cannot, since it may come from elsewhere.
- `./acme.toml`, or `acme.toml#renders` where there are several: a file with a definition. It has a slash, or ends with
  .toml or .json.
- A name: of an endpoint that the caller has named in one of these ways, of one whose definition is known from before,
  as in a ledger, of a built-in one, of an entry point in the group "asyncpoll.endpoints", or of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from operator import attrgetter
from typing import Any

from attrs import define, field

from asyncpoll import providers
from asyncpoll._checks import refusal
from asyncpoll._masking import shown
from asyncpoll._state import State, Word
from asyncpoll.clients._access import CODE, NOWHERE, Access, Target, Vendor
from asyncpoll.providers import ENDPOINTS
from asyncpoll.providers._client import Client


@define
class Targets:
    """Finds endpoints, each of them once.

    Attributes:
        kept: The texts of definitions that are known from before, by the name of the endpoint.
        code: Where endpoints in Python are, by name.
        found: The endpoints that were found, by what they were called.
        vendors: What opens their clients.
    """

    kept: Mapping[str, str] = field(factory=dict)
    code: dict[str, str] = field(factory=dict)
    found: dict[str, Target] = field(factory=dict, init=False)
    vendors: dict[Any, Vendor] = field(factory=dict, init=False)

    @property
    def definitions(self) -> dict[str, str]:
        """The text of each definition that was found, by the name of the endpoint; a ledger keeps them."""
        return {one.name: one.definition.text for one in self.found.values() if one.definition is not None}

    def name(self, specs: Iterable[str]) -> Target | None:
        """Find the endpoints that the caller names, so that lines may, too; return the first; see `load`."""
        found = [self.load(spec) for spec in specs]
        return found[0] if found else None

    def find(self, spec: str) -> Target:
        """Return the endpoint that a job, a line or a ledger names; see `load`."""
        if spec in self.found:
            return self.found[spec]
        if is_code(spec):
            raise ValueError(f"{shown(spec)} is code; name it first: Clients({shown(spec)})")
        target = self.load(self.code.get(spec, spec))
        if spec in self.code and target.name != spec:
            raise ValueError(f"{self.code[spec]} is the endpoint {target.name}, not {spec}; correct its name")
        return target

    def load(self, spec: str) -> Target:
        """Return the endpoint that the caller names.

        Raises:
            TypeError: The name is not text.
            ValueError: There is no such endpoint, or it cannot be used.
            OSError: A file cannot be read.
        """
        if spec not in self.found:
            is_in_code = is_code(spec)
            target = self._built_in(spec) if spec in ENDPOINTS and spec not in self.kept else self._resolve(spec)
            if is_in_code:
                self.code[target.name] = spec
            if target.definition is not None:
                refuse_others(self.definitions, {target.name: target.definition.text})
            self.found[spec] = self.found[target.name] = target
        return self.found[spec]

    def _resolve(self, spec: str) -> Target:
        from asyncpoll.clients._resolution import resolve  # noqa: PLC0415  definitions take 0.1 s to import

        return resolve(spec, self.kept, self.found, self.vendors)

    def _built_in(self, name: str) -> Target:
        kind: type[Client] = getattr(providers, ENDPOINTS[name].client)

        def open_client(access: Access | None, account: str | None) -> Client:
            if access is None:
                return kind("-", base_url=kind.default_url, transport=NOWHERE, name=account)
            key, url = kind.variables(account)
            address = access.address(url, kind.url_variable) or kind.default_url
            return kind(access.key(key), base_url=address, name=account, **access.settings)

        def words() -> Mapping[Word, State]:
            found: Mapping[Word, State]
            found = import_module(f"asyncpoll.providers.{name.replace('.', '._')}").STATUSES.words
            return found

        vendor = self.vendors.setdefault(kind, Vendor(open_client, kind.variables))
        jobs = attrgetter(name.removeprefix(f"{kind.provider}."))
        return Target(name, ENDPOINTS[name], vendor, jobs, words=words)


def is_code(spec: str) -> bool:
    """Return whether an endpoint is code of the user; raise a `TypeError` if it is not even text."""
    if not isinstance(spec, str):  # pyright: ignore[reportUnnecessaryIsInstance]  unchecked callers
        raise refusal(TypeError, "Clients: an endpoint", 'text, such as "module:attribute"', spec)
    return CODE.fullmatch(spec) is not None


def refuse_others(texts: Mapping[str, str], others: Mapping[str, str]) -> None:
    """Raise ValueError if two definitions of one endpoint differ."""
    for name, text in others.items():
        if texts.get(name, text) != text:
            raise ValueError(f"there are two definitions of {name}, which differ; leave one out, or rename one")
