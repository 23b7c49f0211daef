"""Blocking calls: a thread with a loop, what it lets through, and how it ends."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import pytest

from asyncpoll import Endpoint, Fixed, Hub, Job, Snapshot, State, WaitTimeout, sync, wait_until_terminal, watch
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, Script

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("TENANT", default="nothing")
QUICK = Fixed(0.01)
JOBS: Endpoint[str, str] = Endpoint(
    "made.up", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda reply: Snapshot(State.SUCCESS, value=reply.json)
)


@pytest.fixture
def portal() -> Iterator[sync.Portal]:
    """A portal of one test, closed at its end."""
    made = sync.Portal()
    yield made
    made.close()


class Service:
    """A client with an async part, as a provider's."""

    def __init__(self) -> None:
        self.transport = MemoryTransport(lambda request: Reply(200, request.path))
        self.entered = 0

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.entered -= 1

    async def start(self, name: str) -> Job[str]:
        """Start a job."""
        await asyncio.sleep(0)
        return JOBS.job(self.transport, name)


@asynccontextmanager
async def in_one_task() -> AsyncGenerator[str, None]:
    """A manager that must be left in the task that entered it."""
    async with asyncio.timeout(60):
        yield "entered"


def run_script(text: str, *, interrupt: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program that says "ready", and interrupt it then, if that is wanted."""
    command = [sys.executable, "-W", "error", "-c", text]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if interrupt:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_a_call_returns_what_the_function_returns(portal: sync.Portal) -> None:
    """Positional and named arguments go through."""
    seen = portal.call(wait_until_terminal, Script[Any]([State.PENDING, State.SUCCESS]), timeout=60, schedule=QUICK)
    assert seen.state is State.SUCCESS


@pytest.mark.parametrize("error", [ValueError("bad"), StopIteration(3), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_a_call_raises_what_the_function_raises(portal: sync.Portal, error: BaseException) -> None:
    """Whatever it is; the portal goes on."""

    async def fail() -> None:
        raise error

    with pytest.raises((type(error), RuntimeError)):
        portal.call(fail)
    assert portal.call(asyncio.sleep, 0, "alive") == "alive"


def test_a_timeout_of_the_call_is_not_taken_for_its_own(portal: sync.Portal) -> None:
    """The wait times out as in async code, with what was last seen."""
    with pytest.raises(WaitTimeout) as caught:
        portal.call(wait_until_terminal, Script([State.PENDING]), timeout=0.7)
    assert caught.value.last is not None


def test_a_call_sees_the_variables_of_its_caller(portal: sync.Portal) -> None:
    """Each thread's own."""

    async def tenant() -> str:
        return TENANT.get()

    def one(name: str) -> str:
        TENANT.set(name)
        return portal.call(tenant)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, "abcd")) == ["a", "b", "c", "d"]


def test_threads_share_one_hub(portal: sync.Portal) -> None:
    """Twenty threads that wait for one job cost one poll."""
    transport = MemoryTransport(lambda _: Reply(200, "done"), latency=0.1)
    with portal.block(Hub()) as hub, ThreadPoolExecutor(20) as threads:
        waiting = [threads.submit(portal.call, hub.result, JOBS.job(transport, "a"), timeout=60) for _ in range(20)]
        assert {one.result() for one in waiting} == {"done"}
        assert hub.counters.polls < 20


def test_items_come_one_by_one(portal: sync.Portal) -> None:
    """A loop over an async generator may be left early."""
    script = Script[Any]([State.PENDING, State.PROCESSING, State.SUCCESS])
    assert [seen.state for seen in portal.each(watch(script, schedule=QUICK))][-1] is State.SUCCESS
    items = portal.each(watch(Script[Any]([State.PENDING]), schedule=QUICK))
    assert next(items).state is State.PENDING
    items.close()  # type: ignore[attr-defined]  # it is a generator


def test_an_iterable_without_a_close_will_do(portal: sync.Portal) -> None:
    """Only its items are needed."""

    class Two:
        def __init__(self) -> None:
            self.left = 2

        def __aiter__(self) -> Two:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    assert list(portal.each(Two())) == [1, 0]


def test_a_block_is_entered_and_left_in_one_task(portal: sync.Portal) -> None:
    """As cancel scopes demand; an error in the block reaches the manager, and the caller."""
    with portal.block(in_one_task()) as value:
        assert value == "entered"
    with pytest.raises(LookupError), portal.block(in_one_task()):
        raise LookupError


def test_a_manager_may_suppress_an_error(portal: sync.Portal) -> None:
    """As it would in async code."""

    @asynccontextmanager
    async def forgiving() -> AsyncGenerator[None, None]:
        with suppress(LookupError):
            yield

    with portal.block(forgiving()):
        raise LookupError


def test_a_manager_that_fails_to_enter_says_so(portal: sync.Portal) -> None:
    """By its own error, for a block and for good; a hub is opened once."""
    with portal.block(Hub()) as hub:
        for enter in (portal.enter, lambda again: portal.block(again).__enter__()):
            with pytest.raises(Exception, match="opened once"):
                enter(hub)


def test_what_was_entered_is_left_at_the_close() -> None:
    """The newest first, and also when one of them fails to be left."""
    left: list[str] = []

    @asynccontextmanager
    async def named(name: str) -> AsyncGenerator[str, None]:
        yield name
        left.append(name)
        if name == "b":
            raise LookupError

    portal = sync.Portal()
    assert [portal.enter(named(name)) for name in "abc"] == ["a", "b", "c"]
    portal.close()
    portal.close()
    assert left == ["c", "b", "a"]
    with pytest.raises(RuntimeError, match="the portal is closed"):
        portal.call(asyncio.sleep, 0)


