"""A run on a cluster, with its one worker in the process of the test: what goes out, what comes back, how it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from dask_kit import ENDPOINT, cluster, ended, refs, run_of, states_in, truth_of, world

from asyncpoll import Rejected
from asyncpoll.ledger import Ledger
from asyncpoll.providers import BigModel
from asyncpoll.simulator import Life


async def test_all_outcomes_are_those_of_the_server(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records come as they are committed, each job once, and the figures of the run agree."""
    async with world(monkeypatch) as simulator, cluster() as client, Ledger(path) as ledger:
        async with run_of(refs(30), client, ledger) as run:
            records = [record async for record in run]
            facts = run.total, run.done, run.outcomes.total(), run.taken, run.duplicates, run.time_left()
        assert facts == (30, 30, 30, 30, 0, None)
        assert run.counters.polls == simulator.polls
        assert [record.seq for record in records] == list(range(1, 31))
        assert states_in(path) == truth_of(simulator, states_in(path))
    assert len(states_in(path)) == 30


async def test_it_goes_on_where_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs with an outcome are not polled again, and no record is given twice when the block is left in good order."""
    async with world(monkeypatch) as simulator, cluster() as client:
        first = await ended(path, refs(5), client)
        polls = simulator.polls
        async with Ledger(path) as ledger, run_of([*refs(5), *refs(1, 6)], client, ledger) as run:
            second = [record async for record in run]
            assert run.done_before == 5
    assert [record.ref["task_id"] for record in second] == ["j6"]
    assert simulator.counts[ENDPOINT] - polls == second[0].polls
    assert len(first) == 5


async def test_jobs_pairs_and_entries_are_accepted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same job in three forms is one job; a job that has ended by itself is recorded and not polled."""
    async with world(monkeypatch) as simulator, cluster() as client, Ledger(path) as ledger:
        await ledger.enter([("x", ENDPOINT, refs(1)[0][1])])
        async with BigModel.from_env() as model:
            job = model.file_parser.job(task_id="j2", format="text").with_meta({"row": 7})
        entries = [entry async for entry in ledger.unfinished()]
        async with run_of([*entries, job, *refs(1, 2)], client, ledger) as run:
            records = [record async for record in run]
        assert run.duplicates == 1
    assert {record.key for record in records} == {"x", job.key}
    assert [record.meta for record in records if record.key == job.key] == [{"row": 7}]
    assert simulator.truth(ENDPOINT, "j2")


async def test_a_refused_key_ends_the_run_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the worker and not the key; no job has an outcome, so all can be waited for again."""
    async with world(monkeypatch, bigmodel_key="another") as simulator, cluster() as client:
        with pytest.raises(Rejected, match=r"the worker tcp://127\.0\.0\.1:\d+: ") as caught:
            await ended(path, refs(600), client, concurrency=2)
        assert simulator.polls < 10
    assert "canary" not in str(caught.value)
    assert states_in(path) == {}


async def test_a_worker_without_a_key_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear line says which worker lacks which variable."""
    async with world(monkeypatch) as simulator, cluster() as client:
        monkeypatch.delenv("BIGMODEL_API_KEY")
        with pytest.raises(ValueError, match=r"the worker tcp://127\.0\.0\.1:\d+: .*BIGMODEL_API_KEY"):
            await ended(path, refs(2), client)
        assert simulator.requests == 0


async def test_leaving_early_notes_the_progress(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stay unfinished; their polls are known to the next run."""
    async with world(monkeypatch) as simulator, cluster() as client, Ledger(path) as ledger:
        simulator.script(ENDPOINT, "j1", Life(outcome="succeeded"))
        simulator.script(ENDPOINT, "j2", Life(outcome="succeeded", processing=60.0))
        async with run_of(refs(2), client, ledger) as run:
            async for record in run:
                assert record.ref["task_id"] == "j1"
                while simulator.counts[ENDPOINT] < 5:  # noqa: ASYNC110  the server has no event for it
                    await asyncio.sleep(0.01)
                break
        left = [entry async for entry in ledger.unfinished()]
        assert [entry.ref["task_id"] for entry in left] == ["j2"]
        assert left[0].checkpoint is not None
        assert left[0].checkpoint.polls >= 2
