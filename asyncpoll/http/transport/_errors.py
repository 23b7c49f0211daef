"""Turn the errors of an exchange into asyncpoll's own.

The errors of aiohttp hold the request with its headers, and their texts may hold anything. So none of them gets out,
neither as a cause nor as a context.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import aiohttp

from asyncpoll._errors import LOCAL_ERRNOS, BadReply, PollError, Rejected, TransportError
from asyncpoll.http._settings import Proxy

T = TypeVar("T")


class NotRepeatedError(aiohttp.ClientError):
    """An exchange failed in a way after which aiohttp would send the request again. Its cause is the failure."""


KINDS: Mapping[str, str] = MappingProxyType(
    {
        "ClientConnectorCertificateError": "certificate",
        "ServerFingerprintMismatch": "certificate",
        "ClientSSLError": "tls",
        "ClientHttpProxyError": "proxy",
        "TimeoutError": "timeout",
        "ServerTimeoutError": "timeout",
        "ClientConnectorError": "connect",
        "ClientConnectionError": "disconnect",
        "OSError": "disconnect",
        "ClientPayloadError": "payload",
        "ClientResponseError": "protocol",
        "HttpProcessingError": "protocol",
        "Exception": "internal",
    }
)
"""From the name of an exception's class, or of the nearest of its ancestors, to a kind of failure."""

FAILURES: Mapping[str, tuple[type[TransportError], str]] = MappingProxyType(
    {
        "certificate": (
            Rejected,
            "the certificate is not trusted; pass ssl= with a context that trusts its authority, or check the address",
        ),
        "tls": (Rejected, "the server does not speak TLS as it should; check the address"),
        "timeout": (TransportError, "the time limit passed"),
        "dns": (TransportError, "the host is not known; check the address"),
        "connect": (TransportError, "a connection could not be made"),
        "proxy": (TransportError, "the proxy could not make a connection"),
        "local": (TransportError, "this machine is out of files, ports or space"),
        "disconnect": (TransportError, "the connection was lost before the reply"),
        "payload": (TransportError, "the body was cut short or is damaged"),
        "protocol": (BadReply, "the reply is not proper HTTP"),
        "internal": (TransportError, "the exchange failed in an unforeseen way"),
    }
)
"""From a kind of failure to the error that it raises, and its message."""

_LOOKUPS = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


_BEFORE_THE_SERVER = frozenset({"dns", "connect", "timeout", "disconnect", "certificate", "tls"})
_SYMBOL = re.compile(r"[A-Z][A-Z0-9_]{2,60}", re.ASCII)
PROXY_AUTHENTICATION_REQUIRED = 407


def failure_of(error: Exception, origin: str, proxy: Proxy | None = None) -> PollError:
    """Return *error*, of an exchange with *origin*, as one of ours; its class or number is kept, its text is not."""
    if isinstance(error, NotRepeatedError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, TransportError):
        error.origin = origin
    if isinstance(error, PollError):
        return error.with_traceback(None)  # the frames hold the request
    kind = _kind(error)
    status: int = getattr(error, "status", 0)
    if kind == "proxy" and proxy is not None and status in range(400, 500):
        return refused_by_proxy(status, origin, proxy)
    cls, words = FAILURES[kind]
    return cls(f"{origin}: {words}{_way(kind, proxy)} ({_detail(error, kind)})", kind=kind, origin=origin)


def refused_by_proxy(status: int, origin: str, proxy: Proxy) -> Rejected:
    """Return the error for a *proxy* that answers with *status*, one of 4xx, in place of the server."""
    cure = "check its address and whether it lets this host through"
    if status == PROXY_AUTHENTICATION_REQUIRED:
        cure = "pass its user and password as proxy=http://user:password@host:port"
    return Rejected(f"{origin}: the proxy {proxy.origin} refuses (HTTP {status}); {cure}", kind="proxy", origin=origin)


def _way(kind: str, proxy: Proxy | None) -> str:
    if proxy is not None:
        return f"; the proxy is {proxy.origin}" if kind in _BEFORE_THE_SERVER or kind == "proxy" else ""
    return "; where only a proxy leads outside, pass proxy= or trust_env=True" if kind == "dns" else ""


def _detail(error: Exception, kind: str) -> str:
    if kind in {"certificate", "tls"}:  # their numbers are OpenSSL's, and not what errno calls so
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        reason = getattr(inner, "reason", None)
        return reason if isinstance(reason, str) and _SYMBOL.fullmatch(reason) else type(error).__name__
    number = _number(error)
    if _is_lookup(error):
        return f"the name lookup failed: {_LOOKUPS.get(number) or errno.errorcode.get(number, 'no reason is given')}"
    return errno.errorcode.get(number, type(error).__name__)


def _kind(error: Exception) -> str:
    number = _number(error)
    if number in LOCAL_ERRNOS:
        return "local"
    if _is_lookup(error) and number in _NO_SUCH_HOST:
        return "dns"
    names = [cls.__name__ for cls in type(error).__mro__]
    return next(KINDS[name] for name in names if name in KINDS)


def _is_lookup(error: Exception) -> bool:
    return any(cls.__name__ == "ClientConnectorDNSError" for cls in type(error).__mro__)


def _number(error: Exception) -> int:
    return (isinstance(error, OSError) and error.errno) or 0


async def mapping_errors(work: Awaitable[T], own: Callable[[Exception], PollError]) -> T:
    """Await *work*, and raise its errors as *own* returns them, with nothing of the original attached."""
    try:
        return await work
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  that is the point
        problem = own(error)
    try:
        raise problem  # in the handler, the original would become its context
    finally:
        del problem  # or it would keep itself alive
