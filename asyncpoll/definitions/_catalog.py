"""The catalogue of definitions that come with the package, and the rule about keys in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from attrs import evolve

from asyncpoll.definitions._document import DefinitionSpec, parse
from asyncpoll.definitions._spots import DefinitionError, decode
from asyncpoll.http._urls import Origin, is_loopback
from asyncpoll.providers._client import suffix_of

_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "go", "gov", "me", "ne", "net", "nom", "or", "org", "web"})
_HOSTING = frozenset(
    {
        "amazonaws.com", "appspot.com", "baseten.co", "beam.cloud", "bubble.io", "cerebrium.ai", "cloudfront.net",
        "databricks.com", "deno.dev", "deno.net", "firebaseapp.com", "fly.dev", "gitbook.io", "github.dev", "github.io",
        "gitlab.io", "gitpod.io", "glitch.me", "gradio.live", "heroku.com", "herokuapp.com", "hf.space", "hubspot.com",
        "koyeb.app", "lightning.ai", "localtunnel.me", "loca.lt", "lovable.app", "modal.host", "modal.run",
        "netlify.app", "netlify.com", "ngrok.app", "ngrok.dev", "ngrok.io", "northflank.app", "notion.site",
        "onrender.com", "pages.dev", "pipedream.net", "pythonanywhere.com", "railway.app", "render.com", "repl.co",
        "replit.app", "replit.dev", "runpod.io", "runpod.net", "salesforce.com", "shopify.com", "streamlit.app",
        "supabase.co", "surge.sh", "trycloudflare.com", "val.run", "vercel.app", "vercel.dev", "web.app", "webflow.io",
        "windmill.dev", "wixsite.com", "wordpress.com", "workers.dev", "zeabur.app", "zendesk.com", "zapier.app",
    }
)  # fmt: skip
"""Domains under which anyone can have a host: it does not belong to the vendor of the name."""
_COUNTRY = 2  # letters of the domain of a country


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


def variables(spec: DefinitionSpec, name: str | None = None) -> tuple[str, str]:
    """Return the environment variables of the key and the address for the client with this name."""
    key, suffix = _usual(spec.vendor), suffix_of(name)
    own = spec.env if spec.is_listed else None
    return f"{own or key}{suffix}", f"{key.removesuffix('_API_KEY')}_BASE_URL{suffix}"


def key_variable(
    spec: DefinitionSpec, *, key_env: str | None = None, base_url: str | None = None, name: str | None = None
) -> str:
    """Return the environment variable that may be read for the key of a definition.

    A definition may come from a stranger, and must not send the key of another API to an address of its own. So the
    variable follows from the name, `ACME_API_KEY` for "acme.renders", and one of these must hold: the caller names the
    variable; the definition is one of the catalogue, whose `env` counts, too; the caller names the address; the address
    is one that the catalogue has for this variable; or it has none, and the address is this machine or a host that
    belongs to the vendor by its name, such as `api.acme.com` or `acme.co.uk`.

    Args:
        spec: The definition.
        key_env: The variable that the caller names, or None.
        base_url: The address that the caller names, or None.
        name: The name of the client, with which the variable ends unless the caller names it, or None.

    Raises:
        DefinitionError: None of them holds. The message says what to pass.
    """
    if key_env is not None:
        return key_env
    variable, _ = variables(spec, name)
    if spec.is_listed or base_url or (spec.base is not None and _belongs(spec.vendor, Origin.of(spec.base))):
        return variable
    origin = "an address that the caller has not named" if spec.base is None else Origin.of(spec.base)
    raise DefinitionError(
        f"the key in {variable} is not sent to {origin} unasked, since the host does not belong to {spec.vendor!r} by "
        f'its name; if it should be, pass key_env="{variable}", or --key-env {variable} on the command line',
        source=spec.where.origin.source,
        line=spec.where.below("base", spec.base).line,
        key="base",
    )


def _usual(vendor: str) -> str:
    return f"{vendor.upper().replace('-', '_')}_API_KEY"


def _belongs(vendor: str, origin: Origin) -> bool:
    """Return whether the key of a vendor may go to an origin, for all that is known."""
    variable = _usual(vendor)
    owners = [one for one, _ in listed().values() if variable in {one.env, _usual(one.vendor)}]
    if owners:
        return origin in {Origin.of(one.base) for one in owners if one.base is not None}
    return is_loopback(origin.host) or registered_label(origin.host) == vendor.replace("_", "-")


def registered_label(host: str) -> str | None:
    """Return the label of a host that its owner has registered, such as "acme" of api.acme.com and of acme.co.uk."""
    labels = host.rstrip(".").lower().split(".")
    if len(labels) > _COUNTRY and ".".join(labels[-2:]) in _HOSTING:
        return None
    if len(labels) > _COUNTRY and len(labels[-1]) == _COUNTRY and labels[-2] in _SECOND_LEVELS:
        return labels[-3]
    return labels[-2] if len(labels) > 1 and not labels[-1].isdecimal() else None
