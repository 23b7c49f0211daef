"""Errors of definitions: they name the source, the line and the key, and say what to write."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from asyncpoll.definitions._document import DefinitionSpec, parse
from asyncpoll.definitions._spots import DefinitionError, Provenance, Spot, decode

SMALLEST = """
name = "acme"
base = "https://api.acme.com"
ask = "GET /jobs/{id}"
status = "status"
success = "done"
failed = "broken"
"""


def parsed(text: str) -> DefinitionSpec:
    """Return the definition that a text holds."""
    return parse(decode(text, "acme.toml"))


def refused(further: str, *, without: str | None = None) -> DefinitionError:
    """Return the error for the smallest definition with further lines, or without a key."""
    lines = [line for line in SMALLEST.splitlines() if without is None or not line.startswith(without)]
    with pytest.raises(DefinitionError) as caught:
        parsed("\n".join([*lines, further]))
    return caught.value


def test_six_lines_are_enough() -> None:
    """The smallest definition has six lines, and its reference the fields of the call."""
    definition = parsed(SMALLEST)
    assert list(definition.endpoints) == ["acme"]
    assert definition.endpoints["acme"].required == ("id",)


@pytest.mark.parametrize(
    ("further", "line", "key", "says"),
    [
        ("sucess = 1", 8, "sucess", "write success"),
        ("zzz = 1", 8, "zzz", "the keys here are ask, cancel"),
        ("pending = 1.5", 8, "pending", "write a text, a whole number"),
        ('timeout = "DONE "', 8, "timeout", "two states"),
        ("cancel = 'DROP /x'", 8, "cancel", 'such as "GET /tasks/{id}"'),
        ("cancel = 'DELETE jobs'", 8, "cancel", "begins with a slash"),
        ("cancel = 'DELETE /../{id}'", 8, "cancel", "without dot segments"),
        ("cancel = 'DELETE /{id'", 8, "cancel", "write slots as {name}"),
        ("cancel = 'DELETE /{a.b}'", 8, "cancel.a.b", "a name of letters"),
        ("[pace]\nfirst = -1", 9, "pace.first", "0 or more"),
        ("[error]\nok = {}", 9, "error.ok", "write { path = value }"),
        ("[error]\nquota = '1'\nplan = '2 1'", 10, "error.plan", "the code '1' stands for quota as well"),
        ("[error]\nwords = [{ words = '(a+)+', kind = 'plan' }]", 9, "error.words[0].words", "write it out"),
        ("when = [{ if = { a = { presnt = true } }, state = 'failed' }]", 8, "when[0].if.a.presnt", "write present"),
        ("when = [{ if = { a = 1 }, state = 'finished' }]", 8, "when[0].state", '"success"'),
        ("when = [{ state = 'failed' }]", 8, "when[0]", "if is missing"),
        ("value = 'a..b'", 8, "value", "is not a path"),
        ("http = { 99 = 'failed' }", 8, "http.99", "an HTTP status such as 404"),
        ("[[example]]\nreply = 1", 8, "example[0]", 'write state = "..."'),
        (
            "[[example]]\nreply = 1\nstate='success'\n[[example]]\nhttp = 9\nstate='failed'",
            12,
            "example[1].http",
            "404",
        ),
        ("start = 'POST /jobs'", 8, "start", "nothing fills id of the reference"),
        ("auth = { headr = 'X-Key' }", 8, "auth", "one of header, query and scheme"),
        ("auth = { header = 'Host: x' }", 8, "auth", "a token of ASCII letters"),
        ("env = 'lower'", 8, "env", "such as ACME_API_KEY"),
        ("ref = { client = 'x' }", 8, "ref.client", 'other than "client"'),
        ("absent = 'done'", 8, "absent", "list it once"),
        ("moved = { id = 'header:location' }\npredicts = 'nothing'", 9, "predicts", "no request has"),
        ("[endpoints]", 8, "endpoints", "write [endpoints.NAME]"),
        ("[endpoints.Big]\nvalue = 'x'", 8, "endpoints.Big", "lower-case letters"),
        ("ask = 'GET /twice'", 8, None, "this is not TOML"),
        ("value = " + "[" * 4000, None, None, "this is not TOML"),
    ],
)
def test_an_error_names_line_and_key(further: str, line: int | None, key: str | None, says: str) -> None:
    """An error has the file, the line and the key, and says what to write instead."""
    error = refused(further)
    assert (error.source, error.line) == ("acme.toml", line)
    assert key is None or error.key == key
    assert says in str(error)
    assert str(error).startswith("acme.toml" if line is None else f"acme.toml:{line}: ")


@pytest.mark.parametrize(
    ("without", "says"),
    [
        ("name", "name is missing"),
        ("ask", "ask is missing"),
        ("status", 'write status = "..."'),
        ("success", None),
        ("base", None),
    ],
)
def test_a_missing_key_is_named(without: str, says: str | None) -> None:
    """Without a name, a call or the place of the words there is no definition; the address can come from a caller."""
    if says is None:
        assert parsed("\n".join(line for line in SMALLEST.splitlines() if not line.startswith(without)))
    else:
        assert says in str(refused("", without=without))


@pytest.mark.parametrize(
    "base",
    ["http://api.acme.com", "https://user@api.acme.com", "https://api.acme.com/?x", "ftp://acme.com", "acme.com"],
)
def test_the_base_is_https(base: str) -> None:
    """The base is https, or http on this machine, and has neither a user name nor a query."""
    error = refused(f"base = '{base}'", without="base")
    assert (error.key, error.line) == ("base", 7)
    assert "insecure" not in str(error)
    assert parsed(SMALLEST.replace("https://api.acme.com", "http://127.0.0.1:8080"))


def test_shared_keys_keep_their_lines() -> None:
    """A key that several endpoints share is named by its own line, and one of an endpoint by that of the endpoint."""
    shared = refused("echo = { id = '' }\n[endpoints.a]\n[endpoints.b]")
    own = refused("[endpoints.a]\n[endpoints.b]\necho = { id = '' }")
    assert (shared.line, shared.key) == (8, "echo.id")
    assert (own.line, own.key) == (10, "endpoints.b.echo.id")


@pytest.mark.parametrize("value", [None, 3, [], "text", {1.5: 2}])
def test_a_mapping_is_needed(value: Any) -> None:
    """What is not a table from texts is refused, with the kind of thing that is wanted."""
    with pytest.raises(DefinitionError, match="the table of a definition"):
        parse(Spot(value, (), Provenance("<mapping>")))


def test_json_serves_as_well() -> None:
    """A definition may be JSON; its errors have the key, and the line where the JSON itself is broken."""
    with pytest.raises(DefinitionError, match=r"^x.json: ask: .* is not a call"):
        parse(decode('{"name": "a", "ask": "x"}', "x.json"))
    with pytest.raises(DefinitionError, match=r"^x.json:2: this is not JSON"):
        parse(decode('{"name": "a",\n "ask"}', "x.json"))
    with pytest.raises(DefinitionError, match="longer than 1 MiB"):
        decode("#" * (1 << 20 | 1), "x.toml")


def test_an_error_survives_pickling() -> None:
    """An error keeps its parts and its message in another process."""
    error = refused("sucess = 1")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.line, copy.key) == (str(error), error.line, error.key)
