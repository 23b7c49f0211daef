"""What replies mean when they are no answer about the job."""

from __future__ import annotations

from typing import Any

import pytest

from asyncpoll._errors import BadReply, Rejected, Throttled, TransportError
from asyncpoll.http import Reply
from asyncpoll.http._classify import KINDS, STATUSES, Codes, Phrase, classify_status, complaint, fault, status_kind

CODES = Codes(
    {"1302": "throttled", "1113": "unpaid", "500": "internal"},
    (Phrase("500", "token", "credential"), Phrase("500", "already ended", "already_ended")),
)


def refused(reply: Reply, codes: Codes = CODES) -> TransportError:
    """Return what *reply* raises."""
    with pytest.raises(TransportError) as caught:
        classify_status(reply, codes)
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 202, 203, 207])
@pytest.mark.parametrize("payload", [{}, [], 0, False, ""])
def test_success_with_json_passes(status: int, payload: object) -> None:
    """A success that holds JSON, of whatever shape, is left to the endpoint."""
    classify_status(Reply(status, json=payload))


@pytest.mark.parametrize(
    ("status", "kind", "error", "passing"),
    [
        (100, "protocol", BadReply, True),
        (204, "malformed", BadReply, True),
        (205, "malformed", BadReply, True),
        (206, "protocol", BadReply, True),
        (301, "redirect", Rejected, False),
        (304, "not_modified", BadReply, True),
        (400, "bad_request", Rejected, False),
        (401, "credential", Rejected, False),
        (402, "unpaid", Rejected, False),
        (403, "forbidden", Rejected, False),
        (404, "not_found", Rejected, False),
        (405, "unsupported", Rejected, False),
        (408, "server", TransportError, True),
        (409, "conflict", TransportError, True),
        (410, "gone", Rejected, False),
        (418, "rejected", Rejected, False),
        (421, "server", TransportError, True),
        (422, "bad_request", Rejected, False),
        (423, "server", TransportError, True),
        (425, "server", TransportError, True),
        (429, "throttled", Throttled, True),
        (451, "rejected", Rejected, False),
        (500, "server", TransportError, True),
        (501, "unsupported", Rejected, False),
        (502, "server", TransportError, True),
        (503, "server", TransportError, True),
        (505, "unsupported", Rejected, False),
        (511, "login", Rejected, False),
        (520, "server", TransportError, True),
        (599, "server", TransportError, True),
        (600, "protocol", BadReply, True),
        (999, "protocol", BadReply, True),
    ],
)
def test_statuses(status: int, kind: str, error: type[TransportError], passing: bool) -> None:  # noqa: FBT001  a column
    """Every status that is no success has its kind, its error class, and its chance of passing, JSON or not."""
    for payload in (None, {"id": "1"}):
        caught = refused(Reply(status, json=payload))
        assert (caught.kind, type(caught), caught.passing, caught.status) == (kind, error, passing, status)


def test_tables_agree() -> None:
    """Every kind that a status is given is one that the table of kinds explains."""
    assert set(STATUSES.values()) <= KINDS.keys()


@pytest.mark.parametrize(
    ("body", "problem"), [(b"", "the body is empty"), (b"<html>Log in</html>", "not JSON"), (b"null", None)]
)
def test_success_without_json(body: bytes, problem: str | None) -> None:
    """A success without JSON in it is malformed, and the error shows how the body begins."""
    caught = refused(Reply(200, body=body, problem=problem, origin="https://api.example"))
    assert (caught.kind, type(caught), caught.passing) == ("malformed", BadReply, True)
    assert str(caught).endswith(": ".join(filter(None, (problem, body.decode()))))


def test_success_that_needs_no_json() -> None:
    """A file or JSON Lines may be the answer; an error stays one, and so does a success without a body."""
    classify_status(Reply(200, body=b"a,b", problem="the body is not JSON"), needs_json=False)
    for status, kind in ((204, "malformed"), (404, "not_found"), (500, "server")):
        with pytest.raises(TransportError) as caught:
            classify_status(Reply(status), needs_json=False)
        assert caught.value.kind == kind


