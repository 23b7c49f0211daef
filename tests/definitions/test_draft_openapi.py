"""Drafts from OpenAPI documents: the request, the status and its words, the id of the job, and what is left open."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from draft_kit import PATH, Table, answer, comment, document, draft_of, drafted, parameter, shape, words
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from asyncpoll.definitions import DefinitionError, draft_openapi

STATUS = words("queued", "running", "succeeded", "failed")


def test_a_draft_has_all_that_a_document_says() -> None:
    """Name, address, key, request, words and the id of the job come from the document, and the rest is a TODO."""
    draft, text = draft_of(shape(id={"type": "string"}, status=STATUS, video={"type": "string"}))
    assert draft == {
        "name": "acme.renders",
        "base": "https://api.acme.com/v1",
        "auth": "bearer",
        "ask": "GET /renders/{render_id}",
        "echo": {"render_id": "id"},
        "status": "status",
        "pending": "queued",
        "processing": "running",
        "success": "succeeded",
        "failed": "failed",
    }
    assert "# TODO value = ...: where the result is; the answer has: video" in text
    assert text.startswith("# Drafted from openapi: GET /renders/{renderId}.\n")


# words


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("IN_PROGRESS", "processing"),
        ("inProgress", "processing"),
        ("JOB_STATE_SUCCEEDED", "success"),
        ("timed-out", "timeout"),
        ("canceled", "cancelled"),
        ("not started", "pending"),
    ],
)
def test_a_plain_word_is_placed(word: str, key: str) -> None:
    """Letter case, what joins the parts of a word, and a prefix such as JOB_STATE_ do not count."""
    draft, text = draft_of(shape(status=words("succeeded", word)))
    assert word in (draft[key] if isinstance(draft[key], list) else [draft[key]])
    assert comment(text, key) == ""


@pytest.mark.parametrize(
    "word", ["done", "completed", "ready", "ended", "aborted", "expired", "accepted", "requires_action"]
)
def test_an_ambiguous_word_is_marked(word: str) -> None:
    """What APIs mean differently stands at its likeliest place, with a comment that says to check it."""
    draft, text = draft_of(shape(status=words("running", "failed", word)))
    key = next(key for key, value in draft.items() if value == word)
    assert comment(text, key) == f"check: {word}"


@pytest.mark.parametrize("word", ["ready", "ENDED"])
def test_a_weak_word_yields_to_a_surer_one(word: str) -> None:
    """Where another word says success, `ready` may mean that the job waits to begin."""
    draft, text = draft_of(shape(status=words(word, "RUNNING", "SUCCEEDED")))
    assert draft["success"] == "SUCCEEDED"
    assert f'# TODO place these words: "{word}"\n' in text


@pytest.mark.parametrize("word", ["paused", "incomplete", "unsuccessful", "not_ready", "undone", 3, True])
def test_an_unknown_word_is_never_placed(word: Any) -> None:
    """It is a TODO, in no state at all."""
    draft, text = draft_of(shape(status=words("running", "succeeded", "failed", word)))
    assert word not in draft.values()
    assert "# TODO place these words: " in text


def test_without_a_known_success_nothing_is_one() -> None:
    """A placeholder that no API sends makes the draft a definition; it says that the words are missing."""
    draft, text = draft_of(shape(status=words("blue", "green")))
    assert draft["success"] == "TODO"
    assert comment(text, "success") == "the words for a success"
    assert "# TODO failed = ...: the words for a failure" in text
    assert '# TODO place these words: "blue", "green"' in text


@pytest.mark.parametrize("prose", ["One of `queued`, `succeeded`, `failed`.", 'queued/succeeded/failed; not "odd"'])
def test_words_may_come_from_the_prose(prose: str) -> None:
    """A status without a list of words has those that its description quotes or lists, with a TODO."""
    status = {"type": "string", "description": f"{prose} Poll until it is complete.", "example": "running"}
    draft, text = draft_of(shape(status=status))
    assert (draft["pending"], draft["processing"], draft["success"]) == ("queued", "running", "succeeded")
    assert "# TODO the document does not list the status words" in text


def test_words_are_merged_from_parts() -> None:
    """Lists in `allOf`, `anyOf` and `oneOf`, and constants, are one list; null is not a word."""
    parts = [words("queued"), {"const": "succeeded"}, {"oneOf": [words("failed"), {"type": "null"}]}]
    draft, _ = draft_of(shape(status={"anyOf": parts}))
    assert (draft["pending"], draft["success"], draft["failed"]) == ("queued", "succeeded", "failed")


# where the status is


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (shape(data=shape(task_status=STATUS), code={"type": "integer"}), "data.task_status"),
        (shape(status={"type": "integer"}, job=shape(state=STATUS)), "job.state"),
        (shape(mood=words("queued", "running")), "mood"),
        (shape(**{"x.status": STATUS}), '$["x.status"]'),
        (shape(job=shape(**{"a b": shape(status=STATUS)})), 'job["a b"].status'),
        (shape(status=shape(phase=STATUS)), "status.phase"),
        (shape(status={**STATUS, "type": ["null", "string"]}), "status"),
    ],
)
def test_the_status_is_found(schema: Table, path: str) -> None:
    """Its name, its words and its depth tell which field it is."""
    draft, _ = draft_of(schema)
    assert draft["status"] == path


def test_a_boolean_says_that_a_job_is_done() -> None:
    """Long-running operations as of Google's AIP-151: an error beside it is a failure."""
    draft, text = draft_of(shape(done={"type": "boolean"}, error=shape(code={}, message={}), response={}))
    assert (draft["status"], draft["processing"], draft["success"]) == ("done", False, True)
    assert draft["missing"] == "processing"
    assert comment(text, "missing").startswith("guessed")
    assert draft["when"] == [{"if": {"error": {"present": True}}, "state": "failed"}]
    assert (draft["reason"], draft["code"]) == ("error.message", "error.code")


