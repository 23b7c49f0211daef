"""What drafts are made from: JSON, YAML, pages of Markdown, and documents that are odd or hostile."""

from __future__ import annotations

import json
import sys
import tomllib
from typing import Any

import pytest
import yaml
from draft_kit import PATH, Table, answer, document, drafted, shape, words
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll.definitions import DefinitionError, draft_openapi, draft_waiter

STATUS = words("queued", "running", "succeeded", "failed")
PAGE = """
paths:
  path: /v1/agents/result
  method: post
  servers:
    - url: https://open.acme.cn/api/
  request:
    security:
      - title: bearerAuth
        parameters:
          query: {}
          header:
            Authorization: {type: http, scheme: bearer}
    parameters:
      path: {}
      query:
        version:
          schema:
            - {type: enum<string>, enum: [2024-11-30], required: true}
        odd: {}
      header: {}
    body:
      application/json:
        schemaArray:
          - type: object
            properties:
              async_id: {allOf: [{type: string}]}
              agent_id: {allOf: [{type: string}]}
            requiredProperties: [async_id, agent_id]
  response:
    '200':
      application/json:
        schemaArray:
          - type: object
            properties:
              agent_id: {allOf: [{type: string}]}
              async_id: {allOf: [{type: string}]}
              status: {allOf: [{type: string, enum: [success, failed, pending]}]}
              choices: {allOf: [{type: array}]}
        examples:
          example: {value: {status: success}}
    default:
      application/json:
        schemaArray:
          - properties:
              error: {allOf: [{type: object, properties: {code: {}, message: {}}}]}
components:
  schemas: {}
"""


@pytest.mark.parametrize(
    "text",
    [PAGE, f"# Result\n\n> About.\n\n````yaml openapi.json post /v1/agents/result\n{PAGE}\n````", "```json\n{}\n```\n"],
    ids=["yaml", "markdown", "other"],
)
def test_pages_of_mintlify_are_read(text: str) -> None:
    """One operation in YAML, alone or in a fenced block of a page, in the dialect of Mintlify."""
    if "paths" not in text:
        with pytest.raises(DefinitionError, match="it has none at all"):
            draft_openapi(text, path="/v1/agents/result")
        return
    assert tomllib.loads(draft_openapi(text, path="/v1/agents/result")) == {
        "name": "acme.result",
        "base": "https://open.acme.cn/api",
        "auth": "bearer",
        "ask": {
            "call": "POST /v1/agents/result",
            "query": {"version": "2024-11-30"},
            "json": {"async_id": "{async_id}", "agent_id": "{agent_id}"},
        },
        "echo": {"async_id": "async_id"},
        "status": "status",
        "pending": "pending",
        "success": "success",
        "failed": "failed",
        "error": {"object": "error"},
    }


def test_json_and_yaml_give_the_same_draft() -> None:
    """OpenAPI may be in either."""
    job = document(shape(id={"type": "string"}, status=STATUS))
    assert draft_openapi(yaml.safe_dump(job), path=PATH) == drafted(job)[1]


def test_yaml_needs_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it JSON is read as ever, and the error for YAML names the extra."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    drafted(document(shape(status=STATUS)))
    with pytest.raises(DefinitionError, match=r"^acme\.yaml: .* run: pip install 'asyncpoll\[draft\]'$"):
        draft_openapi(PAGE, path="/v1/agents/result", source="acme.yaml")


@pytest.mark.parametrize(
    "text", ["a: [", "a: !!int ''", "a: !!bool x", "a: !!python/name:os.system", "[" * 5000, "\x00"]
)
def test_a_text_that_is_neither_is_an_error(text: str) -> None:
    """The error names the document, whatever the parsers raise, and nothing in a tag is run."""
    with pytest.raises(DefinitionError, match=r"^openapi: the document is neither JSON nor YAML \("):
        draft_openapi(text, path=PATH)