def test_facts_are_carried_along() -> None:
    """The error knows the origin and how long the server asks to stay away for, whatever the status."""
    for status in (400, 429, 503):
        caught = refused(Reply(status, headers={"Retry-After": "7"}, origin="https://api.example"))
        assert (caught.retry_after, caught.origin) == (7.0, "https://api.example")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"error": {"code": "1302", "message": "slow down"}}, ("1302", "slow down")),
        ({"error": {"code": 1302, "message": None}}, ("1302", "")),
        ({"error": "slow down", "code": 5}, (None, "slow down")),
        ({"success": False, "code": 500, "message": "bad token"}, ("500", "bad token")),
        ({"error": "Not Found", "message": "no such job", "path": "/"}, (None, "Not Found: no such job")),
        ({"error": "invalid_token", "error_description": "expired"}, (None, "invalid_token: expired")),
        ({"error": "slow down", "message": "slow down"}, (None, "slow down")),
        ({"code": 500, "errmsg": "no balance"}, ("500", "no balance")),
        ({"code": 500, "data": "no balance"}, ("500", "no balance")),
        ({"code": 500, "message": "", "data": {"msg": "no balance"}}, ("500", "no balance")),
        ({"code": 500, "message": "busy", "data": "other"}, ("500", "busy")),
        ({"code": 500, "data": [1]}, ("500", "")),
        ({"error": None, "code": 0, "message": "fine"}, ("0", "fine")),
        ({"error": {"code": True}}, (None, "")),
        ({"error": {"code": ""}}, (None, "")),
        ({"error": {"code": ["1302"]}}, (None, "")),
        ({}, (None, "")),
        (["error"], (None, "")),
        ({"code": 500, "msg": "Token失效"}, ("500", "Token失效")),
        ({"code": 500, "message": "failed", "msg": "bad token"}, ("500", "failed: bad token")),
        ({"message": "same", "msg": "same"}, (None, "same")),
        (
            {"type": "about:blank", "title": "Out of credit", "detail": "balance 30", "status": 403},
            (None, "Out of credit: balance 30"),
        ),
        ({"title": "Out of credit"}, (None, "Out of credit")),
        ({"detail": "Not authenticated"}, (None, "Not authenticated")),
        (
            {
                "detail": [
                    {"loc": ["body", "items", 0], "msg": "field required", "type": "missing"},
                    {"loc": [], "msg": "odd"},
                ]
            },
            (None, "body.items.0: field required; : odd"),
        ),
        ({"detail": {"code": 7, "message": "inner"}}, (None, "inner")),
        ({"detail": [None, True, 7, ["deep"]]}, (None, "7; deep")),
        ({"errorMessage": "Task timed out", "errorType": "Runtime"}, (None, "Task timed out")),
        (
            {"__type": "com.amazon.coral.service#ThrottlingException", "Message": "Rate exceeded"},
            ("ThrottlingException", "Rate exceeded"),
        ),
        ({"__type": "ValidationException", "message": "bad"}, ("ValidationException", "bad")),
        ({"__type": "Oops:http://internal.amazon.com/", "message": "bad"}, ("Oops", "bad")),
        ({"__type": 7}, (None, "")),
        ({"__type": "#"}, (None, "")),
        ({"errors": [{"code": 10000, "message": "Authentication error"}]}, ("10000", "Authentication error")),
        ({"errors": ["first", "second"]}, (None, "first")),
        ({"error": {"code": "x"}, "message": "outside"}, ("x", "outside")),
        ({"error": 7}, (None, "7")),
        ({"message": {"message": {"detail": "deep"}}}, (None, "deep")),
    ],
)
def test_complaints(payload: object, expected: tuple[str | None, str]) -> None:
    """Code and message are found in the customary places; what is no code is none."""
    assert complaint(Reply(400, json=payload)) == expected


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (429, "1302", "", "throttled"),
        (429, "1113", "", "unpaid"),
        (429, "9999", "", "throttled"),
        (200, "9999", "", "unknown_code"),
        (200, "500", "Token failed", "credential"),
        (200, "500", "the task has already ended", "already_ended"),
        (200, "500", "database", "internal"),
        (200, None, "token", "unknown_code"),
        (401, None, "", "credential"),
    ],
)
def test_codes_go_before_the_status(status: int, code: str | None, message: str, kind: str) -> None:
    """A listed code decides, by the message where it means several things; otherwise the status does."""
    reply = Reply(status, json={"code": code, "message": message})
    assert CODES.fault(reply).kind == kind


