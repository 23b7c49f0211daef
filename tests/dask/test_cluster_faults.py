"""What a run makes of messages that are lost, workers that die or cannot begin, and a scheduler that is gone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("distributed")

from dask_kit import ENDPOINT, cluster, ended, refs, run_of, states_in, until, world
from distributed import Client
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker
from ledger_kit import Faults

from asyncpoll import PollError, TransportError
from asyncpoll.dask import DistributedRun, distributed_run
from asyncpoll.dask._run import check_versions
from asyncpoll.ledger import Ledger, LedgerSettings
from asyncpoll.simulator import Constant, Life

Submit = Callable[..., Awaitable[Any]]


def without(run: DistributedRun, client: Client, *, lost: Callable[[dict[str, Any]], bool]) -> None:
    """Lose messages on their way to the client."""
    receive, subscriber = run._receive, cast("Any", client)
    subscriber.subscribe_topic(run._settings.run, lambda event: None if lost(event[1]) else receive(event))


def failing(client: Client, patch: pytest.MonkeyPatch, error: Exception, times: int = 1) -> list[str]:
    """Have the first tasks of a client fail; return the keys of all tasks."""
    submit, keys = client.submit, list[str]()

    async def fail() -> None:
        raise error

    def submit_or_fail(*args: Any, **options: Any) -> Any:
        keys.append(options["key"])
        return fail() if len(keys) <= times else submit(*args, **options)

    patch.setattr(client, "submit", submit_or_fail)
    return keys


async def test_a_lost_outcome_is_asked_about_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a shard proves nothing: what has no outcome in the ledger goes out again."""
    lost = 0

    def first(message: dict[str, Any]) -> bool:
        nonlocal lost
        is_first = bool(message.get("outcomes")) and not lost
        lost += is_first and len(message["outcomes"])
        return is_first

    async with world(monkeypatch) as simulator, cluster() as client, Ledger(path) as ledger:
        async with run_of(refs(20), client, ledger) as run:
            without(run, client, lost=first)
            records = [record async for record in run]
        assert lost
        assert len(records) == len(states_in(path)) == 20
        assert simulator.polls > 20


async def test_outcomes_that_never_come_end_the_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs do not go out for ever."""
    async with (
        world(monkeypatch, processing=Constant(0.0)),
        cluster() as client,
        Ledger(path) as ledger,
        run_of(refs(3), client, ledger) as run,
    ):
        without(run, client, lost=lambda message: True)
        with pytest.raises(PollError, match="3 jobs were sent out 5 times"):
            await anext(run)


async def test_a_shard_whose_workers_died_goes_out_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After four workers Dask gives a task up; the run does not. Its tasks say what they are."""
    async with world(monkeypatch), cluster() as client:
        keys = failing(client, monkeypatch, KilledWorker("key", Any, 3))  # type: ignore[arg-type]  # it is not looked at
        records = await ended(path, refs(2), client)
    assert len(records) == 2
    assert [key.rpartition("-")[0] for key in keys] == [f"asyncpoll-shard-{ENDPOINT}-0000{n}" for n in (1, 2)]


async def test_a_scheduler_that_is_gone_ends_the_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so, and that the run can go on."""
    async with world(monkeypatch), cluster() as client:
        failing(client, monkeypatch, FutureCancelledError("key", "scheduler-connection-lost"))
        with pytest.raises(TransportError, match=r"the scheduler at tcp://127\.0\.0\.1:\d+ is lost"):
            await ended(path, refs(2), client)


async def test_a_lost_connection_is_noticed_while_idle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when no job is out."""

    async def silent() -> Any:
        await asyncio.sleep(600)
        yield

    async with world(monkeypatch), cluster() as client, Ledger(path) as ledger:
        with monkeypatch.context() as patch:
            async with run_of(silent(), client, ledger) as run:
                patch.setattr(client, "status", "connecting")
                with pytest.raises(TransportError, match="is lost"):
                    await anext(run)
                patch.undo()


