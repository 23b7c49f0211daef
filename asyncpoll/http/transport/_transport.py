"""`AiohttpTransport`: exchanges with one API over real connections."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable
from functools import partial
from ssl import CERT_NONE, SSLContext
from types import TracebackType
from typing import NoReturn, Self

import aiohttp
from attrs import evolve

from asyncpoll._errors import ClientClosed, PollError
from asyncpoll.http._auth import NO_CREDENTIAL, Auth, Credentials
from asyncpoll.http._settings import MAX_BODY, Limits, Proxy, check_flag
from asyncpoll.http.link import Origin
from asyncpoll.http.message import Reply, Request
from asyncpoll.http.redact import Mask
from asyncpoll.http.transport._encode import Address, Outgoing, Part, opened, prepare
from asyncpoll.http.transport._errors import failure_of, mapping_errors
from asyncpoll.http.transport._exchanges import Exchanges
from asyncpoll.http.transport._pool import LACKING, Pool, is_instrumented
from asyncpoll.http.transport._response import Answer, read_reply
from asyncpoll.http.transport._session import SessionPath, SessionSettings

GRACE = 10.0
_UNAUTHORIZED = 401

_log = logging.getLogger(__name__)


class AiohttpTransport:
    """Exchanges requests for replies with one API.

    Nothing happens before the first request, which binds the transport to its event loop. Redirects are not followed.
    Every error is one of asyncpoll's own and names no more of the address than the origin.

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
        read_gap: Seconds between two pieces of a body, which may take any time as long as it keeps coming.
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
        check_flag("insecure", insecure)
        check_flag("trust_env", trust_env)
        self._address = Address.of(base_url, insecure=insecure)
        self.origin = self._address.origin
        self._limits = Limits(attempt, connect, read_gap, max_body, connections)
        self._credentials = None if auth is None else Credentials.of(auth, attempt)
        self._ssl = _checked_ssl(ssl, self.origin)
        self._proxy = _chosen_proxy(proxy, self.origin, trust_env=trust_env)
        self._session = SessionPath(
            self.origin, SessionSettings(_checked_session(session, auth), self._proxy, ssl, connect)
        )
        self._pool: Pool | None = None
        self._exchanges = Exchanges(self._limits.slots)
        self._always_session = _why_session(session, self._proxy)
        self._logged: str | None = None

    async def send(self, request: Request, /) -> Reply:
        """Exchange *request* for a reply of any HTTP status.

        The body is decoded whatever the reply calls it, and the credential is masked where the server echoes it. The
        body of an error is left out when it is too large or oddly encoded; `Reply.problem` says so.

        Raises:
            TransportError: No reply was received. The kind is "connect", "dns" (the host is not known), "proxy",
                "timeout", "disconnect", "payload" (the body was cut short), "local" (this machine is out of files or
                ports), or "internal".
            Rejected: The certificate is not trusted ("certificate"), the server does not speak TLS ("tls"), or the
                proxy refuses ("proxy").
            BadReply: The reply is too large ("limit"), encoded in a way that was not offered ("encoding"), or not
                proper HTTP ("protocol").
            ClientClosed: The transport or the lent session is closed, or belongs to another event loop or process.
            ValueError: The request cannot be sent as it is; nothing was sent.
        """
        self._exchanges.bind()
        credentials = self._credentials
        if credentials is None:
            return await self._send(request, prepare(request, self._address, NO_CREDENTIAL))
        if credentials.fixed is not None:
            return await self._send(request, prepare(request, self._address, credentials.fixed))
        return await self._send_renewing(request, credentials)

    async def _send_renewing(self, request: Request, credentials: Credentials) -> Reply:
        """Send a request with a credential that may change; if it is refused, renew it and send once more."""
        outgoing = prepare(request, self._address, NO_CREDENTIAL)
        seen = outgoing.for_auth(self.origin, has_form=request.form is not None and outgoing.body is None)
        renewals = credentials.renewals
        reply = await self._send(request, outgoing.with_credential(await credentials.current(seen)))
        if reply.status != _UNAUTHORIZED:
            return evolve(reply, renew=partial(credentials.renew, renewals))
        if not await credentials.renew(renewals):
            return reply
        return await self._send(request, outgoing.with_credential(await credentials.current(seen)))

    async def _send(self, request: Request, outgoing: Outgoing) -> Reply:
        if self._proxy is not None:
            outgoing.mask = Mask(outgoing.mask.spellings + self._proxy.mask.spellings)
        if request.form is not None and outgoing.body is None:
            with opened(request.form) as parts:
                seconds = self._limits.time_for(sum(part.size for part in parts))
                return await mapping_errors(self._exchange(outgoing, seconds, parts), self._own)
        try:
            return await self._exchange(outgoing, self._limits.attempt)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  as in `mapping_errors`, which would cost every poll a coroutine
            problem = self._own(error)
        try:
            raise problem  # in the handler, the original would become its context
        finally:
            del problem  # or it would keep itself alive

    def _own(self, error: Exception) -> PollError:
        if self._exchanges.closed:
            return ClientClosed("the client is closed")
        return failure_of(error, self.origin, self._proxy)

    async def _exchange(self, outgoing: Outgoing, seconds: float, parts: list[Part] | None = None) -> Reply:
        set_deadline = self._exchanges.set_deadline
        async with self._exchanges.admit() as exchange:
            clock = asyncio.get_running_loop().time
            set_deadline(exchange, clock() + seconds)
            answer = await self._asking(outgoing, parts)
            set_deadline(exchange, math.inf)
            try:
                return await read_reply(
                    answer,
                    origin=self.origin,
                    most=self._limits.max_body,
                    mask=outgoing.mask,
                    on_wait=lambda: set_deadline(exchange, clock() + self._limits.read_gap),
                )
            finally:
                answer.close()

    def _asking(self, outgoing: Outgoing, parts: list[Part] | None) -> Awaitable[Answer]:
        """Return what sends the request and gives the answer, on the path that it has to take."""
        why = self._always_session or ("aiohttp.ClientSession is patched" if is_instrumented() else "")
        if why != self._logged:
            self._log_path(why)
        if why or parts is not None:
            return self._session.ask(outgoing, parts)
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
            try:
                if self._pool is not None:
                    await self._pool.end()
            finally:
                await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a transport cannot be pickled: it holds connections; make one in each process")


def _checked_ssl(context: object, origin: str) -> SSLContext | None:
    if context is None:
        return None
    if not isinstance(context, SSLContext):
        cure = "to trust a private authority, pass ssl.create_default_context(cafile=...)"
        raise TypeError(f"ssl must be an ssl.SSLContext or None, not {context!r:.50}; {cure}")
    if context.verify_mode == CERT_NONE:
        _log.warning("%s: the certificate of the server is not checked, since ssl= has CERT_NONE", origin)
    return context


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
