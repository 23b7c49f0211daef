"""The example that describes an API of its own, run against a server that speaks it."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from aiohttp import web
from example_kit import EXAMPLES, output_of
from server_kit import serving

from asyncpoll import Rejected
from asyncpoll.http import AiohttpTransport


class Api:
    """An API that renders the scene "cube", and fails on every other."""

    def __init__(self) -> None:
        self.words = {name: iter(["queued", "rendering"]) for name in ("cube", "cone")}
        self.keys: set[str | None] = set()

    async def start(self, request: web.Request) -> web.Response:
        """Start a render that has the name of its scene as its id."""
        self.keys.add(request.headers.get("Authorization"))
        return web.json_response({"id": (await request.json())["scene"]}, status=202)

    async def status(self, request: web.Request) -> web.Response:
        """Tell how far a render is."""
        name = request.match_info["id"]
        if name not in self.words:
            return web.json_response({"error": {"code": 4290, "message": "quota"}}, status=400)
        if word := next(self.words[name], None):
            return web.json_response({"status": word}, headers={"Retry-After": "0"})
        if name == "cube":
            image = {"url": "https://acme.example/cube.png", "width": 640, "height": 480}
            return web.json_response({"status": "done", "image": image})
        return web.json_response({"status": "error", "reason": "the scene is too large"})

    async def cancel(self, request: web.Request) -> web.Response:
        """Refuse to cancel: every render has ended."""
        return web.json_response({"error": {"code": 4090, "message": "too late"}}, status=409)

    def app(self) -> web.Application:
        """Return it as an app."""
        app = web.Application()
        app.router.add_post("/renders", self.start)
        app.router.add_get("/renders/{id}", self.status)
        app.router.add_delete("/renders/{id}", self.cancel)
        return app


@pytest.fixture
def example() -> dict[str, Any]:
    """Return the names that the example defines."""
    return runpy.run_path(str(EXAMPLES / "own_provider.py"))


async def test_every_render_is_awaited() -> None:
    """Jobs are started with the key, and a typed result or the reason of a failure is printed for each."""
    api = Api()
    async with serving(api.app()) as url:
        cone, cube = sorted(await output_of("own_provider.py", url, "cube", "cone", ACME_KEY="secret"))
    assert cone.startswith("cone failed: ")
    assert cone.endswith("the scene is too large")
    assert cube == "cube Image(url='https://acme.example/cube.png', width=640, height=480)"
    assert api.keys == {"Bearer secret"}


async def test_the_codes_of_the_api_are_known(example: dict[str, Any]) -> None:
    """The quota that is used up ends a wait at once; a job that has ended can be cancelled."""
    async with serving(Api().app()) as url, AiohttpTransport(url) as transport:
        job = example["RENDERS"].job(transport, "sphere")
        with pytest.raises(Rejected, match="quota"):
            await job.wait(timeout=60)
        await job.cancel()
