"""The settings of a transport: `TransportSettings` as keywords, its limits, its certificates, and its proxy."""

from __future__ import annotations

import os
from ssl import SSLContext
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from attrs import evolve, field, frozen

from asyncpoll._checks import by_field, duration, whole
from asyncpoll.http._secrets import Mask, basic
from asyncpoll.http._urls import Origin

if TYPE_CHECKING:
    from aiohttp import ClientSession

MAX_BODY = 64 << 20
"""The default of `max_body`, in bytes."""

UPLOAD_RATE = 32 << 10
"""Bytes a second that an upload may count on when its time limit is set."""

_SHARE_OF_DESCRIPTORS = 0.6  # the rest is for files, the event loop, and everything else in the process


class TransportSettings(TypedDict, total=False):
    """The keywords of `AiohttpTransport` that every client accepts, too; it explains them."""

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


@frozen
class ExchangeLimits:
    """The limits of an exchange, and of how many there are at once: see `AiohttpTransport`."""

    attempt: float = field(default=20.0, validator=by_field(duration, qualified=False))
    connect: float = field(default=5.0, validator=by_field(duration, qualified=False))
    read_gap: float = field(default=10.0, validator=by_field(duration, qualified=False))
    max_body: int = field(default=MAX_BODY, validator=by_field(whole(1), qualified=False))
    connections: int = field(default=100, validator=by_field(whole(1), qualified=False))

    @property
    def slots(self) -> int:
        """`connections`, or fewer if the process may not open as many files."""
        return max(1, min(self.connections, int(_descriptors() * _SHARE_OF_DESCRIPTORS)))

    def time_for(self, upload: int) -> float:
        """Return the seconds for an exchange that has *upload* bytes of files to send first."""
        return self.attempt + upload / UPLOAD_RATE

    def allowing(self, seconds: float) -> ExchangeLimits:
        """Return the limits for a request whose answer, or a piece of it, may take so long, if that is more.

        Raises:
            TypeError: *seconds* is not a number.
            ValueError: It is not a finite number above 0.
        """
        duration("Request.attempt", seconds)
        return evolve(self, attempt=max(self.attempt, seconds), read_gap=max(self.read_gap, seconds))


def _descriptors() -> int:
    sysconf = getattr(os, "sysconf", None)  # Windows has neither the function nor the limit
    return sysconf("SC_OPEN_MAX") if sysconf is not None else 1 << 16


def check_ssl(context: object) -> SSLContext | None:
    """Return *context*, the value of `ssl=`, or raise a `TypeError` with the cure."""
    if context is None or isinstance(context, SSLContext):
        return context
    cure = "to trust a private authority, pass ssl.create_default_context(cafile=...)"
    raise TypeError(f"ssl must be an ssl.SSLContext or None, not {type(context).__name__}; {cure}")


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
        user, _, password = (unquote(part) for part in credential.partition(":"))
        return cls(str(origin), *basic(user, password))

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