def test_a_boolean_alone_has_no_failure() -> None:
    """Without an error in the answer no rule is made up."""
    draft, _ = draft_of(shape(done={"type": "boolean"}))
    assert "when" not in draft


def test_without_a_status_there_is_no_draft() -> None:
    """The error lists the fields, so that one sees what the document has."""
    with pytest.raises(DefinitionError, match=r"looks like a status; write .* \(fields: name, size\)"):
        draft_of(shape(name={"type": "string"}, size={"type": "number"}))
    with pytest.raises(DefinitionError, match="none that the document describes"):
        draft_of({})


@pytest.mark.parametrize(
    ("statuses", "said", "http"),
    [
        (("200", "202", "404"), None, {"200": "success", "202": "processing"}),
        (("200", "201"), "201", {"200": "processing", "201": "success"}),
    ],
)
def test_the_http_status_alone_may_say_it(statuses: tuple[str, ...], said: str | None, http: Table) -> None:
    """Without a status in the body 202 means that the job runs, unless Speakeasy's criteria say otherwise."""
    polling = [{"successCriteria": [{"condition": f"$statusCode == {said}"}]}] if said else []
    responses = {status: answer(shape(name={})) for status in statuses}
    draft, text = draft_of({}, responses=responses, **{"x-speakeasy-polling": polling})
    assert (draft["http"], "status" in draft) == (http, False)
    assert comment(text, "http").startswith("guessed")
    with pytest.raises(DefinitionError, match="looks like a status"):
        draft_of({}, responses={"202": answer(shape(name={}))})


# requests


def test_a_request_has_what_it_needs() -> None:
    """Parameters and fields that are required are slots, or their value if there is only one or a usual one."""
    parameters = [
        parameter("renderId"),
        parameter("api-version", "query", enum=["2024-11-30"]),
        parameter("teamName", "query"),
        parameter("X-Mode", "header", default="async"),
        parameter("Authorization", "header"),
        {"name": "verbose", "in": "query", "schema": {"type": "boolean"}},
    ]
    body = shape(kind={"const": "render"}, agent={"type": "string"}, note={}) | {"required": ["kind", "agent"]}
    draft, _ = draft_of(shape(status=STATUS), method="post", parameters=parameters, requestBody=answer(body))
    assert draft["ask"] == {
        "call": "POST /renders/{render_id}",
        "query": {"api-version": "2024-11-30", "teamName": "{team_name}"},
        "headers": {"X-Mode": "async"},
        "json": {"kind": "render", "agent": "{agent}"},
    }


