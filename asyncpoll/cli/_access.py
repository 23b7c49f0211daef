"""How APIs are reached from the command line: the key, the address, the way there, and what a name of an API means."""

from __future__ import annotations

import argparse
import os
import re
import ssl
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, field, frozen

from asyncpoll._state import State, Word
from asyncpoll.cli._output import note, shown
from asyncpoll.http import TransportSettings
from asyncpoll.providers import Listing
from asyncpoll.providers._client import CLIENT

if TYPE_CHECKING:
    from asyncpoll.definitions import Definition

_OTHERS = stat.S_IRGRP | stat.S_IROTH


def _usual() -> TransportSettings:
    return TransportSettings(proxy=None, trust_env=True, insecure=False)


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
    settings: TransportSettings = field(factory=_usual)

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """Return what the options of a verb say; proxies are also taken from the environment.

        Raises:
            ValueError: The file of `--ca-file` does not hold certificates.
            OSError: It cannot be read.
        """
        settings = TransportSettings(proxy=args.proxy, trust_env=True, insecure=args.insecure)
        if args.max_body is not None:
            settings["max_body"] = args.max_body
        if args.ca_file is not None:
            settings["ssl"] = _trusting(args.ca_file)
        return cls(args.base_url, args.key_file, args.key_env, settings)

    @property
    def is_usual(self) -> bool:
        """Whether no option says how APIs are reached."""
        return self == evolve(self, base_url=None, key_file=None, key_env=None, settings=_usual())

    @property
    def key_option(self) -> str | None:
        """The option that names the key, which is then that of every client, or None."""
        return "--key-file" if self.key_file is not None else None if self.key_env is None else "--key-env"

    def key(self, variable: str | None = None) -> str:
        """Return the key that the options name, or else that in *variable*.

        Raises:
            ValueError: There is none.
            OSError: The key file cannot be read.
        """
        if self.key_file is not None:
            return _key_in(self.key_file)
        named = self.key_env or variable or ""
        if not (key := os.environ.get(named, "")):
            raise ValueError(
                f"the environment variable {named} is not set; set it to your key, or pass --key-file FILE"
            )
        return key

    def address(self, *variables: str) -> str | None:
        """Return the address that the option names, or the first of the variables that is set, or None.

        Raises:
            ValueError: It has no scheme.
        """
        if self.base_url is not None:
            return _with_scheme("--base-url", self.base_url)
        for each in variables:
            if url := os.environ.get(each):
                return _with_scheme(f"the environment variable {each}", url)
        return None


def _with_scheme(source: str, url: str) -> str:
    if "://" not in url:
        raise ValueError(f"{source} has no scheme; write it as https://HOST, or as http://localhost:PORT")
    return url


def _trusting(file: Path) -> ssl.SSLContext:
    """Return a context that trusts the authorities in *file*, and those of the system."""
    authorities = file.read_text(encoding="ascii", errors="replace")
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=authorities)
    except (ssl.SSLError, ValueError):
        raise ValueError(f"{file} does not hold certificates; --ca-file takes a file in PEM format") from None
    return context


def _key_in(file: Path) -> str:
    key = file.read_text(encoding="utf-8", errors="replace").strip()  # an error would show a part of the key
    if not key:
        raise ValueError(f"{file} is empty; it must hold the key and nothing else")
    mode = file.stat().st_mode
    if os.name == "posix" and stat.S_ISREG(mode) and mode & _OTHERS:
        note(f"asyncpoll: warning: other users can read {file}; run: chmod 600 {file}")
    return key


# endpoints


CODE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)(?:#([A-Za-z_]\w*))?")
"""Code of the user: a module, an attribute, and maybe an attribute of the client that it makes."""

FILE = re.compile(r"[^#]*\.(?:toml|json)(?:#.*)?|.*/.*", re.DOTALL)
"""A file with a definition."""


def _no_variables(_name: str | None) -> tuple[str, str]:
    return "", ""


@frozen(eq=False)
class Vendor:
    """What opens the client of one or several endpoints.

    Attributes:
        open: Returns the client for the account with a name, or without one. It raises ValueError if there is no key,
            or the key or the address is unusable, and OSError if the key file cannot be read.
        variables: Returns the environment variables of its key and its address; empty if there are none.
    """

    open: Callable[[Access, str | None], Any]
    variables: Callable[[str | None], tuple[str, str]] = _no_variables


@frozen(eq=False)
class Target:
    """An endpoint as the command line uses it.

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
