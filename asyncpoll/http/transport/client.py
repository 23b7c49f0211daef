"""Exchanges with one API."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from ssl import SSLContext
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self

import aiohttp
from yarl import URL

from asyncpoll._errors import ClientClosed, PollError
from asyncpoll.http.auth import NO_CREDENTIAL, Auth
from asyncpoll.http.message import Reply, Request
from asyncpoll.http.transport.failure import failure_of, ours
from asyncpoll.http.transport.flights import Flights
from asyncpoll.http.transport.form import Part, opened
from asyncpoll.http.transport.limits import Limits
from asyncpoll.http.transport.outgoing import Address, Outgoing, prepare
from asyncpoll.http.transport.pool import Pool
from asyncpoll.http.transport.probe import is_in_control
from asyncpoll.http.transport.reading import Answer, read_reply

KEEP_ALIVE = 45.0
"""Seconds that an idle connection is kept: longer than the longest interval between polls by default, which is 30 s,
and shorter than the 60 to 75 s after which common servers and load balancers hang up."""
GRACE = 10.0
GOODBYE = 0.25


class AiohttpTransport:
    """Exchanges requests for replies with one API.

    Nothing happens before the first request, which binds the transport to its event loop. Redirects are not followed,
    no cookie is kept, and neither proxies nor passwords are taken from the environment. Every error is one of
    asyncpoll's own and names no more of the address than the origin.

    Args:
        base_url: Where the API is, with https; plain http is for loopback hosts.
        auth: The credential, sent to the origin of *base_url* and to nobody else.
        attempt: Seconds for one exchange, and one more for every 32 KiB of files in its form. Waiting for one of the
            *connections* does not count.
        connect: Seconds of it for the lookup of the name, the connection, and TLS.
        read_gap: Seconds between two pieces of a body.
        max_body: The most bytes of a body, decompressed; at most 64 MiB.
        connections: How many exchanges there are at once, within 60 % of the files that the process may open.
        ssl: Whom to trust, if not the authorities of the system.
        insecure: Allow http for any host; the credential then travels in the clear.

    Raises:
        ValueError: *base_url* is no such address, or a limit makes no sense.

    Attributes:
        origin: Scheme, host and port of the API.
    """

    _proven: ClassVar[bool] = False

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        attempt: float = 20.0,
        connect: float = 5.0,
        read_gap: float = 10.0,
        max_body: int = 1 << 20,
        connections: int = 100,
        ssl: SSLContext | None = None,
        insecure: bool = False,
    ) -> None:
        self._address = Address.of(base_url, insecure=insecure)
        self._limits = Limits(attempt, connect, read_gap, max_body, connections)
        self._auth = auth
        self._ssl = ssl
        self._flights = Flights(self._limits.slots)
        self._opening = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._pool: Pool | None = None
        self.origin = self._address.origin
        self._traced = 0

    async def send(self, request: Request, /) -> Reply:
        """Exchange *request* for a reply of any HTTP status.

        The body is decoded whatever the reply calls it, and the credential is masked where the server echoes it. The
        body of an error is left out when it is too large or oddly encoded; `Reply.problem` says so.

        Raises:
            TransportError: No reply was received. The kind is "connect", "dns" (no such host), "timeout", "disconnect",
                "payload" (the body was cut short), "local" (this machine is out of files or ports), or "internal".
            Rejected: The certificate is not trusted ("certificate"), or the server does not speak TLS ("tls").
            BadReply: The reply is too large ("limit"), encoded in a way that was not offered ("encoding"), or no proper
                HTTP ("protocol").
            ClientClosed: The transport is closed, or belongs to another event loop or process.
            ValueError: The request cannot be sent as it is; nothing was.
        """
        self._flights.bind()
        credential = NO_CREDENTIAL if self._auth is None else self._auth.credential()
        outgoing = prepare(request, self._address, credential)
        if request.form is None:
            return await ours(self._exchange(outgoing, self._limits.attempt), self._own)
        with opened(request.form) as parts:
            seconds = self._limits.time_for(sum(part.size for part in parts))
            return await ours(self._exchange(outgoing, seconds, _form_data(parts)), self._own)

    def _own(self, error: Exception) -> PollError:
        return ClientClosed("the client is closed") if self._flights.closed else failure_of(error, self.origin)

    async def _exchange(self, outgoing: Outgoing, seconds: float, form: aiohttp.FormData | None = None) -> Reply:
        async with asyncio.timeout(None) as scope, self._flights.board(scope):
            session = self._session or await self._open()
            clock = asyncio.get_running_loop().time
            until = clock() + seconds
            self._flights.allow(scope, until)
            answer = await self._ask(session, outgoing, form)
            try:
                return await read_reply(
                    answer,
                    origin=self.origin,
                    most=self._limits.max_body,
                    mask=outgoing.mask,
                    on_wait=lambda: self._flights.allow(scope, min(until, clock() + self._limits.read_gap)),
                )
            finally:
                answer.close()

    async def _ask(self, session: aiohttp.ClientSession, outgoing: Outgoing, form: aiohttp.FormData | None) -> Answer:
        if self._pool is not None:
            if outgoing.fresh:
                self._pool.drop_idle()
            if form is None and not _is_stood_in():
                return await self._pool.ask(outgoing)
        response = await session.request(
            outgoing.method,
            URL(self.origin + outgoing.target, encoded=True),
            headers=outgoing.headers,
            data=outgoing.body if form is None else form,
            allow_redirects=False,
        )
        return Answer(response.status, response.headers, response.content, response.close)

    async def _open(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                AiohttpTransport._proven = AiohttpTransport._proven or await is_in_control(_Trial)
                self._session = self._new_session(in_control=AiohttpTransport._proven)
            return self._session

    def _new_session(self, *, in_control: bool) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(connect=self._limits.connect, ceil_threshold=math.inf)
        # The slots bound the connections; a limit in here would have exchanges wait while their time runs.
        settings: dict[str, Any] = {"limit": 0, "ssl": True if self._ssl is None else self._ssl}
        if in_control:
            self._pool = Pool(self._address, timeout, keepalive_timeout=KEEP_ALIVE, **settings)
        session = aiohttp.ClientSession(
            connector=self._pool or aiohttp.TCPConnector(force_close=True, **settings),
            trace_configs=[] if in_control else [self._tracing()],
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            auto_decompress=False,
        )
        session._retry_connection = False  # noqa: SLF001  there is no public way to turn it off
        return session

    def _tracing(self) -> aiohttp.TraceConfig:
        async def count(*_: object) -> None:
            self._traced += 1

        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(count)
        return tracing

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self._traced if self._pool is None else self._pool.requests

    async def aclose(self) -> None:
        """End what is under way with `ClientClosed`, within 10 seconds, and leave no connection behind.

        Raises:
            ClientClosed: The transport belongs to another event loop or process.
        """
        self._flights.bind()
        try:
            await self._flights.close(GRACE)
        finally:
            if self._session is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE):
                        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a transport cannot be pickled: it holds connections; make one in each process")


class _Trial(AiohttpTransport):
    """A transport that takes it for granted that its connections are under control, in order to find out."""

    async def _open(self) -> aiohttp.ClientSession:
        self._session = self._new_session(in_control=True)
        return self._session


def _is_stood_in() -> bool:
    # aioresponses, VCR.py and the like put a function of their own here, and are to see every request.
    namespace: dict[str, Any] = getattr(aiohttp.ClientSession._request, "__globals__", {})  # noqa: SLF001  as they do
    return bool(namespace.get("__name__") != "aiohttp.client")


def _form_data(parts: Sequence[Part]) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)  # names in UTF-8, as browsers send them
    for part in parts:
        form.add_field(part.name, part.content, filename=part.filename, content_type=part.content_type)
    return form
