"""How APIs are reached from the command line: the key, the address, and the way there."""

from __future__ import annotations

import argparse
import os
import ssl
import stat
from pathlib import Path
from typing import Self

from attrs import evolve, field, frozen

from asyncpoll.cli._output import note
from asyncpoll.http import TransportSettings

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
