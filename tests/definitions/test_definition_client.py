"""`Definition`: where it comes from, its endpoints, its client, and which key goes where."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from definition_kit import SMALLEST, answer

from asyncpoll.definitions import Definition, DefinitionError, catalog, find, lint, rehearse, simulate
from asyncpoll.definitions._client import auth_of
from asyncpoll.definitions._document import AuthSpec
from asyncpoll.http import ApiKey, Basic, Bearer, register_auth
from asyncpoll.simulator import Simulator
from asyncpoll.testing import MemoryTransport

SEVERAL = {
    **SMALLEST,
    "endpoints": {"renders": {"value": "url"}, "edits": {"ask": "GET /edits/{id}", "start": "POST /edits/{id}"}},
}

TOML = """
name = "acme.jobs"
base = "https://api.acme.com"
ask = "GET /jobs/{id}"
status = "status"
success = "done"
"""


def test_a_definition_comes_from_a_file(tmp_path: Path) -> None:
    """A file holds TOML or JSON; behind a # one of several endpoints is named."""
    toml, several = tmp_path / "acme.toml", tmp_path / "several.json"
    toml.write_text(TOML, encoding="utf-8")
    several.write_text(json.dumps(SEVERAL), encoding="utf-8")
    definition = Definition.load(toml)
    assert (definition.name, definition.vendor, definition.base) == ("acme.jobs", "acme", "https://api.acme.com")
    assert (definition.env, definition.documents, definition.written) == (None, (), "")
    assert (definition.text, definition.source) == (TOML, str(toml))
    assert list(Definition.load(several).endpoints) == ["acme.renders", "acme.edits"]
    assert list(Definition.load(f"{several}#edits").endpoints) == ["acme.edits"]
    assert list(Definition.load(f"{toml}#jobs").endpoints) == ["acme.jobs"]
    toml.write_bytes(b"\xef\xbb\xbf" + TOML.encode())
    assert Definition.load(toml).text == TOML
    with pytest.raises(ValueError, match=r"several\.json has no endpoint 'x'; choose from acme\.renders, acme\.edits"):
        Definition.load(f"{several}#x")


def test_a_file_must_be_readable_text(tmp_path: Path) -> None:
    """A missing file is an `OSError`, and bytes that are not UTF-8 are an error of the definition."""
    with pytest.raises(FileNotFoundError):
        Definition.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(DefinitionError, match=r"latin\.toml: the file is not UTF-8"):
        Definition.load(tmp_path / "latin.toml")


def test_the_text_makes_the_definition_again() -> None:
    """What a ledger keeps makes the same definition again, also of a mapping, and every endpoint has it."""
    definition = Definition.of({**SEVERAL, "http": {202: "processing"}}, source="mine.py")
    again = Definition.parse(definition.text, source="the ledger")
    assert again.spec == definition.spec
    assert (definition.source, again.source) == ("mine.py", "the ledger")
    assert {one.definition for one in definition.endpoints.values()} == {definition.text}
    assert pickle.loads(pickle.dumps(DefinitionError("x", source="y"))).source == "y"  # noqa: S301  our own bytes


@pytest.mark.parametrize("definition", [Definition.of(SEVERAL).only("edits"), find("openai.batches")], ids=str)
def test_a_definition_can_be_pickled(definition: Definition) -> None:
    """Its endpoints, its text and its source come back, and whether it is one of the catalogue."""
    again = pickle.loads(pickle.dumps(definition))  # noqa: S301  our own bytes
    assert again == definition
    assert list(again.endpoints) == list(definition.endpoints)
    assert (again.text, again.source, again.spec.is_listed) == (
        definition.text,
        definition.source,
        definition.spec.is_listed,
    )


def test_a_transport_has_an_address_of_its_own() -> None:
    """So another one beside it is refused rather than ignored."""
    with pytest.raises(ValueError, match=r"a given transport has an address of its own; pass base_url= to it instead"):
        Definition.parse(TOML).client(transport=MemoryTransport(lambda _: answer({})), base_url="https://a.example")


