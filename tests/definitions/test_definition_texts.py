"""Texts and mappings that nobody meant as a definition, or that a stranger wrote: refused, and quickly."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from definition_kit import SMALLEST

from asyncpoll.definitions import Definition, DefinitionError
from asyncpoll.testing import MemoryTransport

TOML = "\n".join(f"{name} = {json.dumps(value)}" for name, value in SMALLEST.items()) + "\n"


def cyclic() -> dict[str, Any]:
    """Return a mapping that contains itself."""
    made: dict[str, Any] = {}
    made["a"] = made
    return made


@pytest.mark.parametrize("text", [TOML, json.dumps(SMALLEST), TOML.replace("\n", "\r\n")])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_editors_of_all_systems_are_understood(tmp_path: Path, text: str, mark: str) -> None:
    """A byte order mark and the line ends of Windows change nothing."""
    (tmp_path / "acme.toml").write_bytes((mark + text).encode())
    assert Definition.load(tmp_path / "acme.toml").spec == Definition.of(SMALLEST).spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name is missing"),
        (TOML + "a." * 100_000 + "a = 1", "x:8: a key has more than 100 parts"),
        (TOML + "[" + "a ." * 100_000 + "a]", "more than 100 parts"),
        (TOML + "x = {" + '"a".' * 100_000 + "a = 1}", "more than 100 parts"),
        (TOML + "x = " + "[" * 50_000, "not TOML"),
        (TOML + "x = " + "{a=" * 50_000, "not TOML"),
        (TOML + "x = '" + "a" * 900_000 + "'", "there is no such key"),
        ('{"name": ' + "[" * 100_000, "not JSON"),
        ('{"name": ' + "9" * 5_000 + "}", "not JSON"),
        ('{"base": "https://evil.com", ' + json.dumps(SMALLEST)[1:], "the key 'base' stands there twice"),
        (TOML + "#" + "x" * (1 << 20), "longer than 1 MiB"),
    ],
)
def test_a_hostile_text_is_refused(text: str, says: str) -> None:
    """Texts that are deep, long or ambiguous are errors of the definition, and cost little time and memory."""
    with pytest.raises(DefinitionError, match=says):
        Definition.parse(text, source="x")


@pytest.mark.parametrize("padding", ["", " "])
def test_a_file_of_any_size_is_refused(tmp_path: Path, padding: str) -> None:
    """The error of a long file speaks of its length, wherever its text is cut."""
    (tmp_path / "long.toml").write_text(TOML + "#" + padding + "ü" * 5_000_000, encoding="utf-8")
    with pytest.raises(DefinitionError, match="longer than 1 MiB"):
        Definition.load(tmp_path / "long.toml")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"description": cyclic()}, "write a text"),
        ({"ask": {"call": "POST /{id}", "json": cyclic()}}, "ask.json: this is nested too deep"),
        ({"when": [{"if": {"a": {"not": cyclic()}}, "state": "failed"}]}, "there is no such key"),
        ({"example": [{"reply": cyclic(), "state": "failed"}]}, "this is not JSON"),
        ({"ref": {"id": float("nan")}, "pace": {"first": float("nan")}}, "0 or more"),
        ({"base": "  "}, "mapping>: base: '  ' is not possible"),
        ({"\x1b[31m\ud800": 1}, r"mapping>: \\x1b\[31m\\ud800: there is no such key"),
        ({"auth": {"header": "Host"}}, "auth: the header Host is set by the transport"),
        ({"auth": {"header": "X-Key", "prefix": "\n"}}, "line breaks"),
        ({"auth": {"query": "a\nb"}}, "auth: query must be the name of a parameter"),
        ({"success": "\x1b[31m"}, "success: .* a text without control characters"),
        ({"error": {"quota": ["a\u202eb"]}}, "error.quota.*without control characters"),
        ({"description": "a\x1b[2J"}, "description: .* a text without"),
        ({"documents": ["https://acme.com\r"]}, r"documents\[0\]: .* a text without"),
        ({"written": "\x07"}, "written: .* a text without"),
        ({"auth": {"scheme": "header"}}, "auth: this is not a registered scheme"),
        ({"auth": {"header": "X-Key", "query": "key"}}, "auth: one of header, query and scheme"),
        ({"auth": {"scheme": "sigv4", "key": "k"}}, "auth.key: a definition holds no key"),
    ],
)
def test_a_hostile_mapping_is_refused(keys: dict[str, Any], says: str) -> None:
    """Circles, numbers that are none, and what could be sent nowhere are refused with the key."""
    with pytest.raises(DefinitionError, match=says):
        Definition.of({**SMALLEST, **keys})


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"progress": {"at": []}}, "progress.at"),
        ({"pages": {"next": []}}, "pages.next"),
        ({"pages": []}, "pages"),
        ({"echo": {"id": []}}, "echo.id"),
        ({"value": {"a": []}}, "value.a"),
        ({"about": {"each": [], "id": {"id": "id"}}}, "about.each"),
        ({"about": {"each": "jobs", "id": {}}}, "about.id"),
        ({"group": {"ask": "GET /", "each": "jobs", "id": {"id": "id"}, "status": []}}, "group.status"),
        ({"start": {"call": "POST /", "ref": {"id": []}}}, "start.ref.id"),
        ({"when": [{"if": {"a": []}, "state": "success"}]}, "when[0].if.a"),
        ({"when": [{"if": {"a": {"any": []}}, "state": "success"}]}, "when[0].if.a.any"),
        ({"when": [{"if": {"a": {"not": {"every": []}}}, "state": "success"}]}, "when[0].if.a.not.every"),
        ({"error": {"ok": {"a": []}}}, "error.ok.a"),
    ],
)
def test_a_list_that_is_needed_is_not_empty(keys: dict[str, Any], key: str) -> None:
    """An empty list would find nothing or hold for every answer, and nobody means either."""
    with pytest.raises(DefinitionError) as caught:
        Definition.of({**SMALLEST, **keys})
    assert caught.value.key == key


def test_an_empty_list_takes_a_shared_key_away() -> None:
    """An endpoint may have no words of a state for which the others have some."""
    shared = {**SMALLEST, "value": "url", "endpoints": {"a": {"pending": [], "value": [], "then": []}, "b": {}}}
    spec = Definition.of(shared).spec.endpoints["acme.a"]
    assert (spec.pending, spec.value, spec.then) == ((), (), ())


@pytest.mark.parametrize("body", [{"json": ["{id}"]}, {"json": "{id}"}, {"form": {"id": "{id}"}}])
@pytest.mark.parametrize("key", ["ask", "start"])
def test_further_fields_need_a_table(key: str, body: dict[str, Any]) -> None:
    """Where a reference or a start is open, the body is a JSON object that they can go into."""
    request = {"call": "POST /jobs", **body}
    keys: dict[str, Any] = {"ask": request, "open": True} if key == "ask" else {"start": {**request, "open": True}}
    with pytest.raises(DefinitionError, match=f"{key}: with open = true, further fields go into the JSON body"):
        Definition.of({**SMALLEST, **keys})


@pytest.mark.parametrize(
    "keys",
    [
        {"http": MappingProxyType({404: "failed"})},
        {"written": date(2026, 1, 2)},
        {"written": datetime(2026, 1, 2, 3, tzinfo=UTC)},
        {"success": ("done", "fertig")},
        {"value": {"\ud800": "a"}},
    ],
)
def test_the_text_of_any_mapping_makes_it_again(keys: dict[str, Any]) -> None:
    """Whatever a mapping is made of, its text can be written to a file, and means the same."""
    definition = Definition.of({**SMALLEST, **keys})
    assert Definition.parse(definition.text.encode().decode()).spec == definition.spec


@pytest.mark.parametrize("text", [None, b"name = 'a'", 1])
def test_a_definition_is_parsed_from_text(text: Any) -> None:
    """Anything else is a `TypeError` that names the method."""
    with pytest.raises(TypeError, match=r"Definition\.parse\(\): text must be text"):
        Definition.parse(text)


@pytest.mark.parametrize("name", ["self", "transport", "arguments", "endpoint"])
async def test_a_field_may_have_any_name(name: str) -> None:
    """A field with the name of one of our own arguments is as good as any other."""
    transport = MemoryTransport(lambda _: pytest.fail("nothing is asked"))
    definition = Definition.of({**SMALLEST, "ask": f"GET /jobs/{{{name}}}"})
    job = definition.job(transport, **{name: "7"})
    async with definition.client(transport=transport) as client:
        assert client.job(**{name: "7"}) == client.job_from_json(job.to_json())
        with pytest.raises(ValueError, match="it lacks"):
            client.job_from_json(job.to_json().replace(f'"{name}": "7"', '"this": "7"'))
