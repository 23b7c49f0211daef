"""What type checkers make of runs on a cluster."""

from __future__ import annotations

from typing import assert_type

from distributed import Client

from asyncpoll.clients import Clients
from asyncpoll.dask import DistributedRun, connected, distributed_run
from asyncpoll.ledger import Ledger, Record


async def run(ledger: Ledger) -> list[Record]:
    """Return the records of a run."""
    pairs = [("bigmodel.file_parser", {"task_id": "1"})]
    async with connected("local:4") as client:
        assert_type(client, Client)
        clients = Clients("acme.toml")
        made = distributed_run(pairs, client, ledger=ledger, timeout=60, rate=10.0, clients=clients, max_misses=3)
        assert_type(made, DistributedRun)
        async with made as records:
            assert_type(records.done, int)
            return [assert_type(record, Record) async for record in records]
