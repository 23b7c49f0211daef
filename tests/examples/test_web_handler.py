"""The web app of the examples, asked over HTTP, with a simulator behind it."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from example_kit import EXAMPLES, serving, until

from asyncpoll.simulator import Constant, Life, Simulator

TOKEN = '{"version": 1, "endpoint": "bigmodel.file_parser", "ref": {"task_id": "task-1"}}'


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names that the example defines, with a key in the environment."""
    monkeypatch.setenv("BIGMODEL_API_KEY", "any")
    return runpy.run_path(str(EXAMPLES / "web_handler.py"))


@asynccontextmanager
async def session(
    app: web.Application, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[ClientSession]:
    """Serve an app that polls the simulator, and give a session that asks the app."""
    monkeypatch.setenv("BIGMODEL_BASE_URL", f"{sim.url}/api")
    async with serving(app) as url, ClientSession(url) as asking:
        yield asking


async def test_an_upload_is_started_and_awaited(example: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of an upload leads to its result."""
    always = {"bigmodel.file_parser": {"succeeded": 1.0}}
    sim = Simulator(seed=1, pending=Constant(0), processing=Constant(0), outcomes=always)
    async with sim, session(example["make_app"](), sim, monkeypatch) as asking:
        async with asking.post("/tasks", data=b"%PDF-1.7") as reply:
            token = (await reply.json())["job"]
        async with asking.get("/tasks", params={"job": token}) as reply:
            answer = await reply.json()
    assert reply.status == 200
    assert answer["state"] == "success"
    assert answer["text"]


@pytest.mark.parametrize(
    ("life", "status", "state"),
    [
        (Life(pending=0, processing=60, outcome="succeeded"), 202, "processing"),
        (Life(pending=0, processing=0, outcome="failed"), 502, "failed"),
    ],
)
async def test_other_ends_have_other_answers(
    life: Life, status: int, state: str, example: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that takes long is 202, one that failed is 502, each with its state."""
    sim = Simulator(seed=1)
    async with sim, session(example["make_app"](patience=0.2), sim, monkeypatch) as asking:
        sim.script("bigmodel.file_parser", "task-1", life)
        async with asking.get("/tasks", params={"job": TOKEN}) as reply:
            assert (reply.status, (await reply.json())["state"]) == (status, state)


async def test_a_bad_token_and_a_refused_key_are_told_apart(
    example: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that is none is 400; what the browser cannot mend is 502."""
    sim = Simulator(seed=1, bigmodel_key="another")
    async with sim, session(example["make_app"](), sim, monkeypatch) as asking:
        async with asking.get("/tasks", params={"job": "nonsense"}) as reply:
            assert reply.status == 400
        async with asking.get("/tasks", params={"job": TOKEN}) as reply:
            assert reply.status == 502


async def test_a_browser_that_leaves_ends_its_wait(example: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait of a closed connection does not go on."""
    sim, app = Simulator(seed=1), example["make_app"]()
    async with sim, session(app, sim, monkeypatch) as asking:
        sim.script("bigmodel.file_parser", "task-1", Life(pending=0, processing=60, outcome="succeeded"))
        request = asyncio.create_task(asking.get("/tasks", params={"job": TOKEN}))
        await until(lambda: sim.requests > 0)
        request.cancel()
        counters = app[example["HUB"]].counters
        await until(lambda: counters.pending == 0)
        assert counters.ended == 0
