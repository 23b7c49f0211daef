"""From what a user writes for an endpoint to the endpoint itself: one resolution for every verb, line and ledger.

An endpoint is written in one of these ways, and `Targets.find` tries them in this order:

- `./acme.toml`, or `acme.toml#renders` where there are several: a file with a definition. It has a slash, or ends with
  .toml or .json.
- `package.module:attribute`: an `Endpoint`, a `Definition`, or a class or function that makes a client. `#renders`
  behind it names the attribute of the client that has the jobs. Code is imported only if the command line names it, or
  the ledger of such a run does: a line of a file cannot, since it may come from elsewhere.
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
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, Protocol

from attrs import define, evolve, field, frozen

from asyncpoll import providers
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._job_tokens import as_text_alone, write_token
from asyncpoll._state import State, Word
from asyncpoll.cli._access import Access
from asyncpoll.cli._output import message_of, shown
from asyncpoll.definitions import Definition, catalog, find
from asyncpoll.definitions._catalog import key_variable
from asyncpoll.http import Bearer
from asyncpoll.http._urls import Origin
from asyncpoll.providers import ENDPOINTS, Listing
from asyncpoll.providers._client import CLIENT, BaseClient, Client, suffix_of

GROUP = "asyncpoll.endpoints"
"""The group of entry points that are endpoints."""

NOTHING: Mapping[str, str] = MappingProxyType({})

_WHOLE = ""
"""The field for a reference of an endpoint in Python that is not an object."""

_CODE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)(?:#([A-Za-z_]\w*))?")
_FILE = re.compile(r"(?:.*/)?[^#]*\.(?:toml|json)(?:#.*)?|.*/.*", re.DOTALL)
_TOKENS: Mapping[str, str] = MappingProxyType({"molizhishu.tasks": "consumer_task_id"})
"""From the name of a built-in endpoint to the argument with which its API tells a repeated submit from a new one."""


class ClientSource(Protocol):
    """What opens the client of one or several endpoints. Endpoints with equal sources share a client."""

    def open(self, access: Access, name: str | None) -> Any:
        """Return a client, an async context manager with a `transport`, for the account with this name.

        Raises:
            ValueError: There is no key, or the key or the address is unusable.
            OSError: The key file cannot be read.
        """

    def variables(self, name: str | None) -> tuple[str, str]:
        """Return the variables that hold its key and its address; nothing for one that does not look there."""


@frozen(eq=False)
class Target:
    """An endpoint as the command line uses it.

    Attributes:
        name: Its full name, which is in the keys of its jobs.
        listing: The fields of its references.
        source: What opens its client.
        jobs: Returns the part of the client that has `job(**ref)`, and `start(**arguments)` if jobs can be started.
        token: The argument with which its API tells a repeated submit from a new one, or None.
        whole: The field for a reference that is not an object, or None if all are objects.
        words: Returns its status words, if they are known.
        definition: The text from which it was made, or None.
    """

    name: str
    listing: Listing
    source: ClientSource
    jobs: Callable[[Any], Any]
    token: str | None = None
    whole: str | None = None
    words: Callable[[], Mapping[Word, State]] = dict
    definition: Definition | None = None

    def fields_of(self, ref: Any) -> dict[str, Any] | None:
        """Return the fields of a reference as it is written, or None if it cannot be one."""
        if isinstance(ref, dict):
            return ref
        return None if self.whole is None or ref is None else {self.whole: ref}

    def check(self, ref: Mapping[str, Any]) -> None:
        """Check the names of the fields of a reference, and suggest the name that was meant.

        Raises:
            ValueError: A field is unknown or missing.
        """
        listing = self.listing
        if ref.keys() - {CLIENT} == set(listing.required):
            return
        missing = [name for name in listing.required if name not in ref]
        absent = [name for name in (*listing.required, *listing.optional) if name not in ref]
        stray = [name for name in ref if name not in {*listing.required, *listing.optional, CLIENT}]
        for name in stray:
            if meant := get_close_matches(name.lower().replace("-", "_"), absent, 1, 0.7 if missing else 0.85):
                raise ValueError(f"{self.name} has no field {shown(name)}; did you mean {meant[0]}?")
        if missing:
            raise ValueError(f"a reference needs {', '.join(listing.required)}; it lacks {', '.join(missing)}")
        if stray and not listing.open:
            known = ", ".join((*listing.required, *listing.optional))
            raise ValueError(f"a reference has no {shown(stray[0])}; its fields are {known}")


@frozen
class Provider:
    """The source of the endpoints of a built-in client."""

    kind: type[Client]

    def open(self, access: Access, name: str | None) -> Client:
        """Return a client; the environment says what the options do not."""
        key_variable, url_variable = self.variables(name)
        address = access.address(url_variable, self.kind.url_variable) or self.kind.default_url
        return self.kind(access.key(key_variable), base_url=address, name=name, **access.settings)

    def variables(self, name: str | None) -> tuple[str, str]:
        """Return the names of its environment variables."""
        return self.kind.variables(name)


@frozen
class _Own:
    """The source of endpoints of one vendor that were made in Python: these have neither an address nor a key.

    Attributes:
        vendor: The first part of their names.
    """

    vendor: str

    def open(self, access: Access, name: str | None) -> _OwnClient:
        """Return a client that sends the key that the options name, or none."""
        if name is not None:
            raise ValueError(f"endpoints in Python have one client; leave {CLIENT!r} out")
        if (address := access.address()) is None:
            raise ValueError(
                f"an endpoint in Python, such as that of {self.vendor}, has no address; pass --base-url URL, and if it "
                "needs a key --key-env NAME or --key-file FILE"
            )
        auth = None if access.key_option is None else Bearer(access.key())
        return _OwnClient(auth, address, None, None, access.settings)

    def variables(self, name: str | None) -> tuple[str, str]:  # noqa: ARG002  they do not depend on it
        """Return nothing: it has no variables of its own."""
        return "", ""


class _OwnClient(BaseClient):
    """A client for endpoints that were made in Python."""

    def job(self, endpoint: Endpoint[Any, Any], /, **ref: Any) -> Job[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  it does not know them by name
        """Return a job of an endpoint, given its reference as JSON data by field."""
        data = next(iter(ref.values())) if endpoint.restore is as_text_alone or _WHOLE in ref else ref
        return endpoint.job_from_json(self.transport, write_token(endpoint.name, data))


@frozen
class _OwnJobs:
    """The jobs of one endpoint that was made in Python.

    Attributes:
        endpoint: The endpoint.
        client: The client of its vendor.
    """

    endpoint: Endpoint[Any, Any]
    client: _OwnClient

    def job(self, **ref: Any) -> Job[Any]:
        """Return a job, given its reference as JSON data by field."""
        return self.client.job(self.endpoint, **ref)

    @property
    def start(self) -> Callable[..., Awaitable[Job[Any]]] | None:
        """Return the function that starts a job, or None."""
        if self.endpoint._start is None:  # noqa: SLF001  of this package
            return None
        return partial(self.endpoint.start, self.client.transport)


@frozen(eq=False)
class _Made:
    """The source of a client that code of the user has made, with its own address and key."""

    client: Any
    spec: str

    def open(self, access: Access, name: str | None) -> Any:
        """Return the client."""
        if not access.is_usual or name is not None:
            raise ValueError(
                f"{self.spec} makes its own client, which no option changes; leave out --base-url, --key-file, "
                "--key-env, --proxy and the like"
            )
        return self.client

    variables = _Own.variables


@frozen(eq=False)
class Defined:
    """The source of the endpoints of a definition."""

    definition: Definition

    def open(self, access: Access, name: str | None) -> Any:
        """Return a client. Its key is that of the variable only if the rule about keys allows it."""
        address = access.address(self.variables(name)[1], self.variables(None)[1])
        key = None if self.is_open else access.key(self._key_variable(access, address, name))
        return self.definition.client(key or "", base_url=address, name=name, **access.settings)

    def variables(self, name: str | None) -> tuple[str, str]:
        """Return the names of its environment variables; see `sent` for whether the first one is read."""
        vendor, suffix = self.definition.vendor.upper().replace("-", "_"), suffix_of(name)
        own = self.definition.env if self.definition.spec.is_listed else None
        return f"{own or f'{vendor}_API_KEY'}{suffix}", f"{vendor}_BASE_URL{suffix}"

    @property
    def is_open(self) -> bool:
        """Whether the API takes no key."""
        return self.definition.spec.auth.scheme == "none"

    def sent(self, access: Access) -> str:
        """Return which variable is sent where, and whether it is set; or why it is not sent. Nothing is sent."""
        address = access.address(self.variables(None)[1]) or self.definition.base
        if address is None:
            return "there is no address; pass --base-url URL"
        origin = Origin.of(address)
        if self.is_open:
            return f"requests go to {origin}, without a key"
        try:
            variable = self._key_variable(access, access.address(self.variables(None)[1]), None)
        except ValueError as problem:
            return message_of(problem)
        now = "set" if variable in os.environ else "not set"
        return f"requests go to {origin}, with the key in {variable}, which is {now}"

    def _key_variable(self, access: Access, address: str | None, name: str | None) -> str | None:
        if access.key_option is not None:
            return access.key_env
        key_variable(self.definition, base_url=address)
        return self.variables(name)[0]


@define
class Targets:
    """Finds endpoints, each of them once.

    Attributes:
        kept: The texts of the definitions that a ledger keeps, by the name of the endpoint.
        code: Where endpoints in Python that a run uses are, by name.
    """

    kept: Mapping[str, str] = NOTHING
    code: dict[str, str] = field(factory=dict)
    _found: dict[str, Target] = field(factory=dict, init=False)
    _sources: dict[tuple[str, ...], Defined] = field(factory=dict, init=False)

    def name(self, specs: Iterable[str]) -> Target | None:
        """Find the endpoints that the command line names, so that lines may, too; return the first.

        Raises:
            ValueError: There is no such endpoint, or it cannot be used.
            OSError: A file cannot be read.
        """
        found = [self.load(spec) for spec in specs]
        return found[0] if found else None

    def find(self, spec: str) -> Target:
        """Return the endpoint that a line or a ledger names.

        Raises:
            ValueError, OSError: As `name`.
        """
        if spec in self._found:
            return self._found[spec]
        if spec in self.code:
            return self.load(self.code[spec])
        if _CODE.fullmatch(spec):
            raise ValueError(f"{shown(spec)} is code; name it on the command line, too: --endpoint {shown(spec)}")
        return self.load(spec)

    def load(self, spec: str) -> Target:
        """Return the endpoint that the command line names.

        Raises:
            ValueError, OSError: As `name`.
        """
        if spec not in self._found:
            target = self._made(spec)
            self._found[spec] = self._found[target.name] = target
        return self._found[spec]

    def _made(self, spec: str) -> Target:
        if code := _CODE.fullmatch(spec):
            found = _attribute(spec, code[1], code[2])
            is_defined = isinstance(found, Definition)
            target = self._defined(found, code[3]) if is_defined else _in_code(found, spec, code[3])
            self.code[target.name] = spec
            return target
        if _FILE.fullmatch(spec):
            file, _, part = spec.partition("#")
            return self._defined(Definition.load(file), part)
        return self._named(spec)

    def _named(self, name: str) -> Target:
        if name in self.kept:
            return self._defined(_kept(name, self.kept[name]), name)
        if name in ENDPOINTS:
            return _built_in(name)
        for entry in entry_points(group=GROUP, name=name):
            found, spec = _loaded(entry), f"the entry point {name}"
            target = self._defined(found, name) if isinstance(found, Definition) else _in_code(found, spec, None)
            if target.name != name:
                raise ValueError(f"{spec} is the endpoint {target.name}; both must have the same name")
            return target
        return self._defined(find(listed(name, self._found).name), name)

    def _defined(self, definition: Definition, part: str | None) -> Target:
        """Return one endpoint of a definition."""
        if part or len(definition.spec.endpoints) > 1:
            if not part:
                parts = ", ".join(name.removeprefix(f"{definition.name}.") for name in definition.spec.endpoints)
                raise ValueError(f"{definition.source} has several endpoints; add # and one of {parts}")
            ((name, spec),) = definition.only(part).spec.endpoints.items()
        else:
            ((name, spec),) = definition.spec.endpoints.items()
        source = self._sources.setdefault((definition.text, *definition.spec.endpoints), Defined(definition))
        listing = Listing("", spec.description, spec.required, tuple(spec.ref), spec.open, spec.predicts)
        jobs, token = itemgetter(name), _token(definition.endpoints[name])
        return Target(name, listing, source, jobs, token, words=lambda: spec.words, definition=definition)

    @property
    def definitions(self) -> dict[str, str]:
        """The text of each definition that was found, by the name of the endpoint."""
        return {one.name: one.definition.text for one in self._found.values() if one.definition is not None}


def definition_of(spec: str) -> Definition:
    """Return the definition in a file, or of the catalogue.

    Raises:
        ValueError: It cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    return Definition.load(spec) if _FILE.fullmatch(spec) else listed(spec, ())