@pytest.mark.parametrize("weight", [0, -1.0, float("nan"), float("inf"), "9", None])
def test_weights_of_outcomes_are_checked(weight: Any) -> None:
    """Before anything is served."""
    for outcomes in ({}, {"success": weight}):
        with pytest.raises(ValueError, match=r"the weights for acme\.jobs must be numbers, not negative, and at least"):
            simulate(Definition.parse(TOML), outcomes=outcomes)


@pytest.mark.parametrize("function", [lint, simulate, partial(rehearse, durations=[1.0])])
def test_what_is_no_definition_is_refused(function: Any) -> None:
    """Such as its path: the message says how to read it."""
    with pytest.raises(TypeError, match=r"needs a Definition, not str; read one with Definition\.load"):
        function("acme.toml")


async def test_what_a_definition_lacks_is_written_in_it() -> None:
    """A start is a key of the file, and a reference has names."""
    definition = Definition.parse(TOML)
    with pytest.raises(TypeError, match=r"acme\.jobs cannot start jobs; write start = \.\.\."):
        await definition.start(MemoryTransport(lambda _: answer({})))
    async with definition.client("k") as client:
        with pytest.raises(ValueError, match="; write the fields of a reference with their names"):
            client.job("1")
    with pytest.raises(ValueError, match=r"did you mean replicate\.predictions\?$"):
        find("replicate.predictio")


async def test_a_definition_with_one_endpoint_has_jobs() -> None:
    """It makes jobs and starts them; with several endpoints it says which there are."""
    transport = MemoryTransport(lambda _: answer({"status": "done", "url": "u", "id": "2"}))
    several = Definition.of(SEVERAL)
    assert await several.only("renders").job(transport, id="1").result(timeout=5) == "u"
    started = await several.only("acme.edits").start(transport, id="7")
    assert started.key == 'acme.edits:{"id":"7"}'
    with pytest.raises(TypeError, match=r"job: there are several endpoints; choose one of acme\.renders, acme\.edits"):
        several.job(transport, id="1")
    with pytest.raises(TypeError, match="start: there are several"):
        await several.start(transport, id="1")


async def test_a_client_has_the_jobs_of_all_endpoints() -> None:
    """By index, attribute or name; jobs come back from their tokens, and belong to the client of their name."""
    transport = MemoryTransport(lambda _: answer({"status": "done", "url": "u"}))
    definition = Definition.of(SEVERAL)
    async with definition.client(transport=transport, name="team-a") as client:
        job = client["renders"].job(id=1)
        assert job == client.renders.job(id="1") == client.job("acme.renders", id="1", client="team-a")
        assert job.key == 'acme.renders:{"client":"team-a","id":"1"}'
        assert client.job_from_json(job.to_json()) == job
        assert (await client.edits.start(id="9")).key == 'acme.edits:{"client":"team-a","id":"9"}'
        with pytest.raises(ValueError, match="belongs to the client named 'b'"):
            client.job("acme.renders", id="1", client="b")
        with pytest.raises(ValueError, match=r"there is no endpoint 'acme\.x' here; choose from"):
            client.job("acme.x", id="1")
        with pytest.raises(AttributeError, match="no endpoint 'x'"):
            _ = client.x
        with pytest.raises(AttributeError):
            _ = client._x
        with pytest.raises(TypeError, match="several endpoints"):
            client.job(id="1")
    async with definition.only("edits").client(transport=transport) as client:
        assert client.job(id="1").key == 'acme.edits:{"id":"1"}'
        assert (await client.start(id="2")).key == 'acme.edits:{"id":"2"}'


async def test_a_client_asks_over_http() -> None:
    """A client has a transport of its own, with the settings and the key that it was given."""
    async with Simulator() as server, find("bigmodel.agents").client("a-key", base_url=f"{server.url}/api") as client:
        job = await client.start(agent_id="general_translation", messages=[])
        assert (await job.wait(timeout=30)).state.is_terminal
        assert client.requests > 1


