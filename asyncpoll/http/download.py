"""Fetching a result file from a link that a server gave us.

The link leads to somebody's storage, which has no business with the credential of the API. So the request carries
no credential and no cookie, and reaches public addresses only.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Self, Unpack

from attrs import define, frozen

from asyncpoll._errors import BadReply, Rejected, TransportError
from asyncpoll.http._settings import Limits, Proxy, TransportSettings
from asyncpoll.http.classify import fault, status_kind
from asyncpoll.http.guard import AddressGuard, is_public_host
from asyncpoll.http.link import Link, Origin, check_link, follow
from asyncpoll.http.message import Reply, Stream
from asyncpoll.http.partial import Partial
from asyncpoll.http.retry import QUICK

if TYPE_CHECKING:
    import os


OnProgress = Callable[[int, int | None], object]
InThread = Callable[..., Awaitable[None]]

MOST_REDIRECTS = 3
CONNECT = 5.0
READ_GAP = 10.0
LEAST_RATE = 1024
RATE_WINDOW = 30.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPIRED = frozenset({403, 404, 410})
_PLAIN = frozenset({"", "identity"})
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


async def download(
    url: str,
    path: str | os.PathLike[str],
    *,
    max_bytes: int = 5 << 30,
    on_progress: OnProgress | None = None,
    trusted_origins: Collection[str] = (),
    **settings: Unpack[TransportSettings],
) -> Path:
    """Fetch *url* into the file *path*, which appears when it is complete and replaces nothing.

    Only https on port 443 is fetched, from public addresses, over at most 3 redirects. It may take any time as long
    as data keeps coming: 1 KiB/s over each 30 seconds, and no gap longer than 10. When the connection breaks it is
    started anew, once. When it fails or is cancelled nothing is left behind.

    Args:
        url: The link.
        path: The file to make, in a directory that exists.
        max_bytes: The most bytes to accept.
        on_progress: Called after each piece with the bytes received and the total, which is None where the server
            does not say. It runs on the event loop, so it must be quick; what it raises ends the download.
        trusted_origins: Origins such as `http://127.0.0.1:8080` that may have any scheme, port and address.
        **settings: `proxy`, `trust_env`, `ssl`, `connect` and `read_gap` of `TransportSettings` are those of the
            download. The others have no effect; a lent session least of all, since it may carry cookies and
            credentials. A proxy looks up the names of hosts itself, so it must refuse private addresses itself, too.

    Returns:
        *path*, as a `Path`.

    Raises:
        FileExistsError: *path* exists, if only as a broken symbolic link.
        Rejected: The link has expired (kind "link-expired"), is refused ("link", "address"), or leads astray
            ("redirect").
        BadReply: The file is larger than *max_bytes* ("limit"), encoded without our asking ("encoding"), or damaged
            ("checksum").
        TransportError: The connection fails, the storage is in trouble or too slow ("slow"), or the file cannot be
            written, as on a full disk ("local").
        ValueError: *max_bytes* is below 1, one of *trusted_origins* is not an origin, or a setting is unusable.
        TypeError: A setting is unknown or of another type.
    """
    if max_bytes < 1:
        raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
    terms = _Terms(max_bytes, on_progress, trusted_origins, Way.of(settings))
    link = check_link(url, trusted_origins)
    target = Path(path)
    try:
        await _fetch(link, target, terms)
    except TransportError as error:
        if error.kind not in QUICK:
            raise
        await _fetch(link, target, terms)
    return target


@frozen
class _Terms:
    max_bytes: int
    on_progress: OnProgress | None
    trusted: Collection[str]
    way: Way


@frozen
class Way:
    """How the storage is reached.

    Attributes:
        proxy: The proxy to go through, or None.
        trust_env: Whether the environment may name one.
        ssl: The certificates to trust, or None for those of the system.
        connect: Seconds for the connection.
        read_gap: Seconds between two pieces.
    """

    proxy: Proxy | None
    trust_env: bool
    ssl: SSLContext | None
    connect: float
    read_gap: float

    @classmethod
    def of(cls, settings: TransportSettings) -> Self:
        """Return what the settings of a transport mean for a download.

        Raises:
            ValueError: One of them is unusable.
            TypeError: One of them is unknown or of another type.
        """
        for setting in settings:
            if setting not in TransportSettings.__annotations__:
                raise TypeError(f"download() got an unexpected keyword argument {setting!r}")
        limits = Limits(connect=settings.get("connect", CONNECT), read_gap=settings.get("read_gap", READ_GAP))
        proxy = settings.get("proxy")
        known = None if proxy is None else Proxy.of(proxy)
        context = _checked_context(settings.get("ssl"))
        return cls(known, settings.get("trust_env", False), context, limits.connect, limits.read_gap)

    def proxy_to(self, origin: Origin) -> Proxy | None:
        """Return the proxy to reach *origin* through, or None."""
        if self.proxy is None and self.trust_env:
            return Proxy.from_environment(origin)
        return self.proxy


def _checked_context(context: object) -> SSLContext | None:
    if context is None or isinstance(context, SSLContext):
        return context
    raise TypeError(f"ssl must be an ssl.SSLContext or None, not {type(context).__name__}")


async def _fetch(link: Link, target: Path, terms: _Terms) -> None:
    async with _filling(target) as (partial, in_thread), _reached(link, terms) as stream:
        await _pour(stream, partial, in_thread, terms)
        _compare(stream.headers.get("content-md5"), partial.digest())


async def _pour(stream: Stream, partial: Partial, in_thread: InThread, terms: _Terms) -> None:
    total = _length(stream.headers)
    if total is not None and total > terms.max_bytes:
        raise _too_large(terms)
    clock = asyncio.get_running_loop().time
    rate = Rate(clock())
    received = 0
    async for chunk in stream.chunks:
        received += len(chunk)
        if received > terms.max_bytes:
            raise _too_large(terms)
        rate.count(len(chunk), clock())
        await in_thread(partial.write, chunk)
        if terms.on_progress is not None:
            terms.on_progress(received, total)


def _compare(announced: str | None, digest: str) -> None:
    if announced is not None and announced != digest:
        raise BadReply("the file does not match its checksum", kind="checksum")


def _length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length", "")
    return int(value) if _DIGITS.fullmatch(value) else None


def _too_large(terms: _Terms) -> BadReply:
    return BadReply(f"the file is larger than max_bytes={terms.max_bytes}", kind="limit", passing=False)


@define
class Rate:
    """Sees to it that data keeps coming.

    Attributes:
        since: When the present window began, in seconds.
        received: Bytes that have arrived in it.
    """

    since: float
    received: int = 0

    def count(self, size: int, now: float) -> None:
        """Take in that *size* bytes arrived at the time *now*.

        Raises:
            TransportError: Over a whole window it was less than 1 KiB/s; the kind is "slow".
        """
        self.received += size
        if now - self.since < RATE_WINDOW:
            return
        if self.received < LEAST_RATE * (now - self.since):
            raise TransportError(f"less than {LEAST_RATE} bytes/s over {RATE_WINDOW:g} s", kind="slow")
        self.since, self.received = now, 0


@asynccontextmanager
async def _filling(target: Path) -> AsyncGenerator[tuple[Partial, InThread], None]:
    """Give a file to fill, committed at the end or discarded on the way, and what runs its methods.

    They run in a thread of their own, in order: a write that is cancelled here goes on there to its end, and only
    then is the file removed.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asyncpoll-download")
    partial = Partial(target)

    async def in_thread(step: Callable[..., None], *args: object) -> None:
        try:
            await loop.run_in_executor(thread, step, *args)
        except FileExistsError:
            raise
        except OSError as error:
            raise TransportError(f"the file cannot be written: {error.strerror}", kind="local") from None

    try:
        await in_thread(partial.open)
        yield partial, in_thread
        await in_thread(partial.commit)
    except BaseException:
        await asyncio.shield(in_thread(partial.discard))
        raise
    finally:
        thread.shutdown(wait=False)


