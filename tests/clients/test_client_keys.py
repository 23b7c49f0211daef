"""`Clients.key`: the key of a job of every kind of endpoint, without a credential."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acme_kit import ACME, forget_modules, write_acme
from server_kit import PATIENCE

from asyncpoll.clients import Clients
from asyncpoll.definitions import catalog
from asyncpoll.http import Reply
from asyncpoll.providers import ENDPOINTS
from asyncpoll.testing import MemoryTransport

BUILT_IN: dict[str, dict[str, Any]] = {
    name: dict.fromkeys(listing.required, "a-1") | ({"async_id": "1"} if "async_id" in listing.optional else {})
    for name, listing in ENDPOINTS.items()
}
OWN: list[tuple[str, str, Any]] = [
    ("./acme.toml", "acme.renders", {"id": "1"}),
    ("acme_apis:renders", "acme.renders", {"id": "r-1"}),
    ("acme_apis:renders", "acme.renders", "r-1"),
    ("acme_apis:numbered", "acme.numbered", {"number": 7, "further": [1.5, None]}),
    ("acme_apis:defined", "acme.renders", {"id": "é"}),
    ("acme_apis:several#films", "acme.films", {"id": "1"}),
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The current directory has the module and the definition of the API."""
    write_acme(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    forget_modules()
    yield
    forget_modules()


async def compared(clients: Clients, endpoint: str, ref: Any, *names: str) -> str:
    """Return the key of a job from clients that have no credential, after comparing it with that of the job."""
    async with clients:
        key = clients.job(endpoint, ref).key
    keyless = Clients(*names)
    with pytest.raises(ValueError, match=r"is not set|has no address|is not sent to"):
        keyless.job(endpoint, ref)
    assert keyless.key(endpoint, ref) == key
    return key


@pytest.mark.parametrize("account", [{}, {"client": "team-a"}], ids=["usual", "named"])
@pytest.mark.parametrize("endpoint", [*BUILT_IN, "openai.batches", "google.operations"])
async def test_keys_of_endpoints_with_a_name(
    endpoint: str, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of an account is a part of them."""
    monkeypatch.setenv("ANY_KEY", "any")
    ref = BUILT_IN.get(endpoint) or dict.fromkeys(catalog()[endpoint].spec.endpoints[endpoint].required, "a-1")
    clients = Clients(key_env="ANY_KEY", base_url="https://a.example")
    key = await compared(clients, endpoint, {**ref, **account})
    assert ('"client":"team-a"' in key) == bool(account)


def test_keys_of_the_whole_catalogue() -> None:
    """Whatever the fields of a reference are called, and however the API takes its key."""
    clients, transport = Clients(), MemoryTransport(lambda request: Reply(204))
    for endpoint, definition in catalog().items():
        if endpoint not in ENDPOINTS:
            ref = dict.fromkeys(definition.spec.endpoints[endpoint].required, "a-1")
            assert clients.key(endpoint, ref) == definition.job(transport, **ref).key


@pytest.mark.parametrize(("spec", "endpoint", "ref"), OWN)
async def test_keys_of_endpoints_of_ones_own(
    spec: str, endpoint: str, ref: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file, or in code; with a key of one's own."""
    monkeypatch.setenv("ANY_KEY", "any")
    await compared(Clients(spec, key_env="ANY_KEY", base_url="https://a.example"), endpoint, ref, spec)


async def test_keys_of_code_that_makes_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called, since only it knows its endpoint, and reads what it likes."""
    monkeypatch.setenv("ACME_URL", "https://a.example")
    async with Clients("acme_apis:Acme") as clients:
        ref = {"number": "1"}
        assert clients.key("acme.renders", "1") == clients.key("acme.renders", ref)  # a ledger has the first
        assert clients.key("acme.renders", ref) == clients.job("acme.renders", ref).key == 'acme.renders:"1"'
        with pytest.raises(ValueError, match="makes its own client"):
            clients.key("acme.renders", {**ref, "client": "team-a"})


def test_another_process_makes_the_same_keys() -> None:
    """Of plain data, without the file, and without a key in its environment."""
    own = Clients("./acme.toml", "acme_apis:numbered")
    wanted = [
        ("acme.renders", {"id": "1"}),
        ("acme.numbered", {"number": 7}),
        ("bigmodel.agents", {"async_id": "1", "agent_id": "a"}),
    ]
    keys = [own.key(*each) for each in wanted]
    Path("acme.toml").write_text(ACME.replace("acme.renders", "acme.others"))
    script = (
        "import json, sys; from asyncpoll.clients import Clients\n"
        "text, wanted = json.load(sys.stdin); made = Clients.from_json(text)\n"
        "print(json.dumps([made.key(*each) for each in wanted]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([own.to_json(), wanted]),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert json.loads(done.stdout) == keys
