"""What replies mean when they are no answer about the job."""

from __future__ import annotations

import pytest

from asyncpoll._errors import BadReply, Rejected, Throttled, TransportError
from asyncpoll.http import Reply
from asyncpoll.http.classify import KINDS, STATUSES, Codes, Phrase, classify_status, complaint, fault, status_kind

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
        (304, "redirect", Rejected, False),
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
        ({"error": None, "code": 0, "message": "fine"}, ("0", "fine")),
        ({"error": {"code": True}}, (None, "")),
        ({"error": {"code": ""}}, (None, "")),
        ({"error": {"code": ["1302"]}}, (None, "")),
        ({}, (None, "")),
        (["error"], (None, "")),
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
