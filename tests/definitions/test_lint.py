"""`lint`: what is wrong, missing or doubtful in a definition that can be used."""

from __future__ import annotations

from typing import Any

import pytest

from asyncpoll.definitions import Definition, Finding, lint

COMPLETE: dict[str, Any] = {
    "name": "acme.renders",
    "base": "https://api.acme.com/v1",
    "ask": "GET /renders/{id}",
    "echo": {"id": "id"},
    "status": "status",
    "pending": "waiting",
    "processing": ["rendering", "uploading"],
    "success": "rendered",
    "failed": "broken",
    "value": "video",
}


def found(**changes: Any) -> list[tuple[str, str]]:
    """Return levels and keys of the findings about the complete definition with changes; None leaves a key out."""
    keys = {name: value for name, value in {**COMPLETE, **changes}.items() if value is not None}
    return [(finding.level, finding.key) for finding in lint(Definition.of(keys))]


def example(**keys: Any) -> list[dict[str, Any]]:
    """Return one example."""
    return [keys]


def test_a_complete_definition_has_no_findings() -> None:
    """Every word in it is read back as it is meant."""
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"success": None}, ("error", "success")),
        ({"failed": None}, ("warning", "failed")),
        ({"cancel": "POST /renders/{id}/cancel"}, ("warning", "cancel")),
        ({"echo": None}, ("warning", "ask")),
        ({"success": "Completed"}, ("note", "success")),
        ({"value": "output_file_id"}, ("warning", "value")),
        ({"value": {"file": "outputFileId"}}, ("warning", "value")),
        ({"headers": None, "start": {"call": "POST /renders", "json": {"key": "sk-0123456789abcdefg"}}}, "secret"),
    ],
)
def test_a_gap_or_a_doubt_is_found(changes: dict[str, Any], finding: Any) -> None:
    """No success, no failure, no word for a cancelled job, no id, a word of many meanings, an id, a credential."""
    if finding == "secret":
        finding = ("error", "start.json.key")
        changes = {**changes, "start": {**changes["start"], "ref": {"id": "id"}}}
    assert found(**changes) == [finding]


def test_a_word_that_a_rule_hides_is_an_error() -> None:
    """The rule fits first, so the job that is broken would be taken for a success."""
    hiding = [{"if": {"status": {"present": True}}, "state": "success"}]
    assert ("error", "failed") in found(when=hiding)


def test_a_word_for_unknown_jobs_is_read_back() -> None:
    """It means that there is no such job, unless a rule makes it a state."""
    assert found(absent=["lost", "expired_long_ago"]) == []
    assert found(absent="lost", when=[{"if": {"status": ["lost", "gone"]}, "state": "failed"}]) == [("error", "absent")]


def test_a_rule_that_another_hides_is_an_error() -> None:
    """The second rule never counts, and a success above a failure is doubtful by itself."""
    rules = [
        {"if": {"progress": {"above": 0}}, "state": "success"},
        {"if": {"progress": {"above": 90, "below": 100}}, "state": "failed"},
    ]
    assert found(when=rules) == [("warning", "when[1]"), ("error", "when[1]")]


def test_rules_of_every_form_are_read_back() -> None:
    """Values, lists, limits, presence, absence and `not` can all be written into an answer."""
    rules = [
        {"if": {"error": {"present": True}, "status": "rendered"}, "state": "failed"},
        {"if": {"parts[*].state": {"every": ["lost"]}}, "state": "failed"},
        {"if": {"flags": {"any": ["late"]}}, "state": "timeout"},
        {"if": {"left": {"below": 0}}, "state": "cancelled"},
        {"if": {"left": {"not": {"present": False}}, "phase": ["p1", "p2"]}, "state": "processing"},
        {"if": {"left": {"not": {"above": 3}}, "phase": "p3"}, "state": "pending"},
        {"if": {"locked": {"present": False}, "phase": "p4"}, "state": "processing", "kind": "needs_action"},
    ]
    assert found(when=rules, http={"202": "processing", "410": "timeout", "503": "body"}, missing="pending") == []


def test_paths_in_each_others_way_are_an_error() -> None:
    """No answer can have a text and an object at the same place."""
    assert found(reason="error", code="error.code") == [("error", "failed")]


def test_a_word_that_is_not_an_http_status_is_an_error() -> None:
    """A status can only be a number."""
    keys = {"status": "http", "pending": None, "processing": 202, "success": 200}
    assert found(**keys, failed="broken") == [("error", "failed")]


def test_a_value_that_is_nowhere_is_an_error() -> None:
    """The status word stands where the value should be."""
    assert found(value="status.video") == [("error", "value")]


