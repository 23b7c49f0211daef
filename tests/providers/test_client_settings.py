"""What every client takes besides its key: settings of the transport, a name, status words, integer ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from forward_proxy import forward_proxy
from raw_server import json_reply, polls, raw_server, reply
from server_kit import server_side, trusting

from asyncpoll import Hub, Rejected, State
from asyncpoll.http import Reply, Request, TransportSettings
from asyncpoll.ledger import Ledger
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.providers._client import Client
from asyncpoll.providers.bigmodel import ParsedFile
from asyncpoll.testing import MemoryTransport

CLIENTS: list[type[Client]] = [BigModel, Molizhishu]
KEY = "canary-0123456789"
DONE = {"task_id": "1", "status": "succeeded", "content": "text"}


def _silent() -> MemoryTransport:
    return MemoryTransport(lambda _request: Reply(500))


# settings of the transport


@pytest.mark.parametrize("from_env", [False, True])
async def test_a_client_behind_a_proxy_and_a_private_ca(
    monkeypatch: pytest.MonkeyPatch,
    from_env: bool,  # noqa: FBT001  a parameter of a test
) -> None:
    """The settings are the same for the class and its from_env."""
    async with raw_server(polls(json_reply(DONE)), ssl=server_side()) as server, forward_proxy(f"user:{KEY}") as proxy:
        if from_env:
            monkeypatch.setenv("BIGMODEL_API_KEY", KEY)
            monkeypatch.setenv("BIGMODEL_BASE_URL", server.url)
            client = BigModel.from_env(proxy=proxy.url_with_credential, ssl=trusting())
        else:
            client = BigModel(KEY, base_url=server.url, proxy=proxy.url_with_credential, ssl=trusting())
        async with client:
            result = await client.file_parser.job(task_id=1).result(timeout=20)
    assert result.content == "text"
    assert len(proxy.asked) == 1
    assert KEY not in repr(client) + repr(vars(client)) + repr(client.file_parser)


@pytest.mark.parametrize("cls", CLIENTS)
async def test_from_env_takes_every_setting(cls: type[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a value for each of them here, and each is taken."""
    monkeypatch.setenv(cls.key_variable, KEY)
    async with aiohttp.ClientSession() as session:
        settings = TransportSettings(
            session=session, proxy="http://127.0.0.1:9", trust_env=True, ssl=trusting(), insecure=True, attempt=1.0,
            connect=1.0, read_gap=1.0, max_body=1, connections=1,
        )  # fmt: skip
        assert settings.keys() == TransportSettings.__annotations__.keys()
        async with cls.from_env(**settings) as client:
            assert client.requests == 0


async def test_a_client_takes_the_limits_of_a_transport() -> None:
    """A reply above max_body is refused."""
    async with raw_server(polls(json_reply(DONE))) as server, BigModel(KEY, base_url=server.url, max_body=8) as client:
        with pytest.raises(Exception, match="max_body"):
            await client.file_parser.job(task_id="1").fetch()


@pytest.mark.parametrize("cls", CLIENTS)
async def test_plain_http_inside_a_cluster(cls: type[Client]) -> None:
    """It has to be allowed."""
    with pytest.raises(ValueError, match="insecure=True"):
        cls(KEY, base_url="http://simulator:8765/api")
    async with cls(KEY, base_url="http://simulator:8765/api", insecure=True) as client:
        assert client.requests == 0


@pytest.mark.parametrize("cls", CLIENTS)
def test_an_unknown_setting_is_a_type_error(cls: type[Client]) -> None:
    """The message names the class."""
    unknown: Any = {"proxies": "http://127.0.0.1:1"}
    for transport in (None, _silent()):
        with pytest.raises(TypeError, match=rf"{cls.__name__}\(\) got an unexpected keyword argument 'proxies'"):
            cls(KEY, base_url=cls.default_url, transport=transport, **unknown)


@pytest.mark.parametrize("cls", CLIENTS)
def test_settings_do_not_go_with_a_given_transport(cls: type[Client]) -> None:
    """They would have no effect."""
    with pytest.raises(ValueError, match="pass proxy= to it instead"):
        cls(KEY, base_url=cls.default_url, transport=_silent(), proxy="http://127.0.0.1:1")