async def test_a_task_that_cannot_be_unpacked_ends_the_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without the modules that an option needs, say."""
    async with world(monkeypatch), cluster() as client:
        failing(client, monkeypatch, ModuleNotFoundError("No module named 'acme'"))
        with pytest.raises(PollError, match="a worker cannot run a shard: ModuleNotFoundError: No module named 'acme'"):
            await ended(path, refs(2), client)


async def test_an_unknown_endpoint_is_refused_by_the_client(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker could make such a job."""
    async with world(monkeypatch), cluster() as client:
        with pytest.raises(ValueError, match="no endpoint 'nowhere'"):
            await ended(path, [("nowhere", {"id": "1"})], client)


async def test_polls_pause_while_the_disk_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are told; when the ledger can be written again, the polls go on, and nothing is lost."""
    faults = Faults(code=sqlite3.SQLITE_FULL)
    settings = LedgerSettings(retry_every=0.05, connect=faults.connect)
    async with world(monkeypatch) as simulator, cluster() as client, Ledger(path, settings=settings) as ledger:
        simulator.script(ENDPOINT, "j1", Life(outcome="succeeded", processing=600.0))
        async with run_of(refs(2), client, ledger) as run:
            await until(lambda: ledger.counts.entries and simulator.polls > 5)
            faults.at, faults.lasting, polls = faults.statements + 1, True, -1
            while simulator.polls > polls:
                polls = simulator.polls
                await asyncio.sleep(0.5)
            assert ledger.stalled is not None
            faults.at = 0
            await until(lambda: simulator.polls > polls)
            assert (await anext(run)).ref["task_id"] == "j2"


class Versions:
    """A client of a cluster with these versions of asyncpoll and Python."""

    asynchronous = True

    def __init__(self, scheduler: tuple[str | None, str], worker: tuple[str | None, str]) -> None:
        self._found = [
            {"packages": {"asyncpoll": asyncpoll, "python": python}}
            for asyncpoll, python in (("1.2.0", "3.11.7.final.0"), scheduler, worker)
        ]

    async def get_versions(self, packages: list[str]) -> Any:
        """Return what Dask would find."""
        client, scheduler, worker = self._found
        return {"client": client, "scheduler": scheduler, "workers": {"tcp://here:1": worker}}


SAME = ("1.2.0", "3.11.9.final.0")


@pytest.mark.parametrize(
    ("scheduler", "worker", "problem"),
    [
        ((None, SAME[1]), SAME, r"the scheduler has Python 3\.11 and not asyncpoll, and this process .* 1\.2\.0"),
        (SAME, ("1.1.0", SAME[1]), r"the worker tcp://here:1 has Python 3\.11 and asyncpoll 1\.1\.0"),
        (SAME, ("1.2.0", "3.12.1.final.0"), r"the worker tcp://here:1 has Python 3\.12 and asyncpoll 1\.2\.0"),
    ],
)
async def test_versions_that_differ_are_refused(scheduler: Any, worker: Any, problem: str) -> None:
    """One line says where which version is."""
    await check_versions(Versions(SAME, SAME))
    with pytest.raises(ValueError, match=problem):
        await check_versions(Versions(scheduler, worker))


async def test_a_client_of_the_other_kind_is_refused() -> None:
    """A blocking client lives in another event loop."""
    client = Versions(SAME, SAME)
    client.asynchronous = False
    with pytest.raises(ValueError, match="asynchronous=True"):
        await check_versions(client)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rate": -1}, "rate must be"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"timeout": -1}, "timeout"),
        ({"speed": 1}, "speed"),
        ({"max_pending": 0}, "max_pending"),
    ],
)
async def test_bad_options_are_refused_at_once(path: Path, options: dict[str, Any], problem: str) -> None:
    """Before anything is sent."""
    client: Any = None
    async with Ledger(path) as ledger:
        given: dict[str, Any] = {"timeout": 1, **options}
        with pytest.raises((TypeError, ValueError), match=problem):
            distributed_run([], client, ledger=ledger, **given)
        with pytest.raises(RuntimeError, match="iterated inside its block"):
            await anext(distributed_run([], client, ledger=ledger, timeout=1))
