"""What the clients of all providers have in common: a transport, and the ways from names to jobs."""

from __future__ import annotations

import json
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from asyncpoll._endpoint import TOKEN_VERSION, Job
from asyncpoll.http.auth import Bearer
from asyncpoll.http.pace import Paced
from asyncpoll.http.retry import Retrying
from asyncpoll.providers.catalog import ENDPOINTS

if TYPE_CHECKING:
    from asyncpoll.http.message import Transport
    from asyncpoll.http.transport import AiohttpTransport

MAX_BODY = 8 << 20
"""The most bytes of an answer: 1 MB of text, six times that when JSON escapes every character, and some room."""

_LONGEST_NAME = 60


class Client:
    """An async context manager around a transport; its subclasses add a door for each endpoint.

    Args:
        key: The API key or token, sent as `Authorization: Bearer ...` to the origin of *base_url* only.
        base_url: Where the API is; https, or http on a loopback host.
        transport: What to send over instead; it has its own address and credential, and is not closed with the client.

    Raises:
        ValueError: The key is empty or cannot be sent, or *base_url* is no usable address.
    """

    provider: ClassVar[str]
    key_variable: ClassVar[str]
    url_variable: ClassVar[str]
    default_url: ClassVar[str]

    def __init__(self, key: str, *, base_url: str, transport: Transport | None = None) -> None:
        auth = Bearer(key)
        self._own: AiohttpTransport | None = None
        if transport is None:
            from asyncpoll.http.transport import AiohttpTransport  # noqa: PLC0415  aiohttp takes 0.2 s to import

            self._own = own = AiohttpTransport(base_url, auth=auth, max_body=MAX_BODY)
            transport = Retrying(Paced(own))
        self.transport: Transport = transport

    @classmethod
    def from_env(cls) -> Self:
        """Return a client with the key, and the base address if one is set, from the environment.

        Raises:
            ValueError: The variable for the key is not set.
        """
        key = os.environ.get(cls.key_variable)
        if not key:
            raise ValueError(f"the environment variable {cls.key_variable} is not set; set it to your key")
        return cls(key, base_url=os.environ.get(cls.url_variable) or cls.default_url)

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
            **ref: What the door of the endpoint calls a job by: the arguments of its `job` method.

        Raises:
            ValueError: This client has no such endpoint, or the reference does not fit it.
        """
        if endpoint not in ENDPOINTS or not endpoint.startswith(f"{self.provider}."):
            known = ", ".join(name for name in ENDPOINTS if name.startswith(f"{self.provider}."))
            raise ValueError(f"there is no endpoint {endpoint[:_LONGEST_NAME]!r} here; choose from {known}")
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
        return self.job(endpoint, **ref)


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
