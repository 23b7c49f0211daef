"""How the command line comes to a client: the endpoint's name, the key, the address of the API, and the way there."""

from __future__ import annotations

import argparse
import os
import ssl
import stat
from pathlib import Path
from typing import Unpack

from asyncpoll import providers
from asyncpoll.cli.output import note
from asyncpoll.http._settings import TransportSettings
from asyncpoll.providers import ENDPOINTS
from asyncpoll.providers._client import Client

_OTHERS = stat.S_IRGRP | stat.S_IROTH


def client_of(endpoint: str) -> type[Client]:
    """Return the class of client that has this endpoint.

    Raises:
        ValueError: There is no such endpoint.
    """
    if endpoint not in ENDPOINTS:
        raise ValueError(f"no endpoint {endpoint[:40]!r}; choose one of {', '.join(ENDPOINTS)}")
    client: type[Client] = getattr(providers, ENDPOINTS[endpoint].client)
    return client


def open_client(
    endpoint: str,
    *,
    key_file: Path | None = None,
    base_url: str | None = None,
    name: str | None = None,
    **settings: Unpack[TransportSettings],
) -> Client:
    """Return a client for this endpoint; what is not given is taken from the environment.

    Args:
        endpoint: The name of the endpoint.
        key_file: A file that holds nothing but the key.
        base_url: The address of the API.
        name: The name of the client, or None.
        **settings: How the API is reached.

    Raises:
        ValueError: The endpoint does not exist, there is not a key, or the key or the address is unusable.
        OSError: The file cannot be read.
    """
    client = client_of(endpoint)
    key_variable, url_variable = client.variables(name)
    key = os.environ.get(key_variable) if key_file is None else _key_in(key_file)
    if not key:
        raise ValueError(f"no key: set the environment variable {key_variable}, or pass --key-file FILE")
    url = base_url or os.environ.get(url_variable) or os.environ.get(client.url_variable) or client.default_url
    return client(key, base_url=url, name=name, **settings)


def settings_of(args: argparse.Namespace) -> TransportSettings:
    """Return how the options of a verb have APIs reached; proxies are also taken from the environment.

    Raises:
        ValueError: The file of `--ca-file` does not hold certificates.
        OSError: It cannot be read.
    """
    settings = TransportSettings(proxy=args.proxy, trust_env=True, insecure=args.insecure)
    if args.max_body is not None:
        settings["max_body"] = args.max_body
    if args.ca_file is not None:
        settings["ssl"] = _trusting(args.ca_file)
    return settings


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
