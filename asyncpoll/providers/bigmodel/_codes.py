"""Error codes of BigModel, and replies that are not an answer about the job.

Sources: the error-code pages of the BigModel documentation, the present one and the older one, which lists more.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from asyncpoll._structure import text_of
from asyncpoll.http import Codes, Reply, classify_status
from asyncpoll.http._classify import ABOUT_ACCOUNT, ABOUT_SERVICE, complaint, fault

CODES_OF: Mapping[str, str] = MappingProxyType(
    {
        "credential": "1000 1001 1002 1003 1004 1005 1111",
        "forbidden": "1110 1112 1121 1220",
        "unpaid": "1113",  # comes with HTTP 429, like throttling
        "internal": "500 1100 1120 1200 1230 1234",
        "bad_request": "1210 1211 1212 1213 1214 1215 1231 1261",
        "unsupported": "1221 1222",
        "content_policy": "1300 1301",
        "throttled": "1302 1303",
        "overloaded": "1305 1312",
        "quota": "1304 1308 1310 1316 1317 1318 1319 1320 1321",  # until a time that only the message tells
        "plan": "1309 1311 1313 1314 1315",
    }
)
CODES = Codes(by_code={code: kind for kind, codes in CODES_OF.items() for code in codes.split()})

_NAMES = ("async_id", "task_id")
_NOT_FOUND = 404


def classify(reply: Reply) -> None:
    """Raise an error for a reply that is not an answer about the job.

    An `error` object comes with any HTTP status, 200 included. Beside a status word, it is either the reason why the
    job failed, or a complaint about the request. An answer that names the job by its `async_id` or `task_id` is about
    the job, whatever the code: another request would not change it, and it must not end the waits for other jobs.
    Otherwise, it is a complaint if its code is about the account or the service.

    Raises:
        TransportError: The kind is that of the code if it is listed, else that of the HTTP status. An HTTP 404 always
            means that the job is unknown.
    """
    if reply.status == _NOT_FOUND:
        code, message = complaint(reply)
        raise fault("not_found", message, reply=reply, code=code, from_api=code is not None)
    classify_status(reply, CODES)
    if not isinstance(reply.json, dict):
        raise fault("malformed", "an object is expected", reply=reply)
    if reply.json.get("error") and not _is_verdict(reply):
        raise CODES.fault(reply)


def ends_job(reply: Reply) -> bool:
    """Return whether a reply has an `error` object with a code that a job cannot survive.

    Such a code is about the account (its credential, balance, quota or plan) or about the content.
    """
    return bool(reply.json.get("error")) and CODES.kind(*complaint(reply)) in ABOUT_ACCOUNT | {"content_policy"}


def _is_verdict(reply: Reply) -> bool:
    if reply.json.get("status") is None:
        return False
    named = any(text_of(reply.json.get(name)) for name in _NAMES)
    return named or CODES.kind(*complaint(reply)) not in ABOUT_ACCOUNT | ABOUT_SERVICE
