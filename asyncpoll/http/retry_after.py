"""Read `Retry-After`: seconds, or an HTTP date (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,40})?", re.ASCII)
_LONGEST = 1000  # characters that are looked at


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to stay away for, or None if the server does not name them or they are unreadable.

    Seconds may have decimals, which the standard does not know but servers send. Of several values, in headers of
    their own or joined by commas, the largest counts. A date is measured against the reply's own `Date`, so a wrong
    clock on either side does not matter; the local clock is used only without one. A date in the past is 0.
    """
    if "retry-after" not in headers:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    pieces = (piece.strip() for value in _values(headers) for piece in value[:_LONGEST].split(","))
    readable = (_wait(piece, now) for piece in pieces)  # a date is readable without its day of the week, too
    return max((wait for wait in readable if wait is not None), default=None)


def _values(headers: Mapping[str, str]) -> Iterable[str]:
    every = getattr(headers, "getall", None)  # a header may be repeated; a plain mapping holds just one
    return every("retry-after") if every is not None else [headers["retry-after"]]


def _wait(value: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(value):
        return float(value)
    date = _date(value)
    return None if date is None else max(0.0, (date - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