@asynccontextmanager
async def _reached(link: Link, terms: _Terms) -> AsyncGenerator[Stream, None]:
    """Follow redirects to the file itself."""
    for _ in range(MOST_REDIRECTS + 1):
        async with AsyncExitStack() as stack:
            stream = await _open(link, terms.way, stack)
            if stream.status not in _REDIRECTS:
                _check(stream, link)
                yield stream
                return
            link = follow(link, _every(stream.headers, "location"), terms.trusted)
    raise Rejected(f"more than {MOST_REDIRECTS} redirects", kind="redirect", origin=str(link.origin))


async def _open(link: Link, way: Way, stack: AsyncExitStack) -> Stream:
    from asyncpoll.http.transport import open_stream  # noqa: PLC0415  aiohttp takes 0.2 s to import

    proxy = way.proxy_to(link.origin)
    guard = AddressGuard(anywhere=link.trusted or proxy is not None)  # a proxy connects to the storage, we to the proxy
    if link.trusted or proxy is None or is_public_host(link.origin.host):
        headers = {"Accept-Encoding": "identity"}
        stream = open_stream(
            link.url,
            headers=headers,
            socket_factory=guard,
            connect=way.connect,
            read_gap=way.read_gap,
            ssl=way.ssl,
            proxy=proxy,
        )
        try:
            return await stack.enter_async_context(stream)
        except TransportError:
            if not guard.refused:
                raise
    message = "the link is refused: its host has no public address; trust its origin if that is meant"
    raise Rejected(message, kind="address", origin=str(link.origin))


def _check(stream: Stream, link: Link) -> None:
    """Raise what the storage says in place of the file."""
    origin = str(link.origin)
    if stream.status != 200:  # noqa: PLR2004  the one status that stands for a whole file
        reply = Reply(stream.status, headers=stream.headers, origin=origin)
        kind = "link-expired" if stream.status in _EXPIRED else status_kind(reply)
        raise fault(kind, "", reply=reply)
    if stream.headers.get("content-encoding", "").strip().lower() not in _PLAIN:
        raise BadReply("the file is encoded, which was not asked for", kind="encoding", origin=origin)


def _every(headers: Mapping[str, str], name: str) -> list[str]:
    every = getattr(headers, "getall", None)  # a header may be repeated; a plain mapping holds just one
    if every is not None:
        return list(every(name, ()))
    return [headers[name]] if name in headers else []