def test_the_header_of_an_amazon_error_is_its_code() -> None:
    """The REST protocols of AWS have the type in a header; the body goes before it."""
    header = {"X-Amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/coral/"}
    assert complaint(Reply(400, {"message": "Rate exceeded"}, header)) == ("ThrottlingException", "Rate exceeded")
    assert complaint(Reply(400, {"__type": "a#B"}, header))[0] == "B"


@pytest.mark.parametrize("name", ["message", "detail", "msg", "Message", "errorMessage", "title"])
def test_a_complaint_is_bounded(name: str) -> None:
    """However much a server says, a thousand characters are read."""
    endless = "x" * 100_000
    for value in (endless, [endless] * 100, [{"loc": [endless] * 100, "msg": endless}] * 100, {"message": endless}):
        assert len(complaint(Reply(422, {name: value}))[1]) <= 1300
        assert len(str(refused(Reply(422, {name: value})))) < 400
    assert len(complaint(Reply(422, {"error": endless}))[1]) == 1000


@pytest.mark.parametrize(
    ("status", "payload"),
    [
        (403, {"message": "API rate limit exceeded for 192.0.2.1.", "documentation_url": "https://docs.github.com"}),
        (403, {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}),
        (403, {"message": "You have triggered an abuse detection mechanism."}),
        (400, {"__type": "com.amazonaws.dynamodb#ThrottlingException", "message": "Rate exceeded"}),
        (400, {"__type": "ThrottlingException", "Message": None}),
        (400, {"__type": "TooManyRequestsException", "Message": "Too many"}),
        (400, {"__type": "x#ProvisionedThroughputExceededException"}),
        (400, {"error": {"code": "RequestLimitExceeded", "message": "slower"}}),
    ],
)
def test_throttling_may_be_told_by_the_body_alone(status: int, payload: object) -> None:
    """GitHub says so in words and AWS by the type of the error; a later poll may succeed."""
    caught = refused(Reply(status, payload), Codes())
    assert (type(caught), caught.kind, caught.passing) == (Throttled, "throttled", True)


@pytest.mark.parametrize(
    ("status", "payload", "kind"),
    [
        (403, {"message": "Resource not accessible by integration"}, "forbidden"),
        (400, {"__type": "ValidationException", "message": "bad id"}, "bad_request"),
        (400, {"__type": "LimitExceededException", "message": "quota"}, "bad_request"),
        (404, {"message": "API rate limit exceeded"}, "not_found"),
    ],
)
def test_other_refusals_stay_what_they_are(status: int, payload: object, kind: str) -> None:
    """Words and types that do not mean throttling, or statuses that never do, change nothing."""
    assert refused(Reply(status, payload), Codes()).kind == kind


PHRASES = Codes(
    {"7": "quota"},
    (
        Phrase(None, "out of credit", "unpaid"),
        Phrase(None, "busy", "overloaded", status=403),
        Phrase("9", "busy", "conflict", status=400),
    ),
)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (403, None, "You are Out Of Credit", "unpaid"),
        (200, "7", "out of credit", "unpaid"),
        (403, None, "busy", "overloaded"),
        (403, "9", "busy", "overloaded"),
        (400, "9", "busy", "conflict"),
        (400, "8", "busy", "bad_request"),
        (503, None, "busy", "server"),
        (400, "7", "busy", "quota"),
    ],
)
def test_a_phrase_may_be_about_any_code_and_one_status(status: int, code: str | None, message: str, kind: str) -> None:
    """A phrase without a code fits any, and one with an HTTP status fits that one alone."""
    assert PHRASES.fault(Reply(status, {"code": code, "message": message})).kind == kind


