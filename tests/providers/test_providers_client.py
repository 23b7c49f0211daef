"""What all clients have in common: keys, addresses, closing, and the ways from names and tokens to jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import fields

from asyncpoll import providers
from asyncpoll._errors import ClientClosed
from asyncpoll.http import Reply, Request
from asyncpoll.http._wrappers import Paced, Retrying
from asyncpoll.providers import ENDPOINTS, BigModel, Molizhishu
from asyncpoll.providers._client import Client
from asyncpoll.simulator import ErrorStatus, Fault, Simulator
from asyncpoll.testing import MemoryTransport

CLIENTS: list[type[Client]] = [BigModel, Molizhishu]
KEY = "canary-0123456789"
REFS: dict[str, dict[str, Any]] = {
    "bigmodel.agents": {"async_id": "a/b", "agent_id": "g", "custom_variables": {"x": [1]}},
    "bigmodel.file_parser": {"task_id": "任务", "format": "download_link"},
    "molizhishu.subtasks": {"task_id": "t", "sub_task_id": "s"},
    "molizhishu.task_results": {"task_id": "t"},
    "molizhishu.tasks": {"task_id": "t"},
}


def _client(endpoint: str) -> Client:
    cls: type[Client] = getattr(providers, ENDPOINTS[endpoint].client)
    return cls(KEY, base_url=cls.default_url, transport=MemoryTransport(lambda _request: Reply(200)))


@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize("key", ["", None, " padded", "clé", "a\n", "x" * 10_000])
def test_a_key_that_cannot_be_sent_is_refused(cls: type[Client], key: Any) -> None:
    """A client that could only fail is not made, with its own transport or without; the key is not repeated."""
    for transport in (None, MemoryTransport(lambda _request: Reply(200))):
        with pytest.raises(ValueError, match="key") as refused:
            cls(key, base_url=cls.default_url, transport=transport)
        assert not key or key not in str(refused.value)


@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize(
    "url", ["http://example.com/api", "ftp://example.com", "example.com", "https://u:p@example.com"]
)
def test_an_address_that_would_show_the_key_is_refused(cls: type[Client], url: str) -> None:
    """Plain http is for this machine only, and no address has a user name."""
    with pytest.raises(ValueError, match=r"http|user name"):
        cls(KEY, base_url=url)


@pytest.mark.parametrize("cls", CLIENTS)
async def test_a_client_has_a_transport_of_its_own(cls: type[Client]) -> None:
    """It retries hiccups, keeps the server's pace, and is closed with the client."""
    async with cls(KEY, base_url=cls.default_url) as client:
        assert isinstance(client.transport, Retrying)
        assert isinstance(client.transport.inner, Paced)
        assert KEY not in repr(client) + repr(client.transport) + repr(vars(client))
    name, ref = next((name, ref) for name, ref in REFS.items() if name.startswith(client.provider))
    with pytest.raises(ClientClosed):
        await client.job(name, **ref).fetch()


class _Closable(MemoryTransport):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("cls", CLIENTS)
async def test_a_transport_that_was_given_stays_open(cls: type[Client]) -> None:
    """Whoever opened it closes it."""
    transport = _Closable(lambda _request: Reply(200))
    async with cls(KEY, base_url=cls.default_url, transport=transport) as client:
        assert client.transport is transport
    assert not transport.closed


@pytest.mark.parametrize("cls", CLIENTS)
async def test_a_client_counts_what_its_own_transport_really_sends(cls: type[Client]) -> None:
    """A request that was repeated counts twice."""
    name, ref = next((name, ref) for name, ref in REFS.items() if name.startswith(cls.provider))
    async with Simulator(faults=[Fault(ErrorStatus(503), nth=1)]) as sim:
        async with cls(KEY, base_url=sim.url + urlsplit(cls.default_url).path) as client:
            assert client.requests == 0
            await client.job(name, **ref).fetch()
            assert client.requests == 2
        assert (client.requests, sim.requests) == (2, 2)


class _Uncounted:
    async def send(self, request: Request, /) -> Reply:
        return Reply(200, {"echo": request.path})


@pytest.mark.parametrize("cls", CLIENTS)
async def test_over_a_given_transport_the_count_is_the_transports(cls: type[Client]) -> None:
    """The client says what the transport says, and 0 when that does not count."""
    request = Request("GET", "/")
    for transport, count in ((MemoryTransport(lambda _request: Reply(200)), 1), (_Uncounted(), 0)):
        await transport.send(request)
        assert cls(KEY, base_url=cls.default_url, transport=transport).requests == count