async def test_a_download_has_the_way_of_the_client(tmp_path: Path) -> None:
    """The archive comes through the proxy, from an internal storage, without the key."""
    async with raw_server(polls(reply(b"archive"))) as storage, forward_proxy() as proxy:
        result = ParsedFile(parsing_result_url=f"{storage.url}/a.zip")
        async with BigModel(KEY, proxy=proxy.url) as client:
            with pytest.raises(Rejected, match="unless its origin is trusted"):
                await client.file_parser.download(result, tmp_path / "a.zip")
            path = await client.file_parser.download(result, tmp_path / "a.zip", trusted_origins=[storage.url])
    assert path.read_bytes() == b"archive"
    assert proxy.asked == [f"GET {storage.url}/a.zip HTTP/1.1"]
    assert KEY.encode() not in storage.requests[0]


# names


@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize("name", ["", "Team A", "x" * 41, "ä", 7, "a.b"])
def test_a_name_that_cannot_be_used_is_refused(cls: type[Client], name: Any) -> None:
    """It becomes a part of keys and of environment variables."""
    with pytest.raises(ValueError, match="name must be 1 to 40 lower-case letters"):
        cls(KEY, base_url=cls.default_url, name=name)


def test_a_name_is_a_part_of_the_keys() -> None:
    """Two accounts have different jobs with the same id, and a stored job finds its client only."""
    plain, first, second = (BigModel(KEY, transport=_silent(), name=name) for name in (None, "team-a", "team-b"))
    jobs = [client.file_parser.job(task_id="1") for client in (plain, first, second)]
    assert jobs[0].key == 'bigmodel.file_parser:{"format":"text","task_id":"1"}'
    assert jobs[1].key == 'bigmodel.file_parser:{"client":"team-a","format":"text","task_id":"1"}'
    assert len({job.key for job in jobs}) == 3
    assert first.job_from_json(jobs[1].to_json()).key == jobs[1].key
    assert first.job("bigmodel.file_parser", task_id="1").key == jobs[1].key
    assert first.name == "team-a"
    for client, text, owner in [
        (first, jobs[2].to_json(), "the client named 'team-b'"),
        (first, jobs[0].to_json(), "a client without a name"),
        (plain, jobs[1].to_json(), "the client named 'team-a'"),
    ]:
        with pytest.raises(ValueError, match=f"the job belongs to {owner}"):
            client.job_from_json(text)


def test_an_agent_cannot_have_a_field_called_client() -> None:
    """It would be taken for the name."""
    with pytest.raises(ValueError, match="cannot have the field 'client'"):
        BigModel(KEY, transport=_silent()).agents.job(async_id="1", agent_id="2", client="x")


async def test_two_accounts_share_a_ledger(tmp_path: Path) -> None:
    """Each of them is asked about its own job."""

    def account(name: str) -> BigModel:
        answer = {**DONE, "content": name}
        return BigModel(KEY, transport=MemoryTransport(lambda _request: Reply(200, answer)), name=name)

    jobs = [account(name).file_parser.job(task_id="1") for name in ("team-a", "team-b")]
    values: dict[str, Any] = {}
    async with Ledger(tmp_path / "run.db") as ledger, Hub() as hub, hub.run(jobs, ledger=ledger, timeout=20) as run:
        async for record, _ in run:
            values[record.key] = record.value["content"]
    assert values == {jobs[0].key: "team-a", jobs[1].key: "team-b"}


