"""A view on a real terminal, which a program must leave as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

PROGRAM = """
import asyncio
import sys
from asyncpoll import Fixed, Hub, Snapshot
from asyncpoll.progress import progress


async def fetch():
    if sys.argv[2] == "error" and hub.counters.polls > 5:
        raise LookupError("mine")
    return Snapshot("pending")


async def main():
    global hub
    async with Hub(schedule=Fixed(0.1)) as hub, progress(hub, view=sys.argv[1], interval=0.05):
        await hub.wait(fetch, timeout=60)


asyncio.run(main())
"""
SHOWN, HIDDEN = b"\x1b[?25h", b"\x1b[?25l"
PATIENCE = 20.0


def on_a_terminal(tmp_path: Path, view: str, end: str) -> tuple[int, bytes]:
    """Run the program on a terminal until its end, or until Ctrl-C; return its status, and what the terminal got."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    errors = tmp_path / "errors"
    with errors.open("wb") as file:
        process = subprocess.Popen([sys.executable, str(program), view, end], stdout=theirs, stderr=file)
    os.close(theirs)
    text, limit = b"", time.monotonic() + PATIENCE
    with suppress(OSError):  # which Linux raises when the other side is closed
        while time.monotonic() < limit and (piece := os.read(ours, 65536)):
            text += piece
            if end == "interrupt" and b"elapsed" in text:
                process.send_signal(signal.SIGINT)
                end = "interrupted"  # once
    os.close(ours)
    return process.wait(timeout=PATIENCE), text


@pytest.mark.parametrize("end", ["interrupt", "error"])
def test_rich_leaves_a_clean_terminal(tmp_path: Path, end: str) -> None:
    """The cursor is there again, and the view is gone."""
    status, text = on_a_terminal(tmp_path, "rich", end)
    assert status == (-signal.SIGINT if end == "interrupt" else 1)
    assert text.count(HIDDEN) == text.count(SHOWN) >= 1
    assert text.rindex(SHOWN) > text.rindex(HIDDEN)
    assert text.endswith(b"\x1b[2K")


@pytest.mark.parametrize("end", ["interrupt", "error"])
def test_tqdm_leaves_a_clean_terminal(tmp_path: Path, end: str) -> None:
    """Its line is wiped."""
    status, text = on_a_terminal(tmp_path, "tqdm", end)
    assert status == (-signal.SIGINT if end == "interrupt" else 1)
    assert text.endswith(b" \r")
