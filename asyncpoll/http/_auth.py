"""Credentials: the `Auth` protocol, the schemes `Bearer`, `ApiKey` and `Basic` and others by name, and their use.

A transport asks its `Auth` for the headers of every request. If the server refuses them, it has the `Auth` renew the
credential, and sends the request once more. However many requests were refused, there is one renewal at a time, and
the requests that were sent before it share its result.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from inspect import isawaitable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import quote

from attrs import define, field, frozen

from asyncpoll._checks import function, refusal, text
from asyncpoll._errors import PollError, Rejected, TransportError
from asyncpoll.http._message import FRAMING, header_problem
from asyncpoll.http._secrets import Mask, Secret, basic

if TYPE_CHECKING:
    from asyncpoll.http._message import Reply, Request, Transport

T = TypeVar("T")

LONGEST = 8 << 10
"""The most characters of a key; servers refuse longer headers."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
_SCHEME = re.compile(r"[a-z0-9_-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SECRET_NAME = re.compile(r"auth|cookie|token|key|signature|secret|credential|password|session", re.IGNORECASE)
_RESERVED = FRAMING | {"content-type"}
_HTTP_LIBRARIES = frozenset({"aiohttp", "httpx", "httpcore", "requests", "urllib3", "botocore"})

Key = str | Secret | Callable[[], str | Secret | Awaitable[str | Secret]]
"""A key: text, or a function, plain or async, that returns it."""


@frozen
class OutgoingRequest:
    """A request as it will go out, for an `Auth` to look at or to sign.

    Attributes:
        method: The HTTP method, in upper case.
        url: The full address: origin, path and query, percent-encoded.
        headers: The headers, without `Host`, `Content-Length` and the credential.
        body: The bytes of the body, empty without one. It is None for a form with files, which are read only while
            they are sent: an API that wants the body signed needs the form as `Request(body=...)`.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


class Auth(Protocol):
    """A credential, or something that makes one for each request."""

    async def headers(self, request: OutgoingRequest, /) -> Mapping[str, str]:
        """Return the headers to send with *request*, such as `{"Authorization": "..."}`.

        It is called before each request. An `OSError`, an error of an HTTP library, or taking longer than `attempt`
        seconds makes the poll a miss. Any other error ends the wait.
        """
        ...

    async def renew(self) -> bool:
        """Renew the credential that the server has refused, and return whether to send the request once more.

        It is called once for all requests that were refused with the same credential.
        """
        ...


@frozen
class Credential:
    """Headers, or an encoded query parameter, and the mask that replaces the secret where the server echoes it."""

    headers: Mapping[str, str] = field(default=MappingProxyType({}), repr=False)
    mask: Mask = field(default=Mask(), repr=False)
    parameter: str = field(default="", repr=False)


NO_CREDENTIAL = Credential()


class _UnusableKeyError(ValueError):
    """A key cannot be sent. The message says why, and does not repeat it."""


class _KeyAuth:
    """A key in a header, behind a prefix, or in a query parameter; see the subclasses."""

    def __init__(self, key: Key, header: str, prefix: str, query: str | None = None) -> None:
        if not (key is None or isinstance(key, str | Secret) or callable(key)):
            wanted = "pass the key of the API as text, or a function that returns it"
            raise TypeError(f"{type(self).__name__}: {wanted}, not {type(key).__name__}")
        self._ask = key if callable(key) else None
        self._header = header
        self._prefix = prefix
        self._query = query
        self._secret = Secret("")
        self._credential = NO_CREDENTIAL
        if not callable(key):
            self._keep(_checked(key))

    @property
    def fixed(self) -> Credential | None:
        """The credential, if it is the same for every request, or None."""
        return self._credential if self._ask is None else None

    async def current(self) -> Credential:
        """Return the credential to send now, or raise a `ValueError` if the key of the function cannot be sent."""
        if self._ask is not None:
            key = self._ask()
            secret = await key if isawaitable(key) else key
            if secret is not self._secret:
                self._keep(_checked(secret))
        return self._credential

    async def headers(self, _request: OutgoingRequest, /) -> Mapping[str, str]:
        """Return the header with the key of this moment; a key in the query is in no header."""
        return (await self.current()).headers

    async def renew(self) -> bool:
        """Return whether the key may be another one when it is asked for again: whether it comes from a function."""
        return self._ask is not None

    def _keep(self, secret: Secret) -> None:
        if secret != self._secret:
            mask = Mask.of(secret)
            if self._query is None:
                headers = MappingProxyType({self._header: self._prefix + secret.reveal()})
                self._credential = Credential(headers, mask)
            else:
                pair = (quote(part, safe="") for part in (self._query, secret.reveal()))
                self._credential = Credential(mask=mask, parameter="=".join(pair))
        self._secret = secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class Bearer(_KeyAuth):
    """`Authorization: Bearer ...`, as in RFC 6750.

    Args:
        key: The key as text, or a function without arguments that returns it, plain or async. A function is called
            before each request, and once more after a refusal, so it should keep the key as long as it is valid. A
            plain function runs on the event loop, so it must be quick.

    Raises:
        TypeError: The key is neither text nor a function.
        ValueError: The key is empty, longer than 8 KiB, or holds spaces, line breaks or anything else beyond the
            printable characters of ASCII. The key that a function returns is checked at each request.
    """

    def __init__(self, key: Key) -> None:
        super().__init__(key, "Authorization", "Bearer ")


class ApiKey(_KeyAuth):
    """A key in a header of its own, or in a query parameter.

    Args:
        key: The key as text, or a function that returns it, as for `Bearer`.
        header: The name of the header.
        prefix: Text before the key, such as "Token ".
        query: The name of the query parameter to send the key in, in place of the header. Servers and proxies write
            addresses into their logs, and tools that instrument aiohttp see them, so prefer a header.

    Raises:
        TypeError: The key is neither text nor a function, or the header, the prefix or the parameter is not text.
        ValueError: The key (see `Bearer`), the header, the prefix or the parameter cannot be sent.
    """

    def __init__(self, key: Key, header: str = "X-Api-Key", prefix: str = "", *, query: str | None = None) -> None:
        text("ApiKey: header", header)
        text("ApiKey: prefix", prefix)
        if query is not None:
            text("ApiKey: query", query)
            if prefix or not query or _CONTROL.search(query):
                raise ValueError("ApiKey: query must be the name of a parameter, and goes without a prefix")
        if problem := header_problem(header, prefix, _RESERVED):
            raise ValueError(f"{problem}; pass another header or prefix")
        super().__init__(key, header, prefix, query)


class Basic(_KeyAuth):
    """`Authorization: Basic ...`, a user name and a password, as in RFC 7617.

    Args:
        user: The user name, without a colon.
        password: The password; it may be empty.

    Raises:
        TypeError: One of them is not text.
        ValueError: One of them holds control characters or lone surrogates, or *user* is empty or holds a colon.
    """

    def __init__(self, user: str, password: str) -> None:
        for name, value in (("user", user), ("password", password)):
            text(f"Basic: {name}", value)
            if _CONTROL.search(value):
                raise ValueError(f"the {name} must be text without control characters or lone surrogates")
        if not user or ":" in user:
            raise ValueError("the user must not be empty or hold a colon")
        prefix = "Basic "
        header, mask = basic(user, password)
        super().__init__(header.removeprefix(prefix), "Authorization", prefix)
        self._credential = Credential(self._credential.headers, mask)


def _basic(key: str | Secret) -> Basic:
    shown = key.reveal() if isinstance(key, Secret) else key
    text("the key", shown)
    user, _, password = shown.partition(":")
    return Basic(user, password)


_factories: dict[str, Callable[..., Auth]] = {"bearer": Bearer, "api_key": ApiKey, "basic": _basic}
_BUILT_IN = frozenset(_factories)


def register_auth(name: str, factory: Callable[..., Auth]) -> None:
    """Register how an `Auth` is made, so that a definition can name it: `auth = {scheme = "sigv4", region = "..."}`.

    Args:
        name: The name of the scheme. One that was registered before is replaced, but for "bearer", "api_key" and
            "basic", whose key is "user:password".
        factory: Called with the key, and the other members of the table as keywords; it returns an `Auth`.

    Raises:
        TypeError: *name* is not text, or *factory* not a function or a class.
        ValueError: *name* is not made of lower-case letters, digits, "-" and "_", or is one of those three.
    """
    text("register_auth(): name", name)
    function("register_auth(): factory", factory)
    if not _SCHEME.fullmatch(name) or name in _BUILT_IN:
        taken = ", ".join(sorted(_BUILT_IN))
        wanted = f"made of lower-case letters, digits, '-' and '_', and not one of {taken}"
        raise refusal(ValueError, "register_auth(): name", wanted, name)
    _factories[name] = factory


def registered_auth(name: str) -> Callable[..., Auth]:
    """Return the factory of the scheme *name*; a `ValueError` lists those that are registered."""
    text("registered_auth(): name", name)
    if name not in _factories:
        known, cure = ", ".join(sorted(_factories)), "add yours with asyncpoll.http.register_auth"
        raise ValueError(f"no Auth is registered as {name!r:.80}, but {known} are; {cure}")
    return _factories[name]


def _checked(key: object) -> Secret:
    shown = key.reveal() if isinstance(key, Secret) else key
    if not isinstance(shown, str) or not shown:
        raise _UnusableKeyError("the key is missing; pass the key that the API gave you, as text")
    if len(shown) > LONGEST:
        raise _UnusableKeyError(f"the key is longer than {LONGEST} characters; pass the key alone")
    if not _TOKEN.fullmatch(shown):
        raise _UnusableKeyError(
            "the key holds spaces, line breaks or characters beyond ASCII; strip it, or copy it again"
        )
    return key if isinstance(key, Secret) else Secret(shown)


def _credential_of(headers: object) -> Credential:
    """Return the credential that an `Auth` has made, or raise an `_UnusableKeyError`."""
    if not isinstance(headers, Mapping):
        wanted = 'headers must be a mapping, not {}; return one such as {{"Authorization": "..."}}'
        raise _UnusableKeyError(wanted.format(type(headers).__name__))
    kept: dict[str, str] = {}
    spellings: dict[bytes, None] = {}
    for name, value in headers.items():
        if problem := header_problem(name, value, _RESERVED):
            raise _UnusableKeyError(problem)
        kept[name] = value
        if _SECRET_NAME.search(name):  # a date, say, must not be masked where the server tells the time
            for secret in {value, value.partition(" ")[2]}:
                spellings |= dict.fromkeys(Mask.of(Secret(secret)).spellings)
    return Credential(kept, Mask(tuple(spellings)))


@define(eq=False)
class Credentials:
    """The credentials of one transport: asks an `Auth` for them, and has it renew them.

    Attributes:
        fixed: The credential, if it is the same for every request, or None.
        renewals: How many renewals have ended.
    """

    _auth: Auth
    _patience: float
    fixed: Credential | None = None
    renewals: int = field(default=0, init=False)
    _renewed: bool | PollError = field(default=False, init=False)
    _lock: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    @classmethod
    def of(cls, auth: Auth, patience: float) -> Credentials:
        """Return the credentials that *auth* makes, with *patience* seconds for each call, or raise a `TypeError`."""
        is_auth = callable(getattr(auth, "headers", None)) and callable(getattr(auth, "renew", None))
        if isinstance(auth, type) or not is_auth:
            raise TypeError(f"auth must be an Auth such as Bearer(key), not {type(auth).__name__}")
        return cls(auth, patience, auth.fixed if isinstance(auth, _KeyAuth) else None)

    async def current(self, request: OutgoingRequest) -> Credential:
        """Return the credential for *request*.

        Raises:
            TransportError: The `Auth` raised an error that may pass; the kind is "auth".
            Rejected: It raised another error, or what it returned cannot be sent; the kind is "credential".
        """
        made: Credential | PollError
        if isinstance(self._auth, _KeyAuth):
            made = await self._called("headers", self._auth.current)
        else:
            made = await self._called("headers", lambda: self._auth.headers(request), _credential_of)
        if isinstance(made, PollError):
            if request.body is None and isinstance(made, Rejected):
                cure = "a form with files has body=None here; send it as Request(body=...) if its body must be signed"
                made = Rejected(f"{made} ({cure})", kind=made.kind)
            raise made
        return made

    async def renew(self, renewals: int) -> bool:
        """Renew the credential of a request that was refused, and return whether to send it once more.

        Of *renewals*, so many had ended before the request was sent. If another one has ended since, its result counts
        for this request, too. The errors are those of `current`.
        """
        async with self._lock:
            if self.renewals == renewals:
                self._renewed = await self._called("renew", self._auth.renew, bool)
                self.renewals += 1
            renewed = self._renewed
        if isinstance(renewed, PollError):
            raise copy(renewed)  # others raise it, too
        return renewed

    async def _called(
        self, name: str, call: Callable[[], Any], check: Callable[[Any], T] = lambda made: made
    ) -> T | PollError:
        """Return the result of a method of the `Auth`, or the error to raise, with nothing of the original attached."""
        where = f"{type(self._auth).__name__}.{name}"
        limit = asyncio.timeout(self._patience)
        try:
            async with limit:
                made = call()
                return check(await made if isawaitable(made) else made)
        except PollError as error:
            return error
        except _UnusableKeyError as error:
            return Rejected(f"the credential cannot be sent: {error}; {where} returned it", kind="credential")
        except Exception as error:  # noqa: BLE001  any of them may hold a secret
            if limit.expired():
                message = f"the credential could not be fetched: {where} took longer than {self._patience:g} s"
                return TransportError(message, kind="auth")
            return _failure(where, error)


def _failure(where: str, error: Exception) -> TransportError:
    """Return our own error for one that an `Auth` raised, whose text may hold a secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = "" if trace is None else f" ({Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno})"
    problem = f"{where} raised {type(error).__name__}{at}"
    if isinstance(error, OSError) or _HTTP_LIBRARIES & {
        kind.__module__.partition(".")[0] for kind in type(error).__mro__
    }:
        return TransportError(f"the credential could not be fetched: {problem}", kind="auth")
    return Rejected(f"the credential could not be made: {problem}; correct it", kind="credential")


async def exchange(transport: Transport, request: Request, classify: Callable[[Reply], None]) -> Reply:
    """Send *request*, and once more after a renewal if *classify* says that the credential is refused.

    A request that was refused was not carried out, so a submit may be sent again, too.
    """
    reply = await transport.send(request)
    try:
        classify(reply)
    except Rejected as error:
        if error.kind != "credential" or reply.renew is None or not await reply.renew():
            raise
    else:
        return reply
    reply = await transport.send(request)
    classify(reply)
    return reply
