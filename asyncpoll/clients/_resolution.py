"""Endpoints that are not built in: definitions in files, in ledgers and in the catalogue, and code of the user.

It is imported when one of them is named, since it takes a while.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter, itemgetter
from typing import Any

from attrs import evolve, frozen

from asyncpoll._endpoint import Endpoint
from asyncpoll._job_tokens import as_text_alone
from asyncpoll._masking import shown
from asyncpoll.clients._access import CODE, FILE, NOWHERE, Access, Target, Vendor
from asyncpoll.definitions import Definition, catalog, find
from asyncpoll.definitions._catalog import key_variable, variables
from asyncpoll.definitions._client import Jobs
from asyncpoll.http import Bearer, Paced, Retrying, Transport
from asyncpoll.providers import ENDPOINTS, Listing
from asyncpoll.providers._client import CLIENT

_WHOLE = ""  # the field for a reference of an endpoint in Python that is not an object


Vendors = dict[Any, Vendor]


def resolve(spec: str, kept: Mapping[str, str], others: Iterable[str], vendors: Vendors) -> Target:
    """Return an endpoint that is not built in.

    Args:
        spec: What the user has written.
        kept: The texts of the definitions that a ledger keeps, by the name of the endpoint.
        others: Names of further endpoints, which may be meant where there is none.
        vendors: What opens clients; endpoints that share one find it there.

    Raises:
        ValueError: There is no such endpoint, or it cannot be used.
        OSError: A file cannot be read.
    """
    if code := CODE.fullmatch(spec):
        return _in_code(vendors, lambda: _attribute(code[1], code[2]), spec, code[3])
    if FILE.fullmatch(spec):
        file, _, part = spec.partition("#")
        return _defined(vendors, Definition.load(file), part)
    if spec in kept:
        return _defined(vendors, _kept(spec, kept[spec]), spec)
    for entry in entry_points(group="asyncpoll.endpoints", name=spec):
        target = _in_code(vendors, entry.load, f"the entry point {spec}", None, spec)
        if target.name != spec:
            raise ValueError(f"the entry point {spec} is the endpoint {target.name}; both must have the same name")
        return target
    return _defined(vendors, listed(spec, others), None)


def _in_code(vendors: Vendors, load: Callable[[], Any], spec: str, part: str | None, full: str | None = None) -> Target:
    """Return the endpoint that an object in Python is, or that a client has which it makes."""
    found = _loaded(load, spec)
    if isinstance(found, Definition):
        return _defined(vendors, found, part or full)
    if isinstance(found, Endpoint):
        return _own(vendors, found)
    try:
        client = getattr(found, "from_env", found)()
        jobs: Callable[[Any], Any] = attrgetter(part) if part else lambda client: client
        name, listing = jobs(client).endpoint.name, _listing(jobs(client).job)
        _, _ = client.transport, client.aclose
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"{spec} is not an Endpoint, a Definition, or what makes a client with transport, aclose(), endpoint "
            f"and job(); if an attribute of the client has the last two, add #NAME: {type(error).__name__}: {error}"
        ) from error

    def open_client(access: Access | None, account: str | None) -> Any:
        if account is not None or not (access is None or access.is_usual):
            raise ValueError(
                f"{spec} makes its own client, which no option changes; leave out base_url=, key_file=, key_env=, "
                "proxy= and the like"
            )
        return client

    whole = listing.required[0] if len(listing.required) == 1 else None
    return Target(name, listing, Vendor(open_client), jobs, whole=whole)


@frozen
class _OwnClient:
    transport: Transport
    aclose: Callable[[], Awaitable[None]]


def _own(vendors: Vendors, endpoint: Endpoint[Any, Any]) -> Target:
    """Return an endpoint in Python, which has neither an address nor a key; those of one vendor share a client."""
    vendor = endpoint.name.partition(".")[0]
    restore, is_text = endpoint.restore, endpoint.restore is as_text_alone
    whole = "id" if is_text else _WHOLE
    fielded = evolve(endpoint, restore=lambda ref: restore(ref.get(whole, ref)))

    def open_client(access: Access | None, account: str | None) -> Any:
        if account is not None:
            raise ValueError(f"endpoints in Python have one client; leave {CLIENT!r} out")
        if access is None:
            return Jobs(NOWHERE, fielded)
        if (address := access.address()) is None:
            raise ValueError(
                f"an endpoint in Python, such as that of {vendor}, has no address; pass base_url=URL, and if it "
                "needs a key key_env=NAME or key_file=FILE"
            )
        from asyncpoll.http import AiohttpTransport  # noqa: PLC0415  aiohttp takes 0.2 s to import

        auth = None if access.key_option is None else Bearer(access.key())
        own = AiohttpTransport(address, auth=auth, **access.settings)
        return _OwnClient(Retrying(Paced(own)), own.aclose)

    start = endpoint._start  # noqa: SLF001  of this package
    token, fields = None if start is None else start.key, ("id",) if is_text else ()
    listing = Listing("", "an endpoint in Python", fields, open=not is_text, token=token)
    shared = vendors.setdefault(vendor, Vendor(open_client))
    jobs = lambda client: Jobs(client.transport, fielded)  # noqa: E731  it is kept, not called here
    return Target(endpoint.name, listing, shared, jobs, start is not None, whole)


def _listing(job: Callable[..., Any]) -> Listing:
    """Return the fields of a reference, which are the arguments of the function that makes a job of it."""
    given = inspect.signature(job).parameters.values()
    named = [one for one in given if one.kind in {one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD}]
    required, optional = (
        tuple(one.name for one in named if (one.default is one.empty) == is_it) for is_it in (True, False)
    )
    return Listing("", "a client in Python", required, optional, any(one.kind is one.VAR_KEYWORD for one in given))


def _loaded(load: Callable[[], Any], spec: str) -> Any:
    try:
        return load()
    except Exception as error:
        raise ValueError(f"{spec} cannot be imported: {type(error).__name__}: {error}") from error


def _attribute(module: str, path: str) -> Any:
    """Import what the caller names; the current directory is looked in, too, after all others."""
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  as text
        sys.path.append(here)
    return attrgetter(path)(import_module(module))


# definitions


def _defined(vendors: Vendors, definition: Definition, part: str | None) -> Target:
    """Return one endpoint of a definition."""
    names = [*definition.only(part).spec.endpoints] if part else [*definition.spec.endpoints]
    if len(names) > 1:
        raise several(definition)
    spec, endpoint = definition.spec.endpoints[names[0]], definition.endpoints[names[0]]
    vendor = Vendor(partial(_open_defined, definition), partial(variables, definition.spec))
    vendor = vendors.setdefault((definition.text, *definition.spec.endpoints), vendor)
    start = endpoint._start  # noqa: SLF001  of this package
    token = None if start is None else start.key
    listing = Listing("", spec.description, spec.required, tuple(spec.ref), spec.open, spec.predicts, token)
    jobs, words = itemgetter(spec.name), attrgetter("words")
    return Target(spec.name, listing, vendor, jobs, start is not None, None, partial(words, spec), definition)


def several(definition: Definition) -> ValueError:
    """Return the error where one endpoint is needed, and a definition has several."""
    names = definition.spec.endpoints
    if definition.spec.is_listed:
        return ValueError(f"{definition.name} has several endpoints; name one of {', '.join(names)}")
    parts = ", ".join(name.removeprefix(f"{definition.name}.") for name in names)
    return ValueError(f"{definition.source} has several endpoints; add # and one of {parts}")


def address_of(definition: Definition, access: Access, name: str | None = None) -> str | None:
    """Return the address that an option or the environment names, or None for that of the definition."""
    return access.address(variables(definition.spec, name)[1], variables(definition.spec)[1])


def key_variable_of(definition: Definition, access: Access, name: str | None = None) -> str:
    """Return the environment variable of the key.

    Raises:
        DefinitionError: It must not be read, since the key could be sent to a stranger.
    """
    named = access.key_env or ("" if access.key_file is not None else None)
    address = address_of(definition, access, name)
    return key_variable(definition.spec, key_env=named, base_url=address, name=name)


def _open_defined(definition: Definition, access: Access | None, name: str | None) -> Any:
    if access is None:
        return definition.client(transport=NOWHERE, name=name)
    is_open = definition.spec.auth.scheme == "none"
    key = "" if is_open else access.key(key_variable_of(definition, access, name))
    return definition.client(key, base_url=address_of(definition, access, name), name=name, **access.settings)


def _kept(name: str, text: str) -> Definition:
    """Return a definition that a ledger keeps. It is as good as that of the catalogue if its requests go there, too."""
    definition = Definition.parse(text, source=f"the definition of {name}")
    own = catalog().get(name)
    if own is None or (own.base, own.env) != (definition.base, definition.env):
        return definition
    return evolve(definition, spec=evolve(definition.spec, is_listed=True))


def definition_of(spec: str) -> Definition:
    """Return the definition in a file, in code of the user, or of the catalogue.

    Raises:
        ValueError: It cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    if spec in ENDPOINTS:
        raise ValueError(f"{spec} is built in, in Python rather than by a definition; see asyncpoll endpoints {spec}")
    if code := CODE.fullmatch(spec):
        found = _loaded(lambda: _attribute(code[1], code[2]), spec)
        if not isinstance(found, Definition):
            raise ValueError(f"{spec} is not a Definition; name one, or see asyncpoll endpoints {spec}")
        return found.only(code[3]) if code[3] else found
    if FILE.fullmatch(spec):
        return Definition.load(spec)
    try:
        return find(spec)
    except ValueError:
        raise ValueError(
            f"no definition {shown(spec)}; name a file such as ./acme.toml, or an endpoint that asyncpoll endpoints "
            f"--all lists{_meant(spec, catalog())}"
        ) from None


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, 1, 0.75)
    return f"; did you mean {close[0]}?" if close else ""


def listed(name: str, others: Iterable[str] = ()) -> Definition:
    """Return a definition of the catalogue by name; if there is none, *others* may have been meant, too."""
    try:
        return find(name)
    except ValueError:
        meant = _meant(name, [*ENDPOINTS, *others, *catalog()])
        raise ValueError(
            f"no endpoint {shown(name)}; choose one of {', '.join(ENDPOINTS)}, one that asyncpoll endpoints --all "
            f"lists, or a definition: ./acme.toml, or Clients('./acme.toml') to use the name in it{meant}"
        ) from None
