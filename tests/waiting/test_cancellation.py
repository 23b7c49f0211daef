"""Cancelling a wait over real connections, at each await point in turn."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from await_points import MOMENTS, Moment, Run, cancelled_everywhere

from asyncpoll import Endpoint, Fixed, Snapshot, State, Vocabulary
from asyncpoll.http import AiohttpTransport, Reply, Request

WORDS = Vocabulary("v.jobs", {"running": State.PROCESSING, "done": State.SUCCESS})
POLLS = 3  # until a job is done
SLOTS = 2


class Server(ThreadingHTTPServer):
    """A server in threads of its own, so that none of its tasks are on the loop of the client."""

    daemon_threads = True  # a connection that is left open must fail a test, not hang it

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.connections: set[object] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Says that a job is done once it was asked about it so many times."""

    protocol_version = "HTTP/1.1"
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]  # no other server has this handler

    def handle(self) -> None:
        """Serve one connection to its end."""
        self.server.connections.add(self)
        try:
            super().handle()
        except ConnectionError:
            pass
        finally:
            self.server.connections.discard(self)

    def do_GET(self) -> None:
        """Answer one poll."""
        self.server.asked[self.path] += 1
        body = json.dumps({"status": "done" if self.server.asked[self.path] >= POLLS else "running"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its own name
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def read(reply: Reply) -> Snapshot[Any]:
    """Return what a reply says."""
    return Snapshot(WORDS.read(reply.json["status"]))


def run_anew(main: Coroutine[Any, Any, Run]) -> Run:
    """Run on a new event loop, on which nothing goes wrong unseen."""
    unseen: list[Any] = []
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: unseen.append(context))
        ended = runner.run(main)
    assert unseen == []
    return ended


def waits(server: Server, transports: list[AiohttpTransport]) -> Callable[[], Coroutine[Any, Any, Snapshot[Any]]]:
    """Return what makes a wait for a new job over a new transport, which it closes at the end."""
    endpoint = Endpoint[int, Any]("v.jobs", ask=lambda ref: Request("GET", f"/jobs/{ref}", repeatable=True), read=read)
    numbers = itertools.count()

    async def wait() -> Snapshot[Any]:
        async with AiohttpTransport(server.url, connections=SLOTS) as transport:
            transports.append(transport)
            return await endpoint.job(transport, next(numbers)).wait(timeout=60, schedule=Fixed(0.001))

    return wait


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancel_at_any_await_point_frees_everything(server: Server, moment: Moment) -> None:
    """Cancelled at each await point in turn, a wait ends cancelled and leaves no task, no slot and no connection."""
    transports: list[AiohttpTransport] = []

    async def nothing_is_left() -> None:
        assert not transports[-1]._exchanges.scopes
        assert transports[-1]._exchanges.slots._value == SLOTS
        for _ in range(500):
            if not server.connections:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"connections are left open: {server.connections}")

    make = waits(server, transports)
    *cancelled, finished = cancelled_everywhere(make, moment=moment, run=run_anew, check=nothing_is_left, settling=20)
    assert len(cancelled) >= 2 * POLLS
    assert all(run.cancelled for run in cancelled)
    assert finished.result.state is State.SUCCESS