def _kept(name: str, text: str) -> Definition:
    """Return a definition that a ledger keeps. It is as good as that of the catalogue if its requests go there, too."""
    definition = Definition.parse(text, source=f"the definition of {name}")
    own = catalog().get(name)
    if own is None or (own.base, own.env) != (definition.base, definition.env):
        return definition
    return evolve(definition, spec=evolve(definition.spec, is_listed=True))


def listed(name: str, others: Iterable[str]) -> Definition:
    """Return the definition of the catalogue that has an endpoint with this name; *others* may be meant as well.

    Raises:
        ValueError: There is none.
    """
    try:
        return find(name)
    except ValueError:
        close = get_close_matches(name, [*ENDPOINTS, *others, *catalog()], 1, 0.75)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(
            f"no endpoint {shown(name)}; choose one of {', '.join(ENDPOINTS)}, one that asyncpoll endpoints --all "
            f"lists, or a file such as ./acme.toml{meant}"
        ) from None


def _built_in(name: str) -> Target:
    listing = ENDPOINTS[name]
    kind: type[Client] = getattr(providers, listing.client)
    jobs = attrgetter(name.removeprefix(f"{kind.provider}."))
    return Target(name, listing, Provider(kind), jobs, token=_TOKENS.get(name), words=lambda: _built_in_words(name))


