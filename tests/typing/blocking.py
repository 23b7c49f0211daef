"""What type checkers see of `asyncpoll.sync`; mypy and pyright read it, nothing runs it.

A line with `type: ignore` must fail: an ignore that is not needed is an error.
"""

from __future__ import annotations

from typing import Any, assert_type

from asyncpoll import Hub, Job, Snapshot, sync
from asyncpoll.providers import BigModel
from asyncpoll.providers.bigmodel import ParsedFile


def blocking_calls(hub: Hub, job: Job[str]) -> None:
    """Types pass through `call`, `block`, `enter` and `each`."""
    assert_type(sync.call(job.result, timeout=600), str)
    assert_type(sync.portal().call(hub.wait, job, timeout=600), Snapshot[str])
    sync.call(job.result)  # type: ignore[call-arg]  # the limit is said
    sync.call(job.result, timeout=600, retries=3)  # type: ignore[call-arg]  # no such option
    sync.call(len, "abc")  # type: ignore[arg-type]  # not asynchronous
    with sync.block(BigModel("key")) as client:
        assert_type(client, BigModel)
        assert_type(sync.call(client.file_parser.start, "report.pdf", tool_type="prime"), Job[ParsedFile])
        sync.call(client.file_parser.start, "report.pdf", tool_kind="prime")  # type: ignore[call-arg]  # misspelt
    assert_type(sync.enter(Hub()), Hub)
    for snapshot in sync.each(job.watch()):
        assert_type(snapshot, Snapshot[str])


def blocking_clients(made: sync.Portal) -> None:
    """A client whose methods block has no types of its own."""
    with sync.client(BigModel.from_env) as client:
        assert_type(client, Any)
    made.close()
