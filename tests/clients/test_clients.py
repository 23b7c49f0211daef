"""`Clients`: jobs by the names of endpoints, what is refused, and the end of their requests."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from acme_kit import ACME, forget_modules, write_acme

from asyncpoll import ClientClosed, Fixed, State
from asyncpoll.clients import Clients
from asyncpoll.clients._clients import DrainableTransport
from asyncpoll.definitions import Definition, simulate
from asyncpoll.http import Reply, Request
from asyncpoll.simulator import Constant
from asyncpoll.testing import MemoryTransport

SERVER: dict[str, Any] = {"pending": Constant(0), "processing": Constant(0), "outcomes": {"success": 1.0}}
ID = {"id": "1"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The current directory has the module and the definition of the API."""
    write_acme(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    forget_modules()
    yield
    forget_modules()


# jobs


@pytest.mark.parametrize("spec", ["acme.toml", "acme_apis:renders", "acme_apis:defined"])
async def test_jobs_of_an_endpoint_are_waited_for(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it was called, and by its name; the key is in the environment."""
    monkeypatch.setenv("OWN_KEY", "own-key")
    async with (
        simulate(Definition.parse(ACME), key="own-key", **SERVER) as server,
        Clients(spec, base_url=server.base_url, key_env="OWN_KEY") as clients,
    ):
        for name in (spec, "acme.renders"):
            seen = await clients.job(name, ID).wait(timeout=20, schedule=Fixed(0.02))
            assert seen.state is State.SUCCESS
        start = clients.starter("acme.renders")
        assert start is not None
        assert (await start(scene="sea")).endpoint.name == "acme.renders"


async def test_a_key_file_is_a_path(tmp_path: Path) -> None:
    """It holds the key, and white space at most."""
    (tmp_path / "key").write_text("own-key\n")
    (tmp_path / "empty").write_text("\n")
    async with (
        simulate(Definition.parse(ACME), key="own-key", **SERVER) as server,
        Clients("acme.toml", base_url=server.base_url, key_file=tmp_path / "key") as clients,
    ):
        assert (await clients.job("acme.renders", ID).fetch()).state is State.SUCCESS
    with pytest.raises(ValueError, match=r"empty is empty; it must hold the key"):
        Clients("acme.toml", key_file="empty").job("acme.renders", ID)


async def test_jobs_of_one_account_share_a_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """So they share a lane; an account with a name has a key and a client of its own."""
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "any")
    monkeypatch.setenv("MOLIZHISHU_TOKEN_TEAM_A", "another")
    async with Clients() as clients:
        one = clients.job("molizhishu.tasks", {"task_id": "1"})
        two = clients.job("molizhishu.subtasks", {"task_id": "1", "sub_task_id": "2"})
        assert one.transport is two.transport
        other = clients.job("molizhishu.tasks", {"task_id": "1", "client": "team-a"})
        assert other.transport is not one.transport
        assert clients.open("molizhishu.tasks", "team-a") is not clients.open("molizhishu.tasks")


async def test_settings_reach_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of the user's own, too, with which the environment does not name a proxy."""
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "any")
    monkeypatch.setenv("MOLIZHISHU_BASE_URL", "http://127.0.0.1:9")
    async with aiohttp.ClientSession() as session, Clients(session=session) as clients:
        assert clients.open("molizhishu.tasks").requests == 0
        assert not session.closed


async def test_closed_clients_send_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of before is refused; closing twice is as good as once."""
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "any")
    clients = Clients()
    job = clients.job("molizhishu.tasks", {"task_id": "1"})
    await clients.aclose()
    await clients.aclose()
    with pytest.raises(ClientClosed):
        await job.fetch()


# what is refused


@pytest.mark.parametrize(
    ("endpoint", "ref", "said"),
    [
        ("bigmodel.dance", {}, r"no endpoint 'bigmodel\.dance'; choose one of bigmodel\.agents, .*Clients\('\./acme"),
        ("openai.batch", {}, r"did you mean openai\.batches\?"),
        ("sk-12345678901234567890", {}, r"no endpoint '\*\*\*'"),
        ("acme_apis:renders", {}, r"'acme_apis:renders' is code; name it first: Clients\('acme_apis:renders'\)"),
        ("molizhishu.tasks", "1", r"molizhishu\.tasks: a reference is an object with task_id"),
        ("molizhishu.tasks", {}, r"a reference needs task_id; it lacks task_id"),
        ("molizhishu.tasks", {"task-id": "1"}, r"has no field 'task-id'; did you mean task_id\?"),
        ("molizhishu.tasks", {"task_id": "1", "client": "Team A"}, r"name must be 1 to 40 lower-case letters"),
        ("acme.renders", None, r"acme\.renders: a reference is an object with id"),
        ("acme.renders", {"id": "a", "client": "team"}, r"endpoints in Python have one client; leave 'client' out"),
        ("acme.numbered", {"id": "7"}, r"acme\.numbered: KeyError: 'number'"),
        ("acme.gone", {}, r"acme_apis:gone cannot be imported: AttributeError"),
        ("acme.other", {}, r"acme_apis:renders is the endpoint acme\.renders, not acme\.other; correct its name"),
        ("./none.json", {}, r"No such file"),
    ],
)
@pytest.mark.parametrize("wanted", ["job", "key"])
def test_what_cannot_be_a_job_is_refused(wanted: str, endpoint: str, ref: Any, said: str) -> None:
    """With the same words for a job and for its key, whichever kind of endpoint it is."""
    code = {"acme.gone": "acme_apis:gone", "acme.other": "acme_apis:renders"}
    clients = Clients("acme_apis:renders", "acme_apis:numbered", code=code, base_url="https://a.example")
    if endpoint.startswith(("molizhishu", "acme_apis")):
        clients = Clients()
    with pytest.raises((ValueError, OSError), match=said):
        getattr(clients, wanted)(endpoint, ref)


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, and the cure; an endpoint in Python has no address either."""
    monkeypatch.delenv("MOLIZHISHU_TOKEN", raising=False)
    with pytest.raises(ValueError, match=r"MOLIZHISHU_TOKEN is not set; set it to your key, or pass key_file=FILE"):
        Clients().open("molizhishu.tasks")
    with pytest.raises(ValueError, match=r"has no address; pass base_url=URL, and if it needs a key key_env=NAME or"):
        Clients("acme_apis:renders").open("acme.renders")


def test_an_option_is_for_one_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address, and a key, are not given to a second one; code that makes its own client has none of them."""
    monkeypatch.setenv("OWN_KEY", "own-key")
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "any")
    monkeypatch.setenv("ACME_URL", "https://a.example")
    clients = Clients(base_url="https://a.example")
    clients.open("molizhishu.tasks")
    with pytest.raises(ValueError, match=r"base_url= is the address of one provider, and the jobs need two; set MOL"):
        clients.open("bigmodel.agents")
    clients = Clients(key_env="OWN_KEY")
    clients.open("molizhishu.tasks")
    with pytest.raises(ValueError, match=r"key_env= holds one key, and the jobs need two; set MOLIZHISHU_TOKEN and"):
        clients.open("molizhishu.tasks", "team-a")
    with pytest.raises(ValueError, match=r"makes its own client, which no option changes; leave out base_url=, key_"):
        Clients("acme_apis:Acme", key_env="OWN_KEY").job("acme.renders", {"number": "1"})


odd: Any = 7


@pytest.mark.parametrize(
    ("names", "options", "kind", "said"),
    [
        ((odd,), {}, TypeError, r'an endpoint must be text, such as "module:attribute", not 7'),
        (("acme_apis:nothing",), {}, ValueError, r"acme_apis:nothing is not an Endpoint, a Definition, or"),
        (("no_such_module:renders",), {}, ValueError, r"no_such_module:renders cannot be imported"),
        (("none.toml",), {}, FileNotFoundError, r"none\.toml"),
        ((), {"definitions": ["a"]}, TypeError, r"Clients\(\): definitions must be a mapping of texts by the names"),
        ((), {"code": {"acme.renders": odd}}, TypeError, r"Clients\(\): code must be a mapping of texts by the names"),
        ((), {"colour": "red"}, TypeError, r"Clients\(\) got an unexpected keyword argument 'colour'"),
        ((), {"key_env": "A", "key_file": "b"}, ValueError, r"key_env= or key_file=, not both; leave one out"),
        ((), {"base_url": "localhost:80"}, ValueError, r"base_url= has no scheme; write it as https://HOST"),
        ((), {"base_url": "https://user:word@a.example"}, ValueError, r"base_url is refused: it holds a user name"),
    ],
)
def test_unusable_arguments_are_refused(names: Any, options: Any, kind: type[Exception], said: str) -> None:
    """At once, with the cure."""
    with pytest.raises(kind, match=said):
        Clients(*names, **options)


def test_two_definitions_of_an_endpoint_must_be_equal() -> None:
    """Else it would not be certain what a job is asked and how it is read."""
    other = ACME.replace('"done"', '"ready"')
    Path("other.toml").write_text(other)
    for names, definitions in ((("acme.toml", "other.toml"), {}), (("acme.toml",), {"acme.renders": other})):
        with pytest.raises(ValueError, match=r"two definitions of acme\.renders, which differ; leave one out"):
            Clients(*names, definitions=definitions)
    Clients("acme.toml", "acme_apis:defined", definitions={"acme.renders": ACME})
    with pytest.raises(ValueError, match=r"the definition of acme\.films has no endpoint 'acme\.films'; choose from"):
        Clients(definitions={"acme.films": ACME}).key("acme.films", ID)


# plain data


def test_equal_clients_are_made_of_plain_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was named, given and found; neither a key nor a password is among it."""
    monkeypatch.setenv("ACME_API_KEY", "canary-key")
    own = Clients("acme.toml", "acme_apis:numbered", key_env="ACME_API_KEY", proxy="http://u:canary-word@127.0.0.1:9")
    own.job("acme.renders", ID)
    assert own.key("openai.batches", ID)
    text = own.to_json()
    assert "canary" not in text
    again = Clients.from_json(text, proxy=None)
    Path("acme.toml").write_text(ACME.replace("acme.renders", "acme.others"))
    forget_modules()
    for endpoint, ref in (("acme.renders", ID), ("acme.numbered", {"number": "7"}), ("openai.batches", ID)):
        assert again.key(endpoint, ref) == own.key(endpoint, ref)
    said = json.loads(again.to_json())
    assert (said, said["key_env"]) == (json.loads(text), "ACME_API_KEY")


def test_a_key_file_is_named_by_its_whole_path(tmp_path: Path) -> None:
    """Another process may have another current directory."""
    text = Clients(key_file="key").to_json()
    assert json.loads(text)["key_file"] == str(tmp_path / "key")
    assert Clients.from_json(text).to_json() == text


def test_clients_cannot_be_pickled() -> None:
    """They could hold a password; the message names what can be sent."""
    with pytest.raises(TypeError, match=r"send their to_json\(\), and make others with Clients\.from_json\(\)"):
        pickle.dumps(Clients())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "they are not JSON"),
        (odd, "they are not JSON"),
        ("[]", "version, definitions, code, base_url, key_env, key_file are expected"),
        (Clients().to_json().replace('"code": {}', '"code": {"a": 7}'), "version, definitions, code, base_url"),
        (Clients().to_json().replace('"base_url": null', '"base_url": 7'), "version, definitions, code, base_url"),
        (Clients().to_json().replace('"version": 1', '"version": 2'), "in version 2; this one reads version 1"),
    ],
)
def test_other_text_makes_no_clients(text: str, said: str) -> None:
    """The message does not repeat it."""
    with pytest.raises(ValueError, match=said):
        Clients.from_json(text)


