"""The envelope of every answer of Molizhishu, and its error codes.

An envelope is `{"success": ..., "code": ..., "message": ..., "data": ...}`. Refusals may have HTTP 200, and often
lack data. Source: the Molizhishu API manual, error-handling and stop-task. Like public clients of the API, this one
accepts `msg` in place of `message`, an envelope without `success`, and other spellings of a success.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from asyncpoll.http import Codes, Phrase, Reply, classify_status
from asyncpoll.http._classify import complaint, fault

CODES = Codes(
    by_code={
        "300001": "bad_request",
        "400": "bad_request",
        "400002": "credential",  # the account does not exist, or no longer
        "401": "credential",
        "500001": "unpaid",
        "403": "forbidden",
        "404": "not_found",
        "429": "throttled",
        "500": "internal",
        "502": "internal",
        "503": "overloaded",
        "504": "internal",
    },
    by_message=(  # the code 500 has many meanings, and some refusals have no code
        Phrase(None, r"token.{0,10}(失效|过期|无效|expired|invalid)", "credential"),
        Phrase(None, r"余额不足", "unpaid"),
        Phrase("500", r"冻结|暂停|frozen|suspended", "forbidden"),
        Phrase("500", r"已结束", "already_ended"),
        Phrase("500", r"过于频繁|too many requests", "throttled"),
    ),
)

_FINE = frozenset({None, 0, 200, "0", "200", "SUCCESS", "success"})


def classify(reply: Reply) -> None:
    """Raise an error for a reply that is not an answer about the job.

    Raises:
        TransportError: The kind is that of the code and message of the envelope if they are listed, whatever the HTTP
            status, else that of the HTTP status.
    """
    classify_status(reply, CODES)
    envelope = reply.json
    if not isinstance(envelope, dict) or not envelope.keys() & {"success", "code"}:
        raise fault("malformed", "an object with success and code is expected", reply=reply)
    if envelope.get("success") not in (True, None) or not _is_fine(envelope.get("code")):
        raise CODES.fault(reply)


def reason(reply: Reply, data: Any) -> str | None:
    """Return why a job failed, by the first of the customary names that its *data* has, or None."""
    return complaint(evolve(reply, json=data))[1] or None


def _is_fine(code: object) -> bool:
    return isinstance(code, str | int | None) and not isinstance(code, bool) and code in _FINE
