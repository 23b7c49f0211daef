"""A small client of the simulator on aiohttp, independent of asyncpoll's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import frozen

from asyncpoll.simulator import Simulator

PARSER = "/api/paas/v4/files/parser"
TASKS = "/api/business/monitor/task"
BATCH: Mapping[str, Any] = {
    "prompts": ["哪个牌子好", "哪里买得到"],
    "platforms": [{"platform": "doubao", "mode": "search", "screenshot": 1}, {"platform": "kimi", "mode": "standard"}],
}


@frozen
class Seen:
    """A response as it was received."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@frozen
class Client:
    """A client of the three APIs."""

    url: str
    session: aiohttp.ClientSession

    async def send(self, method: str, path: str, **options: Any) -> Seen:
        """Send a request and return its response, which may be a redirect."""
        async with self.session.request(method, self.url + path, allow_redirects=False, **options) as reply:
            return Seen(reply.status, reply.headers, await reply.read())

    async def agent(self, ident: str) -> Seen:
        """Poll a job of an agent."""
        body = {"async_id": ident, "agent_id": "some_agent"}
        return await self.send("POST", "/api/v1/agents/async-result", json=body)

    async def parsed(self, ident: str, wanted: str = "text") -> Seen:
        """Poll a job of the parser."""
        return await self.send("GET", f"{PARSER}/result/{ident}/{wanted}")

    async def create(self, **fields: str) -> Seen:
        """Submit a small file to the parser."""
        form = aiohttp.FormData({"file_type": "PDF", "tool_type": "lite", **fields})
        form.add_field("file", b"%PDF-1.7", filename="one.pdf", content_type="application/pdf")
        return await self.send("POST", f"{PARSER}/create", data=form)

    async def submit(self, **changes: Any) -> Seen:
        """Submit a batch of two prompts to two platforms."""
        return await self.send("POST", f"{TASKS}/batch/shared", json={**BATCH, **changes})

    async def task(self, ident: str) -> Seen:
        """Poll a task."""
        return await self.send("GET", f"{TASKS}/status/{ident}")

    async def result(self, ident: str) -> Seen:
        """Return the whole result of a task."""
        return await self.send("GET", f"{TASKS}/result/{ident}")

    async def subtask(self, ident: str, subtask: str) -> Seen:
        """Poll a subtask."""
        return await self.send("GET", f"{TASKS}/result/{ident}/{subtask}")

    async def stop(self, ident: str) -> Seen:
        """Stop a task."""
        return await self.send("PUT", f"{TASKS}/{ident}/stop")


async def received(sim: Simulator, count: int) -> None:
    """Wait until the simulator has received so many requests."""
    while sim.requests < count:  # noqa: ASYNC110  the server has no event to wait for
        await asyncio.sleep(0.001)


@asynccontextmanager
async def client(sim: Simulator, *, bearer: str | None = "anything") -> AsyncGenerator[Client, None]:
    """Open a client of the running *sim* with this bearer token, or without a credential."""
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield Client(sim.url, session)


@asynccontextmanager
async def simulated(**options: Any) -> AsyncGenerator[tuple[Simulator, Client], None]:
    """Run a simulator with these options, and open a client of it."""
    async with Simulator(**options) as sim, client(sim) as calls:
        yield sim, calls
