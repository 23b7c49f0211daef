"""The base of all clients: `Client` with its transport and its jobs, and what it changes in its endpoints.

A client may have a name, for runs with several accounts of one provider. The name becomes the field `client` of each
reference as it is written down: in the keys of jobs, in `Job.to_json`, and in ledgers. So a job of one account is never
taken for a job of another. A client may also list status words that the vocabulary of an endpoint lacks.
"""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, Unpack

from attrs import evolve, field, frozen

from asyncpoll._checks import Time
from asyncpoll._endpoint import Endpoint, Job, with_token_marks
from asyncpoll._errors import BadReply
from asyncpoll._job_tokens import read_token
from asyncpoll._state import State, Vocabulary
from asyncpoll._structure import at, malformed, text_of
from asyncpoll.http import Bearer, Paced, Reply, Retrying, TransportSettings, segment
from asyncpoll.http._auth import Key
from asyncpoll.providers._catalog import ENDPOINTS

if TYPE_CHECKING:
    from asyncpoll.http import AiohttpTransport, Auth, Transport

T = TypeVar("T")
Ref = TypeVar("Ref")

CLIENT = "client"
"""The field of a written reference that holds the name of the client."""

Words = Mapping[str, Mapping[Any, State]]
"""Further status words: from the name of an endpoint to a mapping from words to states."""

NO_WORDS: Words = MappingProxyType({})

_LONGEST_NAME = 60
_NAME = re.compile(r"[a-z0-9_-]{1,40}")


def check_name(name: object) -> str | None:
    """Return the name of a client, or None for a client without a name.

    Raises:
        ValueError: The name has other characters than lower-case letters, digits, dashes and underscores, none, or
            more than 40.
    """
    if name is None or (isinstance(name, str) and _NAME.fullmatch(name)):
        return name
    raise ValueError("name must be 1 to 40 lower-case letters, digits, '-' and '_'")


def suffix_of(name: str | None) -> str:
    """Return how the environment variables of a client with this name end, or raise as `check_name`."""
    return "" if check_name(name) is None else f"_{name}".upper().replace("-", "_")


@frozen
class Adaptation:
    """Adapts the endpoints of a provider to one client.

    Attributes:
        name: The name of the client, or None.
        words: Further status words, by the name of the endpoint.
    """

    name: str | None = field(default=None, converter=check_name)
    words: Words = NO_WORDS

    def apply(self, endpoint: Endpoint[Ref, T], statuses: Vocabulary) -> Endpoint[Ref, T]:
        """Return the adapted endpoint, or *endpoint* itself if there is nothing to change.

        Args:
            endpoint: An endpoint whose `read` and `group.read` have a keyword `words`.
            statuses: Its vocabulary.

        Raises:
            TypeError: A word is not text, an integer or a boolean.
            ValueError: A word stands for two states, or something is not a state.
        """
        if self.words.get(endpoint.name):
            words = statuses.extended(self.words[endpoint.name])
            group = endpoint.group
            if group is not None:
                group = evolve(group, read=_reading(group.read, words))
            endpoint = evolve(endpoint, read=_reading(endpoint.read, words), group=group)
        if self.name is not None:
            endpoint = evolve(endpoint, plain=partial(named, endpoint.plain, self.name))
        return endpoint


def _reading(read: Callable[..., Any], words: Vocabulary) -> Callable[..., Any]:
    return partial(read, words=words)


def named(plain: Callable[[Any], Any], name: str, ref: Any) -> dict[str, Any]:
    """Return a written reference with the name of the client."""
    return {**plain(ref), CLIENT: name}


class BaseClient:
    """A transport of its own, or a given one, and jobs: the base of the clients of providers and of definitions.

    Args:
        auth: The credential of a transport of its own, or None.
        base_url: The address of the API.
        transport: A transport to use instead of a new one, or None.
        name: The name of the client, or None.
        settings: The settings of a transport of its own.
    """

    def __init__(
        self,
        auth: Auth | None,
        base_url: str,
        transport: Transport | None,
        name: str | None,
        settings: TransportSettings,
    ) -> None:
        for setting in settings:
            if setting not in TransportSettings.__annotations__:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {setting!r}")
            if transport is not None:
                raise ValueError(f"a given transport has settings of its own; pass {setting}= to it instead")
        self.name = check_name(name)
        self._own: AiohttpTransport | None = None
        if transport is None:
            from asyncpoll.http import AiohttpTransport  # noqa: PLC0415  aiohttp takes 0.2 s to import

            self._own = own = AiohttpTransport(base_url, auth=auth, **settings)
            transport = Retrying(Paced(own))
        self.transport: Transport = transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the transport of the client. A transport that was passed to it stays open."""
        if self._own is not None:
            await self._own.aclose()

    @property
    def requests(self) -> int:
        """Return how many requests were sent, or 0 for a transport of another class that does not count them."""
        count: int = getattr(self._own or self.transport, "requests", 0)
        return count

    def own_fields(self, ref: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a reference without the name of its client, which must be this one.

        Raises:
            ValueError: The job belongs to a client with another name.
        """
        fields = dict(ref)
        owner = fields.pop(CLIENT, self.name)
        if owner != self.name:
            raise ValueError(f"the job belongs to {_described(owner)}, and this is {_described(self.name)}")
        return fields

    @abstractmethod
    def job(self, endpoint: str, /, *, submitted_at: Time | None = None, **ref: Any) -> Job[Any]:
        """Return a job by the name of its endpoint."""

    def job_from_json(self, text: str) -> Job[Any]:
        """Return the job that `Job.to_json` wrote, in this process or another one.

        Raises:
            ValueError: The text was not written by `Job.to_json`, was written by another version, or names an endpoint
                that this client does not have.
        """
        endpoint, ref = read_token(text)
        if not isinstance(ref, dict):
            raise ValueError(  # noqa: TRY004  as all bad tokens
                "this is not a job of a client: version, endpoint and ref are expected, and ref is an object"
            )
        return with_token_marks(self.job(endpoint, **{CLIENT: None, **ref}), text)


