"""One run over many jobs, with a hub of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Generic, NoReturn, TypeVar, Unpack

from asyncpoll import events
from asyncpoll._timeout import Timeout
from asyncpoll.waiting._emission import observers_of
from asyncpoll.waiting._hub import Hub, RunOptions
from asyncpoll.waiting._policy import PollOptions, check_options, policy_of
from asyncpoll.waiting._run import Jobs, Outcome, Run, check_jobs

T = TypeVar("T")


class BulkOptions(RunOptions, total=False):
    """The options of a run, and those of the hub that is opened for it."""

    concurrency: int
    rate: float | None
    observe: events.Observers


class RunInOwnHub(Generic[T]):
    """A run whose hub is opened and closed with it."""

    def __init__(self, hub: Hub, start: Callable[[], Run[T]]) -> None:
        self._hub = hub
        self._start = start
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Run[T]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._hub)
            run = await stack.enter_async_context(self._start())
            self._stack = stack.pop_all()
        return run

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def __aiter__(self) -> NoReturn:
        raise TypeError("as_completed() opens a block: async with as_completed(...) as outcomes, then async for")


def as_completed(jobs: Jobs[T], *, timeout: float | Timeout | None, **options: Unpack[BulkOptions]) -> RunInOwnHub[T]:
    """Open a hub for one run, and yield its outcomes in the order in which they come.

        async with as_completed(jobs, timeout=600) as outcomes:
            async for outcome in outcomes:
                ...

    Args:
        jobs: A list, an iterable or an async iterable of jobs or async functions.
        timeout: For each wait, from when its job enters the hub.
        **options: Those of `Hub.as_completed`; and of the hub *concurrency* (the most polls in flight), *rate* (the
            most polls a second) and *observe*.

    Raises:
        TypeError: An argument has a wrong type or an unknown name.
        ValueError: An argument is out of range, or a list holds the same job object twice.
    """
    hub, run_options = _hub("as_completed", timeout, options)
    check_jobs("as_completed", jobs)
    return RunInOwnHub(hub, lambda: hub.as_completed(jobs, timeout=timeout, **run_options))


async def wait_all(
    jobs: Jobs[T], *, timeout: float | Timeout | None, **options: Unpack[BulkOptions]
) -> list[Outcome[T]]:
    """Wait for all of *jobs* in a hub of their own, and return their outcomes in the order in which they were given.

    Args:
        jobs: A list, an iterable or an async iterable of jobs or async functions.
        timeout: For each wait, from when its job enters the hub.
        **options: Those of `Hub.wait_all`; and of the hub *concurrency*, *rate* and *observe*, as for `as_completed`.
    """
    hub, run_options = _hub("wait_all", timeout, options)
    check_jobs("wait_all", jobs)
    async with hub:
        return await hub.wait_all(jobs, timeout=timeout, **run_options)


def _hub(caller: str, timeout: float | Timeout | None, options: BulkOptions) -> tuple[Hub, RunOptions]:
    """Return the hub for one run, and the options of the run; the hub has the schedule, too, if one is given.

    The options are checked here, too, so that an error names the function that was called.
    """
    check_options(caller, options, BulkOptions)
    observers_of(caller, options.get("observe"))
    policy_of(
        caller, timeout, {name: value for name, value in options.items() if name in PollOptions.__optional_keys__}
    )
    run_options = options.copy()
    hub = Hub(
        concurrency=run_options.pop("concurrency", 100),
        rate=run_options.pop("rate", None),
        observe=run_options.pop("observe", None),
        schedule=run_options.get("schedule"),
    )
    return hub, run_options
