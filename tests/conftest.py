"""The rule for every asynchronous test: it leaves neither a task nor an unseen exception."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("on a busy machine", deadline=None)
hypothesis.settings.load_profile("on a busy machine")


def pytest_configure() -> None:
    """Set no event loop: on Python 3.11 pytest-asyncio would make one here and never close it."""
    asyncio.set_event_loop(None)


def pytest_collection_finish() -> None:
    """Leave all that is there out of later collections of garbage: tests that collect it would spend their time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put every coroutine test under the rule below."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "no_orphans")


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