def test_an_echo_that_cannot_be_is_an_error() -> None:
    """The id of the job is where its status word is."""
    assert ("error", "success") in found(echo={"id": "status"})


@pytest.mark.parametrize(
    ("error", "key"),
    [
        ({"code": "code", "throttled": 7, "words": [{"words": "thrott", "kind": "quota"}]}, "error.throttled"),
        ({"ok": {"code": [0, 7]}, "code": "code", "throttled": 7}, "error.throttled"),
        ({"message": "text", "code": "text.code", "throttled": 7}, "error.throttled"),
    ],
)
def test_a_code_that_is_read_otherwise_is_an_error(error: dict[str, Any], key: str) -> None:
    """A phrase goes before it, the answer passes for one about the job, or none can have both code and message."""
    assert found(error=error) == [("error", key)]


def test_codes_and_later_calls_are_read_back() -> None:
    """Codes, an object that complains, `ok`, progress, and results in two calls and two pages have no findings."""
    error = {"object": "problem", "ok": {"fine": True}, "code": "problem.code", "credential": 1, "overloaded": [5, 6]}
    then = {"call": "GET /files/{file}", "value": "rows", "pages": {"next": "next", "more": "more"}}
    assert found(error=error, then=then, value=None, progress={"at": ["done", "lost"], "of": "total"}) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"reply": {"id": "a", "status": "broken"}, "state": "success"},
        {"reply": {"id": "a", "status": "odd", "why": 1}, "error": "not_found"},
        {"reply": {"id": "a"}, "state": "success"},
        {"reply": {"id": "a", "status": "rendered", "video": "v"}, "state": "success", "value": "w"},
        {"reply": {"id": "a", "status": "rendered", "video": "v"}, "state": "success", "kind": "partial"},
        {"reply": {"id": "a", "status": "broken", "why": "x"}, "state": "failed", "reason": "y"},
        {"body": "<html>", "state": "success"},
        {"reply": {"id": "a/b", "status": "rendered", "video": "v"}, "state": "success"},
        {"http": 404, "reply": {"message": "?"}, "error": "gone"},
    ],
)
def test_an_example_that_is_read_otherwise_is_an_error(wrong: dict[str, Any]) -> None:
    """State, kind, value, reason and error of an example must be what the definition makes of it."""
    assert found(reason="why", example=[wrong]) == [("error", "example[0]")]


@pytest.mark.parametrize(
    "right",
    [
        {"reply": {"id": "a", "status": "rendered", "video": "v"}, "state": "success", "value": "v"},
        {"body": '{"id": null, "status": "uploading"}', "state": "processing"},
        {"http": 404, "reply": {"message": "?"}, "error": "not_found"},
    ],
)
def test_an_example_that_is_right_is_no_finding(right: dict[str, Any]) -> None:
    """Its body may be text, where TOML has no null."""
    assert found(example=[right]) == []


def test_an_example_of_a_list_is_read() -> None:
    """The item that speaks of the job is what counts; a list without one cannot be read."""
    listed = {"about": {"each": "renders", "id": {"id": "id"}}, "echo": None, "ask": "GET /renders?owner={owner}"}
    reply = {"renders": [{"id": "a", "status": "rendered", "video": "v"}]}
    assert found(**listed, example=example(reply=reply, state="success", value="v")) == []
    assert found(**listed, example=example(reply={"renders": []}, state="success")) == [("error", "example[0]")]


def test_a_call_that_no_example_can_make_is_doubtful() -> None:
    """The examples of a success have nothing at the path of the slot."""
    reply = {"id": "a", "status": "rendered", "file": 7}
    changes: dict[str, Any] = {"value": None, "example": example(reply=reply, state="success")}
    assert found(**changes, then="GET /files/{file}") == []
    assert found(**changes, then="GET /files/{other}") == [("warning", "then")]


async def test_findings_have_lines_and_come_in_order() -> None:
    """A key that two endpoints share is told once; an event loop may run."""
    text = """
name = "acme"
base = "https://api.acme.com"
status = "status"
success = "done"
failed = "broken"

[endpoints.one]
ask = "GET /one/{id}"

[endpoints.two]
ask = "GET /two/{id}"
cancel = "DELETE /two/{id}"
"""
    shown = [str(finding) for finding in lint(Definition.parse(text))]
    assert [line.partition(": ")[0] for line in shown] == ["5", "9", "12", "13"]
    assert shown[0] == (
        "5: note: success: 'done' means different things to different APIs; make sure that here it is success"
    )
    assert str(Finding("error", "ask", None, "gone")) == "error: ask: gone"
