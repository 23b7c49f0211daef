"""What holds for all tests: asynchronous ones leave neither a task nor an unseen exception, and coverage is exact."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from ledger_kit import directory

hypothesis.settings.register_profile(
    "on a busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("on a busy machine")


def pytest_configure() -> None:
    """Set no event loop: on Python 3.11 pytest-asyncio would make one here and never close it."""
    asyncio.set_event_loop(None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two more than there are processors: a test that waits for another process leaves its own idle."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave all that is there out of collections of garbage, now and later: they would take a good part of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put every coroutine test under the rule below; measure no coverage where chance decides what is covered."""
    for item in items:
        if isinstance(item, pytest.Function):
            if inspect.iscoroutinefunction(item.obj):
                item.fixturenames.insert(0, "no_orphans")
            if hypothesis.is_hypothesis_test(item.obj):
                item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure nothing in a test with the mark `no_cover`, nor in the processes that it starts.

    In a worker, pytest-cov stops only the newer one of the two tracers that it has started there.
    """
    if item.get_closest_marker("no_cover") is None:
        return (yield)
    sys.settrace(None)
    threading.settrace(None)
    measured = os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    try:
        return (yield)
    finally:
        if measured is not None:
            os.environ["COVERAGE_PROCESS_CONFIG"] = measured


@pytest.fixture
async def no_orphans() -> AsyncIterator[None]:
    """Fail a test that leaves a task running, or an exception that was never retrieved."""
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unseen.append(context))
    before = asyncio.all_tasks()
    yield
    orphans = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not orphans, f"tasks left behind: {orphans}"
    gc.collect(0)
    assert not unseen, f"nobody looked at: {unseen}"


@pytest.fixture
def path() -> Iterator[Path]:
    """Return where a ledger may be made."""
    with directory() as place:
        yield place / "run.db"
