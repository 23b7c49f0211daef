"""Keep secrets out of texts, and make the texts of servers harmless: `Secret`, `Mask` and `printable`."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import NoReturn, Self
from urllib.parse import quote

from attrs import field, frozen

MASK = "***"
LEAST_MASKED = 8
"""A secret shorter than this, in characters, is not looked for in bodies: it would be found everywhere."""

_SIGNED = re.compile(
    r"([?&](?:x-[a-z]+-[\w-]+|sig|[\w.-]*(?:token|key|signature|credential|secret|password)[\w.-]*)=)[^&#\s\"'<>]+",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=//)[^/?#@\s]+@")


class Secret:
    """A text that is never shown: not in a repr, a message, the locals of a traceback, or a pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled; hand it over in another way")


def masked(text: str) -> str:
    """Return *text* without user names, keys and signatures in links."""
    return _USERINFO.sub(f"{MASK}@", _SIGNED.sub(rf"\1{MASK}", text))


def printable(text: str, limit: int) -> str:
    """Return the text of a server, fit for a message or a log.

    Args:
        text: Any text.
        limit: The most characters to keep; a longer text ends in an ellipsis.

    Returns:
        The text without control characters, escape sequences and marks that turn the direction of writing, and
        without user names, keys and signatures in links.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    shown = masked(cut)[:limit]
    return shown if shown.isprintable() else "".join(mark if mark.isprintable() else " " for mark in shown)


@frozen
class Mask:
    """Replaces a known secret in the data that a server sends back, however the server spells it.

    Attributes:
        spellings: The secret as it is, percent-encoded, and as it looks inside of base64.
    """

    spellings: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, secret: Secret) -> Self:
        """Return the mask for *secret*; one shorter than 8 characters is not looked for."""
        text = secret.reveal()
        return cls(tuple(dict.fromkeys(_spellings(text))) if len(text) >= LEAST_MASKED else ())

    def apply(self, data: bytes) -> bytes:
        """Return *data* with every spelling of the secret replaced."""
        for spelling in self.spellings:
            if spelling in data:
                data = data.replace(spelling, MASK.encode())
        return data


def _spellings(secret: str) -> Iterator[bytes]:
    data = secret.encode()
    yield data
    yield quote(secret, safe="").encode()
    for encode in (b64encode, urlsafe_b64encode):
        # Where the secret begins within a group of three bytes decides how it is spelled, all but its edges.
        for shift, edge in enumerate((0, 2, 3)):
            yield encode(bytes(shift) + data)[edge : (shift + len(data)) * 8 // 6]


def basic(user: str, password: str) -> tuple[str, Mask]:
    """Return the value of an `Authorization` header for a user name and a password (RFC 7617), and the mask for it.

    The mask is for the password, too, or for the user name if that is the secret and the password is empty.
    """
    encoded = b64encode(f"{user}:{password}".encode(errors="surrogatepass")).decode()
    secrets = (encoded, password or user)
    return f"Basic {encoded}", Mask(sum((Mask.of(Secret(secret)).spellings for secret in secrets), ()))
