"""Clients of three APIs, and the table of all their endpoints.

A client is imported on first use. The package of a provider has one file for each endpoint, with its result, its
reference, its vocabulary, `ask`, `read`, the `Endpoint`, and the class of the client's attribute. All share `_client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncpoll.providers._catalog import ENDPOINTS, Listing

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