@pytest.mark.parametrize("cls", CLIENTS)
async def test_a_named_client_has_its_own_variables(cls: type[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """They end in its name; without an address of its own it has the one of the provider."""
    with pytest.raises(ValueError, match=f"{cls.key_variable}_TEAM_A is not set"):
        cls.from_env(name="team-a")
    monkeypatch.setenv(f"{cls.key_variable}_TEAM_A", KEY)
    monkeypatch.setenv(cls.url_variable, "http://127.0.0.1:9/other")
    async with cls.from_env(name="team-a") as client:
        assert client.name == "team-a"


# words


async def test_further_words_are_understood() -> None:
    """A word of a sister endpoint ends the wait, with the value."""
    transport = MemoryTransport(lambda _request: Reply(200, {**DONE, "status": "Success"}))
    client = BigModel(KEY, transport=transport, words={"bigmodel.file_parser": {"success": State.SUCCESS}})
    snapshot = await client.file_parser.job(task_id="1").wait(timeout=20)
    assert (snapshot.state, snapshot.unwrap().content) == (State.SUCCESS, "text")
    assert (await BigModel(KEY, transport=transport).file_parser.job(task_id="1").fetch()).state is State.UNKNOWN


async def test_further_words_count_in_group_calls_and_submits() -> None:
    """Many subtasks are asked about at once, and an agent may answer at once."""

    def answer(request: Request) -> Reply:
        if request.path.startswith("/task/"):
            listed = [{"subTaskId": "s", "status": "aborted"}]
            return Reply(200, {"success": True, "data": {"taskId": "t", "status": "pending", "subTaskList": listed}})
        return Reply(200, {"async_id": "a", "status": "finished"})

    words = {"molizhishu.subtasks": {"aborted": State.CANCELLED}}
    job = Molizhishu(KEY, transport=MemoryTransport(answer), words=words).subtasks.job(task_id="t", sub_task_id="s")
    assert (await job.fetch_together([job]))[job].state is State.CANCELLED
    words = {"bigmodel.agents": {"finished": State.SUCCESS}}
    agents = BigModel(KEY, transport=MemoryTransport(answer), words=words).agents
    run = await agents.start(agent_id="g", messages=[])
    assert run.submitted is not None
    assert run.submitted.state is State.SUCCESS


@pytest.mark.parametrize("cls", CLIENTS)
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"acme.jobs": {"done": State.SUCCESS}}, "words: there is no endpoint 'acme.jobs' here"),
        ({"bigmodel.agents": {"a": "over"}, "molizhishu.tasks": {"a": "over"}}, r"no endpoint|not a valid State"),
    ],
)
def test_words_that_cannot_be_used_are_refused(cls: type[Client], words: Any, problem: str) -> None:
    """An endpoint of another provider, and what is not a state."""
    with pytest.raises(ValueError, match=problem):
        cls(KEY, base_url=cls.default_url, words=words)


# ids and further fields


@pytest.mark.parametrize(
    ("cls", "name", "ref"),
    [
        (BigModel, "bigmodel.agents", {"async_id": 4124831, "agent_id": 5}),
        (BigModel, "bigmodel.file_parser", {"task_id": 4124831}),
        (Molizhishu, "molizhishu.tasks", {"task_id": 4124831}),
        (Molizhishu, "molizhishu.task_results", {"task_id": 4124831}),
        (Molizhishu, "molizhishu.subtasks", {"task_id": 4124831, "sub_task_id": -5}),
    ],
)
def test_integer_ids_are_taken_as_text(cls: type[Client], name: str, ref: dict[str, Any]) -> None:
    """Job files made from a database have them."""
    client = cls(KEY, base_url=cls.default_url, transport=_silent())
    written = json.loads(client.job(name, **ref).to_json())["ref"]
    assert {field: written[field] for field in ref} == {field: str(value) for field, value in ref.items()}
    with pytest.raises(ValueError, match="must be text, not bool"):
        client.job(name, **dict.fromkeys(ref, True))


async def test_further_fields_of_a_submit_are_passed_on() -> None:
    """A newer field of the API needs no new release; its name may be spelled as in Python."""
    transport = MemoryTransport(lambda _request: Reply(200, {"success": True, "data": {"taskId": "1"}}))
    tasks = Molizhishu(KEY, transport=transport).tasks
    await tasks.start(prompts=["?"], platforms=["kimi"], callback_headers={"X-A": "1"}, newField=0)
    body = transport.sent[0].json
    assert (body["callbackHeaders"], body["newField"], body["prompts"]) == ({"X-A": "1"}, 0, ["?"])
    with pytest.raises(ValueError, match="the field callbackUrl has an argument of its own"):
        await tasks.start(prompts=["?"], platforms=["kimi"], callbackUrl="https://a.example")
    assert transport.requests == 1