@pytest.mark.parametrize("cls", CLIENTS)
async def test_key_and_address_come_from_the_environment(cls: type[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client has two variables; the one for the address may be missing or empty."""
    monkeypatch.delenv(cls.url_variable, raising=False)
    for value in (None, ""):
        monkeypatch.delenv(cls.key_variable, raising=False)
        if value is not None:
            monkeypatch.setenv(cls.key_variable, value)
        with pytest.raises(ValueError, match=f"{cls.key_variable} is not set"):
            cls.from_env()
    monkeypatch.setenv(cls.key_variable, KEY)
    for url in (None, "", "http://127.0.0.1:9/api"):
        if url is not None:
            monkeypatch.setenv(cls.url_variable, url)
        async with cls.from_env() as client:
            assert isinstance(client, cls)
    monkeypatch.setenv(cls.url_variable, "http://example.com")
    with pytest.raises(ValueError, match="http"):
        cls.from_env()


def test_the_variables_and_addresses_are_those_of_the_vendors() -> None:
    """The names that a shell has to set, and where requests go by default."""
    assert {(cls.key_variable, cls.url_variable, cls.default_url) for cls in CLIENTS} == {
        ("BIGMODEL_API_KEY", "BIGMODEL_BASE_URL", "https://open.bigmodel.cn/api"),
        ("MOLIZHISHU_TOKEN", "MOLIZHISHU_BASE_URL", "https://business-api.molizhishu.com/api/business/monitor"),
    }


def test_each_endpoint_is_listed_with_its_reference_fields() -> None:
    """The table names every field of a reference, and tells which must be there."""
    assert set(ENDPOINTS) == set(REFS)
    for name, listing in ENDPOINTS.items():
        assert listing.description
        named = {*listing.required, *listing.optional} | ({"extra"} if listing.open else set())
        assert named == {field.name for field in fields(type(_client(name).job(name, **REFS[name]).ref))}


@pytest.mark.parametrize("name", REFS)
def test_a_reference_takes_no_more_memory_than_its_fields(name: str) -> None:
    """A run may hold a million references, so they have neither a dictionary nor a slot for weak references."""
    ref = _client(name).job(name, **REFS[name]).ref
    assert not hasattr(ref, "__dict__")
    assert not hasattr(ref, "__weakref__")


@pytest.mark.parametrize("name", REFS)
def test_a_job_survives_as_text(name: str) -> None:
    """A job that was written down is the same job in another process, and the text holds no secret."""
    client = _client(name)
    job = client.job(name, **REFS[name])
    text = job.to_json()
    again = _client(name).job_from_json(text)
    assert (again.key, again.ref, again.endpoint) == (job.key, job.ref, job.endpoint)
    assert json.loads(text) == {"version": 1, "endpoint": name, "ref": REFS[name]}
    assert KEY not in text


@pytest.mark.parametrize("name", REFS)
def test_a_reference_that_does_not_fit_is_refused(name: str) -> None:
    """A field too few or too many is named; so is one that is no id."""
    client, listing = _client(name), ENDPOINTS[name]
    with pytest.raises(ValueError, match=f"it lacks {listing.required[-1]}$"):
        client.job(name, **dict.fromkeys(listing.required[:-1], "x"))
    with pytest.raises(ValueError, match="must not be empty"):
        client.job(name, **dict.fromkeys(listing.required, ""))
    if not listing.open:
        with pytest.raises(ValueError, match="a reference has no 'colour'"):
            client.job(name, **REFS[name], colour="red")


@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize(
    "name", ["", "agents", "bigmodel", "bigmodel.", "bigmodel.job", "molizhishu.transport", "x" * 99]
)
def test_an_unknown_endpoint_is_refused(cls: type[Client], name: str) -> None:
    """The message lists what there is; an attribute that is no door is no endpoint."""
    client = cls(KEY, base_url=cls.default_url)
    with pytest.raises(ValueError, match=f"choose from {cls.provider}"):
        client.job(name, task_id="t")


def test_a_job_of_another_provider_is_refused() -> None:
    """A token goes to the client whose endpoint it names."""
    text = _client("molizhishu.tasks").job("molizhishu.tasks", task_id="t").to_json()
    with pytest.raises(ValueError, match=r"no endpoint 'molizhishu\.tasks' here"):
        _client("bigmodel.agents").job_from_json(text)


def _token(**changes: Any) -> str:
    return json.dumps({"version": 1, "endpoint": "molizhishu.tasks", "ref": {"task_id": "t"}, **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        (None, "it is not JSON"),
        ("[]", "version, endpoint and ref are expected"),
        ("{}", "version, endpoint and ref are expected"),
        (_token(more=1), "version, endpoint and ref are expected"),
        (_token(version="1"), "version, endpoint and ref are expected"),
        (_token(endpoint=None), "version, endpoint and ref are expected"),
        (_token(ref=["t"]), "version, endpoint and ref are expected"),
        (_token(version=2), "version 2; this one reads version 1"),
        (_token(endpoint="molizhishu.jobs"), "no endpoint 'molizhishu.jobs' here"),
        (_token(ref={}), "it lacks task_id"),
        (_token(ref={"task_id": "t", "more": 1}), "a reference has no 'more'"),
        (_token(ref={"task_id": 7.5}), "task_id must be text, not float"),
        (_token(ref={"task_id": ".."}), "task_id must not"),
    ],
)
def test_a_text_that_is_no_job_is_refused(text: Any, message: str) -> None:
    """Whatever is not known is a ValueError that says what."""
    with pytest.raises(ValueError, match=message):
        _client("molizhishu.tasks").job_from_json(text)


def test_the_table_is_cheap_and_the_clients_are_lent() -> None:
    """Looking at the table imports no client, and no HTTP library either; an unknown name is an AttributeError."""
    code = (
        "import sys, asyncpoll.providers as p\n"
        "print(len(p.ENDPOINTS), *(name in sys.modules for name in ('asyncpoll.providers._client', 'aiohttp')))\n"
        "print(p.BigModel.__name__, p.Molizhishu.__name__, 'aiohttp' in sys.modules, 'cattrs' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["5", "False", "False", "BigModel", "Molizhishu", "False", "False"]
    with pytest.raises(AttributeError, match="OpenAI"):
        _ = providers.OpenAI