def test_a_choice_has_a_default() -> None:
    """A slot with listed values is a field with the first of them, and never the id of the job."""
    parameters = [parameter("taskId"), parameter("format", enum=["text", "link"])]
    draft, text = draft_of(
        shape(task_id={}, format={}, status=STATUS), path="/results/{taskId}/{format}", parameters=parameters
    )
    assert draft["ref"] == {"format": "text"}
    assert draft["echo"] == {"task_id": "task_id"}
    assert "first" in comment(text, "ref")


@pytest.mark.parametrize("method", [None, "GET", "get"])
def test_the_method_may_be_chosen(method: str | None) -> None:
    """GET is the default where there are several."""
    given = document(shape(status=STATUS))
    given["paths"][PATH]["post"] = {"responses": {"200": answer(shape(name={}))}}
    assert drafted(given, method=method)[0]["ask"].startswith("GET ")


# the id of the job


@pytest.mark.parametrize(
    ("path", "fields", "echo"),
    [
        ("/agents/{agent_id}/runs/{run_id}", ("agent_id", "run_id"), {"run_id": "run_id"}),
        ("/jobs/{jobId}", ("id", "job_id"), {"job_id": "job_id"}),
        ("/jobs/{id}", ("name", "task_id"), {"id": "task_id"}),
        ("/jobs/{id}", ("name", "user_id"), None),
        ("/runs/{run}/agents/{agentId}", ("agentId", "id"), None),
        ("/status", ("id",), None),
    ],
)
def test_the_echo_is_the_id_of_the_job(path: str, fields: tuple[str, ...], echo: Table | None) -> None:
    """An id that many jobs share proves nothing, so it is not taken."""
    draft, text = draft_of(shape(status=STATUS, **{name: {"type": "string"} for name in fields}), path=path)
    assert draft.get("echo") == echo
    assert ("# TODO echo" in text) is (echo is None)


@pytest.mark.parametrize(
    ("required", "echo"),
    [
        (["agent_id", "async_id"], {"async_id": "async_id"}),
        (["agent_id", "note_id"], {"note_id": "note_id"}),
        (["agent_id"], None),
        (["order_id", "note_id"], None),
    ],
)
def test_the_id_in_a_body_is_chosen_by_name(required: list[str], echo: Table | None) -> None:
    """An id that is not plainly the job's own is not taken."""
    ids: Table = {f"{name}_id": {"type": "string"} for name in ("agent", "async", "order", "note")}
    body = answer(shape(**ids) | {"required": required})
    draft, _ = draft_of(shape(status=STATUS, **ids), path="/result", method="post", requestBody=body)
    assert draft.get("echo") == echo


def test_the_id_beside_the_status_counts() -> None:
    """Of two fields with the name of the id the one in the table of the status is taken."""
    draft, _ = draft_of(shape(id={}, data=shape(id={}, status=STATUS)))
    assert draft["echo"] == {"render_id": "data.id"}


# errors and pace


def test_an_error_object_is_noticed() -> None:
    """A refusal with an object `error` makes the draft look for it in every answer."""
    refused = answer(shape(error=shape(code={}, message={})))
    responses = {"200": answer(shape(status=STATUS, errorMessage={})), "default": refused}
    draft, _ = draft_of({}, responses=responses)
    assert draft["error"] == {"object": "error"}
    assert draft["reason"] == "errorMessage"


@pytest.mark.parametrize("example", [None, {"code": 0, "success": True, "data": {}}])
def test_an_envelope_is_noticed(example: Table | None) -> None:
    """What stands in it when all is well comes from an example, and is a TODO without one."""
    schema = shape(code={"type": "integer"}, msg={"type": "string"}, data=shape(status=STATUS))
    more = {} if example is None else {"examples": {"one": {"value": example}}}
    draft, text = draft_of({}, responses={"200": answer(schema, **more)})
    assert draft["status"] == "data.status"
    assert (draft["error"]["code"], draft["error"]["message"]) == ("code", "msg")
    assert draft["error"].get("ok") == (None if example is None else {"code": 0, "success": True})
    assert ("# TODO ok" in text) is (example is None)


