"""Show a job to a client while it runs, by server-sent events."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from random import SystemRandom
from typing import Any, TypeVar
from zlib import crc32

from asyncpoll._checks import duration, plain_function
from asyncpoll._errors import Draining, PollError
from asyncpoll._json import as_json_data
from asyncpoll._snapshot import Snapshot
from asyncpoll.web._frameworks import Events, framework_of
from asyncpoll.web._responses import Response, response_for, shown

T = TypeVar("T")
Snapshots = AsyncGenerator[Snapshot[T], None]

_ID = re.compile(r"([0-9]{1,9})-(end|[0-9a-f]{8})")
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_uniform = SystemRandom().uniform


async def sse(
    snapshots: Snapshots[T], request: Any, *, render: Callable[[Snapshot[T]], Any] = shown, keep_alive: float = 15.0
) -> Any:
    """Return a response of the framework that sends each snapshot as a server-sent event, until the client leaves.

        return await web.sse(hub.watch(job, changes_only=True), request)

    A snapshot is an event without a name, and the terminal one is named "end". An error is a "problem", with the body
    of `response_for`; it is the last event. When the hub is drained there is an event "draining" with a `retry` of some
    seconds, after which a browser comes back by itself. A client that comes back with a `Last-Event-ID` is not sent
    again what it has seen last; if that was the last event, it gets 204, at which a browser stops to come back.

    Args:
        snapshots: What `Hub.watch` returns.
        request: The request that is being handled.
        render: A function from a snapshot to JSON data; by default state, progress, kind, reason and code.
        keep_alive: Seconds of silence after which a comment is sent, since proxies close silent connections.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: *keep_alive* is not above 0.
    """
    framework = framework_of(request, "sse")
    duration("sse(): keep_alive", keep_alive)
    plain_function("sse(): render", render)
    last = _ID.fullmatch(request.headers.get("Last-Event-ID", ""))
    if last and last[2] == "end":
        await snapshots.aclose()
        return Response(204).to(request)
    return await framework.stream(request, _HEADERS, _events(snapshots, last, render, keep_alive))


async def _events(
    snapshots: Snapshots[Any], last: re.Match[str] | None, render: Callable[[Any], Any], keep_alive: float
) -> Events:
    number, seen = (int(last[1]), last[2]) if last else (0, "")
    coming: asyncio.Task[Snapshot[Any]] | None = None
    try:
        while seen != "end":
            coming = coming or asyncio.create_task(_next(snapshots))
            done, _ = await asyncio.wait({coming}, timeout=keep_alive)
            if not done:
                yield b": keep-alive\n\n"
                continue
            snapshot, coming = coming.result(), None
            data = json.dumps(render(snapshot), default=as_json_data)
            before, seen = seen, "end" if snapshot.state.is_terminal else f"{crc32(data.encode()):08x}"
            if seen != before or not last:
                number += 1
                yield _event(id=f"{number}-{seen}", event="end" if seen == "end" else None, data=data)
            last = None  # only the first may be what the client has seen
    except Draining as error:
        yield _event(event="draining", retry=int(_uniform(1000, 5000)), data=json.dumps(response_for(error).body))
    except PollError as error:
        yield _event(id=f"{number + 1}-end", event="problem", data=json.dumps(response_for(error).body))
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await snapshots.aclose()


async def _next(snapshots: Snapshots[T]) -> Snapshot[T]:
    return await anext(snapshots)


def _event(**fields: Any) -> bytes:
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None).encode() + b"\n"