class Client(BaseClient):
    """The base of the clients of providers, async context managers with an attribute for each endpoint.

    Args:
        key: The API key or token, sent as `Authorization: Bearer ...` to the origin of *base_url* only: text, or a
            function, plain or async, that returns it and is called before each request (see `asyncpoll.http.Bearer`).
        base_url: The address of the API: https, or http on a loopback host, or http anywhere with `insecure=True`.
        transport: A transport to use instead of a new one. It has its own address, credential and settings, and is not
            closed with the client.
        name: A name for the account, if several clients of one provider are used in one run or ledger. It is part of
            the keys of the jobs, and must be the same when a stored job is made again.
        words: Further status words by endpoint, such as `{"bigmodel.file_parser": {"success": State.SUCCESS}}`.
        **settings: The settings of the transport: `proxy=`, `ssl=`, `insecure=` and the rest of `TransportSettings`.

    Raises:
        ValueError: The key is empty or cannot be sent, or *base_url*, *name*, *words* or a setting is unusable.
        TypeError: A setting is unknown or of another type.
    """

    provider: ClassVar[str]
    key_variable: ClassVar[str]
    url_variable: ClassVar[str]
    default_url: ClassVar[str]

    def __init__(
        self,
        key: Key,
        *,
        base_url: str,
        transport: Transport | None = None,
        name: str | None = None,
        words: Words = NO_WORDS,
        **settings: Unpack[TransportSettings],
    ) -> None:
        super().__init__(Bearer(key), base_url, transport, name, settings)
        self._adaptation = Adaptation(name, self._own_words(words))

    @classmethod
    def from_env(
        cls, *, name: str | None = None, words: Words = NO_WORDS, **settings: Unpack[TransportSettings]
    ) -> Self:
        """Return a client whose key, and base address if there is one, are in environment variables.

        Args:
            name: The name of the client. Its variables end with it: for the name "team-a", the key of `BigModel` is in
                `BIGMODEL_API_KEY_TEAM_A`. Without a variable for its address, it uses that of the client without name.
            words: As for the class.
            **settings: As for the class.

        Raises:
            ValueError: The variable for the key is not set, or as for the class.
        """
        key_variable, url_variable = cls.variables(name)
        key = os.environ.get(key_variable)
        if not key:
            raise ValueError(f"the environment variable {key_variable} is not set; set it to your key")
        url = os.environ.get(url_variable) or os.environ.get(cls.url_variable) or cls.default_url
        return cls(key, base_url=url, name=name, words=words, **settings)

    @classmethod
    def variables(cls, name: str | None = None) -> tuple[str, str]:
        """Return the names of the environment variables for the key and the address of a client.

        Raises:
            ValueError: *name* is unusable as the name of a client.
        """
        suffix = suffix_of(name)
        return cls.key_variable + suffix, cls.url_variable + suffix

    def _own_words(self, words: Words) -> Words:
        known = [name for name in ENDPOINTS if name.startswith(f"{self.provider}.")]
        for endpoint in words:
            if endpoint not in known:
                raise ValueError(f"words: there is no endpoint {endpoint!r:.60} here; choose from {', '.join(known)}")
        return words

    def job(self, endpoint: str, /, *, submitted_at: Time | None = None, **ref: Any) -> Job[Any]:
        """Return a job by the name of its endpoint; `asyncpoll.providers.ENDPOINTS` lists names and fields.

        Args:
            endpoint: A name such as "bigmodel.agents".
            submitted_at: The time of its submit, if it is known; see `Job.with_submitted_at`.
            **ref: The arguments of the endpoint's `job` method. `client`, the name of this client, may be added.

        Raises:
            ValueError: This client does not have the endpoint, the reference does not fit it, or it belongs to a
                client with another name. Or the time is in the future.
        """
        if endpoint not in ENDPOINTS or not endpoint.startswith(f"{self.provider}."):
            known = ", ".join(name for name in ENDPOINTS if name.startswith(f"{self.provider}."))
            raise ValueError(f"there is no endpoint {endpoint[:_LONGEST_NAME]!r} here; choose from {known}")
        fields = self.own_fields(ref)
        ENDPOINTS[endpoint].check(fields)
        jobs = getattr(self, endpoint.removeprefix(f"{self.provider}."))
        job: Job[Any] = jobs.job(**fields, submitted_at=submitted_at)
        return job


def _described(name: object) -> str:
    return "a client without a name" if name is None else f"the client named {str(name)[:_LONGEST_NAME]!r}"


def started_id(reply: Reply, *path: str, check: Callable[[str, str], object] = segment) -> str:
    """Return the id of a job that was submitted. It may be text or an integer.

    Args:
        reply: The answer to the submit.
        path: Where the id is in it.
        check: `segment` for an id that is sent in paths, `identifier` for one that is sent in bodies.

    Raises:
        BadReply: There is no usable id. The job may be running all the same.
    """
    where = ".".join(("$", *path))
    value = text_of(at(reply.json, *path))
    if value is None:
        raise malformed(where, "an id is expected", reply)
    try:
        check(where, value)
    except ValueError as problem:
        raise BadReply(f"the answer has no usable id: {problem}", reply=reply) from None
    return value
