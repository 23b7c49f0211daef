"""Fetch a result file from a link that a server named.

The link leads to a storage of a third party, which must not see the credential of the API. So the request carries
neither a credential nor a cookie, and reaches public addresses only: a server that names a link could make us send
requests into our own network (server-side request forgery). Every address is checked at the moment of connecting, since
a name that was looked up earlier may resolve differently by then.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from ssl import SSLContext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack

from attrs import define, field, frozen

from asyncpoll._atomic_file import AtomicFile
from asyncpoll._checks import whole
from asyncpoll._errors import BadReply, Rejected, TransportError
from asyncpoll.http._classify import fault, status_kind
from asyncpoll.http._message import Reply, Stream, values_of
from asyncpoll.http._settings import ExchangeLimits, Proxy, TransportSettings, check_ssl
from asyncpoll.http._urls import Link, check_link, follow
from asyncpoll.http._wrappers import QUICK

if TYPE_CHECKING:
    import os
    from hashlib import _Hash


OnProgress = Callable[[int, int | None], object]
InThread = Callable[..., Awaitable[None]]

MOST_BYTES = 5 << 30
MOST_REDIRECTS = 3
LEAST_RATE = 1024
RATE_WINDOW = 30.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_EXPIRED = frozenset({403, 404, 410})
_PLAIN = frozenset({"", "identity"})
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_UNUSED: Mapping[str, str] = MappingProxyType(
    {
        "session": "a lent session may carry cookies and credentials, which are not for the storage; leave it out",
        "insecure": "to allow http for an origin, name it in trusted_origins=",
        "connections": "a download has one connection; leave it out",
    }
)
"""The settings of a transport that a download does not use, and the cure for each."""


async def download(
    url: str,
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MOST_BYTES,
    on_progress: OnProgress | None = None,
    trusted_origins: Collection[str] = (),
    **settings: Unpack[TransportSettings],
) -> Path:
    """Fetch *url* into the file *path*, which appears when it is complete and replaces nothing.

    Only https on port 443 is fetched, from public addresses, over at most 3 redirects. It may take any time as long
    as data keeps coming: 1 KiB/s over each 30 seconds, and no gap longer than `read_gap`. When the connection breaks,
    the download is started anew, once. When it fails or is cancelled nothing is left behind.

    Args:
        url: The link.
        path: The file to make, in a directory that exists.
        max_bytes: The most bytes to accept; 5 GiB by default.
        on_progress: Called after each piece with the bytes received and the total, which is None if the server does
            not say it. It runs on the event loop, so it must be quick; an exception that it raises ends the download.
        trusted_origins: Origins such as `http://127.0.0.1:8080` that may have any scheme, port and address.
        **settings: `proxy`, `trust_env`, `ssl`, `attempt` (for each redirect anew), `connect`, `read_gap` and
            `max_body` of `TransportSettings`. `max_body` means the same as `max_bytes`; the smaller one counts. A
            proxy looks up the names of hosts itself, so it must refuse private addresses itself, too.

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
        TypeError: A setting is unknown, of another type, or without effect on a download.
    """
    whole(1)("max_bytes", max_bytes)
    terms = _terms(max_bytes, on_progress, trusted_origins, settings)
    link = check_link(url, trusted_origins)
    target = Path(path)
    try:
        await _fetch(link, target, terms)
    except TransportError as error:
        if error.kind not in QUICK:
            raise
        await _fetch(link, target, terms)
    return target


def used_settings(settings: Mapping[str, Any]) -> TransportSettings:
    """Return those of the settings of a client that count for its downloads, too."""
    used: Any = {name: value for name, value in settings.items() if name not in {*_UNUSED, "max_body"}}
    settings_used: TransportSettings = used
    return settings_used


@frozen
class _Terms:
    """The arguments of one download, checked. Without a `proxy` the environment may name one, if `trust_env` is set."""

    max_bytes: int
    on_progress: OnProgress | None
    trusted: Collection[str]
    limits: ExchangeLimits
    proxy: Proxy | None
    trust_env: bool
    ssl: SSLContext | None


def _terms(
    max_bytes: int, on_progress: OnProgress | None, trusted: Collection[str], settings: Mapping[str, Any]
) -> _Terms:
    for name, value in settings.items():
        if name not in TransportSettings.__annotations__:
            raise TypeError(f"download() got an unexpected keyword argument {name!r}")
        if name in _UNUSED and value:
            raise TypeError(f"download() does not use {name}=: {_UNUSED[name]}")
    given = {name: settings[name] for name in ("attempt", "connect", "read_gap", "max_body") if name in settings}
    limits = ExchangeLimits(**{"max_body": max_bytes, **given})
    return _Terms(
        min(max_bytes, limits.max_body),
        on_progress,
        trusted,
        limits,
        None if settings.get("proxy") is None else Proxy.of(settings["proxy"]),
        settings.get("trust_env", False),
        check_ssl(settings.get("ssl")),
    )


async def _fetch(link: Link, target: Path, terms: _Terms) -> None:
    async with _filling(target) as (partial, in_thread), _reached(link, terms) as stream:
        await _pour(stream, partial, in_thread, terms)
        _compare(stream.headers.get("content-md5"), partial.digest())


async def _pour(stream: Stream, partial: _Download, in_thread: InThread, terms: _Terms) -> None:
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
    """Checks that data keeps coming.

    Attributes:
        since: When the present window began, in seconds.
        received: Bytes that have arrived in it.
    """

    since: float
    received: int = 0

    def count(self, size: int, now: float) -> None:
        """Count *size* bytes that arrived at the time *now*.

        Raises:
            TransportError: Over a whole window it was less than 1 KiB/s; the kind is "slow".
        """
        self.received += size
        if now - self.since < RATE_WINDOW:
            return
        if self.received < LEAST_RATE * (now - self.since):
            raise TransportError(f"less than {LEAST_RATE} bytes/s over {RATE_WINDOW:g} s", kind="slow")
        self.since, self.received = now, 0


@define(eq=False)
class _Download(AtomicFile):
    """A file that keeps the digest of what is written to it."""

    _md5: _Hash = field(factory=lambda: hashlib.md5(usedforsecurity=False), init=False)

    def write(self, data: bytes) -> None:
        """Append *data*."""
        self.file.write(data)
        self._md5.update(data)

    def digest(self) -> str:
        """Return the MD5 digest of what was written, as `Content-MD5` spells it (RFC 1864)."""
        return base64.b64encode(self._md5.digest()).decode()


@asynccontextmanager
async def _filling(target: Path) -> AsyncGenerator[tuple[_Download, InThread], None]:
    """Yield a file to fill, committed at the end or discarded on the way, and a function that runs its methods.

    They run in a thread of their own, in order: a write that is cancelled here goes on there to its end, and only
    then is the file removed.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asyncpoll-download")
    partial = _Download(target)

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
            stream = await _open(link, terms, stack)
            if stream.status not in _REDIRECTS:
                _check(stream, link)
                yield stream
                return
            link = follow(link, values_of(stream.headers, "location"), terms.trusted)
    raise Rejected(f"more than {MOST_REDIRECTS} redirects", kind="redirect", origin=str(link.origin))


