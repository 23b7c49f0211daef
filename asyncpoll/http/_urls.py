"""URLs: origins, the base address of an API, ids that become part of a path, and links that a server chose.

An address that the API itself gave, for a later request with the credential, must lie below the base address. A link
may be anywhere, but must be https on port 443, without a user name. The address that its host resolves to is checked
elsewhere, at the moment of connecting.

An id that is put into a path unchecked can ask about something else: `..` leaves the endpoint, parsers of URLs silently
drop a line break, and a lone surrogate cannot be sent at all.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, urlencode, urljoin, urlsplit

from attrs import Attribute, field, frozen

from asyncpoll._checks import text
from asyncpoll._errors import Rejected
from asyncpoll.http._message import NOTHING, Query
from asyncpoll.http._secrets import printable

PORTS = {"https": 443, "http": 80}

_UNSAFE = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")  # parsers of URLs disagree about them
_PATH = re.compile(r"/(?:[\w\-.~!$&'()*+,;=:@/]++|%[0-9A-Fa-f]{2})*+", re.ASCII)
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)

# Some servers decode a path more than once or laxly, read a backslash as a slash, and end a segment at ";".
_DISGUISED = re.compile(
    r"^//|%(?:[01][0-9a-f]|7f|c[01])"
    r"|(?:/|%(?:25)*(?:2f|5c))(?:\.|%(?:25)*2e){1,2}(?:[/;]|%(?:25)*(?:2f|3b|5c)|$)",
    re.IGNORECASE,
)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.\-]*:(?://[^/?]*)?", re.IGNORECASE)
_LONGEST = 8 << 10  # characters of an address; servers refuse longer ones
_SHOWN = 100  # characters of an origin that an error names


@frozen
class Origin:
    """Scheme, host and port; as text without the port if it is the scheme's own."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    @classmethod
    def of(cls, url: str) -> Origin:
        """Return the origin of *url*.

        Raises:
            ValueError: It is not a proper http or https URL without a user name; the message does not repeat it.
        """
        if _UNSAFE.search(url):
            raise ValueError("it holds spaces, backslashes or other characters that must be percent-encoded")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("it is not a proper URL") from None
        if parts.scheme not in PORTS or not host or not host.isascii():
            raise ValueError("it needs https:// and the name of a host, in ASCII")
        if "@" in parts.netloc:
            raise ValueError("it holds a user name")
        return cls(parts.scheme, host, PORTS[parts.scheme] if port is None else port)


