"""The catalogue of definitions that come with the package, and the rule about keys in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Protocol

from attrs import evolve

from asyncpoll.definitions._document import DefinitionSpec, parse
from asyncpoll.definitions._spots import DefinitionError, decode
from asyncpoll.http._urls import Origin, is_loopback
from asyncpoll.providers import ENDPOINTS

_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})
_COUNTRY = 2  # letters of the domain of a country


class HasSpec(Protocol):
    """A definition."""

    @property
    def spec(self) -> DefinitionSpec:
        """Return what it says."""
        ...


@cache
def listed() -> Mapping[str, tuple[DefinitionSpec, str]]:
    """Return the definitions of the catalogue by name, each with its text."""
    found: dict[str, tuple[DefinitionSpec, str]] = {}
    listing = [file for file in (files("asyncpoll") / "catalog").iterdir() if file.name.endswith(".toml")]
    for file in sorted(listing, key=lambda one: one.name):
        text = file.read_text(encoding="utf-8")
        spec = evolve(parse(decode(text, f"asyncpoll/catalog/{file.name}")), is_listed=True)
        found[spec.name] = spec, text
    return found


def key_variable(
    definition: HasSpec | DefinitionSpec, *, key_env: str | None = None, base_url: str | None = None
) -> str:
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
    spec = definition if isinstance(definition, DefinitionSpec) else definition.spec
    vendor = spec.vendor
    variable = f"{vendor.upper().replace('-', '_')}_API_KEY"
    if key_env is not None:
        return key_env
    if spec.is_listed:
        return spec.env or variable
    if base_url is not None or (spec.base is not None and _belongs(vendor, Origin.of(spec.base))):
        return variable
    origin = "an address that the caller has not named" if spec.base is None else Origin.of(spec.base)
    raise DefinitionError(
        f"the key in {variable} is not sent to {origin} unasked, since the host does not belong to {vendor!r} by its "
        f'name; if it should be, pass key_env="{variable}", or --key-env {variable} on the command line',
        source=spec.where.origin.source,
        line=spec.where.line_of("base"),
        key="base",
    )


def _belongs(vendor: str, origin: Origin) -> bool:
    """Return whether the key of a vendor may go to an origin, for all that is known."""
    own = {Origin.of(one.base) for one, _ in listed().values() if one.vendor == vendor and one.base is not None}
    if any(one.vendor == vendor for one, _ in listed().values()) or any(
        name.partition(".")[0] == vendor for name in ENDPOINTS
    ):
        return origin in own
    return is_loopback(origin.host) or _label(origin.host) == vendor.replace("_", "-")


def _label(host: str) -> str | None:
    """Return the label of a host that its owner has registered, such as "acme" of api.acme.com and of acme.co.uk."""
    labels = host.rstrip(".").lower().split(".")
    if len(labels) > _COUNTRY and len(labels[-1]) == _COUNTRY and labels[-2] in _SECOND_LEVELS:
        return labels[-3]
    return labels[-2] if len(labels) > 1 and not labels[-1].isdecimal() else None
