"""A run on a cluster, with its one worker in the process of the test: what goes out, what comes back, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("distributed")

from attrs import evolve
from dask_kit import ENDPOINT, cluster, ended, refs, run_of, states_in, truth_of, until, world

from asyncpoll import ClientClosed, Learned, Outcome, PollError, Rejected, Snapshot, State
from asyncpoll.clients import Clients
from asyncpoll.dask._shard import Outbox, ShardWaits
from asyncpoll.ledger import EntryInput, Ledger
from asyncpoll.progress import progress
from asyncpoll.providers import BigModel
from asyncpoll.simulator import Life
from asyncpoll.waiting._emission import Counters
from asyncpoll.waiting.learning._history import History


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


async def test_two_runs_share_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own engine, rate and end; the rates of both hold."""
    async with world(monkeypatch) as simulator, cluster() as client:
        slow = ended(tmp_path / "a.db", refs(10), client, rate=20.0)
        quick = ended(tmp_path / "b.db", refs(10, 11), client, rate=1000.0)
        first, second = await asyncio.gather(slow, quick)
        assert (len(first), len(second)) == (10, 10)
        assert simulator.polls >= 20


async def test_the_progress_of_a_run_is_shown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a run in this process."""
    async with (
        world(monkeypatch),
        cluster() as client,
        Ledger(path) as ledger,
        run_of(refs(5), client, ledger) as run,
        progress(run, view="plain", file=StringIO()) as position,
    ):
        assert len([record async for record in run]) == 5
        assert position().line().startswith("5 of 5 ended; ")


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


async def test_draining_ends_the_iteration(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come is given; a worker that takes too long is not waited for."""
    async with world(monkeypatch) as simulator, cluster() as client, Ledger(path) as ledger:
        simulator.script(ENDPOINT, "j2", Life(outcome="succeeded", processing=600.0))
        async with run_of(refs(2), client, ledger) as run:
            assert (await anext(run)).ref["task_id"] == "j1"
            await run.drain(patience=0.01)
            assert [record async for record in run] == []


async def test_what_is_learned_is_shared(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history comes back from the workers, by what predicts durations, and a run that is given one passes it on."""
    known = History()
    for _ in range(5):
        known.add(f"{ENDPOINT}:mode=fast", "processing", 0.1, 0.1)
    learned = Learned(history=known, price=0.5)
    async with (
        world(monkeypatch),
        cluster() as client,
        Ledger(path) as ledger,
        Clients() as clients,
        run_of(
            (clients.job(*ref).with_pacing("mode=fast") for ref in refs(8)), client, ledger, schedule=learned
        ) as run,
    ):
        assert len([record async for record in run]) == 8
    assert run.history is known
    assert {key for key, _ in known.tracks} == {f"{ENDPOINT}:mode=fast"}
    assert len(known.track(f"{ENDPOINT}:mode=fast", "processing").records) > 5


async def test_jobs_that_trickle_in_are_not_kept_waiting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard goes out before it is full; the number of all jobs is not known before the end."""
    more = asyncio.Event()

    async def trickling() -> AsyncGenerator[Any, None]:
        yield refs(1)[0]
        await more.wait()
        yield refs(1, 2)[0]

    async with (
        world(monkeypatch),
        cluster() as client,
        Ledger(path) as ledger,
        run_of(trickling(), client, ledger) as run,
    ):
        assert (await anext(run)).ref["task_id"] == "j1"
        assert run.total is None
        more.set()
        assert (await anext(run)).ref["task_id"] == "j2"
        assert [record async for record in run] == []
        assert run.total == 2


async def test_only_so_many_jobs_are_out_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next shard waits for the end of others."""
    async with world(monkeypatch) as simulator, cluster() as client, Ledger(path) as ledger:
        simulator.script(ENDPOINT, "j1", Life(outcome="succeeded", processing=600.0))
        async with run_of(refs(600), client, ledger, max_pending=300) as run:
            await until(lambda: ledger.counts.outcomes == 249)
            with pytest.raises(ValueError, match="has not seen this id yet"):
                simulator.truth(ENDPOINT, "j251")
            simulator.script(ENDPOINT, "j1", Life(outcome="succeeded"))
            assert len([record async for record in run]) == 600


async def test_a_job_that_has_ended_is_only_recorded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its submit was answered with the outcome."""
    async with world(monkeypatch) as simulator, cluster() as client, Ledger(path) as ledger:
        async with BigModel.from_env() as model:
            job = evolve(model.file_parser.job(task_id="j1"), submitted=Snapshot(State.FAILED, "failed", reason="no"))
        async with run_of([job], client, ledger) as run:
            [record] = [record async for record in run]
        assert (record.state, record.reason, simulator.requests) == ("failed", "no", 0)


async def test_the_time_of_a_submit_goes_along(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a worker may be behind that of the client."""
    key = BigModel("any").file_parser.job(task_id="j1", format="text").key
    entry = EntryInput(key, *refs(1)[0], submitted_at=1.0)
    async with world(monkeypatch), cluster() as client:
        assert len(await ended(path, [entry], client)) == 1


async def test_a_mistake_on_a_worker_ends_the_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the worker, the kind of the mistake and its message; the worker logs the rest."""
    async with world(monkeypatch), cluster() as client, Ledger(path) as ledger, run_of(refs(1), client, ledger) as run:
        run._settings = evolve(run._settings, options={"nonsense": 1})
        with pytest.raises(PollError, match=r"the worker tcp://\S+: TypeError: .*nonsense"):
            await anext(run)


async def test_what_speaks_of_the_process_is_not_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed client, or a lack of memory: the job stays unfinished."""
    sent = Outbox("run", None, Counters())
    waits = ShardWaits("s", 0.0, sent)
    for error in (ClientClosed("closed"), MemoryError()):
        with pytest.raises(type(error)):
            waits.ended(Outcome(None, None, error), links=False)


async def test_large_outcomes_are_sent_at_once() -> None:
    """A hundred outcomes, or a megabyte, do not wait for others."""
    sent: list[Any] = []
    worker: Any = SimpleNamespace(id="w", log_event=lambda topic, message: sent.append(message))
    outbox = Outbox("run", worker, Counters())
    outbox.outcome("s", 1, "x" * (1 << 20))
    assert [len(message["outcomes"]) for message in sent] == [1]
    for number in range(100):
        outbox.outcome("s", number, "x")
    assert [len(message["outcomes"]) for message in sent] == [1, 100]
    outbox.flush()
    assert len(sent) == 2
