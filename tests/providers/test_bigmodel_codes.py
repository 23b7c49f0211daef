"""What BigModel's answers mean when they are none about the job."""

from __future__ import annotations

from typing import Any

import pytest

from asyncpoll._errors import BadReply, Rejected, Throttled, TransportError
from asyncpoll.http import Reply
from asyncpoll.providers.bigmodel._codes import CODES, classify

KINDS = {
    "500": "internal",
    "1000": "credential",
    "1001": "credential",
    "1002": "credential",
    "1003": "credential",
    "1004": "credential",
    "1005": "credential",
    "1100": "internal",
    "1110": "forbidden",
    "1111": "credential",
    "1112": "forbidden",
    "1113": "unpaid",
    "1120": "internal",
    "1121": "forbidden",
    "1200": "internal",
    "1210": "bad_request",
    "1211": "bad_request",
    "1212": "bad_request",
    "1213": "bad_request",
    "1214": "bad_request",
    "1215": "bad_request",
    "1220": "forbidden",
    "1221": "unsupported",
    "1222": "unsupported",
    "1230": "internal",
    "1231": "bad_request",
    "1234": "internal",
    "1261": "bad_request",
    "1300": "content_policy",
    "1301": "content_policy",
    "1302": "throttled",
    "1303": "throttled",
    "1304": "quota",
    "1305": "overloaded",
    "1308": "quota",
    "1309": "plan",
    "1310": "quota",
    "1311": "plan",
    "1312": "overloaded",
    "1313": "plan",
    "1314": "plan",
    "1315": "plan",
    "1316": "quota",
    "1317": "quota",
    "1318": "quota",
    "1319": "quota",
    "1320": "quota",
    "1321": "quota",
}
PASSING = {"internal", "throttled", "overloaded"}


def _complaint(code: Any, **beside: Any) -> dict[str, Any]:
    return {**beside, "error": {"code": code, "message": "出错了"}}


def _raised(reply: Reply) -> TransportError:
    with pytest.raises(TransportError) as raised:
        classify(reply)
    return raised.value


def test_the_table_has_each_code_once() -> None:
    """The codes of the table are those below, no more and no fewer."""
    assert CODES.by_code == KINDS


@pytest.mark.parametrize("code", KINDS)
@pytest.mark.parametrize("status", [200, 429, 500])
def test_a_code_means_the_same_under_every_http_status(code: str, status: int) -> None:
    """The code of the `error` object goes before the HTTP status; 429 alone says nothing about retrying."""
    error = _raised(Reply(status, _complaint(code)))
    assert (error.kind, error.code, error.status) == (KINDS[code], code, status)
    assert error.passing is (KINDS[code] in PASSING)
    assert "出错了" in str(error)


def test_a_429_is_throttling_or_an_unpaid_bill() -> None:
    """With code 1302 it passes and carries the hint; with 1113 it does not pass, and the message says what to do."""
    throttled = _raised(Reply(429, _complaint("1302"), {"retry-after": "7"}))
    assert isinstance(throttled, Throttled)
    assert throttled.retry_after == 7
    unpaid = _raised(Reply(429, _complaint(1113)))
    assert isinstance(unpaid, Rejected)
    assert "top it up" in str(unpaid)
    assert isinstance(_raised(Reply(429, {})), Throttled)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "credential"),
        (403, "forbidden"),
        (434, "rejected"),
        (503, "server"),
        (302, "redirect"),
    ],
)
def test_an_unlisted_code_leaves_it_to_the_http_status(status: int, kind: str) -> None:
    """What the table does not list is read by its HTTP status."""
    error = _raised(Reply(status, _complaint("9999")))
    assert (error.kind, error.code) == (kind, "9999")


def test_a_404_says_that_the_job_is_not_known() -> None:
    """Whatever code comes with it."""
    error = _raised(Reply(404, _complaint("1222")))
    assert (error.kind, error.code) == ("not_found", "1222")


def test_an_unlisted_code_in_a_success_may_pass() -> None:
    """An `error` alone is no word about the job, so it is asked again, but not for ever."""
    error = _raised(Reply(200, _complaint("9999")))
    assert (error.kind, error.passing) == ("unknown_code", True)


@pytest.mark.parametrize("payload", [[], "failed", 7, True])
def test_an_answer_that_is_no_object_is_malformed(payload: Any) -> None:
    """JSON that is no object holds no answer."""
    assert isinstance(_raised(Reply(200, payload)), BadReply)


@pytest.mark.parametrize(
    "payload", [{"status": "pending"}, {"status": "failed", "error": {}}, {"status": "x", "error": None}]
)
def test_an_answer_without_a_complaint_is_about_the_job(payload: Any) -> None:
    """An empty `error` is none."""
    classify(Reply(200, payload))


@pytest.mark.parametrize("code", ["400", "1301", "1210", "9999"])
def test_an_error_beside_a_status_is_the_jobs_own(code: str) -> None:
    """A job that failed has its reason in `error`, also one that was never there (code 400)."""
    classify(Reply(200, _complaint(code, status="failed")))


@pytest.mark.parametrize("code", ["1000", "1110", "1113", "1308", "1309"])
def test_an_error_about_the_account_is_a_jobs_own_only_by_name(code: str) -> None:
    """In an answer that names the job it is that job's verdict; else it is the caller's to mend."""
    for name in ("async_id", "task_id"):
        classify(Reply(200, _complaint(code, status="failed", **{name: "a"})))
    unusable: Any
    for unusable in (None, "", [], True):
        error = _raised(Reply(200, _complaint(code, status="failed", async_id=unusable)))
        assert (error.kind, error.passing) == (KINDS[code], False)


def test_an_error_without_a_status_is_a_complaint_even_by_name() -> None:
    """Only a status word makes a verdict."""
    assert _raised(Reply(200, _complaint("1113", async_id="a"))).kind == "unpaid"
    assert _raised(Reply(200, _complaint("1113", async_id="a", status=None))).kind == "unpaid"


@pytest.mark.parametrize("code", ["1302", "1305", "1234"])
def test_an_account_error_that_names_the_job_is_its_own(code: str) -> None:
    """A job that failed for a busy model stays failed; without its id, it was the request that was turned away."""
    classify(Reply(200, _complaint(code, status="failed", async_id="a")))
    assert _raised(Reply(200, _complaint(code, status="failed"))).passing
