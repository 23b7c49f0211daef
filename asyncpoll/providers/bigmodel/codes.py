"""What the error codes of BigModel mean, and which answers are none about the job.

Sources: the error-code pages of the BigModel documentation, the present one and the older one, which lists more.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from asyncpoll.codec import at
from asyncpoll.http.classify import Codes, classify_status, complaint, fault
from asyncpoll.http.message import Reply

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

_ABOUT_ACCOUNT = frozenset({"credential", "forbidden", "unpaid", "quota", "plan"})
_ABOUT_SERVICE = frozenset({"throttled", "overloaded", "internal"})
_NOT_FOUND = 404


def classify(reply: Reply) -> None:
    """Return when *reply* is an answer about the job, otherwise raise what it means.

    An `error` object comes with any HTTP status, 200 included. Beside a status word it may be the job's own verdict
    (why the job failed) or a complaint about the request that never reached the job. It is a complaint when its code
    speaks of the account; or of the service, unless the answer names the job by its `async_id`: then the job has
    failed for that reason, and asking again would not change it.

    Raises:
        TransportError: In one of its kinds, by the code if it is listed, else by the HTTP status. An HTTP 404 always
            means that the job is not known.
    """
    if reply.status == _NOT_FOUND:
        code, message = complaint(reply)
        raise fault("not_found", message, reply=reply, code=code)
    classify_status(reply, CODES)
    if not isinstance(reply.json, dict):
        raise fault("malformed", "an object is expected", reply=reply)
    if reply.json.get("error") and not _is_verdict(reply):
        raise CODES.fault(reply)


def _is_verdict(reply: Reply) -> bool:
    kind = CODES.kind(*complaint(reply))
    named = bool(at(reply.json, "async_id"))
    return "status" in reply.json and kind not in _ABOUT_ACCOUNT and (named or kind not in _ABOUT_SERVICE)
