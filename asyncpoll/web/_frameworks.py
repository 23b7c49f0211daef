"""What each framework does in its own way, and what follows from it: to await something until the client leaves."""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import aclosing, suppress
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote

T = TypeVar("T")
Headers = Mapping[str, str]
Events = AsyncGenerator[bytes, None]

_LEFT = "the client has left"
_LOOK_EVERY = 0.2  # seconds; aiohttp.web has no event for a client that leaves, its request only loses the transport


class _Asgi:
    """What Starlette and Litestar have in common."""

    async def read(self, request: Any) -> None:
        """Read a body that is still to come, and keep it: it would come before the news that the client has left."""
        with suppress(Exception):  # the handler meets it when it reads the body itself; a client that left is seen next
            await request.body()

    async def leaving(self, request: Any) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    def chunks(self, request: Any) -> AsyncIterator[bytes]:
        return request.stream()  # type: ignore[no-any-return]  # it is a request of either framework

    def path(self, request: Any) -> str:
        path, query = quote(request.scope["path"]), request.scope["query_string"].decode("latin-1")
        return f"{path}?{query}" if query else path

    def state(self, request: Any) -> Any:
        return request.app.state


class _Starlette(_Asgi):
    def response(self, status: int, headers: Headers, content: bytes) -> Any:
        from starlette.responses import Response  # noqa: PLC0415  apps of other frameworks do not have it

        return Response(content, status, headers)

    def left(self) -> Exception:
        from starlette.exceptions import HTTPException  # noqa: PLC0415  likewise

        return HTTPException(499, _LEFT)

    async def stream(self, _request: Any, headers: Headers, events: Events) -> Any:
        from starlette.responses import StreamingResponse  # noqa: PLC0415  likewise

        return StreamingResponse(events, headers=headers)


class _Litestar(_Asgi):
    def response(self, status: int, headers: Headers, content: bytes) -> Any:
        from litestar import Response  # noqa: PLC0415  apps of other frameworks do not have it

        return Response(content, status_code=status, headers=dict(headers))

    def left(self) -> Exception:
        from litestar.exceptions import HTTPException  # noqa: PLC0415  likewise

        return HTTPException(_LEFT, status_code=499)

    async def stream(self, _request: Any, headers: Headers, events: Events) -> Any:
        from litestar.response import Stream  # noqa: PLC0415  likewise

        return Stream(events, status_code=200, headers=dict(headers))


class _Aiohttp:
    def response(self, status: int, headers: Headers, content: bytes) -> Any:
        from aiohttp import web  # noqa: PLC0415  it takes 0.2 s to import

        return web.Response(body=content, status=status, headers=headers)

    def left(self) -> Exception:
        from aiohttp import web  # noqa: PLC0415  likewise

        return type("ClientLeft", (web.HTTPClientError,), {"status_code": 499})(reason=_LEFT)  # type: ignore[no-any-return]  # made here

    async def read(self, request: Any) -> None:
        """Do nothing: a body hides nothing here."""

    async def leaving(self, request: Any) -> None:
        while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110  see above
            await asyncio.sleep(_LOOK_EVERY)

    async def chunks(self, request: Any) -> AsyncIterator[bytes]:
        if request.content.at_eof():  # then it may have been read before, and the request has kept it
            yield await request.read()
        async for chunk in request.content.iter_any():
            yield chunk

    def path(self, request: Any) -> str:
        return str(request.path_qs)

    def state(self, request: Any) -> Any:
        return request.config_dict[aiohttp_key()]

    async def stream(self, request: Any, headers: Headers, events: Events) -> Any:
        from aiohttp import web  # noqa: PLC0415  likewise

        response = web.StreamResponse(headers=headers)

        async def send() -> None:
            async with aclosing(events):
                await response.prepare(request)
                async for event in events:
                    await response.write(event)

        with suppress(web.HTTPClientError, ConnectionError):  # the client has left
            await until_disconnect(request, send())
        return response


@cache
def aiohttp_key() -> Any:
    """Return the key under which an `aiohttp.web.Application` has what `lifespan` has opened."""
    from aiohttp import web  # noqa: PLC0415  it takes 0.2 s to import

    return web.AppKey("asyncpoll.web", object)


_Framework = _Starlette | _Litestar | _Aiohttp
_FRAMEWORKS: Mapping[str, _Framework] = {
    "starlette.requests.Request": _Starlette(),
    "litestar.connection.request.Request": _Litestar(),
    "aiohttp.web_request.BaseRequest": _Aiohttp(),
}


def framework_of(request: object, caller: str) -> _Framework:
    """Return the framework of *request*.

    Raises:
        TypeError: It is not a request.
    """
    for cls in type(request).__mro__:
        if found := _FRAMEWORKS.get(f"{cls.__module__}.{cls.__qualname__}"):
            return found
    raise TypeError(
        f"{caller}() needs the request of Starlette, FastAPI, Litestar or aiohttp.web that is being handled, "
        f"not {reprlib.repr(request)}; outside of a request, await without it"
    )


async def until_disconnect(request: Any, awaitable: Awaitable[T]) -> T:
    """Await something for the client of *request*; if the client leaves, cancel it.

        parsed = await web.until_disconnect(request, hub.result(job, timeout=25))

    Others who wait for the job in the hub are not disturbed. A body that the handler has not read yet is read first,
    and kept by the request.

    Args:
        request: The request that is being handled.
        awaitable: A coroutine, or another awaitable that may be cancelled.

    Raises:
        TypeError: *request* is not a request.
        Exception: The client has left: the framework's own HTTP error with the status 499, to be let through. Otherwise
            whatever the awaitable raises.
    """
    try:
        framework = framework_of(request, "until_disconnect")
        await framework.read(request)
    except BaseException:
        if isinstance(awaitable, Coroutine):
            awaitable.close()
        raise
    work: asyncio.Future[T] = asyncio.ensure_future(awaitable)
    watch = asyncio.create_task(framework.leaving(request))
    try:
        await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        watch.result()
        raise framework.left()
    finally:
        work.cancel()
        watch.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)
