"""asyncpoll for code that is not asynchronous: scripts, notebooks, threads, blocking frameworks.

A portal is one daemon thread with one event loop. `call` runs a coroutine function there, and blocks until it has
returned; types pass through it. All functions below use the default portal of the process, which is made when it is
first needed, and closed at exit:

    from asyncpoll import sync

    with sync.client(BigModel.from_env) as client:  # every method of `client` blocks, and of the jobs it returns
        job = client.file_parser.start("report.pdf", tool_type="prime")
        print(job.result(timeout=600))

    with sync.block(BigModel.from_env()) as client:  # the same with exact types
        job = sync.call(client.file_parser.start, "report.pdf", tool_type="prime")
        print(sync.call(job.result, timeout=600))

An interrupt (Ctrl-C) cancels what is awaited, and is raised once that has ended, after two seconds at the latest.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, suppress
from functools import cache, partial
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

__all__ = ["Portal", "block", "call", "client", "each", "enter", "portal"]

P = ParamSpec("P")
T = TypeVar("T")

_SLICE = 0.2  # seconds; on Windows a wait for a lock cannot be interrupted, only what comes after it
_UNWINDING = 2.0  # seconds that what is cancelled may take to come to its end


class Portal:
    """A daemon thread with an event loop, for calls from other threads.

    Use it from any number of threads, but from one process: after a fork, make another one. Clients belong to the
    portal that they were opened in.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._held: list[_Held[Any]] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="asyncpoll-portal", daemon=True)
        self._thread.start()

    def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an async function in the portal's loop, wait until it has returned, and return its result.

        The function sees the caller's context variables.

        Raises:
            RuntimeError: The portal is closed, belongs to the process before a fork, or was called from its own loop.
            BaseException: Whatever *function* raises.
        """
        self._check()

        async def run() -> None:
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  raised to the caller below, whatever it is
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        outcome: Future[T] = Future()
        tasks: list[asyncio.Task[None]] = []
        try:
            self._loop.call_soon_threadsafe(lambda: tasks.append(self._loop.create_task(run())))
            return _result_of(outcome)
        except BaseException:
            if not outcome.done():  # the caller was interrupted
                self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
                with suppress(BaseException):
                    outcome.exception(_UNWINDING)
            raise

    def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter an async context manager, and return its value; it is left when the portal is closed."""
        held = _Held(manager)
        self._held.append(held)
        try:
            return self.call(held.enter)
        except BaseException:
            self._held.remove(held)
            raise

    @contextmanager
    def block(self, manager: AbstractAsyncContextManager[T]) -> Generator[T, None, None]:
        """Enter an async context manager for the time of a `with` block."""
        held = _Held(manager)
        value = self.call(held.enter)
        try:
            yield value
        except BaseException as error:
            if not self.call(held.leave, error):
                raise
        else:
            self.call(held.leave, None)

    def each(self, items: AsyncIterable[T]) -> Iterator[T]:
        """Yield the items of an async iterable; an async generator is closed at the end."""
        iterator = self.call(_async, aiter, items)
        try:
            while True:
                try:
                    item = self.call(_async, anext, iterator)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if hasattr(iterator, "aclose"):
                self.call(iterator.aclose)

    @contextmanager
    def client(self, factory: Callable[[], AbstractAsyncContextManager[Any]]) -> Generator[Any, None, None]:
        """Open what *factory* makes, such as `BigModel.from_env`, and yield it with all its methods blocking.

        So are the methods of whatever they return that has async ones, such as a job or a run. Type checkers see `Any`;
        with `block` and `call` they see exact types.
        """
        with self.block(self.call(_async, factory)) as value:
            yield _Blocking(self, value)

    def close(self) -> None:
        """Leave what was entered, the newest first, cancel what still runs, and end the thread."""
        if self._closed or self._process != os.getpid():
            return
        while self._held:
            with suppress(Exception):
                self.call(self._held.pop().leave, None)
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _check(self) -> None:
        if self._process != os.getpid():
            raise RuntimeError("the portal belongs to the process before the fork; make another one, and new clients")
        if self._closed:
            raise RuntimeError("the portal is closed; make another one")
        if threading.current_thread() is self._thread:
            raise RuntimeError("this is the portal's own event loop, which must not be blocked; await the call instead")
        if "ipykernel" in sys.modules:
            return  # its loop runs between cells, and a cell may block it
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            warnings.warn("a blocking call holds up the event loop of this thread; await it", RuntimeWarning, 4)


