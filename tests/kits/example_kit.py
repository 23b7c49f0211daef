"""What the tests of the examples share: an app on a free port, and a program as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

EXAMPLES = Path(__file__).parents[2] / "examples"


@asynccontextmanager
async def serving(app: web.Application) -> AsyncGenerator[str]:
    """Serve an app on a free port of 127.0.0.1, and give its address."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after ten seconds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("what was waited for did not happen")


async def output_of(example: str, *arguments: str, **environment: str) -> list[str]:
    """Run an example, warnings being errors, and return the lines that it prints; it must not fail."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / example), *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    return out.decode().splitlines()