def test_a_phrase_with_a_status_needs_that_status() -> None:
    """Asked without a status, only phrases about any status fit."""
    assert PHRASES.kind("9", "busy") is None
    assert PHRASES.kind("9", "busy", 400) == "conflict"
    assert PHRASES.kind(None, "out of credit") == "unpaid"


def test_a_bad_reply_is_given_its_reply() -> None:
    """What arrived in place of JSON can be looked at."""
    page = Reply(200, body=b"<html>", problem="the body is not JSON")
    caught = refused(page)
    assert isinstance(caught, BadReply)
    assert caught.reply is page


def test_classify_uses_the_codes() -> None:
    """An error status is read by the API's codes: here a 429 that no waiting will cure."""
    caught = refused(Reply(429, json={"error": {"code": "1113", "message": "no balance"}}))
    assert (type(caught), caught.kind, caught.code) == (Rejected, "unpaid", "1113")
    assert str(caught) == "the account has no balance; top it up (HTTP 429, code 1113): no balance"


def test_unknown_kinds_are_refused() -> None:
    """A table that names a kind which does not exist is refused when it is made."""
    with pytest.raises(ValueError, match=r"by_code: unknown kinds .*thorttled"):
        Codes({"1": "thorttled"})
    with pytest.raises(ValueError, match=r"by_message: unknown kinds .*upnaid"):
        Codes(by_message=(Phrase("1", "x", "upnaid"),))


def test_server_text_is_tamed() -> None:
    """What the server says is cut to 200 characters and cannot steer a terminal."""
    text = str(fault("server", "\x1b[31mred\r\n" + "x" * 10_000, reply=Reply(500)))
    assert text.isprintable()
    assert len(text) < 300
    endless = refused(Reply(400, json={"code": "\x1b" * 10_000, "message": "m"}))
    assert endless.code is not None
    assert len(endless.code) <= 40
    assert endless.code.isprintable()


def test_signed_links_are_masked() -> None:
    """A signed link that the server repeats does not get into the error whole, wherever the text is cut."""
    for padding in range(200):
        body = b"x" * padding + b" https://store.example/a?sig=canary"
        for reply in (Reply(502, body=body), Reply(502, json={"message": body.decode()})):
            assert "=c" not in str(refused(reply))


def test_status_kind_ignores_the_body_of_an_error() -> None:
    """The kind of a reply that is no success follows from its status alone."""
    assert status_kind(Reply(500, json=None)) == status_kind(Reply(500, json={})) == "server"


@pytest.mark.parametrize(
    ("reply", "from_api"),
    [
        (Reply(404, body=b"<html>nginx</html>"), False),
        (Reply(404), False),
        (Reply(302), False),
        (Reply(404, {"detail": "Not Found"}), True),
        (Reply(404, {"code": 5, "message": "no such job"}), True),
    ],
    ids=repr,
)
def test_a_page_that_is_not_json_is_not_the_apis(reply: Reply, from_api: bool) -> None:  # noqa: FBT001  a case
    """An API that answers in JSON has not answered with anything else."""
    assert Codes().fault(reply).from_api is from_api


@pytest.mark.parametrize(
    ("payload", "from_api"),
    [({"detail": "Not Found"}, False), ({"code": 9}, True), ({"message": "no such task"}, True), ({}, False)],
)
def test_an_answer_without_a_code_is_another_servers(payload: Any, from_api: bool) -> None:  # noqa: FBT001  a case
    """Where an API has codes, JSON without one is not its own, unless a phrase knows the message."""
    codes = Codes({"5": "unpaid"}, (Phrase(None, "no such task", "not_found"),))
    assert codes.fault(Reply(404, payload)).from_api is from_api


def test_a_404_that_is_not_the_apis_names_the_address() -> None:
    """It says which address, and that this is the first thing to check."""
    words = str(refused(Reply(404, body=b"<html>", origin="https://api.example:8443")))
    assert words.startswith("there is no such API at https://api.example:8443, or no such job; check the base address")