@pytest.mark.parametrize(
    ("auth", "key", "kind"),
    [
        (AuthSpec("bearer"), "k", Bearer),
        (AuthSpec("basic"), "user:pass:word", Basic),
        (AuthSpec("header", {"header": "X-Key", "prefix": "Key "}), "k", ApiKey),
        (AuthSpec("query", {"query": "key"}), "k", ApiKey),
        (AuthSpec("none"), None, type(None)),
    ],
)
def test_the_key_is_sent_as_the_definition_says(auth: AuthSpec, key: str | None, kind: type) -> None:
    """There is a credential for each way of sending a key."""
    assert type(auth_of(auth, key)) is kind


def test_a_signature_is_registered_by_name() -> None:
    """A scheme of one's own is made with the key and the options in the definition; an unknown one is refused."""
    made: list[Any] = []

    def signed(key: str, **options: str) -> Bearer:
        made.append((key, options))
        return Bearer(key)

    register_auth("acme-hmac", signed)
    spec = Definition.of({**SMALLEST, "auth": {"scheme": "acme-hmac", "region": "eu"}}).spec
    assert isinstance(auth_of(spec.auth, "k"), Bearer)
    assert made == [("k", {"region": "eu"})]
    spec = Definition.of({**SMALLEST, "auth": {"scheme": "api_key", "header": "X-Key", "prefix": "Key "}}).spec
    assert isinstance(auth_of(spec.auth, "k"), ApiKey)
    with pytest.raises(ValueError, match="no Auth is registered as 'other'"):
        auth_of(AuthSpec("other"), "k")
    register_auth("acme-hmac", lambda key, *, region: Bearer(key + region))
    for options in ({}, {"region": "eu", "service": "s"}):
        with pytest.raises(ValueError, match=r"'acme-hmac' \} has other options: .*argument"):
            auth_of(AuthSpec("acme-hmac", options), "k")


@pytest.mark.parametrize("key", ["no-colon", None, lambda: "u:p"])
def test_an_unusable_key_is_refused(key: Any) -> None:
    """Without a key nothing is sent, and Basic needs a user name and a password."""
    with pytest.raises(ValueError, match=r"the key is missing|with a colon between them"):
        auth_of(AuthSpec("basic"), key)


def test_an_address_is_needed() -> None:
    """A definition without a base needs one from the caller."""
    without = Definition.of({name: value for name, value in SMALLEST.items() if name != "base"})
    with pytest.raises(DefinitionError, match="there is no base address"):
        without.client("k")
    assert without.client("k", base_url="https://api.acme.com")
    with pytest.raises(ValueError, match="base_url is refused"):
        Definition.of(SMALLEST).client("k", base_url="")


# which key goes where


def variable(name: str, base: str | None, /, **options: Any) -> str | None:
    """Return the variable that a client takes its key from, or None if it refuses to read any unasked."""
    keys = {**SMALLEST, "name": name, "base": base, "env": "AWS_SECRET_ACCESS_KEY"}
    definition = Definition.of({name: value for name, value in keys.items() if value is not None})
    try:
        definition.client(**options)
    except DefinitionError as error:
        return None if 'key_env="' in str(error) and "--key-env" in str(error) else str(error)
    except ValueError as error:
        return str(error).split()[3]
    raise AssertionError("a key was found")