def test_polling_of_speakeasy_is_read() -> None:
    """Its criteria say where the status is and which words end a wait, whatever the words usually mean."""
    polling = {
        "name": "WaitForCompleted",
        "delaySeconds": 2,
        "intervalSeconds": 5,
        "successCriteria": [
            {"condition": "$statusCode == 200"},
            {"condition": "$response.body#/result/phase == 'paused'"},
        ],
        "failureCriteria": [{"condition": '$response.body#/result/phase == "Completed"'}],
    }
    schema = shape(status=STATUS, result=shape(phase=words("running", "paused", "completed")))
    draft, text = draft_of(schema, **{"x-speakeasy-polling": [polling]})
    assert draft["status"] == "result.phase"
    assert (draft["processing"], draft["success"], draft["failed"]) == ("running", "paused", "Completed")
    assert draft["pace"] == {"first": 2, "at_least": 5}
    assert comment(text, "failed") == ""


def test_polling_of_speakeasy_may_stand_alone() -> None:
    """A status that the schema does not describe is taken from the criteria; odd seconds are not."""
    polling = {"intervalSeconds": -1, "successCriteria": [{"condition": "$response.body#/state == 'done'"}]}
    draft, _ = draft_of(shape(), **{"x-speakeasy-polling": [polling, {}]})
    assert (draft["status"], draft["success"]) == ("state", "done")
    assert "pace" not in draft


def test_criteria_without_a_status_say_nothing() -> None:
    """Then the document is read as any other."""
    polling = {"successCriteria": [{"condition": "$statusCode == 200"}, "odd"]}
    draft, _ = draft_of(shape(status=STATUS), **{"x-speakeasy-polling": [polling]})
    assert draft["status"] == "status"


# Azure


@pytest.mark.parametrize(
    ("method", "final", "header"),
    [
        ("put", None, "azure-asyncoperation"),
        ("put", "azure-async-operation", "azure-asyncoperation"),
        ("post", "operation-location", "operation-location"),
        ("post", None, "location"),
        ("delete", "location", "location"),
    ],
)
def test_an_operation_of_azure_starts_a_job(method: str, final: str | None, header: str) -> None:
    """Its draft asks at the address that a header of the answer gives, by `final-state-via`."""
    options: Table = {"x-ms-long-running-operation": True}
    if final is not None:
        options["x-ms-long-running-operation-options"] = {"final-state-via": final}
    draft, _ = draft_of({}, method=method, parameters=[parameter("renderId")], **options)
    assert draft["ask"] == "GET {+operation}"
    assert draft["start"]["call"] == f"{method.upper()} /renders/{{render_id}}"
    assert draft["start"]["ref"] == {"operation": f"header:{header}"}
    if header == "location":
        assert draft["http"] == {"200": "success", "202": "processing"}
    else:
        assert (draft["success"], draft["failed"], draft["status"]) == ("Succeeded", "Failed", "status")
    assert draft.get("then") == ("GET /renders/{render_id}" if (method, final) == ("put", None) else None)
    assert draft.get("value") == ("result" if final == "operation-location" else None)


# names, addresses and keys


@pytest.mark.parametrize(
    ("address", "name", "base"),
    [
        ("https://api.acme.co.uk", "acme.renders", "https://api.acme.co.uk"),
        ("https://{region}.acme.io:443/{v}", "acme.renders", "https://eu.acme.io:443/v"),
        ("http://api.acme.com", "acme.renders", "https://api.example.com"),
        ("/v1", "acme.renders", "https://api.example.com"),
        ("", "acme.renders", "https://api.example.com"),
    ],
)
def test_the_address_comes_from_the_servers(address: str, name: str, base: str) -> None:
    """Variables have their defaults. An address that cannot be used is a TODO."""
    given = document(shape(status=STATUS))
    given["servers"] = [{"url": address, "variables": {"region": {"default": "eu"}, "v": {}}}]
    draft, text = drafted(given)
    assert (draft["name"], draft["base"]) == (name, base)
    assert comment(text, "base") == ("TODO the address" if "example" in base else "")


@pytest.mark.parametrize(
    ("scheme", "auth"),
    [
        ({"type": "http", "scheme": "basic"}, "basic"),
        ({"type": "oauth2", "flows": {}}, "bearer"),
        ({"type": "apiKey", "in": "header", "name": "X-Api-Key"}, {"header": "X-Api-Key"}),
        ({"type": "apiKey", "in": "query", "name": "key"}, {"query": "key"}),
    ],
)
def test_the_key_is_sent_as_the_document_says(scheme: Table, auth: object) -> None:
    """A parameter that holds the key is not asked for a second time."""
    parameters = [parameter("X-Api-Key", "header"), parameter("key", "query")]
    given = document(shape(status=STATUS), parameters=parameters if isinstance(auth, dict) else [])
    given["components"]["securitySchemes"]["key"] = scheme
    draft, text = drafted(given)
    assert draft["auth"] == auth
    assert comment(text, "auth") == ""


