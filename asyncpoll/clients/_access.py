"""How APIs are reached: the key, the address, the way there; and what a name of an API stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import field, frozen

from asyncpoll._masking import shown
from asyncpoll._state import State, Word
from asyncpoll.http import Transport, TransportSettings
from asyncpoll.providers import Listing
from asyncpoll.providers._client import CLIENT

if TYPE_CHECKING:
    from asyncpoll.definitions import Definition

USUAL: Final = TransportSettings(trust_env=True)
"""The settings of transports: proxies are also taken from the environment."""

NOWHERE: Final = cast("Transport", object())
"""The transport of jobs that only have keys, so it sends nothing."""


@frozen
class Access:
    """How APIs are reached.

    Attributes:
        base_url: The address of the API, or None for that of the environment or the usual one.
        key_file: A file with nothing but the key, or None.
        key_env: The environment variable that holds the key, or None for the usual one.
        settings: The settings of the transports.
    """

    base_url: str | None = None
    key_file: Path | None = None
    key_env: str | None = None
    settings: TransportSettings = field(default=USUAL, repr=False)

    @property
    def is_usual(self) -> bool:
        """Whether the caller does not say how APIs are reached."""
        return self == Access()

    @property
    def key_option(self) -> str | None:
        """The option that names the key, which is then that of every client, or None."""
        return "key_file=" if self.key_file is not None else None if self.key_env is None else "key_env="

    def key(self, variable: str | None = None) -> str:
        """Return the key that the options name, or else that in *variable*.

        Raises:
            ValueError: There is none.
            OSError: The key file cannot be read.
        """
        if self.key_file is not None:
            key = self.key_file.read_text(encoding="utf-8", errors="replace").strip()  # an error would show a part
            if not key:
                raise ValueError(f"{self.key_file} is empty; it must hold the key and nothing else")
            return key
        named = self.key_env or variable or ""
        if not (key := os.environ.get(named, "")):
            raise ValueError(f"the environment variable {named} is not set; set it to your key, or pass key_file=FILE")
        return key

    def address(self, *variables: str) -> str | None:
        """Return the address that the option names, or the first of the variables that is set, or None.

        Raises:
            ValueError: It has no scheme.
        """
        if self.base_url is not None:
            return _with_scheme("base_url=", self.base_url)
        for each in variables:
            if url := os.environ.get(each):
                return _with_scheme(f"the environment variable {each}", url)
        return None


def _with_scheme(source: str, url: str) -> str:
    if "://" not in url:
        raise ValueError(f"{source} has no scheme; write it as https://HOST, or as http://localhost:PORT")
    return url


# endpoints


CODE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)(?:#([A-Za-z_]\w*))?")
"""Code of the user: a module, an attribute, and maybe an attribute of the client that it makes."""

FILE = re.compile(r"[^#]*\.(?:toml|json)(?:#.*)?|.*/.*", re.DOTALL)
"""A file with a definition."""


@frozen(eq=False)
class Vendor:
    """What opens the client of one or several endpoints.

    Attributes:
        open: Returns the client for the account with a name, or without one. It raises ValueError if there is no key,
            or the key or the address is unusable, and OSError if the key file cannot be read. Without an `Access` the
            client has neither, and its jobs cannot be asked about: they only have keys.
        variables: Returns the environment variables of its key and its address; empty if there are none.
    """

    open: Callable[[Access | None, str | None], Any]
    variables: Callable[[str | None], tuple[str, str]] = lambda _name: ("", "")


@frozen(eq=False)
class Target:
    """An endpoint, and how its jobs are made.

    Attributes:
        name: Its full name, which is in the keys of its jobs.
        listing: The fields of its references.
        vendor: What opens its client.
        jobs: Returns the part of the client that has `job(**ref)`, and `start(**arguments)` if jobs can be started.
        starts: Whether jobs can be started, if they have `start`.
        whole: The field for a reference that is not an object, or None if all are objects.
        words: Returns its status words, if they are known.
        definition: What it was made from, or None.
    """

    name: str
    listing: Listing
    vendor: Vendor
    jobs: Callable[[Any], Any]
    starts: bool = True
    whole: str | None = None
    words: Callable[[], Mapping[Word, State]] = dict
    definition: Definition | None = None

    def fields_of(self, ref: Any) -> dict[str, Any] | None:
        """Return the fields of a reference as it is written, or None if it cannot be one."""
        if isinstance(ref, dict):
            return ref
        return None if self.whole is None or ref is None else {self.whole: ref}

    def check(self, ref: Mapping[str, Any]) -> None:
        """Raise ValueError if a field of a reference is unknown or missing."""
        if ref.keys() - {CLIENT} != set(self.listing.required):
            self.listing.check([name for name in ref if name != CLIENT], self.name, shown)
