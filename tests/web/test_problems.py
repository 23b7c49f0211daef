"""Which response tells a client of which error, and that none tells too much."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from web_kit import FRAMEWORKS, site

from asyncpoll import (
    BadReply,
    ClientClosed,
    Draining,
    JobCancelled,
    JobFailed,
    JobTimedOut,
    LedgerError,
    PollError,
    Rejected,
    Snapshot,
    State,
    Throttled,
    TransportError,
    UnknownStatus,
    WaitTimeout,
    web,
)

RUNNING: Snapshot[int] = Snapshot(State.PROCESSING, "running", progress=0.5, retry_after=7.2)
REASON = "no https://u:pass@x/?token=abcdefghi\x1b[2J"
LEAKY: Snapshot[int] = Snapshot(State.FAILED, "failed", reason=REASON, code="E-7", raw={"key": "k-1"})
TITLES = {
    "busy": "the service that does the job asks for fewer requests",
    "refused": "the service that does the job refused the request",
    "odd": "the service that does the job did not answer as it should",
}


@pytest.mark.parametrize(
    ("error", "status", "pause", "title"),
    [
        (Draining(RUNNING, waited=1.0, polls=2, limit="drained", key="k:1"), 503, "8", "the service is restarting"),
        (Draining(None, waited=1.0, polls=2, limit="drained"), 503, "1", "the service is restarting"),
        (WaitTimeout(RUNNING, waited=25.0, polls=9, key="k:1"), 504, "8", "the job has not ended yet"),
        (WaitTimeout(None, waited=25.0, polls=9, key="k:1"), 504, "1", "the job has not ended yet"),
        (TimeoutError(), 504, "1", "there was no answer in time"),
        (JobFailed(LEAKY), 502, None, "the job failed"),
        (JobTimedOut(Snapshot("timeout")), 502, None, "the job ran out of time"),
        (JobCancelled(Snapshot("cancelled")), 409, None, "the job was cancelled"),
        (Throttled("slower", retry_after=30.0), 503, "30", TITLES["busy"]),
        (Throttled("slower"), 503, "5", TITLES["busy"]),
        (Rejected("key k-1 refused", kind="credential"), 502, None, TITLES["refused"]),
        (Rejected("no", kind="unpaid"), 502, None, TITLES["refused"]),
        (Rejected("no", kind="not_found"), 404, None, "there is no such job"),
        (Rejected("no", kind="gone"), 410, None, "the job is not kept any more"),
        (Rejected("no", kind="content_policy"), 422, None, "the content is refused by policy"),
        (TransportError("cut", origin="https://secret.example"), 502, "5", TITLES["odd"]),
        (BadReply("bad", passing=False), 502, None, TITLES["odd"]),
        (UnknownStatus("odd", vocabulary="v"), 502, None, TITLES["odd"]),
        (PollError("other"), 502, None, TITLES["odd"]),
        (ClientClosed("closed"), 503, "5", "the service is not ready"),
        (LedgerError("full", kind="full"), 503, "5", "the service cannot store its work"),
        (RuntimeError("k-1"), 500, None, "an unexpected error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_response(error: Exception, status: int, pause: str | None, title: str) -> None:
    """A status, a `Retry-After` where asking again may help, and a problem without a message, a key or an address."""
    told = web.response_for(error)
    assert told.body is not None
    assert (told.status, told.headers.get("Retry-After"), told.body["title"]) == (status, pause, title)
    assert told.headers["Content-Type"] == "application/problem+json"
    assert told.body["status"] == status
    text = json.dumps([told.body, dict(told.headers)])
    assert [word for word in ("k-1", "k:1", "secret.example", "pass@", "abcdefghi", "\\u001b") if word in text] == []


def test_what_was_seen_of_the_job_is_told() -> None:
    """Its state and progress, and why it failed in the words of the server."""
    body = web.response_for(WaitTimeout(RUNNING, waited=1.0, polls=1)).body or {}
    assert (body["state"], body["progress"]) == ("processing", 0.5)
    body = web.response_for(JobFailed(LEAKY)).body or {}
    assert (body["state"], body["reason"], body["code"]) == ("failed", "no https://***@x/?token=*** [2J", "E-7")
    assert "kind" not in body
    asking: Snapshot[None] = Snapshot(State.PROCESSING, kind="needs_action")
    body = web.response_for(WaitTimeout(asking, waited=1.0, polls=1)).body or {}
    assert body["kind"] == "needs_action"


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_an_app_answers_errors_in_one_place(framework: str, caplog: pytest.LogCaptureFixture) -> None:
    """By the handler for its framework; the operator reads the message in the log."""

    async def fail(_request: Any) -> Any:
        raise Rejected("the key is refused", kind="credential")

    async def late(_request: Any) -> Any:
        raise WaitTimeout(RUNNING, waited=25.0, polls=9)

    caplog.set_level(logging.INFO, logger="asyncpoll.web")
    async with site(framework, {"/fail": fail, "/late": late}) as here:
        status, headers, problem = await here.get("/fail/x")
        assert (status, headers["Content-Type"]) == (502, "application/problem+json")
        assert problem == {"title": TITLES["refused"], "status": 502}
        assert (await here.get("/late/x"))[0] == 504
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("asyncpoll.web")]
    assert logged == ["answered with 502: the key is refused"]
