"""Servers that want a credential, and credentials that change or do not work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import server_kit
from aiohttp import web
from attrs import define, field
from raw_server import json_reply, polls, raw_server

from asyncpoll import Endpoint, Snapshot, State
from asyncpoll.http import AiohttpTransport, Auth, OutgoingRequest, Reply, Request, classify_status

CANARY = "canary-0123456789"


async def async_key() -> str:
    """Return the key, a turn of the loop later."""
    await asyncio.sleep(0)
    return CANARY


@define
class Server:
    """A server that tells how a job stands to those who have the credential of the moment."""

    accepts: str
    url: str = ""
    seen: list[str | None] = field(factory=list)
    bodies: list[bytes] = field(factory=list)
    status: int = 401
    refusal: Any = None

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request of any method."""
        given = request.headers.get("Authorization") or request.headers.get("X-Api-Key")
        self.seen.append(given)
        self.bodies.append(await request.read())
        if given != self.accepts:
            return web.json_response(self.refusal or {"error": "expired"}, status=self.status)
        return web.json_response({"status": "done", "success": True, "async_id": "a", "data": {"taskId": "t1"}})


@asynccontextmanager
async def serving(accepts: str, **facts: Any) -> AsyncGenerator[Server]:
    """Run a server that accepts one value of the header."""
    server = Server(accepts, **facts)
    async with server_kit.serving(server.answer) as server.url:
        yield server


@define
class Renewable:
    """A token that is renewed on demand, as an `Auth` of a user's own."""

    tokens: list[str]
    renewals: int = 0
    pause: float = 0.0
    succeeds: bool = True
    began: asyncio.Event = field(factory=asyncio.Event)

    async def headers(self, _request: OutgoingRequest) -> Mapping[str, str]:
        """Return the header with the first of the tokens."""
        return {"Authorization": f"Bearer {self.tokens[0]}"}

    async def renew(self) -> bool:
        """Go on to the next token."""
        self.renewals += 1
        self.began.set()
        await asyncio.sleep(self.pause)
        if self.succeeds:
            self.tokens.pop(0)
        return self.succeeds


class Broken:
    """An `Auth` whose methods return, or raise, what they are told."""

    def __init__(self, headers: Any = None, *, renewed: Any = True) -> None:
        self._headers = {"Authorization": f"Bearer {CANARY}"} if headers is None else headers
        self._renewed = renewed

    async def headers(self, _request: OutgoingRequest) -> Any:
        """Return or raise what was given."""
        return _returned(self._headers)

    async def renew(self) -> Any:
        """Return or raise what was given."""
        return _returned(self._renewed)


def _returned(made: Any) -> Any:
    if isinstance(made, BaseException):
        raise made
    return made


def endpoint(classify: Callable[[Reply], None] = classify_status) -> Endpoint[str, None]:
    """Return an endpoint whose jobs are done or pending, with *classify* of its own."""

    def read(reply: Reply) -> Snapshot[None]:
        return Snapshot(State.SUCCESS if reply.json.get("status") == "done" else State.PENDING)

    return Endpoint("acme.jobs", ask=lambda ref: Request("GET", f"/jobs/{ref}"), read=read, classify=classify)


async def sent_by(auth: Auth) -> str:
    """Return a request with the credential of *auth*, as a server sees it."""
    async with raw_server(polls(json_reply({}))) as server, AiohttpTransport(server.url, auth=auth) as transport:
        await transport.send(Request("GET", "/"))
        return server.requests[0].decode()