def is_loopback(host: str) -> bool:
    """Return whether *host*, a name or an address, is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


# the base address of an API


@frozen
class Address:
    """The base address of an API.

    Attributes:
        origin: Scheme, host and port, as text.
        host: Host and port, as the `Host` header has them.
        prefix: The path, without a slash at its end.
    """

    origin: str
    host: str
    prefix: str

    @classmethod
    def of(cls, base_url: str, *, insecure: bool = False) -> Address:
        """Return the address that *base_url* names; *insecure* allows plain http for other hosts than this machine.

        Raises:
            TypeError: It is not text.
            ValueError: It is not a usable address; the message says what to do, and does not repeat it.
        """
        text("base_url", base_url)
        try:
            origin = Origin.of(base_url)
        except ValueError as problem:
            raise ValueError(f"base_url is refused: {problem}; write it as https://host/path") from None
        if "?" in base_url or "#" in base_url:
            raise ValueError("base_url is refused: leave out the query and the fragment")
        if origin.scheme == "http" and not (insecure or is_loopback(origin.host)):
            raise ValueError("base_url is refused: use https, or pass insecure=True to send all in the clear")
        prefix = urlsplit(base_url).path.rstrip("/")
        if prefix and not _is_path(prefix):
            raise ValueError("base_url is refused: its path must be percent-encoded and without dot segments")
        return cls(str(origin), str(origin).partition("//")[2], prefix)

    def target(self, path: str, query: Query) -> str:
        """Return path and query of a request as its first line has them, or raise a `ValueError` with the cure."""
        if not _is_path(path):
            raise ValueError("the path must begin with a slash and be percent-encoded, without dot segments or a query")
        target = self.prefix + path
        return f"{target}?{_encode_query(query)}" if query else target

    def resolve(self, address: str, query: Query = NOTHING) -> str:
        """Return the target, as `target` does, of an address that a server gave, with *query* added to its own.

        Args:
            address: A URL, a path with a slash at its beginning, or a path relative to the base address.
            query: Further query parameters.

        Raises:
            Rejected: It is not a proper address below the base address; the kind is "foreign_address".
        """
        try:
            path, own = self._below(address)
        except ValueError as problem:
            message = f"the address that the server gave is refused: {problem}"
            raise Rejected(message, kind="foreign_address", origin=self.origin) from None
        joined = "&".join(filter(None, (own, _encode_query(query) if query else "")))
        return f"{path}?{joined}" if joined else path

    def _below(self, address: str) -> tuple[str, str]:
        """Return the path and the query of *address*, or raise a `ValueError` that does not repeat them."""
        if not 0 < len(address) <= _LONGEST:
            raise ValueError(f"it is empty, or longer than {_LONGEST} characters")
        if _UNSAFE.search(address) or not address.isprintable():
            raise ValueError("it holds spaces, backslashes or characters that are not printable")
        own = quote(address, safe=string.punctuation).partition("#")[0]
        if absolute := _ABSOLUTE.match(own):
            origin = str(Origin.of(address))
            if origin != self.origin:
                raise ValueError(f"it leads to {printable(origin, _SHOWN)}; a base_url of that origin would be needed")
            own = own[absolute.end() :]
        elif own[:1] in {"", "?"}:
            raise ValueError("it has no path")
        elif own[0] != "/":
            own = f"{self.prefix}/{own}"
        path, _, query = own.partition("?")
        path = path or "/"
        if not _is_path(path) or _DISGUISED.search(path):
            raise ValueError("its path must be percent-encoded, and without dot segments and control characters")
        if not f"{path}/".startswith(f"{self.prefix}/"):
            raise ValueError("it is not below base_url; a shorter base_url would be needed")
        return path, query


def _encode_query(query: Query) -> str:
    try:
        return urlencode(query, doseq=True, quote_via=quote, safe="")
    except UnicodeEncodeError:
        raise ValueError("the query holds a lone surrogate, which cannot be sent") from None
    except (TypeError, ValueError):
        raise ValueError("the query must be a mapping from text to text or lists of text, or a list of pairs") from None


def with_parameter(target: str, parameter: str) -> str:
    """Return *target* with an encoded query parameter, which takes the place of those of the same name."""
    path, _, query = target.partition("?")
    name = unquote_plus(parameter.partition("=")[0])
    kept = [one for one in query.split("&") if one and unquote_plus(one.partition("=")[0]) != name]
    return f"{path}?{'&'.join([*kept, parameter])}"


def _is_path(path: str) -> bool:
    return _PATH.fullmatch(path) is not None and not _DOTS.search(path)


# links


@frozen
class Link:
    """A link that may be fetched; made by `check_link` alone.

    Attributes:
        url: The address, in ASCII.
        origin: Its origin.
        trusted: Whether the user vouches for the origin.
    """

    url: str = field(repr=False)
    origin: Origin
    trusted: bool


def checked_origins(trusted: Any) -> frozenset[Origin]:
    """Return the origins that a user trusts.

    Raises:
        TypeError: *trusted* is not a list or another collection of texts.
        ValueError: One of them is not an origin.
    """
    is_collection = isinstance(trusted, Collection) and not isinstance(trusted, str)
    if not is_collection or not all(isinstance(one, str) for one in trusted):
        raise TypeError("trusted_origins must be a list of texts such as ['https://storage.internal:9000']")
    try:
        return frozenset(map(Origin.of, trusted))
    except ValueError as problem:
        raise ValueError(f"one of trusted_origins is refused: {problem}") from None


def check_link(url: str, trusted: Collection[str] = ()) -> Link:
    """Return *url*, absolute, as a `Link`; *trusted* origins may have any scheme, port and address.

    Raises:
        Rejected: It is not https on port 443, has a user name in it, or is not a proper URL; the kind is "link".
        ValueError: One of *trusted* is not a proper origin.
        TypeError: *trusted* is not a collection of texts.
    """
    vouched = checked_origins(trusted)
    try:
        origin = Origin.of(url)
    except ValueError as problem:
        raise Rejected(f"the link is refused: {problem}", kind="link") from None
    if origin not in vouched and (origin.scheme, origin.port) != ("https", PORTS["https"]):
        message = "the link is refused: only https on port 443 is fetched, unless its origin is trusted"
        raise Rejected(message, kind="link", origin=str(origin))
    return Link(quote(url, safe=string.punctuation), origin, origin in vouched)


def follow(link: Link, locations: Collection[str], trusted: Collection[str] = ()) -> Link:
    """Return the link that a redirect from *link* leads to, checked like any link.

    Raises:
        Rejected: There is not exactly one location, it leads from https to http, or it is refused itself.
    """
    if len(locations) != 1:
        raise Rejected("the redirect does not have exactly one Location", kind="redirect", origin=str(link.origin))
    target = check_link(_join(link.url, next(iter(locations))), trusted)
    if (link.origin.scheme, target.origin.scheme) == ("https", "http"):
        raise Rejected("the redirect leads from https to http", kind="redirect", origin=str(link.origin))
    return target


def _join(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        return location  # not a proper URL, which the check will say


LONGEST = 512
"""The most bytes of UTF-8 that an id may have."""

_PLAIN = re.compile(rf"[\w-]{{1,{LONGEST}}}", re.ASCII)  # as most ids are; every poll checks them anew
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def identifier(name: str, value: str) -> str:
    """Return *value* if it can be an id.

    Args:
        name: The name of the argument, for the message.
        value: The id.

    Raises:
        ValueError: It is not text, empty, longer than 512 bytes, surrounded by spaces, or holds control characters or
            lone surrogates. The message does not repeat it.
    """
    if problem := _problem(value):
        raise ValueError(f"{name} {problem}; pass the id as the API gave it")
    return value


def segment(name: str, value: str) -> str:
    """Return *value*, percent-encoded, as one segment of a path.

    Args:
        name: The name of the argument, for the message.
        value: The id. It is encoded as UTF-8 and not normalised: two spellings stay two ids.

    Raises:
        ValueError: It cannot be an id (see `identifier`), or holds a slash or is a dot segment, which would change
            where the path leads.
    """
    if _is_plain(value):
        return value
    if "/" in identifier(name, value) or unquote(value) in {".", ".."}:
        raise ValueError(f"{name} must not hold a slash or be a dot segment; pass the id as the API gave it")
    return quote(value, safe="")


def as_text(value: Any) -> Any:
    """Return an integer as text, and anything else as it is: ids from databases are often integers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def is_identifier(_instance: object, attribute: Attribute[Any], value: str) -> None:
    """Validate an attrs field with `identifier`."""
    identifier(attribute.name, value)


def is_segment(_instance: object, attribute: Attribute[Any], value: str) -> None:
    """Validate an attrs field with `segment`."""
    segment(attribute.name, value)


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and _PLAIN.fullmatch(value) is not None


def _problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if not value:
        return "must not be empty"
    if value != value.strip():
        return "must not begin or end with white space"
    if _CONTROL.search(value):
        return "must not hold control characters"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "must not hold lone surrogates"
    return f"must not be longer than {LONGEST} bytes" if size > LONGEST else None
