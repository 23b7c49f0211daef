"""How the command line comes to a client: the endpoint's name, the key, the address of the API."""

from __future__ import annotations

import os
from pathlib import Path

from asyncpoll import providers
from asyncpoll.providers import ENDPOINTS
from asyncpoll.providers.client import Client


def client_of(endpoint: str) -> type[Client]:
    """Return the class of client that has this endpoint.

    Raises:
        ValueError: There is no such endpoint.
    """
    if endpoint not in ENDPOINTS:
        raise ValueError(f"no endpoint {endpoint[:40]!r}; choose one of {', '.join(ENDPOINTS)}")
    client: type[Client] = getattr(providers, ENDPOINTS[endpoint].client)
    return client


def open_client(endpoint: str, *, key_file: Path | None = None, base_url: str | None = None) -> Client:
    """Return a client for this endpoint; what is not given is taken from the environment.

    Args:
        endpoint: The name of the endpoint.
        key_file: A file that holds nothing but the key.
        base_url: The address of the API.

    Raises:
        ValueError: There is no such endpoint, no key, or the key or the address is unusable.
        OSError: The file cannot be read.
    """
    client = client_of(endpoint)
    key = os.environ.get(client.key_variable) if key_file is None else _key_in(key_file)
    if not key:
        raise ValueError(f"no key: set the environment variable {client.key_variable}, or pass --key-file FILE")
    return client(key, base_url=base_url or os.environ.get(client.url_variable) or client.default_url)


def _key_in(file: Path) -> str:
    key = file.read_text(encoding="utf-8", errors="replace").strip()  # an error would show a part of the key
    if not key:
        raise ValueError(f"{file} is empty; it must hold the key and nothing else")
    return key
