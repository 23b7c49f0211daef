"""The README, taken at its word."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from asyncpoll import Fixed
from asyncpoll.http import AiohttpTransport, Bearer
from asyncpoll.simulator import Constant, Simulator

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
async def test_snippet(snippet: str, tmp_path: Path) -> None:
    """Every snippet runs as it stands, warnings being errors, with nothing but the environment of the command line."""
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7 a report")
    always = {"bigmodel.file_parser": {"succeeded": 1.0}}
    async with Simulator(seed=1, pending=Constant(0.05), processing=Constant(0.05), outcomes=always) as sim:
        environment = os.environ | {
            "BIGMODEL_API_KEY": "any",
            "BIGMODEL_BASE_URL": f"{sim.url}/api",
            "MOLIZHISHU_TOKEN": "any",
            "MOLIZHISHU_BASE_URL": f"{sim.url}/api/business/monitor",
        }
        command = [sys.executable, "-W", "error", "-c", snippet]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


def test_the_api_of_ones_own_works_over_real_http() -> None:
    """The endpoint of the README is awaited over an `AiohttpTransport` with a key, as its comment says."""
    (snippet,) = (snippet for snippet in SNIPPETS if "acme.renders" in snippet)
    made: dict[str, Any] = {}
    exec(snippet, made)  # noqa: S102  it is our own README
    words, keys = iter(["queued", "active", "done"]), set[str | None]()

    async def answer(request: web.Request) -> web.Response:
        keys.add(request.headers.get("Authorization"))
        return web.json_response({"status": next(words), "url": request.path})

    async def main() -> Any:
        app = web.Application()
        app.router.add_get("/renders/{name}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with AiohttpTransport(base, auth=Bearer("secret")) as transport:
            result = await made["renders"].job(transport, "a b").result(timeout=60, schedule=Fixed(0.01))
        await runner.cleanup()
        return result

    assert asyncio.run(main()) == "/renders/a b"
    assert keys == {"Bearer secret"}


def test_the_first_example_is_short() -> None:
    """The first example has fewer than 15 lines of code."""
    assert len([line for line in SNIPPETS[0].splitlines() if line.strip()]) < 15


def test_the_test_command_is_what_ci_runs() -> None:
    """The test command of the README, from the environment's Python on, stands in the script of CI."""
    (command,) = re.findall(r"\.venv/bin/python (-m pytest .*)$", README, re.MULTILINE)
    ci = (Path(__file__).parent.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert f'"$bin/python" {command}\n' in ci