def test_a_close_cancels_what_still_runs() -> None:
    """A call of another thread ends."""
    portal = sync.Portal()
    with ThreadPoolExecutor(1) as threads:
        started = threading.Event()

        async def long() -> None:
            started.set()
            await asyncio.sleep(3600)

        running = threads.submit(portal.call, long)
        assert started.wait(60)
        portal.close()
        with pytest.raises(asyncio.CancelledError):
            running.result(60)


def test_the_portals_own_loop_is_not_blocked(portal: sync.Portal) -> None:
    """A call from within would never return, so it is refused."""

    async def inner() -> None:
        portal.call(asyncio.sleep, 0)

    with pytest.raises(RuntimeError, match="own event loop"):
        portal.call(inner)


def test_a_call_inside_a_running_loop_warns(portal: sync.Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works, but holds up that loop; in a notebook that is how it is."""

    async def main() -> str:
        return portal.call(asyncio.sleep, 0, "done")

    with pytest.warns(RuntimeWarning, match="holds up the event loop"):
        assert asyncio.run(main()) == "done"
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert asyncio.run(main()) == "done"


def test_every_method_of_a_client_blocks(portal: sync.Portal) -> None:
    """Also those of the jobs that it returns, and of a hub with its runs; plain attributes are as they are."""
    Service.__module__ = "asyncpoll.made_up"
    with portal.client(Service) as client:
        assert client.entered == 1
        jobs = [client.start(name) for name in "ab"]
        assert jobs[0].key == 'made.up:"a"'
        assert "made.up" in repr(jobs[0])
        assert jobs[0]().value == "/a"
        assert jobs[0].result(timeout=60) == "/a"
        assert [seen.value for seen in jobs[1].watch()] == ["/b"]
        with portal.client(Hub) as hub:
            assert {outcome.unwrap() for outcome in hub.wait_all(jobs, timeout=60)} == {"/a", "/b"}
            with hub.as_completed(jobs=jobs, timeout=60) as run:
                assert {outcome.unwrap() for outcome in run} == {"/a", "/b"}


# the default portal


def test_the_default_portal_serves_the_functions() -> None:
    """There is one for each process."""
    assert sync.portal() is sync.portal()
    assert sync.call(asyncio.sleep, 0, "done") == "done"
    assert next(iter(sync.each(watch(Script[Any]([State.SUCCESS]))))).state is State.SUCCESS
    with sync.block(Hub()) as hub:
        assert sync.call(hub.wait, Script([State.SUCCESS]), timeout=60).state is State.SUCCESS
    with sync.client(Hub) as blocking:
        assert blocking.wait(Script([State.SUCCESS]), timeout=60).state is State.SUCCESS


def test_an_interrupt_ends_a_wait() -> None:
    """Ctrl-C is raised in the caller once the wait has been cancelled; the process ends as interrupted ones do."""
    ended = run_script(
        """
import asyncio
from asyncpoll import State, sync, wait_until_terminal
from asyncpoll.testing import Script

async def wait():
    print("ready", flush=True)
    try:
        await wait_until_terminal(Script([State.PENDING]), timeout=600)
    finally:
        print("cancelled", flush=True)

try:
    sync.call(wait)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
""",
        interrupt=True,
    )
    assert ended.stdout == "cancelled\ninterrupted\n"
    assert ended.stderr.rstrip().endswith("KeyboardInterrupt")
    assert ended.returncode in (-signal.SIGINT, 130)


def test_what_was_entered_for_good_is_left_at_exit() -> None:
    """Without a warning."""
    ended = run_script(
        """
from contextlib import asynccontextmanager, suppress
from asyncpoll import sync

@asynccontextmanager
async def manager():
    yield "in"
    print("out")

print(sync.enter(manager()))
"""
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("in\nout\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_after_a_fork_there_is_a_new_portal() -> None:
    """The old one says why it cannot be used."""
    ended = run_script(
        """
import asyncio, os, warnings
from asyncpoll import sync
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tried
old = sync.portal()
sync.call(asyncio.sleep, 0)
child = os.fork()
if child == 0:
    try:
        old.call(asyncio.sleep, 0)
    except RuntimeError as error:
        print(error, flush=True)
    old.close()
    print(sync.call(asyncio.sleep, 0, "new"), flush=True)
    raise SystemExit
os.waitpid(child, 0)
print(sync.call(asyncio.sleep, 0, "old"))
"""
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "the portal belongs to the process before the fork; make another one, and new clients",
        "new",
        "old",
    ]


def interrupt_soon(started: threading.Event) -> threading.Thread:
    """Return a thread that interrupts this process when something has started."""

    def interrupt() -> None:
        assert started.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_a_coroutine_that_resists_is_given_up(portal: sync.Portal) -> None:
    """An interrupted call returns although what it awaits ignores the cancellation."""
    started, release = threading.Event(), threading.Event()

    async def stubborn() -> None:
        started.set()
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    thread = interrupt_soon(started)
    with pytest.raises(KeyboardInterrupt):
        portal.call(stubborn)
    release.set()
    thread.join()


def test_an_interrupt_while_a_block_is_entered_ends_that(portal: sync.Portal) -> None:
    """What was half entered is cancelled."""
    started, cancelled = threading.Event(), threading.Event()

    @asynccontextmanager
    async def slow() -> AsyncGenerator[None, None]:
        started.set()
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()
        yield

    thread = interrupt_soon(started)
    with pytest.raises(KeyboardInterrupt), portal.block(slow()):
        pass
    assert cancelled.wait(60)
    thread.join()


def test_to_import_it_starts_no_thread() -> None:
    """A portal is made when it is first needed."""
    ended = run_script("import threading, asyncpoll.sync; print(threading.active_count())")
    assert (ended.stdout, ended.stderr, ended.returncode) == ("1\n", "", 0)
