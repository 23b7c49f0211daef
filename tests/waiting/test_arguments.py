"""Wrong arguments are refused where they are given, by an error that names the function that was called."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import pytest
from hub_kit import JOBS, SUCCESS, in_hub, play, transport_of

from asyncpoll import Exponential, Fixed, Hub, Snapshot, State, as_completed, wait_all, wait_until_terminal, watch
from asyncpoll.testing import MemoryTransport, run_virtual

Call = Callable[[Hub, Any, dict[str, Any]], Any]


async def entered(run: Any) -> None:
    """Enter a run and leave it."""
    async with run:
        pass


async def consumed(snapshots: Any) -> None:
    """Take what an async generator yields."""
    async for _ in snapshots:
        pass


FUNCTIONS: dict[str, Call] = {
    "wait_until_terminal": lambda _, job, options: wait_until_terminal(job, timeout=1.0, **options),
    "watch": lambda _, job, options: consumed(watch(job, **options)),
    "Job.wait": lambda _, job, options: job.wait(timeout=1.0, **options),
    "Job.result": lambda _, job, options: job.result(timeout=1.0, **options),
    "Job.watch": lambda _, job, options: consumed(job.watch(**options)),
    "Hub.wait": lambda hub, job, options: hub.wait(job, timeout=1.0, **options),
    "Hub.result": lambda hub, job, options: hub.result(job, timeout=1.0, **options),
    "Hub.as_completed": lambda hub, job, options: entered(hub.as_completed([job], timeout=1.0, **options)),
    "Hub.wait_all": lambda hub, job, options: hub.wait_all([job], timeout=1.0, **options),
    "as_completed": lambda _, job, options: entered(as_completed([job], timeout=1.0, **options)),
    "wait_all": lambda _, job, options: wait_all([job], timeout=1.0, **options),
}


async def async_function(_event: object) -> None:
    """Never run as an observer."""


async def async_generator(_event: object) -> Any:
    """Never run as an observer."""
    yield


class AsyncCallable:
    """An object whose call has to be awaited."""

    async def __call__(self, _event: object) -> None:
        """Never run as an observer."""


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"schedule": 5}, TypeError, "schedule must be a schedule with a method delay"),
    ({"schedule": Exponential}, TypeError, "schedule must be a schedule with a method delay"),
    ({"max_polls": 2.5}, TypeError, "max_polls must be a whole number"),
    ({"max_polls": "2"}, TypeError, "max_polls must be a whole number"),
    ({"max_polls": True}, TypeError, "max_polls must be a whole number"),
    ({"max_polls": 0}, ValueError, "max_polls must be a whole number, at least 1"),
    ({"max_misses": 1.0}, TypeError, "max_misses must be a whole number"),
    ({"max_misses": -1}, ValueError, "max_misses must be a whole number, at least 0"),
    ({"stable_for": 1.5}, TypeError, "stable_for must be a whole number"),
    ({"stable_for": None}, TypeError, "stable_for must be a whole number"),
    ({"stable_for": 0}, ValueError, "stable_for must be a whole number, at least 1"),
    ({"first_delay": "1"}, TypeError, "first_delay must be a number of seconds"),
    ({"first_delay": None}, TypeError, "first_delay must be a number of seconds"),
    ({"first_delay": -1}, ValueError, "first_delay must be a finite number of seconds"),
    ({"first_delay": float("nan")}, ValueError, "first_delay must be a finite number of seconds"),
    ({"not_found_grace": float("inf")}, ValueError, "not_found_grace must be a finite number"),
    ({"not_found_grace": True}, TypeError, "not_found_grace must be a number"),
    ({"hints": "maybe"}, ValueError, "hints must be 'at_least' or 'exactly' or 'ignore'"),
    ({"hints": ["ignore"]}, ValueError, "hints must be"),
    ({"on_abandon": "stop"}, ValueError, "on_abandon must be 'leave' or 'cancel'"),
    ({"miss_on": 5}, TypeError, "miss_on must be"),
    ({"miss_on": "ValueError"}, TypeError, "miss_on must be"),
    ({"miss_on": int}, TypeError, "miss_on must be"),
    ({"miss_on": BaseException}, TypeError, "miss_on must be"),
    ({"miss_on": (ValueError, "x")}, TypeError, "miss_on must be"),
    ({"miss_on": async_function}, TypeError, "miss_on must be a plain function"),
    ({"polls": 3}, TypeError, "unexpected option 'polls'; it accepts .*first_delay"),
]
PLAIN: list[Any] = [print, [].append, lambda _: None, functools.partial(print, "event")]
OBSERVERS = [5, "print", async_function, async_generator, AsyncCallable(), functools.partial(async_function)]


def job_of(transport: MemoryTransport) -> Any:
    """Return a job that has succeeded."""
    return JOBS.job(transport, "1")


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("options", "kind", "words"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_option_is_refused_by_name(
    function: str, options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    """The error says which function was called with what, and nothing was requested."""
    transport = transport_of(lambda _: {"state": "success"})

    async def main(hub: Hub) -> None:
        with pytest.raises(kind, match=words) as caught:
            await FUNCTIONS[function](hub, job_of(transport), options)
        assert str(caught.value).startswith(f"{function}()")

    in_hub(main)
    assert transport.requests == 0


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("function", ["wait_until_terminal", "watch", "Job.wait", "Job.result", "Job.watch"])
def test_an_observer_must_be_a_plain_function(function: str, observer: Any) -> None:
    """A coroutine function would never run, so it is refused, and so is what cannot be called."""
    transport = transport_of(lambda _: {"state": "success"})

    async def main(hub: Hub) -> None:
        with pytest.raises(TypeError, match=rf"{function}\(\): observe must be a (plain )?function"):
            await FUNCTIONS[function](hub, job_of(transport), {"observe": observer})

    in_hub(main)
    assert transport.requests == 0


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda value: type(value).__name__)
def test_the_observer_of_a_hub_must_be_a_plain_function(observer: Any) -> None:
    """So it is where a hub is made, also by `as_completed` and `wait_all`."""
    with pytest.raises(TypeError, match=r"Hub\(\): observe must be a (plain )?function"):
        Hub(observe=observer)
    for function in ("as_completed", "wait_all"):
        with pytest.raises(TypeError, match=r"observe must be a (plain )?function"):
            run_virtual(FUNCTIONS[function](Hub(), play(SUCCESS), {"observe": observer}))


@pytest.mark.parametrize(
    "observer", [print, [].append, lambda _: None, functools.partial(print, "event")], ids=["a", "b", "c", "d"]
)
def test_any_plain_function_may_observe(observer: Any) -> None:
    """Functions, methods, built-in ones and partial ones are called with every event."""
    run_virtual(wait_until_terminal(play(SUCCESS), timeout=1.0, observe=observer))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"schedule": 5}, TypeError),
        ({"schedule": Fixed}, TypeError),
        ({"random": 5}, TypeError),
        ({"random": async_function}, TypeError),
        ({"concurrency": 2.5}, ValueError),
        ({"concurrency": "5"}, ValueError),
        ({"concurrency": True}, ValueError),
        ({"lane_concurrency": 0}, ValueError),
        ({"rate": "5"}, ValueError),
        ({"rate": True}, ValueError),
        ({"lane_rate": float("nan")}, ValueError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.__name__,
)
def test_a_hub_refuses_wrong_arguments(options: dict[str, Any], kind: type[Exception]) -> None:
    """They are refused where the hub is made, by name."""
    with pytest.raises(kind, match=next(iter(options))):
        Hub(**options)


@pytest.mark.parametrize("function", ["wait_until_terminal", "watch", "Hub.wait", "Hub.result"])
@pytest.mark.parametrize("fetch", [5, None, "job", []], ids=repr)
def test_what_cannot_be_polled_is_refused(function: str, fetch: Any) -> None:
    """It is a job or an async function; anything else is a `TypeError` that names the function."""

    async def main(hub: Hub) -> None:
        with pytest.raises(TypeError, match=rf"{function}\(\): fetch must be an async function or a Job"):
            await FUNCTIONS[function](hub, fetch, {})

    in_hub(main)


@pytest.mark.parametrize("jobs", [5, None, play(SUCCESS)], ids=["number", "None", "script"])
@pytest.mark.parametrize("function", ["as_completed", "wait_all"])
def test_jobs_must_be_iterable(function: str, jobs: Any) -> None:
    """One job, or nothing of the kind, is refused."""

    async def main(hub: Hub) -> None:
        call: dict[str, Callable[[], Any]] = {"as_completed": lambda: entered(hub.as_completed(jobs, timeout=1.0))}
        call["wait_all"] = lambda: hub.wait_all(jobs, timeout=1.0)
        with pytest.raises(TypeError, match="jobs must be a list, an iterable or an async iterable"):
            await call[function]()

    in_hub(main)


@pytest.mark.parametrize("function", [as_completed, wait_all])
def test_one_job_is_to_be_given_as_a_list(function: Callable[..., Any]) -> None:
    """The error of one job in place of a list says how to write it."""

    async def call() -> None:
        waiting = function(play(SUCCESS), timeout=1.0)
        await (waiting if inspect.iscoroutine(waiting) else entered(waiting))

    with pytest.raises(TypeError, match=rf"{function.__name__}\(\): jobs must .*; pass a list, \[job\]"):
        run_virtual(call())


def test_a_run_in_a_block_of_its_own_says_so() -> None:
    """`async for` over `as_completed(...)` itself says to open the block first."""

    async def iterate() -> None:
        async for _ in as_completed([play(SUCCESS)], timeout=1.0):  # pyright: ignore[reportGeneralTypeIssues]  that must fail
            pass

    with pytest.raises(TypeError, match="opens a block: async with as_completed"):
        run_virtual(iterate())


@pytest.mark.parametrize("alone", [True, False])
def test_a_plain_function_is_told_to_be_async(alone: bool) -> None:  # noqa: FBT001  both
    """A fetch that is declared with `def` ends its wait with a cure, in a hub as alone."""

    def look() -> Any:
        return Snapshot(State.SUCCESS)

    with pytest.raises(TypeError, match="must be declared with `async def`"):
        in_hub(lambda hub: (wait_until_terminal if alone else hub.wait)(look, timeout=1.0))


def test_an_old_style_coroutine_may_be_awaited() -> None:
    """A generator made by `types.coroutine` has no `__await__`, and can be awaited nevertheless."""

    @types.coroutine
    def look() -> Any:
        yield from asyncio.sleep(1.0).__await__()
        return Snapshot(State.SUCCESS)

    assert run_virtual(wait_until_terminal(look, timeout=9.0)).state is State.SUCCESS


def test_a_watch_has_no_timeout() -> None:
    """`watch(job, timeout=5)` says what it accepts instead."""
    with pytest.raises(TypeError, match=r"watch\(\) got an unexpected option 'timeout'; it accepts first_delay"):
        watch(play(SUCCESS), timeout=5)  # type: ignore[call-arg]  # that is what must fail


def test_a_coroutine_in_place_of_its_function_is_refused() -> None:
    """The error says to pass the function uncalled."""
    coroutine = play(SUCCESS)()
    with pytest.raises(TypeError, match="pass it uncalled"):
        run_virtual(wait_until_terminal(coroutine, timeout=1.0))  # type: ignore[arg-type]  # that is what must fail
    coroutine.close()
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
