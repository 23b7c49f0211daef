"""From what a user writes for an endpoint to the endpoint itself: one resolution for every verb, line and ledger.

An endpoint is written in one of these ways, and `Targets.load` tries them in this order:

- `package.module:attribute`: an `Endpoint`, a `Definition`, or a class or function that makes a client. `#renders`
  behind it names the attribute of the client that has the jobs. Code is imported only if the command line names it, or
  the ledger of such a run does: a line of a file cannot, since it may come from elsewhere.
- `./acme.toml`, or `acme.toml#renders` where there are several: a file with a definition. It has a slash, or ends with
  .toml or .json.
- A name: of an endpoint that the command line has named in one of these ways, of one whose definition the ledger keeps,
  of a built-in one, of an entry point in the group "asyncpoll.endpoints", or of the catalogue.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter, itemgetter
from typing import Any

from attrs import define, evolve, field, frozen

from asyncpoll import providers
from asyncpoll._endpoint import Endpoint
from asyncpoll._job_tokens import as_text_alone
from asyncpoll._state import State, Word
from asyncpoll.cli._access import Access
from asyncpoll.cli._output import shown
from asyncpoll.definitions import Definition, catalog, find
from asyncpoll.definitions._catalog import key_variable
from asyncpoll.definitions._client import Jobs
from asyncpoll.http import Bearer, Paced, Retrying, Transport
from asyncpoll.providers import ENDPOINTS, Listing
from asyncpoll.providers._client import CLIENT, Client, suffix_of

_CODE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)(?:#([A-Za-z_]\w*))?")
_FILE = re.compile(r"[^#]*\.(?:toml|json)(?:#.*)?|.*/.*", re.DOTALL)
_WHOLE = ""  # the field for a reference of an endpoint in Python that is not an object


def _no_variables(_name: str | None) -> tuple[str, str]:
    return "", ""


@frozen(eq=False)
class Vendor:
    """What opens the client of one or several endpoints.

    Attributes:
        open: Returns the client for the account with a name, or without one. It raises ValueError if there is no key,
            or the key or the address is unusable, and OSError if the key file cannot be read.
        variables: Returns the environment variables of its key and its address; empty if there are none.
    """

    open: Callable[[Access, str | None], Any]
    variables: Callable[[str | None], tuple[str, str]] = _no_variables


@frozen(eq=False)
class Target:
    """An endpoint as the command line uses it.

    Attributes:
        name: Its full name, which is in the keys of its jobs.
        listing: The fields of its references.
        vendor: What opens its client.
        jobs: Returns the part of the client that has `job(**ref)`, and `start(**arguments)` if jobs can be started.
        starts: Whether jobs can be started, if they have `start`.
        whole: The field for a reference that is not an object, or None if all are objects.
        words: Returns its status words, if they are known.
        definition: What it was made from, or None.
    """

    name: str
    listing: Listing
    vendor: Vendor
    jobs: Callable[[Any], Any]
    starts: bool = True
    whole: str | None = None
    words: Callable[[], Mapping[Word, State]] = dict
    definition: Definition | None = None

    def fields_of(self, ref: Any) -> dict[str, Any] | None:
        """Return the fields of a reference as it is written, or None if it cannot be one."""
        if isinstance(ref, dict):
            return ref
        return None if self.whole is None or ref is None else {self.whole: ref}

    def check(self, ref: Mapping[str, Any]) -> None:
        """Raise ValueError if a field of a reference is unknown or missing."""
        self.listing.check([name for name in ref if name != CLIENT], self.name, shown)


@frozen
class _OwnClient:
    transport: Transport
    aclose: Callable[[], Awaitable[None]]


@define
class Targets:
    """Finds endpoints, each of them once.

    Attributes:
        kept: The texts of the definitions that a ledger keeps, by the name of the endpoint.
        code: Where endpoints in Python that a run uses are, by name.
    """

    kept: Mapping[str, str] = field(factory=dict)
    code: dict[str, str] = field(factory=dict)
    _found: dict[str, Target] = field(factory=dict, init=False)
    _vendors: dict[Any, Vendor] = field(factory=dict, init=False)

    @property
    def definitions(self) -> dict[str, str]:
        """The text of each definition that was found, by the name of the endpoint."""
        return {one.name: one.definition.text for one in self._found.values() if one.definition is not None}

    def name(self, specs: Iterable[str]) -> Target | None:
        """Find the endpoints that the command line names, so that lines may, too; return the first; see `load`."""
        found = [self.load(spec) for spec in specs]
        return found[0] if found else None

    def find(self, spec: str) -> Target:
        """Return the endpoint that a line or a ledger names; see `load`."""
        if _CODE.fullmatch(spec) and spec not in self._found:
            raise ValueError(f"{shown(spec)} is code; name it on the command line, too: --endpoint {shown(spec)}")
        return self.load(self.code.get(spec, spec))

    def load(self, spec: str) -> Target:
        """Return the endpoint that the command line names.

        Raises:
            ValueError: There is no such endpoint, or it cannot be used.
            OSError: A file cannot be read.
        """
        if spec not in self._found:
            target = self._made(spec)
            self._found[spec] = self._found[target.name] = target
        return self._found[spec]

    def _made(self, spec: str) -> Target:
        if code := _CODE.fullmatch(spec):
            target = self._in_code(lambda: _attribute(code[1], code[2]), spec, code[3])
            self.code[target.name] = spec
            return target
        if _FILE.fullmatch(spec):
            file, _, part = spec.partition("#")
            return self._defined(Definition.load(file), part)
        if spec in self.kept:
            return self._defined(_kept(spec, self.kept[spec]), spec)
        if spec in ENDPOINTS:
            return self._built_in(spec)
        for entry in entry_points(group="asyncpoll.endpoints", name=spec):
            target = self._in_code(entry.load, f"the entry point {spec}", None, spec)
            if target.name != spec:
                raise ValueError(f"the entry point {spec} is the endpoint {target.name}; both must have the same name")
            return target
        return self._defined(find(listed(spec, self._found).name), spec)

    def _built_in(self, name: str) -> Target:
        kind: type[Client] = getattr(providers, ENDPOINTS[name].client)

        def open_client(access: Access, account: str | None) -> Client:
            key, url = kind.variables(account)
            address = access.address(url, kind.url_variable) or kind.default_url
            return kind(access.key(key), base_url=address, name=account, **access.settings)

        def words() -> Mapping[Word, State]:
            found: Mapping[Word, State]
            found = import_module(f"asyncpoll.providers.{name.replace('.', '._')}").STATUSES.words
            return found

        vendor = self._vendors.setdefault(kind, Vendor(open_client, kind.variables))
        jobs = attrgetter(name.removeprefix(f"{kind.provider}."))
        return Target(name, ENDPOINTS[name], vendor, jobs, words=words)

    def _defined(self, definition: Definition, part: str | None) -> Target:
        """Return one endpoint of a definition."""
        names = [*definition.only(part).spec.endpoints] if part else [*definition.spec.endpoints]
        if len(names) > 1:
            parts = ", ".join(name.removeprefix(f"{definition.name}.") for name in names)
            raise ValueError(f"{definition.source} has several endpoints; add # and one of {parts}")
        spec, endpoint = definition.spec.endpoints[names[0]], definition.endpoints[names[0]]
        vendor = Vendor(partial(_open_defined, definition), partial(variables_of, definition))
        vendor = self._vendors.setdefault((definition.text, *definition.spec.endpoints), vendor)
        start = endpoint._start  # noqa: SLF001  of this package
        token = None if start is None else start.key
        listing = Listing("", spec.description, spec.required, tuple(spec.ref), spec.open, spec.predicts, token)
        jobs, words = itemgetter(spec.name), attrgetter("words")
        return Target(spec.name, listing, vendor, jobs, start is not None, None, partial(words, spec), definition)

    def _in_code(self, load: Callable[[], Any], spec: str, part: str | None, full: str | None = None) -> Target:
        """Return the endpoint that an object in Python is, or that a client has which it makes."""
        try:
            found = load()
        except Exception as error:
            raise ValueError(f"{spec} cannot be imported: {type(error).__name__}: {error}") from error
        if isinstance(found, Definition):
            return self._defined(found, part or full)
        if isinstance(found, Endpoint):
            return self._own(found)
        try:
            client = getattr(found, "from_env", found)()
            jobs = attrgetter(part) if part else _itself
            name, listing = jobs(client).endpoint.name, _listing(jobs(client).job)
            _, _ = client.transport, client.aclose
        except (TypeError, AttributeError) as error:
            raise ValueError(
                f"{spec} is not an Endpoint, a Definition, or what makes a client with transport, aclose(), endpoint "
                f"and job(); if an attribute of the client has the last two, add #NAME: {type(error).__name__}: {error}"
            ) from error

        def open_client(access: Access, account: str | None) -> Any:
            if not access.is_usual or account is not None:
                raise ValueError(
                    f"{spec} makes its own client, which no option changes; leave out --base-url, --key-file, "
                    "--key-env, --proxy and the like"
                )
            return client

        return Target(name, listing, Vendor(open_client), jobs)

    def _own(self, endpoint: Endpoint[Any, Any]) -> Target:
        """Return an endpoint in Python, which has neither an address nor a key; those of one vendor share a client."""
        vendor = endpoint.name.partition(".")[0]
        restore, is_text = endpoint.restore, endpoint.restore is as_text_alone
        whole = "id" if is_text else _WHOLE
        fielded = evolve(endpoint, restore=lambda ref: restore(ref.get(whole, ref)))

        def open_client(access: Access, account: str | None) -> _OwnClient:
            if account is not None:
                raise ValueError(f"endpoints in Python have one client; leave {CLIENT!r} out")
            if (address := access.address()) is None:
                raise ValueError(
                    f"an endpoint in Python, such as that of {vendor}, has no address; pass --base-url URL, and if it "
                    "needs a key --key-env NAME or --key-file FILE"
                )
            from asyncpoll.http import AiohttpTransport  # noqa: PLC0415  aiohttp takes 0.2 s to import

            auth = None if access.key_option is None else Bearer(access.key())
            own = AiohttpTransport(address, auth=auth, **access.settings)
            return _OwnClient(Retrying(Paced(own)), own.aclose)

        start = endpoint._start  # noqa: SLF001  of this package
        token, fields = None if start is None else start.key, ("id",) if is_text else ()
        listing = Listing("", "an endpoint in Python", fields, open=not is_text, token=token)
        shared = self._vendors.setdefault(vendor, Vendor(open_client))
        jobs = lambda client: Jobs(client.transport, fielded)  # noqa: E731  it is kept, not called here
        return Target(endpoint.name, listing, shared, jobs, start is not None, whole)


def _itself(client: Any) -> Any:
    return client


def _listing(job: Callable[..., Any]) -> Listing:
    """Return the fields of a reference, which are the arguments of the function that makes a job of it."""
    given = inspect.signature(job).parameters.values()
    named = [one for one in given if one.kind in {one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD}]
    required, optional = (
        tuple(one.name for one in named if (one.default is one.empty) == is_it) for is_it in (True, False)
    )
    return Listing("", "a client in Python", required, optional, any(one.kind is one.VAR_KEYWORD for one in given))


def _attribute(module: str, path: str) -> Any:
    """Import what the command line names; the current directory is looked in, too, after all others."""
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  as text
        sys.path.append(here)
    return attrgetter(path)(import_module(module))


# definitions


def variables_of(definition: Definition, name: str | None = None) -> tuple[str, str]:
    """Return the environment variables of the key and the address for the account with this name."""
    vendor, suffix = definition.vendor.upper().replace("-", "_"), suffix_of(name)
    own = definition.env if definition.spec.is_listed else None
    return f"{own or f'{vendor}_API_KEY'}{suffix}", f"{vendor}_BASE_URL{suffix}"


def address_of(definition: Definition, access: Access, name: str | None = None) -> str | None:
    """Return the address that an option or the environment names, or None for that of the definition."""
    return access.address(variables_of(definition, name)[1], variables_of(definition)[1])


def key_variable_of(definition: Definition, access: Access, name: str | None = None) -> str:
    """Return the environment variable of the key.

    Raises:
        DefinitionError: It must not be read, since the key could be sent to a stranger.
    """
    named = access.key_env or ("" if access.key_file is not None else None)
    variable = key_variable(definition, key_env=named, base_url=address_of(definition, access, name))
    return variable if named is not None else variables_of(definition, name)[0]


def _open_defined(definition: Definition, access: Access, name: str | None) -> Any:
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
    """Return the definition in a file, or of the catalogue.

    Raises:
        ValueError: It cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    return Definition.load(spec) if _FILE.fullmatch(spec) else listed(spec)


def listed(name: str, others: Iterable[str] = ()) -> Definition:
    """Return a definition of the catalogue by name; if there is none, *others* may have been meant, too."""
    try:
        return find(name)
    except ValueError:
        close = get_close_matches(name, [*ENDPOINTS, *others, *catalog()], 1, 0.75)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(
            f"no endpoint {shown(name)}; choose one of {', '.join(ENDPOINTS)}, one that asyncpoll endpoints --all "
            f"lists, or a file such as ./acme.toml{meant}"
        ) from None
