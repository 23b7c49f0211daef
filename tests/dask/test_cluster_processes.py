"""A cluster of processes, and the option `--dask` of the command line."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from dask_kit import KEY, refs, run_of, states_in, truth_of, until, world

from asyncpoll.dask import connected
from asyncpoll.ledger import Ledger
from asyncpoll.simulator import Uniform


async def test_a_worker_that_is_killed_loses_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its jobs are asked about by another process; the key of the workers is in nothing that the scheduler knows."""
    async with world(monkeypatch, processing=Uniform(0.0, 2.0)) as simulator, connected("local:2") as client:
        monkeypatch.delenv("BIGMODEL_API_KEY")
        async with Ledger(path) as ledger, run_of(refs(400), client, ledger) as run:
            await until(lambda: ledger.counts.outcomes > 20)
            os.kill(next(iter((await client.run(os.getpid)).values())), signal.SIGKILL)
            records = [record async for record in run]
            await client.dump_cluster_state(str(tmp_path / "state"), format="yaml")
        assert len(records) == ledger.counts.entries == 400
        assert ledger.counts.anomalies == 0
        assert states_in(path) == truth_of(simulator, states_in(path))
    state = b"".join(file.read_bytes() for file in tmp_path.glob("state*"))
    assert b"asyncpoll-shard" in state
    assert KEY.encode() not in state
