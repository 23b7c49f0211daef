"""Classify replies that are not an answer about the job.

Nearly everything here is a table. `STATUSES` and `RANGES` name the kind of trouble that an HTTP status stands for;
`KINDS` says which error a kind raises, whether asking again may help, and the cure. An API with error codes of
its own adds one more table, a `Codes`, which goes before the HTTP status. Headers and well-known messages matter only
where they turn a refusal into throttling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from asyncpoll._errors import BadReply, Rejected, Throttled, TransportError
from asyncpoll.http._secrets import printable

if TYPE_CHECKING:
    from attrs import Attribute

    from asyncpoll.http._message import Reply

MESSAGE_LIMIT = 200  # characters of a server's own text that an error repeats
CODE_LIMIT = 40
_BEGINNING = 1000  # bytes of a body; more than is shown, so that a text to be masked is seen as a whole
_MESSAGE_NAMES = (
    *("message", "Message", "msg", "errorMessage", "error_message", "errorMsg", "error_msg", "errmsg"),
    *("error_description", "title", "detail", "reason"),
)
_MOST_ITEMS = 5  # of a list of problems, and steps of the path to one
_STEP = 40  # characters of such a step


@frozen
class Kind:
    """One kind of trouble.

    Attributes:
        error: The class of error that it raises.
        passing: Whether asking again later may help.
        meaning: The trouble and, if the caller can do something about it, the cure.
    """

    error: type[TransportError]
    passing: bool
    meaning: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "throttled": Kind(Throttled, True, "the server asks for fewer requests"),
        "overloaded": Kind(TransportError, True, "the service is overloaded"),
        "server": Kind(TransportError, True, "the server is in trouble"),
        "internal": Kind(TransportError, True, "the API reports an error of its own"),
        "conflict": Kind(TransportError, True, "the job is busy with another request"),
        "unknown_code": Kind(TransportError, True, "the API answers with an error code that is not listed"),
        "malformed": Kind(BadReply, True, "the body does not hold an answer"),
        "protocol": Kind(BadReply, True, "unexpected HTTP status"),
        "not_modified": Kind(BadReply, True, "the server says that nothing has changed, but no earlier answer is kept"),
        "credential": Kind(Rejected, False, "the credential is refused; check the key and its expiry"),
        "forbidden": Kind(Rejected, False, "the credential may not do this; check whose the job is"),
        "unpaid": Kind(Rejected, False, "the account has no balance; top it up"),
        "quota": Kind(Rejected, False, "the account's quota is used up; wait for its reset or raise it"),
        "plan": Kind(Rejected, False, "the account's plan does not cover this; change the plan"),
        "bad_request": Kind(Rejected, False, "the server does not accept the request; check its arguments"),
        "content_policy": Kind(Rejected, False, "the content is refused by policy; change it"),
        "not_found": Kind(Rejected, False, "the server knows no such job; check the id and whose it is"),
        "gone": Kind(Rejected, False, "the server no longer keeps the job; submit it again"),
        "link-expired": Kind(Rejected, False, "the link has expired; ask for the result, or run the job, again"),
        "already_ended": Kind(Rejected, False, "the job has already ended"),
        "unsupported": Kind(Rejected, False, "the server does not serve this; check the base address"),
        "redirect": Kind(Rejected, False, "redirects are not followed; check the base address"),
        "login": Kind(Rejected, False, "a captive portal requires a login"),
        "rejected": Kind(Rejected, False, "the server refuses the request"),
    }
)

ABOUT_ACCOUNT = frozenset({"credential", "forbidden", "unpaid", "quota", "plan"})
"""The kinds of trouble that are the account's, whatever the job."""

ABOUT_SERVICE = frozenset({"throttled", "overloaded", "internal"})
"""The kinds of trouble that are the service's, whatever the job."""

_UNSUPPORTED = (405, 406, 411, 414, 415, 426, 428, 431, 501, 505)
_IN_TROUBLE = (408, 421, 423, 425)  # these pass, unlike the rest of 4xx
STATUSES: Mapping[int, str] = MappingProxyType(
    dict.fromkeys(_UNSUPPORTED, "unsupported")
    | dict.fromkeys(_IN_TROUBLE, "server")
    | {
        204: "malformed",  # without a body it says nothing about the job
        205: "malformed",
        206: "protocol",  # never asked for a part
        304: "not_modified",  # a wait that keeps an earlier answer does not classify it
        400: "bad_request",
        401: "credential",
        402: "unpaid",
        403: "forbidden",
        404: "not_found",
        409: "conflict",
        410: "gone",
        422: "bad_request",
        429: "throttled",
        511: "login",
    }
)

RANGES: Mapping[int, str] = MappingProxyType({2: "unknown_code", 3: "redirect", 4: "rejected", 5: "server"})

