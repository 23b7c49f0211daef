"""Endpoints that are not built in, on a cluster: definitions go along as text, and code is imported by the workers."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from ssl import create_default_context
from typing import Any

import pytest

pytest.importorskip("distributed")

from acme_kit import ACME, forget_modules, write_acme
from dask_kit import cluster, ended, run_of

from asyncpoll.clients import Clients
from asyncpoll.definitions import Definition, simulate
from asyncpoll.ledger import Ledger
from asyncpoll.simulator import Constant

IDS = [("acme.renders", {"id": str(number)}) for number in range(3)]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The current directory has the module and the definition of the API."""
    write_acme(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("OWN_KEY", "own-key")
    forget_modules()
    yield
    forget_modules()


def gone() -> None:
    """Remove the module, which this process has imported."""
    Path("acme_apis.py").unlink()
    forget_modules()


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """The address of the API, which takes one key only; its jobs succeed at once."""
    options: dict[str, Any] = {"pending": Constant(0), "processing": Constant(0), "outcomes": {"success": 1.0}}
    async with simulate(Definition.parse(ACME), key="own-key", **options) as server:
        yield server.base_url


@pytest.mark.parametrize("spec", ["acme.toml", "acme_apis:renders"])
async def test_endpoints_of_ones_own_are_polled(spec: str, path: Path, address: str) -> None:
    """Workers know them by their names; the address and the name of the key's variable go along, the key does not."""
    clients = Clients(spec, base_url=address, key_env="OWN_KEY")
    assert "own-key" not in clients.to_json()
    async with cluster() as client:
        records = await ended(path, IDS, client, clients=clients)
    assert sorted(record.key for record in records) == sorted(clients.key(*job) for job in IDS)
    assert {record.state for record in records} == {"success"}


async def test_the_definition_of_a_job_goes_along(path: Path, address: str) -> None:
    """It is kept in the ledger, so that another process can go on."""
    clients = Clients(base_url=address, key_env="OWN_KEY")
    async with cluster() as client, Ledger(path) as ledger, Definition.parse(ACME).client("own-key") as acme:
        jobs = [acme["acme.renders"].job(id="1")]
        async with run_of(jobs, client, ledger, clients=clients) as run:
            records = [record async for record in run]
        assert await ledger.definitions() == {"acme.renders": ACME}
    assert [record.key for record in records] == [jobs[0].key]


async def test_code_that_a_worker_cannot_import_is_named(path: Path, address: str) -> None:
    """The client has the module, and the worker does not."""
    clients = Clients("acme_apis:renders", base_url=address, key_env="OWN_KEY")
    gone()
    async with cluster() as client:
        with pytest.raises(ValueError, match=r"the worker tcp://\S+: acme_apis:renders cannot be imported"):
            await ended(path, IDS, client, clients=clients)


async def test_a_job_whose_endpoint_is_not_known_is_refused(path: Path, address: str) -> None:
    """Workers could not make it; the client says so before it sends anything."""
    async with Clients("acme_apis:renders", base_url=address, key_env="OWN_KEY") as clients, cluster() as client:
        with pytest.raises(ValueError, match=r"no endpoint 'acme\.renders'"):
            await ended(path, [clients.job("acme.renders", {"id": "1"})], client)


@pytest.mark.parametrize(
    "setting", [{"proxy": "http://user:secret@proxy.example:3128"}, {"ssl": create_default_context()}]
)
async def test_secrets_of_the_way_there_are_not_sent(path: Path, setting: Any) -> None:
    """A proxy may have a password; what workers need is in their own environment."""
    client: Any = None
    async with Ledger(path) as ledger:
        with pytest.raises(ValueError, match="set HTTPS_PROXY or SSL_CERT_FILE") as caught:
            run_of([], client, ledger, clients=Clients(**setting))
        assert "secret" not in str(caught.value)
        run = run_of([], client, ledger, clients=Clients(insecure=True, max_body=1000))
        assert run._settings.transport == {"trust_env": True, "insecure": True, "max_body": 1000}
