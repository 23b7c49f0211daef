"""Reading `Retry-After`: whole seconds, or an HTTP date (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the server asks to stay away for, or None when it does not say so readably.

    Of several values the largest counts. A date is measured against the response's own `Date`, so a wrong local
    clock does no harm; only without one is the local clock asked. A date in the past is 0.
    """
    if "retry-after" not in headers:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    readable = [wait for value in _values(headers) if (wait := _wait(value.strip(), now)) is not None]
    return max(readable, default=None)


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