@pytest.mark.parametrize("text", ["", "[]", "7", "null"])
def test_a_document_is_a_table(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(DefinitionError, match="not a table"):
        draft_openapi(text, path=PATH)
    with pytest.raises(DefinitionError, match="not a table"):
        draft_waiter(text, "JobDone")


def test_aliases_do_not_blow_up() -> None:
    """A document that stands for a billion parts is given up; one that holds itself is read to a bounded depth."""
    lines = ["a0: &a0 {type: string}", *(f"a{n + 1}: &a{n + 1} {{allOf: [*a{n}, *a{n}, *a{n}]}}" for n in range(11))]
    responses = "responses: {200: {content: {application/json: {schema: *a11}}}}"
    text = "\n".join([*lines, f"paths: {{/a: {{get: {{{responses}}}}}}}"])
    with pytest.raises(DefinitionError, match="too many or lead in a circle"):
        draft_openapi(text, path="/a")
    with pytest.raises(DefinitionError, match="looks like a status"):
        draft_openapi(text.replace("*a11", "&s {allOf: [*s, *s]}"), path="/a")


def test_nothing_in_a_document_breaks_out_of_a_comment() -> None:
    """Line breaks, control characters and lone surrogates of names and words stay in their line."""
    odd = 'a\n[error]\r\x00\x7f\x85\u2028"\ud800' + "x" * 500
    schema = shape(**{odd: {}, "status": words("queued", odd)})
    draft, text = drafted(document(schema))
    assert "error" not in draft
    assert all(line.isprintable() for line in text.splitlines())
    assert len(max(text.splitlines(), key=len)) < 300


def test_what_no_definition_can_say_is_an_error() -> None:
    """A draft is a definition or there is none; the error names the line of the draft."""
    given = document(shape(status=STATUS), path="/a b/../{id}")
    with pytest.raises(DefinitionError, match=r"^the draft of openapi:6: ask: "):
        drafted(given, "/a b/../{id}")


# odd documents

_NAMES = """
$ref allOf anyOf oneOf schemaArray properties required requiredProperties enum const type description example default
name in schema content application/json paths path get post parameters requestBody request response responses 200 body
security components securitySchemes servers url variables x-speakeasy-polling successCriteria condition delaySeconds
x-ms-long-running-operation x-ms-long-running-operation-options final-state-via status state id error code message data
host basePath
"""
_KEYS = st.sampled_from(_NAMES.split())
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["#/", "#/paths", "#/a/b", "query", "header", "{x}", "succeeded", "Failed", "http", "apiKey"]),
    st.sampled_from(["$response.body#/status == 'a'", "string", "boolean", "https://a.b/{c}", "location"]),
)


def _mangled(value: Any, changes: list[tuple[int, Any]]) -> Any:
    """Return a document with the values at some places, counted from the outside, replaced."""
    for number, other in changes:
        holders: list[tuple[Any, Any]] = []
        queue = [value]
        while queue:
            here = queue.pop(0)
            pairs = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
            for key, one in pairs:
                holders.append((here, key))
                queue.append(one)
        holder, key = holders[number % len(holders)]
        holder[key] = other
    return value


_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=8
)
_CHANGES = st.lists(st.tuples(st.integers(0, 200), _VALUES), min_size=1, max_size=4)


def _base(kind: str) -> Table:
    if kind == "mintlify":
        return dict(yaml.safe_load(PAGE))
    options: Table = {"x-ms-long-running-operation": True} if kind == "azure" else {}
    if kind == "speakeasy":
        criterion = {"condition": "$response.body#/status == 'succeeded'"}
        options["x-speakeasy-polling"] = [{"successCriteria": [criterion], "delaySeconds": 3}]
    return document(
        shape(id={}, status=STATUS, error=shape(code={}, message={})),
        requestBody=answer(shape(id={}) | {"required": ["id"]}),
        parameters=[{"name": "renderId", "in": "path", "required": True, "schema": {"type": "string"}}],
        **options,
    )


@pytest.mark.parametrize("kind", ["openapi", "speakeasy", "azure", "mintlify"])
@settings(max_examples=40)
@given(changes=_CHANGES)
def test_odd_documents_never_break_a_draft(kind: str, changes: list[tuple[int, Any]]) -> None:
    """Whatever stands where, there is a definition or a `DefinitionError`; no other exception."""
    text = json.dumps(_mangled(json.loads(json.dumps(_base(kind), default=str)), changes))
    path = "/v1/agents/result" if kind == "mintlify" else PATH
    try:
        tomllib.loads(draft_openapi(text, path=path))
    except DefinitionError:
        return
