"""A fast HTTP/1.1 server to measure against: each task answers `processing` K - 1 times, then `succeeded`.

    python benchmarks/server.py K        prints its port, serves until its standard input closes

It speaks just enough HTTP for keep-alive GETs and POSTs of clients that behave. `/bucket/...` answers 404 K - 1 times,
then 200, for waiters on objects.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

TEXT = "the text of a document, as a file parser gives it back; " * 12


def response(status: bytes, body: bytes) -> bytes:
    """Return a whole response with a JSON body."""
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def answer(path: bytes, *, done: bool) -> bytes:
    """Return the response for the task that *path* names."""
    if path.startswith(b"/bucket/"):
        return response(b"200 OK" if done else b"404 Not Found", b"")
    task = path.split(b"/")[-2].decode()
    payload = {"status": "processing", "message": "in progress", "task_id": task}
    if done:
        payload |= {"status": "succeeded", "content": TEXT}
    return response(b"200 OK", json.dumps(payload).encode())


class Connection(asyncio.Protocol):
    """One connection; all of them share the counts of polls by path."""

    def __init__(self, polls: Counter[bytes], polls_per_task: int) -> None:
        self._polls = polls
        self._polls_per_task = polls_per_task
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _content_length(head.lower())
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            path = head.split(b" ", 2)[1]
            self._polls[path] += 1
            self._transport.write(answer(path, done=self._polls[path] >= self._polls_per_task))


def _content_length(head: bytes) -> int:
    _, found, rest = head.partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


@contextmanager
def serving(polls_per_task: int) -> Generator[str, None, None]:
    """Start the server in another process, give its base address, and end it."""
    command = [sys.executable, __file__, str(polls_per_task)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        port = server.stdout.readline().strip() if server.stdout else ""
        yield f"http://127.0.0.1:{port}"


async def main(polls_per_task: int) -> None:
    """Serve until standard input closes."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # contestants that stay keep their connections
    loop = asyncio.get_running_loop()
    polls: Counter[bytes] = Counter()
    server = await loop.create_server(lambda: Connection(polls, polls_per_task), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
