"""The credential of a transport: what it looks like on the wire, and how it is kept out of everything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from attrs import field, frozen

from asyncpoll.http.redact import Mask, Secret

LONGEST = 8 << 10
"""The most characters of a key; servers refuse longer headers."""

_TOKEN = re.compile(r"[\x21-\x7e]+")


@frozen
class Credential:
    """A credential as one request carries it.

    Attributes:
        headers: The headers to send.
        mask: Replaces the secret where the server echoes it.
    """

    headers: Mapping[str, str] = field(default=MappingProxyType({}), repr=False)
    mask: Mask = field(default=Mask(), repr=False)


NO_CREDENTIAL = Credential()


class Auth(Protocol):
    """Anything that has a credential. It is asked before each request, so keys can be rotated."""

    def credential(self) -> Credential:
        """Return the credential to send now; the same object as long as it has not changed.

        Raises:
            ValueError: There is none that can be sent.
        """
        ...


class Bearer:
    """`Authorization: Bearer ...`, the way of RFC 6750.

    Args:
        secret: The key, or a function without arguments that returns the key of the moment. It is called before each
            request, on the event loop, so it must be quick.

    Raises:
        ValueError: The key is empty, longer than 8 KiB, or holds spaces, line breaks or anything else beyond the
            printable characters of ASCII. What a function returns is checked at each request.
    """

    def __init__(self, secret: str | Secret | Callable[[], str | Secret]) -> None:
        self._current: Callable[[], str | Secret]
        if callable(secret):
            self._current = secret
        else:
            kept = _checked(secret)
            self._current = lambda: kept
        self._secret = Secret("")
        self._credential = NO_CREDENTIAL

    def credential(self) -> Credential:
        """Return the credential to send now.

        Raises:
            ValueError: The function that was given returned no usable key.
        """
        secret = self._current()
        if secret is not self._secret:
            self._renew(_checked(secret))
        return self._credential

    def _renew(self, secret: Secret) -> None:
        if secret != self._secret:
            headers = MappingProxyType({"Authorization": f"Bearer {secret.reveal()}"})
            self._credential = Credential(headers, Mask.of(secret))
        self._secret = secret

    def __repr__(self) -> str:
        return "Bearer(***)"


def _checked(secret: object) -> Secret:
    text = secret.reveal() if isinstance(secret, Secret) else secret
    if not isinstance(text, str) or not text:
        raise ValueError("the key is missing; pass the key that the API gave you, as text")
    if len(text) > LONGEST:
        raise ValueError(f"the key is longer than {LONGEST} characters; pass the key alone")
    if not _TOKEN.fullmatch(text):
        raise ValueError("the key holds spaces, line breaks or characters beyond ASCII; strip it, or copy it again")
    return secret if isinstance(secret, Secret) else Secret(text)