class _Held(Generic[T]):
    """An async context manager that is entered and left in one task, as some must be."""

    def __init__(self, manager: AbstractAsyncContextManager[T]) -> None:
        self._manager = manager

    async def enter(self) -> T:
        """Enter the manager, in a task of its own; return its value."""
        loop = asyncio.get_running_loop()
        self._entered: asyncio.Future[T] = loop.create_future()
        self._left: asyncio.Future[BaseException | None] = loop.create_future()
        self._task = loop.create_task(self._hold())
        try:
            both: tuple[asyncio.Future[Any], ...] = (self._entered, self._task)
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        if self._task.done():  # it failed to enter
            self._task.result()
        return self._entered.result()

    async def leave(self, error: BaseException | None) -> bool:
        """Leave the manager, because of *error* if that is not None; return whether it suppresses the error."""
        self._left.set_result(error)
        return await self._task

    async def _hold(self) -> bool:
        self._entered.set_result(await self._manager.__aenter__())
        error = await self._left
        return bool(
            await self._manager.__aexit__(type(error) if error else None, error, getattr(error, "__traceback__", None))
        )


class _Blocking:
    """An object whose async methods block, and those of the objects that they return."""

    __slots__ = ("_context", "_portal", "_value")

    def __init__(self, portal: Portal, value: Any) -> None:
        self._portal = portal
        self._value = value

    def __getattr__(self, name: str) -> Any:
        return self._wrapped(getattr(self._value, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._invoke(self._value, *args, **kwargs)

    def __iter__(self) -> Iterator[Any]:
        return self._portal.each(self._value)

    def __enter__(self) -> Any:
        self._context = self._portal.block(self._value)
        return self._wrapped(self._context.__enter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return repr(self._value)

    def _invoke(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = {name: _unwrapped(value) for name, value in kwargs.items()}
        return self._wrapped(self._portal.call(_async, function, *map(_unwrapped, args), **given))

    def _wrapped(self, value: Any) -> Any:
        if inspect.isroutine(value):
            return partial(self._invoke, value)
        return _Blocking(self._portal, value) if _is_async(type(value)) else value  # type: ignore[arg-type]  # classes can be hashed


def _unwrapped(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_unwrapped(item) for item in value]
    return value._value if isinstance(value, _Blocking) else value  # noqa: SLF001  a class of this module


@cache
def _is_async(kind: type, /) -> bool:
    """Return whether objects of a class are asynchronous: an async generator, or ours with a method that is."""
    if hasattr(kind, "__anext__") or hasattr(kind, "__aenter__"):
        return True
    methods = (getattr(kind, name, None) for name in dir(kind))
    return kind.__module__.startswith("asyncpoll.") and any(map(inspect.iscoroutinefunction, methods))


async def _async(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function, asynchronous or not, inside the portal's loop."""
    result = function(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _result_of(outcome: Future[T]) -> T:
    while not wait([outcome], _SLICE).done:
        pass
    return outcome.result()


# the default portal

_lock = threading.Lock()
_default: Portal | None = None


def portal() -> Portal:
    """Return the default portal of this process; it is closed at exit."""
    global _default  # noqa: PLW0603  one for each process
    with _lock:
        if _default is None:
            _default = Portal()
        return _default


def call(function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call an async function, wait until it has returned, and return its result; see `Portal.call`."""
    return portal().call(function, *args, **kwargs)


def enter(manager: AbstractAsyncContextManager[T]) -> T:
    """Enter an async context manager, which is left at exit; see `Portal.enter`."""
    return portal().enter(manager)


def block(manager: AbstractAsyncContextManager[T]) -> AbstractContextManager[T]:
    """Enter an async context manager for the time of a `with` block."""
    return portal().block(manager)


def each(items: AsyncIterable[T]) -> Iterator[T]:
    """Yield the items of an async iterable."""
    return portal().each(items)


def client(factory: Callable[[], AbstractAsyncContextManager[Any]]) -> AbstractContextManager[Any]:
    """Open a client, or a hub, whose methods all block; see `Portal.client`."""
    return portal().client(factory)


@atexit.register
def _close() -> None:
    if _default is not None:
        _default.close()


def _forget() -> None:
    """Begin anew in a process that was forked: its parent's thread is not there, and the lock may have been held."""
    global _default, _lock
    _default, _lock = None, threading.Lock()


getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_forget)  # Windows cannot fork
