"""Answers that are not about the job: codes, messages, envelopes, and complaints beside a status word."""

from __future__ import annotations

from typing import Any

import pytest
from definition_kit import answer, endpoint, told

from asyncpoll import Rejected, Throttled

ERROR: dict[str, Any] = {
    "ok": {"success": True, "code": [0, "0"]},
    "code": "code",
    "message": "msg",
    "credential": "401 1001",
    "throttled": 429,
    "internal": "500",
    "http": {"404": "not_found"},
    "words": [
        {"code": "500", "words": "token.{0,9}expired", "kind": "credential"},
        {"words": "rate limit", "kind": "throttled", "http": 403},
        {"words": "has ended", "kind": "already_ended"},
    ],
}


@pytest.mark.parametrize(
    ("body", "http", "kind"),
    [
        ({"success": True, "code": 0, "status": "done"}, 200, "success"),
        ({"status": "done"}, 200, "success"),
        ({"success": False, "code": "1001"}, 200, "credential"),
        ({"success": False, "code": 429}, 200, "throttled"),
        ({"success": True, "code": 500}, 200, "internal"),
        ({"code": 500, "msg": "Token has EXPIRED"}, 200, "credential"),
        ({"code": 500, "msg": "it has ended"}, 200, "already_ended"),
        ({"code": 12345}, 200, "unknown_code"),
        ({"code": 12345}, 400, "bad_request"),
        ({"code": "1001"}, 500, "credential"),
        ({"code": "1001"}, 404, "not_found"),
        ({"msg": "API rate limit"}, 403, "throttled"),
        ({"msg": "you may not"}, 403, "forbidden"),
        ({"success": 1, "status": "done"}, 200, "unknown_code"),
    ],
)
def test_codes_and_messages_have_kinds(body: Any, http: int, kind: str) -> None:
    """The HTTP statuses of `[error]` go first, then messages, then codes, then the usual meaning of the status."""
    assert told(endpoint(error=ERROR), answer(body, http)) == kind


def test_an_error_says_what_the_server_said() -> None:
    """The error of a kind is that of the package, with code and message."""
    made = endpoint(error=ERROR)
    with pytest.raises(Rejected, match="code 1001") as caught:
        made.classify(answer({"code": "1001", "msg": "bad key"}))
    assert "bad key" in str(caught.value)
    with pytest.raises(Throttled) as throttled:
        made.classify(answer({"code": 429}, retry_after="3"))
    assert throttled.value.retry_after == 3.0


def test_a_foreign_page_is_not_of_the_api() -> None:
    """What is not JSON, or has no code where the API has codes, may be something in its place."""
    made = endpoint(error=ERROR)
    with pytest.raises(Rejected) as page:
        made.classify(answer("<h1>Not here</h1>", 404))
    with pytest.raises(Rejected) as bare:
        made.classify(answer({"path": "/jobs"}, 404))
    with pytest.raises(Rejected) as known:
        made.classify(answer({"code": 7}, 404))
    assert [one.value.from_api for one in (page, bare, known)] == [False, False, True]


BESIDE: dict[str, Any] = {
    "object": "error",
    "credential": "1000",
    "throttled": "1302",
    "content_policy": "1301",
    "bad_request": "1214",
}


@pytest.mark.parametrize(
    ("body", "means"),
    [
        ({"error": {"code": "1000"}}, "credential"),
        ({"error": {"code": "1214"}}, "bad_request"),
        ({"error": None, "status": "queued"}, "pending"),
        ({"error": {}, "status": "queued"}, "pending"),
        ({"error": {"code": "1302"}, "status": "broken"}, "throttled"),
        ({"error": {"code": "1302"}, "status": "broken", "id": "1"}, "failed"),
        ({"error": {"code": "1214"}, "status": "broken"}, "failed"),
        ({"error": {"code": "1301"}, "status": "queued"}, "failed"),
        ({"error": {"code": "1000"}, "status": "queued", "id": "1"}, "failed"),
        ({"error": {"code": "1214"}, "status": "queued"}, "pending"),
        ({"error": {"code": "1000"}, "status": "done", "id": "1"}, "success"),
    ],
)
def test_a_complaint_may_stand_beside_a_word(body: Any, means: str) -> None:
    """It is the job's verdict if the answer names the job, or unless the code is about account or service."""
    assert told(endpoint(error=BESIDE, echo={"id": "id"}), answer(body)) == means


def test_a_complaint_without_words_is_one() -> None:
    """Where no status word is listed, an object that complains always does."""
    made = endpoint(
        error=BESIDE, status=None, pending=None, success=None, failed=None, when=[{"if": {"x": 1}, "state": "success"}]
    )
    assert told(made, answer({"error": {"code": "1214"}, "x": 1})) == "bad_request"
    assert told(made, answer({"x": 1})) == "success"
    assert told(made, answer({"x": 2})) == "malformed"