def _built_in_words(name: str) -> Mapping[Word, State]:
    words: Mapping[Word, State] = import_module(f"asyncpoll.providers.{name.replace('.', '._')}").STATUSES.words
    return words


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise ValueError(f"the entry point {entry.name} ({entry.value}) cannot be used: {_problem(error)}") from error


def _attribute(spec: str, module: str, path: str) -> Any:
    """Import what the command line names; the current directory is looked in, too, after all others."""
    if os.getcwd() not in sys.path:  # noqa: PTH109  as text
        sys.path.append(os.getcwd())  # noqa: PTH109  likewise
    try:
        return attrgetter(path)(import_module(module))
    except Exception as error:
        raise ValueError(f"{spec} cannot be imported: {_problem(error)}") from error


def _problem(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _in_code(found: Any, spec: str, part: str | None) -> Target:
    """Return the endpoint that an object in Python is, or that a client has which it makes."""
    if isinstance(found, Endpoint):
        is_text = found.restore is as_text_alone
        listing = Listing("", "an endpoint in Python", ("id",) if is_text else (), open=not is_text)
        source, whole = _Own(found.name.partition(".")[0]), "id" if is_text else _WHOLE
        return Target(found.name, listing, source, partial(_OwnJobs, found), _token(found), whole)
    if not callable(found):
        raise ValueError(  # noqa: TRY004  as for all that a user may write
            f"{spec} is not an Endpoint, a Definition, or a function or class that makes a client"
        )
    try:
        client = getattr(found, "from_env", found)()
        jobs = _itself if part is None else attrgetter(part)
        endpoint, job = jobs(client).endpoint, jobs(client).job
        _, _ = client.transport, client.aclose
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"{spec} does not make a client without arguments, with transport, aclose(), job(**ref) and endpoint; "
            f"if one of its attributes has them, add #ATTRIBUTE: {_problem(error)}"
        ) from error
    return Target(endpoint.name, _listing(job, spec), _Made(client, spec), jobs, _token(endpoint))


def _token(endpoint: Endpoint[Any, Any]) -> str | None:
    start = endpoint._start  # noqa: SLF001  of this package
    return None if start is None else start.key


def _itself(client: Any) -> Any:
    return client


def _listing(job: Callable[..., Any], spec: str) -> Listing:
    """Return the fields of a reference, which are the arguments of the function that makes a job of it."""
    parameters = inspect.signature(job).parameters.values()
    named = [one for one in parameters if one.kind in {one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD}]
    return Listing(
        "",
        f"an endpoint of {spec}",
        tuple(one.name for one in named if one.default is one.empty),
        tuple(one.name for one in named if one.default is not one.empty),
        open=any(one.kind is one.VAR_KEYWORD for one in parameters),
    )
