"""Receive webhooks: reasons to poll, which are never believed by themselves."""

from __future__ import annotations

import hmac
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from asyncpoll._checks import duration, plain_function, whole
from asyncpoll._endpoint import Job
from asyncpoll.waiting._hub import Hub
from asyncpoll.web._frameworks import framework_of
from asyncpoll.web._responses import Response

_Verify = Callable[[Mapping[str, str], bytes], bool]
_Told = str | Job[Any] | Iterable[str | Job[Any]]

_MOST_DELIVERIES = 1000
_REMEMBERED = 300.0  # seconds
_TIME = re.compile(r"[0-9]{1,15}")
_LEAST_MILLISECONDS = 10**11  # as seconds it would be the year 5138
_GARBAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_deliveries: WeakKeyDictionary[Hub, OrderedDict[bytes, float]] = WeakKeyDictionary()


def webhook(
    hub: Hub, decode: Callable[[bytes], _Told], *, verify: _Verify | None = None, limit: int = 65_536
) -> Callable[[Any], Awaitable[Any]]:
    """Return an async function that handles the request of a webhook, and returns the response.

        return await web.webhook(hub, decode, verify=web.hmac_signature(SECRET))(request)

    The jobs that it is about are polled at once if they are awaited in the hub (`Hub.nudge`). Nothing else that it says
    is used. The response is empty: 204 for a webhook that could be read, whether or not its jobs are awaited; 401 if
    *verify* does not return True; 400 if *decode* fails; 413 if the body is too large. One that comes again within five
    minutes, with the same body and the same header `webhook-id`, does not cause another poll.

    Args:
        hub: The hub of the app.
        decode: A function from the body to the jobs, or their keys: one or several. A `ValueError`, `LookupError`,
            `TypeError` or `AttributeError` in it says that this is not a webhook.
        verify: A function from the headers and the body to whether the sender is who it says.
        limit: The largest body, in bytes. No more is read.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: *limit* is below 1.
    """
    plain_function("webhook(): decode", decode)
    if verify is not None:
        plain_function("webhook(): verify", verify)
    whole(1)("webhook(): limit", limit)

    async def handle(request: Any) -> Any:
        body = await _read(request, limit)
        if body is None:
            return Response(413).to(request)
        if verify is not None and verify(request.headers, body) is not True:
            return Response(401).to(request)
        try:
            told = decode(body)
            jobs = [told] if isinstance(told, str | Job) else list(told)
            keys = [job if isinstance(job, str) else job.key for job in jobs]
        except _GARBAGE:
            return Response(400).to(request)
        told_as = request.headers.get("webhook-id", "").encode("utf-8", "replace")
        _nudge(hub, keys, sha256(told_as + b"\n" + body).digest())
        return Response(204).to(request)

    return handle


async def _read(request: Any, limit: int) -> bytes | None:
    framework, body = framework_of(request, "webhook"), bytearray()
    async for chunk in framework.chunks(request):
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _nudge(hub: Hub, keys: Iterable[str], delivery: bytes) -> None:
    """Poll the jobs with these keys, unless the same was delivered a short time ago."""
    deliveries = _deliveries.setdefault(hub, OrderedDict())
    if _now() - deliveries.get(delivery, 0.0) < _REMEMBERED:
        return
    if True in [hub.nudge(key) for key in keys]:  # else it is remembered when it comes again, and the job is awaited
        deliveries[delivery] = _now()
        deliveries.move_to_end(delivery)
        if len(deliveries) > _MOST_DELIVERIES:
            deliveries.popitem(last=False)


def _now() -> float:
    return datetime.now(UTC).timestamp()


def hmac_signature(
    secret: bytes | str, *, header: str = "X-Signature", time_header: str | None = "X-Timestamp", window: float = 300.0
) -> _Verify:
    """Return a function for `webhook` that checks an HMAC-SHA256 of the time, a dot and the body, in constant time.

    Args:
        secret: The secret that both sides know.
        header: The header with the signature in hexadecimal digits. A prefix such as `sha256=` is skipped.
        time_header: The header with the time of sending, in seconds or milliseconds since 1970. None if the sender has
            none, and the body alone is signed: then one that was recorded can be sent again at any time.
        window: The most seconds between the time of sending and now.

    Raises:
        ValueError: The secret is empty, or *window* is not above 0.
        TypeError: An argument has a wrong type.
    """
    key = secret.encode() if isinstance(secret, str) else secret
    if not isinstance(key, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]  unchecked callers
        raise TypeError(f"hmac_signature(): the secret must be text or bytes, not {type(secret).__name__}")
    if not key:
        raise ValueError("hmac_signature(): the secret is empty, so anyone could sign; set it")
    duration("hmac_signature(): window", window)

    def verify(headers: Mapping[str, str], body: bytes) -> bool:
        if time_header is not None:
            time = headers.get(time_header, "")
            if not _is_now(time, window):
                return False
            body = f"{time}.".encode() + body
        right = hmac.new(key, body, sha256).hexdigest()
        given = headers.get(header, "").rpartition("=")[2].strip().lower()
        return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())

    return verify


def _is_now(text: str, window: float) -> bool:
    if not _TIME.fullmatch(text):
        return False
    time = int(text)
    return abs(_now() - (time / 1000 if time >= _LEAST_MILLISECONDS else time)) <= window
