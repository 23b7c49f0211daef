"""`Client`, the base of the clients of all providers: a transport, and the ways from names to jobs."""

from __future__ import annotations

import json
import os
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from asyncpoll._endpoint import TOKEN_VERSION, Job
from asyncpoll.http._auth import Bearer, Key
from asyncpoll.http._pace import Paced
from asyncpoll.http._retry import Retrying
from asyncpoll.http._settings import TransportSettings
from asyncpoll.providers.adapt import CLIENT, Adaptation, Words, check_name
from asyncpoll.providers.catalog import ENDPOINTS

if TYPE_CHECKING:
    from asyncpoll.http._message import Transport
    from asyncpoll.http.transport import AiohttpTransport

NO_WORDS: Words = MappingProxyType({})
_LONGEST_NAME = 60


class Client:
    """An async context manager around a transport; its subclasses have an endpoint client for each endpoint.

    Args:
        key: The API key or token, sent as `Authorization: Bearer ...` to the origin of *base_url* only: text, or a
            function, plain or async, that returns it and is called before each request (see `asyncpoll.http.Bearer`).
        base_url: The address of the API: https, or http on a loopback host, or http anywhere with `insecure=True`.
        transport: A transport to send over instead. It has its own address, credential and settings, and is not closed
            with the client.
        name: A name for the account, if several clients of one provider work in one run or ledger. It becomes a part
            of the keys of the jobs, and must be the same when a stored job is made again.
        words: Further status words by endpoint, such as `{"bigmodel.file_parser": {"success": State.SUCCESS}}`.
        **settings: The settings of the transport: `proxy=`, `ssl=`, `insecure=` and the rest of `TransportSettings`.

    Raises:
        ValueError: The key is empty or cannot be sent, *base_url* is not a usable address, or another argument is
            unusable.
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
        auth = Bearer(key)
        self._check_settings(settings, transport)
        self._adaptation = Adaptation(name, self._own_words(words))
        self._own: AiohttpTransport | None = None
        if transport is None:
            from asyncpoll.http.transport import AiohttpTransport  # noqa: PLC0415  aiohttp takes 0.2 s to import

            self._own = own = AiohttpTransport(base_url, auth=auth, **settings)
            transport = Retrying(Paced(own))
        self.transport: Transport = transport

    @classmethod
    def from_env(
        cls, *, name: str | None = None, words: Words = NO_WORDS, **settings: Unpack[TransportSettings]
    ) -> Self:
        """Return a client with the key, and the base address if one is set, from the environment.

        Args:
            name: The name of the client. Its variables end in it: for the name "team-a" the key of `BigModel` is in
                `BIGMODEL_API_KEY_TEAM_A`. Without an address of its own it has the one of the provider.
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
        """Return the environment variables for the key and the address of a client with this name.

        Raises:
            ValueError: *name* cannot be the name of a client.
        """
        suffix = "" if check_name(name) is None else f"_{name}".upper().replace("-", "_")
        return cls.key_variable + suffix, cls.url_variable + suffix

    @property
    def name(self) -> str | None:
        """The name of the client, or None."""
        return self._adaptation.name

    def _check_settings(self, settings: TransportSettings, transport: Transport | None) -> None:
        for setting in settings:
            if setting not in TransportSettings.__annotations__:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {setting!r}")
            if transport is not None:
                raise ValueError(f"a given transport has settings of its own; pass {setting}= to it instead")

    def _own_words(self, words: Words) -> Words:
        known = [name for name in ENDPOINTS if name.startswith(f"{self.provider}.")]
        for endpoint in words:
            if endpoint not in known:
                raise ValueError(f"words: there is no endpoint {endpoint!r:.60} here; choose from {', '.join(known)}")
        return words

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client's own transport; one that was given to it stays open."""
        if self._own is not None:
            await self._own.aclose()

    @property
    def requests(self) -> int:
        """How many requests were really sent, repeated ones too; 0 over a given transport that does not count."""
        count: int = getattr(self._own or self.transport, "requests", 0)
        return count

    def job(self, endpoint: str, /, **ref: Any) -> Job[Any]:
        """Return a job by the name of its endpoint; `asyncpoll.providers.ENDPOINTS` lists names and fields.

        Args:
            endpoint: Such as "bigmodel.agents".
            **ref: The arguments of the `job` method of the endpoint client, and maybe `client`, the name of this
                client.

        Raises:
            ValueError: This client does not have the endpoint, the reference does not fit it, or belongs to a client
                with another name.
        """
        if endpoint not in ENDPOINTS or not endpoint.startswith(f"{self.provider}."):
            known = ", ".join(name for name in ENDPOINTS if name.startswith(f"{self.provider}."))
            raise ValueError(f"there is no endpoint {endpoint[:_LONGEST_NAME]!r} here; choose from {known}")
        owner = ref.pop(CLIENT, self.name)
        if owner != self.name:
            raise ValueError(f"the job belongs to {_described(owner)}, and this is {_described(self.name)}")
        ENDPOINTS[endpoint].check(ref)
        door = getattr(self, endpoint.removeprefix(f"{self.provider}."))
        job: Job[Any] = door.job(**ref)
        return job

    def job_from_json(self, text: str) -> Job[Any]:
        """Return the job that `Job.to_json` wrote down, here or in another process.

        Raises:
            ValueError: It is no such text, from another version, or of an endpoint that this client does not have.
        """
        endpoint, ref = _read_token(text)
        return self.job(endpoint, **{CLIENT: None, **ref})


def _described(name: object) -> str:
    return "a client without a name" if name is None else f"the client named {str(name)[:_LONGEST_NAME]!r}"


def _read_token(text: str) -> tuple[str, dict[str, Any]]:
    try:
        token = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise ValueError("this is no job written by to_json(): it is not JSON") from None
    match token:
        case {"version": int(version), "endpoint": str(endpoint), "ref": dict(ref), **rest} if not rest:
            pass
        case _:
            raise ValueError("this is no job written by to_json(): version, endpoint and ref are expected")
    if version != TOKEN_VERSION:
        raise ValueError(f"the job was written in version {version}; this one reads version {TOKEN_VERSION}")
    return endpoint, ref
