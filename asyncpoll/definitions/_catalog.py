"""The catalogue of definitions that come with the package, and the rule about keys in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from attrs import evolve

from asyncpoll.definitions._definition import Definition
from asyncpoll.definitions._spots import DefinitionError
from asyncpoll.http._urls import Origin, is_loopback
from asyncpoll.providers import ENDPOINTS

_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})
_COUNTRY = 2  # letters of the domain of a country


@cache
def _definitions() -> Mapping[str, Definition]:
    """Return the definitions of the catalogue by name."""
    found: dict[str, Definition] = {}
    for file in sorted((files("asyncpoll") / "catalog").iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            text = file.read_text(encoding="utf-8")
            definition = evolve(Definition.parse(text, source=f"asyncpoll/catalog/{file.name}"), is_listed=True)
            found[definition.name] = definition
    return found


@cache
def catalog() -> Mapping[str, Definition]:
    """Return the definitions of the catalogue by the full name of their endpoint, each with that endpoint alone.

    The files are read when it is called first.
    """
    return MappingProxyType({name: one.only(name) for one in _definitions().values() for name in one.spec.endpoints})


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
        near = get_close_matches(name, [*catalog(), *_definitions()], 3, 0.5)
        cure = f"; did you mean {' or '.join(near)}?" if near else "; catalog() lists them all"
        raise ValueError(f"the catalogue has no {name!r:.80}{cure}")
    return found


def key_variable(definition: Definition, *, key_env: str | None = None, base_url: str | None = None) -> str:
    """Return the environment variable that may be read for the key of a definition.

    A definition may come from a stranger, and must not send somebody else's key to an address of its own. So the
    variable follows from the name, `ACME_API_KEY` for "acme.renders", and one of these must hold: the caller names the
    variable; the definition is one of the catalogue, whose `env` counts, too; the caller names the address; the address
    is that of the vendor of this name in the catalogue; or there is no such vendor, and the address is this machine or
    a host that belongs to the vendor by its name, such as `api.acme.com` or `acme.co.uk`.

    Args:
        definition: The definition.
        key_env: The variable that the caller names, or None.
        base_url: The address that the caller names, or None.

    Raises:
        DefinitionError: None of them holds. The message says what to pass.
    """
    vendor = definition.vendor
    variable = f"{vendor.upper().replace('-', '_')}_API_KEY"
    if key_env is not None:
        return key_env
    if definition.is_listed:
        return definition.env or variable
    if base_url is not None or (definition.base is not None and _belongs(vendor, Origin.of(definition.base))):
        return variable
    origin = "an address that the caller has not named" if definition.base is None else Origin.of(definition.base)
    spot = definition.spec.where
    raise DefinitionError(
        f"the key in {variable} is not sent to {origin} unasked, since the host does not belong to {vendor!r} by its "
        f'name; if it should be, pass key_env="{variable}", or --key-env {variable} on the command line',
        source=definition.source,
        line=spot.line_of("base"),
        key="base",
    )


def _belongs(vendor: str, origin: Origin) -> bool:
    """Return whether the key of a vendor may go to an origin, for all that is known."""
    own = {Origin.of(one.base) for one in _definitions().values() if one.vendor == vendor and one.base is not None}
    if own or any(name.partition(".")[0] == vendor for name in ENDPOINTS):
        return origin in own
    return is_loopback(origin.host) or _label(origin.host) == vendor.replace("_", "-")


def _label(host: str) -> str | None:
    """Return the label of a host that its owner has registered, such as "acme" of api.acme.com and of acme.co.uk."""
    labels = host.rstrip(".").lower().split(".")
    if len(labels) > _COUNTRY and len(labels[-1]) == _COUNTRY and labels[-2] in _SECOND_LEVELS:
        return labels[-3]
    return labels[-2] if len(labels) > 1 and not labels[-1].isdecimal() else None
