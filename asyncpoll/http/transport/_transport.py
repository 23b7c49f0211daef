"""`AiohttpTransport`: exchanges with one API over real connections."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Mapping
from functools import partial
from ssl import CERT_NONE, SSLContext
from types import TracebackType
from typing import NoReturn, Self
from warnings import warn

import aiohttp
from attrs import evolve

from asyncpoll._checks import flag
from asyncpoll._errors import ClientClosed, PollError
from asyncpoll.http._auth import NO_CREDENTIAL, Auth, Credentials
from asyncpoll.http._message import Reply, Request, Upload
from asyncpoll.http._secrets import Mask
from asyncpoll.http._settings import MAX_BODY, ExchangeLimits, Proxy, check_ssl
from asyncpoll.http._urls import Address, Origin
from asyncpoll.http.transport._encode import Encoder, Outgoing, opened
from asyncpoll.http.transport._errors import failure_of
from asyncpoll.http.transport._exchanges import Exchanges
from asyncpoll.http.transport._pool import LACKING, Pool, is_instrumented
from asyncpoll.http.transport._response import Answer, read_reply
from asyncpoll.http.transport._session import SessionPath

GRACE = 10.0
_UNAUTHORIZED = 401

_log = logging.getLogger(__name__)
_closing: set[asyncio.Task[None]] = set()


class AiohttpTransport:
    """Exchanges requests for replies with one API.

    Nothing happens before the first request, which binds the transport to its event loop. Redirects are not followed.
    Every error is one of asyncpoll's own and names no more of the address than the origin. Use the transport in `async
    with`, or close it with `aclose()`; one that is dropped with its connections open says so in a `ResourceWarning`.

    Requests take one of two paths; `path` says which. The direct path costs less. The session path goes through
    aiohttp's public API and is taken whenever something else wants to see the requests: a lent session, a proxy, or a
    `ClientSession` that a tool has patched.

    Args:
        base_url: The address of the API, with https; plain http is for loopback hosts.
        auth: The credential, sent to the origin of *base_url* only. A request that is refused with HTTP 401 is sent
            once more after the credential was renewed.
        session: An `aiohttp.ClientSession` to send through, with its proxy, cookies, tracing and middlewares. It is
            not closed with the transport.
        proxy: The URL of a proxy, such as `http://user:password@proxy.example:3128`.
        trust_env: Use the proxy that `HTTP_PROXY` or `HTTPS_PROXY` names, except for hosts in `NO_PROXY`; they are
            read once, here. *proxy* comes first.
        ssl: The certificates to trust, if not those of the system.
        insecure: Allow http for every host; the credential is then sent without encryption.
        attempt: Seconds from the connection to the headers of the reply, and one more for every 32 KiB of files in a
            form. The time spent waiting for one of the *connections* does not count.
        connect: Seconds of it for the connection: DNS, TCP and TLS.
        read_gap: Seconds between two pieces of a body. A body may take any time as long as it keeps flowing: a server
            that sends one byte in each gap is stopped by the deadline of the caller, or by *max_body*, alone.
        max_body: The most bytes of a body, decompressed.
        connections: The most exchanges at one time, within 60 % of the files that the process may open.

    Raises:
        ValueError: *base_url*, *proxy* or a limit cannot be used, or *session* has a credential besides *auth*.
        TypeError: A setting is of another type.

    Attributes:
        origin: Scheme, host and port of the API.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        session: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        ssl: SSLContext | None = None,
        insecure: bool = False,
        attempt: float = 20.0,
        connect: float = 5.0,
        read_gap: float = 10.0,
        max_body: int = MAX_BODY,
        connections: int = 100,
    ) -> None:
        flag("insecure", insecure)
        flag("trust_env", trust_env)
        self._address = Address.of(base_url, insecure=insecure)
        self._encoder = Encoder(self._address)
        self.origin = self._address.origin
        self._limits = ExchangeLimits(attempt, connect, read_gap, max_body, connections)
        self._credentials = None if auth is None else Credentials.of(auth, attempt)
        self._ssl = check_ssl(ssl)
        if ssl is not None and ssl.verify_mode == CERT_NONE:
            _log.warning("%s: the certificate of the server is not checked, since ssl= has CERT_NONE", self.origin)
        self._proxy = _chosen_proxy(proxy, self.origin, trust_env=trust_env)
        lent = _checked_session(session, auth)
        self._session = SessionPath(self.origin, lent=lent, proxy=self._proxy, ssl=ssl, connect=connect)
        self._pool: Pool | None = None
        self._always_session = _why_session(session, self._proxy)
        self._logged: str | None = None
        self._exchanges = Exchanges(self._limits.slots)

    async def send(self, request: Request, /) -> Reply:
        """Exchange *request* for a reply of any HTTP status.

        The body is decoded whatever the reply calls it, and the credential is masked where the server echoes it. The
        body of an error is left out when it is too large or oddly encoded; `Reply.problem` says so.

        Raises:
            TransportError: No reply was received. The kind is "connect", "dns" (the host is not known), "proxy",
                "timeout", "disconnect", "payload" (the body was cut short), "local" (this machine is out of files or
                ports), "auth" (the credential could not be fetched), or "internal".
            Rejected: The certificate is not trusted ("certificate"), the server does not speak TLS ("tls"), the proxy
                refuses ("proxy"), the credential cannot be sent ("credential"), or the address of the request is not
                below *base_url* ("foreign_address").
            BadReply: The reply is too large ("limit"), encoded in a way that was not offered ("encoding"), or not
                proper HTTP ("protocol").
            ClientClosed: The transport or the lent session is closed, or belongs to another event loop or process.
            ValueError: The request cannot be sent as it is; nothing was sent.
        """
        self._exchanges.bind()
        credentials = self._credentials
        if credentials is None:
            return await self._send(request, self._encoder.prepare(request, NO_CREDENTIAL))
        if credentials.fixed is not None:
            return await self._send(request, self._encoder.prepare(request, credentials.fixed))
        return await self._send_renewing(request, credentials)

    def check(self, request: Request, /) -> None:
        """Raise the `Rejected` or `ValueError` with which `send` would refuse *request* before it sends anything."""
        self._encoder.prepare(request, NO_CREDENTIAL)

    async def _send_renewing(self, request: Request, credentials: Credentials) -> Reply:
        """Send a request with a credential that may change; if it is refused, renew it and send once more."""
        outgoing = self._encoder.prepare(request, NO_CREDENTIAL)
        seen = outgoing.for_auth(self.origin, has_files=request.form is not None and outgoing.body is None)
        renewals = credentials.renewals
        reply = await self._send(request, outgoing.with_credential(await credentials.current(seen)))
        if reply.status != _UNAUTHORIZED:
            return evolve(reply, renew=partial(credentials.renew, renewals))
        if not await credentials.renew(renewals):
            return reply
        return await self._send(request, outgoing.with_credential(await credentials.current(seen)))

    def _send(self, request: Request, outgoing: Outgoing) -> Awaitable[Reply]:
        """Return the exchange to await: a coroutine less than if it were awaited here."""
        if self._proxy is not None:
            outgoing.mask = Mask(outgoing.mask.spellings + self._proxy.mask.spellings)
        outgoing.decode = request.decode
        limits = self._limits if request.attempt is None else self._limits.allowing(request.attempt)
        if request.form is not None and outgoing.body is None:
            return self._send_files(request.form, outgoing, limits)
        return self._exchange(outgoing, limits)

    async def _send_files(self, form: Mapping[str, str | Upload], outgoing: Outgoing, limits: ExchangeLimits) -> Reply:
        with opened(form) as (data, size):
            return await self._exchange(outgoing, evolve(limits, attempt=limits.time_for(size)), data)

    async def _exchange(
        self, outgoing: Outgoing, limits: ExchangeLimits, form: aiohttp.FormData | None = None
    ) -> Reply:
        set_deadline = self._exchanges.set_deadline
        answer: Answer | None = None
        try:
            async with self._exchanges.admit() as exchange:
                clock = asyncio.get_running_loop().time
                set_deadline(exchange, clock() + limits.attempt)
                answer = await self._asking(outgoing, form)
                set_deadline(exchange, math.inf)
                try:
                    return await read_reply(
                        answer,
                        origin=self.origin,
                        most=limits.max_body,
                        mask=outgoing.mask,
                        as_json=outgoing.decode,
                        on_wait=lambda: set_deadline(exchange, clock() + limits.read_gap),
                    )
                finally:
                    answer.close()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  as in `mapping_errors`, which would cost every poll a coroutine
            problem, answer = self._own(error), None  # the frame stays with the error, and must not hold the response
        try:
            raise problem  # in the handler, the original would become its context
        finally:
            del problem  # or it would keep itself alive

    def _own(self, error: Exception) -> PollError:
        if self._exchanges.closed:
            return ClientClosed("the client is closed; open another one")
        return failure_of(error, self.origin, self._proxy)

    def _asking(self, outgoing: Outgoing, form: aiohttp.FormData | None) -> Awaitable[Answer]:
        """Return the answer to await, on the path that the request has to take."""
        why = self._always_session or ("aiohttp.ClientSession is patched" if is_instrumented() else "")
        if why != self._logged:
            self._log_path(why)
        if why or form is not None:
            return self._session.ask(outgoing, form)
        if self._pool is None:
            self._pool = Pool(self._address, self._limits.connect, self._ssl)
        return self._pool.ask(outgoing)

    def _log_path(self, why: str) -> None:
        self._logged = why
        if why:
            _log.info("%s: requests go through an aiohttp session, since %s", self.origin, why)
        else:
            _log.info("%s: requests take the direct path", self.origin)

    @property
    def path(self) -> str:
        """The path that the next request takes: "direct", or "session" through aiohttp's public API."""
        return "session" if self._always_session or is_instrumented() else "direct"

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self._session.requests + (0 if self._pool is None else self._pool.requests)

    async def aclose(self) -> None:
        """End all exchanges with `ClientClosed`, within 10 seconds, and close every connection but a lent session's.

        Raises:
            ClientClosed: The transport belongs to another event loop or process.
        """
        self._exchanges.bind()
        try:
            await self._exchanges.close(GRACE)
        finally:
            await _close(self._pool, self._session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        exchanges: Exchanges | None = getattr(self, "_exchanges", None)  # None if the constructor failed
        if exchanges is None or exchanges.closed or not (self._pool or self._session.is_open):
            return
        loop = exchanges.home()
        if loop is None:  # in a forked process, the connections belong to the parent
            return
        message = f"the client of {self.origin} was not closed; use it in `async with`, or call its aclose()"
        warn(message, ResourceWarning, stacklevel=2, source=self)
        if not loop.is_closed():
            loop.call_soon_threadsafe(_close_soon, loop, self._pool, self._session)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a transport cannot be pickled: it holds connections; make one in each process")


async def _close(pool: Pool | None, session: SessionPath) -> None:
    try:
        if pool is not None:
            await pool.end()
    finally:
        await session.close()


def _close_soon(loop: asyncio.AbstractEventLoop, pool: Pool | None, session: SessionPath) -> None:
    task = loop.create_task(_close(pool, session))
    _closing.add(task)  # or it could be collected before it ends
    task.add_done_callback(_closing.discard)


def _checked_session(session: object, auth: Auth | None) -> aiohttp.ClientSession | None:
    if session is None:
        return None
    if not isinstance(session, aiohttp.ClientSession):
        raise TypeError(f"session must be an aiohttp.ClientSession or None, not {type(session).__name__}")
    if auth is not None and getattr(session, "auth", None) is not None:
        raise ValueError("the lent session has auth= of its own, which would replace the credential; make it without")
    return session


def _chosen_proxy(proxy: str | None, origin: str, *, trust_env: bool) -> Proxy | None:
    if proxy is not None:
        return Proxy.of(proxy)
    return Proxy.from_environment(Origin.of(origin)) if trust_env else None


def _why_session(session: object, proxy: Proxy | None) -> str:
    if session is not None:
        return "one is lent"
    if proxy is not None:
        return "a proxy is set"
    return f"aiohttp {aiohttp.__version__} lacks {', '.join(LACKING)}" if LACKING else ""
