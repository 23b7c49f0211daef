"""What type checkers see of `asyncpoll.clients`; mypy and pyright read it, nothing runs it.

A line with `type: ignore` must fail: an ignore that is not needed is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from asyncpoll import Job
from asyncpoll.clients import Clients


async def opened(text: str) -> None:
    """Clients, their jobs and keys, and plain data."""
    named = Clients("./acme.toml", "shop.jobs:renders", base_url="https://a.example", key_file=Path("key"))
    known = Clients(definitions={"acme.renders": text}, code={"shop.jobs": "shop.jobs:renders"}, proxy=None)
    async with named as clients:
        assert_type(clients, Clients)
        assert_type(clients.job("acme.renders", {"id": "1"}), Job[Any])
        assert_type(clients.key("acme.renders", {"id": "1"}), str)
        start = clients.starter("acme.renders", "team-a")
        if start is not None:
            assert_type(await start(scene="sea"), Job[Any])
        await clients.drain()
    assert_type(Clients.from_json(known.to_json(), insecure=True), Clients)
    await known.aclose()


def refused() -> None:
    """What is not text, and a setting that there is not."""
    Clients(Path("acme.toml"))  # type: ignore[arg-type]  # a file is named by text
    Clients(definitions=["name = 'acme'"])  # type: ignore[arg-type]  # a list
    Clients(colour="red")  # type: ignore[call-arg]  # no such setting
    Clients().job("acme.renders")  # type: ignore[call-arg]  # without a reference
