"""What the tests of runs on a cluster share: a small cluster, a simulator whose keys its workers have, and runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from server_kit import PATIENCE

from asyncpoll import Fixed
from asyncpoll.dask import DistributedRun, distributed_run
from asyncpoll.ledger import Ledger, Reader, Record
from asyncpoll.simulator import Constant, Simulator

KEY = "canary-7f3e9c51"
ENDPOINT = "bigmodel.file_parser"
TRUTH = {"succeeded": "success", "failed": "failed"}


@asynccontextmanager
async def cluster() -> AsyncGenerator[Client]:
    """Start a cluster of one worker in this process, and give a client of it."""
    async with (
        LocalCluster(  # type: ignore[no-untyped-call]  # Dask's
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            asynchronous=True,
        ) as made,
        Client(made, asynchronous=True) as client,  # type: ignore[no-untyped-call]  # Dask's
    ):
        yield client


@asynccontextmanager
async def world(patch: pytest.MonkeyPatch, **options: Any) -> AsyncGenerator[Simulator]:
    """Run a simulator of short jobs, with its address and a key in the environment."""
    times: dict[str, Any] = {"pending": Constant(0.0), "processing": Constant(0.1), **options}
    async with Simulator(**times) as simulator:
        patch.setenv("BIGMODEL_API_KEY", KEY)
        patch.setenv("BIGMODEL_BASE_URL", f"{simulator.url}/api")
        yield simulator


def refs(count: int, first: int = 1) -> list[tuple[str, dict[str, str]]]:
    """Return so many references as a run takes them."""
    return [(ENDPOINT, {"task_id": f"j{number}", "format": "text"}) for number in range(first, first + count)]


def run_of(jobs: Any, client: Client, ledger: Ledger, **options: Any) -> DistributedRun:
    """Return a run that polls often."""
    chosen: dict[str, Any] = {"timeout": 30, "schedule": Fixed(0.05), **options}
    return distributed_run(jobs, client, ledger=ledger, **chosen)


async def ended(path: Path, jobs: Any, client: Client, **options: Any) -> list[Record]:
    """Return the records of a whole run."""
    async with Ledger(path) as ledger, run_of(jobs, client, ledger, **options) as records:
        return [record async for record in records]


def states_in(path: Path) -> dict[str, str]:
    """Return the state of each job that has an outcome in a ledger, by its id."""
    with Reader(path) as reader:
        return {record.ref["task_id"]: record.state for record in reader.records()}


def truth_of(simulator: Simulator, ids: Any) -> dict[str, str]:
    """Return the state in which each job has really ended."""
    return {ident: TRUTH[simulator.truth(ENDPOINT, ident).outcome] for ident in ids}


async def until(come: Callable[[], object]) -> None:
    """Wait until something has come, from another thread or process."""
    async with asyncio.timeout(PATIENCE):
        while not come():  # noqa: ASYNC110  nothing here has an event for it
            await asyncio.sleep(0.01)
