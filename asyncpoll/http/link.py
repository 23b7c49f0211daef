"""Which links may be fetched when somebody else chose them: https on port 443, without a user name.

What hosts resolve to is judged elsewhere, at the moment of connecting.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection
from urllib.parse import quote, urljoin, urlsplit

from attrs import field, frozen

from asyncpoll._errors import Rejected

PORTS = {"https": 443, "http": 80}

_UNSAFE = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")  # what parsers of URLs disagree about


@frozen
class Origin:
    """Scheme, host and port; as text without the port where it is the scheme's own."""

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
            raise ValueError("it is no proper URL") from None
        if parts.scheme not in PORTS or not host or not host.isascii():
            raise ValueError("it needs https:// and the name of a host, in ASCII")
        if "@" in parts.netloc:
            raise ValueError("it holds a user name")
        return cls(parts.scheme, host, PORTS[parts.scheme] if port is None else port)


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


def checked_origins(trusted: object) -> frozenset[Origin]:
    """Return the origins that a user trusts.

    Raises:
        TypeError: *trusted* is not a list or another collection of texts.
        ValueError: One of them is not an origin.
    """
    if (
        isinstance(trusted, str)
        or not isinstance(trusted, Collection)
        or not all(isinstance(one, str) for one in trusted)
    ):
        raise TypeError("trusted_origins must be a list of texts such as ['https://storage.internal:9000']")
    try:
        return frozenset(map(Origin.of, trusted))
    except ValueError as problem:
        raise ValueError(f"one of trusted_origins is refused: {problem}") from None


def check_link(url: str, trusted: Collection[str] = ()) -> Link:
    """Return *url* as a `Link`.

    Args:
        url: The link, absolute.
        trusted: Origins such as `http://127.0.0.1:8080` that may have any scheme, port and address.

    Raises:
        Rejected: It is not https on port 443, has a user name in it, or is no proper URL; the kind is "link".
        TypeError: *trusted* is not a collection of texts.
        ValueError: One of *trusted* is no proper origin.
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
    """Return where a redirect from *link* leads, checked like any link.

    Args:
        link: What was fetched.
        locations: Every `Location` of the reply, relative or absolute.
        trusted: As for `check_link`.

    Raises:
        Rejected: There is not exactly one location, it leads from https to http, or it is refused itself.
    """
    if len(locations) != 1:
        raise Rejected("the redirect has no single Location", kind="redirect", origin=str(link.origin))
    target = check_link(_join(link.url, next(iter(locations))), trusted)
    if (link.origin.scheme, target.origin.scheme) == ("https", "http"):
        raise Rejected("the redirect leads from https to http", kind="redirect", origin=str(link.origin))
    return target


def _join(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        return location  # no proper URL, which the check will say
