"""What the tests of the examples share: a program as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


async def output_of(example: str, *arguments: str, **environment: str) -> list[str]:
    """Run an example, warnings being errors, and return the lines that it prints; it must not fail."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / example), *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    return out.decode().splitlines()
