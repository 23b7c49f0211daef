"""The envelope around every answer of Molizhishu, and what its codes mean.

An envelope is `{"success": ..., "code": ..., "message": ..., "data": ...}`; refusals come with HTTP 200, too, and often
without data. Source: the Molizhishu API manual, error-handling and stop-task.
"""

from __future__ import annotations

from asyncpoll.http.classify import Codes, Phrase, classify_status, fault
from asyncpoll.http.message import Reply

CODES = Codes(
    by_code={
        "300001": "bad_request",
        "400": "bad_request",
        "400002": "credential",  # the account does not exist, or no longer
        "500001": "unpaid",
        "403": "forbidden",
        "404": "not_found",
        "500": "internal",
    },
    by_message=(  # one code for whatever went wrong; only the words tell
        Phrase("500", r"token.{0,10}(失效|过期|无效|expired|invalid)", "credential"),
        Phrase("500", r"冻结|暂停|frozen|suspended", "forbidden"),
        Phrase("500", r"已结束", "already_ended"),
    ),
)


def classify(reply: Reply) -> None:
    """Return when *reply* has something to say about the job, otherwise raise what it means.

    Raises:
        TransportError: In one of its kinds: by the code and message of the envelope if they are listed, whatever the
            HTTP status, else by the HTTP status.
    """
    classify_status(reply, CODES)
    envelope = reply.json
    if not isinstance(envelope, dict) or not envelope.keys() & {"success", "code"}:
        raise fault("malformed", "an object with success and code is expected", reply=reply)
    if envelope.get("success") not in (True, None) or envelope.get("code") not in (200, "200", None):
        raise CODES.fault(reply)