@pytest.mark.parametrize("scheme", [None, {"type": "mutualTLS"}, {"type": "apiKey", "in": "cookie", "name": "c"}])
def test_an_unknown_key_is_a_todo(scheme: Table | None) -> None:
    """The draft has the usual way, and says that the document does not."""
    given = document(shape(status=STATUS))
    given["components"]["securitySchemes"] = {"key": scheme}
    assert comment(drafted(given)[1], "auth").startswith("TODO")


def test_an_unknown_path_is_an_error() -> None:
    """It names the nearest paths, and the methods that a path has."""
    given = document(shape(status=STATUS))
    text = '{"paths": {}}'
    with pytest.raises(DefinitionError, match=r"no path '/render/{id}'; write one of: /renders/{renderId}"):
        drafted(given, "/render/{id}")
    with pytest.raises(DefinitionError, match="has no such method; write one of: get"):
        drafted(given, method="post")
    with pytest.raises(DefinitionError, match=r"write one of: \(it has none at all\)"):
        draft_openapi(text, path="/")


class Phase(StrEnum):
    """The phases of a job, as a server in Python lists them."""

    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"


class Failure(BaseModel):
    """Why a job failed."""

    code: str
    message: str


class Task(BaseModel):
    """A job."""

    id: str
    status: Phase
    result: dict[str, Any] | None = None
    error: Failure | None = None


def test_the_document_of_a_fastapi_app_is_read() -> None:
    """What FastAPI writes by itself about types, optional fields and keys is enough for a draft."""
    app = FastAPI()

    @app.get("/tasks/{task_id}", dependencies=[Depends(HTTPBearer())])
    def task(task_id: str) -> Task:
        raise NotImplementedError(task_id)

    draft, text = drafted(app.openapi(), "/tasks/{task_id}")
    assert (draft["ask"], draft["auth"]) == ("GET /tasks/{task_id}", "bearer")
    assert (draft["echo"], draft["status"]) == ({"task_id": "id"}, "status")
    assert (draft["pending"], draft["success"], draft["failed"]) == ("queued", "done", "failed")
    assert (draft["reason"], draft["code"]) == ("error.message", "error.code")
    assert "the answer has: result, error\n" in text


def test_references_are_followed_inside_the_document() -> None:
    """Paths, parameters, answers and schemas may be elsewhere in the document; another file is not read."""
    given = document({})
    given["components"] |= {
        "schemas": {
            "Job": shape(id={"$ref": "other.yaml#/Id"}, status={"$ref": "#/components/schemas/a~1b"}),
            "a/b": STATUS,
        },
        "responses": {"Job": answer({"$ref": "#/components/schemas/Job"})},
        "parameters": {"version": parameter("version", "query", default=2)},
    }
    operation = {
        "parameters": [{"$ref": "#/components/parameters/version"}],
        "responses": {"200": {"$ref": "#/components/responses/Job"}},
    }
    given["paths"] = {PATH: {"$ref": "#/moved"}}
    given["moved"] = {"get": operation}
    draft, _ = drafted(given)
    assert draft["ask"] == {"call": "GET /renders/{render_id}", "query": {"version": 2}}
    assert (draft["echo"], draft["failed"]) == ({"render_id": "id"}, "failed")


def test_references_in_a_circle_end() -> None:
    """A reference to itself is an error; a schema that holds itself is read to a bounded depth."""
    given = document(shape(status=STATUS, parent={"$ref": "#/components/schemas/Job"}))
    given["components"]["schemas"] = {"Job": shape(parent={"$ref": "#/components/schemas/Job"}, status=STATUS)}
    assert drafted(given)[0]["status"] == "status"
    given["components"]["schemas"] = {"Job": {"$ref": "#/components/schemas/Job"}}
    with pytest.raises(DefinitionError, match="lead in a circle"):
        drafted(given)