# draining


class Slow:
    """A transport that answers when it is told to, and counts."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.requests = 0

    async def send(self, request: Request, /) -> Reply:
        """Answer in a while."""
        self.requests += 1
        await self.go.wait()
        return Reply(200)


async def test_a_drained_transport_lets_nothing_more_through() -> None:
    """A transport that is drained lets requests under way come to their ends, and nothing more through."""
    slow = Slow()
    transport = DrainableTransport(slow)
    under_way = asyncio.create_task(transport.send(Request("GET", "/a")))
    await asyncio.sleep(0)
    draining = asyncio.create_task(transport.drain())
    await asyncio.sleep(0)
    late = asyncio.create_task(transport.send(Request("GET", "/b")))
    await asyncio.sleep(0)
    assert not draining.done()
    slow.go.set()
    await draining
    assert (await under_way).status == 200
    assert (late.done(), transport.requests) == (False, 1)
    await transport.drain()  # at once
    late.cancel()
    await asyncio.wait({late})


async def test_an_open_transport_lets_everything_through() -> None:
    """A transport that is not drained lets everything through, and counts where the transport does."""
    transport = DrainableTransport(MemoryTransport(lambda request: Reply(204)))
    assert (await transport.send(Request("GET", "/"))).status == 204
    assert isinstance(transport.requests, int)


async def test_drained_clients_send_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll after that waits for ever; it can be cancelled."""
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "any")
    monkeypatch.setenv("BIGMODEL_API_KEY", "any")
    async with Clients() as clients:
        jobs = [clients.job("molizhishu.tasks", {"task_id": "1"})]
        await clients.drain()
        jobs.append(clients.job("bigmodel.file_parser", {"task_id": "1"}))  # its client opens only now
        for job in jobs:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await job.fetch()
            assert job.transport.requests == 0  # type: ignore[attr-defined]  # of this transport