@pytest.mark.parametrize(
    ("name", "base", "options", "found"),
    [
        ("acme.jobs", "https://api.acme.com", {}, "ACME_API_KEY"),
        ("acme", "https://acme.co.uk/v1", {}, "ACME_API_KEY"),
        ("acme", "https://acme.io", {}, "ACME_API_KEY"),
        ("acme-labs", "https://x.acme-labs.com", {}, "ACME_LABS_API_KEY"),
        ("acme", "http://127.0.0.1:8000", {}, "ACME_API_KEY"),
        ("acme", "http://localhost:8000", {}, "ACME_API_KEY"),
        ("acme", "https://acme.evil.com", {}, None),
        ("acme", "https://acme.com.evil.com", {}, None),
        ("acme", "https://acme.github.io", {}, None),
        ("acme", "https://acme-evil.com", {}, None),
        ("acme", "https://203.0.113.7", {}, None),
        ("acme", "https://intranet", {}, None),
        ("co", "https://evil.co.uk", {}, None),
        ("acme", None, {}, None),
        ("acme", None, {"base_url": "https://any.example"}, "ACME_API_KEY"),
        ("acme", "https://evil.com", {"base_url": "https://any.example"}, "ACME_API_KEY"),
        ("acme", "https://evil.com", {"key_env": "MY_KEY"}, "MY_KEY"),
        ("acme", "https://acme.com", {"name": "team-a"}, "ACME_API_KEY_TEAM_A"),
        ("acme", "https://acme.com", {"name": "team-a", "key_env": "MY_KEY"}, "MY_KEY"),
        ("openai.mine", "https://api.openai.com/v1", {}, "OPENAI_API_KEY"),
        ("openai.mine", "https://evil.com", {}, None),
        ("openai.mine", "https://openai.evil.com", {}, None),
        ("openai.mine", "https://openai.xyz", {}, None),
        ("openai.mine", "http://127.0.0.1:8000", {}, None),
        ("bigmodel", "https://open.bigmodel.cn/api", {}, "BIGMODEL_API_KEY"),
        ("bigmodel", "https://bigmodel.evil.cn", {}, None),
        ("molizhishu", "https://molizhishu.cn", {}, None),
        ("llama_cloud", "https://llama-cloud.com", {}, None),
        ("llama-cloud", "http://127.0.0.1:8000", {}, None),
        ("llama_cloud", "https://api.cloud.llamaindex.ai", {}, "LLAMA_CLOUD_API_KEY"),
        ("vercel", "https://evil.vercel.app", {}, None),
        ("modal", "https://evil--x.modal.run", {}, None),
        ("modal", "https://api.modal.com", {}, "MODAL_API_KEY"),
        ("or", "https://evil.or.jp", {}, None),
        ("acme", "https://evil.com", {"base_url": ""}, None),
        ("acme", "https://api.xn--acm-dma.com", {}, None),
        ("acme", "https://evil.com:443", {}, None),
    ],
)
def test_a_stranger_does_not_get_the_key(
    monkeypatch: pytest.MonkeyPatch, name: str, base: str | None, options: Any, found: str | None
) -> None:
    """The variable follows from the name, and is read unasked only for a host of that name, whatever `env` says."""
    for one in ("ACME_API_KEY", "ACME_LABS_API_KEY", "OPENAI_API_KEY", "BIGMODEL_API_KEY", "MODAL_API_KEY", "MY_KEY"):
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert variable(name, base, **options) == found


def test_an_entry_of_the_catalogue_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `env` counts; the key is then sent to its own address."""
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "a-token")
    assert find("molizhishu.subtasks").client()
    monkeypatch.delenv("MOLIZHISHU_TOKEN")
    with pytest.raises(ValueError, match="MOLIZHISHU_TOKEN is not set"):
        find("molizhishu.subtasks").client()
    copy = Definition.parse(find("molizhishu.subtasks").text)
    with pytest.raises(ValueError, match="MOLIZHISHU_API_KEY is not set"):
        copy.client()


def test_an_endpoint_without_a_key_needs_none() -> None:
    """With `auth = "none"` no variable is read."""
    assert Definition.of({**SMALLEST, "base": "https://evil.com", "auth": "none"}).client()


def test_the_catalogue_is_found_by_name() -> None:
    """By the name of an endpoint, or of a definition with several; an unknown name has a suggestion."""
    assert list(find("openai.batches").endpoints) == ["openai.batches"]
    assert len(find("openai").endpoints) > 1
    assert catalog()["openai.batches"] is find("openai.batches")
    with pytest.raises(ValueError, match=r"the catalogue has no 'openai\.batchs'; did you mean openai\.batches"):
        find("openai.batchs")
    with pytest.raises(ValueError, match=r"catalog\(\) lists them all"):
        find("0000")
