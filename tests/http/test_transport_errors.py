"""What went wrong with an exchange, in our own words."""

from __future__ import annotations

import builtins
import errno
import gc
import socket
import ssl
import traceback
import weakref
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadHttpMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from asyncpoll._errors import BadReply, Rejected, TransportError
from asyncpoll.http.transport._errors import FAILURES, KINDS, failure_of, mapping_errors

ORIGIN = "https://api.example"
CANARY = "canary-0123456789"

KEY = ConnectionKey("api.example", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)
INFO = aiohttp.RequestInfo(
    URL(f"{ORIGIN}/?key={CANARY}"), "GET", CIMultiDictProxy(CIMultiDict({"Authorization": CANARY})), URL(ORIGIN)
)

FOREIGN: list[tuple[Exception, str, type[TransportError]]] = [
    (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, CANARY)), "certificate", Rejected),
    (aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), "certificate", Rejected),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version")), "tls", Rejected),
    (TimeoutError(), "timeout", TransportError),
    (aiohttp.ConnectionTimeoutError(CANARY), "timeout", TransportError),
    (aiohttp.SocketTimeoutError(CANARY), "timeout", TransportError),
    (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(socket.EAI_NONAME, CANARY)), "dns", TransportError),
    (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(socket.EAI_AGAIN, CANARY)), "connect", TransportError),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(CANARY)), "connect", TransportError),
    (aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, CANARY)), "connect", TransportError),
    (aiohttp.ClientConnectorError(KEY, OSError(errno.EMFILE, CANARY)), "local", TransportError),
    (OSError(errno.EADDRNOTAVAIL, CANARY), "local", TransportError),
    (aiohttp.ServerDisconnectedError(CANARY), "disconnect", TransportError),
    (aiohttp.ClientOSError(errno.ECONNRESET, CANARY), "disconnect", TransportError),
    (aiohttp.ClientConnectionResetError(CANARY), "disconnect", TransportError),
    (ConnectionResetError(CANARY), "disconnect", TransportError),
    (aiohttp.ClientPayloadError(CANARY), "payload", TransportError),
    (aiohttp.ClientResponseError(INFO, (), status=400, message=CANARY), "protocol", BadReply),
    (BadHttpMessage(CANARY), "protocol", BadReply),
    (UnicodeError(CANARY), "internal", TransportError),
    (RuntimeError(CANARY), "internal", TransportError),
]


@pytest.mark.parametrize(("error", "kind", "cls"), FOREIGN)
def test_foreign_errors(error: Exception, kind: str, cls: type[TransportError]) -> None:
    """Each has a kind, by its class and number alone; a parser's error is never taken for the status it carries."""
    failure = failure_of(error, ORIGIN)
    assert type(failure) is cls
    assert (failure.kind, failure.origin, failure.status) == (kind, ORIGIN, None)
    assert failure.passing is (cls is not Rejected)
    assert str(failure).startswith(f"{ORIGIN}: ")
    assert CANARY not in str(failure) + repr(failure)


def test_the_number_of_an_error_is_named() -> None:
    """Where the system gave a number, its name is in the message."""
    assert "(ECONNREFUSED)" in str(failure_of(OSError(errno.ECONNREFUSED, CANARY), ORIGIN))
    assert "(RuntimeError)" in str(failure_of(RuntimeError(), ORIGIN))


def test_errors_of_our_own_stay() -> None:
    """They only learn where they come from."""
    refusal = BadReply("too large", kind="limit")
    assert failure_of(refusal, ORIGIN) is refusal
    assert refusal.origin == ORIGIN


@pytest.mark.parametrize("name", KINDS)
def test_the_names_exist(name: str) -> None:
    """The table names classes that aiohttp and Python have, and kinds that there are."""
    namespace: dict[str, Any] = {**vars(builtins), **vars(aiohttp.http_exceptions), **vars(aiohttp)}
    assert issubclass(namespace[name], Exception)
    assert KINDS[name] in FAILURES


async def _broken() -> None:
    secret = CANARY
    raise RuntimeError(secret)


async def _fail() -> TransportError:
    with pytest.raises(TransportError) as caught:
        await mapping_errors(_broken(), lambda error: failure_of(error, ORIGIN))
    return caught.value


async def test_nothing_of_the_original_is_attached() -> None:
    """Neither cause nor context nor traceback lead to the original."""
    failure = await _fail()
    assert failure.__cause__ is failure.__context__ is None
    shown = traceback.TracebackException.from_exception(failure, capture_locals=True)
    assert not any("in _broken" in line for line in shown.format())


async def test_an_error_does_not_keep_itself_alive() -> None:
    """Once nobody holds the error, it is gone without waiting for the garbage collector."""

    async def seen() -> weakref.ref[TransportError] | None:
        try:
            await mapping_errors(_broken(), lambda error: failure_of(error, ORIGIN))
        except TransportError as failure:
            return weakref.ref(failure)
        return None

    gc.disable()
    try:
        reference = await seen()
        assert reference is not None
        assert reference() is None
    finally:
        gc.enable()


async def test_what_is_not_ours_to_handle() -> None:
    """When memory runs out, that is said as it is."""

    async def work() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        await mapping_errors(work(), lambda error: failure_of(error, ORIGIN))
