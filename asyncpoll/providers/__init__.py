"""Ready-made clients of real APIs, and the table of all their endpoints.

Each client is lent on first use. A provider is a package: for every endpoint one file that holds, in this order, its
reference, its vocabulary, its result, `ask`, `read`, the `Endpoint`, and the door that a client shows to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncpoll.providers.catalog import ENDPOINTS, Listing

if TYPE_CHECKING:
    from asyncpoll.providers.bigmodel import BigModel
    from asyncpoll.providers.molizhishu import Molizhishu

__all__ = ["ENDPOINTS", "BigModel", "Listing", "Molizhishu"]


def __getattr__(name: str) -> Any:
    if name == "BigModel":
        from asyncpoll.providers.bigmodel import BigModel  # noqa: PLC0415  only those who use it import it

        return BigModel
    if name == "Molizhishu":
        from asyncpoll.providers.molizhishu import Molizhishu  # noqa: PLC0415  likewise

        return Molizhishu
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
