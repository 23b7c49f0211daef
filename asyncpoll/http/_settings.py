"""The settings of a transport: `TransportSettings` as keywords, its limits, and the proxy that it goes through."""

from __future__ import annotations

import math
import os
from base64 import b64encode
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from attrs import Attribute, field, frozen

from asyncpoll._checks import is_number
from asyncpoll.http.link import Origin
from asyncpoll.http.redact import Mask, Secret

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import ClientSession

MAX_BODY = 64 << 20
"""The default of `max_body`, in bytes."""

UPLOAD_RATE = 32 << 10
"""Bytes a second that an upload may count on when its time limit is set."""

_SHARE_OF_DESCRIPTORS = 0.6  # the rest is for files, the event loop, and everything else in the process


class TransportSettings(TypedDict, total=False):
    """The keywords of `AiohttpTransport` that every client takes, too.

    Attributes:
        session: An `aiohttp.ClientSession` to send through. It is not closed with the transport.
        proxy: The URL of a proxy, such as `http://user:password@proxy.example:3128`.
        trust_env: Whether to use the proxy that `HTTP_PROXY` or `HTTPS_PROXY` names, except for hosts in `NO_PROXY`.
        ssl: The certificates to trust, if not those of the system.
        insecure: Whether http is allowed for every host; the credential is then sent without encryption.
        attempt: Seconds from the connection to the headers of the reply.
        connect: Seconds of `attempt` for the connection: DNS, TCP and TLS.
        read_gap: Seconds between two pieces of a body.
        max_body: The most bytes of a body, decompressed.
        connections: The most exchanges at one time.
    """

    session: ClientSession | None
    proxy: str | None
    trust_env: bool
    ssl: SSLContext | None
    insecure: bool
    attempt: float
    connect: float
    read_gap: float
    max_body: int
    connections: int


def _is_duration(_limits: object, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value):
        raise TypeError(f"{attribute.name} must be a number of seconds, not {type(value).__name__}")
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} must be seconds above 0, not {value}")


def _is_count(_limits: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be a whole number, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{attribute.name} must be at least 1, not {value}")


def check_flag(name: str, value: object) -> None:
    """Check that *value* is True or False: any text would count as True.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")


@frozen
class Limits:
    """How long an exchange may take, how much it may bring, and how many there may be at once.

    Attributes:
        attempt: Seconds from the connection to the headers of the reply.
        connect: Seconds of it for the connection: DNS, TCP and TLS.
        read_gap: Seconds between two pieces of a body.
        max_body: The most bytes of a body, decompressed.
        connections: How many exchanges there may be at once.
    """

    attempt: float = field(default=20.0, validator=_is_duration)
    connect: float = field(default=5.0, validator=_is_duration)
    read_gap: float = field(default=10.0, validator=_is_duration)
    max_body: int = field(default=MAX_BODY, validator=_is_count)
    connections: int = field(default=100, validator=_is_count)

    @property
    def slots(self) -> int:
        """`connections`, or fewer where the process may not open as many files."""
        return max(1, min(self.connections, int(_descriptors() * _SHARE_OF_DESCRIPTORS)))

    def time_for(self, upload: int) -> float:
        """Return the seconds for an exchange that has *upload* bytes of files to send first."""
        return self.attempt + upload / UPLOAD_RATE


def _descriptors() -> int:
    sysconf = getattr(os, "sysconf", None)  # Windows has neither the function nor the limit
    return sysconf("SC_OPEN_MAX") if sysconf is not None else 1 << 16


@frozen
class Proxy:
    """A proxy and the credential for it.

    Attributes:
        origin: Scheme, host and port, as text.
        authorization: The value of `Proxy-Authorization`, or None.
        mask: Replaces the credential in replies.
    """

    origin: str
    authorization: str | None = field(default=None, repr=False)
    mask: Mask = field(factory=Mask)

    @classmethod
    def of(cls, url: object) -> Proxy:
        """Return the proxy at *url*.

        Raises:
            TypeError: *url* is not text.
            ValueError: It is not an http or https URL of a host; the message does not repeat it.
        """
        if not isinstance(url, str):
            raise TypeError(f"proxy must be a URL as text, not {type(url).__name__}")
        if "://" not in url:
            raise ValueError("proxy is refused: it has no scheme; write it as http://host:port")
        scheme, _, rest = url.partition("://")
        credential, at, host = rest.rstrip("/").rpartition("@")
        try:
            origin = Origin.of(f"{scheme}://{host}")
        except ValueError:
            raise ValueError("proxy is refused: write it as http://host:port or https://host:port") from None
        if urlsplit(f"{scheme}://{host}")[2:] != ("", "", ""):
            raise ValueError("proxy is refused: leave out the path and the query")
        if not at:
            return cls(str(origin))
        return cls(str(origin), *_basic(credential))

    @classmethod
    def from_environment(cls, origin: Origin) -> Proxy | None:
        """Return the proxy that the environment names for *origin*, or None.

        Raises:
            ValueError: It names one that is not an http or https URL.
        """
        url = getproxies().get(origin.scheme)
        if not url or proxy_bypass(f"{origin.host}:{origin.port}"):
            return None
        try:
            return cls.of(url if "://" in url else f"http://{url}")
        except ValueError as problem:
            raise ValueError(f"{problem} (trust_env=True: {origin.scheme.upper()}_PROXY)") from None


def _basic(credential: str) -> tuple[str, Mask]:
    user, _, password = (unquote(part) for part in credential.partition(":"))
    encoded = b64encode(f"{user}:{password}".encode(errors="surrogatepass")).decode()
    spellings = Mask.of(Secret(encoded)).spellings + Mask.of(Secret(password)).spellings
    return f"Basic {encoded}", Mask(spellings)
