"""Errors of definitions: they name the source, the line and the key, and say what to write."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from definition_kit import endpoint

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
        ("partial = 'half'\nneeds_action = ['ask', ' Half']", 9, "needs_action", "two states"),
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
        ("auth = { header = 'X-Key', query = 'key' }", 8, "auth", "one of header, query and scheme"),
        ("auth = { query = 'key', prefix = 'x' }", 8, "auth.prefix", "the keys here are query"),
        ("auth = { header = 'X-Key', prefix = 1 }", 8, "auth.prefix", "write a text"),
        ("auth = { scheme = 'sigv4', region = [] }", 8, "auth.region", "a text, a number"),
        ("auth = 'magic'", 8, "auth", 'write "bearer" or "basic" or "none"'),
        ("ask2 = 1", 8, "ask2", "write ask"),
        ("cancel = { call = 'POST /x', json = 1, form = { a = 'b' } }", 8, "cancel", "json or form, not both"),
        ("cancel = { call = 'POST /x', json = 2026-11-26 }", 8, "cancel.json", "is not JSON"),
        ("cancel = { call = 'POST /x', json = { n = inf } }", 8, "cancel.json", "is not JSON"),
        ("cancel = { call = 'POST /x', headers = { Host = 'x' } }", 8, "cancel.headers.Host", "leave it out"),
        ("cancel = { call = 'POST /x', headers = { Cookie = 'x' } }", 8, "cancel.headers.Cookie", "leave it out"),
        ("cancel = 'POST /x?'", 8, "cancel", "write ?name=value"),
        ("cancel = 'POST {+id}?a=1'", 8, "cancel", "write ?name=value"),
        ("cancel = 7", 8, "cancel", "a call such as"),
        ("start = 'POST {+id}'", 8, "start", 'such as "POST /tasks"'),
        ("start = { call = 'POST /{a.b}', ref = { id = 'id' } }", 8, "start.a.b", "a name of letters"),
        ("then = 'GET /{a..b}'", 8, "then.a..b", "is not a path"),
        ("when = [{ if = { a = {} }, state = 'failed' }]", 8, "when[0].if.a", "an empty table"),
        ("when = [{ if = { a = [[]] }, state = 'failed' }]", 8, "when[0].if.a[0]", "a text, a number"),
        ("when = [{ if = { a = { above = true } }, state = 'failed' }]", 8, "when[0].if.a.above", "write a number"),
        ("progress = { at = 'p', of = 0 }", 8, "progress.of", "above 0"),
        ("group = { ask = 'GET /x', each = 'a', id = { id = 'b' }, size = 1.5 }", 8, "group.size", "a whole number"),
        ("group = { each = 'a', id = { id = 'b' } }", 8, "group", "ask is missing"),
        ("pace.first = 0x" + "f" * 9000, 8, "pace.first", "at most 19 digits"),
        ("absent = [1, 0x" + "f" * 9000 + "]", 8, "absent[1]", "at most 19 digits"),
        ("cancel = { call = 'POST /x', json = { n = 0x" + "f" * 9000 + " } }", 8, "cancel.json", "is not JSON"),
        ("[[example]]\nstate = 'success'\nreply = [0x" + "f" * 9000 + "]", 10, "example[0].reply", "not JSON"),
        ("open = 'yes'", 8, "open", "true or false"),
        ("description = ' '", 8, "description", "write a text"),
        ("[[example]]\nstate = 'success'\nreply = 2026-11-26", 10, "example[0].reply", "not JSON"),
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
    ("keys", "says"),
    [
        ({"name": "Acme"}, "a name of lower-case letters"),
        ({"status": None}, 'not where they stand; write status = "..."'),
        ({"success": None, "failed": None, "pending": None}, "there are no words"),
        ({"status": None, "success": None, "failed": None, "pending": None}, "nothing says what an answer means"),
        ({"status": "body"}, "not a word"),
        ({"status": ["x", "body"]}, "not a word"),
    ],
)
def test_what_belongs_together_is_checked(keys: Any, says: str) -> None:
    """Words need a place, a place needs words, and something must say what an answer means."""
    with pytest.raises(DefinitionError, match=r".+") as caught:
        endpoint(**keys)
    assert says in str(caught.value)


def test_lines_are_those_of_tables() -> None:
    """What looks like a table in a text, or is not one, does not move the lines of others."""
    text = 'description = """\n[pace]\n[[example]]\n[x.y]\n"""\n[pace]\nfirst = -1'
    assert refused(text).line == 14
    text = "[[example]]\nstate = 'success'\n[example.headers]\nx = 1"
    assert (refused(text).key, refused(text).line) == ("example[0].headers.x", 11)


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
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert (str(copy), copy.line, copy.key) == (str(error), error.line, error.key)
