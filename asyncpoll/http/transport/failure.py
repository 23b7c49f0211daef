"""What went wrong with an exchange, in our own words.

The errors of aiohttp hold the request with its headers, and their text is anybody's. So none of them gets out, not as
a cause and not as a context.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from asyncpoll._errors import BadReply, PollError, Rejected, TransportError

T = TypeVar("T")

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "ClientConnectorCertificateError": "certificate",
        "ServerFingerprintMismatch": "certificate",
        "ClientSSLError": "tls",
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
        "certificate": (Rejected, "the certificate is not trusted; check the base address, or pass ssl="),
        "tls": (Rejected, "the server does not speak TLS as it should; check the base address"),
        "timeout": (TransportError, "the time limit passed"),
        "dns": (TransportError, "the host does not exist; check the base address"),
        "connect": (TransportError, "no connection could be made"),
        "local": (TransportError, "this machine is out of files, ports or space"),
        "disconnect": (TransportError, "the connection was lost before the reply"),
        "payload": (TransportError, "the body was cut short or is damaged"),
        "protocol": (BadReply, "the reply is no proper HTTP"),
        "internal": (TransportError, "the exchange failed in an unforeseen way"),
    }
)
"""From a kind of failure to the error that it raises, and what that says."""

_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENOSPC})
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def failure_of(error: Exception, origin: str) -> TransportError:
    """Return *error* as one of ours; its class and number are kept, its text is not.

    Args:
        error: Whatever was raised.
        origin: Scheme, host and port of the server.
    """
    if isinstance(error, TransportError):
        error.origin = origin
        return error.with_traceback(None)  # the frames hold the request
    kind = _kind(error)
    cls, words = FAILURES[kind]
    detail = errno.errorcode.get(_number(error), type(error).__name__)
    return cls(f"{origin}: {words} ({detail})", kind=kind, origin=origin)


def _kind(error: Exception) -> str:
    number = _number(error)
    if number in _LOCAL:
        return "local"
    names = [cls.__name__ for cls in type(error).__mro__]
    if "ClientConnectorDNSError" in names and number in _NO_SUCH_HOST:
        return "dns"
    return next(KINDS[name] for name in names if name in KINDS)


def _number(error: Exception) -> int:
    return (isinstance(error, OSError) and error.errno) or 0


async def ours(work: Awaitable[T], own: Callable[[Exception], PollError]) -> T:
    """Await *work*; what it raises is raised as *own* returns it, with nothing of the original attached."""
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