async def _open(link: Link, terms: _Terms, stack: AsyncExitStack) -> Stream:
    from asyncpoll.http.transport import open_stream  # noqa: PLC0415  aiohttp takes 0.2 s to import

    proxy = Proxy.from_environment(link.origin) if terms.proxy is None and terms.trust_env else terms.proxy
    guard = AddressGuard(anywhere=link.trusted or proxy is not None)  # a proxy connects to the storage, we to the proxy
    if link.trusted or proxy is None or is_public_host(link.origin.host):
        stream = open_stream(link.url, socket_factory=guard, limits=terms.limits, ssl=terms.ssl, proxy=proxy)
        try:
            return await stack.enter_async_context(stream)
        except TransportError:
            if not guard.refused:
                raise
    message = "the link is refused: its host has no public address; trust its origin if that is meant"
    raise Rejected(message, kind="address", origin=str(link.origin))


def _check(stream: Stream, link: Link) -> None:
    """Raise the error that the storage answers in place of the file."""
    origin = str(link.origin)
    if stream.status != 200:  # noqa: PLR2004  the one status that stands for a whole file
        reply = Reply(stream.status, headers=stream.headers, origin=origin)
        kind = "link-expired" if stream.status in _EXPIRED else status_kind(reply)
        raise fault(kind, "", reply=reply)
    if stream.headers.get("content-encoding", "").strip().lower() not in _PLAIN:
        raise BadReply("the file is encoded, which was not asked for", kind="encoding", origin=origin)


Address = IPv4Address | IPv6Address
AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]
"""One entry of the list that `socket.getaddrinfo` returns."""

# The IANA special-purpose registries, in a table of our own: `is_global` differs between Python versions, and counts
# multicast and NAT64 as global.
_SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared behind a carrier's NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, with the metadata services of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_EMBEDDING_V6 = {
    IPv6Network("::/96"): 0,  # IPv4-compatible
    IPv6Network("::ffff:0:0/96"): 0,  # IPv4-mapped
    IPv6Network("64:ff9b::/96"): 0,  # NAT64
    IPv6Network("2002::/16"): 80,  # 6to4
}
"""The networks whose addresses hold an IPv4 address, and how many bits follow it."""


def is_public(address: str) -> bool:
    """Return whether *address*, in figures, is global unicast, also when IPv4 is embedded into it."""
    ip = _unwrap(ip_address(address))
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _SPECIAL_V4)
    return ip in _UNICAST_V6 and not any(ip in network for network in _SPECIAL_V6)


def is_public_host(host: str) -> bool:
    """Return whether *host* may be public: an address that is, or a name, unless it is one for this machine."""
    try:
        return is_public(host)
    except ValueError:
        return host.rstrip(".").rpartition(".")[2] != "localhost"


def _unwrap(ip: Address) -> Address:
    if isinstance(ip, IPv6Address):
        for network, trailing in _EMBEDDING_V6.items():
            if ip in network:
                return IPv4Address(int(ip) >> trailing & 0xFFFF_FFFF)
    return ip


@define(eq=False)
class AddressGuard:
    """A socket factory that makes no socket for an address that is not public.

    Attributes:
        anywhere: Whether every address will do, because the user vouches for the origin.
        refused: Whether an address was refused.
    """

    anywhere: bool = False
    refused: bool = field(default=False, init=False)

    def __call__(self, info: AddressInfo) -> socket.socket:
        """Make the socket to connect to *info* with, or raise a `PermissionError`."""
        family, type_, proto, _, address = info
        if not (self.anywhere or is_public(address[0])):
            self.refused = True
            raise PermissionError(errno.EACCES, "the address is not public")
        return socket.socket(family, type_, proto)