_MAYBE_THROTTLED = frozenset({400, 403, 413})
_REMAINING = re.compile(r"(?:x-)?rate-?limit-remaining(?:-.*)?", re.ASCII | re.IGNORECASE)
_RESET = re.compile(r"(?:x-)?rate-?limit-reset(?:-.*)?", re.ASCII | re.IGNORECASE)
_STRUCTURED = re.compile(r"(?:^|[;,])\s*(?:r|remaining)\s*=\s*([^;,\s]*)", re.ASCII | re.IGNORECASE)
_THROTTLING_CODES = frozenset(  # as the retry handler of botocore lists them, but for those that mean a quota as well
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_THROTTLING_WORDS = re.compile(  # GitHub's documentation on rate limits; "abuse detection" is its older text
    r"API rate limit exceeded|secondary rate limit|abuse detection mechanism", re.IGNORECASE
)
_ZERO = re.compile(r"0(?:\.0+)?", re.ASCII)


def _is_throttling(headers: Mapping[str, str]) -> bool:
    """Return whether the headers of a refusal ask to come back later.

    They do so with a `Retry-After`, with a rate limit of which nothing remains, or with the reset of a rate limit
    that does not say how much remains.
    """
    if "retry-after" in headers:
        return True
    remaining = [str(value).strip() for name, value in headers.items() if _REMAINING.fullmatch(name)]
    for name, value in headers.items():
        if name.lower() == "ratelimit":  # as '"default";r=0;t=30', or 'limit=100, remaining=0, reset=30'
            remaining += _STRUCTURED.findall(str(value))
    if remaining:
        return any(_ZERO.fullmatch(value) for value in remaining)
    return any(_RESET.fullmatch(name) for name in headers)


def _says_throttled(reply: Reply) -> bool:
    """Return whether the body of a refusal says that it is throttling, as AWS does by code and GitHub by message."""
    code, message = complaint(reply)
    return code in _THROTTLING_CODES or _THROTTLING_WORDS.search(message) is not None


def status_kind(reply: Reply) -> str:
    """Return the kind of trouble of *reply*, a key of `KINDS`.

    It depends on the HTTP status. A 400, 403 or 413 is "throttled" if its headers say that a rate limit is used up, or
    its body says so in the way of AWS or GitHub.
    """
    if reply.status in _MAYBE_THROTTLED and (_is_throttling(reply.headers) or _says_throttled(reply)):
        return "throttled"
    if reply.status in STATUSES:
        return STATUSES[reply.status]
    if reply.status // 100 == 2 and reply.json is None:  # noqa: PLR2004  the range of success
        return "malformed"
    return RANGES.get(reply.status // 100, "protocol")


def fault(kind: str, message: str, *, reply: Reply, code: str | None = None, from_api: bool = True) -> TransportError:
    """Build the error for *kind*, a key of `KINDS`; the caller raises it.

    Args:
        kind: The kind of trouble, a key of `KINDS`.
        message: The server's own words, maybe empty; made printable and cut to 200 characters.
        reply: The reply, for its status, its origin, and how long it asks to stay away for.
        code: The API's own error code; made printable and cut to 40 characters.
        from_api: Whether the API itself answered, as far as can be told.
    """
    trouble = KINDS[kind]
    meaning = trouble.meaning
    if kind == "not_found" and not from_api:
        meaning = f"there is no such API at {reply.origin or 'this address'}, or no such job; check the base address"
    code = None if code is None else printable(code, CODE_LIMIT)
    number = f"HTTP {reply.status}" if code is None else f"HTTP {reply.status}, code {code}"
    words = f": {printable(message, MESSAGE_LIMIT)}" if message else ""
    error = trouble.error(
        f"{meaning} ({number}){words}",
        kind=kind,
        passing=trouble.passing,
        status=reply.status,
        code=code,
        retry_after=reply.retry_after,
        origin=reply.origin,
    )
    if not from_api:
        error.from_api = False
    if isinstance(error, BadReply):
        error.reply = reply
    return error


def complaint(reply: Reply) -> tuple[str | None, str]:
    """Return the error code and the message in a reply's body, as far as there are any.

    Read are the customary shapes `{"error": {"code": ..., "message": ...}}`, `{"error": "..."}`, `{"errors": [...]}`
    and `{"code": ..., "message": ...}`, with these names:

    - for the message `message`, `msg`, `errorMessage`, `errmsg` and their kin, `error_description` (RFC 6749, section
      5.2), `title` and `detail` (RFC 9457, section 3.1), all that are there; `detail` may be FastAPI's list of
      `{"loc": [...], "msg": ...}`; without any of them, those in `data`;
    - for the code `code`, or the end of `__type` or of the header `x-amzn-errortype` behind its "#" (the JSON
      protocols of AWS).

    Of a body that is not JSON the message is how it begins. A message has at most 1,000 characters.
    """
    if not isinstance(reply.json, dict):
        beginning = reply.body[:_BEGINNING].decode("utf-8", "replace")
        return None, ": ".join(filter(None, (reply.problem, beginning)))
    error = reply.json.get("error") or reply.json.get("errors") or reply.json
    if isinstance(error, list):
        error = error[0]
    outside = _message(reply.json)
    if not isinstance(error, dict):
        return None, ": ".join(dict.fromkeys(filter(None, (_words(error), outside))))[:_BEGINNING]
    kind = error.get("__type") or reply.headers.get("x-amzn-errortype")
    data = reply.json.get("data")
    inside = _words(data) if isinstance(data, str | dict) else ""
    return _code(error.get("code"), kind), _message(error) or outside or inside


def _code(code: Any, kind: Any) -> str | None:
    """Return a code as text, or that of an AWS error, such as "com.amazon.coral.service#ThrottlingException"."""
    if isinstance(code, str | int) and not isinstance(code, bool) and code != "":
        return str(code)
    return kind.rpartition("#")[2].partition(":")[0] or None if isinstance(kind, str) else None


def _message(error: dict[str, Any]) -> str:
    """Return all texts of an error, each once."""
    texts = dict.fromkeys(_words(error.get(name)) for name in _MESSAGE_NAMES)
    return ": ".join(filter(None, texts))[:_BEGINNING]


def _words(value: Any) -> str:
    """Return a message of any shape as text; it is empty for null."""
    match value:
        case str():
            return value[:_BEGINNING]
        case {"loc": [*steps], "msg": str(problem)}:  # FastAPI: where in the request, and what is wrong there
            return f"{'.'.join(str(step)[:_STEP] for step in steps[:_MOST_ITEMS])}: {problem[:_BEGINNING]}"
        case dict():
            return next((text for name in _MESSAGE_NAMES if (text := _words(value.get(name)))), "")
        case list():
            return "; ".join(filter(None, map(_words, value[:_MOST_ITEMS])))[:_BEGINNING]
        case None | bool():
            return ""
        case _:
            return str(value)[:_BEGINNING]


def _known(_: object, attribute: Attribute[Any], table: Mapping[str, str] | tuple[Phrase, ...]) -> None:
    kinds = table.values() if isinstance(table, Mapping) else [phrase.kind for phrase in table]
    if unknown := sorted(set(kinds) - KINDS.keys()):
        raise ValueError(f"{attribute.name}: unknown kinds {unknown}; choose from {sorted(KINDS)}")


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


@frozen
class Phrase:
    """The meaning of a message, with one code or any, and with one HTTP status or any.

    Attributes:
        code: The code, or None for any code, and for replies without one.
        pattern: A regular expression, looked for anywhere in the message, in any letter case.
        kind: The kind of trouble that both together stand for, a key of `KINDS`.
        status: The HTTP status, or None for any.
    """

    code: str | None
    pattern: re.Pattern[str] = field(converter=_pattern)
    kind: str
    status: int | None = field(default=None, kw_only=True)

    def fits(self, code: str | None, message: str, status: int | None) -> bool:
        """Return whether the phrase is about this code, message and HTTP status."""
        is_about = self.code in (None, code) and self.status in (None, status)
        return is_about and self.pattern.search(message) is not None


@frozen
class Codes:
    """The meanings of the error codes of one API.

    Attributes:
        by_code: From a code to a key of `KINDS`.
        by_message: For messages that say more than the code; the first phrase that fits goes before `by_code`.
    """

    by_code: Mapping[str, str] = field(factory=dict, validator=_known)
    by_message: tuple[Phrase, ...] = field(default=(), validator=_known)

    def kind(self, code: str | None, message: str = "", status: int | None = None) -> str | None:
        """Return the key of `KINDS` that *code* and *message* stand for, or None for an unlisted code.

        Args:
            code: The code, or None for a complaint without one.
            message: The message.
            status: The HTTP status, for phrases that depend on it.
        """
        for phrase in self.by_message:
            if phrase.fits(code, message, status):
                return phrase.kind
        return None if code is None else self.by_code.get(code)

    def fault(self, reply: Reply) -> TransportError:
        """Build the error for a reply that complains: by its code if that is listed, else by its status.

        A reply without JSON is not the API's own, and neither is one without a code where the API has codes.
        """
        code, message = complaint(reply)
        kind = self.kind(code, message, reply.status)
        from_api = reply.json is not None and (kind is not None or code is not None or not self.by_code)
        return fault(kind or status_kind(reply), message, reply=reply, code=code, from_api=from_api)


NO_CODES = Codes()


def classify_status(reply: Reply, codes: Codes = NO_CODES, *, needs_json: bool = True) -> None:
    """Return if *reply* is a success with JSON in it; otherwise raise the error that it stands for.

    An endpoint that wraps errors into successful replies looks for them first, then calls this.

    Args:
        reply: The reply, of any status.
        codes: The API's own error codes.
        needs_json: Whether a success must hold JSON other than null.

    Raises:
        Throttled: The server asks for fewer requests.
        Rejected: The server refuses the request, or redirects it.
        BadReply: A success does not hold JSON, or the status makes no sense.
        TransportError: The server is in trouble; asking again later may help.
    """
    if (reply.json is None and needs_json) or reply.status // 100 != 2 or reply.status in STATUSES:  # noqa: PLR2004  success
        raise codes.fault(reply)
